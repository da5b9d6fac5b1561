"""Turn the parameter `search` into a search that is not fitted yet."""

from __future__ import annotations

import copy
from typing import Any, Self, TypeAlias

import numpy as np

from siamese_sklearn._checks import check_option
from siamese_sklearn._typing import Array, FloatArray, IntArray
from siamese_sklearn.search._approximate import ApproximateSearch, index_class
from siamese_sklearn.search._exact import ExactSearch
from siamese_sklearn.search._protocol import Search

__all__ = ["SEARCHES", "SearchLike", "check_search", "make_search"]

SearchLike: TypeAlias = str | Search | Any

SEARCHES = {"exact": ExactSearch, "approximate": ApproximateSearch}


def check_search(name: str, value: SearchLike) -> None:
    """Raise an error unless `make_search` can make a search of `value`.

    Raises
    ------
    ValueError, TypeError
        If `value` is another name, or an object without `fit` and `kneighbors`.
    ImportError
        If the search needs a package that is not installed.
    """
    if isinstance(value, str):
        value = SEARCHES[check_option(name, value, SEARCHES)]()
    lacks = [verb for verb in ("fit", "kneighbors") if not hasattr(value, verb)]
    if lacks or isinstance(value, type):
        raise TypeError(
            f"`{name}` must be 'exact', 'approximate', or an object with the methods "
            "fit, kneighbors, add and remove (without the last two, it is fitted again "
            f"after each change); got {value!r}."
        )
    if isinstance(value, ApproximateSearch):
        index_class()


def make_search(search: SearchLike) -> Search:
    """Make a search of a name or a copy of an object.

    Parameters
    ----------
    search : {"exact", "approximate"}, Search, or object with `fit` and `kneighbors`
        As checked by `check_search`. The last is fitted again after each change, as
        scikit-learn's ``NearestNeighbors`` has to be.

    Returns
    -------
    Search
    """
    if isinstance(search, str):
        made: Search = SEARCHES[search]()
        return made
    own = copy.deepcopy(search)
    return own if isinstance(own, Search) else _Refitted(own)


class _Refitted:
    """A search that is fitted on all rows before the first query after a change."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def fit(self, X: FloatArray) -> Self:
        self._rows, self._numbers = X, np.arange(len(X))
        self._n_numbers, self._is_stale = len(X), True
        return self

    def add(self, X: FloatArray) -> Self:
        new = np.arange(self._n_numbers, self._n_numbers + len(X))
        self._rows = np.concatenate([self._rows, X])
        self._numbers = np.concatenate([self._numbers, new])
        self._n_numbers, self._is_stale = self._n_numbers + len(X), True
        return self

    def remove(self, numbers: IntArray) -> Self:
        stays = ~np.isin(self._numbers, numbers)
        self._rows, self._numbers = self._rows[stays], self._numbers[stays]
        self._is_stale = True
        return self

    def kneighbors(self, X: FloatArray, n_neighbors: int) -> tuple[Array, IntArray]:
        if self._is_stale:
            self.inner.fit(self._rows)
            self._is_stale = False
        distances, places = self.inner.kneighbors(X, n_neighbors=n_neighbors)
        return distances, self._numbers[places]
