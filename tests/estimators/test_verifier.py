"""A classifier fitted on rows, in tools that read its classes on pairs."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import (
    DetCurveDisplay,
    PrecisionRecallDisplay,
    RocCurveDisplay,
    roc_auc_score,
)
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

from models import quick_classifier
from siamese_sklearn import make_pairs


@pytest.fixture(params=[2, 3], ids=["two classes", "three classes"])
def fitted(request, halves):
    """A classifier of two or three classes, and pairs of other rows."""
    known = halves[2] < request.param
    model = quick_classifier().fit(halves[0][known], halves[2][known] + 5)
    return model, *make_pairs(halves[1], halves[3], random_state=0)


def test_answers_on_pairs_are_those_of_the_model(fitted):
    model, pairs, same = fitted
    alone = model.verifier()
    assert alone.classes_.tolist() == [0, 1]
    for method in ("predict", "predict_proba", "decision_function", "pair_score"):
        np.testing.assert_array_equal(
            getattr(alone, method)(pairs), getattr(model, method)(pairs)
        )
    assert alone.score(pairs, same) == model.score(pairs, same)
    for name in ("threshold_", "identification_threshold_"):
        assert getattr(alone, name) == getattr(model, name)


def test_both_models_live_on_alone(fitted, halves):
    model, pairs, _ = fitted
    classes, before = model.classes_.tolist(), model.predict_proba(pairs)
    alone = model.verifier()
    alone.enroll(halves[0][:1], "ann").set_threshold(0.0)
    assert model.classes_.tolist() == classes
    model.partial_fit(halves[0], halves[2] + 5)
    assert alone.classes_.tolist() == ["ann"]
    np.testing.assert_array_equal(alone.predict_proba(pairs), before)


def test_tools_that_wrap_a_frozen_classifier(fitted):
    model, pairs, same = fitted
    frozen = FrozenEstimator(model.verifier())
    calibrated = CalibratedClassifierCV(frozen).fit(pairs, same)
    probabilities = calibrated.predict_proba(pairs)
    assert probabilities.shape == (len(pairs), 2)
    auc = roc_auc_score(same, model.pair_score(pairs))
    assert roc_auc_score(same, probabilities[:, 1]) == pytest.approx(auc, abs=1e-3)
    tuned = TunedThresholdClassifierCV(frozen, cv="prefit", refit=False)
    assert set(tuned.fit(pairs, same).predict(pairs).tolist()) <= {0, 1}
    fixed = FixedThresholdClassifier(frozen, threshold=0.5).fit(pairs, same)
    wanted = model.predict_proba(pairs)[:, 1] >= 0.5
    np.testing.assert_array_equal(fixed.predict(pairs), wanted)


def test_displays(fitted):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    model, pairs, same = fitted
    alone = model.verifier()
    display = RocCurveDisplay.from_estimator(alone, pairs, same)
    wanted = roc_auc_score(same, model.pair_score(pairs))
    assert display.roc_auc == pytest.approx(wanted)
    for kind in (DetCurveDisplay, PrecisionRecallDisplay):
        kind.from_estimator(alone, pairs, same)
    pyplot.close("all")


def test_unfitted():
    with pytest.raises(AttributeError, match="not fitted"):
        quick_classifier().verifier()
