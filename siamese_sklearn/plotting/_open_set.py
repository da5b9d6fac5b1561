"""OpenSetDisplay: the two errors of open-set identification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from siamese_sklearn._checks import check_number
from siamese_sklearn._typing import DoubleArray
from siamese_sklearn.metrics import fpir_fnir_curve
from siamese_sklearn.metrics._scorers import identification_threshold, scored_searches
from siamese_sklearn.plotting._drawing import (
    BLUE,
    axes_to_draw_on,
    check_matplotlib,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

__all__ = ["OpenSetDisplay"]


class OpenSetDisplay:
    """FNIR over FPIR: how many searches miss if few strangers may be named.

    Create it with `from_estimator` or `from_predictions`. FPIR, the false-positive
    identification rate, is the fraction of strangers' searches that name somebody; its
    axis is logarithmic. FNIR, the false-negative identification rate, is the fraction
    of searches for enrolled classes that do not name the right one. The curve is a
    staircase, because nothing is interpolated: its height is the lowest FNIR at an FPIR
    of at most that value. An FPIR of 0 is drawn at the left end of the curve, at half
    of the lowest FPIR above 0.

    Parameters
    ----------
    fpir, fnir, thresholds : ndarray of shape (n_thresholds,)
        As `siamese_sklearn.metrics.fpir_fnir_curve` returns them.
    threshold : float, default=None
        Marked on the curve, with its error rates in the legend. None marks nothing.
    name : str, default=None
        Label of the curve in the legend, to compare several in one figure.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
    threshold_point_ : matplotlib Line2D or None
    legend_ : matplotlib Legend or None
        None if nothing in the axes has a label.

    See Also
    --------
    PairScoreDisplay : The error rates of verification, at the threshold.
    sklearn.metrics.DetCurveDisplay : The same curve for verification.

    References
    ----------
    ISO/IEC 19795-1:2021, "Biometric performance testing and reporting, Part 1".

    Grother, Ngan & Hanaoka 2019, "Face Recognition Vendor Test, Part 2:
    Identification", NISTIR 8271.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from siamese_sklearn.plotting import OpenSetDisplay
    >>> scores = [[0.9, 0.2], [0.3, 0.6], [0.1, 0.4], [0.7, 0.5]]
    >>> y_true = ["ann", "bob", "eve", "joe"]  # Eve and Joe are strangers
    >>> display = OpenSetDisplay.from_predictions(
    ...     y_true, scores, classes=["ann", "bob"], threshold=0.8
    ... )
    >>> display.legend_.get_texts()[0].get_text()
    'threshold 0.8: FPIR 0%, FNIR 50%'
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure | SubFigure
    line_: Line2D
    threshold_point_: Line2D | None
    legend_: Legend | None

    def __init__(
        self,
        fpir: DoubleArray,
        fnir: DoubleArray,
        thresholds: DoubleArray,
        *,
        threshold: float | None = None,
        name: str | None = None,
    ) -> None:
        self.fpir = fpir
        self.fnir = fnir
        self.thresholds = thresholds
        self.threshold = threshold
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: npt.ArrayLike,
        *,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Search the enrolled classes for rows, and draw the errors.

        The threshold is the one with which ``predict`` of a `SiamesePairClassifier`
        compares the best score of a row.

        Parameters
        ----------
        estimator : fitted SiamesePairClassifier
            Or a Pipeline that ends in one.
        X : rows, not used in training
        y : array-like of shape (n,)
            The class of each row. A label that is not in ``classes_`` is that of a
            stranger. If there is none, each row also counts as a stranger's, scored
            against the other classes only; that is optimistic for classes of training,
            which the network has learned to tell apart.
        name
            As in the class.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        OpenSetDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the estimator has no ``decision_function``, or if `X` is `Pairs`.
        ValueError
            If `y` does not match `X`, if no row is of an enrolled class, or if there is
            no stranger and only one class is enrolled.
        """
        check_matplotlib(cls)
        codes, scores, classes = scored_searches(estimator, X, y)
        return cls.from_predictions(
            codes,
            scores,
            classes=classes,
            threshold=identification_threshold(estimator),
            name=name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: npt.ArrayLike,
        scores: npt.ArrayLike,
        *,
        classes: npt.ArrayLike,
        threshold: float | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the errors of searches.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            The class of each search. A label that is not in `classes` is that of a
            stranger; both strangers' and mated searches must occur.
        scores : array-like of shape (n, n_classes)
            The score of each enrolled class; higher means more similar.
        classes : array-like of shape (n_classes,)
            The enrolled class of each column.
        threshold, name
            As in the class.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        OpenSetDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `threshold` is not a number.
        ValueError
            If there are no strangers or no mated searches, if the shapes do not match,
            or if a value is NaN or infinite.
        """
        check_matplotlib(cls)
        if threshold is not None:
            threshold = check_number("threshold", threshold, also=" or None")
        curve = fpir_fnir_curve(y_true, scores, classes=classes)
        return cls(*curve, threshold=threshold, name=name).plot(ax, **kwargs)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None creates a new figure.
        **kwargs
            Passed to ``ax.plot`` for the curve, such as ``color`` and ``linestyle``.

        Returns
        -------
        OpenSetDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `ax` is not an Axes.
        """
        self.ax_ = axes_to_draw_on(type(self), ax)
        self.figure_ = self.ax_.figure
        # of the points at an FPIR of 0, the last has the lowest FNIR
        first = np.count_nonzero(self.fpir == 0) - 1
        floor = self.fpir[self.fpir > 0].min() / 2
        has_curve = self.ax_.lines and self.ax_.get_xscale() == "log"
        left = min(floor, self.ax_.get_xlim()[0]) if has_curve else floor
        shown = np.maximum(self.fpir, floor)
        style = {"color": BLUE, "label": self.name, "drawstyle": "steps-post", **kwargs}
        self.line_ = self.ax_.plot(shown[first:], self.fnir[first:], **style)[0]
        self.threshold_point_ = None
        if self.threshold is not None:
            # the lowest threshold of the curve that is not below has the same rates
            place = np.count_nonzero(self.thresholds >= self.threshold) - 1
            self.threshold_point_ = self.ax_.plot(
                shown[place],
                self.fnir[place],
                "o",
                color=self.line_.get_color(),
                clip_on=False,
                label=f"threshold {self.threshold:.3g}: FPIR "
                f"{_percent(self.fpir[place])}, FNIR {_percent(self.fnir[place])}",
            )[0]
        has_labels = bool(self.ax_.get_legend_handles_labels()[1])
        self.legend_ = self.ax_.legend() if has_labels else None
        self.ax_.set(xscale="log", xlim=(left, 1.0))
        self.ax_.set(xlabel="strangers named (FPIR)", ylabel="enrolled missed (FNIR)")
        for axis in (self.ax_.xaxis, self.ax_.yaxis):
            axis.set_major_formatter(_percent)
        return self


def _percent(fraction: float, position: float | None = None) -> str:
    return f"{100 * fraction:.3g}%"
