"""What all displays have in common."""

import sys

import numpy as np
import pytest

from displays import CLASSES, HISTORY, SAME, SCORE, SCORES, SOUGHT
from siamese_sklearn.plotting import (
    ContributionDisplay,
    EmbeddingDisplay,
    NeighborsDisplay,
    OpenSetDisplay,
    PairScoreDisplay,
    TrainingCurveDisplay,
)

DISPLAYS = [
    ContributionDisplay,
    EmbeddingDisplay,
    NeighborsDisplay,
    OpenSetDisplay,
    PairScoreDisplay,
    TrainingCurveDisplay,
]


def draw(display, **kwargs):
    """One display of each kind, of small made-up results."""
    rng = np.random.default_rng(0)
    if display is ContributionDisplay:
        return display.from_predictions([-2.0, 1.0], ["a", "b"], **kwargs)
    if display is EmbeddingDisplay:
        return display.from_predictions(
            rng.normal(size=(12, 2)), np.arange(12) % 3, **kwargs
        )
    if display is NeighborsDisplay:
        images = rng.random((4, 5, 5))
        return display.from_predictions(
            images[:2], images, [[1, 2], [3, 0]], [0, 1], [0, 1, 0, 1], **kwargs
        )
    if display is OpenSetDisplay:
        return display.from_predictions(
            SOUGHT, SCORES, classes=CLASSES, threshold=4.0, **kwargs
        )
    if display is PairScoreDisplay:
        return display.from_predictions(SAME, SCORE, threshold=4.0, **kwargs)
    return display.from_history(HISTORY, **kwargs)


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

    @pytest.mark.slow
    def test_leaves_pyplot_as_it_was(self, display, plt):
        figure, (left, right) = plt.subplots(1, 2)
        plt.sca(right)
        settings = dict(plt.rcParams)
        draw(display, ax=left)
        figure.canvas.draw()
        assert dict(plt.rcParams) == settings
        assert plt.isinteractive() is False

    @pytest.mark.slow
    def test_plot_draws_again(self, display, plt):
        first = draw(display)
        ax = first.ax_
        assert first.plot() is first
        assert first.ax_ is not ax
        assert len(plt.get_fignums()) == 2

    def test_init_stores_its_arguments_only(self, display, plt):
        drawn = draw(display)
        stored = {
            name: value for name, value in vars(drawn).items() if not name.endswith("_")
        }
        first, *others = stored
        anew = display(
            stored.pop(first),
            **({others[0]: stored.pop(others[0])} if others else {}),
            **stored,
        )
        assert vars(anew) == {name: vars(drawn)[name] for name in (first, *others)}

    def test_axes_are_checked(self, display, plt):
        _, axes = plt.subplots(1, 2)
        with pytest.raises(
            TypeError, match=r"`ax` must be one matplotlib Axes or None; got ndarray\."
        ):
            draw(display, ax=axes)

    def test_says_how_to_get_matplotlib(self, display, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        message = rf"{display.__name__} needs matplotlib.*pip install matplotlib"
        with pytest.raises(ImportError, match=message):
            draw(display)

    def test_estimator_is_not_touched_without_matplotlib(self, display, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        arguments = {EmbeddingDisplay: 2, TrainingCurveDisplay: 1}.get(display, 3)
        with pytest.raises(ImportError, match="needs matplotlib"):
            display.from_estimator(*[None] * arguments)
