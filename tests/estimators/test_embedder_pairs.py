"""SiameseEmbedder: given pairs and triplets, and distances of pairs."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier

from models import quick
from siamese_sklearn import Pairs, make_pairs, make_triplets
from siamese_sklearn.losses import LOSSES

ON_TUPLES = [name for name, spec in LOSSES.items() if spec.takes_tuples]


class TestPairsAndTriplets:
    @pytest.mark.slow
    @pytest.mark.parametrize("loss", ON_TUPLES)
    def test_every_loss_learns_from_given_pairs(self, scaled, loss):
        X_train, X_test, y_train, y_test = scaled
        pairs, same = make_pairs(X_train, y_train, random_state=0)
        embedder = quick(loss=loss, max_epochs=20).fit(pairs, same)
        assert not hasattr(embedder, "classes_")
        test_pairs, test_same = make_pairs(X_test, y_test, random_state=1)
        assert embedder.score(test_pairs, test_same) > 0.93
        assert embedder.score(X_test, y_test) > 0.75

    @pytest.mark.slow
    @pytest.mark.parametrize("loss", ON_TUPLES)
    def test_every_loss_learns_from_given_triplets(self, scaled, loss):
        X_train, X_test, y_train, y_test = scaled
        embedder = quick(loss=loss, max_epochs=20).fit(
            make_triplets(X_train, y_train, random_state=0)
        )
        test_triplets = make_triplets(X_test, y_test, random_state=1)
        score = embedder.score(test_triplets)
        assert score > 0.93
        Z = embedder.transform(test_triplets)
        near, far = (
            np.linalg.norm(Z.anchor - side, axis=1) for side in (Z.positive, Z.negative)
        )
        assert score == np.mean(near < far)

    @pytest.mark.parametrize("kind", [pd.DataFrame, sparse.csr_array, pl.DataFrame])
    def test_sides_of_every_kind(self, scaled, kind):
        X_train, _, y_train, _ = scaled
        pairs, same = make_pairs(X_train, y_train, random_state=0)
        Z = quick(max_epochs=1).fit(pairs.map(kind), same).transform(pairs.map(kind))
        wanted = quick(max_epochs=1).fit(pairs, same).transform(pairs)
        np.testing.assert_allclose(Z.left, wanted.left, atol=1e-6)
        np.testing.assert_allclose(Z.right, wanted.right, atol=1e-6)

    @pytest.mark.slow
    def test_pairs_of_images(self, digits):
        pairs, same = make_pairs(*digits, random_state=0)
        embedder = quick(max_epochs=6).fit(pairs, same)
        assert embedder.input_shape_ == (8, 8)
        assert embedder.score(pairs, same) > 0.9

    def test_early_stopping(self, scaled):
        X_train, _, y_train, _ = scaled
        pairs, same = make_pairs(X_train, y_train, random_state=0)
        triplets = make_triplets(X_train, y_train, random_state=0)
        for X, y in ((pairs, same), (triplets, None)):
            embedder = quick(early_stopping=True, max_epochs=4).fit(X, y)
            assert 0.5 < max(embedder.history_[:, "valid_score"]) <= 1

    def test_refit_on_pairs_forgets_the_classes(self, scaled):
        X_train, _, y_train, _ = scaled
        embedder = quick(max_epochs=1).fit(X_train, y_train)
        assert not hasattr(
            embedder.fit(*make_pairs(X_train, y_train, random_state=0)), "classes_"
        )

    @pytest.mark.slow
    def test_grid_search(self, scaled):
        pairs, same = make_pairs(scaled[0], scaled[2], random_state=0)
        search = GridSearchCV(
            quick(), {"margin": [0.2, 1.0]}, cv=StratifiedKFold(2)
        ).fit(pairs, same)
        assert (search.cv_results_["mean_test_score"] > 0.7).all()

    @pytest.mark.parametrize(
        ("parameters", "by_hand"),
        [
            ({}, lambda d: np.sqrt((d**2).sum(1))),
            (
                {"loss": "triplet"},
                lambda d: np.sqrt((d**2).sum(1)),
            ),  # the root of its squared distance
            ({"distance": "manhattan"}, lambda d: np.abs(d).sum(1)),
            (
                {"distance": "cosine"},
                lambda d: (d**2).sum(1) / 2,
            ),  # 1 - cos of unit vectors
        ],
    )
    def test_pair_distance_is_that_of_the_loss(self, scaled, parameters, by_hand):
        X_train, X_test, y_train, _ = scaled
        embedder = quick(**parameters).fit(X_train, y_train)
        pairs = Pairs(X_test[:40], X_test[40:80])
        distance = embedder.pair_distance(pairs)
        np.testing.assert_allclose(
            distance,
            by_hand(embedder.transform(pairs.left) - embedder.transform(pairs.right)),
            atol=1e-5,
        )
        assert distance.dtype == np.float32
        np.testing.assert_array_equal(embedder.pair_score(pairs), -distance)

    def test_pair_distance_wants_pairs(self, wine):
        embedder = quick(max_epochs=1).fit(wine[0], wine[2])
        with pytest.raises(
            TypeError, match=r"`pairs` must be Pairs\(left, right\); got ndarray"
        ):
            embedder.pair_distance(wine[0])

    def test_get_metric_is_a_metric_for_neighbors(self, scaled):
        X_train, X_test, y_train, _ = scaled
        names = [f"column {i}" for i in range(13)]
        embedder = quick().fit(pd.DataFrame(X_train, columns=names), y_train)
        metric = embedder.get_metric()
        rows, queries = (
            pd.DataFrame(X_train[:12], columns=names),
            pd.DataFrame(X_test[:4], columns=names),
        )
        found = KNeighborsClassifier(3, metric=metric, algorithm="brute").fit(
            rows, y_train[:12]
        )
        wanted = KNeighborsClassifier(3).fit(embedder.transform(rows), y_train[:12])
        distance, neighbors = found.kneighbors(queries)
        wanted_distance, wanted_neighbors = wanted.kneighbors(
            embedder.transform(queries)
        )
        np.testing.assert_array_equal(neighbors, wanted_neighbors)
        np.testing.assert_allclose(distance, wanted_distance, atol=1e-5)

    def test_get_metric_can_be_pickled(self, scaled):
        X_train, _, y_train, _ = scaled
        metric = quick().fit(X_train, y_train).get_metric()
        assert pickle.loads(pickle.dumps(metric))(X_train[0], X_train[1]) == metric(
            X_train[0], X_train[1]
        )

    def test_get_metric_keeps_the_model_of_its_moment(self, scaled):
        X_train, _, y_train, _ = scaled
        embedder = quick(warm_start=True).fit(X_train, y_train)
        metric = embedder.get_metric()
        before = metric(X_train[0], X_train[1])
        embedder.fit(X_train, y_train)
        assert metric(X_train[0].tolist(), X_train[1].tolist()) == before
        assert embedder.get_metric()(X_train[0], X_train[1]) != before
