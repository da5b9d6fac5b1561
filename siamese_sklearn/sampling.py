"""Class-balanced batches: P classes x K samples, and every sample at least once per epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from siamese_sklearn._checks import check_integer
from siamese_sklearn._grouping import group_by_class, number_within
from siamese_sklearn._typing import DoubleArray, IntArray

__all__ = ["BalancedBatches", "Batches", "PairedBatches", "ShuffledBatches"]

_SAMPLES_PER_CLASS = 4  # K: FaceNet and Hermans et al. use 4 as well

SamplerLike: TypeAlias = Callable[[IntArray, int], Any]


class Batches(Protocol):
    """The batches of an epoch: row numbers (B,), or those of both sides of pairs of rows (2, B)."""

    n_batches: int

    def epoch(self, rng: np.random.Generator) -> Iterator[IntArray]:
        """Yield the batches of one epoch."""
        ...


class BalancedBatches:
    """Batches of P groups, each of K rows of one class, so that batches hold positive and negative pairs.

    An epoch cuts every class into groups of at most `samples_per_class` rows (three rather than one alone),
    of as equal a size as possible, and spreads the groups of each class evenly over the epoch. Thus

    - every row is in every epoch, and exactly once where the classes are balanced;
    - a class with fewer groups than the average class gets further groups of rows drawn again, up to that
      average, rounded down: rare classes are seen more often, and an epoch stays shorter than twice the data;
    - every batch has at least two groups, of different classes where the classes are balanced;
    - a row never occurs twice in one batch, and a class of one row (no positive) still serves as a negative.

    The cost of an epoch is one sort of the rows, whatever the number of classes.

    Parameters
    ----------
    labels : array of shape (n,)
        Classes as integers.
    batch_size : int
        Rows per batch, at least 4; a batch may fall short of it or exceed it by a group (below 6 by two), as
        groups stay whole.
    samples_per_class : int, default=4
        K. At most half of the batch, so that two classes fit in.

    Attributes
    ----------
    n_batches : int
        Batches per epoch.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.repeat([0, 1, 2], [6, 4, 2])
    >>> batches = BalancedBatches(labels, batch_size=8, samples_per_class=2)
    >>> sorted(np.concatenate(list(batches.epoch(np.random.default_rng(0)))).tolist())
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 11, 11]
    """

    def __init__(
        self,
        labels: npt.ArrayLike,
        batch_size: int,
        samples_per_class: int = _SAMPLES_PER_CLASS,
    ) -> None:
        check_integer("batch_size", batch_size, low=4)
        check_integer("samples_per_class", samples_per_class, low=2)
        _, self._labels, self._count = np.unique(
            labels, return_inverse=True, return_counts=True
        )
        k = min(samples_per_class, batch_size // 2)
        n_groups = np.minimum(-(-self._count // k), np.maximum(self._count // 2, 1))
        average = n_groups.sum() // len(n_groups)
        self._samples_per_class = k
        self._n_groups = n_groups
        self._n_drawn_again = np.maximum(average - n_groups, 0)
        drawn_again = self._n_drawn_again * np.minimum(k, self._count)
        self._n_rows = int(self._count.sum() + drawn_again.sum())
        pairs_of_groups = int((n_groups + self._n_drawn_again).sum()) // 2
        self.n_batches = max(min(-(-self._n_rows // batch_size), pairs_of_groups), 1)

    def epoch(self, rng: np.random.Generator) -> Iterator[IntArray]:
        """Yield the row numbers of each batch of one epoch.

        Parameters
        ----------
        rng : numpy.random.Generator

        Yields
        ------
        array of shape (about batch_size,)
        """
        by_class, _, _ = group_by_class(self._labels, rng)
        first_row = np.cumsum(self._count) - self._count
        label, offset, size = self._groups(rng)
        order = np.argsort(self._position(label, rng), kind="stable")
        label, offset, size = label[order], offset[order], size[order]
        ends = np.cumsum(size)
        within = np.arange(ends[-1]) - np.repeat(ends - size, size)
        place = (np.repeat(offset, size) + within) % np.repeat(self._count[label], size)
        rows = by_class[np.repeat(first_row[label], size) + place]
        for batch in np.split(rows, self._cuts(ends)):
            yield np.unique(batch) if self._n_drawn_again.any() else batch

    def _groups(self, rng: np.random.Generator) -> tuple[IntArray, IntArray, IntArray]:
        """Class, offset into the rows of the class (cyclic) and size of every group, class after class."""
        count, n_groups, again = self._count, self._n_groups, self._n_drawn_again
        label, number = number_within(n_groups)
        offset = number * count[label] // n_groups[label]
        size = (number + 1) * count[label] // n_groups[label] - offset
        label_again = np.repeat(np.arange(len(count)), again)
        offset_again = rng.integers(count[label_again])
        size_again = np.minimum(self._samples_per_class, count[label_again])
        return (
            np.concatenate([label, label_again]),
            np.concatenate([offset, offset_again]),
            np.concatenate([size, size_again]),
        )

    def _cuts(self, ends: IntArray) -> IntArray:
        """Rows at which the next batch begins: equal shares, but groups stay whole and each batch has two."""
        batch = np.arange(1, self.n_batches)
        n_groups = np.searchsorted(ends, batch * (self._n_rows / self.n_batches)) + 1
        n_groups = 2 * batch + np.maximum.accumulate(
            np.maximum(n_groups - 2 * batch, 0)
        )
        n_groups = np.minimum(n_groups, len(ends) - 2 * (self.n_batches - batch))
        return ends[n_groups - 1]

    def _position(self, label: IntArray, rng: np.random.Generator) -> DoubleArray:
        """Place of each group in the epoch, in [0, 1): a class at equal distances, from a random start."""
        total = self._n_groups + self._n_drawn_again
        order, _, _ = group_by_class(label)
        number = np.empty_like(label)
        number[order] = number_within(total)[1]
        position: DoubleArray = (number + rng.random(len(total))[label]) / total[label]
        return position


class ShuffledBatches:
    """Batches of rows in random order, each row once per epoch: for pairs and triplets that are given.

    Parameters
    ----------
    n_rows : int
    batch_size : int
        Batches differ by at most one row, and none exceeds this size.

    Attributes
    ----------
    n_batches : int
        Batches per epoch.

    Examples
    --------
    >>> import numpy as np
    >>> [len(batch) for batch in ShuffledBatches(10, batch_size=4).epoch(np.random.default_rng(0))]
    [4, 3, 3]
    """

    def __init__(self, n_rows: int, batch_size: int) -> None:
        self._n_rows = n_rows
        self.n_batches = -(-n_rows // batch_size)

    def epoch(self, rng: np.random.Generator) -> Iterator[IntArray]:
        """Yield the row numbers of each batch of one epoch.

        Parameters
        ----------
        rng : numpy.random.Generator

        Yields
        ------
        array of shape (at most batch_size,)
        """
        yield from np.array_split(rng.permutation(self._n_rows), self.n_batches)


class PairedBatches:
    """Batches of pairs of labelled rows, about as many same as different, for networks that see pairs only.

    The rows come as in `BalancedBatches`. Each row of a batch is paired with one other row of it: half of the
    rows, drawn at random, with one of their class where there is one, the others with one of another class.

    Parameters
    ----------
    labels : array of shape (n,)
        Classes as integers.
    batch_size : int
        Pairs per batch, as in `BalancedBatches`.
    rows : Batches, default=None
        Batches of the rows that are paired; None takes `BalancedBatches`.

    Attributes
    ----------
    n_batches : int
        Batches per epoch.

    Examples
    --------
    >>> import numpy as np
    >>> batches = PairedBatches([0, 0, 1, 1], batch_size=4)
    >>> [left.shape == right.shape == (4,) for left, right in batches.epoch(np.random.default_rng(0))]
    [True]
    """

    def __init__(
        self, labels: npt.ArrayLike, batch_size: int, rows: Batches | None = None
    ) -> None:
        self._labels = np.asarray(labels)
        self._rows = BalancedBatches(labels, batch_size) if rows is None else rows
        self.n_batches = self._rows.n_batches

    def epoch(self, rng: np.random.Generator) -> Iterator[IntArray]:
        """Yield the row numbers of both sides of the pairs of each batch of one epoch.

        Parameters
        ----------
        rng : numpy.random.Generator

        Yields
        ------
        array of shape (2, about batch_size)
        """
        for rows in self._rows.epoch(rng):
            yield np.stack([rows, rows[self._partners(self._labels[rows], rng)]])

    def _partners(self, labels: IntArray, rng: np.random.Generator) -> IntArray:
        different = labels[:, None] != labels[None, :]  # (B, B)
        same = ~different
        np.fill_diagonal(same, False)
        wants_same = rng.permutation(len(labels)) < len(labels) / 2
        takes_same = np.where(wants_same, same.any(1), ~different.any(1))
        candidates = np.where(takes_same[:, None], same, different)
        partner: IntArray = (candidates * (1 - rng.random(candidates.shape))).argmax(
            1
        )  # draws in (0, 1]
        return partner


class _IteratedBatches:
    """Batches out of an iterable that draws its own randomness, such as torch's ``BatchSampler``."""

    def __init__(self, batches: Any, n_rows: int) -> None:
        self._batches = batches
        self._n_rows = n_rows
        self.n_batches = len(batches)

    def epoch(self, rng: np.random.Generator) -> Iterator[IntArray]:
        for batch in self._batches:
            rows = np.asarray(batch)
            if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows):
                raise ValueError(
                    "`sampler` must give batches of row numbers, integers of shape (B,); got "
                    f"{rows.dtype} of shape {rows.shape}."
                )
            if rows.min() < 0 or rows.max() >= self._n_rows:
                raise ValueError(
                    f"`sampler` must give row numbers from 0 to {self._n_rows - 1}; got {rows.min()} to "
                    f"{rows.max()}."
                )
            yield rows.astype(np.int64)


def make_batches(
    sampler: SamplerLike | None, labels: IntArray, batch_size: int
) -> Batches:
    """Batches of rows by the user's sampler, or by `BalancedBatches`.

    Raises
    ------
    TypeError
        If the sampler returned neither batches nor an iterable with a length.
    """
    made: Any = (
        BalancedBatches(labels, batch_size)
        if sampler is None
        else sampler(labels, batch_size)
    )
    if hasattr(made, "epoch") and hasattr(made, "n_batches"):
        batches: Batches = made
        return batches
    if hasattr(made, "__iter__") and hasattr(made, "__len__"):
        return _IteratedBatches(made, len(labels))
    raise TypeError(
        "`sampler` must return batches with `n_batches` and `epoch(rng)`, or an iterable of arrays of row "
        f"numbers that has a length; got {type(made).__name__}."
    )
