"""Gallery for identification (1:N): the reference rows, and the search among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.random import Generator
from scipy import sparse
from sklearn.metrics.pairwise import euclidean_distances, pairwise_distances
from sklearn.neighbors import NearestNeighbors

from siamese_sklearn._arrays import stacked
from siamese_sklearn._checks import check_integer
from siamese_sklearn._grouping import group_by_class, number_within
from siamese_sklearn._labels import (
    as_labels,
    join_labels,
    label_keys,
    label_objects,
    number_labels,
)
from siamese_sklearn._typing import Array, BoolArray, FloatArray, IntArray
from siamese_sklearn._validation import join_classes
from siamese_sklearn.distances import Distance, RankedByEuclidean

__all__ = ["Gallery", "Score", "choose_references", "joined_ids", "votes"]

Score: TypeAlias = Distance | Callable[[Any, Any], FloatArray]

_MAX_ROWS = 1000  # clustered per class; a larger class is sampled
_ITERATIONS = 10  # of k-means, which has nearly converged by then
_NUMBERS_AT_ONCE = 2**22  # scores, or entries that k-means holds: 16 MB
_TIE = 1e-6  # distances closer than this, relatively, may differ by rounding only


@dataclass(frozen=True, eq=False)
class Gallery:
    """Immutable set of enrolled references, sorted by class; ``Gallery()`` is empty.

    Parameters
    ----------
    rows : float32 array of shape (m, ...) or CSR matrix
        The reference rows, kept so that they can be re-embedded after further training.
    embeddings : float32 array of shape (m, d) or None
        None if the network takes pairs and has no embeddings.
    labels : int64 array of shape (m,)
        Indices into `classes`, ascending; every class has at least one reference.
    classes : array of shape (n_classes,)
        Names of the classes, sorted.
    ids : array of shape (m,)
        What identifies each reference.
    serials : int64 array of shape (m,), default=None
        A number for each embedding, below `next_serial`. In galleries of the same
        `origin`, equal numbers are equal embeddings. None numbers them from 0.
    next_serial : int
        Lowest number that has not been used; ignored if `serials` is None.
    origin : object
        The same for galleries that come from each other.

    Examples
    --------
    >>> from siamese_sklearn.distances import Euclidean
    >>> X, y = np.float32([[0, 0], [0, 1], [4, 4]]), ["ann", "ann", "bob"]
    >>> rng = np.random.default_rng(0)
    >>> gallery = Gallery().extended(X, X, y, n_references=10, rng=rng)
    >>> gallery.class_scores(np.float32([[0, 4]]), Euclidean())
    array([[-3., -4.]], dtype=float32)
    """

    rows: Any = None
    embeddings: FloatArray | None = None
    labels: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    classes: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    ids: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    serials: IntArray = None  # type: ignore[assignment]  # set after construction
    next_serial: int = 0
    origin: object = field(default_factory=object)

    def __post_init__(self) -> None:
        given: Any = self.serials
        if given is None:
            object.__setattr__(self, "serials", np.arange(len(self)))
            object.__setattr__(self, "next_serial", len(self))

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __len__(self) -> int:
        return len(self.labels)

    def check_enrolled(self) -> None:
        """Raise a ValueError if the gallery is empty."""
        if not len(self):
            raise ValueError(
                "Nothing is enrolled, so rows cannot be identified. Call enroll(X, y) "
                "with at least one row of each class; to compare two sides, pass "
                "Pairs(left, right)."
            )

    def extended(
        self,
        rows: Any,
        embeddings: FloatArray | None,
        names: Any,
        n_references: int | None,
        rng: Generator,
        ids: Array | None = None,
    ) -> Gallery:
        """Return a gallery with more rows, of known or new classes.

        If a class exceeds `n_references`, its references are chosen again from its old
        references and its new rows.

        Parameters
        ----------
        rows : array of shape (n, ...) or CSR matrix
        embeddings : float32 array of shape (n, d) or None
            Embeddings of the rows; None if the network has none.
        names : array-like of shape (n,)
            The class of each row, validated.
        n_references, rng
            As in `choose_references`.
        ids : array of shape (n,), default=None
            What identifies each row; None numbers them from 0.

        Raises
        ------
        ValueError
            If the classes are of different kinds, such as numbers and strings.
        """
        names = as_labels(names)
        part = self.of_classes(names)._joined(
            rows, embeddings, names, n_references, rng, ids
        )
        return self._with_classes(part) if len(self) else part

    def of_classes(self, names: Array) -> Gallery:
        """Return a part of the gallery: those classes in `names` that are enrolled.

        Raises
        ------
        ValueError
            If the classes are of different kinds, such as numbers and strings.
        """
        if not len(self):
            return self
        join_classes(self.classes[:3], names)  # raises
        both = join_labels(self.classes, names)  # in a type that holds all of them
        is_among = np.isin(both[: len(self.classes)], both[len(self.classes) :])
        enrolled = is_among.nonzero()[0]
        start, end = self.ends(enrolled)
        group, number = number_within(end - start)
        kept = start[group] + number
        return replace(
            self,
            rows=self.rows[kept],
            embeddings=None if self.embeddings is None else self.embeddings[kept],
            labels=group,
            classes=self.classes[enrolled],
            ids=self.ids[kept],
            serials=self.serials[kept],
        )

    def _joined(
        self,
        rows: Any,
        embeddings: FloatArray | None,
        names: Array,
        n_references: int | None,
        rng: Generator,
        ids: Array | None,
    ) -> Gallery:
        """As `extended`, at the cost of choosing all references again."""
        n_old, n_new = len(self), len(names)
        classes = join_classes(*([self.classes] if n_old else []), names)
        labels = number_labels(names, classes)
        points = rows if embeddings is None else embeddings
        if n_old:
            old_labels = number_labels(self.classes, classes)[self.labels]
            labels = np.concatenate([old_labels, labels])
            rows = stacked(self.rows, rows)
            old_points = self.rows if embeddings is None else self.embeddings
            points = rows if embeddings is None else stacked(old_points, points)
        chosen = choose_references(
            points.reshape(len(labels), -1), labels, n_references, rng
        )
        chosen = chosen[np.argsort(labels[chosen], kind="stable")]
        serials = np.concatenate([self.serials, self.next_serial + np.arange(n_new)])
        given = np.arange(n_new) if ids is None else ids
        return replace(
            self,
            rows=rows[chosen].astype(np.float32, copy=False),
            embeddings=None
            if embeddings is None
            else points[chosen].astype(np.float32, copy=False),
            labels=labels[chosen],
            classes=classes,
            ids=joined_ids(self.ids, given)[chosen],
            serials=serials[chosen],
            next_serial=self.next_serial + n_new,
        )

    def _with_classes(self, part: Gallery) -> Gallery:
        """Replace the classes of `part`, or insert them; all others are copied once."""
        both = join_labels(self.classes, part.classes)  # in a type that holds all
        ours, theirs = both[: len(self.classes)], both[len(self.classes) :]
        place = np.searchsorted(ours, theirs)
        is_known = ours[np.minimum(place, len(ours) - 1)] == theirs
        classes = np.insert(ours, place[~is_known], theirs[~is_known])
        number = np.searchsorted(classes, ours)  # of each old class
        start, end = self.ends(place)
        end = np.where(is_known, end, start)
        begins, ends = part.ends(np.arange(len(part.classes)))
        cuts = [0, *end.tolist()], [*start.tolist(), len(self)]
        old = [slice(*cut) for cut in zip(*cuts, strict=True)]
        new = [slice(*cut) for cut in zip(begins.tolist(), ends.tolist(), strict=True)]

        def spliced(one: Any, other: Any, join: Callable[..., Any] = stacked) -> Any:
            pieces = [one[old[0]]]
            for inserted, following in zip(new, old[1:], strict=True):
                pieces += [other[inserted], one[following]]
            return join(*pieces)

        new_labels = np.searchsorted(classes, theirs)[part.labels]
        return replace(
            part,
            rows=spliced(self.rows, part.rows),
            embeddings=None
            if self.embeddings is None
            else spliced(self.embeddings, part.embeddings),
            labels=spliced(number[self.labels], new_labels),
            classes=classes,
            ids=spliced(self.ids, part.ids, joined_ids),
            serials=spliced(self.serials, part.serials),
        )

    def ends(self, labels: IntArray) -> tuple[IntArray, IntArray]:
        """Where the references of classes start and end."""
        sides: tuple[Any, Any] = ("left", "right")
        start, end = (np.searchsorted(self.labels, labels, side) for side in sides)
        return start, end

    def without(self, names: Any) -> Gallery:
        """Return a gallery without a class, or without several classes.

        Raises
        ------
        ValueError
            If any of them is not enrolled.
        """
        enrolled = self.classes.tolist()
        given, own = label_objects(names).ravel(), label_keys(self.classes)
        wanted = dict(zip(label_keys(given), given.tolist(), strict=True))
        unknown = sorted((wanted[key] for key in wanted.keys() - set(own)), key=str)
        if unknown:
            raise ValueError(
                f"`labels` names classes that are not enrolled: {unknown[:10]}. "
                f"{len(enrolled)} classes are enrolled, starting with {enrolled[:10]}."
            )
        stays = np.array([name not in wanted for name in own], dtype=bool)
        kept = np.flatnonzero(stays[self.labels])
        return Gallery(
            self.rows[kept],
            None if self.embeddings is None else self.embeddings[kept],
            (np.cumsum(stays) - 1)[self.labels[kept]],
            self.classes[stays],
            self.ids[kept],
            self.serials[kept],
            self.next_serial,
            self.origin,
        )

    def re_embedded(self, embed: Callable[[Any], FloatArray]) -> Gallery:
        """Return a gallery with new embeddings, ``embed(rows) -> (m, d)``."""
        return replace(self, embeddings=embed(self.rows), origin=object())

    def class_scores(
        self, queries: Any, score: Score, sharpness: float = math.inf
    ) -> FloatArray:
        """Score of each class; raises if the gallery is empty.

        The references of a class vote: if s are their scores and b is the sharpness,
        the class has ``log(mean(exp(b s))) / b``. That is the best score if b is
        infinite, and the mean as b goes to 0. As it is a mean, a class gains nothing by
        having many references.

        Parameters
        ----------
        queries : array of shape (n, ...) or CSR matrix
            Embeddings, or rows if the network has no embeddings.
        score : Distance or callable
            A distance between embeddings, whose negative is the score; or
            ``score(queries, references) -> (b, m)``, which is called with a slice of
            the queries and with all embeddings of the gallery, or all its rows if the
            network has no embeddings.
        sharpness : float, default=inf
            Above 0.

        Returns
        -------
        array of shape (n, n_classes)
        """
        found = np.empty((queries.shape[0], len(self.classes)), dtype=np.float32)
        for block in self._blocks(queries.shape[0]):
            found[block] = self._votes(queries[block], score, sharpness)
        return found

    def nearest(
        self, queries: Any, score: Score, sharpness: float = math.inf
    ) -> tuple[IntArray, FloatArray]:
        """Find the best class of each query, faster than by `class_scores`.

        The result, the errors and the ties (the first class wins) are those of
        ``class_scores(queries, score, sharpness).argmax(axis=1)``.

        Returns
        -------
        numbers : array of shape (n,)
            Indices into `classes`.
        scores : array of shape (n,)
        """
        n_queries = queries.shape[0]
        found, best = (
            np.empty(n_queries, dtype=np.int64),
            np.empty(n_queries, dtype=np.float32),
        )
        if math.isfinite(sharpness) and len(self) > len(self.classes):
            for block in self._blocks(n_queries):
                votes = self._votes(queries[block], score, sharpness)
                found[block], best[block] = votes.argmax(axis=1), votes.max(axis=1)
            return found, best
        is_open = np.ones(n_queries, dtype=bool)
        if isinstance(score, RankedByEuclidean) and len(self) > 1 and n_queries:
            # faster than computing all distances
            found, best, is_open = self._search(queries, score)
        for block in self._blocks(n_queries):
            if is_open[block].any():
                scores = self._scores(queries[block], score)  # (b, m)
                found[block], best[block] = scores.argmax(axis=1), scores.max(axis=1)
        return self.labels[found], best

    def best_of_others(
        self, queries: Any, names: Any, score: Score, sharpness: float = math.inf
    ) -> FloatArray:
        """Score of the best class that is not the query's own.

        Parameters
        ----------
        queries, score, sharpness
            As in `class_scores`.
        names : array-like of shape (n,)
            The class of each query, which need not be enrolled.

        Returns
        -------
        array of shape (n,)
            Minus infinity for a query of the only class.
        """
        number = {name: i for i, name in enumerate(self.classes.tolist())}
        own = np.array([number.get(name, -1) for name in np.asarray(names).tolist()])
        best = np.empty(len(own), dtype=np.float32)
        for block in self._blocks(len(own)):
            votes = self._votes(queries[block], score, sharpness)  # (b, n_classes)
            is_own = own[block, None] == np.arange(len(self.classes))
            best[block] = np.where(is_own, -np.inf, votes).max(axis=1)
        return best

    def nearest_references(
        self, queries: Any, n_neighbors: int, score: Score
    ) -> tuple[IntArray, FloatArray]:
        """Find the best references of each query, in descending order of their scores.

        Parameters
        ----------
        queries, score
            As in `class_scores`.
        n_neighbors : int
            At most the number of references.

        Returns
        -------
        numbers : array of shape (n, n_neighbors)
            Places of the references; of equal scores, the first place comes first.
        scores : array of shape (n, n_neighbors)
        """
        shape = queries.shape[0], n_neighbors
        found, best = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
        for block in self._blocks(shape[0]):
            scores = self._scores(queries[block], score)  # (b, m)
            places = _best_places(scores, n_neighbors)
            found[block] = places
            best[block] = np.take_along_axis(scores, places, axis=1)
        return found, best

    def _search(
        self, queries: FloatArray, distance: RankedByEuclidean
    ) -> tuple[IntArray, FloatArray, BoolArray]:
        """Nearest reference, its score, and whether it may be a tie; each (n,)."""
        (queries,) = _images(distance, queries)
        length, index = self._searched(distance).kneighbors(queries)
        near, next_near = length.T
        is_open = next_near - near <= _TIE * (
            next_near + np.linalg.norm(queries, axis=1)
        )
        return index[:, 0], -distance.from_euclidean(near.astype(np.float32)), is_open

    def _searched(self, distance: RankedByEuclidean) -> NearestNeighbors:
        """Search among the references, made at the first call."""
        made: dict[RankedByEuclidean, NearestNeighbors] = vars(self).setdefault(
            "_made", {}
        )
        if distance not in made:
            (references,) = _images(distance, self.embeddings)
            made[distance] = NearestNeighbors(
                n_neighbors=2, algorithm="brute", metric="euclidean"
            ).fit(references)
        return made[distance]

    def _blocks(self, n_queries: int) -> Iterator[slice]:
        self.check_enrolled()
        step = max(_NUMBERS_AT_ONCE // len(self), 1)
        return (slice(start, start + step) for start in range(0, n_queries, step))

    def _votes(self, queries: Any, score: Score, sharpness: float) -> FloatArray:
        """Score of each class, (b, n_classes)."""
        scores = self._scores(queries, score)  # (b, m)
        # unnecessary for classes of one row
        if len(self.classes) == len(self):
            return scores
        return votes(scores, np.bincount(self.labels), sharpness)

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


def votes(scores: FloatArray, size: IntArray, sharpness: float) -> FloatArray:
    """Score of each class from those of its references, as `class_scores` defines it.

    Parameters
    ----------
    scores : array of shape (..., m)
        The references of each class are together.
    size : int array of shape (n_classes,)
        How many they are; they sum to m.
    sharpness : float

    Returns
    -------
    array of shape (..., n_classes)
    """
    first = np.cumsum(size) - size
    best: FloatArray = np.maximum.reduceat(scores, first, axis=-1)
    if math.isinf(sharpness):
        return best
    odds = np.repeat(best, size, axis=-1)  # relative to the best; in place, as large
    np.subtract(scores, odds, out=odds)
    odds *= np.float32(sharpness)
    share = np.add.reduceat(np.exp(odds, out=odds), first, axis=-1)
    return best + np.log(share / size).astype(np.float32) / np.float32(sharpness)


def choose_references(
    points: Any, labels: IntArray, n_references: int | None, rng: Generator
) -> IntArray:
    """Choose reference rows for each class: central ones, spread over the class.

    The rows of a class with more than `n_references` rows are clustered by k-means into
    `n_references` clusters, and the row nearest to each center is chosen. Of a large
    class, only a random sample of at most 1000 rows (or twice `n_references`, if that
    is more) is clustered.

    Parameters
    ----------
    points : array of shape (n, d) or CSR matrix
    labels : array of shape (n,)
        Classes as integers.
    n_references : int or None
        Maximum number of rows per class; None keeps all. A class with fewer distinct
        rows may get fewer.
    rng : numpy.random.Generator

    Returns
    -------
    array of int
        Sorted row numbers.

    Examples
    --------
    >>> points = np.array([[0.0], [1.0], [2.0], [9.0], [5.0]])
    >>> labels = np.array([0, 0, 0, 0, 1])
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
        max(_MAX_ROWS, 2 * n_references), 4 * _NUMBERS_AT_ONCE // points.shape[1]
    )
    size = np.minimum(count, max(most, n_references))
    # Classes of the same size are clustered together: one KMeans call per class, 2 ms,
    # is too slow for 10,000 classes.
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
    """Mark the rows nearest to the k-means centers of each layer of `points`; (C, m).

    `points` has shape (C, m, d).
    """
    peak = np.abs(points).max(axis=(1, 2), keepdims=True)
    scaled = points.astype(np.float32) / np.where(peak > 0, peak, 1).astype(np.float32)
    # centered, because products of small numbers lose less to rounding
    points = scaled - scaled.mean(axis=1, keepdims=True)
    layer = np.arange(len(points))[:, None]
    centers = points[layer, _seeds(points, n_clusters, rng)]  # (C, k, d)
    half_square = 0.5 * np.square(points).sum(axis=2, keepdims=True)  # (C, m, 1)
    for _ in range(_ITERATIONS):
        # half the squared distances, up to a constant
        half = (
            half_square
            + 0.5 * np.square(centers).sum(axis=2)[:, None]
            - points @ centers.swapaxes(1, 2)
        )  # (C, m, k)
        member = half.argmin(axis=2)[..., None] == np.arange(n_clusters)  # (C, m, k)
        size = member.sum(axis=1, dtype=np.float32)[..., None]  # (C, k, 1)
        means = member.swapaxes(1, 2).astype(np.float32) @ points / np.maximum(size, 1)
        centers = np.where(size > 0, means, centers)
    chosen = np.zeros(points.shape[:2], dtype=bool)
    # an empty cluster marks row 0
    chosen[layer, np.where(member, half, np.inf).argmin(axis=1)] = True
    return chosen


def _seeds(points: FloatArray, n_seeds: int, rng: Generator) -> IntArray:
    """Rows to start k-means from, as in k-means++; (C, n_seeds).

    References
    ----------
    Arthur & Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007.
    """
    # the first seed is random because the rows are shuffled
    seeds = np.zeros((len(points), n_seeds), dtype=np.int64)
    closest = np.full(points.shape[:2], np.inf)
    for j in range(1, n_seeds):
        # (C, 1, d)
        latest = np.take_along_axis(points, seeds[:, j - 1, None, None], axis=1)
        closest = np.minimum(closest, np.square(points - latest).sum(axis=2))
        # an exponential race: the largest w / Exp(1) is a draw in proportion to w
        seeds[:, j] = (closest / rng.standard_exponential(closest.shape)).argmax(axis=1)
    return seeds


def _best_places(scores: FloatArray, n_best: int) -> IntArray:
    """Places of the best scores of each row in descending order; the first of equal."""
    # faster than to sort all
    places = np.argpartition(-scores, n_best - 1, axis=1)[:, :n_best]
    places.sort(axis=1)
    best = np.take_along_axis(scores, places, axis=1)
    order = np.argsort(-best, axis=1, kind="stable")
    places = np.take_along_axis(places, order, axis=1)
    # equal scores, of which some were left out, perhaps not the last
    is_tied = np.sum(scores >= best.min(axis=1, keepdims=True), axis=1) > n_best
    tied = -scores[is_tied]
    places[is_tied] = np.argsort(tied, axis=1, kind="stable")[:, :n_best]
    return places


def _images(distance: RankedByEuclidean, *sides: Any) -> tuple[FloatArray, ...]:
    """Rows whose Euclidean distances rank like `distance`."""
    # torch accepts writable memory only
    writable = (np.require(side, requirements="W") for side in sides)
    return tuple(distance.image(torch.from_numpy(side)).numpy() for side in writable)


def joined_ids(*parts: Array) -> Array:
    """Concatenate ids; numbers stay as they are next to strings or other numbers."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return parts[0]
    dtype = np.result_type(*filled)
    same = len({part.dtype.kind for part in filled}) == 1 or dtype.kind in "iu"
    return np.concatenate(filled, dtype=dtype if same else object)
