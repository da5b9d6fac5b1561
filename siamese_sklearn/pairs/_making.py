"""Making pairs and triplets from labeled rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length, check_random_state

from siamese_sklearn._checks import check_integer
from siamese_sklearn._grouping import group_by_class, number_within
from siamese_sklearn._labels import as_labels
from siamese_sklearn._typing import IntArray
from siamese_sklearn.pairs._containers import Pairs, Side, Triplets, as_side, take_rows
from siamese_sklearn.pairs._drawing import count_pairs, draw_pairs

__all__ = ["make_pairs", "make_triplets"]


def make_pairs(
    X: Any, y: npt.ArrayLike, *, n_pairs: int | None = None, random_state: Any = None
) -> tuple[Pairs, IntArray]:
    """Make pairs from labeled rows, half of them same and half different.

    No pair occurs twice, in either order, and no row is paired with itself.

    The same pairs are balanced over rows. A class contributes in proportion to its
    number of rows, not to its much larger number of pairs, and the rows of a class have
    the same number of partners, plus or minus two, until the pairs of the class are
    used up. With the default `n_pairs`, each row has at least one partner of its class,
    if there is one.

    The different pairs are drawn uniformly from all pairs of rows of different classes.
    A row that is alone in its class occurs only in these.

    Split the data into training and test rows first, and make pairs of each part, so
    that no row occurs in both.

    Parameters
    ----------
    X : array-like of shape (n, ...), data frame, series or sparse matrix of n rows
        The rows to pair, of any kind that `Pairs` accepts.
    y : array-like of shape (n,)
        The class labels of the rows.
    n_pairs : int, default=None
        Number of pairs, which must be even; ``2 * n`` if None. If `y` does not allow
        half as many pairs of one kind, all of these are used together with an equal
        number of the other kind, so that there are fewer pairs in total.
    random_state : int, RandomState instance or None, default=None
        Pass an int to get the same pairs in every call.

    Returns
    -------
    pairs : Pairs of shape (n_pairs, 2)
        In random order. Which of the two rows is on the left is random, too.
    same : ndarray of shape (n_pairs,), int64
        1 if both sides are of the same class, else 0.

    Raises
    ------
    ValueError
        If `y` has fewer than two classes, no class with two rows, or a different length
        than `X`; if it is continuous; or if `n_pairs` is odd or less than 2.

    See Also
    --------
    make_triplets : An anchor, a row of its class, and a row of another class.

    Examples
    --------
    >>> from siamese_sklearn.pairs import make_pairs
    >>> X, y = [[0], [1], [10], [11]], ["a", "a", "b", "b"]
    >>> pairs, same = make_pairs(X, y, random_state=0)
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
    # choose at random which row of a pair is on the left
    rows = rng.permuted(rows, axis=1)
    shuffled = rng.permutation(2 * n_each)
    left, right = rows[shuffled].T
    return Pairs(take_rows(side, left), take_rows(side, right)), (
        shuffled < n_each
    ).astype(np.int64)


def make_triplets(
    X: Any, y: npt.ArrayLike, *, n_triplets: int | None = None, random_state: Any = None
) -> Triplets:
    """Make triplets from labeled rows: an anchor, a positive and a negative.

    Each row of a class with two or more rows is the anchor equally often, plus or minus
    one. The positive is drawn uniformly from the other rows of its class, and the
    negative from the rows of other classes. A triplet occurs twice only if its anchor
    is used more often than it has distinct triplets.

    Parameters
    ----------
    X : array-like of shape (n, ...), data frame, series or sparse matrix of n rows
        The rows to combine, of any kind that `Triplets` accepts.
    y : array-like of shape (n,)
        The class labels of the rows.
    n_triplets : int, default=None
        Number of triplets. None makes one for each row that has a positive.
    random_state : int, RandomState instance or None, default=None
        Pass an int to get the same triplets in every call.

    Returns
    -------
    triplets : Triplets of shape (n_triplets, 3)
        In random order.

    Raises
    ------
    ValueError
        If `y` has fewer than two classes, no class with two rows, or a different length
        than `X`; if it is continuous; or if `n_triplets` is less than 1.

    See Also
    --------
    make_pairs : Half same and half different pairs.

    Examples
    --------
    >>> from siamese_sklearn.pairs import make_triplets
    >>> X, y = [[0], [1], [10], [11]], ["a", "a", "b", "b"]
    >>> triplets = make_triplets(X, y, random_state=0)
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
    """Return the rows, their labels as 0, ..., K - 1, and a random generator."""
    side = as_side("X", X)
    y = as_labels(y)
    check_consistent_length(side, y)
    classes, labels, counts = np.unique(y, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        found = "1 class" if len(classes) else "0 classes"
        raise ValueError(
            "`y` must have at least 2 classes, so that there are rows of different "
            f"classes; got {found}."
        )
    if counts.max() < 2:
        raise ValueError(
            "`y` must have at least one class with 2 rows, so that there are rows of "
            f"the same class; each of its {len(classes)} classes has 1 sample. Pass "
            "class labels, not row numbers or continuous values."
        )
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    return side, labels.astype(np.int64), np.random.default_rng(seed)


def _triplets(
    labels: IntArray, n_triplets: int | None, rng: np.random.Generator
) -> IntArray:
    """Draw anchors, positives and negatives, (n_triplets, 3).

    An anchor in a class of c rows has (c - 1)(n - c) triplets. They are numbered and
    divided into as many equal parts as the anchor is used, and one is drawn from each
    part, so that they are distinct if that is possible.
    """
    order, start, counts = group_by_class(labels, rng)
    # places in `order`
    anchors = rng.permutation(np.flatnonzero(counts[labels[order]] > 1))
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
