"""EmbeddingDisplay: an embedding as points in the plane."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from siamese_sklearn._arrays import to_numpy
from siamese_sklearn._validation import check_names
from siamese_sklearn.pairs._containers import Sides
from siamese_sklearn.plotting._drawing import axes_to_draw_on, check_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.legend import Legend
    from matplotlib.path import Path

__all__ = ["EmbeddingDisplay"]

FloatArray = npt.NDArray[np.floating[Any]]

# Ten colors that are distinct in common kinds of color blindness (Petroff 2021,
# "Accessible color sequences for data visualization"), and a marker for each
_COLORS = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"]
_COLORS += ["#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"]
_MARKERS = "os^DvPX*<>"


class EmbeddingDisplay:
    """Scatter plot of an embedding: a point per row, its color and shape by class.

    Create it with `from_estimator` or `from_predictions`. Both axes have the same
    scale, so that distances in the plot are those of the embedding, or of its
    projection. The colors are distinct in common kinds of color blindness.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Position of each row in the plane.
    y : ndarray of shape (n,), default=None
        The class of each row, numbers or strings.
    explained : ndarray of shape (2,), default=None
        Fraction of the variance along each axis, if the axes are principal components;
        None if they are the two components of the embedding.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    scatter_ : matplotlib PathCollection
        The points, in the order of the rows.
    legend_ : matplotlib Legend or None
        None if there are no classes, or more than 10.

    See Also
    --------
    NeighborsDisplay : The nearest rows of a query, as images.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from siamese_sklearn import SiameseEmbedder
    >>> from siamese_sklearn.plotting import EmbeddingDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> embedder = SiameseEmbedder(max_epochs=5, random_state=0).fit(X[::2], y[::2])
    >>> display = EmbeddingDisplay.from_estimator(embedder, X[1::2], y[1::2])
    >>> display.points.shape, [text.get_text() for text in display.legend_.get_texts()]
    ((75, 2), ['0', '1', '2'])
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure | SubFigure
    scatter_: PathCollection
    legend_: Legend | None

    def __init__(
        self,
        points: FloatArray,
        y: npt.NDArray[Any] | None = None,
        *,
        explained: FloatArray | None = None,
    ) -> None:
        self.points = points
        self.y = y
        self.explained = explained

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: npt.ArrayLike | None = None,
        *,
        ax: Axes | None = None,
        legend: bool = True,
        scatter_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Embed rows and draw them.

        Parameters
        ----------
        estimator : fitted estimator with ``transform``
            A `SiameseEmbedder`, a Pipeline that ends in one, or any other transformer,
            for comparison.
        X : n rows, as accepted by ``estimator.transform``
        y : array-like of shape (n,), default=None
            The class of each row. None draws all points in one color.
        ax, legend, scatter_kwargs
            As in `plot`.

        Returns
        -------
        EmbeddingDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` has no ``transform``, or if X is `Pairs` or `Triplets`: pass
            one of their sides instead.
        ValueError
            As in `from_predictions`.
        """
        check_matplotlib(cls)
        if not hasattr(estimator, "transform"):
            raise TypeError(
                "`estimator` must have `transform` to embed `X`; "
                f"{type(estimator).__name__} has none. For a Pipeline that ends in a "
                "classifier, pass the steps that embed: pipeline[:-1]."
            )
        if isinstance(X, Sides):
            raise TypeError(
                f"`X` must be rows; got {type(X).__name__}. Pass one of their sides."
            )
        return cls.from_predictions(
            estimator.transform(X),
            y,
            ax=ax,
            legend=legend,
            scatter_kwargs=scatter_kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        Z: npt.ArrayLike,
        y: npt.ArrayLike | None = None,
        *,
        ax: Axes | None = None,
        legend: bool = True,
        scatter_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Draw an embedding.

        Parameters
        ----------
        Z : array-like of shape (n, n_components)
            If there are more than two components, the first two principal components
            are drawn, and the axis labels give their fraction of the variance.
        y : array-like of shape (n,), default=None
            The class of each row. None draws all points in one color.
        ax, legend, scatter_kwargs
            As in `plot`.

        Returns
        -------
        EmbeddingDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If Z is not finite or has fewer than two rows or components, or if `y` has a
            different length.
        """
        check_matplotlib(cls)
        embeddings = _check_embeddings(Z)
        labels = None if y is None else check_names(y, embeddings)
        points, explained = _in_the_plane(embeddings)
        display = cls(points, labels, explained=explained)
        return display.plot(ax, legend=legend, scatter_kwargs=scatter_kwargs)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        legend: bool = True,
        scatter_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None creates a new figure.
        legend : bool, default=True
            Show a legend for up to 10 classes. The colors of more classes come from a
            color map, without a legend, and their shapes recur.
        scatter_kwargs : dict, default=None
            Passed to ``Axes.scatter``, for example ``{"s": 3, "cmap": "viridis"}``. The
            color of a point is determined by its class, and so is its shape unless
            ``marker`` is given.

        Returns
        -------
        EmbeddingDisplay
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
        x, y = self.points.T
        given = scatter_kwargs or {}
        options = {"s": 18, "alpha": 0.8, "linewidths": 0} | given
        self.legend_ = None
        if self.y is None:
            self.scatter_ = self.ax_.scatter(x, y, **options)
        else:
            names, codes = np.unique(self.y, return_inverse=True)
            markers = [given["marker"]] if "marker" in given else list(_MARKERS)
            self.scatter_ = self.ax_.scatter(
                x, y, **({"c": codes} | _colors(len(names)) | options)
            )
            self.scatter_.set_paths(_paths(codes, markers))
            if legend and len(names) <= len(_COLORS):
                self.legend_ = self._name(names, markers)
        self.ax_.set(xlabel=self._axis(0), ylabel=self._axis(1))
        self.ax_.set_aspect(
            "equal", adjustable="box" if self._shares_limits() else "datalim"
        )
        return self

    def _shares_limits(self) -> bool:
        """Whether other axes share the limits; matplotlib then does not change them."""
        shared = self.ax_.get_shared_x_axes(), self.ax_.get_shared_y_axes()
        return all(len(axes.get_siblings(self.ax_)) > 1 for axes in shared)

    def _axis(self, number: int) -> str:
        if self.explained is None:
            return f"component {number + 1} of the embedding"
        share = 100 * self.explained[number]
        return (
            f"{('first', 'second')[number]} principal component "
            f"({share:.0f}% of variance)"
        )

    def _name(self, names: npt.NDArray[Any], markers: list[Any]) -> Legend:
        from matplotlib.lines import Line2D

        colors = self.scatter_.to_rgba(np.arange(len(names)), alpha=1.0)
        handles = [
            Line2D([], [], linestyle="", marker=marker, color=color)
            for marker, color in zip(cycle(markers), colors, strict=False)
        ]
        place: dict[str, Any] = {"loc": "best"}
        # a layout engine makes room beside the axes
        if self.figure_.get_layout_engine() is not None:
            place = {
                "loc": "center left",
                "bbox_to_anchor": (1.0, 0.5),
                "frameon": False,
            }
        return self.ax_.legend(handles, map(str, names.tolist()), **place)


def _colors(n_classes: int) -> dict[str, Any]:
    """Color map for the codes of the classes, as arguments of ``Axes.scatter``."""
    from matplotlib.colors import ListedColormap

    if n_classes > len(_COLORS):
        return {"cmap": "viridis"}
    return {"cmap": ListedColormap(_COLORS), "vmin": 0, "vmax": len(_COLORS) - 1}


def _paths(codes: npt.NDArray[np.intp], markers: list[Any]) -> list[Path]:
    """Shape of each point; one collection of points may have several."""
    from matplotlib.markers import MarkerStyle

    styles = [MarkerStyle(marker) for marker in markers]
    paths = [style.get_path().transformed(style.get_transform()) for style in styles]
    return [paths[code % len(paths)] for code in codes]


def _check_embeddings(Z: npt.ArrayLike) -> FloatArray:
    embeddings = to_numpy(Z)
    if embeddings.dtype.kind not in "biuf" or embeddings.ndim != 2:
        raise ValueError(
            "`Z` must contain numbers, in shape (n, n_components); "
            f"got dtype {embeddings.dtype} and shape {embeddings.shape}."
        )
    if embeddings.shape[0] < 2 or embeddings.shape[1] < 2:
        raise ValueError(
            "`Z` must have at least 2 rows and 2 components to be drawn in the plane; "
            f"got shape {embeddings.shape}."
        )
    if not np.isfinite(embeddings).all():
        raise ValueError(
            f"`Z` must be finite; {int((~np.isfinite(embeddings)).sum())} of its "
            "values are NaN or infinite."
        )
    return embeddings.astype(np.float64)


def _in_the_plane(embeddings: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """Return points (n, 2), and the variance ratios of the axes if projected."""
    if embeddings.shape[1] == 2:
        return embeddings, None
    # collapsed: there is no variance
    if np.ptp(embeddings, axis=0).max() == 0:
        return np.zeros((len(embeddings), 2)), np.zeros(2)
    reduction = PCA(2, svd_solver="full").fit(embeddings)
    return reduction.transform(embeddings), reduction.explained_variance_ratio_
