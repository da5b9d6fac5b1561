"""Features whose differences float32 would round away are centered before.

A column of Unix seconds, 1.7e9, has steps of 128 s in float32. What such a column tells
apart is lost before the network could standardize it, so the mean is subtracted in
float64. All other features, and all data that come as float32, stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import issparse

from siamese_sklearn._arrays import is_of, to_numpy

__all__ = ["centered", "find_offset"]

_NARROW = 2.0**-10  # range over magnitude: 2**14 steps of float32 are left
_NUMBERS_AT_ONCE = 2**23


def find_offset(X: Any, rows: Any) -> npt.NDArray[np.float64] | None:
    """Find the features that rounding to float32 changes, and their means.

    Parameters
    ----------
    X : the rows as they came
    rows : float32 array of shape (n, ...), memmap or CSR matrix
        The same rows, checked. A sparse matrix cannot be centered, and is left alone.

    Returns
    -------
    array that broadcasts to one row, or None
        0 for features that stay as they are; None if these are all. The channels of
        images (n, C, H, W) are features, and images (n, H, W) have a single one.
    """
    if issparse(rows) or not _may_be_rounded(X):
        return None
    low, high = _range(rows)
    is_narrow = (high - low) < _NARROW * np.maximum(np.abs(low), np.abs(high))
    offset = np.zeros(low.shape[1:])
    if not is_narrow.any():
        return None
    values = _values(X)
    for place in np.flatnonzero(is_narrow).tolist():
        exact = _feature(values, place)
        is_rounded = not np.array_equal(exact.astype(np.float32), exact)
        if is_rounded and exact.min() < exact.max():
            offset.flat[place] = exact.mean()
    return offset if offset.any() else None


def centered(
    X: Any, rows: Any, offset: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Subtract the offset from the rows as they came, in float64.

    Parameters
    ----------
    X, rows, offset
        As in `find_offset`.

    Returns
    -------
    float32 array of shape (n, ...)
        A copy, in memory and dense whatever the container of `rows`.
    """
    values = _values(X)
    dense = rows.toarray() if issparse(rows) else rows
    result = np.array(dense, dtype=np.float32, order="C", subok=False)
    for place in np.flatnonzero(offset).tolist():
        feature = (slice(None), place) if result.ndim != 3 else ...
        result[feature] = _feature(values, place) - offset.flat[place]
    return result


def _may_be_rounded(X: Any) -> bool:
    """Whether some type in X holds more than float32 does."""
    if isinstance(X, pd.DataFrame):
        types = [getattr(dtype, "numpy_dtype", dtype) for dtype in X.dtypes]
    elif is_of("polars", X):
        return True
    else:
        types = [getattr(X, "dtype", np.float64)]
    return not all(str(t).rpartition(".")[2] in _EXACT for t in types)


_EXACT = {"float32", "float16", "bfloat16", "bool", "int8", "uint8", "int16", "uint16"}


def _range(rows: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Lowest and highest value of each feature, each of the shape of one row."""
    axes = tuple(axis for axis in range(rows.ndim) if axis != 1 or rows.ndim == 3)
    parts = [
        (part.min(axis=axes, keepdims=True), part.max(axis=axes, keepdims=True))
        for part in _slices(rows)
    ]
    low, high = (np.concatenate(ends) for ends in zip(*parts, strict=True))
    return (
        low.min(axis=0, keepdims=True).astype(np.float64),
        high.max(axis=0, keepdims=True).astype(np.float64),
    )


def _slices(rows: Any) -> Iterator[Any]:
    """Yield parts of a file, each small enough for memory."""
    step = max(_NUMBERS_AT_ONCE // max(rows[:1].size, 1), 1)
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _values(X: Any) -> Any:
    if issparse(X):
        return X.tocsc()
    is_frame = isinstance(X, pd.DataFrame | np.memmap) or is_of("polars", X)
    return X if is_frame else to_numpy(X)


def _feature(values: Any, place: int) -> npt.NDArray[np.float64]:
    """All values of one feature, (n, ...)."""
    if isinstance(values, pd.DataFrame):
        return values.iloc[:, place].to_numpy(dtype=np.float64)
    if is_of("polars", values):
        values = values.to_series(place).to_numpy()
    elif issparse(values):
        values = values[:, [place]].toarray().ravel()
    elif values.ndim != 3:
        values = values[:, place]
    return np.asarray(values, dtype=np.float64)
