"""Data held out of training, and what is measured on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score

from siamese_sklearn._net import Rows, embed, embedding_distance
from siamese_sklearn.distances import paired
from siamese_sklearn.metrics import map_at_r

__all__ = [
    "TrainingData",
    "hold_out",
    "measure",
    "measure_pairs",
    "measure_rows",
    "measure_triplets",
]

Index = npt.NDArray[np.int64]
Measure = Callable[[Any], float]

_MOST_QUERIES, _MOST_GALLERY = 2000, 5000  # rows that early stopping looks at in each epoch


@dataclass
class TrainingData:
    """Checked data of one call of `fit`.

    Attributes
    ----------
    sides : tuple of arrays
        The rows, or the sides of pairs or triplets.
    target : array of shape (n,)
        Class numbers of rows, `same` of pairs, zeros for triplets.
    classes : array of shape (n_classes,) or None
        The classes, for rows only.
    """

    sides: tuple[Any, ...]
    target: npt.NDArray[np.int64]
    classes: npt.NDArray[Any] | None

    def take(self, index: npt.NDArray[np.int64]) -> TrainingData:
        """Keep the rows of `index`."""
        return TrainingData(tuple(side[index] for side in self.sides), self.target[index], self.classes)


def hold_out(labels: Index, fraction: float, split: str, rng: np.random.Generator) -> tuple[Index, Index]:
    """Row numbers to train on, and row numbers to hold out.

    Parameters
    ----------
    labels : array of shape (n,)
        Classes as integers from 0.
    fraction : float
        Share of the rows, or of the classes, to hold out.
    split : {"rows", "classes"}
        "rows" holds out rows of every class, in proportion, and leaves each at least two; of two classes (or
        of same and different pairs) both are held out. "classes" holds out whole classes, so that the
        measure speaks of classes never seen.
    rng : numpy.random.Generator

    Returns
    -------
    kept, held : array of int

    Raises
    ------
    ValueError
        If the data are too few for the split.
    """
    count = np.bincount(labels)
    if split == "rows":
        held = _held_rows(labels, count, fraction, rng)
    else:
        held = _held_classes(labels, count, fraction, rng)
    return np.flatnonzero(~held), np.flatnonzero(held)


def measure(
    data: TrainingData, held: Index, gallery: Index | None, device: torch.device, rng: np.random.Generator
) -> Measure:
    """Make the measure that suits the data, on some of the rows held out.

    Parameters
    ----------
    data : TrainingData
    held : array of int
        Rows held out.
    gallery : array of int or None
        Rows among which held-out rows are searched; None searches them among themselves.
    device : torch.device
    rng : numpy.random.Generator

    Returns
    -------
    callable
        Takes the net, returns the measure, the higher the better.
    """
    held_data = data.take(_some_queries(held, data, rng))
    sides = [Rows(side, device=device) for side in held_data.sides]
    if len(sides) == 3:
        return measure_triplets(sides[0], sides[1], sides[2])
    if len(sides) == 2:
        return measure_pairs(sides[0], sides[1], held_data.target)
    if gallery is None:
        return measure_rows(sides[0], held_data.target, None, None)
    found = data.take(_some(gallery, _MOST_GALLERY, rng))
    return measure_rows(sides[0], held_data.target, Rows(*found.sides, device=device), found.target)


def measure_rows(held: Rows, labels: Index, gallery: Rows | None, gallery_labels: Index | None) -> Measure:
    """MAP@R of held-out rows: searched in the gallery of training rows, or among themselves without one."""

    def measure(net: Any) -> float:
        found = None if gallery is None else embed(net, gallery)
        return map_at_r(
            embed(net, held),
            labels,
            gallery=found,
            gallery_labels=gallery_labels,
            distance=embedding_distance(net),
        )

    return measure


def measure_pairs(left: Rows, right: Rows, same: Index) -> Measure:
    """Area under the ROC curve of held-out pairs."""
    if len(np.unique(same)) < 2:
        raise ValueError(
            "`early_stopping=True` holds out same and different pairs, and 2 of each stay for training, but "
            "there are fewer than 3 of one kind. Give more pairs, or set early_stopping=False."
        )

    def measure(net: Any) -> float:
        return float(roc_auc_score(same, -_distances(net, left, right)))

    return measure


def measure_triplets(anchor: Rows, positive: Rows, negative: Rows) -> Measure:
    """Share of held-out triplets whose positive is closer than their negative."""

    def measure(net: Any) -> float:
        return float(np.mean(_distances(net, anchor, positive) < _distances(net, anchor, negative)))

    return measure


def _distances(net: Any, left: Rows, right: Rows) -> npt.NDArray[np.float32]:
    first, second = (torch.from_numpy(embed(net, side)) for side in (left, right))
    distance: npt.NDArray[np.float32] = paired(first, second, embedding_distance(net)).numpy()
    return distance


def _some_queries(held: Index, data: TrainingData, rng: np.random.Generator) -> Index:
    """At most `_MOST_QUERIES` of the held-out rows; of pairs half of each kind, so that none gets lost."""
    if data.classes is not None or len(data.sides) != 2:
        return _some(held, _MOST_QUERIES, rng)
    kinds = [held[data.target[held] == kind] for kind in (0, 1)]
    return np.concatenate([_some(kind, _MOST_QUERIES // 2, rng) for kind in kinds])


def _some(index: Index, most: int, rng: np.random.Generator) -> Index:
    return index if len(index) <= most else np.sort(rng.choice(index, most, replace=False))


def _held_rows(
    labels: Index, count: Index, fraction: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    share = np.where(count >= 3, fraction * count, 0.0)
    # Rounding the running sum, not each class, keeps the total right when classes are small.
    edges = np.floor(np.concatenate([[0.0], np.cumsum(share)]) + rng.random()).astype(np.int64)
    n_held = np.minimum(np.diff(edges), np.maximum(count - 2, 0))
    if np.count_nonzero(count) == 2:
        n_held = np.maximum(n_held, count >= 3)
    if n_held.sum() == 0:
        if count.max() < 3:
            raise ValueError(
                "`early_stopping=True` holds out rows, but no class has 3 of them (2 stay for training). "
                'Set validation_split="classes", or early_stopping=False.'
            )
        n_held[np.argmax(count)] = 1
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    number = np.empty_like(order)  # of each row within its class, in random order
    number[order] = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    held: npt.NDArray[np.bool_] = number < n_held[labels]
    return held


def _held_classes(
    labels: Index, count: Index, fraction: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    candidates = np.flatnonzero(count >= 2)
    n_classes = np.count_nonzero(count)
    n_held = max(round(fraction * n_classes), 2)
    if len(candidates) < n_held + 1 or n_classes < n_held + 2:
        raise ValueError(
            f'validation_split="classes" holds out {n_held} classes of 2 rows or more and trains on at least '
            f"2 others; got {n_classes} classes, {len(candidates)} of them with 2 rows or more. "
            'Set validation_split="rows", a smaller `validation_fraction`, or early_stopping=False.'
        )
    return np.isin(labels, rng.choice(candidates, n_held, replace=False))
