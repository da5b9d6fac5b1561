"""The last step of a Pipeline is calibrated in place, on rows that the others made."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models import quick_classifier
from siamese_sklearn import Pairs, PairTransformer, make_pairs
from siamese_sklearn.plotting import OpenSetDisplay

STEPS = {"strategy": "fpir", "target": 0.2}
UNITS = np.float32([1, 10, 100, 1000])  # so that the first step matters


@pytest.fixture(scope="module")
def flowers(halves):
    """Flowers to train on and others; the first of three kinds are the strangers."""
    X_train, X_val, y_train, y_val = halves
    known = y_train > 0
    return X_train[known] * UNITS, X_val * UNITS, y_train[known], y_val


@pytest.fixture
def pipe(flowers):
    """Fitted Pipeline that knows two of three kinds, and names everybody."""
    model = quick_classifier(unknown_label=-1)
    pipe = make_pipeline(PairTransformer(StandardScaler()), model)
    pipe.fit(flowers[0], flowers[2])
    pipe[-1].set_threshold(-1e9, task="identification")
    return pipe


def test_strangers_are_named_at_the_target_rate(pipe, flowers):
    _, X, _, y = flowers
    strangers = X[y == 0]
    assert np.all(pipe.predict(strangers) != -1)
    rows = pipe[:-1].transform(strangers)
    pipe[-1].calibrate_threshold(rows, y[y == 0], **STEPS)
    named = pipe.predict(strangers) != -1
    assert len(named) == 25
    assert named.sum() == 5  # the most that are at most a fifth
    assert pipe[-1].threshold_report_.rates[0].n_errors == 5


def test_it_is_the_threshold_of_a_classifier_of_transformed_rows(pipe, flowers):
    X_train, X, y_train, y = flowers
    scaler = StandardScaler().fit(X_train)
    alone = clone(pipe[-1]).fit(scaler.transform(X_train), y_train)
    strangers = y == 0
    alone.calibrate_threshold(scaler.transform(X[strangers]), y[strangers], **STEPS)
    rows = pipe[:-1].transform(X[strangers])
    pipe[-1].calibrate_threshold(rows, y[strangers], **STEPS)
    at = pipe[-1].identification_threshold_
    assert at == alone.identification_threshold_
    np.testing.assert_array_equal(pipe.predict(X), alone.predict(scaler.transform(X)))
    display = OpenSetDisplay.from_estimator(pipe, X, y)
    assert display.threshold == at


def test_so_is_the_threshold_for_pairs(pipe, flowers):
    _, X, _, y = flowers
    pairs, same = make_pairs(X, y, random_state=0)
    pipe[-1].set_threshold(-1e9)
    assert pipe.predict(pairs).all()
    made = pipe[:-1].transform(pairs)
    assert isinstance(made, Pairs)
    pipe[-1].calibrate_threshold(made, same, strategy="far", target=0.2)
    accepted = pipe.predict(pairs) == 1
    assert 0 < accepted[same == 0].mean() <= 0.2
    assert accepted[same == 1].mean() > accepted[same == 0].mean()


def test_a_new_fit_starts_from_the_threshold_of_fit(pipe, flowers):
    X_train, X, y_train, y = flowers
    strangers = y == 0
    rows = pipe[:-1].transform(X[strangers])
    pipe[-1].calibrate_threshold(rows, y[strangers], **STEPS)
    calibrated = pipe[-1].identification_threshold_
    again = clone(pipe).fit(X_train, y_train)
    first = again[-1].identification_threshold_
    assert first != calibrated
    assert pipe.fit(X_train, y_train)[-1].identification_threshold_ == first
