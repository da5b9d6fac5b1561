"""What is learned on pairs of rows held out: from which score on they are the same, and how surely."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from siamese_sklearn.pairs import count_pairs, draw_pairs

__all__ = ["balanced_pairs", "held_out_pairs", "many_pairs", "probability_slope"]

Index = npt.NDArray[np.int64]

_MOST_OF_A_KIND = 10_000
_MOST_FOR_RATES = 200_000  # of a kind; the false-accept rate is known to one in that many
_DRAWS_PER_ROW = 10


def balanced_pairs(labels: Index, rng: np.random.Generator) -> tuple[Index, Index]:
    """Row numbers (n, 2) of equally many same and different pairs, and which are the same (n,)."""
    n_each = min(*count_pairs(labels), _MOST_OF_A_KIND)
    return draw_pairs(labels, n_each, n_each, rng), _kinds(n_each, n_each)


def many_pairs(labels: Index, rng: np.random.Generator) -> tuple[Index, Index]:
    """Row numbers (n, 2) of pairs for rates, which the balance of the kinds does not change, and `same`."""
    n_same, n_different = count_pairs(labels)
    n_same, n_different = min(n_same, _MOST_FOR_RATES), min(n_different, _MOST_FOR_RATES)
    return draw_pairs(labels, n_same, n_different, rng), _kinds(n_same, n_different)


def held_out_pairs(labels: Index, held: Index, rng: np.random.Generator) -> tuple[Index, Index]:
    """Pairs that say how the network does on rows it was not trained on, as many same as different.

    Both rows are held out. If that leaves most held-out rows without another one of their class, each
    held-out row is paired with rows of all the data.

    Parameters
    ----------
    labels : array of shape (n,)
        Class numbers of all rows.
    held : array of int
        The rows held out.
    rng : numpy.random.Generator

    Returns
    -------
    pairs : array of shape (n_pairs, 2)
        Row numbers.
    same : array of shape (n_pairs,)
    """
    numbers, count = np.unique(labels[held], return_inverse=True, return_counts=True)[1:]
    if len(count) > 1 and 2 * count[count > 1].sum() >= len(held):
        pairs, same = balanced_pairs(numbers, rng)
        return held[pairs], same
    return _pairs_with_all(labels, held, rng)


def probability_slope(same: Index, score: npt.NDArray[Any], threshold: float) -> float:
    """Slope a of P(same) = 1 / (1 + exp(-a (score - threshold))), fitted to scored pairs.

    Platt's scaling with the threshold for its one half.

    References
    ----------
    Platt, "Probabilistic Outputs for Support Vector Machines", Advances in Large Margin Classifiers, 1999.
    """
    distance = score.astype(np.float64) - threshold
    # Equal scores have nothing to teach, and a deviation of 0 only but for rounding.
    scale = float(distance.std()) if np.ptp(distance) > 0 else 1.0
    model = LogisticRegression(fit_intercept=False).fit(distance[:, None] / scale, same)
    return max(float(model.coef_[0, 0]), 1e-3) / scale


def _pairs_with_all(labels: Index, held: Index, rng: np.random.Generator) -> tuple[Index, Index]:
    """Pair each held-out row with a few rows of its class, and as many of the others."""
    by_class = np.argsort(labels, kind="stable")
    place = np.empty_like(by_class)
    place[by_class] = np.arange(len(labels))
    count = np.bincount(labels)
    start = (np.cumsum(count) - count)[labels]
    size = count[labels]
    queries = held[size[held] > 1]
    n_draws = int(np.clip(_MOST_OF_A_KIND // len(queries), 1, _DRAWS_PER_ROW))
    rows = np.repeat(queries, n_draws)
    step = 1 + rng.integers(size[rows] - 1)  # around the ring of the class, never back to the row itself
    same = start[rows] + (place[rows] - start[rows] + step) % size[rows]
    beyond = start[rows] + size[rows] + rng.integers(len(labels) - size[rows])
    different = beyond % len(labels)
    pairs = np.stack([np.tile(rows, 2), by_class[np.concatenate([same, different])]], axis=1)
    return pairs, _kinds(len(rows), len(rows))


def _kinds(n_same: int, n_different: int) -> Index:
    return np.repeat(np.array([1, 0], dtype=np.int64), [n_same, n_different])
