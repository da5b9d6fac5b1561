"""Exact search: each query is compared with every row."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.neighbors import NearestNeighbors

from siamese_sklearn._typing import Array, FloatArray, IntArray

__all__ = ["ExactSearch"]


class ExactSearch:
    """Search that compares each query with every row.

    It takes some 20 microseconds per query and thousand rows, and no time to build.
    `add` and `remove` take time in proportion to the rows added or removed; every now
    and then, `add` doubles the memory.

    See Also
    --------
    ApproximateSearch : Faster from about 100,000 rows on.

    Examples
    --------
    >>> import numpy as np
    >>> from siamese_sklearn.search import ExactSearch
    >>> search = ExactSearch().fit(np.float32([[0, 0], [0, 3], [4, 0]]))
    >>> search.remove([0]).add(np.float32([[0, 1]])).kneighbors([[0, 0]], 2)
    (array([[1., 3.]]), array([[3, 1]]))
    """

    def fit(self, X: FloatArray) -> Self:
        """Replace all rows, see `Search`."""
        self._rows = np.array(X, dtype=np.float32)  # (capacity, d)
        self._numbers = np.arange(len(self._rows))  # (capacity,)
        self._place = self._numbers.copy()  # of each number given so far
        self._n_rows = self._n_numbers = len(self._rows)
        self._searched: Any = None
        return self

    def add(self, X: FloatArray) -> Self:
        """Add rows, see `Search`."""
        n_new = len(X)
        at = slice(self._n_rows, self._n_rows + n_new)
        numbers = np.arange(self._n_numbers, self._n_numbers + n_new)
        self._rows = _with_room(self._rows, at.stop)
        self._numbers = _with_room(self._numbers, at.stop)
        self._place = _with_room(self._place, self._n_numbers + n_new)
        self._rows[at], self._numbers[at] = X, numbers
        self._place[numbers] = np.arange(at.start, at.stop)
        self._n_rows, self._n_numbers = at.stop, self._n_numbers + n_new
        self._searched = None
        return self

    def remove(self, numbers: IntArray) -> Self:
        """Remove rows, see `Search`."""
        places = self._place[np.asarray(numbers, dtype=np.int64)]
        n_left = self._n_rows - len(places)
        # the last rows move to the gaps
        is_gone = np.zeros(len(places), dtype=bool)
        is_gone[places[places >= n_left] - n_left] = True
        gaps, movers = places[places < n_left], n_left + np.flatnonzero(~is_gone)
        self._rows[gaps] = self._rows[movers]
        self._numbers[gaps] = self._numbers[movers]
        self._place[self._numbers[gaps]] = gaps
        self._n_rows, self._searched = n_left, None
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_searched": None}  # built again by the next search

    def kneighbors(self, X: FloatArray, n_neighbors: int) -> tuple[Array, IntArray]:
        """Find the nearest rows of each query, see `Search`.

        Rows at equal distances come in the order of their numbers.
        """
        if self._searched is None:
            self._searched = NearestNeighbors(algorithm="brute").fit(
                self._rows[: self._n_rows]
            )
        queries = np.asarray(X, dtype=np.float32)
        distances, places = self._searched.kneighbors(queries, n_neighbors)
        numbers = self._numbers[places]
        order = np.lexsort((numbers, distances))
        return (
            np.take_along_axis(distances, order, axis=1),
            np.take_along_axis(numbers, order, axis=1),
        )


def _with_room(array: Array, length: int) -> Array:
    """Return an array of at least this length, of twice the length if it grows."""
    if length <= len(array):
        return array
    larger = np.empty((max(length, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
