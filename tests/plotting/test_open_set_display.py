"""Errors of open-set identification as they are drawn, seen in their artists."""

import copy

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from displays import BLUE, CLASSES, SCORES, SOUGHT, texts
from siamese_sklearn import Pairs, SiamesePairClassifier
from siamese_sklearn.metrics import fnir, fpir, fpir_fnir_curve
from siamese_sklearn.plotting import OpenSetDisplay


def draw(**kwargs):
    return OpenSetDisplay.from_predictions(SOUGHT, SCORES, classes=CLASSES, **kwargs)


def rates(display):
    """FPIR and FNIR of the marked threshold."""
    return tuple(
        values[0]
        for values in (
            display.threshold_point_.get_xdata(),
            display.threshold_point_.get_ydata(),
        )
    )


@pytest.fixture(scope="module")
def doorkeeper(classifier):
    """A model that has forgotten the eights and the nines."""
    return copy.deepcopy(classifier).forget([8, 9])


class TestOpenSet:
    def test_curve_is_a_staircase_of_the_rates(self, plt):
        """The strangers' best are 8, 3, 2, 1; ann and bob are found at 9, 7, 5, and the
        other search for bob names ann. At 9 nobody else is named, at 8 one stranger is,
        at 7 and 5 more are found.
        """
        display = draw()
        assert display.line_.get_drawstyle() == "steps-post"
        np.testing.assert_allclose(
            display.line_.get_xdata(),
            [0.125, 0.25, 0.25, 0.25, 0.5, 0.75, 1.0],
        )
        np.testing.assert_allclose(
            display.line_.get_ydata(), [0.75, 0.75, 0.5, 0.25, 0.25, 0.25, 0.25]
        )
        assert display.ax_.get_xscale() == "log"
        assert display.ax_.get_xlim() == (0.125, 1.0)

    def test_stores_the_curve(self, plt):
        display = draw()
        stored = (display.fpir, display.fnir, display.thresholds)
        for found, wanted in zip(
            stored, fpir_fnir_curve(SOUGHT, SCORES, classes=CLASSES), strict=True
        ):
            np.testing.assert_array_equal(found, wanted)

    @pytest.mark.parametrize("threshold", [10, 9, 8.5, 8, 7, 6, 5, 3, 2.5, 1, 0.5, -9])
    def test_threshold_is_marked_at_its_rates(self, threshold, plt):
        display = draw(threshold=threshold)
        named, missed = (
            rate(SOUGHT, SCORES, threshold, classes=CLASSES) for rate in (fpir, fnir)
        )
        assert rates(display) == (max(named, 0.125), missed)
        expected = (
            f"threshold {threshold:.3g}: FPIR {100 * named:g}%, FNIR {100 * missed:g}%"
        )
        assert texts(display.legend_) == [expected]

    def test_without_threshold_and_name_there_is_no_legend(self, plt):
        display = draw()
        assert display.threshold_point_ is None
        assert display.legend_ is None

    def test_name(self, plt):
        display = draw(name="ours", threshold=4)
        assert texts(display.legend_) == ["ours", "threshold 4: FPIR 25%, FNIR 25%"]

    def test_style(self, plt):
        from matplotlib.colors import to_hex

        display = draw(threshold=4)
        assert to_hex(display.line_.get_color()) == BLUE
        other = draw(threshold=4, color="#d55e00", linestyle="--")
        assert other.line_.get_linestyle() == "--"
        for artist in (other.line_, other.threshold_point_):
            assert to_hex(artist.get_color()) == "#d55e00"

    def test_axes_give_percentages(self, plt):
        display = draw()
        assert display.ax_.xaxis.get_major_formatter()(0.001, 0) == "0.1%"
        assert display.ax_.yaxis.get_major_formatter()(0.25, 0) == "25%"

    def test_several_curves_share_axes(self, plt):
        """The one with more strangers resolves a lower FPIR, which stays in sight."""
        _, ax = plt.subplots()
        many = np.append(SCORES, np.zeros((12, 2)), axis=0)
        OpenSetDisplay.from_predictions(
            SOUGHT + ["z"] * 12, many, classes=CLASSES, name="many", ax=ax
        )
        last = draw(name="few", ax=ax)
        assert ax.get_xlim() == (0.5 / 16, 1.0)
        assert texts(last.legend_) == ["many", "few"]

    def test_perfect_scores(self, plt):
        display = OpenSetDisplay.from_predictions(
            ["a", "s"], [[2.0], [1.0]], classes=["a"], threshold=2
        )
        np.testing.assert_array_equal(display.line_.get_xdata(), [0.5, 1.0])
        np.testing.assert_array_equal(display.line_.get_ydata(), [0.0, 0.0])
        assert texts(display.legend_) == ["threshold 2: FPIR 0%, FNIR 0%"]
        display.figure_.canvas.draw()

    @pytest.mark.parametrize("is_pipeline", [False, True])
    def test_classifier(self, doorkeeper, digits, is_pipeline, plt):
        X, y = digits
        estimator = make_pipeline(doorkeeper) if is_pipeline else doorkeeper
        display = OpenSetDisplay.from_estimator(estimator, X, y, name="digits")
        scores, classes = doorkeeper.decision_function(X), doorkeeper.classes_
        found = (display.fpir, display.fnir, display.thresholds)
        wanted = fpir_fnir_curve(y, scores, classes=classes)
        for left, right in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(left, right)
        assert display.threshold == doorkeeper.identification_threshold_
        named = fpir(y, scores, doorkeeper.identification_threshold_, classes=classes)
        assert rates(display)[0] == max(named, display.ax_.get_xlim()[0])
        assert texts(display.legend_)[0] == "digits"

    def test_classifier_without_strangers(self, classifier, digits, plt):
        """Each row is also a stranger's, without the column of its class."""
        X, y = digits
        display = OpenSetDisplay.from_estimator(classifier, X, y)
        scores = classifier.decision_function(X)
        others = np.where(y[:, None] == classifier.classes_, -np.inf, scores).max(
            axis=1
        )
        expected = [np.mean(others >= t) for t in display.thresholds]
        np.testing.assert_allclose(display.fpir, expected)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"y_true": list("abbaabab")}, "must contain strangers"),
            ({"y_true": list("stuvwxyz")}, "must contain mated searches"),
            ({"scores": SCORES[:3]}, "one label per row of `scores`"),
            ({"scores": SCORES * np.nan}, "`scores` must be finite"),
            ({"classes": ["a"]}, "must name each column"),
            ({"threshold": np.nan}, "`threshold` must be a finite number or None"),
        ],
    )
    def test_errors(self, change, message, plt):
        arguments = {"y_true": SOUGHT, "scores": SCORES, "classes": CLASSES, **change}
        with pytest.raises(ValueError, match=message):
            OpenSetDisplay.from_predictions(**arguments)
        assert plt.get_fignums() == []

    def test_estimator_that_cannot_identify(self, embedder, classifier, digits, plt):
        X, y = digits
        with pytest.raises(
            TypeError, match=r"SiameseEmbedder has no `decision_function`"
        ):
            OpenSetDisplay.from_estimator(embedder, X, y)
        with pytest.raises(TypeError, match=r"measured on rows; got Pairs\."):
            OpenSetDisplay.from_estimator(classifier, Pairs(X, X), y)

    def test_unfitted_estimator(self, digits, plt):
        with pytest.raises(NotFittedError):
            OpenSetDisplay.from_estimator(SiamesePairClassifier(), *digits)
