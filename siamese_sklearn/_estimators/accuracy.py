"""Accuracy of predicted classes, and of predicted pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score

from siamese_sklearn._arrays import to_numpy
from siamese_sklearn._labels import right_answers
from siamese_sklearn._typing import Array
from siamese_sklearn._validation import check_same
from siamese_sklearn.pairs._containers import Sides

__all__ = ["accuracy"]


def accuracy(
    X: Any,
    y: Any,
    answer: Any,
    classes: Array,
    sample_weight: Any,
    *,
    may_mix: bool,
) -> float:
    """Fraction of the answers that are right.

    Parameters
    ----------
    X : rows or Pairs
    y : array-like of shape (n,)
        True classes; for `Pairs`, 1 (same) or 0 (different).
    answer : array or tensor of shape (n,)
        As `predict` returns it for `X`.
    classes : array of shape (n_classes,)
    sample_weight : array-like of shape (n,) or None
    may_mix : bool
        Whether "unknown" may be an answer.
    """
    # accuracy_score does not compare strings with numbers
    if isinstance(X, Sides):
        right = check_same(X, y, both=False) == to_numpy(answer)
    else:
        right = right_answers(y, to_numpy(answer), classes, may_mix=may_mix)
    everything = np.ones_like(right)
    return float(accuracy_score(everything, right, sample_weight=sample_weight))
