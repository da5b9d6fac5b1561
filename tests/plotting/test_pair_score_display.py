"""Scores of pairs as they are drawn, seen in their artists."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from displays import BLUE, HISTORY, SAME, SCORE, VERMILION, texts
from siamese_sklearn import (
    PairTransformer,
    SiameseEmbedder,
    SiamesePairClassifier,
    make_pairs,
)
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


class TestPairScores:
    def test_bars_are_densities_with_the_same_edges(self, plt):
        rng = np.random.default_rng(0)
        same = np.arange(1000) % 10 == 0
        score = rng.normal(size=1000) + 2 * same
        display = PairScoreDisplay.from_predictions(same, score, bins=30)
        edges = np.linspace(score.min(), score.max(), 31)
        for bars, kind in ((display.same_, same), (display.different_, ~same)):
            assert len(bars) == 30
            np.testing.assert_allclose([bar.get_x() for bar in bars], edges[:-1])
            heights, widths = (
                np.array([getattr(bar, f"get_{side}")() for bar in bars])
                for side in ("height", "width")
            )
            np.testing.assert_allclose(np.sum(heights * widths), 1.0)
            counts = [
                np.sum((score[kind] >= low) & (score[kind] < high))
                for low, high in pairwise(edges)
            ]
            np.testing.assert_allclose(
                heights[:-1] * widths[:-1] * kind.sum(), counts[:-1]
            )

    def test_threshold_and_error_rates(self, plt):
        """At 4 one of four same pairs (3) is rejected, and one of four different ones
        (5) accepted.
        """
        display = PairScoreDisplay.from_predictions(SAME, SCORE, threshold=4)
        assert list(display.threshold_line_.get_xdata()) == [4.0, 4.0]
        expected = ["different pairs: FAR 25%", "same pairs: FRR 25%", "threshold 4"]
        assert texts(display.legend_) == expected

    @pytest.mark.parametrize(
        ("threshold", "far", "frr"),
        [(5, 25, 25), (5.1, 0, 25), (2, 75, 0), (10, 0, 100)],
    )
    def test_a_score_at_the_threshold_is_accepted(self, threshold, far, frr, plt):
        display = PairScoreDisplay.from_predictions(SAME, SCORE, threshold=threshold)
        expected = [f"different pairs: FAR {far}%", f"same pairs: FRR {frr}%"]
        assert texts(display.legend_)[:2] == expected

    def test_without_threshold(self, plt):
        display = PairScoreDisplay.from_predictions(SAME, SCORE)
        assert display.threshold_line_ is None
        assert texts(display.legend_) == ["different pairs", "same pairs"]

    @pytest.mark.parametrize("figsize", [(6.4, 4.8), (5, 2.4)])
    @pytest.mark.parametrize("threshold", [None, 5.0])
    def test_legend_covers_no_bar(self, figsize, threshold, plt):
        """The densities are level, so bars are equally high below the whole legend."""
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
        display = PairScoreDisplay.from_predictions(
            np.arange(20) % 2, np.arange(20), threshold=threshold, ax=ax, bins=10
        )
        ax.figure.canvas.draw()
        bars = [*display.same_, *display.different_]
        highest = max(bar.get_window_extent().y1 for bar in bars)
        assert highest < display.legend_.get_window_extent().y0
        assert highest > ax.get_window_extent().y0 + 0.3 * ax.get_window_extent().height

    def test_kinds_have_colors_of_their_own(self, plt):
        from matplotlib.colors import to_hex

        display = draw(PairScoreDisplay)
        assert [
            to_hex(bars[0].get_facecolor())
            for bars in (display.same_, display.different_)
        ] == [
            BLUE,
            VERMILION,
        ]

    def test_equal_scores_make_one_bar(self, plt):
        display = PairScoreDisplay.from_predictions([1, 0], [0.5, 0.5], bins=1)
        assert [bar.get_height() for bar in display.same_] == [1.0]

    @pytest.mark.slow
    def test_classifier_on_rows(self, classifier, digits, plt):
        X, y = digits
        display = PairScoreDisplay.from_estimator(
            classifier, X, y, n_pairs=200, random_state=3
        )
        pairs, same = make_pairs(X, y, n_pairs=200, random_state=3)
        np.testing.assert_array_equal(display.same, same)
        np.testing.assert_array_equal(
            display.score, classifier.pair_score(pairs).astype(np.float64)
        )
        assert list(display.threshold_line_.get_xdata()) == [classifier.threshold_] * 2
        far = 100 * np.mean(classifier.predict(pairs)[same == 0] == 1)
        assert texts(display.legend_)[0] == f"different pairs: FAR {far:.3g}%"

    def test_embedder_on_given_pairs(self, embedder, digits, plt):
        X, y = digits
        pairs, same = make_pairs(X, y, n_pairs=50, random_state=0)
        display = PairScoreDisplay.from_estimator(embedder, pairs, same)
        np.testing.assert_array_equal(
            display.score, embedder.pair_score(pairs).astype(np.float64)
        )
        assert display.threshold_line_ is None

    @pytest.mark.slow
    @pytest.mark.parametrize("given", ["rows", "pairs"])
    def test_pipeline(self, iris, given, plt):
        X, y = iris
        pipeline = make_pipeline(
            PairTransformer(StandardScaler()),
            SiamesePairClassifier(4, max_epochs=1, random_state=0),
        ).fit(X, y)
        data = (
            (X, y) if given == "rows" else make_pairs(X, y, n_pairs=40, random_state=0)
        )
        display = PairScoreDisplay.from_estimator(
            pipeline, *data, n_pairs=40, random_state=0
        )
        pairs, same = make_pairs(X, y, n_pairs=40, random_state=0)
        np.testing.assert_array_equal(display.same, same)
        np.testing.assert_allclose(
            display.score - pipeline[-1].threshold_,
            pipeline.decision_function(pairs),
            rtol=1e-5,
            atol=1e-5,
        )

    def test_pipeline_of_one_step(self, embedder, digits, plt):
        X, y = digits
        display = PairScoreDisplay.from_estimator(
            make_pipeline(embedder), X, y, n_pairs=20
        )
        assert len(display.score) == 20

    @pytest.mark.parametrize(
        ("same", "score", "kwargs", "message"),
        [
            ([1, 1], [0.1, 0.2], {}, "must contain both kinds of pairs"),
            ([1, 0], [0.1], {}, "must have the same shape"),
            ([1, 0], [0.1, np.nan], {}, "must be finite"),
            (
                [1, 0],
                [0.1, 0.2],
                {"threshold": np.inf},
                "`threshold` must be a finite number or None",
            ),
            (
                [1, 0],
                [0.1, 0.2],
                {"bins": 0},
                "`bins` must be an integer of at least 1",
            ),
        ],
    )
    def test_errors(self, same, score, kwargs, message, plt):
        with pytest.raises(ValueError, match=message):
            PairScoreDisplay.from_predictions(same, score, **kwargs)
        assert plt.get_fignums() == []

    def test_estimator_without_pair_score(self, iris, plt):
        X, y = iris
        with pytest.raises(
            TypeError,
            match=r"KNeighborsClassifier has no `pair_score`.*from_predictions",
        ):
            PairScoreDisplay.from_estimator(KNeighborsClassifier().fit(X, y), X, y)

    def test_unfitted_estimator(self, iris, plt):
        with pytest.raises(NotFittedError):
            PairScoreDisplay.from_estimator(SiameseEmbedder(), *iris)
