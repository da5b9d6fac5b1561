"""Scorers of identification: of classifiers, with strangers in `y` and without."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models import quick_classifier
from siamese_sklearn import PairTransformer, make_pairs
from siamese_sklearn.metrics import (
    cmc_curve,
    fnir,
    fnir_at_fpir,
    fpir,
    make_neg_fnir_at_fpir_scorer,
    neg_fnir_at_fpir_scorer,
    neg_fnir_scorer,
    neg_fpir_scorer,
    rank_1_identification_scorer,
)

AT_THRESHOLD = {
    "neg_fpir": (neg_fpir_scorer, lambda y, s, t, c: -fpir(y, s, t, classes=c)),
    "neg_fnir": (neg_fnir_scorer, lambda y, s, t, c: -fnir(y, s, t, classes=c)),
}
WITHOUT_THRESHOLD = {
    "neg_fnir_at_fpir": (
        neg_fnir_at_fpir_scorer,
        lambda y, s, t, c: -fnir_at_fpir(y, s, 0.01, classes=c),
    ),
    "neg_fnir_at_fpir_0.2": (
        make_neg_fnir_at_fpir_scorer(0.2),
        lambda y, s, t, c: -fnir_at_fpir(y, s, 0.2, classes=c),
    ),
    "rank_1": (
        rank_1_identification_scorer,
        lambda y, s, t, c: cmc_curve(y, s, classes=c)[0],
    ),
}
SCORERS = {**AT_THRESHOLD, **WITHOUT_THRESHOLD}
each_scorer = pytest.mark.parametrize("name", list(SCORERS))


@pytest.fixture(scope="module")
def door():
    """A model that has enrolled digits 0 to 5, and rows of 0 to 7."""
    X, y = load_digits(return_X_y=True)
    X, y = X[y < 8].astype(np.float32), y[y < 8]
    train = np.flatnonzero(y < 6)[:300]
    classifier = quick_classifier(n_components=8).fit(X[train], y[train])
    return classifier, X[-300:], y[-300:]


def test_door_has_both_kinds_of_searches(door):
    classifier, _, y = door
    assert np.isin(y, classifier.classes_).sum() > 200
    assert (y > 5).sum() > 50


@each_scorer
def test_scorer_measures_what_decision_function_returns(name, door):
    classifier, X, y = door
    scorer, measure = SCORERS[name]
    scores = classifier.decision_function(X)
    for threshold in (classifier.threshold_, np.median(scores.max(axis=1))):
        moved = copy.deepcopy(classifier)
        moved.set_threshold(threshold, task="identification")
        expected = measure(y, scores, threshold, classifier.classes_)
        assert scorer(moved, X, y) == pytest.approx(expected)
    assert pickle.loads(pickle.dumps(scorer))(classifier, X, y) == scorer(
        classifier, X, y
    )


@pytest.mark.parametrize("name", list(AT_THRESHOLD))
def test_threshold_is_that_of_predict(name, door):
    """Named, as `predict` names: a stranger, or nobody and the wrong one."""
    classifier, X, y = door
    scores = classifier.decision_function(X)
    strict = copy.deepcopy(classifier).set_params(unknown_label=-1)
    strict.set_threshold(np.median(scores.max(axis=1)), task="identification")
    answer, enrolled = strict.predict(X), y < 6
    expected = {
        "neg_fpir": -np.mean(answer[~enrolled] != -1),
        "neg_fnir": -np.mean(answer[enrolled] != y[enrolled]),
    }[name]
    assert -1 < expected < 0
    assert AT_THRESHOLD[name][0](strict, X, y) == pytest.approx(expected, abs=0.01)


def test_threshold_for_identification_comes_first(door):
    classifier, X, y = door
    classifier = copy.deepcopy(classifier).set_threshold(1e6, task="identification")
    assert neg_fpir_scorer(classifier, X, y) == 0.0
    assert neg_fnir_scorer(classifier, X, y) == -1.0


@each_scorer
def test_without_strangers_each_row_is_one_for_the_other_classes(name, door):
    classifier, X, y = door
    X, y = X[y < 6], y[y < 6]
    scorer, measure = SCORERS[name]
    scores, classes = classifier.decision_function(X), classifier.classes_
    others = np.where(y[:, None] == classes, -1e6, scores)
    expected = measure(
        np.append(y, np.full(len(y), 99)),
        np.append(scores, others, axis=0),
        classifier.identification_threshold_,
        classes,
    )
    assert scorer(classifier, X, y) == pytest.approx(expected)


@pytest.mark.parametrize("n_enrolled", [1, 2])
@each_scorer
def test_few_classes(name, n_enrolled, door):
    """With two classes, `decision_function` returns a difference; the scorers use the
    scores.
    """
    classifier, X, y = door
    scorer, measure = SCORERS[name]
    few = copy.deepcopy(classifier).forget(np.arange(n_enrolled, 6))
    scores = classifier.decision_function(X)[:, :n_enrolled]
    expected = measure(y, scores, few.identification_threshold_, few.classes_)
    assert scorer(few, X, y) == pytest.approx(expected)


def test_one_class_without_strangers(door):
    classifier, X, y = door
    one = copy.deepcopy(classifier).forget(np.arange(1, 6))
    assert rank_1_identification_scorer(one, X[y == 0], y[y == 0]) == 1.0
    with pytest.raises(ValueError, match="must contain strangers"):
        neg_fpir_scorer(one, X[y == 0], y[y == 0])


@pytest.mark.slow
@each_scorer
def test_scorer_takes_a_pipeline(name, door):
    classifier, X, y = door
    train = np.flatnonzero(y < 6)
    pipeline = make_pipeline(PairTransformer(StandardScaler()), quick_classifier()).fit(
        X[train], y[train]
    )
    scorer, measure = SCORERS[name]
    expected = measure(
        y,
        pipeline.decision_function(X),
        pipeline[-1].identification_threshold_,
        pipeline.classes_,
    )
    assert scorer(pipeline, X, y) == pytest.approx(expected)
    assert scorer(make_pipeline(classifier), X, y) == scorer(classifier, X, y)


@pytest.mark.slow
def test_scorers_serve_cross_validation_and_a_search(iris):
    X, y = iris
    scoring = {name: scorer for name, (scorer, _) in SCORERS.items()}
    cv = StratifiedKFold(2)
    results = cross_validate(
        quick_classifier(), X, y, scoring=scoring, cv=cv, error_score="raise"
    )
    for name in SCORERS:
        low = 0.0 if name == "rank_1" else -1.0
        values = results[f"test_{name}"]
        assert ((values >= low) & (values <= low + 1)).all()
    search = GridSearchCV(
        quick_classifier(),
        {"lr": [1e-5, 1e-2]},
        scoring=neg_fnir_at_fpir_scorer,
        cv=cv,
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ == search.cv_results_["mean_test_score"].max() <= 0


@pytest.mark.slow
def test_folds_with_strangers_that_training_has_not_seen(door):
    """Tested on every other row of the classes trained on, and on a class left out."""
    _, X, y = door
    folds = [
        (
            np.flatnonzero((y != stranger) & (np.arange(len(y)) % 2 == 0)),
            np.flatnonzero((y == stranger) | (np.arange(len(y)) % 2 == 1)),
        )
        for stranger in (6, 7)
    ]
    results = cross_validate(
        quick_classifier(n_components=8),
        X,
        y,
        scoring={"fnir": neg_fnir_at_fpir_scorer, "fpir": neg_fpir_scorer},
        cv=folds,
        error_score="raise",
        return_estimator=True,
    )
    for i, (_, test) in enumerate(folds):
        fitted = results["estimator"][i]
        assert len(fitted.classes_) == 7
        scores = fitted.decision_function(X[test])
        expected = -fnir_at_fpir(y[test], scores, classes=fitted.classes_)
        assert results["test_fnir"][i] == pytest.approx(expected)


@pytest.mark.slow
def test_folds_of_strangers_alone_are_refused(iris):
    X, y = iris
    with pytest.raises(ValueError, match="must contain mated searches"):
        cross_validate(
            quick_classifier(max_epochs=1),
            X,
            y,
            groups=y,
            cv=GroupKFold(3),
            scoring=neg_fnir_at_fpir_scorer,
            error_score="raise",
        )


@pytest.mark.parametrize("name", list(WITHOUT_THRESHOLD))
def test_other_classifiers_serve_where_no_threshold_is_needed(name, iris):
    X, y = iris
    classifier = LogisticRegression(max_iter=500).fit(X, y)
    scorer, measure = WITHOUT_THRESHOLD[name]
    y = np.where(np.arange(len(y)) % 2 == 0, y, -1)  # every other row is a stranger's
    expected = measure(y, classifier.decision_function(X), None, classifier.classes_)
    assert scorer(classifier, X, y) == pytest.approx(expected)


class TestErrors:
    @pytest.mark.parametrize("name", list(AT_THRESHOLD))
    def test_classifier_without_threshold(self, name, iris):
        X, y = iris
        classifier = LogisticRegression(max_iter=500).fit(X, y)
        with pytest.raises(
            TypeError,
            match=r"LogisticRegression has no threshold.*Use neg_fnir_at_fpir_scorer",
        ):
            SCORERS[name][0](classifier, X, y)

    @each_scorer
    def test_other_classifier_with_two_classes(self, name, iris):
        X, y = iris
        classifier = LogisticRegression().fit(X[:100], y[:100])
        classifier.threshold_ = 0.0
        with pytest.raises(ValueError, match=r"got \(150,\)\. With two enrolled"):
            SCORERS[name][0](classifier, X, y)
        with pytest.raises(ValueError, match=r"got \(100,\)\. With two enrolled"):
            SCORERS[name][0](classifier, X[:100], y[:100])

    @each_scorer
    def test_transformer(self, name, iris):
        X, y = iris
        with pytest.raises(TypeError, match="PCA has no `decision_function`"):
            SCORERS[name][0](PCA(2).fit(X), X, y)

    @each_scorer
    def test_pairs(self, name, door):
        classifier, X, y = door
        with pytest.raises(TypeError, match=r"measured on rows; got Pairs\. Pass rows"):
            SCORERS[name][0](classifier, *make_pairs(X, y, n_pairs=10))

    @each_scorer
    def test_y_of_another_length(self, name, door):
        classifier, X, y = door
        with pytest.raises(ValueError, match="`y_true` must have one label per row"):
            SCORERS[name][0](classifier, X, y[:-1])
        with pytest.raises(ValueError, match="`y_true` must have one label per row"):
            SCORERS[name][0](classifier, X, np.zeros(3, dtype=int))

    @each_scorer
    def test_nothing_enrolled_or_fitted(self, name, door):
        _, X, y = door
        scorer, _ = SCORERS[name]
        with pytest.raises(NotFittedError):
            scorer(quick_classifier(), X, y)
        pairs, same = make_pairs(X, y, n_pairs=60, random_state=0)
        classifier = quick_classifier(max_epochs=1).fit(pairs, same)
        with pytest.raises(ValueError, match="Nothing is enrolled"):
            scorer(classifier, X, y)
