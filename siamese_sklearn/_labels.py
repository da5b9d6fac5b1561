"""Labels of classes: of which kind they are, and when two of them are the same.

Labels are integers of any size, booleans, strings, dates or durations; floats, if they
are whole numbers. Labels of one kind have one type, in which every label keeps its
value: int64 and uint64 together, for example, do not become float64, in which integers
above 2**53 are rounded. Dates and durations are in microseconds. Labels of different
kinds are never the same: True is not 1, and "1" is not 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_consistent_length, column_or_1d

from siamese_sklearn._arrays import to_numpy
from siamese_sklearn._typing import Array, BoolArray, IntArray

__all__ = [
    "as_labels",
    "check_same_kind",
    "distinct_same",
    "dtype_with",
    "join_labels",
    "label_keys",
    "label_objects",
    "number_labels",
    "right_answers",
]

_KINDS = {
    "b": "booleans",
    "i": "numbers",
    "u": "numbers",
    "f": "numbers",
    "U": "strings",
    "M": "dates",
    "m": "durations",
}
_KINDS_OF_OBJECTS = {  # as pandas infers them
    "boolean": "booleans",
    "integer": "numbers",
    "floating": "numbers",
    "mixed-integer-float": "numbers",
    "string": "strings",
    "datetime": "dates",
    "datetime64": "dates",
    "timedelta": "durations",
    "timedelta64": "durations",
}


def as_labels(y: Any, name: str = "y") -> Array:
    """Return labels as an array of one kind.

    Parameters
    ----------
    y : array-like of shape (n,)
        Any container: a list, a tensor, a column of pandas, polars or Arrow.
    name : str, default="y"
        For error messages.

    Returns
    -------
    array of shape (n,)
        Of a boolean, integer, float, string, date or duration dtype; or of dtype
        object, which holds Python strings, or integers beyond 64 bits. Dates and
        durations are in microseconds.

    Raises
    ------
    ValueError
        If labels are missing, continuous, of more than one kind, or dates that
        microseconds do not hold exactly.

    Examples
    --------
    >>> as_labels([2**60 + 1, -1])
    array([1152921504606846977,                  -1])
    """
    labels: Array = column_or_1d(label_objects(y), warn=True)
    missing = int(pd.isna(labels).sum()) if labels.dtype.kind not in "biuUS" else 0
    if missing:
        raise ValueError(
            f"Input {name} contains NaN or None in {missing} rows; drop these rows."
        )
    kind = pd.api.types.infer_dtype(labels, skipna=False)
    if labels.dtype == object and kind in _KINDS_OF_OBJECTS:
        labels = _of_objects(labels, kind, is_list=isinstance(y, Sequence))
    if labels.dtype.kind in "mM":
        _check_microseconds(labels := _in_microseconds(labels), name)
    if len(labels) and not _name_classes(labels):
        kind = "continuous" if labels.dtype.kind == "f" else kind
        raise ValueError(
            f"Unknown label type: {kind}. `{name}` must contain class labels of one "
            "kind: integers, strings or booleans. Bin continuous values into classes, "
            "decode bytes, and convert mixed labels to strings first."
        )
    return labels


def label_objects(y: Any) -> Array:
    """Return labels of any container as they are, as an array of any shape.

    Dates and durations are in microseconds, if these hold all of them exactly. Labels
    of a list stay the objects that they are, because NumPy would convert numbers beside
    strings to strings.
    """
    if not isinstance(y, Sequence) or isinstance(y, str | bytes):
        labels = to_numpy(y)
        is_text = labels.dtype.kind == "T"  # of a StringDType
        return labels.astype(object) if is_text else _in_microseconds(labels)
    if any(hasattr(value, "detach") for value in y):
        y = [to_numpy(value)[()] for value in y]
    return np.asarray(y, dtype=object)


def check_same_kind(left: Array, right: Array, names: str) -> None:
    """Raise a ValueError if both arrays have labels, which are of different kinds."""
    if len(left) and len(right) and _kind(left) != _kind(right):
        raise ValueError(
            f"{names} must be of the same kind; got {left.tolist()[:3]} and "
            f"{right.tolist()[:3]}, which are {_kind(left)} and {_kind(right)}. "
            "Convert one of them."
        )


def join_labels(*parts: Array) -> Array:
    """Concatenate labels of one kind in a type in which each keeps its value.

    Numbers stay floats only if the first part has floats.
    """
    filled = [part for part in parts if len(part)] or list(parts[:1])
    if len({part.dtype for part in filled}) == 1 or _kind(filled[0]) != "numbers":
        return np.concatenate(filled)
    values = [value for part in filled for value in part.tolist()]
    joined = np.concatenate(filled)
    wanted = "f" if filled[0].dtype.kind == "f" else "iu"
    is_kept = joined.dtype.kind in wanted and joined.tolist() == values
    return joined if is_kept else _integers(values)


def distinct_same(same: Array) -> list[int | str]:
    """Return the distinct values of what should be 0 or 1; others as their texts."""
    # objects need not be hashable
    values = same.tolist() if same.dtype == object else dict.fromkeys(same.tolist())
    return list(
        dict.fromkeys(
            int(value)
            if isinstance(value, Number | np.bool_) and value in (0, 1)
            else repr(value)
            for value in values
        )
    )


def dtype_with(dtype: np.dtype[Any], label: Any) -> np.dtype[Any]:
    """Type that holds all labels of a type, and one more, as they are."""
    one = np.asarray(label)
    # by the types alone, so that the type of an answer does not depend on its rows
    if _KINDS.get(dtype.kind) != _KINDS.get(one.dtype.kind):
        return np.dtype(object)
    both = np.result_type(dtype, one.dtype)
    rounds = both.kind == "f" and "f" not in (dtype.kind, one.dtype.kind)
    is_changed = one.dtype.kind in "iu" and one.astype(both).item() != one.item()
    return np.dtype(object) if rounds or is_changed else both


def number_labels(labels: Array, classes: Array) -> IntArray:
    """Place of each label in the sorted classes, which contain all of them."""
    # NumPy compares int64 with uint64 as float64
    numbers: IntArray = np.searchsorted(classes, labels.astype(classes.dtype))
    return numbers


def right_answers(
    y: Any, answer: Array, classes: Array, *, may_mix: bool = False
) -> BoolArray:
    """Whether each answer is the label in `y`.

    With `may_mix`, both may have labels of two kinds: the classes, and "unknown".

    Raises
    ------
    ValueError
        If `y` has another length, or labels of other kinds than the answers.
    """
    is_mixed = may_mix and answer.dtype == object
    true = label_objects(y).ravel() if is_mixed else as_labels(y)
    check_consistent_length(true, answer)
    if true.dtype == answer.dtype != object:
        return np.asarray(true == answer, dtype=bool)
    if not is_mixed:
        check_same_kind(true, classes, "The labels in `y` and `classes_`")
    pairs = zip(label_keys(true), label_keys(answer), strict=True)
    return np.array([one == other for one, other in pairs], dtype=bool)


def label_keys(labels: Array) -> list[Any]:
    """Return hashable keys that are equal where labels are: True is not 1.

    Dates are equal in every unit and of every type.
    """
    return [_key(value) for value in _in_microseconds(labels).ravel().tolist()]


def _key(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return ("boolean", value)
    if isinstance(value, np.datetime64 | np.timedelta64):
        value = _in_microseconds(np.asarray(value)).item()
    is_day = isinstance(value, date) and not isinstance(value, datetime)
    # a Timestamp of pandas equals the datetime
    return datetime.combine(value, time()) if is_day else value


def _in_microseconds(labels: Array) -> Array:
    """Return dates and durations in microseconds if these hold all of them exactly."""
    if labels.dtype.kind not in "mM":
        return labels
    converted = labels.astype(f"{labels.dtype.kind}8[us]")
    same = converted.astype(labels.dtype).view(np.int64) == labels.view(np.int64)
    return converted if same.all() else labels


def _check_microseconds(labels: Array, name: str) -> None:
    if np.datetime_data(labels.dtype)[0] != "us":
        raise ValueError(
            f"`{name}` contains dates or durations that microseconds do not hold "
            f"exactly; got {labels.dtype}, starting with {labels[0]}. Round them, or "
            "convert them to strings."
        )


def _kind(labels: Array) -> str:
    if labels.dtype != object:
        return _KINDS[labels.dtype.kind]
    return _KINDS_OF_OBJECTS[pd.api.types.infer_dtype(labels, skipna=False)]


def _of_objects(labels: Array, kind: str, *, is_list: bool) -> Array:
    """Return labels of one kind in the type of this kind."""
    values = labels.tolist()
    if kind == "string":
        # of strings that end in "\0", or differ much in length, NumPy's are no copy
        narrow = np.asarray(values) if is_list and not _are_uneven(values) else labels
        return narrow if narrow.tolist() == values else labels
    if kind == "boolean":
        return labels.astype(bool)
    if kind == "integer":
        return _integers(values)
    if _KINDS_OF_OBJECTS[kind] != "numbers":
        return pd.Series(labels).infer_objects().to_numpy()
    floats = labels.astype(np.float64)
    is_exact = floats.tolist() == values or not _name_classes(floats)
    return floats if is_exact else _integers(values)


def _integers(values: list[Any]) -> Array:
    """Return whole numbers as int64, uint64 or, if these are too narrow, as objects."""
    numbers = [int(value) for value in values]
    for dtype in (np.int64, np.uint64):
        limits = np.iinfo(dtype)
        if limits.min <= min(numbers) and max(numbers) <= limits.max:
            return np.array(numbers, dtype=dtype)
    return np.array(numbers, dtype=object)


def _are_uneven(values: list[str]) -> bool:
    """Whether an array as wide as the longest string would be mostly empty."""
    longest, total = max(map(len, values)), sum(map(len, values))
    return longest * len(values) > 16 * total + 2**20


def _name_classes(labels: Array) -> bool:
    """Whether labels are classes rather than continuous values.

    scikit-learn's own test warns if most classes are small.
    """
    if labels.dtype.kind == "f":
        return bool(np.isfinite(labels).all() and (labels == np.floor(labels)).all())
    if labels.dtype.kind == "O":
        kind = pd.api.types.infer_dtype(labels, skipna=False)
        return kind in ("string", "integer")
    return labels.dtype.kind in _KINDS
