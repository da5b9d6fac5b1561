"""Confidence intervals of error rates whose pairs or searches depend on each other."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, t

from siamese_sklearn._typing import BoolArray, IntArray

__all__ = ["effective_number", "rate_interval", "upper_bound"]

_MIN_ERRORS = 20  # from which their dependence is estimated


def effective_number(
    score: npt.NDArray[np.floating], classes: IntArray | None, rate: float
) -> float:
    """Count the independent trials that tell as much about a rate as these do.

    Two pairs of one person depend on each other, and so do two searches. How much an
    error rate varies is therefore estimated by leaving out one class after the other
    (jackknife), with all pairs that it is a part of. If no class varies more than by
    chance, n trials count as n, and as fewer otherwise, or if there are few classes.

    Parameters
    ----------
    score : array of shape (n,)
        The higher, the sooner a trial is an error.
    classes : int array of shape (n,) or (n, 2), or None
        The class of each search, or the two of each pair; None for independent trials.
    rate : float
        The rate at which it is estimated; a higher one if fewer than 20 trials are
        errors at this one.

    Returns
    -------
    float
        Above 0, at most n.

    References
    ----------
    Korn & Graubard, "Confidence Intervals for Proportions with Small Expected Number of
    Positive Counts Estimated from Survey Data", Survey Methodology 24, 1998.
    """
    n = len(score)
    if classes is None:
        return float(n)
    number, member = np.unique(classes.reshape(n, -1), return_inverse=True)
    member = member.reshape(n, -1)
    if len(number) < 2:
        return 1.0
    n_errors = min(max(math.ceil(rate * n), _MIN_ERRORS), max(n // 2, 1))
    error = score >= np.partition(score, n - n_errors)[n - n_errors]
    share = float(error.mean())
    independent = share * (1 - share) / n
    variance = _jackknife_variance(error, member, len(number))
    excess = max(variance / independent, 1.0) if independent > 0 else 1.0
    few = float(t.ppf(0.975, max(n - 1, 1)) / t.ppf(0.975, len(number) - 1))
    return min(max(n / excess * few**2, 1.0), float(n))


def _jackknife_variance(error: BoolArray, member: IntArray, n_classes: int) -> float:
    """Variance of the share of errors, by leaving out each class with all its trials.

    `member` has shape (n, 1) or (n, 2): the classes of each trial, as integers from 0.
    """
    trials, errors = np.zeros(n_classes), np.zeros(n_classes)
    for column in member.T:
        trials += np.bincount(column, minlength=n_classes)
        errors += np.bincount(column, weights=error, minlength=n_classes)
    if member.shape[1] == 2:  # a pair within a class is left out once
        within = member[:, 0] == member[:, 1]
        column = member[within, 0]
        trials -= np.bincount(column, minlength=n_classes)
        errors -= np.bincount(column, weights=error[within], minlength=n_classes)
    left = len(error) - trials
    shares = (error.sum() - errors)[left > 0] / left[left > 0]
    return float((len(shares) - 1) * shares.var()) if len(shares) else 0.0


def rate_interval(
    rate: float, effective: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval that contains the true rate with some confidence (Clopper-Pearson).

    Parameters
    ----------
    rate : float
        As observed.
    effective : float
        Number of independent trials, see `effective_number`.
    confidence : float, default=0.95

    Returns
    -------
    low, high : float
    """
    tail = (1 - confidence) / 2
    low = 1 - upper_bound(1 - rate, effective, 1 - tail)
    return low, upper_bound(rate, effective, 1 - tail)


def upper_bound(rate: float, effective: float, confidence: float) -> float:
    """Rate that the true one does not exceed, with some confidence (one-sided)."""
    n_errors = rate * effective
    if n_errors >= effective:
        return 1.0
    return float(beta.ppf(confidence, n_errors + 1, effective - n_errors))
