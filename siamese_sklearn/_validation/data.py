"""Validation of data, in scikit-learn's manner. The only importer of scikit-learn's private helpers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils._set_output import _wrap_data_with_container
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    column_or_1d,
    validate_data,
)

from siamese_sklearn.pairs._containers import Sides

__all__ = [
    "RightSide",
    "check_labels",
    "check_names",
    "check_rows",
    "check_same",
    "check_sides",
    "in_chosen_container",
    "join_classes",
    "keep_fitted_state",
]

_BYTES_AT_ONCE = 2**25
_HINTS = {  # what messages of NumPy leave out
    "could not convert string": " Turn texts and categories into numbers first, e.g. with OneHotEncoder.",
    "inhomogeneous": " All rows must be of one length.",
}


@contextmanager
def keep_fitted_state(estimator: BaseEstimator) -> Iterator[None]:
    """Put all attributes back as they were if the block raises: a fitted model outlives a failed fit."""
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
    ValueError, TypeError
        For NaN, infinity, no rows, 1-D data, ragged lists, texts, or another shape than in fit. The message
        names X.
    """
    try:
        X = _check_array(estimator, X, 2 if reset else 1, reset=reset)
    except (ValueError, TypeError) as error:
        if "X" in str(error):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        hint = next((text for words, text in _HINTS.items() if words in str(error)), "")
        raise kind(f"X cannot be used: {error}{hint}") from error
    _check_row_shape(estimator, X.shape[1:], reset=reset)
    return X


class RightSide(BaseEstimator):
    """Remembers shape and names of the right side's features, where they may differ from the left's."""


def check_sides(
    estimator: BaseEstimator, X: Sides, *, reset: bool, other: RightSide | None = None
) -> tuple[Any, ...]:
    """Each side of pairs or triplets as `check_rows` gives it; all sides have rows of one shape.

    Parameters
    ----------
    estimator : estimator
        Learns, or knows, the features of all sides.
    X : Pairs or Triplets
    reset : bool
    other : RightSide, default=None
        Learns, or knows, those of the right side in its place: the two may differ in shape then.

    Returns
    -------
    tuple of arrays, CSR matrices or memmaps

    Raises
    ------
    ValueError, TypeError
        As `check_rows`; the message names the side.
    """
    sides: list[Any] = []
    for name, side in zip(X._names, X.sides, strict=True):
        own = other is not None and len(sides) > 0
        try:
            checked = check_rows(
                other if own else estimator, side, reset=reset and (own or not sides)
            )
            sides.append(checked)
        except (ValueError, TypeError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{type(X).__name__}.{name}: {error}") from error
    return tuple(sides)


def check_labels(
    estimator: BaseEstimator, X: Any, y: Any, *, min_classes: int = 2
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Classes and the class number of every row.

    Parameters
    ----------
    estimator : estimator
    X : array or sparse matrix of n rows
    y : array-like of shape (n,)
    min_classes : int, default=2
        How many classes there have to be.

    Returns
    -------
    classes : array of shape (n_classes,)
    labels : array of shape (n,)

    Raises
    ------
    ValueError, TypeError
        If y is missing, incomplete, continuous or of another length, has too few classes, or no class of two
        rows.
    """
    name = type(estimator).__name__
    if y is None:
        raise ValueError(
            f"This {name} estimator requires y to be passed, but the target y is None. "
            "Pass the class of each row, or make X Triplets."
        )
    y = _class_labels(y)
    _check_lengths(X, y)
    classes, labels, count = np.unique(y, return_inverse=True, return_counts=True)
    if len(classes) < min_classes:
        raise ValueError(
            f"{name} needs at least 2 classes in y to tell apart; got 1 class, {classes.tolist()[0]!r}."
        )
    if count.max() < 2:
        raise ValueError(
            f"{name} needs at least one class with 2 samples in y, to make a positive pair; got "
            f"{len(classes)} classes of 1 sample each. Pass class labels, not row numbers or measured values."
        )
    return classes, labels.astype(np.int64)


def check_names(y: Any, X: Any) -> npt.NDArray[Any]:
    """Class of every row to enrol; one class stands for all of them.

    Raises
    ------
    ValueError
        If y is incomplete, continuous or of another length.
    """
    names = _class_labels(np.repeat(y, X.shape[0]) if np.ndim(y) == 0 else y)
    _check_lengths(X, names)
    return names


def check_same(X: Sides, same: Any) -> npt.NDArray[np.int64]:
    """Which pairs are the same, as 0 and 1.

    Raises
    ------
    ValueError
        If `same` is missing, of another length, holds anything but 0 and 1, or only one of them.
    """
    if same is None:
        raise ValueError(
            "Pairs need a y that says which are the same, 1, and which different, 0; got None."
        )
    same = column_or_1d(same, warn=True)
    _check_lengths(X, same)
    kinds = set(np.unique(same).tolist())
    if not kinds <= {0, 1}:
        hint = " Replace -1 by 0." if kinds == {-1, 1} else ""
        came = sorted(kinds, key=str)[:10]
        raise ValueError(
            f"For Pairs, y must hold 1 (same) and 0 (different) only; got {came}.{hint}"
        )
    if len(kinds) < 2:
        kind = "same" if kinds == {1} else "different"
        raise ValueError(
            f"For Pairs, y must hold both 1 (same) and 0 (different); got 1 class, all are {kind}."
        )
    zeros_and_ones: npt.NDArray[np.int64] = same.astype(np.int64)
    return zeros_and_ones


def join_classes(classes: npt.NDArray[Any], *known: npt.ArrayLike) -> npt.NDArray[Any]:
    """Sort the classes found in y and those known before into one array.

    Raises
    ------
    ValueError
        If some are numbers and some are texts.
    """
    parts = [classes, *(_class_labels(part, name="classes") for part in known)]
    if len({part.dtype.kind in "OU" for part in parts}) > 1:
        raise ValueError(
            "The labels in y and the known `classes` must be of one kind; got "
            + " and ".join(f"{part.tolist()[:3]}" for part in parts)
            + "."
        )
    joined: npt.NDArray[Any] = np.unique(np.concatenate(parts))
    return joined


def in_chosen_container(
    estimator: BaseEstimator, embeddings: npt.NDArray[np.float32], X: Any
) -> Any:
    """Embeddings in what `set_output` asks for: the array as it is, or a data frame with the index of `X`."""
    return _wrap_data_with_container("transform", embeddings, X, estimator)


def _check_array(estimator: BaseEstimator, X: Any, minimum: int, *, reset: bool) -> Any:
    if isinstance(X, np.memmap):
        return _check_memmap(estimator, X, minimum, reset=reset)
    with np.errstate(
        over="ignore"
    ):  # float64 beyond float32's range becomes infinity, and is found
        return validate_data(
            estimator,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=np.float32,
            order="C",
            allow_nd=True,
            ensure_min_samples=minimum,
        )


def _check_memmap(
    estimator: BaseEstimator, X: np.memmap[Any, Any], minimum: int, *, reset: bool
) -> Any:
    """Check what `validate_data` checks, without ever holding the whole file in memory."""
    if X.dtype.kind not in "biuf":
        raise ValueError(
            f"X must hold real numbers; got a memory map of dtype {X.dtype}."
        )
    if X.ndim < 2:
        raise ValueError(
            f"Expected 2D array, got 1D array instead: a memory map of shape {X.shape}."
        )
    if len(X) < minimum:
        raise ValueError(
            f"Found array with {len(X)} sample(s) (shape={X.shape}) while a minimum of {minimum} is required."
        )
    _check_feature_names(estimator, X, reset=reset)
    _check_n_features(estimator, X, reset=reset)
    step = max(_BYTES_AT_ONCE // max(X[:1].nbytes, 1), 1)
    for start in range(0, len(X), step) if X.dtype.kind == "f" else ():
        with np.errstate(over="ignore"):
            part = X[start : start + step].astype(np.float32)
        if not np.isfinite(part).all():
            raise ValueError(
                "Input X contains NaN, infinity or a value too large for dtype('float32')."
            )
    return X


def _check_row_shape(
    estimator: BaseEstimator, shape: tuple[int, ...], *, reset: bool
) -> None:
    if 0 in shape:
        raise ValueError(f"X has rows of shape {shape}, which hold 0 features.")
    if reset:
        estimator.input_shape_ = shape
    elif shape != estimator.input_shape_:
        raise ValueError(
            f"X has rows of shape {shape}, but {type(estimator).__name__} was fitted on rows of shape "
            f"{estimator.input_shape_}."
        )


def _class_labels(y: Any, name: str = "y") -> npt.NDArray[Any]:
    """Labels as an array of one kind, or an error that names them."""
    labels: npt.NDArray[Any] = column_or_1d(y, warn=True)
    if labels.dtype == object:  # which NumPy makes of columns of numbers, too
        labels = pd.Series(labels).infer_objects().to_numpy()
    missing = int(pd.isna(labels).sum())
    if missing:
        raise ValueError(
            f"Input {name} contains NaN or None, {missing} of them; drop these rows."
        )
    if not _name_classes(labels):
        kind = (
            "continuous"
            if labels.dtype.kind == "f"
            else pd.api.types.infer_dtype(labels)
        )
        raise ValueError(
            f"Unknown label type: {kind}. {name} must hold class labels of one kind: integers, strings or "
            "booleans. Group measured values into classes first."
        )
    return labels


def _name_classes(labels: npt.NDArray[Any]) -> bool:
    """Tell classes from measured values; scikit-learn's own test warns where most classes are small."""
    if labels.dtype.kind == "f":
        return bool(np.isfinite(labels).all() and (labels == np.floor(labels)).all())
    if labels.dtype.kind == "O":
        return bool(pd.api.types.infer_dtype(labels) == "string")
    return labels.dtype.kind in "biuUMm"


def _check_lengths(X: Any, y: npt.NDArray[Any]) -> None:
    if X.shape[0] != len(y):
        raise ValueError(
            f"X and y must have equally many rows; got {X.shape[0]} in X and {len(y)} in y."
        )
