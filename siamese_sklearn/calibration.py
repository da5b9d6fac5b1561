"""Choose the score threshold for "same", on pairs that were not used in training."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from siamese_sklearn._arrays import to_numpy
from siamese_sklearn._checks import check_number, check_option, warn
from siamese_sklearn._typing import DoubleArray, IntArray
from siamese_sklearn.metrics._intervals import effective_number, upper_bound
from siamese_sklearn.metrics._verification import accept_counts

__all__ = ["Threshold", "choose_threshold"]

STRATEGIES = ("accuracy", "f_beta", "eer", "far", "frr", "precision")


def choose_threshold(
    same: npt.ArrayLike,
    score: npt.ArrayLike,
    strategy: str = "accuracy",
    *,
    target: float | None = None,
    beta: float = 1.0,
) -> float:
    """Choose the threshold that is best for `strategy` on these pairs.

    A pair is accepted, that is, classified as the same, if its score is at least the
    threshold.

    Parameters
    ----------
    same : array-like of shape (n,)
        1 or True for pairs of the same class, 0 or False for pairs of different
        classes; both must occur.
    score : array-like of shape (n,)
        Higher means more similar.
    strategy : {"accuracy", "f_beta", "eer", "far", "frr", "precision"}, \
            default="accuracy"
        - "accuracy": the highest accuracy. Depends on the ratio of same to different
          pairs.
        - "f_beta": the highest F-beta score, with the same pairs as the positive class.
        - "eer": false-accept rate and false-reject rate as close to each other as
          possible.
        - "far": the highest true-accept rate with a false-accept rate of at most
          `target`.
        - "frr": the lowest false-accept rate with a false-reject rate of at most
          `target`.
        - "precision": the highest true-accept rate with a precision of at least
          `target`. Depends on the ratio of same to different pairs.

        Ties go to the threshold that accepts the fewest different pairs. If several
        remain, "frr" takes the lowest of them and the others the highest.
    target : float, default=None
        Rate between 0 and 1. Required by "far", "frr" and "precision"; must be None
        otherwise. With 0, "far" accepts no different pair that is given, and "frr"
        rejects no same pair.
    beta : float, default=1.0
        Weight of recall relative to precision, above 0. Used by "f_beta" only.

    Returns
    -------
    float
        The midpoint between the lowest accepted and the highest rejected score, so that
        rounding does not flip a decision. If no pair is accepted, it lies above the
        highest score by half the mean gap between scores; if every pair is accepted,
        below the lowest score by the same amount. It is exact in the dtype of `score`,
        so float32 scores can be compared with it.

    Raises
    ------
    ValueError
        If `strategy` is unknown; if `target` is missing, out of range or not used by
        the strategy; if no threshold has a precision of `target`; if there are no same
        or no different pairs; or if a score is NaN or infinite.

    Warns
    -----
    UserWarning
        If `target` of "far" or "frr" is above 0 but below 3 / n for n different or same
        pairs. Even if none of n independent pairs is an error, the rate of errors can
        be as high as 3 / n, with 95 % confidence ("rule of three").

    Examples
    --------
    >>> same, score = [1, 1, 0, 1, 0, 0], [0.875, 0.75, 0.5, 0.375, 0.25, 0.125]
    >>> choose_threshold(same, score, "far", target=0.0)
    0.625
    >>> choose_threshold(same, score, "frr", target=0.0)
    0.3125
    """
    choose, counts = _chooser(same, score, strategy, target, beta)
    if strategy in _RATE_OF and target is not None:
        n_same, n_different = counts
        is_far = strategy == "far"
        warn_beyond_data(
            target,
            n_different if is_far else n_same,
            "different pairs" if is_far else "same pairs",
        )
    return choose()


def confident_threshold(
    same: IntArray,
    score: npt.NDArray[Any],
    classes: IntArray | None,
    strategy: str,
    target: float,
    confidence: float,
) -> float:
    """Choose the threshold whose true rate is at most `target`, with some confidence.

    Parameters
    ----------
    same, score
        As in `choose_threshold`.
    classes : int array of shape (n, 2), or None
        The classes of both sides of each pair; None for pairs that do not depend on
        each other.
    strategy : {"far", "frr"}
    target, confidence : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If these pairs cannot show it, even without a single error.
    """
    is_far = strategy == "far"
    kind = same == (0 if is_far else 1)
    of_errors = score[kind] if is_far else -score[kind]
    among = None if classes is None else classes[kind]
    what = "different pairs" if is_far else "same pairs"
    allowed = allowed_rate(of_errors, among, target, confidence, what)
    choose, _ = _chooser(same, score, strategy, allowed, 1.0)
    return choose()


def allowed_rate(
    score: npt.NDArray[Any],
    classes: IntArray | None,
    target: float,
    confidence: float,
    what: str,
) -> float:
    """Highest rate on these data that shows that the true one is at most `target`.

    Parameters
    ----------
    score, classes
        As in `effective_number`.
    target, confidence : float
    what : str
        What the rate is of, for the error.

    Raises
    ------
    ValueError
        If even no error at all does not show it.
    """
    n, effective = len(score), effective_number(score, classes, target)
    least = upper_bound(0.0, effective, confidence)
    if least > target:
        raise ValueError(
            f"`target`={target:g} with `confidence`={confidence:g} is beyond these "
            f"data: {n} {what}, which count as {effective:.3g} independent ones, only "
            f"show a rate below {least:.2g}, even without an error. Use more classes, "
            "a higher target, or a lower confidence."
        )
    low, high = 0, math.floor(target * n)
    while low < high:  # bisection: the bound grows with the number of errors
        middle = (low + high + 1) // 2
        is_shown = upper_bound(middle / n, effective, confidence) <= target
        low, high = (middle, high) if is_shown else (low, middle - 1)
    return low / n


def _chooser(
    same: npt.ArrayLike,
    score: npt.ArrayLike,
    strategy: str,
    target: float | None,
    beta: float,
) -> tuple[Callable[[], float], tuple[int, int]]:
    """Check everything; return what chooses, and the numbers of pairs of each kind."""
    check_option("strategy", strategy, STRATEGIES)
    alone = '; for precision alone, set strategy="precision" and a target'
    check_number("beta", beta, low=0.0, low_open=True, also=alone)
    choose = _strategy(strategy, target, beta)
    false_accepts, true_accepts, thresholds = accept_counts(same, score)
    dtype = to_numpy(score).dtype
    lowest_accepted = thresholds.astype(
        dtype if dtype in (np.float16, np.float32) else np.float64
    )
    counts = int(true_accepts[-1]), int(false_accepts[-1])
    return (
        lambda: _between(lowest_accepted[1:], choose(false_accepts, true_accepts)),
        counts,
    )


def _strategy(
    strategy: str, target: float | None, beta: float
) -> Callable[[IntArray, IntArray], int]:
    """Return a function that picks a point of the curve from false and true accepts."""
    if strategy in _AT_TARGET:
        if target is None:
            extreme = "lowest precision" if strategy == "precision" else "highest rate"
            raise ValueError(
                f"`target` must be given for strategy {strategy!r}: the {extreme} "
                "allowed, from 0 to 1."
            )
        rate = check_number("target", target, low=0.0, high=1.0)
        return functools.partial(_AT_TARGET[strategy], target=rate)
    if target is not None:
        raise ValueError(
            f"`target` must be None for strategy {strategy!r}; got {target!r}. Only "
            f"{', '.join(map(repr, _AT_TARGET))} use it."
        )
    if strategy == "f_beta":
        return functools.partial(_best_f_beta, beta=beta)
    return _best_accuracy if strategy == "accuracy" else _equal_errors


def _best_accuracy(false_accepts: IntArray, true_accepts: IntArray) -> int:
    return int(np.argmax(true_accepts - false_accepts))


def _best_f_beta(false_accepts: IntArray, true_accepts: IntArray, beta: float) -> int:
    # F = (1 + b^2) TP / (TP + FP + b^2 (TP + FN)); the constant factor is irrelevant
    return int(
        np.argmax(
            true_accepts / (true_accepts + false_accepts + beta**2 * true_accepts[-1])
        )
    )


def _equal_errors(false_accepts: IntArray, true_accepts: IntArray) -> int:
    n_different, n_same = false_accepts[-1], true_accepts[-1]
    # |FAR - FRR| times both pair counts, in integers, so that ties are exact
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


def _precision_at_least(
    false_accepts: IntArray, true_accepts: IntArray, target: float
) -> int:
    precision = true_accepts / np.maximum(true_accepts + false_accepts, 1)
    allowed = precision >= target
    if not allowed[1:].any():  # at the first point, no pair is accepted
        raise ValueError(
            f"`target`={target:g} cannot be reached: the highest precision at any "
            f"threshold is {precision.max():.3g} on these pairs."
        )
    return int(np.argmax(np.where(allowed, true_accepts, -1)))


def warn_beyond_data(target: float, n: int, what: str) -> None:
    """Warn if a rate is lower than n searches or pairs without error can show."""
    if 0 < target < 3 / n:
        needed = math.ceil(3 / target) if target > 1e-9 else f"{3 / target:.2g}"
        warn(
            f"`target`={target:g} is beyond these data: {n} {what} without an error "
            f"only show, with 95 % confidence, that the rate is below 3/{n} = "
            f"{3 / n:.2g}, or less if they are not independent. Use at least "
            f"{needed} {what}, or a higher target."
        )


_RATE_OF = ("far", "frr")  # strategies whose target is an error rate
_AT_TARGET: dict[str, Callable[..., int]] = {
    "far": _far_at_most,
    "frr": _frr_at_most,
    "precision": _precision_at_least,
}


def threshold_at_rate(score: npt.NDArray[Any], target: float) -> float:
    """Lowest threshold that at most a fraction `target` of the scores reaches.

    Parameters
    ----------
    score : float array of shape (n,)
        Scores of errors if they are accepted; n is at least 1.
    target : float

    Returns
    -------
    float
        Between two scores, as `choose_threshold` returns it.
    """
    values, count = np.unique(score, return_counts=True)
    n_reaching = np.cumsum(count[::-1])
    n_accepted = int(np.count_nonzero(n_reaching / len(score) <= target))
    return _between(values[::-1], n_accepted)


def _between(scores: npt.NDArray[Any], n_accepted: int) -> float:
    """Threshold that accepts the first `n_accepted` of distinct, descending scores."""
    highest, lowest = scores[0], scores[-1]
    infinity = scores.dtype.type(np.inf)
    half_gap = (highest / 2 - lowest / 2) / scores.dtype.type(max(len(scores) - 1, 1))
    if n_accepted == 0:
        return float(max(highest + half_gap, np.nextafter(highest, infinity)))
    if n_accepted == len(scores):
        return float(min(lowest - half_gap, np.nextafter(lowest, -infinity)))
    accepted, rejected = scores[n_accepted - 1], scores[n_accepted]
    middle = accepted / 2 + rejected / 2
    # Adjacent floats have no midpoint; the accepted score itself separates them.
    return float(middle if rejected < middle <= accepted else accepted)


@dataclass(frozen=True)
class Threshold:
    """Score at which a pair counts as the same, and a map from scores to probabilities.

    Attributes
    ----------
    value : float
        A pair counts as the same if its score is at least this value.
    slope, midpoint : float
        P(same) = 1 / (1 + exp(-slope (score - midpoint))). Changing the value does not
        change these.
    strategy : str
        How the value was chosen: one of `STRATEGIES`, or "set" if it was set by hand.
    prior : float
        Share of same pairs in the data that the probability was fitted on.
    """

    value: float
    slope: float
    midpoint: float
    strategy: str = "accuracy"
    prior: float = 0.5

    @classmethod
    def learn(cls, same: IntArray, score: npt.NDArray[Any]) -> Threshold:
        """Choose the most accurate value, and fit the probability around it."""
        value = choose_threshold(same, score)
        slope = probability_slope(same, score, value)
        return cls(value, slope, value, prior=float(np.mean(same)))

    def margin(self, score: npt.NDArray[Any]) -> DoubleArray:
        """Score minus the value: 0 or more means same."""
        return score.astype(np.float64) - self.value

    def logit(self, score: npt.NDArray[Any], prior: float | None = None) -> DoubleArray:
        """Logit of the probability of "same".

        Parameters
        ----------
        score : array of shape (n,)
        prior : float, default=None
            Share of same pairs among those that are scored; None means that of the data
            the probability was fitted on.

        References
        ----------
        Saerens, Latinne & Decaestecker, "Adjusting the Outputs of a Classifier to New a
        Priori Probabilities: A Simple Procedure", Neural Computation 14(1), 2002.
        """
        log_odds = self.slope * (score.astype(np.float64) - self.midpoint)
        shift = 0.0 if prior is None else float(logit(prior) - logit(self.prior))
        return log_odds + shift

    def moved(self, value: float, strategy: str) -> Threshold:
        """Return a copy with another value and the same probability."""
        return replace(self, value=value, strategy=strategy)


def probability_slope(
    same: IntArray, score: npt.NDArray[Any], threshold: float
) -> float:
    """Fit the slope a of P(same) = 1 / (1 + exp(-a (score - threshold))) to scores.

    Platt scaling, with the probability fixed to 1/2 at the threshold.

    References
    ----------
    Platt, "Probabilistic Outputs for Support Vector Machines", Advances in Large Margin
    Classifiers, 1999.
    """
    distance = score.astype(np.float64) - threshold
    # Equal scores carry no information; their standard deviation is 0 up to rounding.
    scale = float(distance.std()) if np.ptp(distance) > 0 else 1.0
    model = LogisticRegression(fit_intercept=False).fit(distance[:, None] / scale, same)
    return max(float(model.coef_[0, 0]), 1e-3) / scale
