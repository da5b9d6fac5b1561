"""Accuracy of predicted classes, and of predicted pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score

from siamese_sklearn._arrays import to_numpy
from siamese_sklearn._labels import right_answers
from siamese_sklearn._validation import check_same
from siamese_sklearn.pairs._containers import Sides

__all__ = ["accuracy"]


def accuracy(classifier: Any, X: Any, y: Any, sample_weight: Any) -> float:
    """Fraction of what a classifier predicts that is right.

    Parameters
    ----------
    classifier : SiamesePairClassifier
    X : rows or Pairs
    y : array-like of shape (n,)
        True classes, or `unknown_label`; for `Pairs`, 1 (same) or 0 (different).
    sample_weight : array-like of shape (n,) or None
    """
    answer = to_numpy(classifier.predict(X))
    if isinstance(X, Sides):
        right = check_same(X, y, both=False) == answer
    else:
        may_mix = classifier.unknown_label is not None
        right = right_answers(y, answer, classifier.classes_, may_mix=may_mix)
    # accuracy_score does not compare strings with numbers
    everything = np.ones_like(right)
    return float(accuracy_score(everything, right, sample_weight=sample_weight))
