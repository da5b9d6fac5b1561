"""SiamesePairClassifier: scores of pairs, and what is answered from them."""

import math
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models import CONFIGURATIONS, quick_classifier
from siamese_sklearn import Pairs, PairTransformer, Triplets, make_pairs

ONE_SIDED = ["two towers", "two towers, product head"]


def is_logit(name):
    return name.endswith(("difference head", "product head", "two channels"))


def embeddings_of(model, pairs):
    """Both sides' embeddings in float64, each by its own tower."""
    network = model.net_.module_.eval()
    with torch.no_grad():
        return [
            network.embed(torch.from_numpy(side), number).double().numpy()
            for number, side in enumerate(pairs.sides)
        ]


def naive_score(name, model, pairs):
    """Score of each pair by the formula of its configuration, in float64."""
    if name == "two channels":
        network = model.net_.module_.eval()
        left, right = (torch.from_numpy(side) for side in pairs.sides)
        with torch.no_grad():
            both = [
                network.tower(torch.cat(order, dim=1))
                for order in ((left, right), (right, left))
            ]
        return ((both[0] + both[1]) / 2).squeeze(1).double().numpy()
    a, b = embeddings_of(model, pairs)
    difference, head = np.abs(a - b), getattr(model.net_.criterion_, "head", None)
    weights = (
        {}
        if head is None
        else {key: w.detach().double().numpy() for key, w in head.named_parameters()}
    )
    if name == "difference head":
        return difference @ weights["weight"] + weights["bias"]
    if name.endswith("product head"):
        hidden = (
            np.concatenate([difference, a * b], axis=1) @ weights["hidden.weight"].T
        )
        hidden = np.maximum(hidden + weights["hidden.bias"], 0)
        return hidden @ weights["output.weight"][0] + weights["output.bias"][0]
    if name == "manhattan":
        return -difference.sum(axis=1)
    if name == "cosine":
        return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(
            b, axis=1
        ) - 1
    return -np.sqrt((difference**2).sum(axis=1))


class TestScores:
    def test_scores_are_those_of_the_formula(self, configuration, model, pairs):
        pairs, _ = pairs
        score = model.pair_score(pairs)
        assert score.dtype == np.float32
        np.testing.assert_allclose(
            score, naive_score(configuration, model, pairs), atol=2e-5
        )
        assert len(np.unique(score)) > 60

    def test_distance_falls_as_the_score_rises(self, configuration, model, pairs):
        pairs, _ = pairs
        score, distance = model.pair_score(pairs), model.pair_distance(pairs)
        by_hand = [
            -math.log(1 / (1 + math.exp(-s))) if is_logit(configuration) else -s
            for s in score
        ]
        np.testing.assert_allclose(distance, by_hand, rtol=1e-5, atol=1e-6)
        assert distance.dtype == np.float32
        assert distance.min() >= 0

    def test_sides_can_be_swapped_unless_each_has_its_own_tower(
        self, configuration, model, pairs
    ):
        pairs, _ = pairs
        score, swapped = (
            model.pair_score(p) for p in (pairs, Pairs(pairs.right, pairs.left))
        )
        assert np.allclose(score, swapped, atol=1e-5) == (
            configuration not in ONE_SIDED
        )

    def test_answers_follow_from_score_and_threshold(self, model, pairs):
        pairs, _ = pairs
        score, answer, decision = (
            model.pair_score(pairs),
            model.predict(pairs),
            model.decision_function(pairs),
        )
        assert answer.tolist() == [int(float(s) >= model.threshold_) for s in score]
        np.testing.assert_array_equal(
            decision, [float(s) - model.threshold_ for s in score]
        )
        assert answer.dtype == np.int64
        assert set(answer.tolist()) == {0, 1}

    def test_probabilities(self, model, pairs):
        """Columns different and same; they sum to one, rise with the score and turn at
        the threshold.
        """
        pairs, _ = pairs
        score, probability = model.pair_score(pairs), model.predict_proba(pairs)
        assert probability.shape == (len(pairs), 2)
        np.testing.assert_allclose(probability.sum(axis=1), 1)
        order = np.argsort(score)
        assert (np.diff(probability[order, 1]) >= 0).all()
        np.testing.assert_array_equal(probability.argmax(axis=1), model.predict(pairs))
        np.testing.assert_array_equal(
            probability[:, 1] >= 0.5, score >= model.threshold_
        )

    def test_accuracy_is_the_score(self, model, pairs):
        pairs, same = pairs
        right = [int(a == b) for a, b in zip(model.predict(pairs), same, strict=True)]
        assert model.score(pairs, same) == pytest.approx(sum(right) / len(right))
        weight = np.arange(len(right))
        assert model.score(pairs, same, weight) == pytest.approx(
            weight @ right / weight.sum()
        )

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "configuration",
        [name for name in CONFIGURATIONS if not (name in ONE_SIDED or is_logit(name))],
    )
    def test_a_row_is_the_same_as_itself_and_nothing_is_nearer(self, model, halves):
        X = halves[1]
        np.testing.assert_array_equal(model.pair_distance(Pairs(X, X)), 0)
        assert model.predict(Pairs(X, X)).all()

    @pytest.mark.parametrize("n", [1, 2])
    def test_few_pairs(self, model, pairs, n):
        pairs, _ = pairs
        np.testing.assert_allclose(
            model.pair_score(pairs[:n]), model.pair_score(pairs)[:n], atol=1e-5
        )
        assert model.predict_proba(pairs[:n]).shape == (n, 2)


class TestMetric:
    def test_metric_is_the_pair_distance(self, model, pairs):
        pairs, _ = pairs
        metric = model.get_metric()
        found = [metric(pairs.left[i], pairs.right[i]) for i in range(8)]
        assert all(isinstance(d, float) for d in found)
        np.testing.assert_allclose(found, model.pair_distance(pairs[:8]), atol=1e-5)

    @pytest.mark.slow
    def test_metric_keeps_the_model_of_its_moment(self, model, halves):
        X_train, X_test, y_train, _ = halves
        metric = model.get_metric()
        before = metric(X_test[0], X_test[40])
        model.partial_fit(X_train, y_train)
        model.set_params(random_state=1).fit(X_train, y_train)
        assert (
            metric(X_test[0], X_test[40])
            == before
            != model.get_metric()(X_test[0], X_test[40])
        )
        assert pickle.loads(pickle.dumps(metric))(X_test[0], X_test[40]) == before

    def test_neighbors_by_the_metric(self, halves):
        X_train, X_test, y_train, _ = halves
        frame = pd.DataFrame(X_train, columns=list("abcd"))
        model = quick_classifier().fit(frame, y_train)
        found = KNeighborsClassifier(
            2, metric=model.get_metric(), algorithm="brute"
        ).fit(X_train[:9], range(9))
        wanted = KNeighborsClassifier(2).fit(model.transform(frame[:9]), range(9))
        queries = X_test[:3]
        np.testing.assert_array_equal(
            found.kneighbors(queries, return_distance=False),
            wanted.kneighbors(
                model.transform(pd.DataFrame(queries, columns=list("abcd"))),
                return_distance=False,
            ),
        )

    def test_metric_of_two_kinds_of_rows_takes_plain_ones(self, halves):
        """Names that each side was fitted with are not asked for, and are not lost
        either.
        """
        X = halves[0][:40]
        left, right = (
            pd.DataFrame(X, columns=list("abcd")),
            pd.DataFrame(X[:, :2], columns=list("xy")),
        )
        model = quick_classifier(architecture="pseudo_siamese").fit(
            Pairs(left, right), np.arange(40) % 2
        )
        distance = model.get_metric()(X[0], X[0, :2])
        assert distance == pytest.approx(
            model.pair_distance(Pairs(left[:1], right[:1]))[0], abs=1e-6
        )
        with pytest.raises(ValueError, match="feature names"):
            model.pair_distance(Pairs(left[:1], right[["y", "x"]][:1]))


class TestBadPairs:
    def test_sides_of_different_length(self, halves):
        with pytest.raises(
            ValueError, match="the same number of rows; `left` has 75, `right` has 74"
        ):
            Pairs(halves[0], halves[1][:74])

    @pytest.mark.parametrize(
        ("same", "message"),
        [
            ([0, 1, 2] * 25, r"only 1 \(same\) and 0 \(different\); got \[0, 1, 2\]"),
            ([-1, 1, 1] * 25, r"got \[-1, 1\]. Replace -1 with 0"),
            (
                [1] * 75,
                r"both 1 \(same\) and 0 \(different\); got 1 class: all are same",
            ),
            ([0] * 75, "got 1 class: all are different"),
            ([0, 1] * 30, "same number of rows; got 75 in `X` and 60 in `y`"),
            (None, "Pairs require `y`: 1 for pairs that are the same, .*; got None"),
        ],
    )
    def test_bad_same(self, halves, same, message):
        with pytest.raises(ValueError, match=message):
            quick_classifier().fit(Pairs(halves[0], halves[1]), same)

    def test_wrong_shape_of_a_side(self, model, halves):
        X = halves[0]
        with pytest.raises(
            ValueError, match=r"Pairs.left: X has 3 features, but \w+ is expecting 4"
        ):
            model.predict(Pairs(X[:, :3], X))
        with pytest.raises(
            ValueError, match=r"Pairs.right: X has 5 features, but \w+ is expecting 4"
        ):
            model.predict(Pairs(X, np.hstack([X, X[:, :1]])))
        with pytest.raises(ValueError, match=r"Pairs.right: Input X contains NaN"):
            model.predict(Pairs(X, np.full_like(X, np.nan)))

    def test_sides_that_differ_need_two_towers(self, halves):
        X = halves[0]
        with pytest.raises(ValueError, match=r"Pairs.right: X has 2 features"):
            quick_classifier().fit(Pairs(X, X[:, :2]), np.arange(75) % 2)

    @pytest.mark.parametrize(
        "method", ["predict", "decision_function", "predict_proba", "pair_score"]
    )
    def test_triplets_are_no_pairs(self, models, halves, method):
        X = halves[0]
        with pytest.raises(TypeError, match=r"Pairs\(left, right\); got Triplets"):
            getattr(models("contrastive"), method)(Triplets(X, X, X))

    def test_rows_have_no_pair_score(self, models, halves):
        with pytest.raises(TypeError, match=r"Pairs\(left, right\); got ndarray"):
            models("contrastive").pair_score(halves[0])

    def test_fit_takes_no_triplets(self, halves):
        X = halves[0]
        with pytest.raises(
            TypeError,
            match=r"`X` must be rows or Pairs; got Triplets\. Use SiameseEmbedder",
        ):
            quick_classifier().fit(Triplets(X, X, X))


class TestPipeline:
    @pytest.mark.slow
    def test_one_scaler_for_rows_and_for_both_sides_of_pairs(self, halves, pairs):
        X_train, X_test, y_train, y_test = halves
        pairs, same = pairs
        pipeline = make_pipeline(
            PairTransformer(StandardScaler()), quick_classifier(max_epochs=15, lr=3e-3)
        )
        pipeline.fit(X_train, y_train)
        scaler = StandardScaler().fit(X_train)
        model = quick_classifier(max_epochs=15, lr=3e-3).fit(
            scaler.transform(X_train), y_train
        )
        np.testing.assert_array_equal(
            pipeline.predict(X_test), model.predict(scaler.transform(X_test))
        )
        np.testing.assert_array_equal(
            pipeline.predict(pairs), model.predict(pairs.map(scaler.transform))
        )
        np.testing.assert_array_equal(
            pipeline.predict_proba(pairs),
            model.predict_proba(pairs.map(scaler.transform)),
        )
        assert pipeline.score(X_test, y_test) > 0.9
        assert pipeline.score(pairs, same) > 0.8

    def test_fitted_on_pairs(self, halves, pairs):
        pairs, same = pairs
        pipeline = make_pipeline(
            PairTransformer(StandardScaler()), quick_classifier(max_epochs=15, lr=3e-3)
        )
        train_pairs, train_same = make_pairs(halves[0], halves[2], random_state=0)
        assert pipeline.fit(train_pairs, train_same).score(pairs, same) > 0.8
