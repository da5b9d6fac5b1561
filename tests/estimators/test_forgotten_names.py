"""What `forget` leaves of a class: nothing that says its name."""

import copy
import pickle

import numpy as np
import pytest

from models import quick_classifier
from siamese_sklearn import Pairs
from siamese_sklearn.calibration import threshold_at_rate
from siamese_sklearn.persistence import load, save

MARKER = "marker of the forgotten"
EACH_HELD_OUT = {"validation_fraction": 0.2}  # one row of each class
ENCODINGS = "utf-8", "utf-16-le", "utf-32-le"


@pytest.fixture(scope="module")
def people():
    """Twelve people of five rows each, who are told apart with ease."""
    rng = np.random.default_rng(0)
    names = np.array([MARKER, *(f"person {i}" for i in range(11))])
    y = np.repeat(np.arange(12), 5)
    return 3 * rng.normal(size=(12, 4))[y] + rng.normal(size=(60, 4)), names[y]


@pytest.fixture(scope="module")
def fitted(people):
    model = quick_classifier(**EACH_HELD_OUT, max_epochs=2).fit(*people)
    return lambda: copy.deepcopy(model)


def contain(model, path):
    """Which of a pickle and a file contains the marker."""
    save(model, path)
    contents = {"pickle": pickle.dumps(model), "file": path.read_bytes()}
    return [
        kind
        for kind, content in contents.items()
        if any(MARKER.encode(code) in content for code in ENCODINGS)
    ]


def test_the_name_of_a_class_of_training_is_gone(fitted, tmp_path):
    model = fitted()
    assert MARKER in model._strangers.names.tolist()
    assert contain(model, tmp_path / "model") == ["pickle", "file"]
    assert contain(model.forget(MARKER), tmp_path / "model") == []
    assert len(model.classes_) == 11


@pytest.mark.parametrize(
    "options", [{"loss": "proxy_anchor"}, {"architecture": "two_channel"}]
)
def test_the_name_is_gone_from_other_models(people, tmp_path, options):
    model = quick_classifier(max_epochs=1, **options).fit(*people).forget([MARKER])
    assert contain(model, tmp_path / "model") == []


def test_the_name_and_the_ids_of_an_enrolled_class_are_gone(fitted, people, tmp_path):
    X, y = people
    model = fitted().forget(MARKER)
    model.enroll(X[y == MARKER][:1], MARKER, ids=[f"{MARKER} 1"])
    assert contain(model, tmp_path / "model") == ["pickle", "file"]
    assert contain(model.forget(MARKER), tmp_path / "model") == []


def test_names_in_calibration_are_gone(fitted, people, tmp_path):
    X, y = people
    model = fitted().calibrate_threshold(X, y, strategy="fpir", target=0.2)
    assert contain(model.forget(MARKER), tmp_path / "model") == []
    # of a class that is not enrolled
    model.calibrate_threshold(X, y, strategy="fpir", target=0.2)
    assert contain(model, tmp_path / "model") == []


def test_a_model_trains_on_without_the_name(fitted, people, tmp_path):
    X, y = people
    model = fitted().forget(MARKER).partial_fit(X[y != MARKER], y[y != MARKER])
    assert contain(model, tmp_path / "model") == []
    pairs = Pairs(X[:-1], X[1:])
    model.forget("person 1").partial_fit(pairs, y[:-1] == y[1:])
    assert contain(model, tmp_path / "model") == []


@pytest.mark.parametrize("way", ["copy", "pickle", "file"])
def test_a_class_that_is_enrolled_again_is_no_stranger(fitted, people, tmp_path, way):
    """Its held-out row, which is a reference, too, is not searched for in its class."""
    X, y = people
    model = fitted()
    first = model.identification_threshold_
    model.forget(MARKER)
    if way == "pickle":
        model = pickle.loads(pickle.dumps(model))
    if way == "file":
        save(model, tmp_path / "model")
        model = load(tmp_path / "model")
    assert model._strangers.names.tolist().count(None) == 1
    model.enroll(X[y == MARKER], MARKER)
    assert model._strangers.names.tolist() == fitted()._strangers.names.tolist()
    assert model.identification_threshold_ == first < -0.01


def test_the_rows_of_a_forgotten_class_are_those_of_a_stranger(fitted):
    model = fitted().forget(MARKER)
    others = [f"person {i}" for i in range(4, 11)]
    model.forget(others)
    searches = model._strangers
    best = [
        copy.deepcopy(model)
        .forget([] if name is None else name)
        .decision_function(row[None])
        .max()
        for row, name in zip(searches.rows, searches.names, strict=True)
    ]
    assert searches.names.tolist().count(None) == 8
    wanted = threshold_at_rate(np.float32(best), 0.01)
    assert model.identification_threshold_ == pytest.approx(wanted, abs=1e-5)


def test_equal_numbers_are_the_same_class(people):
    X, y = people
    numbers = np.unique(y, return_inverse=True)[1]
    model = quick_classifier(**EACH_HELD_OUT, max_epochs=1).fit(X, numbers)
    model.forget([0, 1]).enroll(X[numbers == 1], 1.0)
    assert set(model._strangers.names.tolist()) == {None, *range(1, 12)}


def test_a_new_class_takes_the_weights_of_a_forgotten_one(people):
    """A loss with a vector for each class has no others."""
    X, y = people
    model = quick_classifier(loss="proxy_anchor", max_epochs=1).fit(X, y)
    renamed = np.where(y == MARKER, "somebody new", y)
    with pytest.raises(ValueError, match="must be from 0 to 11"):
        copy.deepcopy(model).partial_fit(X, renamed)
    model.forget(MARKER).partial_fit(X, renamed)
    assert "somebody new" in model.classes_
