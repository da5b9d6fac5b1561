"""Choosing the threshold from which on a pair counts as the same, on pairs that training has not seen."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from siamese_sklearn._checks import check_number, check_option
from siamese_sklearn._typing import DoubleArray, IntArray
from siamese_sklearn.metrics._verification import accept_counts

__all__ = ["Threshold", "choose_threshold"]

STRATEGIES = ("accuracy", "f_beta", "eer", "far", "frr")


def choose_threshold(
    same: npt.ArrayLike,
    score: npt.ArrayLike,
    strategy: str = "accuracy",
    *,
    target: float | None = None,
    beta: float = 1.0,
) -> float:
    """Choose the threshold that serves `strategy` best on these pairs.

    A pair is accepted, taken to be of one class, when its score is at least the threshold.

    Parameters
    ----------
    same : array-like of shape (n,)
        1 or True for pairs of one class, 0 or False for pairs of different classes; both must occur.
    score : array-like of shape (n,)
        Higher means more alike.
    strategy : {"accuracy", "f_beta", "eer", "far", "frr"}, default="accuracy"
        - "accuracy": the most right decisions. Depends on how many pairs of each kind there are.
        - "f_beta": the highest F-beta of the same pairs.
        - "eer": false-accept and false-reject rate as near to each other as can be.
        - "far": the highest true-accept rate with a false-accept rate of at most `target`.
        - "frr": the lowest false-accept rate with a false-reject rate of at most `target`.

        Where several thresholds are equally good, the one that accepts the fewest different pairs is taken,
        and of those for "far" the highest, for "frr" the one that accepts the most same pairs.
    target : float, default=None
        The rate, between 0 and 1, that "far" and "frr" need and the others do not take.
    beta : float, default=1.0
        How much more recall counts than precision; "f_beta" alone uses it.

    Returns
    -------
    float
        Midway between the lowest score accepted and the highest rejected, so that neither new pairs nor
        rounding turn the decisions. To accept nothing (or everything) it lies beyond the highest (lowest)
        score by half the mean gap between scores. It is a number of the scores' own dtype: float32 scores
        compare with it exactly.

    Raises
    ------
    ValueError
        If `strategy` is unknown, `target` is missing, out of range or not for this strategy, a kind of pair
        is missing, or a score is NaN or infinite.

    Examples
    --------
    >>> same, score = [1, 1, 0, 1, 0, 0], [0.875, 0.75, 0.5, 0.375, 0.25, 0.125]
    >>> choose_threshold(same, score, "far", target=0.0)
    0.625
    >>> choose_threshold(same, score, "frr", target=0.0)
    0.3125
    """
    check_option("strategy", strategy, STRATEGIES)
    check_number("beta", beta, low=0.0, low_open=True)
    choose = _strategy(strategy, target, beta)
    false_accepts, true_accepts, thresholds = accept_counts(same, score)
    dtype = np.asarray(score).dtype
    lowest_accepted = thresholds.astype(
        dtype if dtype in (np.float16, np.float32) else np.float64
    )
    return _between(lowest_accepted[1:], choose(false_accepts, true_accepts))


def _strategy(
    strategy: str, target: float | None, beta: float
) -> Callable[[IntArray, IntArray], int]:
    """How to choose among the points of the curve, given the false and the true accepts at each."""
    if strategy in ("far", "frr"):
        if target is None:
            raise ValueError(
                f"`target` must be given for strategy {strategy!r}: the highest rate allowed, from 0 to 1."
            )
        rate = check_number("target", target, low=0.0, high=1.0)
        at_most = _far_at_most if strategy == "far" else _frr_at_most
        return functools.partial(at_most, target=rate)
    if target is not None:
        raise ValueError(
            f"`target` must be None for strategy {strategy!r}; got {target!r}. Only 'far' and 'frr' take one."
        )
    if strategy == "f_beta":
        return functools.partial(_best_f_beta, beta=beta)
    return _best_accuracy if strategy == "accuracy" else _equal_errors


def _best_accuracy(false_accepts: IntArray, true_accepts: IntArray) -> int:
    return int(np.argmax(true_accepts - false_accepts))


def _best_f_beta(false_accepts: IntArray, true_accepts: IntArray, beta: float) -> int:
    # F = (1 + b^2) TP / (TP + FP + b^2 (TP + FN)); the constant factor does not matter
    return int(
        np.argmax(
            true_accepts / (true_accepts + false_accepts + beta**2 * true_accepts[-1])
        )
    )


def _equal_errors(false_accepts: IntArray, true_accepts: IntArray) -> int:
    n_different, n_same = false_accepts[-1], true_accepts[-1]
    # |FAR - FRR| times both numbers of pairs: whole numbers, so that ties are exact
    return int(
        np.argmin(
            np.abs(false_accepts * n_same - (n_same - true_accepts) * n_different)
        )
    )


def _far_at_most(false_accepts: IntArray, true_accepts: IntArray, target: float) -> int:
    allowed = false_accepts / false_accepts[-1] <= target
    return int(np.argmax(np.where(allowed, true_accepts, -1)))


def _frr_at_most(false_accepts: IntArray, true_accepts: IntArray, target: float) -> int:
    allowed = (true_accepts[-1] - true_accepts) / true_accepts[-1] <= target
    return int(np.flatnonzero(false_accepts == false_accepts[allowed].min())[-1])


def _between(scores: npt.NDArray[Any], n_accepted: int) -> float:
    """Threshold that accepts the `n_accepted` highest of the distinct, decreasing `scores`."""
    highest, lowest = scores[0], scores[-1]
    infinity = scores.dtype.type(np.inf)
    half_gap = (highest / 2 - lowest / 2) / scores.dtype.type(max(len(scores) - 1, 1))
    if n_accepted == 0:
        return float(max(highest + half_gap, np.nextafter(highest, infinity)))
    if n_accepted == len(scores):
        return float(min(lowest - half_gap, np.nextafter(lowest, -infinity)))
    accepted, rejected = scores[n_accepted - 1], scores[n_accepted]
    middle = accepted / 2 + rejected / 2
    return float(
        middle if rejected < middle <= accepted else accepted
    )  # no number lies between neighbours


@dataclass(frozen=True)
class Threshold:
    """Score from which a pair counts as the same, and the probability that belongs to a score.

    Attributes
    ----------
    value : float
        A pair is the same if its score is at least this.
    slope, midpoint : float
        P(same) = 1 / (1 + exp(-slope (score - midpoint))). Where the value moves, these stay.
    strategy : str
        How the value was chosen: one of `STRATEGIES`, or "set" by hand.
    """

    value: float
    slope: float
    midpoint: float
    strategy: str = "accuracy"

    @classmethod
    def learn(cls, same: IntArray, score: npt.NDArray[Any]) -> Threshold:
        """Choose the value with the most right decisions, and fit the probability around it."""
        value = choose_threshold(same, score)
        return cls(value, probability_slope(same, score, value), value)

    def margin(self, score: npt.NDArray[Any]) -> DoubleArray:
        """How far scores are above the value: 0 or more means same."""
        return score.astype(np.float64) - self.value

    def logit(self, score: npt.NDArray[Any]) -> DoubleArray:
        """Logit of the probability of "same"."""
        return self.slope * (score.astype(np.float64) - self.midpoint)

    def moved(self, value: float, strategy: str) -> Threshold:
        """Take another value, and keep the probability."""
        return replace(self, value=value, strategy=strategy)


def probability_slope(
    same: IntArray, score: npt.NDArray[Any], threshold: float
) -> float:
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
