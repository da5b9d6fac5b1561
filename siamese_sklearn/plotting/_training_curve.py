"""TrainingCurveDisplay: the course of training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from siamese_sklearn._checks import check_number
from siamese_sklearn._estimators import SiameseBase
from siamese_sklearn._typing import DoubleArray
from siamese_sklearn.plotting._drawing import (
    BLUE,
    GREEN,
    ORANGE,
    axes_to_draw_on,
    check_matplotlib,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

__all__ = ["TrainingCurveDisplay"]


class TrainingCurveDisplay:
    """Training loss, active pairs or triplets, spread and held-out score per epoch.

    Create it with `from_estimator` or `from_history`. The loss is on the left axis;
    everything that lies between 0 and 1 is on the right axis. It is normal for a
    triplet loss to stay near its margin, because it is the mean over the triplets that
    are not yet solved. The number of these and the held-out score show the progress. If
    the spread falls toward 0, the embeddings are collapsing.

    Parameters
    ----------
    train_loss : ndarray of shape (n_epochs,)
        Mean loss of each epoch.
    n_active : ndarray of shape (n_epochs,), default=None
        Number of pairs, triplets or rows per batch that contribute to the loss.
    spread : ndarray of shape (n_epochs,), default=None
        From 0, if all embeddings are the same point, to 1.
    valid_score : ndarray of shape (n_epochs,), default=None
        The score that early stopping monitors. In all of these arrays, NaN means that
        the epoch has no value.
    n_possible : float, default=None
        Number of pairs, triplets or rows in a batch, active or not, to draw the active
        ones as a fraction of it. None draws `n_active` relative to the first epoch that
        has any, because the number in a batch depends on the loss, the mining and the
        classes, and is not part of the history.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The left axis, with the loss.
    share_ax_ : matplotlib Axes or None
        The right axis, with everything else; None if there is nothing else.
    figure_ : matplotlib Figure
    loss_line_ : matplotlib Line2D
    active_line_, spread_line_, valid_score_line_ : matplotlib Line2D or None
        None if the history does not contain it.
    legend_ : matplotlib Legend

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from siamese_sklearn.plotting import TrainingCurveDisplay
    >>> history = [
    ...     {"train_loss": 0.2, "n_active": 900.0},
    ...     {"train_loss": 0.1, "n_active": 450.0},
    ... ]
    >>> display = TrainingCurveDisplay.from_history(history)
    >>> display.active_line_.get_ydata()
    array([1. , 0.5])
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    share_ax_: Axes | None
    figure_: Figure | SubFigure
    loss_line_: Line2D
    active_line_: Line2D | None
    spread_line_: Line2D | None
    valid_score_line_: Line2D | None
    legend_: Legend

    def __init__(
        self,
        train_loss: DoubleArray,
        *,
        n_active: DoubleArray | None = None,
        spread: DoubleArray | None = None,
        valid_score: DoubleArray | None = None,
        n_possible: float | None = None,
    ) -> None:
        self.train_loss = train_loss
        self.n_active = n_active
        self.spread = spread
        self.valid_score = valid_score
        self.n_possible = n_possible

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, n_possible: float | None = None, ax: Axes | None = None
    ) -> Self:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : fitted SiameseEmbedder or SiamesePairClassifier
            Or a Pipeline with one of them as a step.
        n_possible : float, default=None
            As in the class.
        ax
            As in `plot`.

        Returns
        -------
        TrainingCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` is not one of these.
        NotFittedError
            If the estimator is not fitted.
        """
        check_matplotlib(cls)
        steps = (
            [step for _, step in estimator.steps]
            if isinstance(estimator, Pipeline)
            else [estimator]
        )
        trained = [step for step in steps if isinstance(step, SiameseBase)]
        if len(trained) != 1:
            raise TypeError(
                "`estimator` must be a SiameseEmbedder, a SiamesePairClassifier, or a "
                f"Pipeline with one of them; got {type(estimator).__name__} with "
                f"{len(trained)} of them."
            )
        check_is_fitted(trained[0])
        return cls.from_history(trained[0].history_, n_possible=n_possible, ax=ax)

    @classmethod
    def from_history(
        cls,
        history: Iterable[Mapping[str, Any]],
        *,
        n_possible: float | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw a history.

        Parameters
        ----------
        history : skorch.history.History, or iterable of dict
            One row per epoch, with "train_loss". "n_active", "spread" and "valid_score"
            are drawn if present.
        n_possible : float, default=None
            As in the class.
        ax
            As in `plot`.

        Returns
        -------
        TrainingCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `n_possible` is not a number.
        ValueError
            If there are no epochs, if an epoch has no "train_loss", or if `n_possible`
            is not above 0.
        """
        check_matplotlib(cls)
        rows = list(history)
        if not rows or any("train_loss" not in row for row in rows):
            raise ValueError(
                "`history` must have at least one row, and each row must have "
                f"'train_loss'; got {len(rows)} rows, "
                f"{sum('train_loss' in row for row in rows)} of them with it."
            )
        if n_possible is not None:
            n_possible = check_number(
                "n_possible", n_possible, low=0.0, low_open=True, also=" or None"
            )
        return cls(
            np.array([row["train_loss"] for row in rows], dtype=np.float64),
            n_active=_column(rows, "n_active"),
            spread=_column(rows, "spread"),
            valid_score=_column(rows, "valid_score"),
            n_possible=n_possible,
        ).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None creates a new figure.

        Returns
        -------
        TrainingCurveDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `ax` is not an Axes.
        """
        self.ax_ = axes_to_draw_on(type(self), ax)
        from matplotlib.ticker import MaxNLocator

        self.figure_ = self.ax_.figure
        others = [self.n_active, self.spread, self.valid_score]
        self.share_ax_ = (
            None if all(values is None for values in others) else self.ax_.twinx()
        )
        self.loss_line_ = self._line(
            self.ax_, self.train_loss, "training loss", color="black"
        )
        share, active = self._active()
        self.active_line_ = self._share(share, active, color=ORANGE, linestyle="--")
        self.spread_line_ = self._share(
            self.spread, "spread", color=BLUE, linestyle=":"
        )
        self.valid_score_line_ = self._share(
            self.valid_score, "held-out score", color=GREEN, linestyle="-."
        )
        self.ax_.set(xlabel="epoch", ylabel="training loss")
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True))
        if self.share_ax_ is not None:
            self.share_ax_.set_ylabel("fraction or score")
            self.share_ax_.set_ylim(0.0, max(1.05, self.share_ax_.get_ylim()[1]))
        lines = [
            self.loss_line_,
            self.active_line_,
            self.spread_line_,
            self.valid_score_line_,
        ]
        self.legend_ = self.ax_.legend(
            handles=[line for line in lines if line is not None],
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=2,
            frameon=False,
        )
        return self

    def _active(self) -> tuple[DoubleArray | None, str]:
        """Return the values to draw for `n_active`, and their label."""
        if self.n_active is None:
            return None, ""
        if self.n_possible is not None:
            return self.n_active / self.n_possible, "active, fraction of all"
        first = self.n_active[self.n_active > 0][:1]
        share = self.n_active / first if len(first) else self.n_active
        return share, "active, relative to the first epoch"

    def _share(
        self, values: DoubleArray | None, label: str, **style: Any
    ) -> Line2D | None:
        if values is None or self.share_ax_ is None:
            return None
        return self._line(self.share_ax_, values, label, **style)

    def _line(self, ax: Axes, values: DoubleArray, label: str, **style: Any) -> Line2D:
        marker = "o" if len(values) < 2 else ""  # a single epoch does not make a line
        return ax.plot(
            np.arange(1, len(values) + 1), values, label=label, marker=marker, **style
        )[0]


def _column(rows: list[Mapping[str, Any]], key: str) -> DoubleArray | None:
    """Values of all epochs, NaN if an epoch has none; None if no epoch has one."""
    if not any(key in row for row in rows):
        return None
    return np.array([row.get(key, np.nan) for row in rows], dtype=np.float64)
