"""Drawing pairs of row numbers from labels."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from siamese_sklearn._grouping import group_by_class, number_within
from siamese_sklearn._typing import IntArray

__all__ = [
    "balanced_pairs",
    "count_pairs",
    "draw_pairs",
    "held_out_pairs",
    "many_pairs",
    "pair_places",
]

_MOST_OF_A_KIND = 10_000
_MOST_FOR_RATES = 200_000  # of each kind: resolves false-accept rates of 1 in 200,000
_DRAWS_PER_ROW = 10


def count_pairs(labels: IntArray) -> tuple[int, int]:
    """Count the same and the different pairs of rows with labels 0, ..., K - 1."""
    counts = np.bincount(labels)
    n_same = int((counts * (counts - 1) // 2).sum())
    return n_same, len(labels) * (len(labels) - 1) // 2 - n_same


def draw_pairs(
    labels: IntArray, n_same: int, n_different: int, rng: np.random.Generator
) -> IntArray:
    """Draw row numbers of pairs, (n_same + n_different, 2), as `make_pairs` does.

    The same pairs come first. Labels are 0, ..., K - 1. There must be as many pairs of
    each kind, see `count_pairs`.
    """
    return np.concatenate(
        [_same_pairs(labels, n_same, rng), _different_pairs(labels, n_different, rng)]
    )


def balanced_pairs(
    labels: IntArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Draw equal numbers of same and different pairs, (n, 2); and `same`, (n,)."""
    n_each = min(*count_pairs(labels), _MOST_OF_A_KIND)
    return draw_pairs(labels, n_each, n_each, rng), _kinds(n_each, n_each)


def many_pairs(labels: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Draw pairs in any balance, to estimate rates, (n, 2); and `same`, (n,)."""
    n_same, n_different = count_pairs(labels)
    n_same, n_different = (
        min(n_same, _MOST_FOR_RATES),
        min(n_different, _MOST_FOR_RATES),
    )
    return draw_pairs(labels, n_same, n_different, rng), _kinds(n_same, n_different)


def held_out_pairs(
    labels: IntArray, held: IntArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Draw pairs that show how the network performs on rows it was not trained on.

    There are equal numbers of same and different pairs. Both rows of a pair are held
    out; but if most held-out rows have no other held-out row of their class, each
    held-out row is paired with rows of all the data.

    Parameters
    ----------
    labels : array of shape (n,)
        Class numbers of all rows.
    held : array of int
        The held-out rows.
    rng : numpy.random.Generator

    Returns
    -------
    pairs : array of shape (n_pairs, 2)
        Row numbers.
    same : array of shape (n_pairs,)
    """
    numbers, count = np.unique(labels[held], return_inverse=True, return_counts=True)[
        1:
    ]
    if len(count) > 1 and 2 * count[count > 1].sum() >= len(held):
        pairs, same = balanced_pairs(numbers, rng)
        return held[pairs], same
    return _pairs_with_all(labels, held, rng)


def _pairs_with_all(
    labels: IntArray, held: IntArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Pair each held-out row with a few rows of its class, and as many other rows."""
    by_class, start, count = group_by_class(labels)
    place = np.empty_like(by_class)
    place[by_class] = np.arange(len(labels))
    start, size = start[labels], count[labels]
    queries = held[size[held] > 1]
    n_draws = int(np.clip(_MOST_OF_A_KIND // len(queries), 1, _DRAWS_PER_ROW))
    rows = np.repeat(queries, n_draws)
    # steps around the ring of the class, never back to the row itself
    step = 1 + rng.integers(size[rows] - 1)
    same = start[rows] + (place[rows] - start[rows] + step) % size[rows]
    beyond = start[rows] + size[rows] + rng.integers(len(labels) - size[rows])
    different = beyond % len(labels)
    pairs = np.stack(
        [np.tile(rows, 2), by_class[np.concatenate([same, different])]], axis=1
    )
    return pairs, _kinds(len(rows), len(rows))


def pair_places(number: IntArray, first: IntArray, n_partners: IntArray) -> IntArray:
    """Both places of pairs that are numbered row by row.

    Parameters
    ----------
    number : array of shape (n_pairs,)
        Pairs of place 0 come first, then those of place 1, ...
    first, n_partners : array of shape (n,)
        The partners of place i are first[i], ..., first[i] + n_partners[i] - 1.

    Returns
    -------
    array of shape (n_pairs, 2)

    Examples
    --------
    >>> first, n_partners = np.array([1, 2, 3]), np.array([2, 1, 0])
    >>> pair_places(np.array([0, 2]), first, n_partners)
    array([[0, 1],
           [1, 2]])
    """
    last = np.cumsum(n_partners)  # (n,), pairs up to and including this place
    place = np.searchsorted(last, number, side="right")
    return np.column_stack(
        [place, first[place] + n_partners[place] - (last[place] - number)]
    )


def _kinds(n_same: int, n_different: int) -> IntArray:
    return np.repeat(np.array([1, 0], dtype=np.int64), [n_same, n_different])


def _same_pairs(labels: IntArray, n_pairs: int, rng: np.random.Generator) -> IntArray:
    """Draw distinct pairs of rows of the same class, (n_pairs, 2).

    Arrange the c rows of a class in a ring. Step 1 pairs each row with its successor,
    step 2 with the successor of that, and so on up to step c // 2. Each unordered pair
    occurs once, as pair number ``(step - 1) * c + place``. All classes use the number
    of steps that is needed, and the last step is thinned out at random.
    """
    order, start, counts = group_by_class(labels, rng)
    possible = counts * (counts - 1) // 2  # (K,)
    n_steps = bisect_left(
        range(int(counts.max()) // 2),
        n_pairs,
        key=lambda steps: np.minimum(steps * counts, possible).sum(),
    )
    group, number = number_within(np.minimum(n_steps * counts, possible))
    step, place = number // counts[group] + 1, number % counts[group]
    partner = (place + step) % counts[group]
    rows = np.column_stack([order[start[group] + place], order[start[group] + partner]])
    surplus = rng.choice(
        np.flatnonzero(step == n_steps), len(rows) - n_pairs, replace=False
    )
    return np.delete(rows, surplus, axis=0)


def _different_pairs(
    labels: IntArray, n_pairs: int, rng: np.random.Generator
) -> IntArray:
    """Draw distinct pairs of rows of different classes uniformly, (n_pairs, 2).

    Distinct pair numbers are drawn and converted to rows. With the rows ordered by
    class, the partners of a row are all rows after its class.
    """
    order, start, counts = group_by_class(labels, rng)
    behind = (start + counts)[labels[order]]  # (n,)
    n_partners = len(labels) - behind
    number = rng.choice(int(n_partners.sum()), n_pairs, replace=False)
    return order[pair_places(number, behind, n_partners)]
