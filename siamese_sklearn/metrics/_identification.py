"""Open-set identification metrics: how well a search in a gallery names the right one.

A search compares one row with every enrolled class. It is mated if the class of the row
is enrolled; otherwise it is the search of a stranger. A candidate is an enrolled class
whose score is at least the threshold. FPIR, the false-positive identification rate, is
the fraction of strangers' searches that return a candidate; FNIR, the false-negative
identification rate, is the fraction of mated searches that do not return the true class
among the best candidates.

Ties are broken pessimistically, as in the retrieval metrics: among equal scores, the
true class comes last.
"""

from __future__ import annotations

import math
from collections import Counter
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from siamese_sklearn._arrays import to_numpy
from siamese_sklearn._checks import check_integer, check_number
from siamese_sklearn._labels import as_labels, label_keys, label_objects
from siamese_sklearn._typing import BoolArray, DoubleArray, IntArray

__all__ = [
    "check_searches",
    "class_codes",
    "cmc_curve",
    "fnir",
    "fnir_at_fpir",
    "fpir",
    "fpir_fnir_curve",
]


def fpir(
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: float,
    *,
    classes: npt.ArrayLike,
) -> float:
    """False-positive identification rate: the fraction of strangers that are named.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        The class of each search, numbers or strings. A label that is not in `classes`
        is that of a stranger.
    scores : array-like of shape (n, n_classes)
        The score of each enrolled class; higher means more similar. For a
        `SiamesePairClassifier` with more than two classes, its ``decision_function``
        returns them.
    threshold : float
        A stranger is named if the best score of the search is at least this value.
    classes : array-like of shape (n_classes,)
        The enrolled class of each column, such as ``classes_`` of a classifier.

    Returns
    -------
    float
        Between 0 and 1. Mated searches are ignored.

    Raises
    ------
    TypeError
        If `threshold` is not a number.
    ValueError
        If no search is by a stranger, if the shapes do not match, if a class occurs
        twice, or if a score is NaN or infinite.

    See Also
    --------
    fnir : The other error.
    fpir_fnir_curve : Both errors at every threshold.

    References
    ----------
    ISO/IEC 19795-1:2021, "Biometric performance testing and reporting, Part 1".

    Grother, Ngan & Hanaoka 2019, "Face Recognition Vendor Test, Part 2:
    Identification", NISTIR 8271.

    Examples
    --------
    >>> scores = [[0.9, 0.2], [0.3, 0.6], [0.1, 0.4], [0.7, 0.5]]
    >>> y_true = ["ann", "bob", "eve", "joe"]  # Eve and Joe are strangers
    >>> fpir(y_true, scores, 0.5, classes=["ann", "bob"])
    0.5
    """
    threshold = _check_threshold(threshold)
    searches = check_searches(y_true, scores, classes).with_strangers()
    return float((searches.stranger_score >= threshold).mean())


def fnir(
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: float,
    *,
    classes: npt.ArrayLike,
    rank: int = 1,
) -> float:
    """False-negative identification rate: the fraction of mated searches that miss.

    A mated search misses if the score of the true class is below `threshold`, or if
    `rank` or more other classes score at least as high.

    Parameters
    ----------
    y_true, scores, classes
        As in `fpir`.
    threshold : float
        The lowest score at which a class is a candidate. With ``-numpy.inf``, every
        class is one, and the value is 1 minus that of `cmc_curve` at `rank`.
    rank : int, default=1
        Number of best candidates among which the true class has to be, at most
        n_classes.

    Returns
    -------
    float
        Between 0 and 1. Strangers' searches are ignored.

    Raises
    ------
    TypeError
        If `threshold` is not a number, or if `rank` is not an integer.
    ValueError
        If no search is mated, if `rank` is less than 1 or greater than n_classes, or
        for the other reasons in `fpir`.

    See Also
    --------
    fpir : The other error.
    fnir_at_fpir : The lowest value at a given rate of the other error.

    References
    ----------
    ISO/IEC 19795-1:2021, "Biometric performance testing and reporting, Part 1".

    Examples
    --------
    >>> scores = [[0.9, 0.2], [0.3, 0.6], [0.8, 0.6], [0.1, 0.4]]
    >>> y_true = ["ann", "bob", "bob", "bob"]  # the third search finds Ann
    >>> fnir(y_true, scores, 0.5, classes=["ann", "bob"])
    0.5
    >>> fnir(y_true, scores, 0.5, classes=["ann", "bob"], rank=2)
    0.25
    """
    threshold = _check_threshold(threshold)
    searches = check_searches(y_true, scores, classes).with_mates()
    found = (searches.mate_score >= threshold) & searches.mate_within(rank)
    return float((~found).mean())


def fpir_fnir_curve(
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    classes: npt.ArrayLike,
    rank: int = 1,
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """FPIR and FNIR at every threshold that changes them.

    Parameters
    ----------
    y_true, scores, classes
        As in `fpir`. Both strangers' and mated searches must occur.
    rank : int, default=1
        As in `fnir`.

    Returns
    -------
    fpir, fnir, thresholds : ndarray of shape (n_thresholds,)
        The thresholds decrease: infinity, at which there is no candidate, then each
        distinct best score of a stranger and each distinct score of a true class that
        is among the best `rank`. FPIR never decreases and FNIR never increases along
        them. At the last threshold, FPIR is 1, and FNIR is the fraction of mated
        searches in which the true class is not among the best `rank`.

    Raises
    ------
    TypeError, ValueError
        As in `fpir` and `fnir`.

    See Also
    --------
    siamese_sklearn.plotting.OpenSetDisplay : Draws the curve.
    far_frr_curve : The curve of verification.

    References
    ----------
    Grother, Ngan & Hanaoka 2019, "Face Recognition Vendor Test, Part 2:
    Identification", NISTIR 8271.

    Examples
    --------
    >>> scores = [[0.9, 0.2], [0.3, 0.6], [0.1, 0.4], [0.7, 0.5]]
    >>> y_true = ["ann", "bob", "eve", "joe"]
    >>> fpir, fnir, thresholds = fpir_fnir_curve(y_true, scores, classes=["ann", "bob"])
    >>> fpir
    array([0. , 0. , 0.5, 0.5, 1. ])
    >>> fnir
    array([1. , 0.5, 0.5, 0. , 0. ])
    >>> thresholds
    array([inf, 0.9, 0.7, 0.6, 0.4])
    """
    searches = check_searches(y_true, scores, classes).with_strangers().with_mates()
    within = searches.mate_within(rank)
    named = np.sort(searches.stranger_score)
    found = np.sort(searches.mate_score[within])
    thresholds = np.append(np.inf, np.unique(np.concatenate([named, found]))[::-1])
    n_named = len(named) - np.searchsorted(named, thresholds)
    n_missed = len(within) - len(found) + np.searchsorted(found, thresholds)
    return n_named / len(named), n_missed / len(within), thresholds


def fnir_at_fpir(
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    fpir: float = 0.01,
    *,
    classes: npt.ArrayLike,
    rank: int = 1,
) -> float:
    """Lowest FNIR at an FPIR of at most `fpir`.

    A threshold attains this rate; nothing is interpolated.

    Parameters
    ----------
    y_true, scores, classes, rank
        As in `fpir_fnir_curve`.
    fpir : float, default=0.01
        Between 0 and 1. Below 1 / (number of strangers' searches), no stranger may be
        named.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        As in `fpir_fnir_curve`, or if `fpir` is not a number between 0 and 1.

    See Also
    --------
    tar_at_far : The same for verification.

    References
    ----------
    Grother, Ngan & Hanaoka 2019, "Face Recognition Vendor Test, Part 2:
    Identification", NISTIR 8271.

    Examples
    --------
    >>> scores = [[0.9, 0.2], [0.3, 0.6], [0.1, 0.4], [0.7, 0.5]]
    >>> y_true = ["ann", "bob", "eve", "joe"]
    >>> fnir_at_fpir(y_true, scores, 0.0, classes=["ann", "bob"])
    0.5
    >>> fnir_at_fpir(y_true, scores, 0.5, classes=["ann", "bob"])
    0.0
    """
    check_number("fpir", fpir, low=0.0, high=1.0)
    named, missed, _ = fpir_fnir_curve(y_true, scores, classes=classes, rank=rank)
    return float(missed[named <= fpir].min())


def cmc_curve(
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    classes: npt.ArrayLike,
    max_rank: int | None = None,
) -> DoubleArray:
    """Cumulative match characteristic: the identification rate at each rank.

    The identification rate at rank k is the fraction of mated searches in which the
    true class is among the k best, without a threshold. Among equal scores, the true
    class comes last, so that every value is the lowest that any order of the ties
    gives.

    Parameters
    ----------
    y_true, scores, classes
        As in `fpir`. Strangers' searches are ignored.
    max_rank : int, default=None
        Length of the curve, at most n_classes; None means n_classes.

    Returns
    -------
    ndarray of shape (max_rank,)
        The rates at the ranks 1 to `max_rank`; they never decrease, and the rate at
        rank n_classes is 1.

    Raises
    ------
    TypeError
        If `max_rank` is not an integer.
    ValueError
        If no search is mated, if `max_rank` is less than 1 or greater than n_classes,
        or for the other reasons in `fpir`.

    See Also
    --------
    fnir : Applies a threshold, too.
    recall_at_k : The same for rows instead of classes.

    References
    ----------
    Phillips, Moon, Rizvi & Rauss 2000, "The FERET Evaluation Methodology for
    Face-Recognition Algorithms".

    Examples
    --------
    >>> scores = [[0.9, 0.2, 0.1], [0.6, 0.7, 0.6]]
    >>> cmc_curve(["ann", "joe"], scores, classes=["ann", "bob", "joe"])
    array([0.5, 0.5, 1. ])
    """
    searches = check_searches(y_true, scores, classes).with_mates()
    if max_rank is None:
        max_rank = searches.n_classes
    else:
        _check_rank("max_rank", max_rank, searches.n_classes)
    first_found = np.bincount(searches.mate_rank, minlength=max_rank + 1)
    rates: DoubleArray = np.cumsum(first_found)[1 : max_rank + 1] / len(
        searches.mate_rank
    )
    return rates


class Searches(NamedTuple):
    """What the rates depend on: the best score of each stranger, and each mate."""

    stranger_score: DoubleArray  # (n_strangers,)
    mate_score: DoubleArray  # (n_mated,)
    mate_rank: IntArray  # (n_mated,), from 1
    n_classes: int

    def with_strangers(self) -> Searches:
        """Return the searches, or raise if none of them is by a stranger."""
        if len(self.stranger_score) == 0:
            raise ValueError(
                "`y_true` must contain strangers, whose labels are not in `classes`; "
                f"got {len(self.mate_score)} searches and no stranger. Add rows of "
                "classes that are not enrolled, or leave some classes out of the "
                "gallery."
            )
        return self

    def with_mates(self) -> Searches:
        """Return the searches, or raise if none of them is mated."""
        if len(self.mate_score) == 0:
            raise ValueError(
                "`y_true` must contain mated searches, whose labels are in `classes`; "
                f"got {len(self.stranger_score)} searches, all by strangers. Add rows "
                "of the enrolled classes, other than the references."
            )
        return self

    def mate_within(self, rank: int) -> BoolArray:
        """Whether the true class is among the best `rank`, (n_mated,)."""
        return self.mate_rank <= _check_rank("rank", rank, self.n_classes)


def check_searches(
    y_true: npt.ArrayLike, scores: npt.ArrayLike, classes: npt.ArrayLike
) -> Searches:
    values, column = (
        np.asarray(to_numpy(scores), dtype=np.float64),
        label_objects(classes),
    )
    if values.ndim != 2:
        difference = (
            " With two enrolled classes, `decision_function` returns the difference of "
            "their scores, from which the two scores cannot be told."
        )
        raise ValueError(
            "`scores` must have shape (n, n_classes), one column for each of "
            f"`classes`; got {values.shape}.{difference if values.ndim == 1 else ''}"
        )
    if column.shape != values.shape[1:] or not len(column):
        raise ValueError(
            "`classes` must name each column of `scores`, shape "
            f"({values.shape[1]},) with at least one; got {column.shape}."
        )
    codes = class_codes(y_true, column)
    if codes.shape != values.shape[:1]:
        raise ValueError(
            "`y_true` must have one label per row of `scores`, shape "
            f"({len(values)},); got {codes.shape}."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"`scores` must be finite; {int((~np.isfinite(values)).sum())} of its "
            "values are NaN or infinite."
        )
    mated = np.flatnonzero(codes >= 0)
    mate_score = values[mated, codes[mated]]
    return Searches(
        values[codes < 0].max(axis=1),
        mate_score,
        (values[mated] >= mate_score[:, None]).sum(axis=1),
        len(column),
    )


def class_codes(y_true: npt.ArrayLike, classes: npt.ArrayLike) -> IntArray:
    """Column of the class of each search, (n,); -1 for strangers."""
    labels, names = label_objects(y_true), as_labels(classes, "classes").tolist()
    if labels.ndim != 1:
        raise ValueError(f"`y_true` must have shape (n,); got {labels.shape}.")
    own, searched = label_keys(np.asarray(names, dtype=object)), label_keys(labels)
    place = {key: column for column, key in enumerate(own)}
    if len(place) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise ValueError(
            f"`classes` must be distinct; {twice!r} occurs twice. Pass one column per "
            "class, for example the maximum over its references."
        )
    kinds = [{_kind(key) for key in keys} for keys in (searched, own)]
    if searched and not kinds[0] & kinds[1]:
        raise ValueError(
            "`y_true` and `classes` must both contain strings, or both numbers; got "
            f"{labels.tolist()[:3]} and {names[:3]}. Convert one of them; a stranger "
            "may have any label of that kind that is not in `classes`."
        )
    return np.array([place.get(key, -1) for key in searched], dtype=np.int64)


def _kind(key: Any) -> str:
    if isinstance(key, str):
        return "string"
    return "boolean" if isinstance(key, tuple) else "number"


def _check_threshold(threshold: Any) -> float:
    if isinstance(threshold, Real) and math.isinf(threshold):
        return float(threshold)
    return check_number("threshold", threshold, also=" or infinity")


def _check_rank(name: str, rank: Any, n_classes: int) -> int:
    wanted = f" and at most {n_classes}, the number of classes"
    if check_integer(name, rank, low=1, also=wanted) > n_classes:
        raise ValueError(
            f"`{name}` must be an integer of at least 1{wanted}; got {rank!r}."
        )
    return int(rank)
