"""Nearest images as they are drawn, seen in their artists."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from displays import BLUE, HISTORY, SAME, SCORE, VERMILION, colors, texts
from siamese_sklearn import Pairs, SiameseEmbedder, SiamesePairClassifier
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


class TestNeighbors:
    GALLERY = np.arange(4 * 6, dtype=np.float64).reshape(4, 2, 3)

    def test_images_are_those_named(self, plt):
        """By one scale: 0 is black, 23, the highest number shown, white."""
        display = NeighborsDisplay.from_predictions(
            self.GALLERY[:1], self.GALLERY, [[3, 1]]
        )
        shown = [image.get_array() for image in display.images_[0]]
        np.testing.assert_allclose(shown, self.GALLERY[[0, 3, 1]] / 23)
        assert {image.get_cmap().name for image in display.images_.flat} == {"gray"}
        assert {image.get_clim() for image in display.images_.flat} == {(0.0, 1.0)}

    def test_images_lie_in_a_grid_and_do_not_touch(self, plt):
        display = NeighborsDisplay.from_predictions(
            self.GALLERY, self.GALLERY, np.zeros((4, 3), dtype=int)
        )
        extents = np.array(
            [image.get_extent() for image in display.images_.flat]
        ).reshape(4, 4, 4)
        # 3 pixels wide, 2 high
        np.testing.assert_allclose(extents[..., 1] - extents[..., 0], 1.5)
        np.testing.assert_allclose(extents[..., 3] - extents[..., 2], 1.0)
        assert (extents[:, 1:, 0] > extents[:, :-1, 1]).all()  # to the right
        assert (extents[1:, :, 3] < extents[:-1, :, 2]).all()  # below
        for frame, extent in zip(
            display.frames_.flat, extents.reshape(-1, 4), strict=True
        ):
            np.testing.assert_allclose(frame.get_bbox().extents, extent[[0, 2, 1, 3]])
        x, y = display.ax_.get_xlim(), display.ax_.get_ylim()
        assert x[0] < extents[..., 0].min() < extents[..., 1].max() < x[1]
        assert y[0] < extents[..., 2].min() < extents[..., 3].max() < y[1]

    def test_frames_tell_right_from_wrong(self, plt):
        neighbors, y = [[1, 2, 3], [0, 1, 2]], np.array(["a", "b", "a", "b"])
        display = NeighborsDisplay.from_predictions(
            self.GALLERY[:2], self.GALLERY, neighbors, ["a", "b"], y
        )
        black = "#000000"
        assert colors(display.frames_[0], plt) == [black, VERMILION, BLUE, VERMILION]
        assert colors(display.frames_[1], plt) == [black, VERMILION, BLUE, VERMILION]
        lines = [frame.get_linestyle() for frame in display.frames_[0]]
        assert lines == ["-", "--", "-", "--"]  # for those who do not see the colors
        assert texts(display.legend_) == ["class of the query", "another class"]
        assert colors(display.legend_.get_patches(), plt) == [BLUE, VERMILION]

    def test_names(self, plt):
        display = NeighborsDisplay.from_predictions(
            self.GALLERY[:2], self.GALLERY, [[1, 2], [0, 3]], [7, 8], [7, 8, 9, 8]
        )
        ax = display.ax_
        assert [label.get_text() for label in ax.get_xticklabels()] == [
            "query",
            "nearest",
            "2",
        ]
        assert [label.get_text() for label in ax.get_yticklabels()] == ["7", "8"]
        # of the wrong ones
        assert [text.get_text() for text in ax.texts] == [
            "8",
            "9",
            "7",
        ]

    def test_without_classes_frames_are_neutral(self, plt):
        display = NeighborsDisplay.from_predictions(
            self.GALLERY[:1], self.GALLERY, [[1, 2]]
        )
        assert colors(display.frames_[0], plt) == ["#000000", "#c0c0c0", "#c0c0c0"]
        assert display.legend_ is None
        assert [label.get_text() for label in display.ax_.get_yticklabels()] == [""]

    def test_classes_of_the_gallery_alone_are_named(self, plt):
        display = NeighborsDisplay.from_predictions(
            self.GALLERY[:1], self.GALLERY, [[1, 2]], y_gallery=[0, 1, 2, 3]
        )
        assert [text.get_text() for text in display.ax_.texts] == ["1", "2"]
        assert colors(display.frames_[0], plt)[1:] == ["#c0c0c0", "#c0c0c0"]

    def test_channels_first_become_colors(self, plt):
        rng = np.random.default_rng(0)
        gallery = rng.integers(0, 256, (4, 3, 5, 6), dtype=np.uint8)
        display = NeighborsDisplay.from_predictions(gallery[:1], gallery, [[2]])
        assert display.query_images.shape == (1, 5, 6, 3)
        shown = display.images_[0, 1].get_array()
        np.testing.assert_allclose(shown, gallery[2].transpose(1, 2, 0) / 255)

    def test_one_channel_is_gray(self, plt):
        display = NeighborsDisplay.from_predictions(
            self.GALLERY[:1, None], self.GALLERY[:, None], [[1]]
        )
        assert display.neighbor_images.shape == (1, 1, 2, 3)

    @pytest.mark.parametrize(
        ("images", "shown"),
        [
            (np.array([[[0, 51]]], dtype=np.uint8), [[0.0, 0.2]]),  # bytes
            (np.array([[[0.25, 0.75]]]), [[0.25, 0.75]]),  # shares
            (np.array([[[-1.0, 3.0]]]), [[0.0, 1.0]]),
            (np.array([[[5, 5]]]), [[0.0, 0.0]]),
            (np.array([[[False, True]]]), [[0.0, 1.0]]),
        ],
    )
    def test_range(self, images, shown, plt):
        display = NeighborsDisplay.from_predictions(images, images, [[0]])
        np.testing.assert_allclose(display.images_[0, 0].get_array(), shown)

    def test_sides_of_two_shapes_have_scales_of_their_own(self, plt):
        queries = np.array([[[0, 255]]], dtype=np.uint8)
        display = NeighborsDisplay.from_predictions(
            queries, np.arange(8.0).reshape(2, 2, 2), [[1, 0]]
        )
        np.testing.assert_allclose(display.images_[0, 0].get_array(), [[0, 1]])
        np.testing.assert_allclose(
            display.images_[0, 1].get_array(), np.array([[4, 5], [6, 7]]) / 7
        )
        assert [
            image.get_extent()[1] - image.get_extent()[0]
            for image in display.images_[0]
        ] == [2, 1, 1]

    def test_flat_rows_are_reshaped(self, plt):
        display = NeighborsDisplay.from_predictions(
            self.GALLERY[:1].reshape(1, 6),
            pd.DataFrame(self.GALLERY.reshape(4, 6)),
            [[2]],
            image_shape=(2, 3),
        )
        np.testing.assert_array_equal(display.neighbor_images[0, 0], self.GALLERY[2])

    def test_color_map(self, plt):
        display = draw(NeighborsDisplay, cmap="viridis")
        assert display.images_[0, 0].get_cmap().name == "viridis"

    def test_embedder_searches_its_embedding(self, embedder, digits, plt):
        X, y = digits
        queries, gallery = X[::30], X[1::2]
        display = NeighborsDisplay.from_estimator(
            embedder, queries, gallery, y[::30], y[1::2], n_neighbors=3
        )
        search = NearestNeighbors(n_neighbors=3).fit(embedder.transform(gallery))
        nearest = search.kneighbors(embedder.transform(queries), return_distance=False)
        np.testing.assert_array_equal(display.neighbor_images, gallery[nearest])
        np.testing.assert_array_equal(display.y_neighbors, y[1::2][nearest])

    @pytest.mark.slow
    @pytest.mark.parametrize("architecture", ["siamese", "two_channel"])
    def test_classifier_searches_by_its_score(self, architecture, digits, plt):
        X, y = digits
        classifier = SiamesePairClassifier(
            8,
            architecture=architecture,
            head="difference",
            max_epochs=1,
            random_state=0,
        ).fit(X, y)
        queries, gallery = X[:2], X[10:40]
        display = NeighborsDisplay.from_estimator(
            classifier, queries, gallery, n_neighbors=4
        )
        score = classifier.pair_score(
            Pairs(np.repeat(queries, 30, axis=0), np.tile(gallery, (2, 1, 1)))
        )
        nearest = np.argsort(-score.reshape(2, 30), axis=1)[:, :4]
        np.testing.assert_array_equal(display.neighbor_images, gallery[nearest])

    @pytest.mark.slow
    def test_sides_of_two_kinds(self, digits, plt):
        X, y = digits
        pairs = Pairs(X[:100], np.repeat(X[:100].reshape(100, 64), 2, axis=1))
        classifier = SiamesePairClassifier(
            4, architecture="pseudo_siamese", max_epochs=1, random_state=0
        ).fit(pairs, np.arange(100) % 2)
        display = NeighborsDisplay.from_estimator(
            classifier, X[:2], pairs.right[:50], y[:2], y[:50], image_shape=(8, 16)
        )
        score = classifier.pair_score(
            Pairs(np.repeat(X[:2], 50, axis=0), np.tile(pairs.right[:50], (2, 1)))
        )
        nearest = np.argsort(-score.reshape(2, 50), axis=1, kind="stable")[:, :5]
        np.testing.assert_array_equal(display.y_neighbors, y[:50][nearest])
        assert display.query_images.shape[1:] == (8, 8)
        assert display.neighbor_images.shape[2:] == (8, 16)

    def test_manhattan_distance(self, iris, plt):
        X, y = iris
        embedder = SiameseEmbedder(
            4, distance="manhattan", max_epochs=1, random_state=0
        ).fit(X, y)
        display = NeighborsDisplay.from_estimator(
            embedder, X[:3], X[3:], n_neighbors=2, image_shape=(2, 2)
        )
        search = NearestNeighbors(n_neighbors=2, metric="manhattan").fit(
            embedder.transform(X[3:])
        )
        nearest = search.kneighbors(embedder.transform(X[:3]), return_distance=False)
        np.testing.assert_array_equal(
            display.neighbor_images, X[3:][nearest].reshape(3, 2, 2, 2)
        )

    def test_pipeline_shows_the_rows_as_they_came(self, iris, plt):
        X, _ = iris
        pipeline = make_pipeline(StandardScaler(), PCA(2)).fit(X)
        display = NeighborsDisplay.from_estimator(
            pipeline, X[:2], X, image_shape=(2, 2), n_neighbors=1
        )
        np.testing.assert_array_equal(
            display.neighbor_images[:, 0], X[:2].reshape(2, 2, 2)
        )

    @pytest.mark.parametrize(
        ("queries", "kwargs", "message"),
        [
            (
                np.zeros((1, 6)),
                {},
                r"`X_query` must contain images.*Pass `image_shape`",
            ),
            (
                np.zeros((1, 6)),
                {"image_shape": (2, 2)},
                r"\(2, 2\), but the rows of `X_query` have 6",
            ),
            (
                np.zeros((1, 2, 4, 4)),
                {},
                r"\(n, 3, H, W\); got float64 of shape \(1, 2, 4, 4\)\.$",
            ),
            (np.array([[["a", "b"]]]), {}, "`X_query` must contain images"),
            (GALLERY[:1], {"y_query": [0, 1]}, "same number of rows"),
            (GALLERY[:1], {"y_gallery": [0, 1]}, "same number of rows"),
            (
                GALLERY[:2],
                {},
                r"shape \(2, k\), one row per query; got int64 of shape \(1, 2\)",
            ),
            (
                GALLERY[:1],
                {"neighbors": [[0, 4]]},
                "row numbers of the gallery, 0 to 3; got 0 to 4",
            ),
            (
                GALLERY[:1],
                {"neighbors": [[-1, 2]]},
                "row numbers of the gallery, 0 to 3; got -1 to 2",
            ),
            (GALLERY[:1], {"neighbors": [[0.5, 1.0]]}, "must contain integers"),
            (
                GALLERY[:1],
                {"neighbors": np.zeros((1, 0), dtype=int)},
                "must contain integers",
            ),
        ],
    )
    def test_errors(self, queries, kwargs, message, plt):
        arguments = {"neighbors": [[0, 1]]} | kwargs
        with pytest.raises(ValueError, match=message):
            NeighborsDisplay.from_predictions(queries, self.GALLERY, **arguments)
        assert plt.get_fignums() == []

    def test_more_neighbors_than_rows(self, embedder, digits, plt):
        X, _ = digits
        with pytest.raises(
            ValueError, match="`n_neighbors` is 5, but `X_gallery` has 3 rows"
        ):
            NeighborsDisplay.from_estimator(embedder, X[:1], X[:3])

    def test_estimator_that_cannot_compare(self, iris, plt):
        X, y = iris
        with pytest.raises(
            TypeError, match=r"KNeighborsClassifier has no `transform`.*pipeline\[:-1\]"
        ):
            NeighborsDisplay.from_estimator(KNeighborsClassifier().fit(X, y), X[:1], X)
