"""A gallery behind a search of the user's choice, which follows its changes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from siamese_sklearn._estimators.gallery import Gallery, votes
from siamese_sklearn._estimators.parameters import search_parameter
from siamese_sklearn._grouping import number_within
from siamese_sklearn._net import Scorer, make_scorer
from siamese_sklearn._typing import FloatArray, IntArray
from siamese_sklearn.calibration import Threshold
from siamese_sklearn.distances import RankedByEuclidean
from siamese_sklearn.search._resolve import SearchLike, check_search, make_search

__all__ = ["SearchedGallery", "SearchesGallery", "image_of", "n_candidates"]

_MAX_FOUND = 50  # references, whose classes are compared
_PAIRS_AT_ONCE = 2**18  # of a query and a reference
_MIN_CANDIDATES = 100  # where the order of the search is not that of the scores


@dataclass(eq=False, repr=False, kw_only=True)
class SearchesGallery:
    """Part of a classifier that searches its gallery as the parameter `search` says.

    The search is built at the first query, and changed with the gallery afterwards.
    Copies of the classifier build their own.
    """

    search: SearchLike = search_parameter()

    net_: Any = field(init=False)
    _threshold: Threshold = field(init=False)
    _searched: SearchedGallery | None = field(default=None, init=False)

    @property
    def _searched_by(self) -> tuple[Any, float]:
        """Score of references, and how sharply those of a class vote."""
        return make_scorer(self.net_).searched_by, self._threshold.slope

    def _nearest_class(self, gallery: Gallery, codes: Any) -> tuple[IntArray, Any]:
        """Find number and score of the best class of each query, each (n,).

        If the search is not the exact one, the classes of the nearest references that
        it finds are compared.
        """
        by, sharpness = self._searched_by
        if self._is_exact(gallery):
            return gallery.nearest(codes, by, sharpness)
        n_found = min(_MAX_FOUND, len(gallery))
        places, _ = self._nearest_references(gallery, codes, n_found)
        scorer = make_scorer(self.net_)
        return _best_of(gallery.labels[places], gallery, codes, scorer, sharpness)

    def _nearest_references(
        self, gallery: Gallery, codes: Any, n_neighbors: int
    ) -> tuple[IntArray, FloatArray]:
        """As `Gallery.nearest_references`."""
        scorer = make_scorer(self.net_)
        if self._is_exact(gallery):
            return gallery.nearest_references(codes, n_neighbors, scorer.searched_by)
        searched = self._searched
        if searched is None or not searched.can_follow(gallery, self.search):
            check_search("search", self.search)
            searched = SearchedGallery(self.search, scorer, gallery)
        self._searched = searched
        try:
            with searched.lock:
                if not searched.holds(gallery):
                    searched.follow(gallery, scorer)
                return searched.nearest_references(codes, n_neighbors, scorer)
        except BaseException:
            self._searched = None  # it is built again
            raise

    def _is_exact(self, gallery: Gallery) -> bool:
        is_named = isinstance(self.search, str) and self.search == "exact"
        return is_named or gallery.embeddings is None

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return {name: value for name, value in state.items() if name != "_searched"}


class SearchedGallery:
    """A search that holds the references of a gallery.

    Parameters
    ----------
    search : str, Search or object with `fit` and `kneighbors`
    scorer : Scorer
        Scores what the search finds.
    gallery : Gallery
        To start with.
    """

    def __init__(self, search: SearchLike, scorer: Scorer, gallery: Gallery) -> None:
        self._made_from = search
        self._search = make_search(search)
        self._search.fit(image_of(scorer, gallery.embeddings))
        self._serials = gallery.serials.copy()  # of each number of the search
        self._gallery = gallery
        self._place = np.arange(len(gallery))  # of each number
        self.lock = threading.Lock()

    def holds(self, gallery: Gallery) -> bool:
        """Whether it has the references of this very gallery."""
        return gallery is self._gallery

    def can_follow(self, gallery: Gallery, search: SearchLike) -> bool:
        """Whether the gallery has grown out of the one that is held."""
        return search is self._made_from and gallery.origin is self._gallery.origin

    def follow(self, gallery: Gallery, scorer: Scorer) -> None:
        """Remove and add what `gallery` differs in."""
        stays = np.zeros(gallery.next_serial, dtype=bool)
        stays[gallery.serials] = True
        held = self._place >= 0
        gone = np.flatnonzero(held & ~stays[self._serials])
        is_new = np.ones(gallery.next_serial, dtype=bool)
        is_new[self._serials] = False
        new = np.flatnonzero(is_new[gallery.serials])
        if len(gone):
            self._search.remove(gone)
        if len(new):
            self._search.add(image_of(scorer, gallery.embeddings[new]))  # type: ignore[index]
        self._serials = np.concatenate([self._serials, gallery.serials[new]])
        place_of_serial = np.full(gallery.next_serial, -1)
        place_of_serial[gallery.serials] = np.arange(len(gallery))
        self._place, self._gallery = place_of_serial[self._serials], gallery

    def nearest_references(
        self, queries: FloatArray, n_neighbors: int, scorer: Scorer
    ) -> tuple[IntArray, FloatArray]:
        """As `Gallery.nearest_references`, among what the search finds."""
        references: Any = self._gallery.embeddings
        n_found = n_candidates(scorer, n_neighbors, len(references))
        _, numbers = self._search.kneighbors(image_of(scorer, queries), n_found)
        places = self._place[numbers]  # (n, n_found)
        row = np.repeat(np.arange(len(places)), n_found)
        scores = scorer.pairs(queries, references, row, places.ravel())
        scores = scores.reshape(places.shape)
        best = np.lexsort((places, -scores))[:, :n_neighbors]
        return (
            np.take_along_axis(places, best, axis=1),
            np.take_along_axis(scores, best, axis=1),
        )


def _best_of(
    labels: IntArray, gallery: Gallery, codes: Any, scorer: Scorer, sharpness: float
) -> tuple[IntArray, FloatArray]:
    """Find the best of some classes for each query, by the votes of all references.

    Parameters
    ----------
    labels : int array of shape (n, n_found)
        Numbers of the classes to compare.
    gallery, codes, scorer, sharpness

    Returns
    -------
    best, score : arrays of shape (n,)
    """
    n, size = len(labels), np.bincount(gallery.labels)
    best, score = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.float32)
    step = max(_PAIRS_AT_ONCE // max(size[labels].sum(axis=1).max(initial=1), 1), 1)
    for start in range(0, n, step):
        part = labels[start : start + step]
        row = np.arange(start, start + len(part))[:, None]
        keys = np.unique(row * len(size) + part)
        row, label = keys // len(size), keys % len(size)  # each class once in a query
        begin, end = gallery.ends(label)
        group, number = number_within(end - begin)
        scores = scorer.pairs(
            codes, gallery.embeddings, row[group], begin[group] + number
        )
        voted = votes(scores, size[label], sharpness)
        order = np.lexsort((label, -voted, row))  # of equal votes, the first class
        won = order[np.unique(row[order], return_index=True)[1]]
        best[row[won]], score[row[won]] = label[won], voted[won]
    return best, score


def image_of(scorer: Scorer, embeddings: Any) -> FloatArray:
    """Rows whose Euclidean distances rank as the scores do, exactly or nearly."""
    by = scorer.searched_by
    if not isinstance(by, RankedByEuclidean):
        rows: FloatArray = embeddings
        return rows
    writable = np.require(embeddings, requirements="W")  # as torch wants it
    image: FloatArray = by.image(torch.from_numpy(writable)).numpy()
    return image


def n_candidates(scorer: Scorer, n_neighbors: int, n_rows: int) -> int:
    """How many rows to search, so that the best by score are among them."""
    if isinstance(scorer.searched_by, RankedByEuclidean):
        return min(n_neighbors, n_rows)
    return min(max(10 * n_neighbors, _MIN_CANDIDATES), n_rows)
