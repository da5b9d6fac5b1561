"""Warnings point at the line of the user's call, however deep their reason lies."""

import inspect
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from models import quick, quick_classifier
from siamese_sklearn._checks import warn


class Broken(nn.Module):
    """A loss that is NaN from a batch on."""

    def __init__(self, n_good=0):
        super().__init__()
        self.n_left = n_good

    def forward(self, embeddings, labels):
        self.n_left -= 1
        return embeddings.square().mean() * (1.0 if self.n_left >= 0 else np.nan)


def line():
    """Number of the caller's line."""
    return inspect.currentframe().f_back.f_lineno


@pytest.mark.parametrize("make", [quick, quick_classifier])
class TestTheLineOfTheCall:
    def check(self, caught, expected):
        (warning,) = caught
        assert issubclass(warning.category, ConvergenceWarning)
        assert (warning.filename, warning.lineno) == (__file__, expected)

    def test_of_fit(self, make, halves):
        model = make(loss=Broken())
        before = line()
        with pytest.warns(ConvergenceWarning, match="NaN") as caught:
            model.fit(halves[0], halves[2])
        self.check(caught, before + 2)

    def test_of_partial_fit(self, make, halves):
        model = make(loss=Broken())
        before = line()
        with pytest.warns(ConvergenceWarning, match="NaN") as caught:
            model.partial_fit(halves[0], halves[2])
        self.check(caught, before + 2)

    def test_of_fit_transform(self, make, halves):
        model = make(loss=Broken())
        before = line()
        with pytest.warns(ConvergenceWarning, match="NaN") as caught:
            model.fit_transform(halves[0], halves[2])
        self.check(caught, before + 2)

    def test_of_a_later_partial_fit(self, make, halves):
        model = make(loss=Broken(n_good=3), max_epochs=1).fit(halves[0], halves[2])
        before = line()
        with pytest.warns(ConvergenceWarning, match="NaN") as caught:
            model.partial_fit(halves[0], halves[2])
        self.check(caught, before + 2)

    def test_of_a_warm_fit_transform(self, make, halves):
        model = make(loss=Broken(n_good=3), warm_start=True, max_epochs=1)
        model.fit(halves[0], halves[2])
        before = line()
        with pytest.warns(ConvergenceWarning, match="NaN") as caught:
            model.fit_transform(halves[0], halves[2])
        self.check(caught, before + 2)

    def test_of_a_warm_fit(self, make, halves):
        model = make(loss=Broken(n_good=3), warm_start=True, max_epochs=1)
        model.fit(halves[0], halves[2])
        before = line()
        with pytest.warns(ConvergenceWarning, match="NaN") as caught:
            model.fit(halves[0], halves[2])
        self.check(caught, before + 2)

    def test_of_a_pipeline_that_fits_it(self, make, halves):
        """The line that called the model is scikit-learn's; it is not the package's."""
        pipeline = make_pipeline(StandardScaler(), make(loss=Broken()))
        with pytest.warns(ConvergenceWarning, match="NaN") as caught:
            pipeline.fit(halves[0], halves[2])
        assert caught[0].filename == inspect.getsourcefile(type(pipeline))


def test_of_score(halves):
    embedder = quick(max_epochs=1).fit(halves[0], halves[2])
    before = line()
    with pytest.warns(UserWarning, match="`y` has a single class, 0.0, so") as caught:
        embedder.score(halves[1], np.zeros(75))
    assert (caught[0].filename, caught[0].lineno) == (__file__, before + 2)


def test_of_rows_too_few_to_hold_out():
    X, y = np.float32([[0, 0], [0, 1], [5, 5], [5, 6]]), [0, 0, 1, 1]
    before = line()
    with pytest.warns(UserWarning, match="Too few rows to hold any out") as caught:
        quick_classifier(max_epochs=1).fit(X, y)
    assert (caught[0].filename, caught[0].lineno) == (__file__, before + 2)


def test_a_warning_outside_of_the_package_points_at_its_own_call():
    before = line()
    with pytest.warns(DeprecationWarning, match="soon") as caught:
        warn("soon gone", DeprecationWarning)
    assert (caught[0].filename, caught[0].lineno) == (__file__, before + 2)


def test_a_filter_by_module_finds_the_users_module(halves):
    """As ``-W ignore::UserWarning:mymodule`` does."""
    model = quick(loss=Broken())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=__name__)
        model.fit(halves[0], halves[2])
