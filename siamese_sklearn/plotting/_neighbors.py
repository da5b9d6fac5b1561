"""NeighborsDisplay: query images and the images nearest to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from siamese_sklearn._checks import check_integer
from siamese_sklearn._typing import Array
from siamese_sklearn._validation import check_names
from siamese_sklearn.plotting._drawing import (
    BLUE,
    VERMILLION,
    axes_to_draw_on,
    check_matplotlib,
)
from siamese_sklearn.plotting._images import as_images, scaled
from siamese_sklearn.plotting._search import check_neighbors, similarity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.legend import Legend
    from matplotlib.patches import Rectangle

__all__ = ["NeighborsDisplay"]


_GAP = 0.3  # between images, as a fraction of their height: room for a label
_INCHES = 0.9  # per image and its gap


class NeighborsDisplay:
    """Grid of images: each row shows a query and the nearest images of a gallery.

    Create it with `from_estimator` or `from_predictions`. The query is on the left. If
    the classes of queries and gallery are known, neighbors of the query's class have a
    blue frame; all others have a dashed vermillion frame, with the name of their class
    below.

    Parameters
    ----------
    query_images : ndarray of shape (n, H, W) or (n, H, W, 3)
        Gray or RGB. Values are drawn from their minimum to their maximum, except that
        bytes and values between 0 and 1 are drawn unchanged.
    neighbor_images : ndarray of shape (n, k, h, w) or (n, k, h, w, 3)
        The nearest images first. They are scaled like the queries if they have the same
        shape.
    y_query : ndarray of shape (n,), default=None
        The class of each query.
    y_neighbors : ndarray of shape (n, k), default=None
        The class of each neighbor.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that contain all images.
    figure_ : matplotlib Figure
    images_ : ndarray of shape (n, 1 + k) of matplotlib AxesImage
        The queries are in the first column.
    frames_ : ndarray of shape (n, 1 + k) of matplotlib Rectangle
    legend_ : matplotlib Legend or None
        None if the classes of the queries or of the neighbors are unknown.

    See Also
    --------
    siamese_sklearn.metrics.map_at_r : How good the neighbors are, as a single number.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from siamese_sklearn import SiameseEmbedder
    >>> from siamese_sklearn.plotting import NeighborsDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> embedder = SiameseEmbedder(max_epochs=2, random_state=0).fit(X[:500], y[:500])
    >>> display = NeighborsDisplay.from_estimator(
    ...     embedder, X[500:503], X[:500], y[500:503], y[:500], image_shape=(8, 8)
    ... )
    >>> display.images_.shape, display.neighbor_images.shape
    ((3, 6), (3, 5, 8, 8))
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure | SubFigure
    images_: npt.NDArray[np.object_]
    frames_: npt.NDArray[np.object_]
    legend_: Legend | None

    def __init__(
        self,
        query_images: Array,
        neighbor_images: Array,
        *,
        y_query: Array | None = None,
        y_neighbors: Array | None = None,
    ) -> None:
        self.query_images = query_images
        self.neighbor_images = neighbor_images
        self.y_query = y_query
        self.y_neighbors = y_neighbors

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X_query: Any,
        X_gallery: Any,
        y_query: npt.ArrayLike | None = None,
        y_gallery: npt.ArrayLike | None = None,
        *,
        n_neighbors: int = 5,
        image_shape: tuple[int, ...] | None = None,
        ax: Axes | None = None,
        cmap: str = "gray",
    ) -> Self:
        """Search a gallery for the nearest images of each query, and draw them.

        Parameters
        ----------
        estimator : fitted SiameseEmbedder, SiamesePairClassifier or transformer
            Or a Pipeline that ends in one. Neighbors are ranked by ``pair_score``; for
            any other transformer, by the Euclidean distance between its outputs.
        X_query, X_gallery : array-like of shape (n, H, W), (n, C, H, W) or (n, d)
            A few rows, and the rows to search; C is 1 or 3. No row should be in both,
            because its nearest neighbor would be itself.
        y_query, y_gallery : array-like of shape (n,), default=None
            The class of each row.
        n_neighbors : int, default=5
            Number of neighbors per query.
        image_shape : tuple of int, default=None
            (H, W) or (C, H, W) of the images, if rows are flat.
        ax, cmap
            As in `plot`.

        Returns
        -------
        NeighborsDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the estimator cannot compare rows, or if `n_neighbors` is not an integer.
        ValueError
            As in `from_predictions`, or if the gallery has fewer than `n_neighbors`
            rows.
        """
        check_matplotlib(cls)
        check_integer("n_neighbors", n_neighbors, low=1)
        score = similarity(estimator, X_query, X_gallery)  # (n, m)
        if n_neighbors > score.shape[1]:
            raise ValueError(
                f"`n_neighbors` is {n_neighbors}, but `X_gallery` has "
                f"{score.shape[1]} rows."
            )
        nearest = np.argsort(-score, axis=1, kind="stable")[:, :n_neighbors]
        return cls.from_predictions(
            X_query,
            X_gallery,
            nearest,
            y_query,
            y_gallery,
            image_shape=image_shape,
            ax=ax,
            cmap=cmap,
        )

    @classmethod
    def from_predictions(
        cls,
        X_query: npt.ArrayLike,
        X_gallery: npt.ArrayLike,
        neighbors: npt.ArrayLike,
        y_query: npt.ArrayLike | None = None,
        y_gallery: npt.ArrayLike | None = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        ax: Axes | None = None,
        cmap: str = "gray",
    ) -> Self:
        """Draw neighbors that are already known.

        Parameters
        ----------
        X_query, X_gallery : array-like of shape (n, H, W), (n, C, H, W) or (n, d)
            The images, as in `from_estimator`.
        neighbors : int array-like of shape (n, k)
            Row numbers in the gallery of the neighbors of each query, nearest first, as
            returned by ``sklearn.neighbors.NearestNeighbors.kneighbors``.
        y_query, y_gallery : array-like of shape (n,), default=None
            The class of each row.
        image_shape : tuple of int, default=None
            (H, W) or (C, H, W) of the images, if rows are flat.
        ax, cmap
            As in `plot`.

        Returns
        -------
        NeighborsDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If rows are not images, lengths differ, or `neighbors` contains row numbers
            that do not exist.
        """
        check_matplotlib(cls)
        queries = as_images("X_query", X_query, image_shape)
        gallery = as_images("X_gallery", X_gallery, image_shape)
        index = check_neighbors(neighbors, len(queries), len(gallery))
        display = cls(
            queries,
            gallery[index],
            y_query=None if y_query is None else check_names(y_query, queries),
            y_neighbors=None
            if y_gallery is None
            else check_names(y_gallery, gallery)[index],
        )
        return display.plot(ax, cmap=cmap)

    def plot(self, ax: Axes | None = None, *, cmap: str = "gray") -> Self:
        """Draw the images.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None creates a new figure, sized for the number of images.
        cmap : str or matplotlib Colormap, default="gray"
            Color map for gray images.

        Returns
        -------
        NeighborsDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `ax` is not an Axes.
        """
        n_queries, n_neighbors = self.neighbor_images.shape[:2]
        width: Any = np.full(
            1 + n_neighbors,
            self.neighbor_images.shape[3] / self.neighbor_images.shape[2],
        )
        width[0] = self.query_images.shape[2] / self.query_images.shape[1]
        left = (
            np.cumsum(width + _GAP)
            - width
            - _GAP
            + _GAP * (np.arange(1 + n_neighbors) > 0)
        )
        top: Any = -np.arange(n_queries) * (1 + _GAP)
        right, bottom = left[-1] + width[-1], top[-1] - 1 - _GAP
        figsize = (_INCHES * right + 0.8, 0.8 - _INCHES * bottom)
        self.ax_ = axes_to_draw_on(type(self), ax, figsize=figsize)
        self.figure_ = self.ax_.figure
        queries, neighbors = scaled(self.query_images, self.neighbor_images)
        self.images_ = np.empty((n_queries, 1 + n_neighbors), dtype=object)
        self.frames_ = np.empty_like(self.images_)
        for i, j in np.ndindex(self.images_.shape):
            image = queries[i] if j == 0 else neighbors[i, j - 1]
            extent = (left[j], left[j] + width[j], top[i] - 1, top[i])
            self.images_[i, j] = self.ax_.imshow(
                image, cmap=cmap, vmin=0.0, vmax=1.0, extent=extent
            )
            self.frames_[i, j] = self._draw_frame(i, j, left[j], top[i], width[j])
        self._name_rows_and_columns(left + width / 2, top - 0.5)
        self.ax_.set(xlim=(-0.1, right + 0.1), ylim=(bottom, 0.1), aspect="equal")
        self.legend_ = self._name_frames()
        return self

    def _draw_frame(
        self, i: int, j: int, left: float, top: float, width: float
    ) -> Rectangle:
        """Frame an image of height 1, with its class below if it is not the query's."""
        from matplotlib.patches import Rectangle

        is_right = self._is_right(i, j)
        color, line = {
            True: (BLUE, "-"),
            False: (VERMILLION, "--"),
            None: ("silver", "-"),
        }[is_right]
        frame = Rectangle(
            (left, top - 1),
            width,
            1,
            fill=False,
            edgecolor="black" if j == 0 else color,
            linewidth=2.5,
            linestyle=line,
        )
        self.ax_.add_patch(frame)
        if j > 0 and self.y_neighbors is not None and not is_right:
            name = str(self.y_neighbors[i, j - 1])
            self.ax_.text(
                left + width / 2,
                top - 1.04,
                name,
                ha="center",
                va="top",
                fontsize="small",
            )
        return frame

    def _is_right(self, i: int, j: int) -> bool | None:
        """Whether an image has the query's class; None for queries, or if unknown."""
        if j == 0 or self.y_query is None or self.y_neighbors is None:
            return None
        return bool(self.y_neighbors[i, j - 1] == self.y_query[i])

    def _name_rows_and_columns(self, x: Array, y: Array) -> None:
        self.ax_.xaxis.tick_top()
        self.ax_.set_xticks(x, ["query", "nearest", *map(str, range(2, len(x)))])
        self.ax_.set_yticks(
            y, [""] * len(y) if self.y_query is None else map(str, self.y_query)
        )
        self.ax_.tick_params(length=0)
        self.ax_.spines[:].set_visible(False)

    def _name_frames(self) -> Legend | None:
        from matplotlib.patches import Patch

        if self.y_query is None or self.y_neighbors is None:
            return None
        handles = [
            Patch(fill=False, edgecolor=BLUE, linewidth=2, label="class of the query"),
            Patch(
                fill=False,
                edgecolor=VERMILLION,
                linewidth=2,
                linestyle="--",
                label="another class",
            ),
        ]
        place: Any = {
            "loc": "upper center",
            "bbox_to_anchor": (0.5, 0.0),
            "ncols": 2,
            "frameon": False,
        }
        return self.ax_.legend(handles=handles, **place)
