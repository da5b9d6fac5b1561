"""SiamesePairClassifier: copies of it, and scikit-learn's tools on it."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
)

from models import ARCHITECTURES, NOBODY, quick_classifier
from siamese_sklearn import (
    MLPTower,
    Pairs,
    SiamesePairClassifier,
    TripletLoss,
    make_pairs,
)
from siamese_sklearn.losses import BinaryCrossEntropyLoss


class TestCopies:
    @pytest.mark.slow
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    @pytest.mark.parametrize("kind", ["rows", "pairs"])
    def test_pickle_joblib_and_deepcopy(self, tmp_path, halves, architecture, kind):
        X_train, X_test, y_train, y_test = halves
        given = (
            (X_train, y_train)
            if kind == "rows"
            else make_pairs(X_train, y_train, random_state=0)
        )
        model = (
            quick_classifier(**ARCHITECTURES[architecture])
            .fit(*given)
            .set_threshold(**NOBODY)
            .enroll(X_test[:2], 9)
        )
        model.calibrate_threshold(X_test, y_test, strategy="far", target=0.1)
        joblib.dump(model, tmp_path / "model.joblib")
        pairs = Pairs(X_test[:30], X_test[30:60])
        for copied in (
            pickle.loads(pickle.dumps(model)),
            joblib.load(tmp_path / "model.joblib"),
            copy.deepcopy(model),
        ):
            for X in (X_test, pairs):
                np.testing.assert_array_equal(
                    copied.predict_proba(X), model.predict_proba(X)
                )
                np.testing.assert_array_equal(copied.predict(X), model.predict(X))
            assert copied.threshold_ == model.threshold_
            assert copied.enroll(X_test[:1], 5).classes_.tolist() == sorted(
                [*model.classes_, 5]
            )
        assert 5 not in model.classes_

    def test_a_deep_copy_is_trained_on_its_own(self, models, halves):
        model = models("contrastive")
        before = model.decision_function(halves[1])
        copy.deepcopy(model).partial_fit(halves[0], halves[2]).forget(0)
        np.testing.assert_array_equal(model.decision_function(halves[1]), before)

    def test_clone_is_unfitted_and_fits_the_same(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick_classifier(
            loss=BinaryCrossEntropyLoss(),
            head="product",
            tower=MLPTower(),
            unknown_label="?",
        )
        copied = clone(model.fit(X_train, y_train))
        assert not hasattr(copied, "net_")
        with pytest.raises(NotFittedError):
            copied.predict(X_test)
        np.testing.assert_array_equal(
            copied.fit(X_train, y_train).decision_function(X_test),
            model.decision_function(X_test),
        )

    def test_repr(self):
        model = SiamesePairClassifier(
            8, architecture="two_channel", loss=TripletLoss(margin=0.3)
        )
        assert repr(model) == (
            "SiamesePairClassifier(architecture='two_channel', "
            "loss=TripletLoss(margin=0.3),\n"
            "                      n_components=8)"
        )
        assert "TripletLoss" in model._repr_html_()


CV = StratifiedKFold(2, shuffle=True, random_state=0)


@pytest.fixture(params=["rows", "pairs"])
def kind_of_data(request, halves):
    """All rows and their classes, or pairs of them and which are the same."""
    X, y = np.concatenate(halves[:2]), np.concatenate(halves[2:])
    return (
        (X, y)
        if request.param == "rows"
        else make_pairs(X, y, n_pairs=200, random_state=0)
    )


class TestInScikitLearn:
    @pytest.mark.slow
    def test_grid_search(self, kind_of_data):
        X, y = kind_of_data
        small = MLPTower(hidden_layer_sizes=(8,))
        grid = [
            {
                "loss": ["contrastive", "hinge"],
                "margin": [0.5, 1.0],
                "head": [None, "difference"],
                "architecture": ["siamese", "pseudo_siamese"],
                "tower": [small],
            },
            {
                "architecture": ["two_channel"],
                "loss": ["binary_cross_entropy", "hinge"],
                "margin": [0.5, 1.0],
                "tower": [small],
            },
            {"tower": [MLPTower()], "tower__hidden_layer_sizes": [(4,), (16, 8)]},
        ]
        search = GridSearchCV(
            quick_classifier(max_epochs=2, lr=0.01), grid, cv=CV, error_score="raise"
        ).fit(X, y)
        scores = search.cv_results_["mean_test_score"]
        assert len(scores) == 16 + 4 + 2
        assert 0.75 < scores.max() <= 1
        assert len(np.unique(scores)) > 5  # what is searched makes a difference
        assert search.best_score_ == scores.max()
        assert search.predict(X).shape == y.shape

    @pytest.mark.slow
    def test_cross_val_predict(self, kind_of_data):
        X, y = kind_of_data
        model = quick_classifier(max_epochs=15, lr=3e-3)
        answer, probability = (
            cross_val_predict(model, X, y, cv=CV, method=method)
            for method in ("predict", "predict_proba")
        )
        assert np.mean(answer == y) > 0.8
        np.testing.assert_array_equal(probability.argmax(axis=1), answer)
        assert (cross_val_score(model, X, y, cv=CV) > 0.8).all()

    @pytest.mark.slow
    @pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss", "f1"])
    def test_scoring_of_verification_by_name(self, halves, scoring):
        pairs, same = make_pairs(halves[0], halves[2], random_state=0)
        scores = cross_val_score(
            quick_classifier(max_epochs=15, lr=3e-3),
            pairs,
            same,
            cv=CV,
            scoring=scoring,
        )
        assert (
            scores > {"roc_auc": 0.85, "neg_log_loss": -0.69, "f1": 0.7}[scoring]
        ).all()

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "scoring", ["roc_auc_ovr", "neg_log_loss", "balanced_accuracy"]
    )
    def test_scoring_of_identification_by_name(self, halves, scoring):
        scores = cross_val_score(
            quick_classifier(max_epochs=15, lr=3e-3),
            halves[0],
            halves[2],
            cv=CV,
            scoring=scoring,
        )
        assert (
            scores
            > {"roc_auc_ovr": 0.9, "neg_log_loss": -1.09, "balanced_accuracy": 0.8}[
                scoring
            ]
        ).all()

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
    def test_calibrated_classifier(self, kind_of_data, method):
        X, y = kind_of_data
        model = CalibratedClassifierCV(
            quick_classifier(max_epochs=15, lr=3e-3), method=method, cv=CV
        ).fit(X, y)
        probability = model.predict_proba(X)
        assert probability.shape == (len(y), len(np.unique(y)))
        np.testing.assert_allclose(probability.sum(axis=1), 1)
        assert np.mean(model.predict(X) == y) > 0.8

    @pytest.mark.slow
    def test_calibrated_classifier_of_a_fitted_model(self, kind_of_data):
        X, y = kind_of_data
        model = quick_classifier(max_epochs=15, lr=3e-3).fit(X, y)
        calibrated = CalibratedClassifierCV(FrozenEstimator(model)).fit(X, y)
        assert np.mean(calibrated.predict(X) == y) > 0.8

    @pytest.mark.slow
    def test_tuned_threshold(self, kind_of_data):
        """Two species, or two kinds of pairs."""
        X, y = kind_of_data
        few = np.flatnonzero(y < 2)
        X, y = X[few], y[few]
        model = TunedThresholdClassifierCV(
            quick_classifier(max_epochs=15, lr=3e-3), scoring="f1", cv=CV
        ).fit(X, y)
        assert np.mean(model.predict(X) == y) > 0.8
        assert 0 < model.best_threshold_ < 1
