"""ContributionDisplay: which columns the score of a pair comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from siamese_sklearn._checks import check_integer
from siamese_sklearn.matching import explain
from siamese_sklearn.plotting._drawing import (
    BLUE,
    VERMILLION,
    axes_to_draw_on,
    check_matplotlib,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure, SubFigure

__all__ = ["ContributionDisplay"]


class ContributionDisplay:
    """Bars of what each column contributes to the score of a pair, the largest first.

    Create it with `from_estimator` or `from_predictions`. The bars of columns that
    raise the score are blue, those of columns that lower it are vermillion.

    Parameters
    ----------
    contributions : ndarray of shape (n_columns,)
    names : list of str
        The name of each column.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer
        From the largest to the smallest absolute contribution.

    See Also
    --------
    siamese_sklearn.matching.explain : Computes the contributions.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from siamese_sklearn.plotting import ContributionDisplay
    >>> display = ContributionDisplay.from_predictions([-0.1, -2.0], ["name", "city"])
    >>> [float(bar.get_width()) for bar in display.bars_]
    [-2.0, -0.1]
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure | SubFigure
    bars_: BarContainer

    def __init__(
        self, contributions: npt.NDArray[np.floating[Any]], names: list[str]
    ) -> None:
        self.contributions = contributions
        self.names = names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        left: Any,
        right: Any,
        *,
        ax: Axes | None = None,
        n_bars: int = 10,
    ) -> Self:
        """Explain the score of one pair and draw the contributions.

        Parameters
        ----------
        estimator : fitted SiamesePairClassifier or SiameseEmbedder
            Or a Pipeline that ends in one.
        left, right : array-like, data frame or sparse matrix of one row
        ax, n_bars
            As in `plot`.

        Returns
        -------
        ContributionDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is more than one pair, or if `explain` refuses the rows.
        """
        check_matplotlib(cls)
        parts = explain(estimator, left, right)
        if len(parts) != 1:
            raise ValueError(
                f"`left` and `right` must have one row each; got {len(parts)}. Draw "
                "one pair at a time."
            )
        names = list(parts.columns[1:])
        return cls.from_predictions(parts.iloc[0, 1:], names, ax=ax, n_bars=n_bars)

    @classmethod
    def from_predictions(
        cls,
        contributions: npt.ArrayLike,
        names: list[str],
        *,
        ax: Axes | None = None,
        n_bars: int = 10,
    ) -> Self:
        """Draw contributions.

        Parameters
        ----------
        contributions : array-like of shape (n_columns,)
            A row from `siamese_sklearn.matching.explain`, without its first number.
        names : list of str
            The name of each column.
        ax, n_bars
            As in `plot`.

        Returns
        -------
        ContributionDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is not one name for each contribution.
        """
        check_matplotlib(cls)
        values = np.asarray(contributions, dtype=np.float64)
        if values.shape != (len(names),):
            raise ValueError(
                "`contributions` and `names` must have one entry for each column; got "
                f"shape {values.shape} and {len(names)} names."
            )
        return cls(values, names).plot(ax, n_bars=n_bars)

    def plot(self, ax: Axes | None = None, *, n_bars: int = 10) -> Self:
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None creates a new figure.
        n_bars : int, default=10
            At most so many columns, those that contribute most.

        Returns
        -------
        ContributionDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `ax` is not an Axes, or if `n_bars` is not an integer.
        ValueError
            If `n_bars` is less than 1.
        """
        n_bars = check_integer("n_bars", n_bars, low=1)
        order = np.argsort(-np.abs(self.contributions), kind="stable")[:n_bars]
        values = self.contributions[order]
        self.ax_ = axes_to_draw_on(type(self), ax)
        self.figure_ = self.ax_.figure
        colors = [VERMILLION if value < 0 else BLUE for value in values]
        place = np.arange(len(values))
        self.bars_ = self.ax_.barh(place, values, color=colors, alpha=0.8)
        self.ax_.set_yticks(place, [str(self.names[i]) for i in order])
        self.ax_.invert_yaxis()  # the largest on top
        self.ax_.axvline(0.0, color="black", linewidth=0.8)
        self.ax_.set(xlabel="contribution to the score")
        return self
