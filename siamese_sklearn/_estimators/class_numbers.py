"""The number that training gives to each class."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from siamese_sklearn._typing import Array, IntArray

__all__ = ["ClassNumbers"]


@dataclass(frozen=True, eq=False)
class ClassNumbers:
    """Numbers of the classes; ``ClassNumbers()`` knows none.

    A class keeps its number, because a loss may have a weight for each class.

    Attributes
    ----------
    names : array of shape (n,)
        Sorted.
    numbers : int64 array of shape (n,)
    n_given : int
        How many numbers have been given, also to classes that are forgotten.

    Examples
    --------
    >>> numbers = ClassNumbers().extended(np.array(["ann", "bob"]))
    >>> numbers = numbers.extended(np.array(["al", "ann", "bob"])).without(["ann"])
    >>> numbers.of(np.array(["bob", "al"]))
    array([1, 2])
    >>> numbers.extended(np.array(["al", "bob", "eve"])).of(["eve"])
    array([0])
    """

    names: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    numbers: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    n_given: int = 0

    def extended(self, classes: Array) -> ClassNumbers:
        """Return numbers of all `classes`, which are sorted and contain those known.

        New classes get the numbers of forgotten ones, and then the next.
        """
        # an empty array may be of another kind
        is_new = ~np.isin(classes, self.names if len(self.names) else classes[:0])
        most = max(self.n_given, len(classes))
        free = np.setdiff1d(np.arange(most), self.numbers)
        numbers = np.empty(len(classes), dtype=np.int64)
        numbers[~is_new] = self.numbers
        numbers[is_new] = free[: is_new.sum()]
        return ClassNumbers(classes, numbers, most)

    def of(self, names: Any) -> IntArray:
        """Numbers of known classes."""
        numbers: IntArray = self.numbers[np.searchsorted(self.names, names)]
        return numbers

    def names_of(self, numbers: IntArray) -> Array:
        """Names of the classes with these numbers."""
        order = np.argsort(self.numbers)
        return self.names[order[np.searchsorted(self.numbers[order], numbers)]]

    def without(self, names: Any) -> ClassNumbers:
        """Forget names; their numbers become free."""
        gone = set(np.ravel(np.asarray(names, dtype=object)).tolist())
        stays = np.array([name not in gone for name in self.names.tolist()], dtype=bool)
        return replace(self, names=self.names[stays], numbers=self.numbers[stays])
