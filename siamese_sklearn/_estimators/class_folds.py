"""Classes left out of brief trainings: what a network makes of strangers.

The classes of training cannot tell how well an embedding separates others, because it
was trained to separate them. So a part of them is left out of a brief training, in
turns, and then plays the part of classes never seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from siamese_sklearn._grouping import group_by_class, number_within
from siamese_sklearn._typing import FloatArray, IntArray

__all__ = ["ClassFold", "class_folds", "leave_classes_out", "some_rows"]

_MIN_CLASSES = 4  # to leave out two of them
_TRAININGS = 3
_MIN_ROWS = 20  # of a class, if there is no room for all classes
_MAX_LEFT_OUT = 600  # rows of the classes left out of a training


@dataclass(frozen=True)
class ClassFold:
    """Embeddings by a network that was trained briefly, without some classes.

    Attributes
    ----------
    known, out : arrays of int
        The rows that it was trained on, and rows of the classes left out.
    known_codes, out_codes : float arrays of shape (n, d) and (m, d)
        Their embeddings, in which what comes from the input weighs one half.
    width : int
        Number of components that come from the input; they are the first.
    """

    known: IntArray
    out: IntArray
    known_codes: FloatArray
    out_codes: FloatArray
    width: int

    def weighted(self, weight: float) -> tuple[FloatArray, FloatArray]:
        """Return the embeddings with another weight of the input, from 0 to 1."""
        scale = np.full(self.out_codes.shape[1], math.sqrt(2 * (1 - weight)))
        scale[: self.width] = math.sqrt(2 * weight)
        scale = scale.astype(np.float32)
        return self.known_codes * scale, self.out_codes * scale


def leave_classes_out(
    target: IntArray,
    index: IntArray,
    train: Callable[[IntArray, IntArray], ClassFold | None],
    n_rows: int,
    rng: np.random.Generator,
) -> list[ClassFold]:
    """Train three times without a third of the classes.

    Parameters
    ----------
    target : array of shape (n,)
        Classes as integers from 0.
    index : array of int
        The rows to use.
    train : callable
        Takes numbers of rows to train on and of rows of other classes; returns None if
        training failed.
    n_rows : int
        Most rows to train on.
    rng : numpy.random.Generator

    Returns
    -------
    list of ClassFold
        Of the trainings that did not fail; empty if too few classes can be left out.
    """
    folds = []
    for left_out in class_folds(target[index], _TRAININGS, rng):
        is_out = np.isin(target[index], left_out)
        known = some_rows(target, index[~is_out], n_rows, rng)
        out = some_rows(target, index[is_out], _MAX_LEFT_OUT, rng)
        folds.append(train(known, out))
    return [fold for fold in folds if fold is not None]


def class_folds(
    labels: IntArray, n_folds: int, rng: np.random.Generator
) -> list[IntArray]:
    """Choose classes to leave out, about a third in each fold and at least two.

    Parameters
    ----------
    labels : array of shape (n,)
        Classes as integers from 0.
    n_folds : int
    rng : numpy.random.Generator

    Returns
    -------
    list of arrays of int
        Each class of two rows or more is left out about equally often. Empty if there
        are fewer than four such classes.
    """
    classes = np.flatnonzero(np.bincount(labels) > 1)
    if len(classes) < _MIN_CLASSES:
        return []
    size = max(round(len(classes) / 3), 2)
    times = np.zeros(len(classes))  # that a class has been left out
    folds = []
    for _ in range(n_folds):
        rarest = np.lexsort((rng.random(len(classes)), times))[:size]
        times[rarest] += 1
        folds.append(classes[np.sort(rarest)])
    return folds


def some_rows(
    target: IntArray, index: IntArray, room: int, rng: np.random.Generator
) -> IntArray:
    """Take as many classes as there is room for, and some rows of each."""
    if len(index) <= room:
        return index
    order, start, count = group_by_class(target[index], rng)
    classes = rng.permutation(np.flatnonzero(count))
    size = np.minimum(count, max(room // len(classes), _MIN_ROWS))[classes]
    fits = np.cumsum(size) <= max(room, size[:2].sum())
    group, number = number_within(size[fits])
    chosen = np.sort(order[start[classes[fits][group]] + number])
    return np.asarray(index[chosen])
