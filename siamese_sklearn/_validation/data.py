"""Validation of data, as in scikit-learn; alone imports its private helpers."""

from __future__ import annotations

from collections import Counter
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils._set_output import _wrap_data_with_container
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    column_or_1d,
    validate_data,
)

from siamese_sklearn._arrays import as_rows, in_namespace_of, shape_of, to_numpy
from siamese_sklearn._labels import (
    as_labels,
    check_same_kind,
    distinct_same,
    join_labels,
    label_objects,
)
from siamese_sklearn._validation.columns import (
    ENCODE,
    check_categories,
    explain_columns,
)
from siamese_sklearn._validation.offset import centered, find_offset
from siamese_sklearn.pairs._containers import Sides

__all__ = [
    "RightSide",
    "check_ids",
    "check_labels",
    "check_names",
    "check_rows",
    "check_same",
    "check_sides",
    "in_chosen_container",
    "join_classes",
    "number_after",
    "numbered_ids",
]

_BYTES_AT_ONCE = 2**25
_LARGEST_ID = 2**63 - 1
_HINTS_OF_SAME = {
    frozenset({1, "-1"}): " Replace -1 with 0.",
    frozenset({"-1"}): " Replace -1 with 0.",
}
_HINTS = {  # what NumPy's messages do not say
    "could not convert string": f". {ENCODE}.",
    "inhomogeneous": " All rows must have the same length.",
}


def check_rows(estimator: BaseEstimator, X: Any, *, reset: bool) -> Any:
    """Return rows as float32: a C-contiguous array or a CSR matrix; or a memmap as is.

    Features that would lose their differences in float32 are centered first, by an
    offset that the first fit finds; `rows` are then an array in memory.

    Parameters
    ----------
    estimator : estimator
        Stores the number, the names and the offset of the features if `reset`;
        otherwise `X` is compared with those.
    X : array-like, data frame, sparse matrix or numpy.memmap
        Of shape (n, d), (n, H, W) or (n, C, H, W).
    reset : bool

    Returns
    -------
    array, CSR matrix or memmap, each of n rows

    Raises
    ------
    ValueError, TypeError
        For NaN, infinity, no rows, 1-D data, ragged lists, strings, columns that are
        not numeric, or rows of another shape than in `fit`. The message names X.
    """
    X = as_rows(X)
    check_categories(X)
    try:
        rows = _check_array(estimator, X, 2 if reset else 1, reset=reset)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        if not _is_about_names(error):
            explain_columns(X, kind, error)
        hint = "" if reset else _hint_of_pairs(X, estimator.input_shape_)
        if hint:
            raise kind(f"{error} {hint}") from error
        if "X" in str(error):
            raise
        hint = next((text for words, text in _HINTS.items() if words in str(error)), "")
        raise kind(f"`X` is invalid: {error}{hint}") from error
    _check_row_shape(estimator, rows.shape[1:], reset=reset)
    if reset:
        estimator.input_offset_ = find_offset(X, rows)
    offset = estimator.input_offset_
    return rows if offset is None else centered(X, rows, offset)


class RightSide(BaseEstimator):
    """Stores shape and names of the right side's features, if the sides may differ."""


# scikit-learn's error messages quote the name of the class
RightSide.__name__ = "the right tower"


def check_sides(
    estimator: BaseEstimator, X: Sides, *, reset: bool, other: RightSide | None = None
) -> tuple[Any, ...]:
    """Validate each side of pairs or triplets by `check_rows`.

    All sides must have rows of the same shape, unless `other` is given.

    Parameters
    ----------
    estimator : estimator
        Stores the features of all sides, or is compared with them.
    X : Pairs or Triplets
    reset : bool
    other : RightSide, default=None
        Stores those of the right side instead, so that the two sides may differ.

    Returns
    -------
    tuple of arrays, CSR matrices or memmaps

    Raises
    ------
    ValueError, TypeError
        As in `check_rows`; the message names the side.
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
    """Return the classes, and the class number of every row.

    Parameters
    ----------
    estimator : estimator
    X : array or sparse matrix of n rows
    y : array-like of shape (n,)
    min_classes : int, default=2
        Minimum number of classes.

    Returns
    -------
    classes : array of shape (n_classes,)
    labels : array of shape (n,)

    Raises
    ------
    ValueError, TypeError
        If `y` is missing, has missing values, is continuous or of the wrong length, or
        has too few classes or no class with two rows.
    """
    name = type(estimator).__name__
    if y is None:
        raise ValueError(
            f"This {name} estimator requires y to be passed, but the target y is None. "
            "Pass the class of each row."
        )
    y = as_labels(y)
    _check_lengths(X, y)
    classes, labels, count = np.unique(y, return_inverse=True, return_counts=True)
    if len(classes) < min_classes:
        raise ValueError(
            f"{name} needs at least 2 classes in `y`; got 1 class, "
            f"{classes.tolist()[0]!r}."
        )
    if count.max() < 2:
        raise ValueError(
            f"{name} needs at least one class with 2 samples in `y`, to make a "
            f"positive pair; got {len(classes)} classes with 1 sample each. Pass class "
            "labels, not row numbers or continuous values."
        )
    return classes, labels.astype(np.int64)


def check_names(
    y: Any, X: Any, known: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Return the class of every row to enroll; a single class applies to all rows.

    Raises
    ------
    ValueError
        If `y` has missing values, is continuous or of the wrong length, or if its
        labels and the `known` classes are of different kinds.
    """
    names = as_labels(np.repeat(to_numpy(y), X.shape[0]) if np.ndim(y) == 0 else y)
    _check_lengths(X, names)
    if known is not None:
        join_classes(known, names)
    return names


def check_ids(ids: Any, X: Any, taken: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what identifies the rows to enroll, integers or strings.

    Raises
    ------
    ValueError
        If `ids` have the wrong type or length, or do not fit into int64, or if one is
        given twice or is taken.
    """
    # as objects, because numbers next to strings would become strings
    objects = np.asarray(ids, dtype=object)
    kinds = {_kind_of_id(value) for value in objects.ravel().tolist()}
    if objects.shape != (X.shape[0],) or None in kinds:
        raise ValueError(
            f"`ids` must be integers or strings, one for each of {X.shape[0]} rows; "
            f"got {np.asarray(ids).dtype} of shape {objects.shape}."
        )
    values = [each if isinstance(each, str) else int(each) for each in objects]
    large = [each for each in values if isinstance(each, int) and not _fits(each)]
    if large:
        raise ValueError(
            f"`ids` must fit into int64, from {-_LARGEST_ID - 1} to {_LARGEST_ID}; got "
            f"{large[:10]}. Convert them to strings."
        )
    given = np.asarray(values, dtype=object if len(kinds) > 1 else None)
    count = Counter(given.tolist())
    twice = [value for value, n in count.items() if n > 1]
    used = sorted(set(taken.tolist()).intersection(count), key=str)
    if twice or used:
        what = "are given twice" if twice else "are taken by enrolled references"
        raise ValueError(
            f"`ids` must be unique, but {(twice or used)[:10]} {what}. Use other ids, "
            "or `forget` the class first."
        )
    return given


def _fits(integer: int) -> bool:
    return -_LARGEST_ID - 1 <= integer <= _LARGEST_ID


def _kind_of_id(value: Any) -> str | None:
    if isinstance(value, str):
        return "string"
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    return "integer" if is_integer else None


def numbered_ids(start: int, n: int) -> npt.NDArray[np.int64]:
    """Return the ids of `n` rows that are given none: numbers from `start` on.

    Raises
    ------
    ValueError
        If they do not fit into int64.
    """
    if start + n - 1 > _LARGEST_ID:
        raise ValueError(
            f"{n} rows cannot be numbered on from {start}, because int64 ends at "
            f"{_LARGEST_ID}; pass `ids`, as strings, or smaller integers before."
        )
    return start + np.arange(n, dtype=np.int64) if n else np.empty(0, dtype=np.int64)


def number_after(start: int, ids: npt.NDArray[Any]) -> int:
    """Return the lowest number from `start` on that is above all ids."""
    used: list[int] = [value for value in ids.tolist() if not isinstance(value, str)]
    return max([start, *(value + 1 for value in used)])


def check_one_kind(left: Any, right: Any) -> None:
    """Raise a ValueError if both sides have been fitted, on different features.

    Parameters
    ----------
    left : estimator
    right : RightSide or None
        None if only rows of one side have been fitted.
    """
    if right is None:
        return
    of_left, of_right = (
        (side.input_shape_, list(getattr(side, "feature_names_in_", [])))
        for side in (left, right)
    )
    if of_left != of_right:
        raise ValueError(
            "The sides were fitted on different features, with rows of shape "
            f"{of_left[0]} and {of_right[0]}, so rows cannot be paired with each "
            "other; pass Pairs(left, right)."
        )


def check_same(X: Sides, same: Any, *, both: bool = True) -> npt.NDArray[np.int64]:
    """Return which pairs are the same, as 0 and 1.

    Raises
    ------
    ValueError
        If `same` is missing, has the wrong length, contains values other than 0 and 1,
        or, with `both`, only one of them.
    """
    if same is None:
        raise ValueError(
            "Pairs require `y`: 1 for pairs that are the same, 0 for pairs that are "
            "different; got None."
        )
    values = column_or_1d(label_objects(same), warn=True)
    _check_lengths(X, values)
    found = distinct_same(values)
    kinds = set(found)
    if not kinds <= {0, 1}:
        hint = _HINTS_OF_SAME.get(frozenset(kinds), "")
        got = ", ".join(sorted(map(str, found))[:10])
        raise ValueError(
            "For Pairs, `y` must contain only 1 (same) and 0 (different); "
            f"got [{got}].{hint}"
        )
    if both and len(kinds) < 2:
        kind = "same" if kinds == {1} else "different"
        raise ValueError(
            "For Pairs, `y` must contain both 1 (same) and 0 (different); got 1 class: "
            f"all are {kind}."
        )
    zeros_and_ones: npt.NDArray[np.int64] = values.astype(np.int64)
    return zeros_and_ones


def join_classes(classes: npt.NDArray[Any], *known: npt.ArrayLike) -> npt.NDArray[Any]:
    """Merge the classes found in `y` and the classes known before into a sorted array.

    Raises
    ------
    ValueError
        If they are of different kinds, such as numbers and strings.
    """
    parts = [classes, *(as_labels(part, name="classes") for part in known)]
    for part in parts[1:]:
        check_same_kind(parts[0], part, "The labels in `y` and the known `classes`")
    joined: npt.NDArray[Any] = np.unique(join_labels(*parts))
    return joined


def in_chosen_container(
    estimator: BaseEstimator, embeddings: npt.NDArray[np.float32], X: Any
) -> Any:
    """Return embeddings as `set_output` asks: an array, or a frame indexed like `X`.

    With scikit-learn's ``array_api_dispatch``, the array is a tensor if `X` is one.
    """
    wrapped = _wrap_data_with_container("transform", embeddings, X, estimator)
    return in_namespace_of(X, wrapped)


def _check_array(estimator: BaseEstimator, X: Any, minimum: int, *, reset: bool) -> Any:
    if isinstance(X, np.memmap):
        return _check_memmap(estimator, X, minimum, reset=reset)
    # float64 values outside the range of float32 become infinite, and are then reported
    with np.errstate(over="ignore"):
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
    """Make the checks of `validate_data` without loading the whole file into memory."""
    if X.dtype.kind not in "biuf":
        raise ValueError(
            f"`X` must hold real numbers; got a memory map of dtype {X.dtype}."
        )
    if X.ndim < 2:
        raise ValueError(
            f"Expected 2D array, got 1D array instead: a memory map of shape {X.shape}."
        )
    if len(X) < minimum:
        raise ValueError(
            f"Found array with {len(X)} sample(s) (shape={X.shape}) while a minimum of "
            f"{minimum} is required."
        )
    _check_feature_names(estimator, X, reset=reset)
    _check_n_features(estimator, X, reset=reset)
    step = max(_BYTES_AT_ONCE // max(X[:1].nbytes, 1), 1)
    for start in range(0, len(X), step) if X.dtype.kind == "f" else ():
        with np.errstate(over="ignore"):
            part = X[start : start + step].astype(np.float32)
        if not np.isfinite(part).all():
            raise ValueError(
                "Input X contains NaN, infinity or a value too large for "
                "dtype('float32')."
            )
    return X


def _check_row_shape(
    estimator: BaseEstimator, shape: tuple[int, ...], *, reset: bool
) -> None:
    if 0 in shape:
        raise ValueError(f"`X` has rows of shape {shape}, which contain 0 features.")
    if reset:
        estimator.input_shape_ = shape
    elif shape != estimator.input_shape_:
        raise ValueError(
            f"`X` has rows of shape {shape}, but {type(estimator).__name__} was fitted "
            f"on rows of shape {estimator.input_shape_}."
        )


def _hint_of_pairs(X: Any, row_shape: tuple[int, ...]) -> str:
    """Return what to pass for pairs in the form of other libraries, or nothing."""
    shape = shape_of(X)
    if len(shape) < 3 or shape[2:] != row_shape or 2 not in shape[:2]:
        return ""
    form = "Pairs(X[:, 0], X[:, 1])" if shape[1] == 2 else "Pairs(*X)"
    return f"To compare pairs, pass {form}."


def _is_about_names(error: Exception) -> bool:
    """Whether scikit-learn complains about the number or the names of the columns."""
    return any(words in str(error).lower() for words in ("feature", "column names"))


def _check_lengths(X: Any, y: npt.NDArray[Any]) -> None:
    if X.shape[0] != len(y):
        raise ValueError(
            "`X` and `y` must have the same number of rows; got "
            f"{X.shape[0]} in `X` and {len(y)} in `y`."
        )
