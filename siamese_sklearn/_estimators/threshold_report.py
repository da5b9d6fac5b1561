"""What a threshold has reached on the data it was chosen on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from siamese_sklearn._typing import BoolArray, IntArray
from siamese_sklearn.metrics._intervals import effective_number, rate_interval

__all__ = ["ErrorRate", "ThresholdReport", "rate_of", "report_of_pairs"]


@dataclass(frozen=True)
class ErrorRate:
    """An error rate, and its 95% interval.

    Attributes
    ----------
    name : str
    n_errors, n : int
        Of so many pairs or searches.
    n_classes : int or None
        Of which these are; None if it is not known.
    low, high : float
        The interval of the true rate, which respects that pairs and searches of one
        class depend on each other.
    """

    name: str
    n_errors: int
    n: int
    n_classes: int | None
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Share of errors."""
        return self.n_errors / self.n


@dataclass(frozen=True)
class ThresholdReport:
    """A threshold and the error rates that it has on the data it was chosen on.

    Attributes
    ----------
    strategy : str
        How it was chosen.
    threshold : float
    target, confidence : float or None
        As they were asked for.
    rates : tuple of ErrorRate
        "FAR" and "FRR" of pairs, or "FPIR" and "FNIR" of searches. On new data the
        rates of a threshold that was chosen for them are a little higher.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from siamese_sklearn import SiamesePairClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = SiamesePairClassifier(max_epochs=2, random_state=0).fit(X[::2], y[::2])
    >>> clf = clf.calibrate_threshold(X[1::2], y[1::2], strategy="far", target=0.05)
    >>> clf.threshold_report_.table.columns.tolist()
    ['rate', 'low', 'high', 'errors', 'trials', 'classes']
    >>> clf.threshold_report_.table.index.tolist()
    ['FAR', 'FRR']
    """

    strategy: str
    threshold: float
    target: float | None
    confidence: float | None
    rates: tuple[ErrorRate, ...]

    @property
    def table(self) -> pd.DataFrame:
        """A row for each rate: rate, low, high, errors, trials, classes."""
        rows = {
            each.name: {
                "rate": each.rate,
                "low": each.low,
                "high": each.high,
                "errors": each.n_errors,
                "trials": each.n,
                "classes": each.n_classes,
            }
            for each in self.rates
        }
        return pd.DataFrame.from_dict(rows, orient="index")

    def __str__(self) -> str:
        asked = [self.strategy]
        if self.target is not None:
            asked.append(f"target {self.target:g}")
        if self.confidence is not None:
            asked.append(f"confidence {self.confidence:g}")
        lines = [f"Threshold {self.threshold:.4g} ({', '.join(asked)})"]
        for each in self.rates:
            of = "" if each.n_classes is None else f" of {each.n_classes} classes"
            lines.append(
                f"{each.name:4} {each.rate:.3%}, 95% interval {each.low:.3%} to "
                f"{each.high:.3%}: {each.n_errors} of {each.n}{of}"
            )
        return "\n".join(lines)

    __repr__ = __str__


def rate_of(
    name: str,
    error: BoolArray,
    score: npt.NDArray[Any],
    classes: IntArray | None,
) -> ErrorRate:
    """Count errors, and find the interval of their rate.

    Parameters
    ----------
    name : str
    error : bool array of shape (n,)
    score, classes
        As in `effective_number`: the higher the score, the sooner an error.
    """
    n_errors, n = int(np.count_nonzero(error)), len(error)
    effective = effective_number(score, classes, n_errors / n)
    low, high = rate_interval(n_errors / n, effective)
    n_classes = None if classes is None else len(np.unique(classes))
    return ErrorRate(name, n_errors, n, n_classes, low, high)


def report_of_pairs(
    strategy: str,
    threshold: float,
    same: IntArray,
    score: npt.NDArray[Any],
    classes: IntArray | None,
    target: float | None = None,
    confidence: float | None = None,
) -> ThresholdReport:
    """Report the false-accept and the false-reject rate of a threshold for pairs.

    Parameters
    ----------
    strategy : str
    threshold : float
    same, score : arrays of shape (n,)
    classes : int array of shape (n, 2), or None
    target, confidence : float or None
    """
    rates = []
    for name, kind, sign in (("FAR", same == 0, 1), ("FRR", same == 1, -1)):
        of_kind = score[kind]
        error = of_kind >= threshold if sign > 0 else of_kind < threshold
        among = None if classes is None else classes[kind]
        rates.append(rate_of(name, error, sign * of_kind, among))
    return ThresholdReport(strategy, threshold, target, confidence, tuple(rates))
