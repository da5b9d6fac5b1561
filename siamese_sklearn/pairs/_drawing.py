"""Drawing pairs of row numbers out of labels."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import numpy.typing as npt

__all__ = [
    "balanced_pairs",
    "class_order",
    "count_pairs",
    "draw_pairs",
    "held_out_pairs",
    "many_pairs",
    "numbers_within",
]

Index = npt.NDArray[np.int64]

_MOST_OF_A_KIND = 10_000
_MOST_FOR_RATES = 200_000  # of a kind; the false-accept rate is known to one in that many
_DRAWS_PER_ROW = 10


def count_pairs(labels: Index) -> tuple[int, int]:
    """How many same and how many different pairs rows with these labels, 0, ..., K - 1, can make."""
    counts = np.bincount(labels)
    n_same = int((counts * (counts - 1) // 2).sum())
    return n_same, len(labels) * (len(labels) - 1) // 2 - n_same


def draw_pairs(labels: Index, n_same: int, n_different: int, rng: np.random.Generator) -> Index:
    """Row numbers of pairs, (n_same + n_different, 2), the same ones first, drawn as `make_pairs` does.

    Labels are 0, ..., K - 1; there have to be as many pairs, see `count_pairs`.
    """
    return np.concatenate([_same_pairs(labels, n_same, rng), _different_pairs(labels, n_different, rng)])


def balanced_pairs(labels: Index, rng: np.random.Generator) -> tuple[Index, Index]:
    """Row numbers (n, 2) of equally many same and different pairs, and which are the same (n,)."""
    n_each = min(*count_pairs(labels), _MOST_OF_A_KIND)
    return draw_pairs(labels, n_each, n_each, rng), _kinds(n_each, n_each)


def many_pairs(labels: Index, rng: np.random.Generator) -> tuple[Index, Index]:
    """Row numbers (n, 2) of pairs for rates, which the balance of the kinds does not change, and `same`."""
    n_same, n_different = count_pairs(labels)
    n_same, n_different = min(n_same, _MOST_FOR_RATES), min(n_different, _MOST_FOR_RATES)
    return draw_pairs(labels, n_same, n_different, rng), _kinds(n_same, n_different)


def held_out_pairs(labels: Index, held: Index, rng: np.random.Generator) -> tuple[Index, Index]:
    """Pairs that say how the network does on rows it was not trained on, as many same as different.

    Both rows are held out. If that leaves most held-out rows without another one of their class, each
    held-out row is paired with rows of all the data.

    Parameters
    ----------
    labels : array of shape (n,)
        Class numbers of all rows.
    held : array of int
        The rows held out.
    rng : numpy.random.Generator

    Returns
    -------
    pairs : array of shape (n_pairs, 2)
        Row numbers.
    same : array of shape (n_pairs,)
    """
    numbers, count = np.unique(labels[held], return_inverse=True, return_counts=True)[1:]
    if len(count) > 1 and 2 * count[count > 1].sum() >= len(held):
        pairs, same = balanced_pairs(numbers, rng)
        return held[pairs], same
    return _pairs_with_all(labels, held, rng)


def _pairs_with_all(labels: Index, held: Index, rng: np.random.Generator) -> tuple[Index, Index]:
    """Pair each held-out row with a few rows of its class, and as many of the others."""
    by_class = np.argsort(labels, kind="stable")
    place = np.empty_like(by_class)
    place[by_class] = np.arange(len(labels))
    count = np.bincount(labels)
    start = (np.cumsum(count) - count)[labels]
    size = count[labels]
    queries = held[size[held] > 1]
    n_draws = int(np.clip(_MOST_OF_A_KIND // len(queries), 1, _DRAWS_PER_ROW))
    rows = np.repeat(queries, n_draws)
    step = 1 + rng.integers(size[rows] - 1)  # around the ring of the class, never back to the row itself
    same = start[rows] + (place[rows] - start[rows] + step) % size[rows]
    beyond = start[rows] + size[rows] + rng.integers(len(labels) - size[rows])
    different = beyond % len(labels)
    pairs = np.stack([np.tile(rows, 2), by_class[np.concatenate([same, different])]], axis=1)
    return pairs, _kinds(len(rows), len(rows))


def _kinds(n_same: int, n_different: int) -> Index:
    return np.repeat(np.array([1, 0], dtype=np.int64), [n_same, n_different])


def class_order(labels: Index, rng: np.random.Generator) -> tuple[Index, Index, Index]:
    """Rows in order of class and at random within it (n,), and where each class starts and its size (K,)."""
    shuffled = rng.permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels)
    return order, np.cumsum(counts) - counts, counts


def numbers_within(counts: Index) -> tuple[Index, Index]:
    """For groups of these sizes: the group of each member, and its number 0, 1, ... in the group."""
    group = np.repeat(np.arange(len(counts)), counts)
    return group, np.arange(len(group)) - (np.cumsum(counts) - counts)[group]


def _same_pairs(labels: Index, n_pairs: int, rng: np.random.Generator) -> Index:
    """Distinct pairs of one class (n_pairs, 2).

    Stand the c rows of a class in a ring. Step 1 pairs each row with the next one, step 2 with the next but
    one, and so on up to c // 2: each unordered pair comes once, as pair number ``(step - 1) * c + place``.
    All classes take as many steps as are needed, and the last step is thinned out at random.
    """
    order, start, counts = class_order(labels, rng)
    possible = counts * (counts - 1) // 2  # (K,)
    n_steps = bisect_left(
        range(int(counts.max()) // 2), n_pairs, key=lambda steps: np.minimum(steps * counts, possible).sum()
    )
    group, number = numbers_within(np.minimum(n_steps * counts, possible))
    step, place = number // counts[group] + 1, number % counts[group]
    partner = (place + step) % counts[group]
    rows = np.column_stack([order[start[group] + place], order[start[group] + partner]])
    surplus = rng.choice(np.flatnonzero(step == n_steps), len(rows) - n_pairs, replace=False)
    return np.delete(rows, surplus, axis=0)


def _different_pairs(labels: Index, n_pairs: int, rng: np.random.Generator) -> Index:
    """Distinct pairs of different classes (n_pairs, 2), uniformly: distinct numbers, then their rows.

    With the rows in order of class, the partners of a row are all those behind its own class.
    """
    order, start, counts = class_order(labels, rng)
    behind = (start + counts)[labels[order]]  # (n,)
    last = np.cumsum(len(labels) - behind)  # (n,), pairs up to and with this row
    number = rng.choice(int(last[-1]), n_pairs, replace=False)
    place = np.searchsorted(last, number, side="right")
    partner = len(labels) - (last[place] - number)
    return np.column_stack([order[place], order[partner]])
