"""Features whose differences float32 would lose are centered; all others stay."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import BaseEstimator

from arrays import memory_map
from models import quick, quick_classifier
from siamese_sklearn import Pairs
from siamese_sklearn._validation import check_rows

rng = np.random.default_rng(0)
PLAIN = rng.normal(size=(40, 3))
SECONDS = 1.7e9 + 60 * rng.random(40)
X = np.column_stack([PLAIN[:, 0], SECONDS, PLAIN[:, 1:]])


def learned(rows, more=None):
    """The offset that is learned, and the rows, or other rows after a fit on them."""
    estimator = BaseEstimator()
    found = check_rows(estimator, rows, reset=True)
    if more is not None:
        found = check_rows(estimator, more, reset=False)
    return estimator.input_offset_, found


def frame(rows):
    return pd.DataFrame(rows).rename(columns=str)


CONTAINERS = {
    "array": lambda rows, _: rows,
    "Fortran order": lambda rows, _: np.asfortranarray(rows),
    "list": lambda rows, _: rows.tolist(),
    "frame": lambda rows, _: frame(rows),
    "nullable frame": lambda rows, _: frame(rows).astype("Float64"),
    "polars": lambda rows, _: pytest.importorskip("polars").from_numpy(rows),
    "tensor": lambda rows, _: torch.from_numpy(rows),
    "memmap": lambda rows, folder: memory_map(folder, rows),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_column_of_seconds_is_centered_alone(kind, tmp_path):
    rows = CONTAINERS[kind](X, tmp_path)
    for offset, found in (learned(rows), learned(rows, rows)):
        np.testing.assert_array_equal(offset, [0, SECONDS.mean(), 0, 0])
        assert (found.dtype, type(found)) == (np.float32, np.ndarray)
        assert found.flags.c_contiguous
        wanted = SECONDS - SECONDS.mean()
        np.testing.assert_array_equal(found[:, 1], wanted.astype(np.float32))
        np.testing.assert_array_equal(found[:, [0, 2, 3]], PLAIN.astype(np.float32))


@pytest.mark.parametrize("to_sparse", [sparse.csr_array, sparse.coo_matrix])
def test_sparse_rows_after_dense_ones(to_sparse):
    offset, found = learned(X, to_sparse(X))
    np.testing.assert_array_equal(found, (X - offset).astype(np.float32))


def test_large_integers():
    nanoseconds = (SECONDS * 1e9).astype(np.int64)[:, None]
    offset, found = learned(nanoseconds)
    np.testing.assert_array_equal(found, (nanoseconds - offset).astype(np.float32))
    assert len(np.unique(found)) == 40


UNTOUCHED = {
    "float32": X.astype(np.float32),
    "ordinary": PLAIN,
    "constant": np.column_stack([PLAIN, np.full(40, 1.7e9 + 0.1)]),
    "years, which float32 holds": np.column_stack([PLAIN, 2019 + np.arange(40) % 2]),
    "a wide range": np.column_stack([PLAIN, SECONDS * rng.random(40)]),
    "bytes": rng.integers(254, 256, (40, 5)).astype(np.uint8),
    "sparse": sparse.csr_array(X),
}


@pytest.mark.parametrize("rows", UNTOUCHED.values(), ids=UNTOUCHED)
def test_other_rows_stay_as_they_are(rows):
    offset, found = learned(rows)
    assert offset is None
    dense, given = (sparse.csr_array(each).toarray() for each in (found, rows))
    np.testing.assert_array_equal(dense, given.astype(np.float32))


def test_float32_is_not_copied():
    rows = X.astype(np.float32)
    assert np.shares_memory(learned(rows)[1], rows)


def test_memory_maps_stay_on_disk_where_they_can(tmp_path):
    assert isinstance(learned(memory_map(tmp_path, PLAIN))[1], np.memmap)


@pytest.mark.parametrize(
    ("shape", "offset_shape"), [((40, 6, 5), (1, 1)), ((40, 2, 3, 5), (2, 1, 1))]
)
def test_images_are_centered_by_channel(shape, offset_shape):
    images = 1e6 + 0.01 * rng.random(shape)
    if len(shape) == 4:
        images[:, 1] -= 1e6
    offset, found = learned(images)
    assert offset.shape == offset_shape
    assert offset.flat[0] == pytest.approx(1e6 + 0.005, abs=1e-3)
    np.testing.assert_array_equal(found, (images - offset).astype(np.float32))
    if len(shape) == 4:
        assert offset.flat[1] == 0


def test_a_minute_tells_classes_apart():
    y = np.arange(120) % 3
    seconds = 1.7e9 + 60.0 * y[:, None] + 5 * rng.normal(size=(120, 1))
    model = quick_classifier(max_epochs=20).fit(seconds[:80], y[:80])
    assert model.score(seconds[80:], y[80:]) > 0.95
    embedder = quick(max_epochs=20).fit(seconds[:80], y[:80])
    assert embedder.score(seconds[80:], y[80:]) > 0.95
    near, far = embedder.pair_distance(Pairs(seconds[:2], seconds[[3, 3]])).tolist()
    assert near < far
    metric = embedder.get_metric()
    assert metric(seconds[0], seconds[3]) == pytest.approx(near, abs=1e-6)


def test_the_first_call_fixes_the_offset():
    y = np.arange(40) % 2
    model = quick().partial_fit(X, y)
    before = model.input_offset_
    model.partial_fit(X + 1e5, y)
    assert model.input_offset_ is before
    assert model.fit(PLAIN, y).input_offset_ is None


def test_two_towers_have_an_offset_each():
    model = quick_classifier(architecture="pseudo_siamese", loss="contrastive")
    model.fit(Pairs(PLAIN, X), np.arange(40) % 2)
    assert model.input_offset_ is None
    later = X + np.array([0, 30, 0, 0])
    shifted = model.transform(Pairs(PLAIN, later))
    assert not np.allclose(shifted.right, model.transform(Pairs(PLAIN, X)).right)
