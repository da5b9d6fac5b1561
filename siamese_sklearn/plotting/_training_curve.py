"""TrainingCurveDisplay: how training went, epoch by epoch."""

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
    """Training loss, active pairs or triplets, spread and held-out score, for each epoch.

    Make it by `from_estimator` or `from_history`. The loss has the axis on the left; everything that lies
    between 0 and 1 has the one on the right. A loss on triplets that stays near its margin is normal: it is
    the mean over those not yet solved. How many of these are left, and the held-out score, say how training
    goes; a spread that falls towards 0 says that the embeddings collapse.

    Parameters
    ----------
    train_loss : ndarray of shape (n_epochs,)
    n_active : ndarray of shape (n_epochs,), default=None
        Pairs, triplets or rows per batch that had a part in the loss.
    spread : ndarray of shape (n_epochs,), default=None
        From 0, all embeddings in one point, to 1.
    valid_score : ndarray of shape (n_epochs,), default=None
        What early stopping watches. NaN in any of these is an epoch without a value.
    n_possible : float, default=None
        Pairs, triplets or rows in a batch, active or not. Given that, the share of them that is active is
        drawn. None draws `n_active` relative to the first epoch that has any: how many a batch could have
        depends on loss, mining and the classes in the batch, and the history does not hold it.

    Attributes
    ----------
    ax_ : matplotlib Axes
        With the loss.
    share_ax_ : matplotlib Axes or None
        With all else, on the right; None if there is nothing else.
    figure_ : matplotlib Figure
    loss_line_ : matplotlib Line2D
    active_line_, spread_line_, valid_score_line_ : matplotlib Line2D or None
        None for what is not there.
    legend_ : matplotlib Legend

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from siamese_sklearn.plotting import TrainingCurveDisplay
    >>> history = [{"train_loss": 0.2, "n_active": 900.0}, {"train_loss": 0.1, "n_active": 450.0}]
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
        estimator : fitted SiameseEmbedder or SiamesePairClassifier, or a Pipeline with one of them
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
            If it has not been fitted.
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
                "`estimator` must be a SiameseEmbedder, a SiamesePairClassifier, or a Pipeline with one of "
                f"them; got {type(estimator).__name__} with {len(trained)}."
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
            A row for each epoch, with "train_loss"; "n_active", "spread" and "valid_score" are drawn where
            they are there.
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
            If `n_possible` is no number.
        ValueError
            If there is no epoch, or one has no "train_loss"; if `n_possible` is not above 0.
        """
        check_matplotlib(cls)
        rows = list(history)
        if not rows or any("train_loss" not in row for row in rows):
            raise ValueError(
                "`history` must have a row for each epoch, at least one, each with 'train_loss'; got "
                f"{len(rows)} rows, {sum('train_loss' in row for row in rows)} of them with it."
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
            None makes a new figure.

        Returns
        -------
        TrainingCurveDisplay
            This one.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `ax` is no Axes.
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
            self.share_ax_.set_ylabel("share or score")
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
        """Give what is drawn of `n_active`, and its name."""
        if self.n_active is None:
            return None, ""
        if self.n_possible is not None:
            return self.n_active / self.n_possible, "active, share of all"
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
        marker = "o" if len(values) < 2 else ""  # one epoch makes no line
        return ax.plot(
            np.arange(1, len(values) + 1), values, label=label, marker=marker, **style
        )[0]


def _column(rows: list[Mapping[str, Any]], key: str) -> DoubleArray | None:
    """Values of all epochs, NaN where one has none; None if none has."""
    if not any(key in row for row in rows):
        return None
    return np.array([row.get(key, np.nan) for row in rows], dtype=np.float64)
