"""Approximate search in a graph of neighbors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from siamese_sklearn._checks import check_integer
from siamese_sklearn._typing import Array, FloatArray, IntArray

__all__ = ["ApproximateSearch", "index_class"]


@dataclass(kw_only=True, eq=False)
class ApproximateSearch:
    """Search in a graph of neighbors, which misses a few of them.

    The time of a query hardly depends on the number of rows. Building the graph takes
    about a millisecond per row, once. Needs the package usearch:
    ``pip install siamese-sklearn[search]``.

    Parameters
    ----------
    connectivity : int, default=32
        Edges of each row. More find more neighbors, and take more memory.
    expansion_add : int, default=128
        Candidates while a row is added.
    expansion_search : int, default=128
        Candidates in a search; more find more neighbors in more time. At least as many
        as the neighbors sought are taken.
    n_threads : int, default=1
        With more than one, the graph depends on the order in which they finish.

    Raises
    ------
    ImportError
        In `fit`, if usearch is not installed.

    See Also
    --------
    ExactSearch : Misses none.

    References
    ----------
    Malkov & Yashunin, "Efficient and Robust Approximate Nearest Neighbor Search Using
    Hierarchical Navigable Small World Graphs", IEEE TPAMI 42(4), 2020.
    """

    connectivity: int = 32
    expansion_add: int = 128
    expansion_search: int = 128
    n_threads: int = 1
    _index: Any = field(default=None, init=False, repr=False)
    _n_numbers: int = field(default=0, init=False, repr=False)

    def fit(self, X: FloatArray) -> Self:
        """Replace all rows, see `Search`."""
        for name in ("connectivity", "expansion_add", "expansion_search", "n_threads"):
            check_integer(f"ApproximateSearch.{name}", getattr(self, name), low=1)
        self._index = index_class()(
            ndim=X.shape[1],
            metric="l2sq",
            dtype="f32",
            connectivity=self.connectivity,
            expansion_add=self.expansion_add,
            expansion_search=self.expansion_search,
        )
        self._n_numbers = 0
        return self.add(X)

    def add(self, X: FloatArray) -> Self:
        """Add rows, see `Search`."""
        numbers = np.arange(self._n_numbers, self._n_numbers + len(X))
        rows = np.ascontiguousarray(X, dtype=np.float32)
        self._index.add(numbers, rows, threads=self.n_threads)
        self._n_numbers += len(X)
        return self

    def remove(self, numbers: IntArray) -> Self:
        """Remove rows, see `Search`."""
        self._index.remove(np.asarray(numbers, dtype=np.int64))
        return self

    def kneighbors(self, X: FloatArray, n_neighbors: int) -> tuple[Array, IntArray]:
        """Find the nearest rows of each query, see `Search`."""
        queries = np.ascontiguousarray(X, dtype=np.float32)
        numbers, square, count = self._found(queries, n_neighbors)
        is_short = count < n_neighbors  # rows that removals have cut off
        if is_short.any():
            numbers[is_short], square[is_short], _ = self._found(
                queries[is_short], n_neighbors, exact=True
            )
        return np.sqrt(square), numbers

    def _found(
        self, queries: FloatArray, n_neighbors: int, *, exact: bool = False
    ) -> tuple[IntArray, FloatArray, IntArray]:
        """Numbers and squared distances, (n, n_neighbors), and how many are valid."""
        n = len(queries)
        # usearch drops the first axis of a single query
        batch = np.concatenate([queries, queries]) if n == 1 else queries
        found = self._index.search(
            batch, n_neighbors, threads=self.n_threads, exact=exact
        )
        numbers, square = found.keys[:n].astype(np.int64), found.distances[:n].copy()
        return numbers, square, found.counts[:n]

    def __getstate__(self) -> dict[str, Any]:
        index = self._index
        saved = None if index is None else bytes(index.save())
        return {**vars(self), "_index": saved}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._index is not None:
            self._index = index_class().restore(self._index)
            self._index.expansion_add = self.expansion_add
            self._index.expansion_search = self.expansion_search


def index_class() -> Any:
    """Class of usearch's index, or an ImportError that says how to install it."""
    try:
        from usearch.index import Index
    except ImportError as error:
        raise ImportError(
            "The approximate search needs the package usearch, which is not installed, "
            "or not completely. Install it with `pip install siamese-sklearn[search]`."
        ) from error
    return Index
