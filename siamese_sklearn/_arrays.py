"""Containers of other libraries as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from sklearn import get_config
from torch.utils.data import DataLoader, Dataset

from siamese_sklearn._typing import Array

__all__ = [
    "as_rows",
    "in_namespace_of",
    "is_of",
    "object_array",
    "shape_of",
    "stacked",
    "to_numpy",
]


def is_of(library: str, value: Any) -> bool:
    """Whether a value is of a class of a library, which need not be installed."""
    return type(value).__module__.split(".")[0] == library


def shape_of(X: Any) -> tuple[int, ...]:
    """Shape of an array, or of lists of arrays by the first of each; () for others."""
    if isinstance(X, list | tuple) and len(X):
        return (len(X), *shape_of(X[0]))
    return tuple(getattr(X, "shape", ()))


def to_numpy(values: Any) -> Array:
    """Return values as an array, without loss and on the CPU.

    Columns with a nullable, categorical or Arrow-backed dtype become arrays of objects,
    because integers beside a missing value would otherwise become floats.
    """
    if isinstance(values, torch.Tensor):
        strided = values.detach().cpu().to_dense()
        # NumPy has no bfloat16
        exact = strided.float() if strided.dtype == torch.bfloat16 else strided
        return exact.numpy()
    if isinstance(values, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        plain = isinstance(values.dtype, np.dtype)
        return np.asarray(values, dtype=None if plain else object)
    if is_of("polars", values) and hasattr(values, "to_list"):
        # NumPy has no integers of 128 bits
        is_plain = not values.null_count() and "128" not in str(values.dtype)
        return values.to_numpy() if is_plain else object_array(values.to_list())
    if is_of("pyarrow", values) and getattr(values, "null_count", False):
        return object_array(values.to_pylist())
    return np.asarray(values)


def stacked(first: Any, *others: Any) -> Any:
    """Concatenate rows in the container of the first: dense, or a CSR matrix."""
    if sparse.issparse(first):
        flat = [x if sparse.issparse(x) else sparse.csr_array(x) for x in others]
        return sparse.vstack([first, *flat], format="csr")
    dense = [x.toarray() if sparse.issparse(x) else x for x in others]
    return np.concatenate([first, *dense])


def in_namespace_of(X: Any, values: Any) -> Any:
    """Return numbers as a tensor on the device of `X`, if that is what the user wants.

    That is, if `X` is a tensor and scikit-learn's ``array_api_dispatch`` is on. Strings
    and other objects, which tensors cannot hold, stay an array.
    """
    is_wanted = isinstance(X, torch.Tensor) and get_config()["array_api_dispatch"]
    if not is_wanted or not isinstance(values, np.ndarray):
        return values
    if values.dtype.kind not in "biuf":
        return values
    has_float64 = X.device.type != "mps"
    exact = values if has_float64 or values.dtype.kind != "f" else np.float32(values)
    return torch.from_numpy(np.ascontiguousarray(exact)).to(X.device)


def as_rows(X: Any, name: str = "X") -> Any:
    """Return rows that NumPy would misread as an array; all others as they are.

    Tensors, and lists or columns of tensors, arrays or Pillow images, become an array.
    Pillow images get channels first, (n, C, H, W), or (n, H, W) if they have one.

    Raises
    ------
    TypeError
        If `X` is a dataset, a lazy data frame or holds dates: the message says what to
        pass instead.
    ValueError
        If rows differ in shape, or are masked.
    """
    _refuse_other_kinds(X, name)
    if isinstance(X, torch.Tensor):
        return to_numpy(X)
    is_column = isinstance(X, pd.Series) or (
        isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1
    )
    if not (is_column or isinstance(X, list | tuple)) or len(X) == 0:
        return X
    rows = list(X)
    first = rows[0]
    is_picture = is_of("PIL", first)
    is_cell = is_column and isinstance(first, np.ndarray | list | tuple)
    if not (is_picture or is_cell or isinstance(first, torch.Tensor)):
        return X
    arrays = [_picture(row) if is_picture else to_numpy(row) for row in rows]
    for number, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ValueError(
                f"`{name}` must have rows of one shape; got {arrays[0].shape} in row 0 "
                f"and {array.shape} in row {number}. Resize or convert them first."
            )
    return np.stack(arrays)


def _refuse_other_kinds(X: Any, name: str) -> None:
    is_of_datasets = is_of("datasets", X) and "Dataset" in type(X).__name__
    if isinstance(X, Dataset | DataLoader) or is_of_datasets:
        raise TypeError(
            f"`{name}` is a {type(X).__name__}, a Dataset or loader of rows; pass "
            "arrays, the rows as `X` and their labels as `y`: for a Dataset of "
            "(row, label), X, y = map(numpy.stack, zip(*dataset))."
        )
    if type(X).__name__ == "LazyFrame":
        raise TypeError(
            f"`{name}` must have rows; got LazyFrame, which has none yet: pass "
            f"{name}.collect()."
        )
    dtype = getattr(X, "dtype", None)
    if getattr(dtype, "names", None):
        raise TypeError(
            f"`{name}` is a structured array; pass pandas.DataFrame({name})."
        )
    if isinstance(X, np.ndarray) and X.dtype.kind in "mM":
        raise TypeError(
            f"`{name}` must be numeric; got {X.dtype}. Pass numbers, for example the "
            "days since the first date."
        )
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            f"`{name}` is a masked array with {int(X.mask.sum())} masked values; fill "
            "them, or drop these rows."
        )


def _picture(image: Any) -> Array:
    """Pixels of a Pillow image, (H, W) or (C, H, W)."""
    if not is_of("PIL", image):
        return to_numpy(image)
    # a palette's numbers are no colors
    pixels = np.asarray(image.convert("RGB") if image.mode == "P" else image)
    return pixels if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def object_array(values: list[Any]) -> Array:
    """Return an array of dtype object, one element for each value."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
