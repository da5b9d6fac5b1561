"""SiameseEmbedder: what it learns, by itself and in scikit-learn's tools."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models import quick
from siamese_sklearn import MLPTower, SiameseEmbedder, TripletLoss
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.metrics import map_at_r

SPLIT = {"test_size": 0.5, "random_state": 0}


class TestLearning:
    @pytest.mark.slow
    def test_digits_with_the_defaults(self):
        X, y = load_digits(return_X_y=True)
        X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, **SPLIT)
        model = make_pipeline(
            StandardScaler(), SiameseEmbedder(random_state=0), KNeighborsClassifier()
        ).fit(X_train, y_train)
        assert model.score(X_test, y_test) > 0.965
        assert model[:-1].score(X_test, y_test) > 0.8 > map_at_r(X_test, y_test) + 0.2

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("loss", "mining"),
        [
            (name, mining)
            for name, spec in LOSSES.items()
            for mining in spec.minings or (None,)
        ],
    )
    def test_every_loss_and_mining_beats_the_scaled_features(self, wine, loss, mining):
        X_train, X_test, y_train, y_test = wine
        scaled = map_at_r(StandardScaler().fit(X_train).transform(X_test), y_test)
        embedder = quick(loss=loss, mining=mining, max_epochs=20).fit(X_train, y_train)
        assert embedder.score(X_test, y_test) > scaled + 0.04
        assert embedder.history_[-1, "train_loss"] < embedder.history_[0, "train_loss"]

    def test_score_is_map_at_r_of_the_embeddings(self, wine):
        X_train, X_test, y_train, y_test = wine
        embedder = quick(loss="triplet").fit(X_train, y_train)
        assert embedder.score(X_test, y_test) == map_at_r(
            embedder.transform(X_test), y_test
        )

    def test_score_takes_the_distance_of_the_loss(self, wine):
        X_train, X_test, y_train, y_test = wine
        embedder = quick(distance="manhattan", normalize=False, n_components=3).fit(
            X_train, y_train
        )
        Z = embedder.transform(X_test)
        assert (
            embedder.score(X_test, y_test)
            == map_at_r(Z, y_test, distance="manhattan")
            != map_at_r(Z, y_test)
        )

    def test_imbalanced_classes_and_a_singleton(self, wine):
        X_train, X_test, y_train, y_test = wine
        rows = np.concatenate(
            [
                np.flatnonzero(y_train == label)[:n]
                for label, n in enumerate((29, 10, 1))
            ]
        )
        embedder = quick(max_epochs=20).fit(X_train[rows], y_train[rows])
        assert embedder.classes_.tolist() == [0, 1, 2]
        common = y_test < 2
        neighbors = KNeighborsClassifier(1).fit(
            embedder.transform(X_train[rows]), y_train[rows]
        )
        assert neighbors.score(embedder.transform(X_test[common]), y_test[common]) > 0.9

    @pytest.mark.slow
    def test_one_component_is_a_line_and_learns(self, wine):
        X_train, X_test, y_train, y_test = wine
        embedder = quick(n_components=1, max_epochs=30).fit(X_train, y_train)
        assert len(np.unique(np.abs(embedder.transform(X_test)))) > 50
        assert embedder.score(X_test, y_test) > 0.7

    @pytest.mark.parametrize("normalize", [True, False])
    def test_unit_norm(self, wine, normalize):
        X_train, X_test, y_train, _ = wine
        Z = (
            quick(normalize=normalize, n_components=5)
            .fit(X_train, y_train)
            .transform(X_test)
        )
        assert Z.shape == (89, 5)
        assert np.allclose(np.linalg.norm(Z, axis=1), 1, atol=1e-5) == normalize

    def test_fit_transform_is_fit_and_transform(self, wine):
        X_train, _, y_train, _ = wine
        np.testing.assert_array_equal(
            quick().fit_transform(X_train, y_train),
            quick().fit(X_train, y_train).transform(X_train),
        )

    def test_history_has_a_row_per_epoch(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick(max_epochs=4).fit(X_train, y_train)
        assert embedder.n_iter_ == len(embedder.history_) == 4
        for name in ("train_loss", "n_active", "spread", "dur"):
            figures = embedder.history_[:, name]
            assert np.isfinite(figures).all()
            assert min(figures) > 0


class TestInScikitLearn:
    def test_pipeline(self, wine):
        X_train, X_test, y_train, y_test = wine
        model = make_pipeline(
            StandardScaler(), quick(max_epochs=15), KNeighborsClassifier()
        )
        assert model.fit(X_train, y_train).score(X_test, y_test) > 0.92

    @pytest.mark.slow
    def test_cross_validation_scores_without_a_scorer(self, wine):
        X_train, _, y_train, _ = wine
        scores = cross_val_score(
            quick(max_epochs=10), X_train, y_train, cv=StratifiedKFold(3)
        )
        assert (scores > 0.7).all()

    @pytest.mark.slow
    def test_search_gives_the_same_scores_with_any_number_of_jobs(self, wine):
        X_train, _, y_train, _ = wine
        grid = [
            {"loss": ["contrastive", "triplet", "exponential"], "margin": [0.2, 1.0]},
            {"tower__hidden_layer_sizes": [(8,), (16, 8)], "loss__margin": [0.1, 0.4]},
        ]
        results = [
            GridSearchCV(
                quick(tower=MLPTower(), loss=TripletLoss()),
                grid,
                cv=StratifiedKFold(2),
                n_jobs=n_jobs,
            ).fit(X_train, y_train)
            for n_jobs in (1, 2)
        ]
        first, second = (search.cv_results_["mean_test_score"] for search in results)
        np.testing.assert_array_equal(first, second)
        assert len(np.unique(first)) >= 8  # margins, losses and sizes make a difference
        assert results[0].best_params_ == results[1].best_params_
        assert results[0].best_estimator_.transform(X_train).shape == (89, 32)
