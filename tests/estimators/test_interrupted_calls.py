"""A call that is cut short at a line of the package leaves a state that is whole."""

import copy
import sys
from pathlib import Path

import numpy as np
import pytest

import siamese_sklearn
from models import quick, quick_classifier
from siamese_sklearn import MLPTower

PACKAGE = str(Path(siamese_sklearn.__file__).parent)
Y = np.arange(24) % 3
X = (np.random.default_rng(0).normal(size=(24, 3)) + Y[:, None]).astype(np.float32)
MORE = X[::2] + 1

SMALL = {
    "n_components": 3,
    "tower": MLPTower((4,)),
    "max_epochs": 1,
    "batch_size": 12,
    "weight_averaging": 0.5,
}
EMBEDDER = {
    "fit": lambda model: model.fit(MORE, Y[::2]),
    "partial_fit": lambda model: model.partial_fit(MORE, Y[::2]),
}
CLASSIFIER = EMBEDDER | {
    "enroll": lambda model: model.enroll(MORE[:2], [7, 8]),
    "forget": lambda model: model.forget([0, 1]),
    "calibrate": lambda model: model.calibrate_threshold(MORE, Y[::2]),
    "calibrate_identification": lambda model: model.calibrate_threshold(
        MORE, Y[::2], strategy="fpir", target=0.2
    ),
    "set_threshold": lambda model: model.set_threshold(3.0, task="identification"),
}
CASES = [(quick, name) for name in EMBEDDER] + [
    (quick_classifier, name) for name in CLASSIFIER
]


def lines_of(call):
    """Lines of the package that a call runs, in the order of their first run."""
    seen = {}

    def trace(frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            seen.setdefault((frame.f_code.co_filename, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return list(seen)


def cut_at(line, error, call):
    """Make a call that raises at the first run of a line; return what comes out."""

    def trace(frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and (frame.f_code.co_filename, frame.f_lineno) == line:
            sys.settrace(None)
            raise error
        return trace

    sys.settrace(trace)
    try:
        call()
    except (KeyboardInterrupt, MemoryError, ValueError) as raised:
        return raised
    finally:
        sys.settrace(None)
    return None


def state_of(model):
    """What a model answers, and what it says of itself."""
    state = {"embeddings": model.transform(X), "n_iter": model.n_iter_}
    if hasattr(model, "threshold_"):
        state |= {
            "classes": model.classes_,
            "thresholds": (model.threshold_, model.identification_threshold_),
            "references": (model.reference_ids_, model.reference_labels_),
            "scores": model.decision_function(X),
            "next id": model._n_rows,
        }
    return state


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


def assert_whole(model):
    """The parts of a model agree with each other."""
    assert model.history_ is model.net_.history
    assert model.n_iter_ == len(model.history_)
    assert all("spread" in row for row in model.history_)
    if hasattr(model, "threshold_"):
        gallery = model._gallery
        encoded = model._scorer.codes(gallery.rows, 1)
        np.testing.assert_allclose(gallery.embeddings, encoded, atol=1e-6)
        assert np.array_equal(model.classes_, gallery.classes)


def check_cuts(make, name, step):
    """Cut a call at every few lines, by Ctrl-C and by an error in turn."""
    call = CLASSIFIER[name]
    fitted = make(**SMALL).fit(X, Y)
    before = state_of(fitted)
    changed = copy.copy(fitted)
    lines = lines_of(lambda: call(changed))
    after = state_of(changed)
    assert not same(before, after)
    assert len(lines) > 5
    for number, line in enumerate(lines[::step]):
        error = (KeyboardInterrupt, MemoryError)[number % 2]
        model = copy.copy(fitted)
        found = cut_at(line, error(), lambda model=model: call(model))
        # an error within a tower becomes the cause of another
        assert error in (type(found), type(found.__cause__)), line
        found = state_of(model)
        if not same(found, before) and not same(found, after):
            # Ctrl-C in training keeps what was learned until then
            assert error is KeyboardInterrupt, line
            assert name in EMBEDDER, line
            assert_whole(model)
    assert same(state_of(fitted), before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("make", "name"), CASES)
def test_some_lines(make, name):
    check_cuts(make, name, step=29)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("make", "name"), CASES)
def test_many_lines(make, name):
    check_cuts(make, name, step=4 if name in EMBEDDER else 1)
