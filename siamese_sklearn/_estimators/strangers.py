"""Threshold of identification: the score at which the best reference names a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import issparse

from siamese_sklearn._checks import warn
from siamese_sklearn._estimators.gallery import Gallery, Score
from siamese_sklearn._grouping import group_by_class, number_within
from siamese_sklearn._labels import dtype_with
from siamese_sklearn._typing import Array, BoolArray, FloatArray
from siamese_sklearn._validation import join_classes
from siamese_sklearn.calibration import threshold_at_rate

__all__ = [
    "StrangerSearches",
    "check_strangers",
    "draw_searches",
    "warn_of_confusions",
    "warn_of_duplicates",
    "with_unknown",
]


@dataclass(frozen=True, eq=False)
class StrangerSearches:
    """Searches of strangers, and the rate at which they may be named.

    The search of an enrolled class ignores the references of this class, as if it were
    not enrolled. The searches are kept, so that the rate holds for a gallery that has
    grown or shrunk.

    Attributes
    ----------
    rows : float32 array of shape (n, ...) or CSR matrix
        Kept so that they can be embedded again after further training.
    names : array of shape (n,)
        The class of each search.
    target : float
        False-positive identification rate.
    codes : float32 array of shape (n, d), CSR matrix or array of rows
        What is searched for.
    """

    rows: Any
    names: Array
    target: float
    codes: Any

    def threshold(
        self, gallery: Gallery, score: Score, default: float | None
    ) -> float | None:
        """Find the lowest threshold at which at most the target rate is named.

        Returns `default` if no search is a stranger's: all are of the only class.
        """
        best = self.best_scores(gallery, score)
        best = best[best > -np.inf]
        return threshold_at_rate(best, self.target) if len(best) else default

    def n_of_others(self, gallery: Gallery) -> int:
        """Count the searches that are a stranger's: some other class is enrolled."""
        classes = gallery.classes.tolist()
        return sum(len(classes) > 1 or [name] != classes for name in self.names)

    def embedded_by(self, encode: Callable[[Any], Any]) -> StrangerSearches:
        """Return the same searches with new codes, ``encode(rows)``."""
        return replace(self, codes=encode(self.rows))

    def best_scores(self, gallery: Gallery, score: Score) -> FloatArray:
        """Best score of each search, (n,); -inf for a search of the only class."""
        return gallery.best_of_others(self.codes, self.names, score)


def draw_searches(
    rows: Any,
    names: Array,
    target: float,
    most: int,
    encode: Callable[[Any], Any],
    rng: np.random.Generator,
) -> StrangerSearches:
    """Draw at most `most` searches, from all classes alike.

    Parameters
    ----------
    rows : array of shape (n, ...) or CSR matrix
    names : array of shape (n,)
        The class of each row.
    target, most : float, int
    encode : callable
        Returns the codes of rows.
    rng : numpy.random.Generator
    """
    labels = np.unique(names.astype(str), return_inverse=True)[1]
    order, _, count = group_by_class(labels, rng)
    turn = number_within(count)[1]  # the first row of each class, the second, ...
    chosen = np.sort(order[np.argsort(turn + rng.random(len(turn)))[:most]])
    drawn = rows[chosen].astype(np.float32, copy=False)
    return StrangerSearches(drawn, names[chosen], target, encode(drawn))


def check_strangers(names: Array, gallery: Gallery) -> Array:
    """Raise a ValueError if too few classes are enrolled to leave one out.

    Labels of another kind, such as strings for numbers, are an error, too.
    """
    join_classes(gallery.classes, names)
    n_classes = len(gallery.classes)
    if n_classes < 3 and set(names.tolist()) <= set(gallery.classes.tolist()):
        raise ValueError(
            f"There are no strangers: {n_classes} classes are enrolled, at least 3 are "
            "needed to leave one out, and every row of `X` is of an enrolled class. "
            "Pass `strangers`, or rows of other classes."
        )
    return names


def warn_of_confusions(
    gallery: Gallery, codes: Any, names: Array, threshold: float, score: Score
) -> None:
    """Warn of rows to enroll that would be named as another class.

    Parameters
    ----------
    gallery : Gallery
        Before the rows are enrolled.
    codes : array of shape (n, d)
    names : array of shape (n,)
        The class of each row.
    threshold : float
        Score at which a row is named.
    score : Score
    """
    if len(gallery) == 0:
        return
    places, scores = gallery.nearest_references(codes, 1, score)
    nearest = gallery.classes[gallery.labels[places[:, 0]]].tolist()
    own = names.tolist()
    is_near = scores[:, 0] >= threshold
    confused = [i for i in np.flatnonzero(is_near).tolist() if nearest[i] != own[i]]
    if confused:
        i = confused[0]
        warn(
            f"{len(confused)} of {len(own)} rows to enroll would be named as another "
            f"class: row {i}, of class {own[i]!r}, is most similar to a reference of "
            f"{nearest[i]!r}. Check the labels, or enroll more rows of both."
        )


def warn_of_duplicates(gallery: Gallery, rows: Any, codes: Any, names: Array) -> None:
    """Warn of rows to enroll that are references of their class already.

    Parameters
    ----------
    gallery : Gallery
        Before the rows are enrolled.
    rows : array of shape (n, ...) or CSR matrix
    codes : array of shape (n, d)
    names : array of shape (n,)
        The class of each row.
    """
    if gallery.embeddings is None:
        return
    place = {code.tobytes(): i for i, code in enumerate(gallery.embeddings)}
    own, enrolled = names.tolist(), gallery.classes[gallery.labels].tolist()
    twice = [
        (i, found)
        for i, code in enumerate(codes.astype(np.float32, copy=False))
        if (found := place.get(code.tobytes())) is not None
        and enrolled[found] == own[i]
        and _are_equal(rows[[i]], gallery.rows[[found]])
    ]
    if twice:
        i, found = twice[0]
        warn(
            f"{len(twice)} of {len(own)} rows to enroll are references already: row "
            f"{i} is equal to reference {gallery.ids.tolist()[found]!r} of class "
            f"{own[i]!r}."
        )


def _are_equal(*rows: Any) -> bool:
    one, other = (row.toarray() if issparse(row) else row for row in rows)
    return np.array_equal(one, other)


def with_unknown(labels: Array, where: BoolArray, label: Any) -> Array:
    """Return `labels` with `label` at `where`, in a dtype that holds both."""
    answer = labels.astype(dtype_with(labels.dtype, label))
    answer[where] = label
    return answer
