"""Pairs and Triplets as containers, and scikit-learn's model selection on them."""

import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    train_test_split,
)
from sklearn.preprocessing import StandardScaler
from sklearn.utils import indexable, shuffle
from sklearn.utils.validation import _num_samples

from arrays import memory_map
from siamese_sklearn.pairs import Pairs, Triplets, make_pairs

TABLE = np.arange(12.0).reshape(6, 2)


SIDES = {
    "array": lambda _: TABLE,
    "list": lambda _: TABLE.tolist(),
    "images": lambda _: np.arange(6 * 2 * 3).reshape(6, 2, 3),
    "strings": lambda _: np.array(list("abcdef")),
    "frame": lambda _: pd.DataFrame(TABLE, columns=["a", "b"], index=list("uvwxyz")),
    "series": lambda _: pd.Series(TABLE[:, 0], index=[5, 4, 3, 2, 1, 0]),
    "polars": lambda _: pl.DataFrame(TABLE, schema=["a", "b"], orient="row"),
    "polars_series": lambda _: pl.Series("a", TABLE[:, 0]),
    "csr": lambda _: sparse.csr_array(TABLE),
    "coo": lambda _: sparse.coo_array(TABLE),
    "memmap": lambda folder: memory_map(folder, TABLE),
}


def dense(side):
    return side.toarray() if sparse.issparse(side) else np.asarray(side)


@pytest.fixture(params=SIDES)
def side(request, tmp_path):
    return SIDES[request.param](tmp_path)


@pytest.fixture
def pairs():
    return Pairs(TABLE, -TABLE[:, :1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "key",
    [
        slice(1, 4),
        slice(None, None, -2),
        [0, 3, 3],
        np.array([5, -6]),
        np.array([], dtype=int),
        np.array([True, False, True, False, False, True]),
        [True, False, True, False, False, True],
        pd.Series([2, 0]),
    ],
    ids=str,
)
def test_rows_by_slice_mask_and_positions_are_those_of_each_side(side, key):
    taken = Pairs(side, TABLE)[key]
    positions = np.asarray(key) if not isinstance(key, slice) else key
    np.testing.assert_array_equal(dense(taken.left), dense(side)[positions])
    np.testing.assert_array_equal(taken.right, TABLE[positions])
    assert isinstance(taken, Pairs)
    expected = Pairs(side, TABLE).left
    assert type(taken.left) is type(expected) or isinstance(expected, np.memmap)


@pytest.mark.parametrize("i", [0, 5, -1, np.int64(2)])
def test_one_position_gives_the_tuple_of_rows(side, i):
    left, right = Pairs(side, TABLE)[i]
    np.testing.assert_array_equal(np.ravel(dense(left)), np.ravel(dense(side)[i]))
    np.testing.assert_array_equal(right, TABLE[i])


def test_tuple_with_ellipsis_takes_rows_as_scikit_learn_asks(pairs):
    assert pairs[[1, 2], ...].left.tolist() == TABLE[[1, 2]].tolist()
    assert pairs[3, ...][1].tolist() == [-6.0]


def test_shape_length_and_sides(pairs):
    assert (len(pairs), pairs.shape, pairs.ndim) == (6, (6, 2), 2)
    assert pairs.sides[0] is pairs.left
    assert pairs.sides[1] is pairs.right
    triplets = Triplets(TABLE, TABLE + 1, TABLE + 2)
    assert (len(triplets), triplets.shape, triplets.ndim) == (6, (6, 3), 2)
    assert [row.tolist() for row in triplets[4]] == [
        [8.0, 9.0],
        [9.0, 10.0],
        [10.0, 11.0],
    ]
    assert triplets[4:].negative.tolist() == [[10.0, 11.0], [12.0, 13.0]]


def test_sides_are_held_without_a_copy(tmp_path):
    mapped, frame = memory_map(tmp_path, TABLE), pd.DataFrame(TABLE)
    pairs = Pairs(mapped, frame)
    assert pairs.left is mapped
    assert pairs.right is frame
    assert isinstance(pairs[1:3].left, np.memmap)
    assert np.shares_memory(Pairs(TABLE, TABLE)[2:5].left, TABLE)


def test_sparse_sides_become_csr():
    assert Pairs(sparse.coo_array(TABLE), TABLE).left.format == "csr"


def test_map_applies_to_each_side(pairs):
    assert (
        pairs.map(lambda side: side.sum(axis=1)).right.tolist()
        == (-TABLE[:, 0]).tolist()
    )


def test_repr_is_short():
    pairs = Pairs(np.zeros((3, 8, 8)), pd.DataFrame({"a": [1, 2, 3]}))
    assert (
        repr(pairs)
        == "<Pairs of 3 rows, left: ndarray (3, 8, 8), right: DataFrame (3, 1)>"
    )


def test_identity_pickle_and_hash(side):
    pairs = Pairs(side, TABLE)
    assert pairs == pairs
    assert pairs != Pairs(side, TABLE)
    copy = pickle.loads(pickle.dumps(pairs))
    np.testing.assert_array_equal(dense(copy.left), dense(pairs.left))
    np.testing.assert_array_equal(copy.right, TABLE)
    assert joblib.hash(pairs) != joblib.hash(pairs[::-1])


def test_equal_pairs_have_equal_joblib_hashes():
    assert joblib.hash(Pairs(TABLE, TABLE + 1)) == joblib.hash(
        Pairs(TABLE.copy(), TABLE + 1)
    )


def test_sides_cannot_be_reassigned(pairs):
    with pytest.raises(AttributeError, match="left"):
        pairs.left = TABLE


def test_different_lengths_are_named():
    with pytest.raises(
        ValueError, match=r"sides of Pairs .* `left` has 6, `right` has 5"
    ):
        Pairs(TABLE, TABLE[:5])
    with pytest.raises(
        ValueError, match=r"`anchor` has 6, `positive` has 6, `negative` has 1"
    ):
        Triplets(TABLE, TABLE, TABLE[:1])


@pytest.mark.parametrize(
    "bad",
    [3.0, None, "text", pl.LazyFrame({"a": [1]})],
    ids=lambda bad: type(bad).__name__,
)
def test_a_side_without_rows_is_refused(bad):
    with pytest.raises(
        TypeError, match=rf"`right` must have rows.* got {type(bad).__name__}"
    ):
        Pairs([1], bad)


def test_unpacking_even_two_rows_is_refused(pairs):
    with pytest.raises(
        TypeError,
        match=r"Pairs cannot be iterated or unpacked; use `\.left`, `\.right`",
    ):
        _left, _right = pairs[:2]


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        StandardScaler().fit,
        LogisticRegression().fit(TABLE, [0, 1] * 3).predict,
    ],
    ids=["asarray", "fit", "predict"],
)
def test_one_array_of_both_sides_is_refused_and_pair_transformer_named(pairs, convert):
    with pytest.raises(
        TypeError,
        match=r"^Pairs cannot be converted to one array.*"
        r"PairTransformer\(StandardScaler\(\)\)",
    ):
        convert(pairs)


@pytest.mark.parametrize(
    "key", [(slice(None), 0), (0, 1), (..., 0), (1, 2, 3)], ids=str
)
def test_columns_cannot_be_indexed(pairs, key):
    with pytest.raises(
        IndexError, match=r"by row only; their sides are `\.left`, `\.right`"
    ):
        pairs[key]


@pytest.mark.parametrize(
    "key", [6, -7, [6], [True, False], [0.5], [[0, 1]], None], ids=str
)
def test_keys_that_are_no_rows_are_refused(pairs, key):
    with pytest.raises(IndexError):
        pairs[key]


class DistanceThreshold(ClassifierMixin, BaseEstimator):
    """Logistic regression on a power of the distance, as a stand-in for a pair
    classifier.
    """

    def __init__(self, power=1.0):
        self.power = power

    def _features(self, X):
        assert isinstance(X, Pairs)
        gap = dense(X.left) - dense(X.right)
        return np.linalg.norm(gap, axis=1, keepdims=True) ** self.power

    def fit(self, X, y):
        self.inner_ = LogisticRegression().fit(self._features(X), y)
        self.classes_ = self.inner_.classes_
        return self

    def predict(self, X):
        return self.inner_.predict(self._features(X))

    def predict_proba(self, X):
        return self.inner_.predict_proba(self._features(X))


def clusters(container=np.asarray):
    y = np.repeat(np.arange(6), 10)
    X = 10.0 * np.column_stack([y % 3, y // 3]) + np.random.default_rng(0).normal(
        size=(60, 2)
    )
    return make_pairs(container(X), y, random_state=0)


CONTAINERS = [
    np.asarray,
    pytest.param(sparse.csr_array, marks=pytest.mark.slow),
    pytest.param(pd.DataFrame, marks=pytest.mark.slow),
    pytest.param(lambda X: pl.DataFrame(X, schema=["a", "b"]), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("container", CONTAINERS)
def test_model_selection_takes_pairs_of_any_kind(container):
    pairs, same = clusters(container)
    train, test, same_train, same_test = train_test_split(
        pairs, same, stratify=same, random_state=0
    )
    assert (len(train), len(test)) == (90, 30)
    assert DistanceThreshold().fit(train, same_train).score(test, same_test) > 0.95
    assert cross_val_score(DistanceThreshold(), pairs, same, cv=3).min() > 0.9
    assert (
        cross_val_predict(DistanceThreshold(), pairs, same, cv=3) == same
    ).mean() > 0.9


def test_splits_keep_both_sides_in_step():
    pairs = Pairs(np.arange(20), np.arange(20) * 10)
    train, test = train_test_split(pairs, random_state=0)
    again = shuffle(pairs, random_state=0)
    for part in (train, test, again):
        assert (part.right == part.left * 10).all()
    assert sorted([*train.left, *test.left]) == list(range(20))


@pytest.mark.slow
def test_search_calibration_threshold_and_learning_curve_take_pairs():
    pairs, same = clusters()
    search = GridSearchCV(DistanceThreshold(), {"power": [0.5, 1.0]}, cv=3).fit(
        pairs, same
    )
    assert search.score(pairs, same) > 0.9
    for meta in (
        CalibratedClassifierCV(DistanceThreshold(), cv=3),
        TunedThresholdClassifierCV(DistanceThreshold(), cv=3),
    ):
        assert meta.fit(pairs, same).score(pairs, same) > 0.9
    sizes, _, scores = learning_curve(
        DistanceThreshold(), pairs, same, cv=3, train_sizes=[0.5, 1.0], shuffle=True
    )
    assert sizes.tolist() == [40, 80]
    assert scores.shape == (2, 3)


def test_scikit_learns_helpers_see_rows(pairs):
    assert _num_samples(pairs) == 6
    assert indexable(pairs, np.zeros(6))[0] is pairs
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        indexable(pairs, np.zeros(5))
