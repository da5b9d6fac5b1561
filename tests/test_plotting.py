"""The displays: what they draw, seen in their artists."""

import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from siamese_sklearn import Pairs, PairTransformer, SiameseEmbedder, SiamesePairClassifier, make_pairs
from siamese_sklearn.plotting import (
    EmbeddingDisplay,
    NeighborsDisplay,
    PairScoreDisplay,
    TrainingCurveDisplay,
)

BLUE, VERMILLION = "#0072b2", "#d55e00"
DISPLAYS = [EmbeddingDisplay, NeighborsDisplay, PairScoreDisplay, TrainingCurveDisplay]
HISTORY = [
    {"train_loss": 0.5, "n_active": 80.0, "spread": 0.9, "valid_score": 0.6},
    {"train_loss": 0.3, "n_active": 40.0, "spread": 0.8, "valid_score": 0.7},
    {"train_loss": 0.2, "n_active": 10.0, "spread": 0.7, "valid_score": 0.9},
]
SAME, SCORE = np.array([1, 1, 1, 1, 0, 0, 0, 0]), np.array([9.0, 8, 7, 3, 5, 2, 2, 1])


@pytest.fixture
def plt():
    """pyplot on a backend without windows and without figures; they are closed after the test."""
    matplotlib = pytest.importorskip("matplotlib")
    before = matplotlib.get_backend()
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.close("all")
    yield plt
    plt.close("all")
    matplotlib.use(before)


@pytest.fixture(scope="module")
def embedder(digits):
    X, y = digits
    return SiameseEmbedder(8, max_epochs=2, random_state=0, early_stopping=True).fit(X, y)


@pytest.fixture(scope="module")
def classifier(digits):
    X, y = digits
    return SiamesePairClassifier(8, max_epochs=2, head="difference", random_state=0).fit(X, y)


def draw(display, **kwargs):
    """One display of each kind, of small made-up results."""
    rng = np.random.default_rng(0)
    if display is EmbeddingDisplay:
        return display.from_predictions(rng.normal(size=(12, 2)), np.arange(12) % 3, **kwargs)
    if display is NeighborsDisplay:
        images = rng.random((4, 5, 5))
        return display.from_predictions(images[:2], images, [[1, 2], [3, 0]], [0, 1], [0, 1, 0, 1], **kwargs)
    if display is PairScoreDisplay:
        return display.from_predictions(SAME, SCORE, threshold=4.0, **kwargs)
    return display.from_history(HISTORY, **kwargs)


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def colours(artists, plt):
    from matplotlib.colors import to_hex

    return [to_hex(artist.get_edgecolor()) for artist in artists]


@pytest.mark.parametrize("display", DISPLAYS)
class TestEveryDisplay:
    def test_makes_one_new_figure(self, display, plt):
        drawn = draw(display)
        assert plt.get_fignums() == [drawn.figure_.number]
        assert drawn.ax_.figure is drawn.figure_

    def test_draws_on_the_axes_given(self, display, plt):
        figure, (left, right) = plt.subplots(1, 2)
        plt.sca(right)
        drawn = draw(display, ax=left)
        assert drawn.ax_ is left
        assert drawn.figure_ is figure
        assert plt.get_fignums() == [figure.number]
        assert not right.has_data()

    def test_leaves_pyplot_as_it_was(self, display, plt):
        figure, (left, right) = plt.subplots(1, 2)
        plt.sca(right)
        settings = dict(plt.rcParams)
        draw(display, ax=left)
        figure.canvas.draw()
        assert dict(plt.rcParams) == settings
        assert plt.isinteractive() is False

    def test_plot_draws_again(self, display, plt):
        first = draw(display)
        ax = first.ax_
        assert first.plot() is first
        assert first.ax_ is not ax
        assert len(plt.get_fignums()) == 2

    def test_init_stores_its_arguments_only(self, display, plt):
        drawn = draw(display)
        stored = {name: value for name, value in vars(drawn).items() if not name.endswith("_")}
        first, *others = stored
        anew = display(stored.pop(first), **({others[0]: stored.pop(others[0])} if others else {}), **stored)
        assert vars(anew) == {name: vars(drawn)[name] for name in (first, *others)}

    def test_axes_are_checked(self, display, plt):
        _, axes = plt.subplots(1, 2)
        with pytest.raises(TypeError, match=r"`ax` must be one matplotlib Axes or None; got ndarray\."):
            draw(display, ax=axes)

    def test_says_how_to_get_matplotlib(self, display, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        message = rf"{display.__name__} needs matplotlib.*pip install matplotlib"
        with pytest.raises(ImportError, match=message):
            draw(display)

    def test_estimator_is_not_touched_without_matplotlib(self, display, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        arguments = {NeighborsDisplay: 3, TrainingCurveDisplay: 1}.get(display, 2)
        with pytest.raises(ImportError, match="needs matplotlib"):
            display.from_estimator(*[None] * (arguments + (display is PairScoreDisplay)))


class TestEmbedding:
    def test_two_components_are_the_points(self, plt):
        Z = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], dtype=np.float32)
        display = EmbeddingDisplay.from_predictions(Z, ["b", "a", "b"])
        np.testing.assert_array_equal(display.scatter_.get_offsets(), Z)
        assert display.explained is None
        assert display.ax_.get_xlabel() == "component 1 of the embedding"
        assert display.ax_.get_ylabel() == "component 2 of the embedding"

    def test_more_components_are_projected(self, plt):
        """Variances 9 : 3 : 0 along the axes, so the projection is the first two columns, up to sign."""
        Z = np.array([[3.0, 0, 7], [-3, 0, 7], [0, np.sqrt(3), 7], [0, -np.sqrt(3), 7]])
        display = EmbeddingDisplay.from_predictions(Z)
        np.testing.assert_allclose(np.abs(display.scatter_.get_offsets()), np.abs(Z[:, :2]), atol=1e-12)
        np.testing.assert_allclose(display.explained, [0.75, 0.25])
        assert display.ax_.get_xlabel() == "first principal component (75 % of variance)"
        assert display.ax_.get_ylabel() == "second principal component (25 % of variance)"

    def test_distances_keep_their_proportions(self, plt):
        assert draw(EmbeddingDisplay).ax_.get_aspect() == 1.0

    def test_axes_may_share_their_limits(self, plt):
        figure, axes = plt.subplots(1, 2, sharex=True, sharey=True)
        displays = [draw(EmbeddingDisplay, ax=ax) for ax in axes]
        figure.canvas.draw()
        assert [display.ax_.get_aspect() for display in displays] == [1.0, 1.0]

    def test_rows_have_the_colours_of_the_legend(self, plt):
        display = EmbeddingDisplay.from_predictions(np.eye(4)[:, :2], ["wolf", "cat", "wolf", "dog"])
        display.figure_.canvas.draw()
        faces = display.scatter_.get_facecolors()[:, :3]
        assert texts(display.legend_) == ["cat", "dog", "wolf"]
        named = [plt.matplotlib.colors.to_rgb(h.get_color()) for h in display.legend_.legend_handles]
        np.testing.assert_allclose(faces, np.array(named)[[2, 0, 2, 1]])

    def test_ten_classes_have_ten_colours(self, plt):
        display = EmbeddingDisplay.from_predictions(
            np.random.default_rng(0).random((20, 2)), np.arange(20) % 10
        )
        display.figure_.canvas.draw()
        assert len(np.unique(display.scatter_.get_facecolors(), axis=0)) == 10
        assert texts(display.legend_) == [str(digit) for digit in range(10)]

    def test_more_classes_have_a_colour_map_and_no_legend(self, plt):
        display = EmbeddingDisplay.from_predictions(
            np.random.default_rng(0).random((24, 2)), np.arange(24) % 12
        )
        display.figure_.canvas.draw()
        assert len(np.unique(display.scatter_.get_facecolors(), axis=0)) == 12
        assert display.legend_ is None
        assert display.ax_.get_legend() is None

    def test_legend_is_optional(self, plt):
        assert draw(EmbeddingDisplay, legend=False).legend_ is None

    def test_without_classes_there_is_one_colour(self, plt):
        display = EmbeddingDisplay.from_predictions(np.eye(3)[:, :2])
        assert len(display.scatter_.get_facecolors()) == 1
        assert display.legend_ is None

    def test_legend_beside_the_axes_is_not_cut_off(self, plt):
        display = EmbeddingDisplay.from_predictions(np.eye(3)[:, :2], ["a rather long name", "b", "c"])
        display.figure_.canvas.draw()
        box = display.legend_.get_window_extent()
        assert box.x0 >= display.ax_.get_window_extent().x1
        assert box.x1 <= display.figure_.bbox.x1

    def test_legend_is_inside_where_no_layout_makes_room(self, plt):
        _, ax = plt.subplots()
        display = draw(EmbeddingDisplay, ax=ax)
        ax.figure.canvas.draw()
        assert display.legend_.get_window_extent().x1 <= ax.get_window_extent().x1

    def test_options_of_scatter(self, plt):
        display = draw(EmbeddingDisplay, scatter_kwargs={"s": 3, "cmap": "viridis"})
        assert display.scatter_.get_sizes().tolist() == [3]
        assert display.scatter_.get_cmap().name == "viridis"

    @pytest.mark.parametrize("legend", [True, False])
    def test_estimator_embeds(self, embedder, digits, plt, legend):
        X, y = digits
        display = EmbeddingDisplay.from_estimator(embedder, X, y, legend=legend)
        assert display.points.shape == (300, 2)
        Z = embedder.transform(X)
        np.testing.assert_allclose(np.abs(display.points), np.abs(PCA(2).fit_transform(Z)), atol=1e-4)
        assert (display.legend_ is not None) is legend

    def test_pipeline_and_data_frame_output(self, iris, plt):
        X, y = iris
        pipeline = make_pipeline(StandardScaler(), PCA(2)).set_output(transform="pandas").fit(X)
        display = EmbeddingDisplay.from_estimator(pipeline, X, y)
        np.testing.assert_allclose(display.scatter_.get_offsets(), pipeline.transform(X).to_numpy())

    def test_collapsed_embedding_is_one_point(self, plt):
        display = EmbeddingDisplay.from_predictions(np.ones((5, 3)), np.arange(5) % 2)
        np.testing.assert_array_equal(display.scatter_.get_offsets(), np.zeros((5, 2)))
        assert "(0 % of variance)" in display.ax_.get_xlabel()

    @pytest.mark.parametrize(
        ("Z", "y", "message"),
        [
            (np.zeros((3, 1)), None, r"at least 2 rows and 2 components.*\(3, 1\)"),
            (np.zeros((1, 3)), None, r"at least 2 rows and 2 components.*\(1, 3\)"),
            (np.zeros(3), None, r"shape \(n, n_components\); got dtype float64 and shape \(3,\)"),
            (np.array([["a", "b"], ["c", "d"]]), None, "Z must be numbers"),
            (np.array([[0.0, np.nan], [1.0, np.inf]]), None, "Z must be finite; 2 are NaN or infinite"),
            (np.zeros((3, 2)), [0, 1], "equally many rows; got 3 in X and 2 in y"),
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
        with pytest.raises(TypeError, match=r"must have `transform`.*Pipeline.*pipeline\[:-1\]"):
            EmbeddingDisplay.from_estimator(pipeline, X, y)

    def test_pairs_are_no_rows(self, embedder, digits, plt):
        X, _ = digits
        with pytest.raises(TypeError, match="X must be rows; got Pairs"):
            EmbeddingDisplay.from_estimator(embedder, Pairs(X[:5], X[5:10]))


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
                np.array([getattr(bar, f"get_{side}")() for bar in bars]) for side in ("height", "width")
            )
            np.testing.assert_allclose(np.sum(heights * widths), 1.0)
            counts = [np.sum((score[kind] >= low) & (score[kind] < high)) for low, high in pairwise(edges)]
            np.testing.assert_allclose(heights[:-1] * widths[:-1] * kind.sum(), counts[:-1])

    def test_threshold_and_error_rates(self, plt):
        """At 4 one of four same pairs (3) is rejected, and one of four different ones (5) accepted."""
        display = PairScoreDisplay.from_predictions(SAME, SCORE, threshold=4)
        assert list(display.threshold_line_.get_xdata()) == [4.0, 4.0]
        expected = ["different pairs: FAR 25 %", "same pairs: FRR 25 %", "threshold 4"]
        assert texts(display.legend_) == expected

    @pytest.mark.parametrize(
        ("threshold", "far", "frr"), [(5, 25, 25), (5.1, 0, 25), (2, 75, 0), (10, 0, 100)]
    )
    def test_a_score_at_the_threshold_is_accepted(self, threshold, far, frr, plt):
        display = PairScoreDisplay.from_predictions(SAME, SCORE, threshold=threshold)
        expected = [f"different pairs: FAR {far} %", f"same pairs: FRR {frr} %"]
        assert texts(display.legend_)[:2] == expected

    def test_without_threshold(self, plt):
        display = PairScoreDisplay.from_predictions(SAME, SCORE)
        assert display.threshold_line_ is None
        assert texts(display.legend_) == ["different pairs", "same pairs"]

    def test_kinds_have_colours_of_their_own(self, plt):
        from matplotlib.colors import to_hex

        display = draw(PairScoreDisplay)
        assert [to_hex(bars[0].get_facecolor()) for bars in (display.same_, display.different_)] == [
            BLUE,
            VERMILLION,
        ]

    def test_equal_scores_make_one_bar(self, plt):
        display = PairScoreDisplay.from_predictions([1, 0], [0.5, 0.5], bins=1)
        assert [bar.get_height() for bar in display.same_] == [1.0]

    def test_classifier_on_rows(self, classifier, digits, plt):
        X, y = digits
        display = PairScoreDisplay.from_estimator(classifier, X, y, n_pairs=200, random_state=3)
        pairs, same = make_pairs(X, y, n_pairs=200, random_state=3)
        np.testing.assert_array_equal(display.same, same)
        np.testing.assert_array_equal(display.score, classifier.pair_score(pairs).astype(np.float64))
        assert list(display.threshold_line_.get_xdata()) == [classifier.threshold_] * 2
        far = 100 * np.mean(classifier.predict(pairs)[same == 0] == 1)
        assert texts(display.legend_)[0] == f"different pairs: FAR {far:.3g} %"

    def test_embedder_on_given_pairs(self, embedder, digits, plt):
        X, y = digits
        pairs, same = make_pairs(X, y, n_pairs=50, random_state=0)
        display = PairScoreDisplay.from_estimator(embedder, pairs, same)
        np.testing.assert_array_equal(display.score, embedder.pair_score(pairs).astype(np.float64))
        assert display.threshold_line_ is None

    @pytest.mark.parametrize("given", ["rows", "pairs"])
    def test_pipeline(self, iris, given, plt):
        X, y = iris
        pipeline = make_pipeline(
            PairTransformer(StandardScaler()), SiamesePairClassifier(4, max_epochs=1, random_state=0)
        ).fit(X, y)
        data = (X, y) if given == "rows" else make_pairs(X, y, n_pairs=40, random_state=0)
        display = PairScoreDisplay.from_estimator(pipeline, *data, n_pairs=40, random_state=0)
        pairs, same = make_pairs(X, y, n_pairs=40, random_state=0)
        np.testing.assert_array_equal(display.same, same)
        np.testing.assert_allclose(
            display.score - pipeline[-1].threshold_, pipeline.decision_function(pairs), rtol=1e-5, atol=1e-5
        )

    def test_pipeline_of_one_step(self, embedder, digits, plt):
        X, y = digits
        display = PairScoreDisplay.from_estimator(make_pipeline(embedder), X, y, n_pairs=20)
        assert len(display.score) == 20

    @pytest.mark.parametrize(
        ("same", "score", "kwargs", "message"),
        [
            ([1, 1], [0.1, 0.2], {}, "must hold both kinds of pairs"),
            ([1, 0], [0.1], {}, "must have one shape"),
            ([1, 0], [0.1, np.nan], {}, "must be finite"),
            ([1, 0], [0.1, 0.2], {"threshold": np.inf}, "`threshold` must be a finite number or None"),
            ([1, 0], [0.1, 0.2], {"bins": 0}, "`bins` must be an integer of at least 1"),
        ],
    )
    def test_errors(self, same, score, kwargs, message, plt):
        with pytest.raises(ValueError, match=message):
            PairScoreDisplay.from_predictions(same, score, **kwargs)
        assert plt.get_fignums() == []

    def test_estimator_without_pair_score(self, iris, plt):
        X, y = iris
        with pytest.raises(TypeError, match=r"KNeighborsClassifier has no `pair_score`.*from_predictions"):
            PairScoreDisplay.from_estimator(KNeighborsClassifier().fit(X, y), X, y)

    def test_unfitted_estimator(self, iris, plt):
        with pytest.raises(NotFittedError):
            PairScoreDisplay.from_estimator(SiameseEmbedder(), *iris)


class TestTrainingCurve:
    def test_lines(self, plt):
        display = TrainingCurveDisplay.from_history(HISTORY)
        for line, values in (
            (display.loss_line_, [0.5, 0.3, 0.2]),
            (display.active_line_, [1.0, 0.5, 0.125]),
            (display.spread_line_, [0.9, 0.8, 0.7]),
            (display.valid_score_line_, [0.6, 0.7, 0.9]),
        ):
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
            np.testing.assert_array_equal(line.get_ydata(), values)
        assert display.loss_line_.axes is display.ax_
        others = display.active_line_, display.spread_line_, display.valid_score_line_
        assert {line.axes for line in others} == {display.share_ax_}
        expected = ["training loss", "active, relative to the first epoch", "spread", "held-out score"]
        assert texts(display.legend_) == expected
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("epoch", "training loss")
        assert display.share_ax_.get_ylabel() == "share or score"

    def test_lines_differ_in_style_too(self, plt):
        display = draw(TrainingCurveDisplay)
        lines = [*display.ax_.lines, *display.share_ax_.lines]
        assert len({line.get_linestyle() for line in lines}) == len(lines) == 4

    def test_share_of_all_that_are_possible(self, plt):
        display = TrainingCurveDisplay.from_history(HISTORY, n_possible=160)
        np.testing.assert_array_equal(display.active_line_.get_ydata(), [0.5, 0.25, 0.0625])
        assert "active, share of all" in texts(display.legend_)

    @pytest.mark.parametrize(
        ("n_active", "shown"), [([0, 50, 25], [0.0, 1.0, 0.5]), ([0, 0], [0, 0]), ([10, 30], [1, 3])]
    )
    def test_first_epoch_that_has_any_is_one(self, n_active, shown, plt):
        history = [{"train_loss": 1.0, "n_active": count} for count in n_active]
        display = TrainingCurveDisplay.from_history(history)
        np.testing.assert_array_equal(display.active_line_.get_ydata(), shown)
        low, high = display.share_ax_.get_ylim()
        assert low == 0
        assert high > max(shown)

    def test_what_is_not_there_is_not_drawn(self, plt):
        display = TrainingCurveDisplay.from_history([{"train_loss": 0.2}, {"train_loss": 0.1}])
        assert display.share_ax_ is None
        assert display.active_line_ is display.spread_line_ is display.valid_score_line_ is None
        assert texts(display.legend_) == ["training loss"]
        assert len(display.figure_.axes) == 1

    def test_epochs_without_a_value_leave_a_gap(self, plt):
        display = TrainingCurveDisplay.from_history([*HISTORY, {"train_loss": 0.1}])
        np.testing.assert_array_equal(display.valid_score_line_.get_ydata(), [0.6, 0.7, 0.9, np.nan])

    def test_one_epoch_is_a_point(self, plt):
        display = TrainingCurveDisplay.from_history(HISTORY[:1])
        assert display.loss_line_.get_marker() == "o"

    def test_estimator(self, embedder, plt):
        display = TrainingCurveDisplay.from_estimator(embedder)
        history = embedder.history_
        np.testing.assert_array_equal(display.loss_line_.get_ydata(), history[:, "train_loss"])
        np.testing.assert_array_equal(display.valid_score_line_.get_ydata(), history[:, "valid_score"])
        np.testing.assert_array_equal(display.spread_line_.get_ydata(), history[:, "spread"])

    def test_pipeline_with_an_embedder_inside(self, iris, plt):
        X, y = iris
        pipeline = make_pipeline(
            StandardScaler(), SiameseEmbedder(2, max_epochs=2, random_state=0), KNeighborsClassifier()
        ).fit(X, y)
        display = TrainingCurveDisplay.from_estimator(pipeline, n_possible=64)
        assert len(display.train_loss) == 2
        assert display.n_possible == 64.0

    @pytest.mark.parametrize("history", [[], [{"spread": 1.0}]])
    def test_history_without_loss(self, history, plt):
        with pytest.raises(ValueError, match="at least one, each with 'train_loss'"):
            TrainingCurveDisplay.from_history(history)

    @pytest.mark.parametrize(("n_possible", "kind"), [(0, ValueError), (-1, ValueError), ("all", TypeError)])
    def test_n_possible_is_checked(self, n_possible, kind, plt):
        with pytest.raises(kind, match="`n_possible` must be a finite number above 0 or None"):
            TrainingCurveDisplay.from_history(HISTORY, n_possible=n_possible)

    @pytest.mark.parametrize("estimator", [PCA(), make_pipeline(StandardScaler(), PCA())])
    def test_other_estimators(self, estimator, plt):
        with pytest.raises(TypeError, match="must be a SiameseEmbedder, a SiamesePairClassifier"):
            TrainingCurveDisplay.from_estimator(estimator)

    def test_unfitted_estimator(self, plt):
        with pytest.raises(NotFittedError):
            TrainingCurveDisplay.from_estimator(SiameseEmbedder())


class TestNeighbors:
    GALLERY = np.arange(4 * 6, dtype=np.float64).reshape(4, 2, 3)

    def test_images_are_those_named(self, plt):
        """By one scale: 0 is black, 23, the highest number shown, white."""
        display = NeighborsDisplay.from_predictions(self.GALLERY[:1], self.GALLERY, [[3, 1]])
        shown = [image.get_array() for image in display.images_[0]]
        np.testing.assert_allclose(shown, self.GALLERY[[0, 3, 1]] / 23)
        assert {image.get_cmap().name for image in display.images_.flat} == {"gray"}
        assert {image.get_clim() for image in display.images_.flat} == {(0.0, 1.0)}

    def test_images_lie_in_a_grid_and_do_not_touch(self, plt):
        display = NeighborsDisplay.from_predictions(self.GALLERY, self.GALLERY, np.zeros((4, 3), dtype=int))
        extents = np.array([image.get_extent() for image in display.images_.flat]).reshape(4, 4, 4)
        np.testing.assert_allclose(extents[..., 1] - extents[..., 0], 1.5)  # 3 pixels wide, 2 high
        np.testing.assert_allclose(extents[..., 3] - extents[..., 2], 1.0)
        assert (extents[:, 1:, 0] > extents[:, :-1, 1]).all()  # to the right
        assert (extents[1:, :, 3] < extents[:-1, :, 2]).all()  # below
        for frame, extent in zip(display.frames_.flat, extents.reshape(-1, 4), strict=True):
            np.testing.assert_allclose(frame.get_bbox().extents, extent[[0, 2, 1, 3]])
        x, y = display.ax_.get_xlim(), display.ax_.get_ylim()
        assert x[0] < extents[..., 0].min() < extents[..., 1].max() < x[1]
        assert y[0] < extents[..., 2].min() < extents[..., 3].max() < y[1]

    def test_frames_tell_right_from_wrong(self, plt):
        neighbors, y = [[1, 2, 3], [0, 1, 2]], np.array(["a", "b", "a", "b"])
        display = NeighborsDisplay.from_predictions(self.GALLERY[:2], self.GALLERY, neighbors, ["a", "b"], y)
        black = "#000000"
        assert colours(display.frames_[0], plt) == [black, VERMILLION, BLUE, VERMILLION]
        assert colours(display.frames_[1], plt) == [black, VERMILLION, BLUE, VERMILLION]
        lines = [frame.get_linestyle() for frame in display.frames_[0]]
        assert lines == ["-", "--", "-", "--"]  # for those who do not see the colours
        assert texts(display.legend_) == ["class of the query", "another class"]
        assert colours(display.legend_.get_patches(), plt) == [BLUE, VERMILLION]

    def test_names(self, plt):
        display = NeighborsDisplay.from_predictions(
            self.GALLERY[:2], self.GALLERY, [[1, 2], [0, 3]], [7, 8], [7, 8, 9, 8]
        )
        ax = display.ax_
        assert [label.get_text() for label in ax.get_xticklabels()] == ["query", "nearest", "2"]
        assert [label.get_text() for label in ax.get_yticklabels()] == ["7", "8"]
        assert [text.get_text() for text in ax.texts] == ["8", "9", "7"]  # of the wrong ones

    def test_without_classes_frames_are_neutral(self, plt):
        display = NeighborsDisplay.from_predictions(self.GALLERY[:1], self.GALLERY, [[1, 2]])
        assert colours(display.frames_[0], plt) == ["#000000", "#c0c0c0", "#c0c0c0"]
        assert display.legend_ is None
        assert [label.get_text() for label in display.ax_.get_yticklabels()] == [""]

    def test_classes_of_the_gallery_alone_are_named(self, plt):
        display = NeighborsDisplay.from_predictions(
            self.GALLERY[:1], self.GALLERY, [[1, 2]], y_gallery=[0, 1, 2, 3]
        )
        assert [text.get_text() for text in display.ax_.texts] == ["1", "2"]
        assert colours(display.frames_[0], plt)[1:] == ["#c0c0c0", "#c0c0c0"]

    def test_channels_first_become_colours(self, plt):
        rng = np.random.default_rng(0)
        gallery = rng.integers(0, 256, (4, 3, 5, 6), dtype=np.uint8)
        display = NeighborsDisplay.from_predictions(gallery[:1], gallery, [[2]])
        assert display.query_images.shape == (1, 5, 6, 3)
        shown = display.images_[0, 1].get_array()
        np.testing.assert_allclose(shown, gallery[2].transpose(1, 2, 0) / 255)

    def test_one_channel_is_gray(self, plt):
        display = NeighborsDisplay.from_predictions(self.GALLERY[:1, None], self.GALLERY[:, None], [[1]])
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
        display = NeighborsDisplay.from_predictions(queries, np.arange(8.0).reshape(2, 2, 2), [[1, 0]])
        np.testing.assert_allclose(display.images_[0, 0].get_array(), [[0, 1]])
        np.testing.assert_allclose(display.images_[0, 1].get_array(), np.array([[4, 5], [6, 7]]) / 7)
        assert [image.get_extent()[1] - image.get_extent()[0] for image in display.images_[0]] == [2, 1, 1]

    def test_flat_rows_are_reshaped(self, plt):
        display = NeighborsDisplay.from_predictions(
            self.GALLERY[:1].reshape(1, 6),
            pd.DataFrame(self.GALLERY.reshape(4, 6)),
            [[2]],
            image_shape=(2, 3),
        )
        np.testing.assert_array_equal(display.neighbor_images[0, 0], self.GALLERY[2])

    def test_colour_map(self, plt):
        display = draw(NeighborsDisplay, cmap="viridis")
        assert display.images_[0, 0].get_cmap().name == "viridis"

    def test_embedder_searches_its_embedding(self, embedder, digits, plt):
        X, y = digits
        queries, gallery = X[::30], X[1::2]
        display = NeighborsDisplay.from_estimator(embedder, queries, gallery, y[::30], y[1::2], n_neighbors=3)
        search = NearestNeighbors(n_neighbors=3).fit(embedder.transform(gallery))
        nearest = search.kneighbors(embedder.transform(queries), return_distance=False)
        np.testing.assert_array_equal(display.neighbor_images, gallery[nearest])
        np.testing.assert_array_equal(display.y_neighbors, y[1::2][nearest])

    @pytest.mark.parametrize("architecture", ["siamese", "two_channel"])
    def test_classifier_searches_by_its_score(self, architecture, digits, plt):
        X, y = digits
        classifier = SiamesePairClassifier(
            8, architecture=architecture, head="difference", max_epochs=1, random_state=0
        ).fit(X, y)
        queries, gallery = X[:2], X[10:40]
        display = NeighborsDisplay.from_estimator(classifier, queries, gallery, n_neighbors=4)
        score = classifier.pair_score(Pairs(np.repeat(queries, 30, axis=0), np.tile(gallery, (2, 1, 1))))
        nearest = np.argsort(-score.reshape(2, 30), axis=1)[:, :4]
        np.testing.assert_array_equal(display.neighbor_images, gallery[nearest])

    def test_sides_of_two_kinds(self, digits, plt):
        X, y = digits
        pairs = Pairs(X[:100], np.repeat(X[:100].reshape(100, 64), 2, axis=1))
        classifier = SiamesePairClassifier(
            4, architecture="pseudo_siamese", max_epochs=1, random_state=0
        ).fit(pairs, np.arange(100) % 2)
        display = NeighborsDisplay.from_estimator(
            classifier, X[:2], pairs.right[:50], y[:2], y[:50], image_shape=(8, 16)
        )
        score = classifier.pair_score(Pairs(np.repeat(X[:2], 50, axis=0), np.tile(pairs.right[:50], (2, 1))))
        nearest = np.argsort(-score.reshape(2, 50), axis=1, kind="stable")[:, :5]
        np.testing.assert_array_equal(display.y_neighbors, y[:50][nearest])
        assert display.query_images.shape[1:] == (8, 8)
        assert display.neighbor_images.shape[2:] == (8, 16)

    def test_manhattan_distance(self, iris, plt):
        X, y = iris
        embedder = SiameseEmbedder(4, distance="manhattan", max_epochs=1, random_state=0).fit(X, y)
        display = NeighborsDisplay.from_estimator(embedder, X[:3], X[3:], n_neighbors=2, image_shape=(2, 2))
        search = NearestNeighbors(n_neighbors=2, metric="manhattan").fit(embedder.transform(X[3:]))
        nearest = search.kneighbors(embedder.transform(X[:3]), return_distance=False)
        np.testing.assert_array_equal(display.neighbor_images, X[3:][nearest].reshape(3, 2, 2, 2))

    def test_pipeline_shows_the_rows_as_they_came(self, iris, plt):
        X, _ = iris
        pipeline = make_pipeline(StandardScaler(), PCA(2)).fit(X)
        display = NeighborsDisplay.from_estimator(pipeline, X[:2], X, image_shape=(2, 2), n_neighbors=1)
        np.testing.assert_array_equal(display.neighbor_images[:, 0], X[:2].reshape(2, 2, 2))

    @pytest.mark.parametrize(
        ("queries", "kwargs", "message"),
        [
            (np.zeros((1, 6)), {}, r"`X_query` must be images.*Pass `image_shape`"),
            (
                np.zeros((1, 6)),
                {"image_shape": (2, 2)},
                r"\(2, 2\), but rows of `X_query` have 6",
            ),
            (np.zeros((1, 2, 4, 4)), {}, r"\(n, 3, H, W\); got float64 of shape \(1, 2, 4, 4\)\.$"),
            (np.array([[["a", "b"]]]), {}, "`X_query` must be images"),
            (GALLERY[:1], {"y_query": [0, 1]}, "equally many rows"),
            (GALLERY[:1], {"y_gallery": [0, 1]}, "equally many rows"),
            (GALLERY[:2], {}, r"shape \(2, k\), a row for each query; got int64 of shape \(1, 2\)"),
            (GALLERY[:1], {"neighbors": [[0, 4]]}, "rows of the gallery, from 0 to 3; got 0 to 4"),
            (GALLERY[:1], {"neighbors": [[-1, 2]]}, "rows of the gallery, from 0 to 3; got -1 to 2"),
            (GALLERY[:1], {"neighbors": [[0.5, 1.0]]}, "must hold integers"),
            (GALLERY[:1], {"neighbors": np.zeros((1, 0), dtype=int)}, "must hold integers"),
        ],
    )
    def test_errors(self, queries, kwargs, message, plt):
        arguments = {"neighbors": [[0, 1]]} | kwargs
        with pytest.raises(ValueError, match=message):
            NeighborsDisplay.from_predictions(queries, self.GALLERY, **arguments)
        assert plt.get_fignums() == []

    def test_more_neighbours_than_rows(self, embedder, digits, plt):
        X, _ = digits
        with pytest.raises(ValueError, match="`n_neighbors` is 5, but `X_gallery` has 3 rows"):
            NeighborsDisplay.from_estimator(embedder, X[:1], X[:3])

    def test_estimator_that_cannot_compare(self, iris, plt):
        X, y = iris
        with pytest.raises(TypeError, match=r"KNeighborsClassifier has no `transform`.*pipeline\[:-1\]"):
            NeighborsDisplay.from_estimator(KNeighborsClassifier().fit(X, y), X[:1], X)
