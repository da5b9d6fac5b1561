"""The learned distance as a function of two rows, of any kind."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from models import quick, quick_classifier
from siamese_sklearn import Pairs

NAMES = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def frame(halves):
    return pd.DataFrame(halves[0], columns=NAMES)


@pytest.fixture(scope="module")
def metric(frame, halves):
    return quick(max_epochs=1).fit(frame, halves[2]).get_metric()


ROWS = {
    "array": lambda frame, i: frame.to_numpy()[i],
    "list": lambda frame, i: frame.to_numpy()[i].tolist(),
    "row of a frame": lambda frame, i: frame.iloc[i],
    "row of a nullable frame": lambda frame, i: frame.astype("Float64").iloc[i],
    "frame of one row": lambda frame, i: frame.iloc[[i]],
    "array of one row": lambda frame, i: frame.to_numpy()[[i]],
    "named tuple": lambda frame, i: next(frame.iloc[[i]].itertuples(index=False)),
    "sparse": lambda frame, i: sparse.csr_array(frame.to_numpy()[[i]]),
    "tensor": lambda frame, i: torch.tensor(frame.to_numpy()[i], requires_grad=True),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_rows_of_every_kind(metric, frame, row):
    rows = frame.to_numpy()
    wanted = metric.estimator.pair_distance(Pairs(rows[:1], rows[50:51]))[0]
    assert metric(row(frame, 0), row(frame, 50)) == pytest.approx(wanted, rel=1e-6)
    assert metric(rows[0], row(frame, 50)) == pytest.approx(wanted, rel=1e-6)


def test_rows_of_polars(metric, frame):
    rows = pytest.importorskip("polars").from_pandas(frame)
    wanted = metric(frame.iloc[0], frame.iloc[50])
    assert metric(rows[0], rows[50]) == metric(rows.row(0), rows.row(50)) == wanted


@pytest.mark.parametrize("order", [["d", "c", "b", "a"], ["a", "b", "c", "e"]])
def test_other_columns_are_refused(metric, frame, order):
    other = frame.set_axis(order, axis=1)
    for row in (other.iloc[0], other.iloc[[0]]):
        with pytest.raises(ValueError, match=r"columns \[.*was fitted on \['a', 'b'"):
            metric(row, frame.iloc[0])
        with pytest.raises(ValueError, match="in this order"):
            metric(frame.iloc[0], row)


def test_each_side_has_its_own_columns(frame):
    pairs = Pairs(frame, frame[["a", "b"]].set_axis(["x", "y"], axis=1))
    model = quick_classifier(architecture="pseudo_siamese", loss="contrastive")
    metric = model.fit(pairs, np.arange(75) % 2).get_metric()
    wanted = model.pair_distance(pairs[:1])[0]
    found = metric(pairs.left.iloc[0], pairs.right.iloc[0])
    assert found == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(ValueError, match=r"was fitted on \['x', 'y'\]"):
        metric(pairs.left.iloc[0], frame[["a", "b"]].iloc[0])


def test_it_is_pickled(metric, frame):
    rows = frame.iloc[0], frame.iloc[50]
    assert pickle.loads(pickle.dumps(metric))(*rows) == metric(*rows)
