"""Training curves as they are drawn, seen in their artists."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from displays import HISTORY, SAME, SCORE, texts
from siamese_sklearn import SiameseEmbedder
from siamese_sklearn.plotting import (
    EmbeddingDisplay,
    NeighborsDisplay,
    PairScoreDisplay,
    TrainingCurveDisplay,
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
        expected = [
            "training loss",
            "active, relative to the first epoch",
            "spread",
            "held-out score",
        ]
        assert texts(display.legend_) == expected
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == (
            "epoch",
            "training loss",
        )
        assert display.share_ax_.get_ylabel() == "fraction or score"

    def test_lines_differ_in_style_too(self, plt):
        display = draw(TrainingCurveDisplay)
        lines = [*display.ax_.lines, *display.share_ax_.lines]
        assert len({line.get_linestyle() for line in lines}) == len(lines) == 4

    def test_share_of_all_that_are_possible(self, plt):
        display = TrainingCurveDisplay.from_history(HISTORY, n_possible=160)
        np.testing.assert_array_equal(
            display.active_line_.get_ydata(), [0.5, 0.25, 0.0625]
        )
        assert "active, fraction of all" in texts(display.legend_)

    @pytest.mark.parametrize(
        ("n_active", "shown"),
        [([0, 50, 25], [0.0, 1.0, 0.5]), ([0, 0], [0, 0]), ([10, 30], [1, 3])],
    )
    def test_first_epoch_that_has_any_is_one(self, n_active, shown, plt):
        history = [{"train_loss": 1.0, "n_active": count} for count in n_active]
        display = TrainingCurveDisplay.from_history(history)
        np.testing.assert_array_equal(display.active_line_.get_ydata(), shown)
        low, high = display.share_ax_.get_ylim()
        assert low == 0
        assert high > max(shown)

    def test_what_is_not_there_is_not_drawn(self, plt):
        display = TrainingCurveDisplay.from_history(
            [{"train_loss": 0.2}, {"train_loss": 0.1}]
        )
        assert display.share_ax_ is None
        assert (
            display.active_line_
            is display.spread_line_
            is display.valid_score_line_
            is None
        )
        assert texts(display.legend_) == ["training loss"]
        assert len(display.figure_.axes) == 1

    def test_epochs_without_a_value_leave_a_gap(self, plt):
        display = TrainingCurveDisplay.from_history([*HISTORY, {"train_loss": 0.1}])
        np.testing.assert_array_equal(
            display.valid_score_line_.get_ydata(), [0.6, 0.7, 0.9, np.nan]
        )

    def test_one_epoch_is_a_point(self, plt):
        display = TrainingCurveDisplay.from_history(HISTORY[:1])
        assert display.loss_line_.get_marker() == "o"

    def test_estimator(self, embedder, plt):
        display = TrainingCurveDisplay.from_estimator(embedder)
        history = embedder.history_
        np.testing.assert_array_equal(
            display.loss_line_.get_ydata(), history[:, "train_loss"]
        )
        np.testing.assert_array_equal(
            display.valid_score_line_.get_ydata(), history[:, "valid_score"]
        )
        np.testing.assert_array_equal(
            display.spread_line_.get_ydata(), history[:, "spread"]
        )

    def test_pipeline_with_an_embedder_inside(self, iris, plt):
        X, y = iris
        pipeline = make_pipeline(
            StandardScaler(),
            SiameseEmbedder(2, max_epochs=2, random_state=0),
            KNeighborsClassifier(),
        ).fit(X, y)
        display = TrainingCurveDisplay.from_estimator(pipeline, n_possible=64)
        assert len(display.train_loss) == 2
        assert display.n_possible == 64.0

    @pytest.mark.parametrize("history", [[], [{"spread": 1.0}]])
    def test_history_without_loss(self, history, plt):
        with pytest.raises(ValueError, match="each row must have 'train_loss'"):
            TrainingCurveDisplay.from_history(history)

    @pytest.mark.parametrize(
        ("n_possible", "kind"), [(0, ValueError), (-1, ValueError), ("all", TypeError)]
    )
    def test_n_possible_is_checked(self, n_possible, kind, plt):
        with pytest.raises(
            kind, match="`n_possible` must be a finite number above 0 or None"
        ):
            TrainingCurveDisplay.from_history(HISTORY, n_possible=n_possible)

    @pytest.mark.parametrize(
        "estimator", [PCA(), make_pipeline(StandardScaler(), PCA())]
    )
    def test_other_estimators(self, estimator, plt):
        with pytest.raises(
            TypeError, match="must be a SiameseEmbedder, a SiamesePairClassifier"
        ):
            TrainingCurveDisplay.from_estimator(estimator)

    def test_unfitted_estimator(self, plt):
        with pytest.raises(NotFittedError):
            TrainingCurveDisplay.from_estimator(SiameseEmbedder())
