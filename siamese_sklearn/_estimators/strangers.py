"""Threshold of identification: the score at which the best class names a row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import issparse

from siamese_sklearn._arrays import object_array
from siamese_sklearn._checks import warn
from siamese_sklearn._estimators.class_folds import ClassFold
from siamese_sklearn._estimators.gallery import Gallery, Score
from siamese_sklearn._grouping import group_by_class, number_within
from siamese_sklearn._labels import dtype_with
from siamese_sklearn._typing import Array, BoolArray, FloatArray, IntArray
from siamese_sklearn._validation import join_classes
from siamese_sklearn.calibration import threshold_at_rate
from siamese_sklearn.distances import Distance

__all__ = [
    "LeftOut",
    "StrangerSearches",
    "Trained",
    "check_strangers",
    "draw_searches",
    "search_left_out",
    "warn_of_confusions",
    "warn_of_duplicates",
    "with_unknown",
]


@dataclass(frozen=True, eq=False)
class Trained:
    """The classes that a network was trained on.

    Attributes
    ----------
    names : array of shape (n,)
        Those that are enrolled.
    gone : array of str
        Digests of the names of the others, so that no name of a class is left that is
        forgotten.
    """

    names: Array = field(default_factory=lambda: np.empty(0))
    gone: Array = field(default_factory=lambda: np.empty(0, dtype=str))

    def marks(self, names: Array) -> BoolArray:
        """Whether each name is that of an enrolled class of these."""
        known = set(self.names.tolist())
        return np.array([name in known for name in names.tolist()], dtype=bool)

    def named_by(self, classes: Array) -> Trained:
        """Return the same classes, with the names of `classes` only."""
        enrolled = set(classes.tolist())
        names = self.names.tolist()
        gone = {_digest(name) for name in names if name not in enrolled}
        gone |= set(self.gone.tolist())
        if not gone:
            return self
        stays = [name for name in names if name in enrolled]
        digest = {_digest(name): name for name in enrolled.difference(stays)}
        back = [digest[each] for each in sorted(gone & digest.keys())]
        left = sorted(gone - digest.keys())
        return Trained(object_array(stays + back), np.array(left, dtype=str))


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Classes left out of brief trainings, as strangers among the others.

    Attributes
    ----------
    trained : Trained
        The classes of the whole training.
    scores : float32 array of shape (n,)
        Score of the best class, for each row of a class left out.
    n_classes : float
        Mean number of classes that it was searched for among.
    """

    trained: Trained
    scores: FloatArray
    n_classes: float

    def named_by(self, classes: Array) -> LeftOut:
        """Return the same, with the names of `classes` only."""
        return replace(self, trained=self.trained.named_by(classes))

    def threshold(self, target: float, n_classes: int) -> float:
        """Threshold at which a fraction `target` of strangers is named.

        More classes give a stranger more chances: at low rates, the rate grows with
        their number.
        """
        share = min(self.n_classes / n_classes, 1.0)
        return threshold_at_rate(self.scores, share * target)


def search_left_out(
    folds: list[ClassFold],
    target: IntArray,
    trained: Array,
    weight: float,
    n_references: int | None,
    distance: Distance,
    sharpness: float,
    rng: np.random.Generator,
) -> LeftOut:
    """Search for each row left out, among references of the classes trained on.

    Parameters
    ----------
    folds : list of ClassFold
        At least one.
    target : array of shape (n,)
        Classes as integers from 0, of all rows.
    trained : array of shape (n_classes,)
        Names of the classes of the whole training.
    weight : float
        Share of the squared distances that comes from the input.
    n_references : int or None
        Per class.
    distance : Distance
    sharpness : float
        As in `Gallery.class_scores`.
    rng : numpy.random.Generator
    """
    scores, n_classes = [], []
    for fold in folds:
        known, out = fold.weighted(weight)
        names = target[fold.known]
        gallery = Gallery().extended(known, known, names, n_references, rng)
        scores.append(gallery.nearest(out, distance, sharpness)[1])
        n_classes.append(len(gallery.classes))
    mean = float(np.mean(n_classes))
    return LeftOut(Trained(trained), np.concatenate(scores), mean)


@dataclass(frozen=True, eq=False)
class StrangerSearches:
    """Searches of strangers, and the rate at which they may be named.

    The search of an enrolled class ignores the references of this class, as if it were
    not enrolled. The searches are kept, so that the rate holds for a gallery that has
    grown or shrunk. Only enrolled classes are named, so that no name is left of a class
    that is forgotten; a digest tells if the class is enrolled again.

    Training pushes its classes apart, so that a row of one is less similar to
    references of the others than a stranger is. How much, brief trainings without some
    classes tell; this shift is added to the scores of such rows and references.

    Attributes
    ----------
    rows : float32 array of shape (n, ...) or CSR matrix
        Kept so that they can be embedded again after further training.
    names : array of shape (n,)
        The class of each search, None if it is not enrolled.
    target : float
        False-positive identification rate.
    codes : float32 array of shape (n, d), CSR matrix or array of rows
        What is searched for.
    digests : array of shape (n,), default=None
        Of the names of classes that are not enrolled; empty strings for others.
    trained : Trained
        The classes of training.
    is_trained : bool array of shape (n,), default=None
        Whether the search is of a class of training; None for none.
    shift : float
        Of the score of two classes of training.
    """

    rows: Any
    names: Array
    target: float
    codes: Any
    digests: Array | None = None
    trained: Trained = field(default_factory=Trained)
    is_trained: BoolArray | None = None
    shift: float = 0.0

    def threshold(
        self, gallery: Gallery, score: Score, sharpness: float
    ) -> float | None:
        """Find the lowest threshold at which at most the target rate is named.

        Returns None if no search is a stranger's: all are of the only class.
        """
        best = self.best_scores(gallery, score, sharpness)
        best = best[best > -np.inf]
        return threshold_at_rate(best, self.target) if len(best) else None

    def n_of_others(self, gallery: Gallery) -> int:
        """Count the searches that are a stranger's: some other class is enrolled."""
        classes = gallery.classes.tolist()
        if len(classes) != 1:
            return len(self.names) if classes else 0
        return sum(name != classes[0] for name in self.names.tolist())

    def named_by(self, classes: Array) -> StrangerSearches:
        """Return the same searches with the names of `classes` only."""
        enrolled = classes.tolist()
        known, names = set(enrolled), self.names.tolist()
        found = replace(self, trained=self.trained.named_by(classes))
        if self.digests is None and known.issuperset(names):
            return found
        digests = [""] * len(names) if self.digests is None else self.digests.tolist()
        by_digest = {_digest(name): name for name in enrolled}
        for i, name in enumerate(names):
            if name is None:
                names[i] = by_digest.get(digests[i])
                digests[i] = "" if names[i] is not None else digests[i]
            elif name not in known:
                names[i], digests[i] = None, _digest(name)
        return replace(found, names=object_array(names), digests=np.array(digests))

    def embedded_by(self, encode: Callable[[Any], Any]) -> StrangerSearches:
        """Return the same searches with new codes, ``encode(rows)``."""
        return replace(self, codes=encode(self.rows))

    def shifted(
        self, gallery: Gallery, score: Score, sharpness: float, left_out: LeftOut
    ) -> StrangerSearches:
        """Return the same searches, at least as severe as those of classes left out.

        Parameters
        ----------
        gallery : Gallery
        score, sharpness
            As in `Gallery.class_scores`.
        left_out : LeftOut
        """
        ours = left_out.trained.marks(self.names)
        found = replace(self, trained=left_out.trained, is_trained=ours)
        among, _ = found._parts(gallery)
        if not ours.any() or len(among.classes) < 2:
            return found
        codes, names = self.codes[ours], self.names[ours]
        best = among.best_of_others(codes, names, score, sharpness)
        usual = threshold_at_rate(best[best > -np.inf], self.target)
        wanted = left_out.threshold(self.target, len(among.classes))
        return replace(found, shift=max(wanted - usual, 0.0))

    def best_scores(
        self, gallery: Gallery, score: Score, sharpness: float
    ) -> FloatArray:
        """Best score of each search, (n,); -inf for a search of the only class.

        Parameters
        ----------
        gallery : Gallery
        score, sharpness
            As in `Gallery.class_scores`.
        """
        best = np.full(len(self.names), -np.inf, dtype=np.float32)
        ours, newcomers = self._parts(gallery)
        for part, shift in ((ours, self.shift), (newcomers, 0.0)):
            if len(part):
                found = part.best_of_others(self.codes, self.names, score, sharpness)
                if self.is_trained is not None:
                    found[self.is_trained] += np.float32(shift)
                best = np.maximum(best, found)
        return best

    def _parts(self, gallery: Gallery) -> tuple[Gallery, Gallery]:
        """Split a gallery into classes of training and others."""
        ours = self.trained.marks(gallery.classes)
        known, new = gallery.classes[ours], gallery.classes[~ours]
        return gallery.without(new), gallery.without(known)


def _digest(name: Any) -> str:
    """Digest of the name of a class; numbers that are equal have the same."""
    if isinstance(name, int | float):
        name = int(name)  # labels have no fractions
    return hashlib.sha256(repr(name).encode()).hexdigest()[:32]


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
    gallery: Gallery,
    codes: Any,
    names: Array,
    threshold: float,
    score: Score,
    sharpness: float,
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
    score, sharpness
        As in `Gallery.class_scores`.
    """
    if len(gallery) == 0:
        return
    numbers, scores = gallery.nearest(codes, score, sharpness)
    nearest, own = gallery.classes[numbers].tolist(), names.tolist()
    is_near = scores >= threshold
    confused = [i for i in np.flatnonzero(is_near).tolist() if nearest[i] != own[i]]
    if confused:
        i = confused[0]
        warn(
            f"{len(confused)} of {len(own)} rows to enroll would be named as another "
            f"class: row {i}, of class {own[i]!r}, is most similar to the references "
            f"of {nearest[i]!r}. Check the labels, or enroll more rows of both."
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
