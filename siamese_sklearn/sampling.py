"""Batches of rows and pairs: balanced by class, shuffled, or by a user's sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from siamese_sklearn._checks import check_integer
from siamese_sklearn._grouping import group_by_class, number_within
from siamese_sklearn._typing import DoubleArray, IntArray

__all__ = ["BalancedBatches", "Batches", "PairedBatches", "ShuffledBatches"]

_SAMPLES_PER_CLASS = 4  # K, as in Hermans et al. 2017

SamplerLike: TypeAlias = Callable[[IntArray, int], Any]


class Batches(Protocol):
    """Batches of an epoch: row numbers (B,), or (2, B) for both sides of pairs."""

    n_batches: int

    def epoch(self, rng: np.random.Generator) -> Iterator[IntArray]:
        """Yield the batches of one epoch."""
        ...


class BalancedBatches:
    """Batches of P groups of K rows of one class, with positive and negative pairs.

    An epoch splits every class into groups of at most `samples_per_class` rows, or of
    three where a row would otherwise be left alone. The groups of a class have nearly
    equal sizes and are spread evenly over the epoch. As a result:

    - every row occurs in every epoch, and exactly once if the classes are balanced;
    - a class with fewer groups than the average class gets additional groups of rows
      drawn again, up to that average, rounded down: rare classes are seen more often,
      and an epoch stays shorter than twice the data;
    - every batch has at least two groups, of different classes if the classes are
      balanced;
    - a row never occurs twice in one batch, and a class of one row, which has no
      positive, still provides a negative.

    An epoch costs one sort of the rows, for any number of classes.

    Parameters
    ----------
    labels : array of shape (n,)
        Classes as integers.
    batch_size : int
        Rows per batch, at least 4. Groups stay whole, so a batch can be smaller or
        larger by one group (by two if `batch_size` is below 6).
    samples_per_class : int, default=4
        K. Limited to half of the batch, so that two classes fit.

    Attributes
    ----------
    n_batches : int
        Batches per epoch.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.repeat([0, 1, 2], [6, 4, 2])
    >>> batches = BalancedBatches(labels, batch_size=8, samples_per_class=2)
    >>> rng = np.random.default_rng(0)
    >>> sorted(np.concatenate(list(batches.epoch(rng))).tolist())
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
        """Class, offset among the rows of the class (cyclic) and size of every group.

        The groups are ordered by class.
        """
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
        """Rows at which the second and later batches start.

        Batches have nearly equal sizes, but groups stay whole, and each batch has at
        least two.
        """
        batch = np.arange(1, self.n_batches)
        n_groups = np.searchsorted(ends, batch * (self._n_rows / self.n_batches)) + 1
        n_groups = 2 * batch + np.maximum.accumulate(
            np.maximum(n_groups - 2 * batch, 0)
        )
        n_groups = np.minimum(n_groups, len(ends) - 2 * (self.n_batches - batch))
        return ends[n_groups - 1]

    def _position(self, label: IntArray, rng: np.random.Generator) -> DoubleArray:
        """Place of each group in the epoch, in [0, 1).

        The groups of a class are equally spaced, from a random start.
        """
        total = self._n_groups + self._n_drawn_again
        order, _, _ = group_by_class(label)
        number = np.empty_like(label)
        number[order] = number_within(total)[1]
        position: DoubleArray = (number + rng.random(len(total))[label]) / total[label]
        return position


class ShuffledBatches:
    """Batches of rows in random order, each row once per epoch.

    Used for given pairs and triplets, which need no class balance.

    Parameters
    ----------
    n_rows : int
    batch_size : int
        Largest size of a batch; the sizes differ by at most one.

    Attributes
    ----------
    n_batches : int
        Batches per epoch.

    Examples
    --------
    >>> import numpy as np
    >>> batches = ShuffledBatches(10, batch_size=4)
    >>> [len(batch) for batch in batches.epoch(np.random.default_rng(0))]
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
    """Batches of pairs of labeled rows, about half of which are positive.

    Used for networks that only accept pairs. The rows of a batch are drawn as in
    `BalancedBatches`. Each of them is paired with another row of the batch: a random
    half with a row of the same class where there is one, the others with a row of
    another class.

    Parameters
    ----------
    labels : array of shape (n,)
        Classes as integers.
    batch_size : int
        Pairs per batch, as in `BalancedBatches`.
    rows : Batches, default=None
        Batches of the rows to pair; None means `BalancedBatches`.

    Attributes
    ----------
    n_batches : int
        Batches per epoch.

    Examples
    --------
    >>> import numpy as np
    >>> batches = PairedBatches([0, 0, 1, 1], batch_size=4)
    >>> rng = np.random.default_rng(0)
    >>> [left.shape == right.shape == (4,) for left, right in batches.epoch(rng)]
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
        # The draws are in (0, 1], so that every candidate beats every other row.
        partner: IntArray = (candidates * (1 - rng.random(candidates.shape))).argmax(1)
        return partner


class _IteratedBatches:
    """Batches of an iterable with its own randomness, such as a torch BatchSampler."""

    def __init__(self, batches: Any, n_rows: int) -> None:
        self._batches = batches
        self._n_rows = n_rows
        self.n_batches = len(batches)

    def epoch(self, rng: np.random.Generator) -> Iterator[IntArray]:
        for batch in self._batches:
            rows = np.asarray(batch)
            if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows):
                raise ValueError(
                    "`sampler` must yield batches of row numbers, integers of shape "
                    f"(B,); got {rows.dtype} of shape {rows.shape}."
                )
            if rows.min() < 0 or rows.max() >= self._n_rows:
                raise ValueError(
                    f"`sampler` must yield row numbers from 0 to {self._n_rows - 1}; "
                    f"got a batch with row numbers from {rows.min()} to {rows.max()}."
                )
            yield rows.astype(np.int64)


def make_batches(
    sampler: SamplerLike | None, labels: IntArray, batch_size: int
) -> Batches:
    """Make batches with the user's sampler; None means `BalancedBatches`.

    Raises
    ------
    TypeError
        If the sampler returns neither batches nor an iterable with a length.
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
        "`sampler` must return batches with `n_batches` and `epoch(rng)`, or an "
        "iterable of arrays of row numbers that has a length; got "
        f"{type(made).__name__}."
    )
