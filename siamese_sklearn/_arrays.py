"""Containers of other libraries as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from siamese_sklearn._typing import Array

__all__ = ["is_of", "to_numpy"]


def is_of(library: str, value: Any) -> bool:
    """Whether a value is of a class of a library, which need not be installed."""
    return type(value).__module__.split(".")[0] == library


def to_numpy(values: Any) -> Array:
    """Return values as an array, without loss and on the CPU.

    Columns with a nullable, categorical or Arrow-backed dtype become arrays of objects,
    because integers beside a missing value would otherwise become floats.
    """
    if isinstance(values, torch.Tensor):
        return values.detach().cpu().numpy()
    if isinstance(values, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        plain = isinstance(values.dtype, np.dtype)
        return np.asarray(values, dtype=None if plain else object)
    if is_of("polars", values) and hasattr(values, "to_list") and values.null_count():
        return _objects(values.to_list())
    if is_of("pyarrow", values) and hasattr(values, "to_pylist") and values.null_count:
        return _objects(values.to_pylist())
    return np.asarray(values)


def _objects(values: list[Any]) -> Array:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
