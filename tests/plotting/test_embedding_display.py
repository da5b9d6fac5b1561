"""Embeddings as they are drawn, seen in their artists."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from displays import HISTORY, SAME, SCORE, texts
from siamese_sklearn import Pairs
from siamese_sklearn.plotting import (
    EmbeddingDisplay,
    NeighborsDisplay,
    PairScoreDisplay,
)


def draw(display, **kwargs):
    """One display of each kind, of small made-up results."""
    rng = np.random.default_rng(0)
    if display is EmbeddingDisplay:
        return display.from_predictions(
            rng.normal(size=(12, 2)), np.arange(12) % 3, **kwargs
        )
    if display is NeighborsDisplay:
        images = rng.random((4, 5, 5))
        return display.from_predictions(
            images[:2], images, [[1, 2], [3, 0]], [0, 1], [0, 1, 0, 1], **kwargs
        )
    if display is PairScoreDisplay:
        return display.from_predictions(SAME, SCORE, threshold=4.0, **kwargs)
    return display.from_history(HISTORY, **kwargs)


class TestEmbedding:
    def test_two_components_are_the_points(self, plt):
        Z = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], dtype=np.float32)
        display = EmbeddingDisplay.from_predictions(Z, ["b", "a", "b"])
        np.testing.assert_array_equal(display.scatter_.get_offsets(), Z)
        assert display.explained is None
        assert display.ax_.get_xlabel() == "component 1 of the embedding"
        assert display.ax_.get_ylabel() == "component 2 of the embedding"

    def test_more_components_are_projected(self, plt):
        """Variances 9 : 3 : 0 along the axes, so the projection is the first two
        columns, up to sign.
        """
        Z = np.array([[3.0, 0, 7], [-3, 0, 7], [0, np.sqrt(3), 7], [0, -np.sqrt(3), 7]])
        display = EmbeddingDisplay.from_predictions(Z)
        np.testing.assert_allclose(
            np.abs(display.scatter_.get_offsets()), np.abs(Z[:, :2]), atol=1e-12
        )
        np.testing.assert_allclose(display.explained, [0.75, 0.25])
        assert display.ax_.get_xlabel() == "first principal component (75% of variance)"
        assert (
            display.ax_.get_ylabel() == "second principal component (25% of variance)"
        )

    def test_distances_keep_their_proportions(self, plt):
        assert draw(EmbeddingDisplay).ax_.get_aspect() == 1.0

    @pytest.mark.slow
    def test_axes_may_share_their_limits(self, plt):
        figure, axes = plt.subplots(1, 2, sharex=True, sharey=True)
        displays = [draw(EmbeddingDisplay, ax=ax) for ax in axes]
        figure.canvas.draw()
        assert [display.ax_.get_aspect() for display in displays] == [1.0, 1.0]

    def test_rows_have_the_colors_of_the_legend(self, plt):
        display = EmbeddingDisplay.from_predictions(
            np.eye(4)[:, :2], ["wolf", "cat", "wolf", "dog"]
        )
        display.figure_.canvas.draw()
        faces = display.scatter_.get_facecolors()[:, :3]
        assert texts(display.legend_) == ["cat", "dog", "wolf"]
        named = [
            plt.matplotlib.colors.to_rgb(h.get_color())
            for h in display.legend_.legend_handles
        ]
        np.testing.assert_allclose(faces, np.array(named)[[2, 0, 2, 1]])

    def test_ten_classes_have_ten_colors(self, plt):
        display = EmbeddingDisplay.from_predictions(
            np.random.default_rng(0).random((20, 2)), np.arange(20) % 10
        )
        display.figure_.canvas.draw()
        assert len(np.unique(display.scatter_.get_facecolors(), axis=0)) == 10
        assert texts(display.legend_) == [str(digit) for digit in range(10)]

    def test_classes_have_markers_of_their_own_also_in_the_legend(self, plt):
        from matplotlib.markers import MarkerStyle

        display = EmbeddingDisplay.from_predictions(
            np.random.default_rng(0).random((20, 2)), np.arange(20) % 10
        )
        paths = display.scatter_.get_paths()
        assert len(paths) == 20
        shapes = [path.vertices.tobytes() for path in paths]
        assert shapes[:10] == shapes[10:]
        assert len(set(shapes)) == 10
        for path, handle in zip(paths, display.legend_.legend_handles, strict=False):
            marker = MarkerStyle(handle.get_marker())
            expected = marker.get_path().transformed(marker.get_transform())
            np.testing.assert_array_equal(path.vertices, expected.vertices)

    def test_colors_are_distinct_for_the_color_blind(self, plt):
        """Simulated after Viénot, Brettel & Mollon 1999, "Digital video colourmaps for
        checking the legibility of displays by dichromats": in linear RGB, protanopes
        and deuteranopes see red and green as one mixture, different for each.
        """
        display = EmbeddingDisplay.from_predictions(
            np.random.default_rng(0).random((10, 2)), np.arange(10)
        )
        display.figure_.canvas.draw()
        linear = display.scatter_.get_facecolors()[:, :3] ** 2.2
        protan = [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]
        deutan = [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]
        for simulated in (np.eye(3), protan, deutan):
            seen = np.clip(linear @ np.transpose(simulated), 0, 1) ** (1 / 2.2)
            assert pdist(seen).min() > 0.1

    def test_more_classes_have_a_color_map_and_no_legend(self, plt):
        display = EmbeddingDisplay.from_predictions(
            np.random.default_rng(0).random((24, 2)), np.arange(24) % 12
        )
        display.figure_.canvas.draw()
        assert len(np.unique(display.scatter_.get_facecolors(), axis=0)) == 12
        assert display.legend_ is None
        assert display.ax_.get_legend() is None

    def test_legend_is_optional(self, plt):
        assert draw(EmbeddingDisplay, legend=False).legend_ is None

    def test_without_classes_there_is_one_color(self, plt):
        display = EmbeddingDisplay.from_predictions(np.eye(3)[:, :2])
        assert len(display.scatter_.get_facecolors()) == 1
        assert display.legend_ is None

    def test_legend_beside_the_axes_is_not_cut_off(self, plt):
        display = EmbeddingDisplay.from_predictions(
            np.eye(3)[:, :2], ["a rather long name", "b", "c"]
        )
        display.figure_.canvas.draw()
        box = display.legend_.get_window_extent()
        assert box.x0 >= display.ax_.get_window_extent().x1
        assert box.x1 <= display.figure_.bbox.x1

    def test_legend_is_inside_where_no_layout_makes_room(self, plt):
        _, ax = plt.subplots()
        display = draw(EmbeddingDisplay, ax=ax)
        ax.figure.canvas.draw()
        assert display.legend_.get_window_extent().x1 <= ax.get_window_extent().x1

    def test_a_marker_is_that_of_all_classes(self, plt):
        display = draw(EmbeddingDisplay, scatter_kwargs={"marker": "s"})
        assert (
            len({path.vertices.tobytes() for path in display.scatter_.get_paths()}) == 1
        )
        assert {h.get_marker() for h in display.legend_.legend_handles} == {"s"}

    def test_options_of_scatter(self, plt):
        display = draw(EmbeddingDisplay, scatter_kwargs={"s": 3, "cmap": "viridis"})
        assert display.scatter_.get_sizes().tolist() == [3]
        assert display.scatter_.get_cmap().name == "viridis"

    @pytest.mark.slow
    @pytest.mark.parametrize("legend", [True, False])
    def test_estimator_embeds(self, embedder, digits, plt, legend):
        X, y = digits
        display = EmbeddingDisplay.from_estimator(embedder, X, y, legend=legend)
        assert display.points.shape == (300, 2)
        Z = embedder.transform(X)
        np.testing.assert_allclose(
            np.abs(display.points), np.abs(PCA(2).fit_transform(Z)), atol=1e-4
        )
        assert (display.legend_ is not None) is legend

    def test_pipeline_and_data_frame_output(self, iris, plt):
        X, y = iris
        pipeline = (
            make_pipeline(StandardScaler(), PCA(2))
            .set_output(transform="pandas")
            .fit(X)
        )
        display = EmbeddingDisplay.from_estimator(pipeline, X, y)
        np.testing.assert_allclose(
            display.scatter_.get_offsets(), pipeline.transform(X).to_numpy()
        )

    def test_collapsed_embedding_is_one_point(self, plt):
        display = EmbeddingDisplay.from_predictions(np.ones((5, 3)), np.arange(5) % 2)
        np.testing.assert_array_equal(display.scatter_.get_offsets(), np.zeros((5, 2)))
        assert "(0% of variance)" in display.ax_.get_xlabel()

    @pytest.mark.parametrize(
        ("Z", "y", "message"),
        [
            (np.zeros((3, 1)), None, r"at least 2 rows and 2 components.*\(3, 1\)"),
            (np.zeros((1, 3)), None, r"at least 2 rows and 2 components.*\(1, 3\)"),
            (
                np.zeros(3),
                None,
                r"shape \(n, n_components\); got dtype float64 and shape \(3,\)",
            ),
            (np.array([["a", "b"], ["c", "d"]]), None, "`Z` must contain numbers"),
            (
                np.array([[0.0, np.nan], [1.0, np.inf]]),
                None,
                "`Z` must be finite; 2 of its values are NaN or infinite",
            ),
            (
                np.zeros((3, 2)),
                [0, 1],
                "same number of rows; got 3 in `X` and 2 in `y`",
            ),
            (np.zeros((3, 2)), [0.5, 1, 2], "Unknown label type"),
        ],
    )
    def test_errors(self, Z, y, message, plt):
        with pytest.raises(ValueError, match=message):
            EmbeddingDisplay.from_predictions(Z, y)
        assert plt.get_fignums() == []

    def test_estimator_without_transform(self, iris, plt):
        X, y = iris
        pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
        with pytest.raises(
            TypeError, match=r"must have `transform`.*Pipeline.*pipeline\[:-1\]"
        ):
            EmbeddingDisplay.from_estimator(pipeline, X, y)

    def test_pairs_are_no_rows(self, embedder, digits, plt):
        X, _ = digits
        with pytest.raises(TypeError, match="`X` must be rows; got Pairs"):
            EmbeddingDisplay.from_estimator(embedder, Pairs(X[:5], X[5:10]))
