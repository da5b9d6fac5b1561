"""Scorers for scikit-learn's ``scoring=``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier
from sklearn.metrics import roc_auc_score

from siamese_sklearn._checks import check_number
from siamese_sklearn.metrics._retrieval import map_at_r, r_precision, recall_at_k
from siamese_sklearn.metrics._verification import (
    check_scored_pairs,
    eer,
    pair_scores,
    tar_at_far,
)
from siamese_sklearn.pairs import Pairs, make_pairs

__all__ = [
    "make_tar_at_far_scorer",
    "map_at_r_scorer",
    "neg_eer_scorer",
    "r_precision_scorer",
    "recall_at_1_scorer",
    "tar_at_far_scorer",
    "verification_auc_scorer",
]

_PAIRS = 20_000  # that a classifier has to score


def _embed(estimator: Any, X: Any) -> npt.NDArray[Any]:
    return np.asarray(estimator.transform(X))


def _scored_pairs(
    estimator: Any, X: Any, y: npt.ArrayLike
) -> tuple[npt.ArrayLike, npt.NDArray[Any]]:
    # the pairs drawn are always the same, because a scorer has no random_state
    if isinstance(X, Pairs) and not is_classifier(estimator):
        embedded = estimator.transform(X)
        return y, -np.linalg.norm(
            np.asarray(embedded.left) - np.asarray(embedded.right), axis=1
        )
    if is_classifier(estimator):
        pairs, same = (
            (X, y)
            if isinstance(X, Pairs)
            else make_pairs(X, y, n_pairs=_PAIRS, random_state=0)
        )
        return same, estimator.decision_function(pairs)
    return pair_scores(_embed(estimator, X), y, random_state=0)


def map_at_r_scorer(estimator: Any, X: Any, y: npt.ArrayLike) -> float:
    """`map_at_r` of ``estimator.transform(X)``, leave-one-out; for ``scoring=``."""
    return map_at_r(_embed(estimator, X), y)


def r_precision_scorer(estimator: Any, X: Any, y: npt.ArrayLike) -> float:
    """`r_precision` of ``estimator.transform(X)``, leave-one-out; for ``scoring=``."""
    return r_precision(_embed(estimator, X), y)


def recall_at_1_scorer(estimator: Any, X: Any, y: npt.ArrayLike) -> float:
    """`recall_at_k` with k = 1 of ``estimator.transform(X)``, leave-one-out."""
    return recall_at_k(_embed(estimator, X), y)


def verification_auc_scorer(estimator: Any, X: Any, y: npt.ArrayLike) -> float:
    """Area under the ROC curve of verification; for ``scoring=``."""
    same, score = _scored_pairs(estimator, X, y)
    check_scored_pairs(same, score)
    return float(roc_auc_score(same, score))


def neg_eer_scorer(estimator: Any, X: Any, y: npt.ArrayLike) -> float:
    """Negative `eer` of verification, so that greater is better; for ``scoring=``."""
    return -eer(*_scored_pairs(estimator, X, y))


def tar_at_far_scorer(
    estimator: Any, X: Any, y: npt.ArrayLike, *, far: float = 0.01
) -> float:
    """`tar_at_far` of verification, at 1% by default; for ``scoring=``."""
    return tar_at_far(*_scored_pairs(estimator, X, y), far=far)


def make_tar_at_far_scorer(far: float) -> Callable[[Any, Any, npt.ArrayLike], float]:
    """Make a scorer like `tar_at_far_scorer` for another false-accept rate.

    The scorer can be pickled.

    Parameters
    ----------
    far : float
        Between 0 and 1.

    Returns
    -------
    callable
        ``(estimator, X, y) -> float``

    Examples
    --------
    >>> make_tar_at_far_scorer(0.001).keywords
    {'far': 0.001}
    """
    check_number("far", far, low=0.0, high=1.0)
    return functools.partial(tar_at_far_scorer, far=far)
