"""Making pairs and triplets out of labelled rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from siamese_sklearn._checks import check_integer
from siamese_sklearn._grouping import group_by_class, number_within
from siamese_sklearn._typing import IntArray
from siamese_sklearn.pairs._containers import Pairs, Side, Triplets, as_side, take_rows
from siamese_sklearn.pairs._drawing import count_pairs, draw_pairs

__all__ = ["make_pairs", "make_triplets"]


def make_pairs(
    X: Any, y: npt.ArrayLike, *, n_pairs: int | None = None, random_state: Any = None
) -> tuple[Pairs, IntArray]:
    """Make pairs out of labelled rows, as many same as different.

    No pair comes twice, in either order, and no row is paired with itself. The same pairs are balanced over
    rows: a class takes part by its number of rows, not by its much larger number of pairs, and the rows of a
    class have equally many partners (plus or minus two) until its pairs are used up; with the default
    `n_pairs` each row of a class of two or more rows has one. The different pairs are drawn uniformly out of
    all pairs of rows of different classes; rows that are alone in their class take part in these only.

    Split into training and test rows first and make pairs of each: pairs that share rows must not be on both
    sides.

    Parameters
    ----------
    X : array-like of shape (n, ...), data frame, series or sparse matrix of n rows
        The things to pair, of any kind that `Pairs` holds.
    y : array-like of shape (n,)
        Their labels, of any kind.
    n_pairs : int, default=None
        How many pairs: an even number, ``2 * n`` if None. Where `y` allows fewer same pairs, or fewer
        different ones, than half of that, all of these are used and as many of the other kind, fewer pairs in
        total.
    random_state : int, RandomState instance or None, default=None
        Fix it to get the same pairs again.

    Returns
    -------
    pairs : Pairs of shape (n_pairs, 2)
        In random order; which of the two rows is on the left is random too.
    same : ndarray of shape (n_pairs,), int64
        1 where both sides are of one class, 0 where not.

    Raises
    ------
    ValueError
        If `y` has fewer than two classes, no class of two rows, or another length than `X`, if it is
        continuous, or if `n_pairs` is odd or below 2.

    See Also
    --------
    make_triplets : An anchor, one of its class and one of another.

    Examples
    --------
    >>> from siamese_sklearn.pairs import make_pairs
    >>> pairs, same = make_pairs([[0], [1], [10], [11]], ["a", "a", "b", "b"], random_state=0)
    >>> len(pairs), int(same.sum())
    (4, 2)
    >>> bool((abs(pairs.left - pairs.right)[same == 1] == 1).all())
    True
    """
    side, labels, rng = _check_rows(X, y, random_state)
    n_pairs = (
        2 * len(labels) if n_pairs is None else check_integer("n_pairs", n_pairs, low=2)
    )
    if n_pairs % 2:
        raise ValueError(
            f"`n_pairs` must be even, half same and half different; got {n_pairs}."
        )
    n_each = min(n_pairs // 2, *count_pairs(labels))
    rows = draw_pairs(labels, n_each, n_each, rng)
    rows = rng.permuted(
        rows, axis=1
    )  # a fair coin decides which row of a pair is on the left
    shuffled = rng.permutation(2 * n_each)
    left, right = rows[shuffled].T
    return Pairs(take_rows(side, left), take_rows(side, right)), (
        shuffled < n_each
    ).astype(np.int64)


def make_triplets(
    X: Any, y: npt.ArrayLike, *, n_triplets: int | None = None, random_state: Any = None
) -> Triplets:
    """Make triplets out of labelled rows: an anchor, a row of its class, a row of another.

    Every row of a class of two or more rows is the anchor equally often, plus or minus one. The positive is
    any other row of its class and the negative any row of another class, uniformly. A triplet comes twice
    only if its anchor comes up more often than it has different triplets.

    Parameters
    ----------
    X : array-like of shape (n, ...), data frame, series or sparse matrix of n rows
        The things to put together, of any kind that `Triplets` holds.
    y : array-like of shape (n,)
        Their labels, of any kind.
    n_triplets : int, default=None
        How many triplets; one for each row that has a positive if None.
    random_state : int, RandomState instance or None, default=None
        Fix it to get the same triplets again.

    Returns
    -------
    triplets : Triplets of shape (n_triplets, 3)
        In random order.

    Raises
    ------
    ValueError
        If `y` has fewer than two classes, no class of two rows, or another length than `X`, if it is
        continuous, or if `n_triplets` is below 1.

    See Also
    --------
    make_pairs : As many same as different pairs.

    Examples
    --------
    >>> from siamese_sklearn.pairs import make_triplets
    >>> triplets = make_triplets([[0], [1], [10], [11]], ["a", "a", "b", "b"], random_state=0)
    >>> sorted(triplets.anchor.ravel().tolist())
    [0, 1, 10, 11]
    >>> abs(triplets.anchor - triplets.positive).ravel().tolist()
    [1, 1, 1, 1]
    """
    side, labels, rng = _check_rows(X, y, random_state)
    if n_triplets is not None:
        n_triplets = check_integer("n_triplets", n_triplets, low=1)
    rows = _triplets(labels, n_triplets, rng)
    return Triplets(*(take_rows(side, column) for column in rng.permutation(rows).T))


def _check_rows(
    X: Any, y: npt.ArrayLike, random_state: Any
) -> tuple[Side, IntArray, np.random.Generator]:
    """Rows, their labels as 0..K-1, and a generator of our own."""
    side = as_side("X", X)
    y = column_or_1d(y)
    check_consistent_length(side, y)
    check_classification_targets(y)
    classes, labels, counts = np.unique(y, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        found = "1 class" if len(classes) else "0 classes"
        raise ValueError(
            f"`y` must have at least 2 classes for anything to be different; got {found}."
        )
    if counts.max() < 2:
        raise ValueError(
            "`y` must have a class of at least 2 rows for anything to be the same; each "
            f"of its {len(classes)} classes has 1 sample. Measured values need grouping into classes first."
        )
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    return side, labels.astype(np.int64), np.random.default_rng(seed)


def _triplets(
    labels: IntArray, n_triplets: int | None, rng: np.random.Generator
) -> IntArray:
    """Anchor, positive, negative (n_triplets, 3).

    An anchor has (c - 1)(n - c) triplets, c the size of its class. They are numbered and cut into as many
    equal parts as the anchor comes up, and one is drawn out of each part: distinct where that is possible.
    """
    order, start, counts = group_by_class(labels, rng)
    anchors = rng.permutation(
        np.flatnonzero(counts[labels[order]] > 1)
    )  # places in `order`
    times, rest = divmod(
        len(anchors) if n_triplets is None else n_triplets, len(anchors)
    )
    repeats = times + (np.arange(len(anchors)) < rest)
    group, part = number_within(repeats)
    anchor = anchors[group]
    own = labels[order[anchor]]
    n_others = len(labels) - counts[own]
    possible = (counts[own] - 1) * n_others
    low, high = (
        part * possible // repeats[group],
        (part + 1) * possible // repeats[group],
    )
    number = rng.integers(low, np.maximum(high, low + 1))
    positive = start[own] + number // n_others
    positive += positive >= anchor  # skip the anchor
    negative = number % n_others
    negative += counts[own] * (negative >= start[own])  # skip its class
    return np.column_stack([order[anchor], order[positive], order[negative]])
