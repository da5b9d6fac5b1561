"""The gallery of identification (1:N): the rows chosen as references, and the search for the best of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.random import Generator
from scipy import sparse
from sklearn.metrics.pairwise import euclidean_distances, pairwise_distances
from sklearn.neighbors import NearestNeighbors

from siamese_sklearn._checks import check_integer
from siamese_sklearn._grouping import group_by_class
from siamese_sklearn._typing import Array, BoolArray, FloatArray, IntArray
from siamese_sklearn._validation import join_classes
from siamese_sklearn.distances import Distance, RankedByEuclidean

__all__ = ["Gallery", "Score", "choose_references"]

Score: TypeAlias = Distance | Callable[[Any, Any], FloatArray]

_MOST_ROWS = 1000  # of a class, drawn at random, that are clustered
_ITERATIONS = 10  # of k-means, which has nearly settled by then
_NUMBERS_AT_ONCE = 2**22  # of scores, or of what k-means holds: 16 MB
_TIE = 1e-6  # distances that differ by less, relatively, may be equal but for rounding


@dataclass(frozen=True, eq=False)
class Gallery:
    """Enrolled references, sorted by class; ``Gallery()`` is empty. Methods give a new one, none changes it.

    Parameters
    ----------
    rows : float32 array of shape (m, ...) or CSR matrix
        The references as they came, so that a network trained further can embed them anew.
    embeddings : float32 array of shape (m, d) or None
        None where the network takes pairs and has no embeddings.
    labels : int64 array of shape (m,)
        Places in `classes`, ascending; every class has a reference.
    classes : array of shape (n_classes,)
        Names of the classes, sorted.

    Examples
    --------
    >>> from siamese_sklearn.distances import Euclidean
    >>> X, y, rng = np.float32([[0, 0], [0, 1], [4, 4]]), ["ann", "ann", "bob"], np.random.default_rng(0)
    >>> gallery = Gallery().extended(X, X, y, n_references=10, rng=rng)
    >>> gallery.class_scores(np.float32([[0, 4]]), Euclidean())
    array([[-3., -4.]], dtype=float32)
    """

    rows: Any = None
    embeddings: FloatArray | None = None
    labels: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    classes: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    def extended(
        self,
        rows: Any,
        embeddings: FloatArray | None,
        names: Any,
        n_references: int | None,
        rng: Generator,
    ) -> Gallery:
        """Add rows to classes, known or new; a class that is too large then is chosen anew out of all.

        Parameters
        ----------
        rows : array of shape (n, ...) or CSR matrix
        embeddings : float32 array of shape (n, d) or None
            Of the rows; None if the network has none.
        names : array-like of shape (n,)
            The class of each row, checked.
        n_references, rng
            As in `choose_references`.

        Raises
        ------
        ValueError
            If some classes are numbers and some are texts.
        """
        names = np.asarray(names)
        classes = join_classes(*([self.classes] if len(self) else []), names)
        labels = np.searchsorted(classes, names)
        points = rows if embeddings is None else embeddings
        if len(self):
            labels = np.concatenate(
                [np.searchsorted(classes, self.classes)[self.labels], labels]
            )
            points = _stacked(
                self.rows if embeddings is None else self.embeddings, points
            )
        chosen = choose_references(
            points.reshape(len(labels), -1), labels, n_references, rng
        )
        kept, added = (
            chosen[chosen < len(self)],
            chosen[chosen >= len(self)] - len(self),
        )
        references = (
            _stacked(self.rows[kept], rows[added]) if len(self) else rows[added]
        )
        order = np.argsort(labels[chosen], kind="stable")
        return Gallery(
            references[order].astype(np.float32, copy=False),
            None
            if embeddings is None
            else points[chosen[order]].astype(np.float32, copy=False),
            labels[chosen[order]],
            classes,
        )

    def without(self, names: Any) -> Gallery:
        """Remove a class, or an array-like of classes; nothing is left if all go.

        Raises
        ------
        ValueError
            If one is not enrolled.
        """
        enrolled = self.classes.tolist()
        wanted = set(
            np.ravel(np.asarray(names, dtype=object)).tolist()
        )  # object: no number becomes a text
        unknown = sorted(wanted.difference(enrolled), key=str)
        if unknown:
            raise ValueError(
                f"`labels` names classes that are not enrolled: {unknown[:10]}. "
                f"{len(enrolled)} classes are enrolled, the first of them {enrolled[:10]}."
            )
        stays = np.array([name not in wanted for name in enrolled], dtype=bool)
        kept = np.flatnonzero(stays[self.labels])
        return Gallery(
            self.rows[kept],
            None if self.embeddings is None else self.embeddings[kept],
            (np.cumsum(stays) - 1)[self.labels[kept]],
            self.classes[stays],
        )

    def re_embedded(self, embed: Callable[[Any], FloatArray]) -> Gallery:
        """Embed the references anew, by ``embed(rows) -> (m, d)``."""
        return replace(self, embeddings=embed(self.rows))

    def class_scores(self, queries: Any, score: Score) -> FloatArray:
        """Score of the best reference of each class; a ValueError if nothing is enrolled.

        Parameters
        ----------
        queries : array of shape (n, ...) or CSR matrix
            Embeddings, or rows where there are none.
        score : Distance or callable
            A distance of embeddings, whose negative is the score; or
            ``score(queries, references) -> (b, m)``, which gets some queries at a time, and all embeddings
            of the gallery or, where there are none, all its rows.

        Returns
        -------
        array of shape (n, n_classes)
        """
        best = np.empty((queries.shape[0], len(self.classes)), dtype=np.float32)
        first = np.searchsorted(
            self.labels, np.arange(len(self.classes))
        )  # row of each class
        for block in self._blocks(queries.shape[0]):
            scores = self._scores(queries[block], score)  # (b, m)
            # reduceat is slow where classes are small, and needless where they have one row
            best[block] = (
                scores
                if len(first) == len(self)
                else np.maximum.reduceat(scores, first, axis=1)
            )
        return best

    def nearest(self, queries: Any, score: Score) -> tuple[IntArray, FloatArray]:
        """Find the best class, ``class_scores(queries, score).argmax(axis=1)``, in less time and memory.

        Parameters, errors and ties (the first class wins) are those of that expression.

        Returns
        -------
        numbers : array of shape (n,)
            Places in `classes`.
        scores : array of shape (n,)
        """
        n_queries = queries.shape[0]
        found, best = (
            np.empty(n_queries, dtype=np.int64),
            np.empty(n_queries, dtype=np.float32),
        )
        is_open = np.ones(n_queries, dtype=bool)
        if isinstance(score, RankedByEuclidean) and len(self) > 1 and n_queries:
            found, best, is_open = self._search(
                queries, score
            )  # faster than computing all distances
        for block in self._blocks(n_queries):
            if is_open[block].any():
                scores = self._scores(queries[block], score)  # (b, m)
                found[block], best[block] = scores.argmax(axis=1), scores.max(axis=1)
        return self.labels[found], best

    def _search(
        self, queries: FloatArray, distance: RankedByEuclidean
    ) -> tuple[IntArray, FloatArray, BoolArray]:
        """Nearest reference, its score, and whether rounding could make another the nearest; each (n,)."""
        queries, references = _images(distance, queries, self.embeddings)
        search = NearestNeighbors(
            n_neighbors=2, algorithm="brute", metric="euclidean"
        ).fit(references)
        length, index = search.kneighbors(queries)
        near, next_near = length.T
        is_open = next_near - near <= _TIE * (
            next_near + np.linalg.norm(queries, axis=1)
        )
        return index[:, 0], -distance.from_euclidean(near.astype(np.float32)), is_open

    def _blocks(self, n_queries: int) -> Iterator[slice]:
        if not len(self):
            raise ValueError(
                "No class is enrolled; call `enroll(X, y)` with examples of each class first."
            )
        step = max(_NUMBERS_AT_ONCE // len(self), 1)
        return (slice(start, start + step) for start in range(0, n_queries, step))

    def _scores(self, queries: Any, score: Score) -> FloatArray:
        references = self.rows if self.embeddings is None else self.embeddings
        if not isinstance(score, Distance):
            return score(queries, references)
        if isinstance(score, RankedByEuclidean):
            length = euclidean_distances(*_images(score, queries, references))
            return -score.from_euclidean(length)
        distance: FloatArray = pairwise_distances(
            queries, references, metric=score.sklearn_metric
        )
        return -distance.astype(np.float32)


def choose_references(
    points: Any, labels: IntArray, n_references: int | None, rng: Generator
) -> IntArray:
    """Choose the rows that stand for their classes: central ones, and spread over the class.

    A class of more than `n_references` rows is cut into as many clusters by k-means, and the row nearest to
    each centre is taken. Of a large class no more than 1000 rows (or twice `n_references`) are looked at.

    Parameters
    ----------
    points : array of shape (n, d) or CSR matrix
    labels : array of shape (n,)
        Classes as integers.
    n_references : int or None
        Rows per class at most; None keeps all. A class with fewer distinct rows may get fewer.
    rng : numpy.random.Generator

    Returns
    -------
    array of int
        Sorted row numbers.

    Examples
    --------
    >>> points, labels = np.array([[0.0], [1.0], [2.0], [9.0], [5.0]]), np.array([0, 0, 0, 0, 1])
    >>> choose_references(points, labels, 2, np.random.default_rng(0))
    array([1, 3, 4])
    """
    if n_references is None:
        return np.arange(len(labels))
    n_references = check_integer(
        "n_references", n_references, low=1, also=", or None for all"
    )
    by_class, first, count = group_by_class(labels, rng)
    is_sparse: bool = sparse.issparse(points)
    is_small = count <= n_references
    chosen = [by_class[np.repeat(is_small, count)]]
    most = min(
        max(_MOST_ROWS, 2 * n_references), 4 * _NUMBERS_AT_ONCE // points.shape[1]
    )
    size = np.minimum(count, max(most, n_references))
    # Classes of one size are clustered together: a call of KMeans for each, 2 ms, is too slow for 10,000.
    for n_rows in np.unique(size[~is_small]):
        starts = first[~is_small & (size == n_rows)]
        n_numbers = len(starts) * n_rows * (points.shape[1] + 2 * n_references)
        for part in np.array_split(
            starts, min(n_numbers // _NUMBERS_AT_ONCE + 1, len(starts))
        ):
            members = by_class[part[:, None] + np.arange(n_rows)]  # (C, m)
            rows = points[members.ravel()]
            dense = rows.toarray() if is_sparse else rows
            chosen.append(
                members[_medoids(dense.reshape(*members.shape, -1), n_references, rng)]
            )
    return np.sort(np.concatenate(chosen))


def _medoids(points: FloatArray, n_clusters: int, rng: Generator) -> BoolArray:
    """Mark the rows nearest to the centres of k-means in each layer of `points` (C, m, d); (C, m)."""
    peak = np.abs(points).max(axis=(1, 2), keepdims=True)
    scaled = points.astype(np.float32) / np.where(peak > 0, peak, 1).astype(np.float32)
    points = scaled - scaled.mean(
        axis=1, keepdims=True
    )  # products of small numbers lose less to rounding
    layer = np.arange(len(points))[:, None]
    centres = points[layer, _seeds(points, n_clusters, rng)]  # (C, k, d)
    half_square = 0.5 * np.square(points).sum(axis=2, keepdims=True)  # (C, m, 1)
    for _ in range(_ITERATIONS):
        half = (
            half_square
            + 0.5 * np.square(centres).sum(axis=2)[:, None]
            - points @ centres.swapaxes(1, 2)
        )
        member = half.argmin(axis=2)[..., None] == np.arange(
            n_clusters
        )  # (C, m, k), as `half` the squares
        size = member.sum(axis=1, dtype=np.float32)[..., None]  # (C, k, 1)
        means = member.swapaxes(1, 2).astype(np.float32) @ points / np.maximum(size, 1)
        centres = np.where(size > 0, means, centres)
    chosen = np.zeros(points.shape[:2], dtype=bool)
    chosen[layer, np.where(member, half, np.inf).argmin(axis=1)] = (
        True  # row 0 for an empty cluster
    )
    return chosen


def _seeds(points: FloatArray, n_seeds: int, rng: Generator) -> IntArray:
    """Rows to start k-means from, as k-means++ draws them (Arthur & Vassilvitskii 2007); (C, n_seeds)."""
    seeds = np.zeros(
        (len(points), n_seeds), dtype=np.int64
    )  # the first is random: the rows are shuffled
    closest = np.full(points.shape[:2], np.inf)
    for j in range(1, n_seeds):
        latest = np.take_along_axis(
            points, seeds[:, j - 1, None, None], axis=1
        )  # (C, 1, d)
        closest = np.minimum(closest, np.square(points - latest).sum(axis=2))
        # the first of exponential clocks with these rates to ring: a draw in proportion to the squares
        seeds[:, j] = (closest / rng.standard_exponential(closest.shape)).argmax(axis=1)
    return seeds


def _images(distance: RankedByEuclidean, *sides: Any) -> tuple[FloatArray, ...]:
    """Rows that are so far apart in Euclid's sense that they rank like `distance`."""
    writable = (
        np.require(side, requirements="W") for side in sides
    )  # torch takes no other memory
    return tuple(distance.image(torch.from_numpy(side)).numpy() for side in writable)


def _stacked(*parts: Any) -> Any:
    return (
        sparse.vstack(parts, format="csr")
        if sparse.issparse(parts[0])
        else np.concatenate(parts)
    )
