"""PairScoreDisplay: how the scores of same and different pairs are distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from siamese_sklearn._checks import check_integer, check_number
from siamese_sklearn._validation import check_same
from siamese_sklearn.metrics._verification import check_scored_pairs
from siamese_sklearn.pairs import Pairs, make_pairs
from siamese_sklearn.plotting._drawing import (
    BLUE,
    VERMILLION,
    axes_to_draw_on,
    check_matplotlib,
    last_step,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

__all__ = ["PairScoreDisplay"]


class PairScoreDisplay:
    """Histograms of the scores of same and different pairs, with the threshold.

    Create it with `from_estimator` or `from_predictions`. Each histogram has an area of
    1, however many pairs it counts. If there is a threshold, the legend gives both
    error rates: FAR, the false-accept rate, is the fraction of different pairs at or
    above it; FRR, the false-reject rate, is the fraction of same pairs below it.

    Parameters
    ----------
    same : bool ndarray of shape (n_pairs,)
        Which pairs are the same.
    score : ndarray of shape (n_pairs,)
        Higher means more similar.
    threshold : float, default=None
        A pair counts as the same if its score is at least this value. None draws no
        line and gives no error rates.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    same_, different_ : matplotlib BarContainer
        The bars of each histogram; both have the same edges.
    threshold_line_ : matplotlib Line2D or None
    legend_ : matplotlib Legend

    See Also
    --------
    sklearn.metrics.DetCurveDisplay : Both error rates at every threshold.
    siamese_sklearn.calibration : How to choose the threshold.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from siamese_sklearn.plotting import PairScoreDisplay
    >>> same, score = [1, 1, 1, 1, 0, 0, 0, 0], [9, 8, 7, 3, 5, 2, 2, 1]
    >>> display = PairScoreDisplay.from_predictions(same, score, threshold=4)
    >>> [text.get_text() for text in display.legend_.get_texts()]
    ['different pairs: FAR 25%', 'same pairs: FRR 25%', 'threshold 4']
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure | SubFigure
    same_: BarContainer
    different_: BarContainer
    threshold_line_: Line2D | None
    legend_: Legend

    def __init__(
        self,
        same: npt.NDArray[np.bool_],
        score: npt.NDArray[np.floating[Any]],
        *,
        threshold: float | None = None,
    ) -> None:
        self.same = same
        self.score = score
        self.threshold = threshold

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: npt.ArrayLike,
        *,
        n_pairs: int = 10_000,
        random_state: int | np.random.RandomState | None = None,
        ax: Axes | None = None,
        bins: int = 50,
    ) -> Self:
        """Score pairs and draw the scores.

        Parameters
        ----------
        estimator : fitted SiamesePairClassifier or SiameseEmbedder
            Or a Pipeline that ends in one. To use `Pairs`, wrap each of its other steps
            in a `PairTransformer`. The threshold is the ``threshold_`` of a classifier;
            an embedder has none.
        X : rows, from which pairs are made, or Pairs
        y : array-like of shape (n,)
            The class of each row; for `Pairs`, 1 (same) or 0 (different).
        n_pairs : int, default=10_000
            Number of pairs to make from rows with `make_pairs`, half of them same and
            half different.
        random_state : int, RandomState instance or None, default=None
            Determines the pairs. Pass an int to get the same pairs in every call.
        ax, bins
            As in `plot`.

        Returns
        -------
        PairScoreDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the estimator has no ``pair_score``.
        ValueError
            If `y` does not match X, or if there are no same or no different pairs.
        """
        check_matplotlib(cls)
        scorer, X = last_step(estimator, X)
        if not hasattr(scorer, "pair_score"):
            raise TypeError(
                f"{type(scorer).__name__} has no `pair_score`. To draw other scores, "
                "use PairScoreDisplay.from_predictions(same, score); "
                "siamese_sklearn.metrics.pair_scores computes them for any embedding."
            )
        if isinstance(X, Pairs):
            pairs, same = X, check_same(X, y)
        else:
            pairs, same = make_pairs(X, y, n_pairs=n_pairs, random_state=random_state)
        score, threshold = scorer.pair_score(pairs), getattr(scorer, "threshold_", None)
        return cls.from_predictions(same, score, threshold=threshold, ax=ax, bins=bins)

    @classmethod
    def from_predictions(
        cls,
        same: npt.ArrayLike,
        score: npt.ArrayLike,
        *,
        threshold: float | None = None,
        ax: Axes | None = None,
        bins: int = 50,
    ) -> Self:
        """Draw the scores of pairs.

        Parameters
        ----------
        same : array-like of shape (n_pairs,)
            1 or True for pairs of the same class, 0 or False for pairs of different
            classes; both must occur.
        score : array-like of shape (n_pairs,)
            Higher means more similar.
        threshold : float, default=None
            A pair counts as the same if its score is at least this value.
        ax, bins
            As in `plot`.

        Returns
        -------
        PairScoreDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `threshold` is not a number.
        ValueError
            If there are no same or no different pairs, if the lengths differ, or if a
            value is NaN or infinite.
        """
        check_matplotlib(cls)
        is_same, values = check_scored_pairs(same, score)
        if threshold is not None:
            threshold = check_number("threshold", threshold, also=" or None")
        return cls(is_same, values, threshold=threshold).plot(ax, bins=bins)

    def plot(self, ax: Axes | None = None, *, bins: int = 50) -> Self:
        """Draw the histograms.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None creates a new figure.
        bins : int, default=50
            Number of bars between the lowest and the highest score of all pairs.

        Returns
        -------
        PairScoreDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `ax` is not an Axes, or if `bins` is not an integer.
        ValueError
            If `bins` is less than 1.
        """
        edges = np.histogram_bin_edges(self.score, check_integer("bins", bins, low=1))
        self.ax_ = axes_to_draw_on(type(self), ax)
        self.figure_ = self.ax_.figure
        far, frr = self._rates()
        kinds = [
            (~self.same, f"different pairs{far}", VERMILLION),
            (self.same, f"same pairs{frr}", BLUE),
        ]
        self.different_, self.same_ = (
            self.ax_.bar(
                edges[:-1],
                np.histogram(self.score[kind], edges, density=True)[0],
                np.diff(edges),
                align="edge",
                color=color,
                alpha=0.6,
                label=label,
            )
            for kind, label, color in kinds
        )
        handles: list[Any] = [self.different_, self.same_]
        self.threshold_line_ = None
        if self.threshold is not None:
            self.threshold_line_ = self.ax_.axvline(
                self.threshold,
                color="black",
                linestyle="--",
                label=f"threshold {self.threshold:.3g}",
            )
            handles.append(self.threshold_line_)
        self.legend_ = self.ax_.legend(
            handles=handles, loc="upper center", framealpha=1
        )
        self._lower_bars()
        self.ax_.set(xlabel="pair score (higher = more similar)", ylabel="density")
        return self

    def _lower_bars(self) -> None:
        """Make room above the bars, so that the legend covers none of them."""
        legend, axes = (
            artist.get_window_extent().height for artist in (self.legend_, self.ax_)
        )
        used = min(1.1 * legend / axes, 0.6)  # a layout may change the height a little
        self.ax_.set_ylim(top=self.ax_.get_ylim()[1] / (1 - used))

    def _rates(self) -> tuple[str, str]:
        """FAR and FRR at the threshold, for the legend."""
        if self.threshold is None:
            return "", ""
        accepted = self.score >= self.threshold
        far, frr = accepted[~self.same].mean(), (~accepted[self.same]).mean()
        return f": FAR {100 * far:.3g}%", f": FRR {100 * frr:.3g}%"
