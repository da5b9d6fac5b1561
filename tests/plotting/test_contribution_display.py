"""Contributions as they are drawn, seen in their bars."""

import numpy as np
import pytest

from models import quick_classifier
from siamese_sklearn.matching import explain
from siamese_sklearn.plotting import ContributionDisplay


def labels(display):
    return [text.get_text() for text in display.ax_.get_yticklabels()]


def test_the_largest_contributions_come_first(plt):
    display = ContributionDisplay.from_predictions(
        [0.5, -3.0, 0.0, 1.0], list("abcd"), n_bars=3
    )
    assert labels(display) == ["b", "d", "a"]
    assert [bar.get_width() for bar in display.bars_] == [-3.0, 1.0, 0.5]
    negative, positive, other = (bar.get_facecolor() for bar in display.bars_)
    assert negative != positive == other
    top, bottom = (bar.get_y() for bar in (display.bars_[0], display.bars_[2]))
    to_screen = display.ax_.transData.transform
    assert to_screen((0, top))[1] > to_screen((0, bottom))[1]


def test_an_estimator_is_explained(plt, halves):
    X, X_test, y, _ = halves
    model = quick_classifier(max_epochs=1).fit(X, y)
    display = ContributionDisplay.from_estimator(model, X_test[:1], X_test[50:51])
    expected = explain(model, X_test[:1], X_test[50:51]).iloc[0, 1:]
    np.testing.assert_array_equal(display.contributions, expected)
    assert sorted(labels(display)) == ["x0", "x1", "x2", "x3"]
    with pytest.raises(ValueError, match="must have one row each; got 2"):
        ContributionDisplay.from_estimator(model, X_test[:2], X_test[50:52])


def test_errors(plt):
    with pytest.raises(ValueError, match=r"got shape \(2,\) and 1 names"):
        ContributionDisplay.from_predictions([1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="`n_bars` must be an integer of at least 1"):
        ContributionDisplay.from_predictions([1.0], ["a"], n_bars=0)
    assert plt.get_fignums() == []
