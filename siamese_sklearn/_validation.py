"""Validation of data, in scikit-learn's manner. The only importer of scikit-learn's private helpers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from siamese_sklearn._sides import Sides

__all__ = ["check_labels", "check_rows", "check_same", "check_sides", "keep_fitted_state"]

_BYTES_AT_ONCE = 2**25


@contextmanager
def keep_fitted_state(estimator: BaseEstimator) -> Iterator[None]:
    """Put all attributes back as they were if the block raises, so that a fitted model outlives a failed fit."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def check_rows(estimator: BaseEstimator, X: Any, *, reset: bool) -> Any:
    """Rows as float32: a C-contiguous array, a CSR matrix, or a memory map as it is.

    Parameters
    ----------
    estimator : estimator
        Learns the number and the names of the features if `reset`, else is compared with.
    X : array-like of shape (n, d), (n, H, W) or (n, C, H, W), data frame, sparse matrix or numpy.memmap
    reset : bool

    Returns
    -------
    array, CSR matrix or memmap, each of n rows

    Raises
    ------
    ValueError
        For NaN, infinity, no rows, 1-D data, ragged lists, texts, or another shape than in fit.
    """
    minimum = 2 if reset else 1
    if isinstance(X, np.memmap):
        X = _check_memmap(estimator, X, minimum, reset=reset)
    else:
        X = validate_data(
            estimator,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=np.float32,
            order="C",
            allow_nd=True,
            ensure_min_samples=minimum,
        )
    _check_row_shape(estimator, X.shape[1:], reset=reset)
    return X


def check_sides(estimator: BaseEstimator, X: Sides, *, reset: bool) -> tuple[Any, ...]:
    """Each side of pairs or triplets as `check_rows` gives it; all sides have rows of one shape.

    Raises
    ------
    ValueError
        As `check_rows`; the message names the side.
    """
    sides = []
    for name, side in zip(X._names, X.sides, strict=True):
        try:
            sides.append(check_rows(estimator, side, reset=reset and not sides))
        except (ValueError, TypeError) as error:
            raise type(error)(f"{type(X).__name__}.{name}: {error}") from error
    return tuple(sides)


def check_labels(estimator: BaseEstimator, X: Any, y: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Classes and the class number of every row.

    Returns
    -------
    classes : array of shape (n_classes,)
    labels : array of shape (n,)

    Raises
    ------
    ValueError
        If y is missing, continuous or of another length, has one class only, or no class of two rows.
    """
    name = type(estimator).__name__
    if y is None:
        raise ValueError(
            f"This {name} estimator requires y to be passed, but the target y is None. "
            "Pass the class of each row, or make X Triplets."
        )
    y = column_or_1d(y, warn=True)
    check_consistent_length(X, y)
    check_classification_targets(y)
    classes, labels, count = np.unique(y, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"{name} needs at least 2 classes in y to tell apart; got 1 class, {classes[0]!r}.")
    if count.max() < 2:
        raise ValueError(
            f"{name} needs at least one class with 2 samples in y, to make a positive pair; got {len(classes)} classes "
            "of 1 sample each. Pass class labels, not row numbers or continuous values."
        )
    return classes, labels.astype(np.int64)


def check_same(X: Sides, same: Any) -> npt.NDArray[np.int64]:
    """Which pairs are the same, as 0 and 1.

    Raises
    ------
    ValueError
        If `same` is missing, of another length, holds anything but 0 and 1, or only one of them.
    """
    if same is None:
        raise ValueError("Pairs need a y that says which are the same: 1 for same, 0 for different; got None.")
    same = column_or_1d(same, warn=True)
    check_consistent_length(X, same)
    kinds = set(np.unique(same).tolist())
    if not kinds <= {0, 1}:
        hint = " Replace -1 by 0." if kinds == {-1, 1} else ""
        raise ValueError(
            f"For Pairs, y must hold 1 (same) and 0 (different) only; got {sorted(kinds, key=str)[:10]}.{hint}"
        )
    if len(kinds) < 2:
        kind = "same" if kinds == {1} else "different"
        raise ValueError(f"For Pairs, y must hold both 1 (same) and 0 (different); got 1 class, all are {kind}.")
    return same.astype(np.int64)


def _check_memmap(estimator: BaseEstimator, X: np.memmap[Any, Any], minimum: int, *, reset: bool) -> Any:
    """What `validate_data` checks, without ever holding the whole file in memory."""
    if X.dtype.kind not in "biuf":
        raise ValueError(f"X must be numeric; got a memory map of dtype {X.dtype}.")
    if X.ndim < 2:
        raise ValueError(f"Expected 2D array, got 1D array instead: a memory map of shape {X.shape}.")
    if len(X) < minimum:
        raise ValueError(f"Found array with {len(X)} sample(s) (shape={X.shape}) while a minimum of {minimum} is required.")
    _check_feature_names(estimator, X, reset=reset)
    _check_n_features(estimator, X, reset=reset)
    if X.dtype.kind == "f":
        step = max(_BYTES_AT_ONCE // max(X[:1].nbytes, 1), 1)
        for start in range(0, len(X), step):
            with np.errstate(over="ignore"):  # float64 beyond float32's range becomes infinity, and is found
                part = X[start : start + step].astype(np.float32)
            if not np.isfinite(part).all():
                raise ValueError("Input X contains NaN, infinity or a value too large for dtype('float32').")
    return X


def _check_row_shape(estimator: BaseEstimator, shape: tuple[int, ...], *, reset: bool) -> None:
    if reset:
        estimator.input_shape_ = shape
    elif shape != estimator.input_shape_:
        raise ValueError(
            f"X has rows of shape {shape}, but {type(estimator).__name__} was fitted on rows of shape "
            f"{estimator.input_shape_}."
        )

