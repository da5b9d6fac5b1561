"""Verification metrics: how well a threshold on the score separates pairs.

`same` is 1 for two rows of the same class and 0 for two rows of different classes. A
higher `score` means more similar, and a pair is accepted as the same if its score is at
least the threshold. FAR, the false-accept rate, is the fraction of different pairs that
are accepted; FRR, the false-reject rate, is the fraction of same pairs that are
rejected.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import check_random_state

from siamese_sklearn._arrays import to_numpy
from siamese_sklearn._checks import check_integer, check_number
from siamese_sklearn._grouping import group_by_class
from siamese_sklearn._labels import distinct_same
from siamese_sklearn._typing import BoolArray, DoubleArray, IntArray
from siamese_sklearn.distances import Distance, as_distance
from siamese_sklearn.metrics._retrieval import CHUNK_BYTES, check_labeled
from siamese_sklearn.pairs._drawing import pair_places

__all__ = [
    "accept_counts",
    "check_scored_pairs",
    "eer",
    "far_frr_curve",
    "pair_scores",
    "tar_at_far",
]


def far_frr_curve(
    same: npt.ArrayLike, score: npt.ArrayLike
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """False-accept and false-reject rates at every threshold that changes them.

    Parameters
    ----------
    same : array-like of shape (n,)
        1 or True for pairs of the same class, 0 or False for pairs of different
        classes; both must occur.
    score : array-like of shape (n,)
        Higher means more similar.

    Returns
    -------
    far, frr, thresholds : ndarray of shape (n_thresholds,)
        The thresholds decrease: infinity, at which no pair is accepted, then each
        distinct score; at the last one, all pairs are accepted. FAR never decreases and
        FRR never increases along them.

    Raises
    ------
    ValueError
        If there are no same or no different pairs, or if a score is NaN or infinite.

    See Also
    --------
    sklearn.metrics.det_curve : The same rates without the point at infinity.

    Examples
    --------
    >>> far, frr, thresholds = far_frr_curve([1, 0, 1, 0], [0.9, 0.6, 0.4, 0.1])
    >>> far
    array([0. , 0. , 0.5, 0.5, 1. ])
    >>> frr
    array([1. , 0.5, 0.5, 0. , 0. ])
    >>> thresholds
    array([inf, 0.9, 0.6, 0.4, 0.1])
    """
    false_accepts, true_accepts, thresholds = accept_counts(same, score)
    n_different, n_same = false_accepts[-1], true_accepts[-1]
    return false_accepts / n_different, (n_same - true_accepts) / n_same, thresholds


def eer(same: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """Equal error rate: where the false-accept rate equals the false-reject rate.

    Both rates are interpolated linearly between neighboring points of `far_frr_curve`.
    `same`, `score` and the errors are those of `far_frr_curve`.

    Returns
    -------
    float
        0 if some threshold separates the pairs, 0.5 if all scores are equal, 1 if the
        order is reversed.

    Examples
    --------
    >>> eer([1, 1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.2, 0.1])
    0.3333333333333333
    """
    far, frr, _ = far_frr_curve(same, score)
    after = int(np.argmax(far >= frr))  # never 0: the curve starts at far 0, frr 1
    gap_before, gap_after = (frr - far)[after - 1], (frr - far)[after]
    share = gap_before / (gap_before - gap_after)
    return float(far[after - 1] + share * (far[after] - far[after - 1]))


def tar_at_far(same: npt.ArrayLike, score: npt.ArrayLike, far: float = 0.01) -> float:
    """Highest true-accept rate at a false-accept rate of at most `far`.

    A threshold attains this rate; nothing is interpolated. `same`, `score` and the
    errors are those of `far_frr_curve`.

    Parameters
    ----------
    same, score : array-like of shape (n,)
    far : float, default=0.01
        Between 0 and 1. Below 1 / (number of different pairs), no false accept is
        allowed.

    Returns
    -------
    float

    Examples
    --------
    >>> tar_at_far([1, 1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.2, 0.1], far=0.0)
    0.6666666666666666
    """
    check_number("far", far, low=0.0, high=1.0)
    false_accepts, true_accepts, _ = accept_counts(same, score)
    allowed = false_accepts / false_accepts[-1] <= far
    return float(true_accepts[allowed].max() / true_accepts[-1])


def accept_counts(
    same: npt.ArrayLike, score: npt.ArrayLike
) -> tuple[IntArray, IntArray, DoubleArray]:
    """Count the accepted different and same pairs at each threshold of the curve."""
    is_same, values = check_scored_pairs(same, score)
    order = np.argsort(-values, kind="stable")
    values = values[order]
    # equal scores are accepted together
    n_accepted = np.append(np.flatnonzero(values[1:] != values[:-1]) + 1, len(values))
    true_accepts = np.append(0, np.cumsum(is_same[order])[n_accepted - 1])
    false_accepts = np.append(0, n_accepted) - true_accepts
    return false_accepts, true_accepts, np.append(np.inf, values[n_accepted - 1])


def check_scored_pairs(
    same: npt.ArrayLike, score: npt.ArrayLike
) -> tuple[BoolArray, DoubleArray]:
    kinds, values = to_numpy(same), np.asarray(to_numpy(score), dtype=np.float64)
    if kinds.ndim != 1 or kinds.shape != values.shape:
        raise ValueError(
            "`same` and `score` must have the same shape (n,); "
            f"got {kinds.shape} and {values.shape}."
        )
    wrong = [value for value in distinct_same(kinds) if value not in (0, 1)]
    if wrong:
        raise ValueError(
            "`same` must be 1 (same) or 0 (different) for each pair; got "
            f"[{', '.join(map(str, wrong[:3]))}]."
        )
    is_same = kinds.astype(bool)
    if is_same.all() or not is_same.any():
        raise ValueError(
            "`same` must contain both kinds of pairs, 1 (same) and 0 (different); got "
            f"{int(is_same.sum())} same and {int((~is_same).sum())} different."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"`score` must be finite; {int((~np.isfinite(values)).sum())} of its "
            "values are NaN or infinite."
        )
    return is_same, values


def pair_scores(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    distance: str | Distance = "euclidean",
    max_pairs: int = 1_000_000,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[IntArray, DoubleArray]:
    """Score pairs of rows by their negative distance, for verification metrics.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        The rows.
    labels : array-like of shape (n,)
        The class of each row, numbers or strings.
    distance : {"euclidean", "sqeuclidean", "manhattan", "cosine"}, default="euclidean"
        The distance between the rows of a pair.
    max_pairs : int, default=1_000_000
        If there are more pairs, this number is drawn: half same and half different; if
        there are too few of one kind, all of these and more of the other kind. Each
        kind is drawn uniformly without replacement. FAR, FRR, EER and AUC consider each
        kind separately, so the proportion of the kinds does not bias them (accuracy
        depends on it).
    random_state : int, RandomState or None, default=None
        Used only if pairs are drawn.

    Returns
    -------
    same : int64 ndarray of shape (n_pairs,)
        The same pairs come first.
    score : float64 ndarray of shape (n_pairs,)

    Examples
    --------
    >>> same, score = pair_scores([[0.0], [1.0], [3.0]], ["a", "a", "b"])
    >>> same
    array([1, 0, 0])
    >>> score
    array([-1., -3., -2.])
    """
    rows, row_labels = check_labeled("embeddings", embeddings, "labels", labels)
    check_integer("max_pairs", max_pairs, low=2)
    measure = as_distance(distance)
    rng = check_random_state(random_state)
    order, start, count = group_by_class(np.unique(row_labels, return_inverse=True)[1])
    after = np.arange(1, len(order) + 1)
    # (n,), the place after the last row of its class
    class_end = np.repeat(start + count, count)
    n_same, n_different = (
        int((class_end - after).sum()),
        int((len(order) - class_end).sum()),
    )
    half = max_pairs // 2
    same_taken = min(n_same, max(half, max_pairs - n_different))
    different_taken = min(n_different, max_pairs - same_taken)
    places = [
        pair_places(_draw_distinct(n_same, same_taken, rng), after, class_end - after),
        pair_places(
            _draw_distinct(n_different, different_taken, rng),
            class_end,
            len(order) - class_end,
        ),
    ]
    left, right = order[np.concatenate(places)].T
    same = np.repeat(np.array([1, 0], dtype=np.int64), [same_taken, different_taken])
    return same, _scores(rows, left, right, measure)


def _draw_distinct(population: int, size: int, rng: np.random.RandomState) -> IntArray:
    """Draw `size` of range(population) without replacement, in O(size) memory."""
    if size == population:
        return np.arange(population, dtype=np.int64)
    if population <= 4 * size:
        return rng.permutation(population)[:size]
    drawn = np.empty(0, dtype=np.int64)
    while len(drawn) < size:
        drawn = np.union1d(drawn, rng.randint(population, size=size, dtype=np.int64))
    return rng.permutation(drawn)[:size]


def _scores(
    rows: torch.Tensor, left: IntArray, right: IntArray, distance: Distance
) -> DoubleArray:
    score = np.empty(len(left))
    step = max(CHUNK_BYTES // (8 * max(rows.shape[1], 1)), 1)
    for start in range(0, len(left), step):
        chunk = slice(start, start + step)
        score[chunk] = -distance.paired(rows[left[chunk]], rows[right[chunk]]).numpy()
    return score
