"""The number that training gives to each class."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from siamese_sklearn._labels import label_keys, label_objects, number_labels
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
        is_new = np.ones(len(classes), dtype=bool)
        is_new[number_labels(self.names, classes) if len(self.names) else []] = False
        most = max(self.n_given, len(classes))
        free = np.setdiff1d(np.arange(most), self.numbers)
        numbers = np.empty(len(classes), dtype=np.int64)
        numbers[~is_new] = self.numbers
        numbers[is_new] = free[: is_new.sum()]
        return ClassNumbers(classes, numbers, most)

    def of(self, names: Any) -> IntArray:
        """Numbers of known classes."""
        numbers: IntArray = self.numbers[number_labels(np.asarray(names), self.names)]
        return numbers

    def names_of(self, numbers: IntArray) -> Array:
        """Names of the classes with these numbers."""
        order = np.argsort(self.numbers)
        return self.names[order[np.searchsorted(self.numbers[order], numbers)]]

    def without(self, names: Any) -> ClassNumbers:
        """Forget names; their numbers become free."""
        gone, known = set(label_keys(label_objects(names).ravel())), self.names
        stays = np.array([key not in gone for key in label_keys(known)], dtype=bool)
        return replace(self, names=self.names[stays], numbers=self.numbers[stays])
