"""Rows held out of training, and the score that early stopping computes on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from siamese_sklearn._estimators.training_data import TrainingData
from siamese_sklearn._grouping import group_by_class, number_within
from siamese_sklearn._net import DistanceScorer, Rows, embed, embedding_distance
from siamese_sklearn._typing import BoolArray, FloatArray, IntArray
from siamese_sklearn.metrics import map_at_r
from siamese_sklearn.pairs._drawing import held_out_pairs

__all__ = ["Measure", "check_both_kinds", "hold_out", "measure", "pairs_to_calibrate"]

Measure: TypeAlias = Callable[[Any], float]

_MAX_QUERIES, _MAX_GALLERY = 2000, 5000  # rows that early stopping uses in each epoch


def hold_out(
    labels: IntArray, fraction: float, split: str, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Split row numbers into those to train on and those to hold out.

    Parameters
    ----------
    labels : array of shape (n,)
        Classes as integers from 0.
    fraction : float
        Fraction of the rows, or of the classes, to hold out.
    split : {"rows", "classes"}
        "rows" holds out rows of each class in proportion and keeps at least two; if
        there are two classes (or same and different pairs), rows of both are held out.
        "classes" holds out whole classes, to score the model on unseen classes.
    rng : numpy.random.Generator

    Returns
    -------
    kept, held : array of int

    Raises
    ------
    ValueError
        If there are too few rows or classes for the split.
    """
    count = np.bincount(labels)
    if split == "rows":
        held = _held_rows(labels, count, fraction, rng)
    else:
        held = _held_classes(labels, count, fraction, rng)
    return np.flatnonzero(~held), np.flatnonzero(held)


def measure(
    data: TrainingData,
    held: IntArray,
    gallery: IntArray | None,
    device: torch.device,
    rng: np.random.Generator,
) -> Measure:
    """Return a function that scores a net on a sample of the held-out rows.

    Parameters
    ----------
    data : TrainingData
    held : array of int
        Held-out rows.
    gallery : array of int or None
        Rows in which neighbors of the held-out rows are searched; None searches the
        held-out rows themselves.
    device : torch.device
    rng : numpy.random.Generator

    Returns
    -------
    callable
        Takes the net. Returns MAP@R for rows, the area under the ROC curve for pairs,
        and the fraction whose positive is closer than their negative for triplets.
    """
    queries = data.take(_some_queries(held, data, rng))
    target = queries.target
    if data.kind == "pairs":
        check_both_kinds(target)
        return lambda net: float(roc_auc_score(target, _scores(net, queries, 1)))
    if data.kind == "triplets":
        return lambda net: float(
            np.mean(_scores(net, queries, 1) > _scores(net, queries, 2))
        )
    rows = Rows(*queries.sides, device=device)
    if gallery is None:
        return lambda net: map_at_r(
            embed(net, rows), target, distance=embedding_distance(net)
        )
    found = data.take(_some(gallery, _MAX_GALLERY, rng))
    searched = Rows(*found.sides, device=device)
    return lambda net: map_at_r(
        embed(net, rows),
        target,
        gallery=embed(net, searched),
        gallery_labels=found.target,
        distance=embedding_distance(net),
    )


def pairs_to_calibrate(
    data: TrainingData, held: IntArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Row numbers of both sides (n, 2), and which are the same (n,)."""
    if data.kind == "pairs":
        return np.stack([held, held], axis=1), data.target[held]
    return held_out_pairs(data.target, held, rng)


def check_both_kinds(same: IntArray) -> None:
    """Raise a ValueError if only same or only different pairs can be held out."""
    if len(np.unique(same)) < 2:
        raise ValueError(
            "`early_stopping=True` holds out same and different pairs and keeps 2 of "
            "each for training, but there are fewer than 3 of one kind. Pass more "
            "pairs, or set early_stopping=False."
        )


def _scores(net: Any, data: TrainingData, side: int) -> FloatArray:
    """Score the first side of each row against another side."""
    scorer = DistanceScorer(net, embedding_distance(net))
    pairs = np.arange(len(data.target))
    return scorer.pairs(
        scorer.codes(data.sides[0], 0),
        scorer.codes(data.sides[side], side),
        pairs,
        pairs,
    )


def _some_queries(
    held: IntArray, data: TrainingData, rng: np.random.Generator
) -> IntArray:
    """Sample at most `_MAX_QUERIES` held-out rows; for pairs, half of each kind."""
    if data.kind != "pairs":
        return _some(held, _MAX_QUERIES, rng)
    kinds = [held[data.target[held] == kind] for kind in (0, 1)]
    return np.concatenate([_some(kind, _MAX_QUERIES // 2, rng) for kind in kinds])


def _some(index: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    return (
        index if len(index) <= most else np.sort(rng.choice(index, most, replace=False))
    )


def _held_rows(
    labels: IntArray, count: IntArray, fraction: float, rng: np.random.Generator
) -> BoolArray:
    share = np.where(count >= 3, fraction * count, 0.0)
    # Rounding the cumulative sum, not each class, keeps the total right for small
    # classes.
    edges = np.floor(np.concatenate([[0.0], np.cumsum(share)]) + rng.random()).astype(
        np.int64
    )
    n_held = np.minimum(np.diff(edges), np.maximum(count - 2, 0))
    if np.count_nonzero(count) == 2:
        n_held = np.maximum(n_held, count >= 3)
    if n_held.sum() == 0:
        if count.max() < 3:
            raise ValueError(
                "`early_stopping=True` holds out rows, but no class has 3 of them (2 "
                'stay for training). Set validation_split="classes" or '
                "early_stopping=False."
            )
        n_held[np.argmax(count)] = 1
    order, _, _ = group_by_class(labels, rng)
    number = np.empty_like(order)  # of each row within its class, in random order
    number[order] = number_within(count)[1]
    held: BoolArray = number < n_held[labels]
    return held


def _held_classes(
    labels: IntArray, count: IntArray, fraction: float, rng: np.random.Generator
) -> BoolArray:
    candidates = np.flatnonzero(count >= 2)
    n_classes = np.count_nonzero(count)
    n_held = max(round(fraction * n_classes), 2)
    if len(candidates) < n_held + 1 or n_classes < n_held + 2:
        smaller = ", or a smaller `validation_fraction`" if n_held > 2 else ""
        raise ValueError(
            f'validation_split="classes" holds out {n_held} classes with 2 or more '
            f"rows and trains on at least 2 others, {n_held + 2} in all; got "
            f"{n_classes} classes, {len(candidates)} of them with 2 or more rows. Set "
            f'validation_split="rows"{smaller}, or pass more classes.'
        )
    return np.isin(labels, rng.choice(candidates, n_held, replace=False))
