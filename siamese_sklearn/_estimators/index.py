"""SiameseIndex: retrieval of rows by their embeddings, without classes."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import check_is_fitted

from siamese_sklearn._checks import check_integer
from siamese_sklearn._estimators.base import SiameseBase
from siamese_sklearn._estimators.gallery import joined_ids
from siamese_sklearn._net import DistanceScorer, threads
from siamese_sklearn._typing import Array, FloatArray
from siamese_sklearn._validation import (
    check_ids,
    check_rows,
    number_after,
    numbered_ids,
)
from siamese_sklearn.distances import RankedByEuclidean
from siamese_sklearn.search._resolve import SearchLike, check_search, make_search

__all__ = ["SiameseIndex"]


class SiameseIndex:
    """Rows to retrieve by their embeddings; they have ids, and no classes.

    The index keeps a copy of the embedder, so that a later `fit` does not change what
    it finds, and the embeddings, but not the rows.

    Parameters
    ----------
    embedder : SiameseEmbedder
        Fitted. Also a `SiamesePairClassifier` whose score is a negative distance.
    X : as in `SiameseEmbedder.transform`, of n rows
    ids : array-like of shape (n,), default=None
        What identifies each row: integers of 64 bits or strings. None numbers the rows
        from 0.
    search : {"exact", "approximate"} or object, default="exact"
        As in `SiamesePairClassifier`. With a distance that does not rank as the
        Euclidean one does ("manhattan"), "exact" only.

    Attributes
    ----------
    ids : ndarray of shape (n_rows,)
        The ids of all rows, in the order in which they were added.

    Raises
    ------
    ValueError, TypeError
        If a row or an id is invalid, an id is given twice, or `search` is unknown.
    ImportError
        If `search` needs a package that is not installed.

    See Also
    --------
    SiamesePairClassifier : Identification, for rows of classes.
    siamese_sklearn.matching : All pairs of two tables that are the same.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from siamese_sklearn import SiameseEmbedder
    >>> X, y = load_digits(return_X_y=True)
    >>> embedder = SiameseEmbedder(max_epochs=5, random_state=0).fit(X[:1000], y[:1000])
    >>> index = embedder.index(X[1000:1500])
    >>> ids = index.kneighbors(X[:1], n_neighbors=3, return_distance=False)
    >>> y[:1], y[1000 + ids]
    (array([0]), array([[0, 0, 0]]))
    >>> len(index.add(X[1500:1501], ids=["new"]).remove([0, 1]))
    499
    """

    def __init__(
        self,
        embedder: SiameseBase,
        X: Any,
        *,
        ids: npt.ArrayLike | None = None,
        search: SearchLike = "exact",
    ) -> None:
        scorer = _distance_scorer(embedder)
        check_search("search", search)
        self._distance = scorer.distance
        if not isinstance(self._distance, RankedByEuclidean):
            if not isinstance(search, str) or search != "exact":
                raise ValueError(
                    "`search` must be 'exact' for embeddings that are compared by the "
                    f"distance {self._distance.name!r}, because searches rank by the "
                    f"Euclidean distance; got {search!r}."
                )
            metric = self._distance.sklearn_metric
            search = NearestNeighbors(algorithm="brute", metric=metric)
        # the net is shared, because training replaces it and does not change it
        self._embedder = copy.copy(embedder)
        self._search = make_search(search)
        self._ids: Array = np.empty(0, dtype=np.int64)  # by number of the search
        self._next_id = 0
        self._number: dict[Any, int] = {}  # of each row that is there
        self._add(X, ids, self._search.fit)

    def __len__(self) -> int:
        return len(self._number)

    @property
    def ids(self) -> Array:
        """The ids of all rows, in the order in which they were added."""
        return self._ids[list(self._number.values())]

    def add(self, X: Any, ids: npt.ArrayLike | None = None) -> Self:
        """Add rows.

        Parameters
        ----------
        X : as in `SiameseEmbedder.transform`, of n rows
        ids : array-like of shape (n,), default=None
            What identifies each row. None numbers the rows on from those added before,
            and from integers given before.

        Returns
        -------
        self : SiameseIndex

        Raises
        ------
        ValueError, TypeError
            If a row or an id is invalid, or an id is in the index. The index is then
            unchanged.
        """
        self._add(X, ids, self._search.add)
        return self

    def remove(self, ids: npt.ArrayLike) -> Self:
        """Remove rows.

        Parameters
        ----------
        ids : array-like of ids

        Returns
        -------
        self : SiameseIndex

        Raises
        ------
        ValueError
            If an id is not in the index, or is given twice; then none is removed.
        """
        wanted = np.ravel(np.asarray(ids, dtype=object)).tolist()
        unknown = [each for each in wanted if each not in self._number]
        if unknown or len(set(wanted)) < len(wanted):
            raise ValueError(
                "`ids` must be in the index, each once; "
                + (f"unknown: {unknown[:10]}." if unknown else f"got {wanted[:10]}.")
            )
        if wanted:
            self._search.remove(np.array([self._number[each] for each in wanted]))
        for each in wanted:
            del self._number[each]
        return self

    def kneighbors(
        self, X: Any, n_neighbors: int = 5, return_distance: bool = True
    ) -> Any:
        """Find the rows most similar to each query.

        Parameters
        ----------
        X : as in `SiameseEmbedder.transform`, of n rows
        n_neighbors : int, default=5
            At most the number of rows in the index.
        return_distance : bool, default=True

        Returns
        -------
        distances : array of shape (n, n_neighbors), float32
            As `pair_distance` measures them, in ascending order. Only if
            `return_distance` is True.
        ids : array of shape (n, n_neighbors)

        Raises
        ------
        ValueError
            If the index has fewer rows.
        """
        n_neighbors = check_integer("n_neighbors", n_neighbors, low=1)
        if n_neighbors > len(self):
            raise ValueError(
                f"`n_neighbors`={n_neighbors} is more than the number of rows in the "
                f"index, {len(self)}."
            )
        with threads(self._embedder.n_threads):
            queries = self._images(check_rows(self._embedder, X, reset=False), 0)
            found, numbers = self._search.kneighbors(queries, n_neighbors)
        distances = found.astype(np.float32)
        if isinstance(self._distance, RankedByEuclidean):
            distances = self._distance.from_euclidean(distances)
        ids = self._ids[numbers]
        return (distances, ids) if return_distance else ids

    def _add(self, X: Any, ids: npt.ArrayLike | None, put: Any) -> None:
        rows = check_rows(self._embedder._right, X, reset=False)
        n_new, start = rows.shape[0], len(self._ids)
        default = numbered_ids(self._next_id, n_new) if ids is None else ids
        given = check_ids(default, rows, self._ids[:0])
        taken = [each for each in given.tolist() if each in self._number]
        if taken:
            raise ValueError(
                f"`ids` are in the index already: {taken[:10]}. Use other ids, or "
                "`remove` these first."
            )
        with threads(self._embedder.n_threads):
            put(self._images(rows, 1))
        self._ids = joined_ids(self._ids, given)
        self._next_id = number_after(self._next_id + n_new, given)
        numbers = range(start, start + n_new)
        self._number.update(zip(given.tolist(), numbers, strict=True))

    def _images(self, rows: Any, side: int) -> FloatArray:
        """Embeddings, or images of them that rank by the Euclidean distance."""
        embeddings: FloatArray = self._embedder._scorer.codes(rows, side)
        if not isinstance(self._distance, RankedByEuclidean):
            return embeddings
        images: FloatArray = self._distance.image(torch.from_numpy(embeddings)).numpy()
        return images


def _distance_scorer(embedder: Any) -> DistanceScorer:
    """Scorer of a fitted estimator, or an error that says what it has to be."""
    wanted = "`embedder` must be a SiameseEmbedder"
    if not isinstance(embedder, SiameseBase):
        raise TypeError(f"{wanted}; got {type(embedder).__name__}.")
    check_is_fitted(embedder)
    scorer = embedder._scorer
    if not isinstance(scorer, DistanceScorer):
        raise ValueError(
            f"{wanted}, or a classifier that compares embeddings by a distance; this "
            f"{type(embedder).__name__} has a head or no embeddings."
        )
    return scorer
