"""Columns that are not numeric are named, with what to do about them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_wine

from siamese_sklearn import Pairs, SiameseEmbedder
from siamese_sklearn._validation import RightSide, check_rows, check_sides

X, Y = load_wine(return_X_y=True)
IMAGES = np.random.default_rng(0).random((20, 6, 6))


def with_columns(**columns):
    """The rows as a data frame, with further columns."""
    return pd.DataFrame(X).rename(columns=str).assign(**columns)


def texts(text):
    """A column of text, of the dtype that all versions of pandas have."""
    return pd.Series([text] * len(X), dtype=object)


class TestColumnsThatAreNotNumeric:
    @pytest.mark.parametrize(
        ("columns", "named"),
        [
            ({"city": texts("Rome")}, r"'city' \(object\)"),
            ({"city": pd.Categorical(texts("Rome"))}, r"'city' \(category\)"),
            # pandas: "Cannot cast object dtype to float32"
            (
                {
                    "count": pd.array([1] * len(X), dtype="Int64"),
                    "city": pd.Categorical(texts("Rome")),
                },
                r"'city' \(category\)",
            ),
            (
                {"day": pd.date_range("2020-01-01", periods=len(X))},
                r"'day' \(datetime64\[\w+\]\)",
            ),
            ({"tags": [["a", "b"]] * len(X)}, r"'tags' \(object\)"),
            (  # numbers in a column of objects are numbers; "XL" names no number
                {"n": texts(1.5), "size": texts("XL"), "city": texts("Rome")},
                r"'size' \(object\), 'city' \(object\)",
            ),
            (
                {name: texts("Rome") for name in "abcdefg"},
                ", ".join(rf"'{name}' \(object\)" for name in "abcde") + r", \.\.\.",
            ),
        ],
        ids=["text", "category", "cast", "date", "list", "two", "many"],
    )
    def test_are_named(self, columns, named):
        message = (
            rf"^`X` must be numeric, but these columns are not: {named}\. Encode .*"
            r"OneHotEncoder in a ColumnTransformer, or drop these columns\.$"
        )
        with pytest.raises((ValueError, TypeError), match=message):
            SiameseEmbedder(device="cpu").fit(with_columns(**columns), Y)

    def test_are_named_in_a_polars_frame(self):
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame({"age": X[:, 0], "city": ["Rome"] * len(X)})
        with pytest.raises(ValueError, match=r"columns are not: 'city' \(String\)\. "):
            SiameseEmbedder(device="cpu").fit(frame, Y)

    def test_are_named_with_the_side(self):
        pairs = Pairs(with_columns(), with_columns().assign(**{"3": "Rome"}))
        with pytest.raises(
            ValueError, match=r"^Pairs.right: `X` must be numeric.*: '3' "
        ):
            check_sides(BaseEstimator(), pairs, reset=True)

    def test_other_names_come_first(self):
        embedder = SiameseEmbedder(device="cpu", max_epochs=1).fit(with_columns(), Y)
        with pytest.raises(ValueError, match="feature names should match"):
            embedder.transform(with_columns(city="Rome"))


def test_errors_name_no_private_class():
    first, second = BaseEstimator(), RightSide()
    check_sides(first, Pairs(X[:20], IMAGES), reset=True, other=second)
    message = r"^Pairs.right: X has 13 features, but the right tower is expecting 6 "
    with pytest.raises(ValueError, match=message):
        check_sides(first, Pairs(X[:20], X[:20]), reset=False, other=second)


class TestOtherColumns:
    @pytest.mark.parametrize(
        "cells", [lambda A: list(A), lambda A: A.tolist()], ids=["arrays", "lists"]
    )
    def test_cells_that_hold_arrays_get_the_remedy(self, cells):
        frame = with_columns(emb=pd.Series(cells(X)))
        message = (
            r"these columns hold arrays: 'emb' \(object\)\. Pass numpy\.stack\(X\["
        )
        with pytest.raises((ValueError, TypeError), match=message):
            SiameseEmbedder(device="cpu").fit(frame, Y)
        assert np.stack(frame["emb"]).shape == X.shape

    def test_cells_of_polars_that_hold_arrays(self):
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame({"emb": X.tolist()})
        with pytest.raises((ValueError, TypeError), match=r"'emb' \(List\(Float64\)\)"):
            SiameseEmbedder(device="cpu").fit(frame, Y)
        assert np.stack(frame["emb"]).shape == X.shape

    @pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "category"])
    def test_missing_cells_are_named(self, dtype):
        column = pd.Series(Y, dtype=bool if dtype == "boolean" else None).astype(dtype)
        column[3] = None
        message = rf"contains NaN in these columns: 'n' \({dtype}\)\. Fill them"
        with pytest.raises(ValueError, match=message):
            SiameseEmbedder(device="cpu").fit(with_columns(n=column), Y)

    @pytest.mark.parametrize("dtype", ["int64", "double", "bool"])
    def test_columns_of_arrow(self, dtype):
        pytest.importorskip("pyarrow")
        column = pd.Series(Y % 2, dtype=f"{dtype}[pyarrow]")
        found = check_rows(BaseEstimator(), with_columns(n=column), reset=True)
        np.testing.assert_array_equal(found[:, -1], Y % 2)
        column[3] = None
        with pytest.raises(ValueError, match=r"NaN in these columns: 'n'"):
            check_rows(BaseEstimator(), with_columns(n=column), reset=True)

    def test_missing_cells_of_polars_are_named(self):
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame({"a": X[:, 0], "b": [None, *X[1:, 1].tolist()]})
        with pytest.raises(ValueError, match=r"NaN in these columns: 'b' \(Float64\)"):
            SiameseEmbedder(device="cpu").fit(frame, Y)
