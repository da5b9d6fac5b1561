"""Scorers: of embedders and classifiers, of rows and pairs."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models import quick_classifier
from siamese_sklearn import (
    Pairs,
    PairTransformer,
    SiameseEmbedder,
    SiamesePairClassifier,
    make_pairs,
    metrics,
)
from siamese_sklearn.metrics import (
    eer,
    make_tar_at_far_scorer,
    map_at_r,
    map_at_r_scorer,
    neg_eer_scorer,
    pair_scores,
    r_precision,
    r_precision_scorer,
    recall_at_1_scorer,
    recall_at_k,
    tar_at_far,
    tar_at_far_scorer,
    verification_auc_scorer,
)

SCORERS = {
    "map_at_r": (map_at_r_scorer, map_at_r),
    "r_precision": (r_precision_scorer, r_precision),
    "recall_at_1": (recall_at_1_scorer, recall_at_k),
    "auc": (verification_auc_scorer, lambda z, y: roc_auc_score(*pair_scores(z, y))),
    "neg_eer": (neg_eer_scorer, lambda z, y: -eer(*pair_scores(z, y))),
    "tar_at_far": (
        tar_at_far_scorer,
        lambda z, y: tar_at_far(*pair_scores(z, y), far=0.01),
    ),
    "tar_at_far_0.1": (
        make_tar_at_far_scorer(0.1),
        lambda z, y: tar_at_far(*pair_scores(z, y), far=0.1),
    ),
}


@pytest.mark.parametrize("name", list(SCORERS))
def test_scorer_measures_what_transform_returns(name, iris):
    X, y = iris
    pipeline = (
        make_pipeline(StandardScaler(), PCA(2)).set_output(transform="pandas").fit(X)
    )
    scorer, measure = SCORERS[name]
    assert scorer(pipeline, X, y) == pytest.approx(measure(pipeline.transform(X), y))
    assert pickle.loads(pickle.dumps(scorer))(pipeline, X, y) == scorer(pipeline, X, y)


@pytest.mark.parametrize("name", list(SCORERS))
def test_scorer_is_greater_for_better_embeddings(name):
    class Fixed(BaseEstimator):
        def __init__(self, embeddings):
            self.embeddings = embeddings

        def transform(self, X):
            return self.embeddings

    y = np.repeat([0, 1, 2], 5)
    scorer = SCORERS[name][0]
    apart, mixed = (
        Fixed(10.0 * y[:, None]),
        Fixed(np.tile([[0.0], [1.0], [2.0], [3.0], [4.0]], (3, 1))),
    )
    assert scorer(apart, None, y) > scorer(mixed, None, y)


def test_scorers_serve_cross_validation_and_grid_search(iris):
    X, y = iris
    scoring = {name: scorer for name, (scorer, _) in SCORERS.items()}
    cv = StratifiedKFold(3)
    results = cross_validate(
        make_pipeline(StandardScaler(), PCA(2)),
        X,
        y,
        scoring=scoring,
        cv=cv,
        error_score="raise",
    )
    assert all(np.isfinite(results[f"test_{name}"]).all() for name in SCORERS)
    search = GridSearchCV(
        PCA(),
        {"n_components": [1, 2]},
        scoring=neg_eer_scorer,
        cv=cv,
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ == search.cv_results_["mean_test_score"].max() <= 0


@pytest.mark.parametrize(
    "scorer", [verification_auc_scorer, neg_eer_scorer, tar_at_far_scorer]
)
def test_verification_scorers_need_both_kinds_of_pairs(scorer):
    embedder = PCA(1).fit([[0.0], [1.0]])
    with pytest.raises(ValueError, match="both kinds of pairs"):
        scorer(embedder, [[0.0], [1.0]], [0, 0])


@pytest.mark.slow
def test_scorers_draw_the_same_pairs_every_time():
    rng = np.random.default_rng(7)
    # 1.1 million pairs: some are drawn
    X, y = (
        rng.normal(size=(1_500, 2)),
        rng.integers(2, size=1_500),
    )
    embedder = PCA(2).fit(X)
    assert neg_eer_scorer(embedder, X, y) == neg_eer_scorer(embedder, X, y)


VERIFICATION = {
    "auc": (verification_auc_scorer, roc_auc_score),
    "neg_eer": (neg_eer_scorer, lambda same, score: -eer(same, score)),
    "tar_at_far": (
        tar_at_far_scorer,
        lambda same, score: tar_at_far(same, score, far=0.01),
    ),
    "tar_at_far_0.1": (
        make_tar_at_far_scorer(0.1),
        lambda same, score: tar_at_far(same, score, far=0.1),
    ),
}
verification_scorers = pytest.mark.parametrize("name", list(VERIFICATION))


@pytest.mark.slow
@verification_scorers
def test_scorer_of_a_classifier_measures_pairs_made_of_the_rows(name, halves):
    """75 rows, 25 of each class: all of the 3 * 300 same pairs, and as many different
    ones.
    """
    X_train, X_test, y_train, y_test = halves
    classifier = quick_classifier(loss="hinge", head="product").fit(X_train, y_train)
    pairs, same = make_pairs(X_test, y_test, n_pairs=20_000, random_state=0)
    assert (len(same), same.sum()) == (1_800, 900)
    scorer, measure = VERIFICATION[name]
    expected = measure(same, classifier.pair_score(pairs))
    assert scorer(classifier, X_test, y_test) == pytest.approx(expected)
    assert scorer(classifier.set_threshold(7.0), X_test, y_test) == pytest.approx(
        expected
    )


@pytest.mark.slow
@verification_scorers
def test_scorer_of_a_classifier_measures_given_pairs(name, halves):
    X_train, X_test, y_train, y_test = halves
    pairs, same = make_pairs(X_test, y_test, random_state=1)
    scorer, measure = VERIFICATION[name]
    for data in ((X_train, y_train), make_pairs(X_train, y_train, random_state=0)):
        classifier = quick_classifier().fit(*data)
        assert scorer(classifier, pairs, same) == pytest.approx(
            measure(same, classifier.pair_score(pairs))
        )


@verification_scorers
def test_scorer_of_an_embedder_measures_given_pairs(name, halves):
    X_train, X_test, y_train, y_test = halves
    pairs, same = make_pairs(X_test, y_test, random_state=1)
    embedder = SiameseEmbedder(4, max_epochs=4, random_state=0, device="cpu").fit(
        X_train, y_train
    )
    score = [
        -math.dist(*ends)
        for ends in zip(*map(embedder.transform, pairs.sides), strict=True)
    ]
    scorer, measure = VERIFICATION[name]
    assert scorer(embedder, pairs, same) == pytest.approx(
        measure(same, score), abs=1e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rows", "pairs"])
@pytest.mark.parametrize("architecture", ["siamese", "two_channel"])
def test_verification_scorers_serve_a_search_of_classifiers(halves, kind, architecture):
    X, y = halves[0], halves[2]
    X, y = (X, y) if kind == "rows" else make_pairs(X, y, random_state=0)
    scoring = {name: scorer for name, (scorer, _) in VERIFICATION.items()}
    search = GridSearchCV(
        quick_classifier(architecture=architecture, loss="hinge", max_epochs=2),
        {"margin": [0.5, 2.0], "lr": [1e-5, 1e-2]},
        scoring=scoring,
        refit="auc",
        cv=StratifiedKFold(2),
        error_score="raise",
    ).fit(X, y)
    areas = search.cv_results_["mean_test_auc"]
    assert search.best_score_ == areas.max()
    assert len(np.unique(areas)) > 2
    assert ((areas > 0.3) & (areas <= 1)).all()


@pytest.mark.slow
@verification_scorers
def test_scorer_takes_a_pipeline_for_rows_and_pairs(name, halves):
    X_train, X_test, y_train, y_test = halves
    pipeline = make_pipeline(PairTransformer(StandardScaler()), quick_classifier()).fit(
        X_train, y_train
    )
    scaler = StandardScaler().fit(X_train)
    classifier = quick_classifier().fit(scaler.transform(X_train), y_train)
    pairs, same = make_pairs(X_test, y_test, random_state=1)
    scorer, _ = VERIFICATION[name]
    assert scorer(pipeline, X_test, y_test) == scorer(
        classifier, scaler.transform(X_test), y_test
    )
    assert scorer(pipeline, pairs, same) == scorer(
        classifier, pairs.map(scaler.transform), same
    )


@pytest.mark.slow
def test_folds_of_classes_not_seen_in_training():
    """GroupKFold with the classes as groups: no class is in training and test, and
    verification works.
    """
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 8)
    X = (6 * rng.normal(size=(12, 5))[y] + rng.normal(size=(96, 5))).astype(np.float32)
    trained, tested = [], []

    class Spy(SiamesePairClassifier):
        def fit(self, X, y):
            trained.append(set(y.tolist()))
            return super().fit(X, y)

    def scorer(estimator, X, y):
        tested.append(set(y.tolist()))
        return verification_auc_scorer(estimator, X, y)

    Spy.__init__ = SiamesePairClassifier.__init__
    model = Spy(n_components=4, max_epochs=10, random_state=0, device="cpu")
    scores = cross_val_score(model, X, y, groups=y, cv=GroupKFold(3), scoring=scorer)
    assert (scores > 0.8).all()
    assert [len(classes) for classes in tested] == [4, 4, 4]
    assert all(not seen & unseen for seen, unseen in zip(trained, tested, strict=True))


@pytest.mark.parametrize("kind", ["rows", "pairs"])
def test_verification_scorers_of_a_classifier_need_both_kinds_of_pairs(halves, kind):
    X, y = halves[0], halves[2]
    classifier = quick_classifier(max_epochs=1).fit(X, y)
    data = (X, np.zeros(75)) if kind == "rows" else (Pairs(X, X), np.ones(75))
    for scorer, _ in VERIFICATION.values():
        with pytest.raises(ValueError, match=r"both kinds of pairs|at least 2 classes"):
            scorer(classifier, *data)


def test_scorers_of_retrieval_take_a_classifier_with_an_embedding(halves):
    X_train, X_test, y_train, y_test = halves
    classifier = quick_classifier().fit(X_train, y_train)
    assert map_at_r_scorer(classifier, X_test, y_test) == map_at_r(
        classifier.transform(X_test), y_test
    )


def test_all_names_exist():
    assert sorted(metrics.__all__) == list(metrics.__all__)
    assert all(hasattr(metrics, name) for name in metrics.__all__)
