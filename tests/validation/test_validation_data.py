"""Names of the rows to enroll, and sides that differ in shape."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.datasets import load_wine
from sklearn.exceptions import DataConversionWarning

from siamese_sklearn import Pairs
from siamese_sklearn._validation import RightSide, check_names, check_sides

X, Y = load_wine(return_X_y=True)
IMAGES = np.random.default_rng(0).normal(size=(20, 6, 6))


def with_value(value):
    """The rows, with one bad value in them."""
    rows = X.copy()
    rows[30, 4] = value
    return rows


class TestNames:
    """Classes of the rows to enrol."""

    @pytest.mark.parametrize(
        "rows",
        [X[:3], sparse.csr_array(X[:3]), IMAGES[:3]],
        ids=["table", "csr", "images"],
    )
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("ann", "U"),
            (7, "i"),
            (np.int8(7), "i"),
            (True, "b"),
            (2.0, "f"),
            (np.array("ann"), "U"),
            (np.datetime64("2026-01-01"), "M"),
        ],
        ids=repr,
    )
    def test_one_class_stands_for_all_rows(self, rows, name, kind):
        names = check_names(name, rows)
        assert names.shape == (3,)
        assert names.dtype.kind == kind
        assert (names == name).all()

    @pytest.mark.parametrize(
        "names",
        [
            ["ann", "bob", "ann"],
            np.array([3, 1, 3]),
            pd.Series(["ann", "bob", "ann"], index=[5, 6, 7]),
            np.array(["ann", "bob", "ann"], dtype=object),
            ("ann",) * 3,
        ],
        ids=["list", "array", "series", "object", "tuple"],
    )
    def test_one_class_for_each_row(self, names):
        found = check_names(names, X[:3])
        assert found.tolist() == list(names)

    def test_one_row_alone_in_its_class(self):
        assert (
            check_names("ann", X[:1]).tolist()
            == check_names(["ann"], X[:1]).tolist()
            == ["ann"]
        )

    def test_numbers_in_objects_become_numbers(self):
        assert check_names(np.array([3, 1, 3], dtype=object), X[:3]).dtype.kind == "i"

    def test_a_column_is_taken_with_a_warning(self):
        with pytest.warns(DataConversionWarning, match="1d array was expected"):
            assert check_names([["a"], ["b"], ["c"]], X[:3]).tolist() == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (
                ["ann"],
                "`X` and `y` must have the same number of rows; got 3 in `X` and 1",
            ),
            (
                ["ann"] * 4,
                "`X` and `y` must have the same number of rows; got 3 in `X` and 4",
            ),
            ([], "got 3 in `X` and 0 in `y`"),
            (None, "Input y contains NaN or None in 3 rows"),
            (np.nan, "Input y contains NaN or None in 3 rows"),
            (["ann", None, "bob"], "Input y contains NaN or None in 1 rows"),
            (0.5, "Unknown label type: continuous. `y` must contain class labels"),
            (
                [0.5, 1.0, 2.0],
                "Unknown label type: continuous. `y` must contain class labels",
            ),
            (
                np.array(["ann", 1, 2], dtype=object),
                "`y` must contain class labels of one kind",
            ),
            (b"ann", "Unknown label type: bytes"),
            ([["ann", "bob"]] * 3, "y should be a 1d array"),
        ],
    )
    def test_errors(self, names, message):
        with pytest.raises(ValueError, match=message):
            check_names(names, X[:3])


class TestSidesOfTheirOwnShape:
    """`check_sides` where another estimator knows the right side."""

    def learn(self, pairs):
        left, right = BaseEstimator(), RightSide()
        return left, right, check_sides(left, pairs, reset=True, other=right)

    @pytest.mark.parametrize(
        ("left", "right"),
        [
            (X[:20], IMAGES),
            (IMAGES, X[:20, :5]),
            (X[:20], X[:20, :5]),
            (X[:20], X[20:40]),
        ],
        ids=["table images", "images table", "tables", "of one shape"],
    )
    def test_each_learns_its_own(self, left, right):
        first, second, checked = self.learn(Pairs(left, right))
        assert (first.n_features_in_, first.input_shape_) == (
            left.shape[1],
            left.shape[1:],
        )
        assert (second.n_features_in_, second.input_shape_) == (
            right.shape[1],
            right.shape[1:],
        )
        again = check_sides(
            first, Pairs(left[:4], right[:4]), reset=False, other=second
        )
        for found, part, given in zip(checked, again, (left, right), strict=True):
            assert found.dtype == np.float32
            assert found.flags.c_contiguous
            np.testing.assert_array_equal(found, given.astype(np.float32))
            np.testing.assert_array_equal(part, given[:4].astype(np.float32))

    def test_sparse_beside_dense(self):
        first, second, (left, right) = self.learn(
            Pairs(sparse.csc_array(X[:20]), IMAGES)
        )
        assert sparse.issparse(left)
        assert (left.format, left.dtype, right.shape) == (
            "csr",
            np.float32,
            IMAGES.shape,
        )
        assert (first.input_shape_, second.input_shape_) == ((13,), (6, 6))

    def test_names_of_the_columns(self):
        table = pd.DataFrame(X[:20, :3], columns=["a", "b", "c"])
        other = pd.DataFrame(X[:20, :2], columns=["d", "e"])
        first, second, _ = self.learn(Pairs(table, other))
        assert first.feature_names_in_.tolist() == ["a", "b", "c"]
        assert second.feature_names_in_.tolist() == ["d", "e"]
        for pairs, side in [
            (Pairs(table.rename(columns={"a": "z"}), other), "left"),
            (Pairs(table, other.rename(columns={"d": "a"})), "right"),
        ]:
            with pytest.raises(
                ValueError, match=f"Pairs.{side}: .*feature names should match"
            ):
                check_sides(first, pairs, reset=False, other=second)

    @pytest.mark.parametrize(
        ("pairs", "message"),
        [
            (
                Pairs(X[:20], IMAGES[:, :, :4]),
                r"Pairs.right: `X` has rows of shape \(6, 4\), but .*\(6, 6\)",
            ),
            (
                Pairs(X[:20], X[:20]),
                r"Pairs.right: X has 13 features, but .* is expecting 6",
            ),
            (
                Pairs(IMAGES, IMAGES),
                r"Pairs.left: X has 6 features, but .* is expecting 13",
            ),
            (
                Pairs(IMAGES, X[:20]),
                r"Pairs.left: X has 6 features, but .* is expecting 13",
            ),
            (
                Pairs(with_value(np.nan)[20:40], IMAGES),
                r"Pairs.left: Input X contains NaN",
            ),
            (
                Pairs(X[:20], np.abs(IMAGES) * np.inf),
                r"Pairs.right: Input X contains infinity",
            ),
            (Pairs(X[:20], np.full((20, 6, 6), "a")), r"Pairs.right: `X` is invalid"),
        ],
    )
    def test_errors_name_the_side(self, pairs, message):
        first, second, _ = self.learn(Pairs(X[:20], IMAGES))
        with pytest.raises(ValueError, match=message):
            check_sides(first, pairs, reset=False, other=second)

    def test_without_another_the_shapes_are_one(self):
        with pytest.raises(ValueError, match=r"Pairs.right: X has 5 features"):
            check_sides(BaseEstimator(), Pairs(X[:20], X[:20, :5]), reset=True)

    def test_a_new_fit_learns_anew(self):
        first, second, _ = self.learn(Pairs(X[:20], IMAGES))
        check_sides(first, Pairs(IMAGES, X[:20]), reset=True, other=second)
        assert (first.input_shape_, second.input_shape_) == ((6, 6), (13,))
