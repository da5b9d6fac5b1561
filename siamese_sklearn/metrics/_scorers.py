"""Scorers for scikit-learn's ``scoring=``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier
from sklearn.metrics import roc_auc_score

from siamese_sklearn._arrays import to_numpy
from siamese_sklearn._checks import check_number
from siamese_sklearn._pipelines import final_estimator, last_step
from siamese_sklearn._typing import DoubleArray, IntArray
from siamese_sklearn.metrics._identification import (
    class_codes,
    cmc_curve,
    fnir,
    fnir_at_fpir,
    fpir,
)
from siamese_sklearn.metrics._retrieval import map_at_r, r_precision, recall_at_k
from siamese_sklearn.metrics._verification import (
    check_scored_pairs,
    eer,
    pair_scores,
    tar_at_far,
)
from siamese_sklearn.pairs import Pairs, make_pairs

__all__ = [
    "identification_threshold",
    "make_neg_fnir_at_fpir_scorer",
    "make_tar_at_far_scorer",
    "map_at_r_scorer",
    "neg_eer_scorer",
    "neg_fnir_at_fpir_scorer",
    "neg_fnir_scorer",
    "neg_fpir_scorer",
    "r_precision_scorer",
    "rank_1_identification_scorer",
    "recall_at_1_scorer",
    "scored_searches",
    "tar_at_far_scorer",
    "verification_auc_scorer",
]

_PAIRS = 20_000  # that a classifier has to score


def _embed(estimator: Any, X: Any) -> npt.NDArray[Any]:
    return to_numpy(estimator.transform(X))


def _scored_pairs(
    estimator: Any, X: Any, y: npt.ArrayLike
) -> tuple[npt.ArrayLike, npt.NDArray[Any]]:
    # the pairs drawn are always the same, because a scorer has no random_state
    if isinstance(X, Pairs) and not is_classifier(estimator):
        embedded = estimator.transform(X)
        return y, -np.linalg.norm(
            to_numpy(embedded.left) - to_numpy(embedded.right), axis=1
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


def neg_fpir_scorer(estimator: Any, X: Any, y: npt.ArrayLike) -> float:
    """Negative `fpir` at the threshold of the estimator; for ``scoring=``.

    The threshold is the one with which ``predict(X)`` compares the best score of a row,
    whether or not the estimator has an ``unknown_label``.
    """
    codes, scores, classes = scored_searches(estimator, X, y)
    return -fpir(codes, scores, _required_threshold(estimator), classes=classes)


def neg_fnir_scorer(estimator: Any, X: Any, y: npt.ArrayLike) -> float:
    """Negative `fnir` at the threshold of the estimator; for ``scoring=``.

    The threshold is that of `neg_fpir_scorer`.
    """
    codes, scores, classes = scored_searches(estimator, X, y)
    return -fnir(codes, scores, _required_threshold(estimator), classes=classes)


def neg_fnir_at_fpir_scorer(
    estimator: Any, X: Any, y: npt.ArrayLike, *, fpir: float = 0.01
) -> float:
    """Negative `fnir_at_fpir`, at 1% by default; for ``scoring=``."""
    codes, scores, classes = scored_searches(estimator, X, y)
    return -fnir_at_fpir(codes, scores, fpir, classes=classes)


def make_neg_fnir_at_fpir_scorer(
    fpir: float,
) -> Callable[[Any, Any, npt.ArrayLike], float]:
    """Make a scorer like `neg_fnir_at_fpir_scorer` for another FPIR.

    The scorer can be pickled.

    Parameters
    ----------
    fpir : float
        Between 0 and 1.

    Returns
    -------
    callable
        ``(estimator, X, y) -> float``

    Examples
    --------
    >>> make_neg_fnir_at_fpir_scorer(0.001).keywords
    {'fpir': 0.001}
    """
    check_number("fpir", fpir, low=0.0, high=1.0)
    return functools.partial(neg_fnir_at_fpir_scorer, fpir=fpir)


def rank_1_identification_scorer(estimator: Any, X: Any, y: npt.ArrayLike) -> float:
    """Identification rate at rank 1, the first value of `cmc_curve`.

    Unlike accuracy, it ignores strangers and the threshold; for ``scoring=``.
    """
    codes, scores, classes = scored_searches(estimator, X, y)
    return float(cmc_curve(codes, scores, classes=classes, max_rank=1)[0])


def scored_searches(
    estimator: Any, X: Any, y: npt.ArrayLike
) -> tuple[IntArray, DoubleArray, IntArray]:
    """Return `y_true`, `scores` and `classes` for the identification metrics.

    Shapes (n,), (n, n_classes) and (n_classes,). Classes are numbered, and -1 means a
    stranger. If `y` has no stranger, each row appears a second time as the search of a
    stranger, in which its own class cannot score best; n is then twice the number of
    rows.
    """
    if isinstance(X, Pairs):
        raise TypeError(
            "Identification is measured on rows; got Pairs. Pass rows `X` and the "
            "class of each row, `y`."
        )
    scores, classes = _class_scores(estimator, X)
    columns, codes = np.arange(len(classes)), class_codes(y, classes)
    is_complete = scores.shape == (len(codes), len(classes))  # checked by the metric
    if (codes < 0).any() or len(classes) < 2 or not is_complete:
        return codes, scores, columns
    without = scores.copy()
    # the lowest score of a row is never the best of the other classes alone
    without[np.arange(len(codes)), codes] = scores.min(axis=1)
    strangers = np.full_like(codes, -1)
    return np.append(codes, strangers), np.append(scores, without, axis=0), columns


def _class_scores(estimator: Any, X: Any) -> tuple[DoubleArray, npt.NDArray[Any]]:
    """Score of each enrolled class, (n, n_classes), and the classes, (n_classes,)."""
    classifier, rows = last_step(estimator, X)
    if not hasattr(classifier, "decision_function"):
        raise TypeError(
            f"{type(classifier).__name__} has no `decision_function`. Identification "
            "needs a classifier with enrolled classes, such as SiamesePairClassifier."
        )
    # decision_function returns one difference for two classes
    score = getattr(classifier, "_class_scores", classifier.decision_function)
    return np.asarray(to_numpy(score(rows)), dtype=np.float64), np.asarray(
        classifier.classes_
    )


def identification_threshold(estimator: Any) -> float | None:
    """Return the threshold with which `predict` compares the best score of a row."""
    classifier = final_estimator(estimator)
    threshold = getattr(classifier, "identification_threshold_", None)
    if threshold is None:
        threshold = getattr(classifier, "threshold_", None)
    return None if threshold is None else float(threshold)


def _required_threshold(estimator: Any) -> float:
    threshold = identification_threshold(estimator)
    if threshold is None:
        raise TypeError(
            f"{type(final_estimator(estimator)).__name__} has no threshold for "
            "identification. Use neg_fnir_at_fpir_scorer, which needs none, or the "
            "functions `fpir` and `fnir` with a threshold of your own."
        )
    return threshold
