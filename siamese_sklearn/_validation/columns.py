"""What is wrong with the columns of a data frame, and what to do about it."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import numpy as np
import pandas as pd

__all__ = ["ENCODE", "check_categories", "explain_columns"]

ENCODE = "Encode text and categories as numbers first, for example with OneHotEncoder"

_MAX_NAMED = 5  # columns in an error message


def explain_columns(X: Any, kind: type[Exception], error: Exception) -> None:
    """Raise an error that names the columns of a frame that cannot be converted.

    Parameters
    ----------
    X : any
        Rows that were refused; nothing happens unless they are a data frame of pandas
        or polars whose columns are at fault.
    kind : type of the error to raise
    error : Exception
        The error of the conversion.
    """
    polars = sys.modules.get("polars")  # optional; imported if `X` is its data frame
    frames = pd.DataFrame if polars is None else (pd.DataFrame, polars.DataFrame)
    if not isinstance(X, frames):
        return
    if X.columns.has_duplicates if isinstance(X, pd.DataFrame) else False:
        return  # a name says nothing
    nested = [name for name in X.columns if _holds_arrays(X[name])]
    wrong = [name for name in X.columns if not _is_numeric(X[name])]
    missing = [name for name in X.columns if _has_missing(X[name])]
    if nested:
        _raise(
            kind,
            error,
            f"`X` must have one number per cell, but these columns hold arrays: "
            f"{_named(X, nested)}. Pass numpy.stack(X[{nested[0]!r}]), beside other "
            "columns with numpy.column_stack.",
        )
    if wrong:
        _raise(
            kind,
            error,
            f"`X` must be numeric, but these columns are not: {_named(X, wrong)}. "
            f"{ENCODE} in a ColumnTransformer, or drop these columns.",
        )
    if missing:
        _raise(kind, error, _about_missing(X, missing))


def check_categories(X: Any) -> None:
    """Raise a ValueError for missing categories, which pandas converts to numbers."""
    if isinstance(X, pd.DataFrame):
        columns = X.select_dtypes("category")
        missing = [name for name in columns if columns[name].isna().any()]
        if missing:
            raise ValueError(_about_missing(X, missing))


def _about_missing(X: Any, columns: list[Any]) -> str:
    return (
        f"Input X contains NaN in these columns: {_named(X, columns)}. Fill them, for "
        "example with SimpleImputer in a pipeline, or drop these rows."
    )


def _raise(kind: type[Exception], error: Exception, message: str) -> NoReturn:
    raise kind(message) from error


def _named(X: Any, columns: list[Any]) -> str:
    texts = [
        f"{name!r} ({getattr(X[name].dtype, 'name', X[name].dtype)})"
        for name in columns[:_MAX_NAMED]
    ]
    return ", ".join(texts + ["..."] * (len(columns) > _MAX_NAMED))


def _holds_arrays(column: Any) -> bool:
    """Whether the first cell holds several numbers."""
    cells = [cell for cell in column.head(1).to_list() if not isinstance(cell, str)]
    try:
        return bool(cells) and np.asarray(cells[0], dtype=np.float64).ndim > 0
    except (ValueError, TypeError):
        return False


def _has_missing(column: Any) -> bool:
    is_pandas = isinstance(column, pd.Series)
    return bool(column.isna().any() if is_pandas else column.is_null().any())


def _is_numeric(column: Any) -> bool:
    # as an array, a pandas column with a nullable dtype has dtype object
    if isinstance(column, pd.Series) and pd.api.types.is_numeric_dtype(column):
        return True
    if isinstance(column, pd.Series) and pd.api.types.is_bool_dtype(column):
        return True
    values = np.asarray(column)
    if values.dtype.kind in "mM":
        return False
    try:
        values.astype(np.float32)
    except (ValueError, TypeError):
        return False
    return True
