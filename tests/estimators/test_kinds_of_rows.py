"""Rows of every kind after rows of another kind: all calls answer alike."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from arrays import memory_map, read_only
from models import quick_classifier
from siamese_sklearn import Pairs

KINDS = {
    "float32": lambda X, _: X,
    "float64": lambda X, _: X.astype(np.float64),
    "float16": lambda X, _: X.astype(np.float16),
    "int64": lambda X, _: X.astype(np.int64),
    "uint8": lambda X, _: X.astype(np.uint8),
    "objects": lambda X, _: X.astype(object),
    "Fortran order": lambda X, _: np.asfortranarray(X),
    "read-only": lambda X, _: read_only(X),
    "list": lambda X, _: X.tolist(),
    "tensor": lambda X, _: torch.from_numpy(X),
    "frame": lambda X, _: pd.DataFrame(X),
    "nullable frame": lambda X, _: pd.DataFrame(X).astype("Int64"),
    "polars": lambda X, _: pytest.importorskip("polars").from_numpy(X),
    "csr": lambda X, _: sparse.csr_array(X),
    "csr matrix": lambda X, _: sparse.csr_matrix(X),
    "csc float64": lambda X, _: sparse.csc_array(X.astype(np.float64)),
    "coo": lambda X, _: sparse.coo_array(X),
    "memmap": lambda X, folder: memory_map(folder, X, np.int16),
}


@pytest.fixture(scope="module")
def data(few_counts):
    X, y = few_counts
    return X.astype(np.float32), y


def answers(first, X, y, rows, new):
    """What a model answers that was fitted on rows of another kind."""
    model = quick_classifier(max_epochs=1).fit(KINDS[first](X, None), y)
    model.enroll(new, 9).partial_fit(rows, y)
    assert model.classes_.tolist() == [0, 1, 2, 3, 9]
    assert sparse.issparse(model._gallery.rows) == (first == "csr")
    return [
        model.transform(rows),
        model.predict(rows),
        model.predict_proba(rows),
        model.pair_score(Pairs(rows, X)),
        model.kneighbors(rows)[1],
        model.reference_labels_,
    ]


@pytest.fixture(scope="module")
def wanted(data):
    """The answers for dense rows, by the kind of the rows fitted on."""
    X, y = data
    return {first: answers(first, X, y, X, 16 - X[:3]) for first in ("float32", "csr")}


@pytest.mark.parametrize("first", ["float32", "csr"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
def test_rows_of_any_kind_after_any_other(kind, first, data, wanted, tmp_path):
    X, y = data
    rows, new = KINDS[kind](X, tmp_path), KINDS[kind](16 - X[:3], tmp_path)
    found = answers(first, X, y, rows, new)
    for given, expected in zip(found, wanted[first], strict=True):
        np.testing.assert_allclose(given, expected, atol=1e-5)


@pytest.mark.parametrize("kinds", [("float32", "csr"), ("csr", "float32")])
def test_of_a_network_without_embeddings(kinds, data):
    X, y = data
    rows, others = (KINDS[kind](X, None) for kind in kinds)
    model = quick_classifier(
        architecture="two_channel", loss="hinge", max_epochs=1, n_references=2
    ).fit(rows, y)
    model.enroll(others[:2], 9).partial_fit(others, y)
    assert model.classes_.tolist() == [0, 1, 2, 3, 9]
    np.testing.assert_allclose(
        model.decision_function(rows), model.decision_function(others), atol=1e-5
    )


@pytest.mark.parametrize("kinds", [("float32", "csr"), ("csr", "float32")])
def test_a_reference_is_found_again_in_another_container(kinds, data):
    X, y = data
    rows, others = (KINDS[kind](X, None) for kind in kinds)
    model = quick_classifier(max_epochs=1, n_references=None).fit(rows, y)
    with pytest.warns(UserWarning, match="are references already: row 0 is equal to"):
        model.enroll(others[:1], y[0])
