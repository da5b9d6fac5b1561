"""SiamesePairClassifier: identification, enrolment, every arrangement of towers, work with scikit-learn."""

import copy
import pickle
import tracemalloc
import warnings

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.preprocessing import StandardScaler
from torch import nn

from siamese_sklearn import (
    CNNTower,
    MLPTower,
    Pairs,
    SiamesePairClassifier,
    TripletLoss,
    make_pairs,
)
from siamese_sklearn._estimators import gallery as _gallery
from siamese_sklearn._estimators import pair_classifier as _pair_classifier
from siamese_sklearn._estimators import verifier as _verifier
from siamese_sklearn.heads import DistanceHead
from siamese_sklearn.losses import BinaryCrossEntropyLoss

CONFIGURATIONS = {
    "contrastive": {"loss": "contrastive"},
    "manhattan": {"loss": "contrastive", "distance": "manhattan", "normalize": False},
    "cosine": {"loss": "contrastive", "distance": "cosine"},
    "distance head": {"loss": "binary_cross_entropy"},
    "difference head": {"loss": "binary_cross_entropy", "head": "difference"},
    "product head": {"loss": "hinge", "head": "product"},
    "two towers": {"architecture": "pseudo_siamese", "loss": "contrastive"},
    "two channels": {"architecture": "two_channel", "loss": "hinge"},
}
ARCHITECTURES = {
    "siamese": {"architecture": "siamese"},
    "pseudo_siamese": {"architecture": "pseudo_siamese"},
    "two_channel": {"architecture": "two_channel", "loss": "hinge"},
}
LEARNING = {"lr": 3e-3, "max_epochs": 20, "n_components": 16}


def quick(**parameters):
    return SiamesePairClassifier(
        **{"n_components": 6, "max_epochs": 3, "random_state": 0, "device": "cpu", **parameters}
    )


@pytest.fixture(scope="module")
def halves(iris):
    """Rows to train on and rows to test on, 75 and 75 of 3 classes."""
    X, y = iris
    return X[::2], X[1::2], y[::2], y[1::2]


@pytest.fixture(scope="module")
def wine():
    """Rows to train on and rows to test on, 89 and 89 of 3 classes, of 13 features as they come."""
    X, y = load_wine(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X.astype(np.float32), y, stratify=y, test_size=0.5, random_state=0
    )
    return X_train, X_test, y_train, y_test


@pytest.fixture(scope="module")
def images(digits):
    """Images to train on and images to test on, 150 and 150 of 10 digits."""
    X, y = digits
    return X[::2], X[1::2], y[::2], y[1::2]


@pytest.fixture(scope="module")
def table(images):
    """Digits as rows of 64 numbers."""
    X_train, X_test, y_train, y_test = images
    return X_train.reshape(-1, 64), X_test.reshape(-1, 64), y_train, y_test


@pytest.fixture(scope="module")
def models(halves):
    """Fitted models by their configuration, made when first asked for; all rows are references."""
    fitted = {}

    def model(name):
        if name not in fitted:
            fitted[name] = quick(**CONFIGURATIONS[name], n_references=None).fit(halves[0], halves[2])
        return copy.deepcopy(fitted[name])

    return model


@pytest.fixture(params=CONFIGURATIONS)
def model(models, request):
    return models(request.param)


def naive_class_scores(model, rows, labels, queries):
    """Best `pair_score` of each query with the rows of each class, by pairing each with each."""
    labels = np.asarray(labels)
    every = Pairs(np.repeat(queries, len(rows), axis=0), np.tile(rows, (len(queries), 1)))
    score = model.pair_score(every).reshape(len(queries), len(rows))
    return np.stack([score[:, labels == label].max(axis=1) for label in sorted(set(labels.tolist()))], axis=1)


def area_of_scaled(X_train, pairs, same):
    """Area under the ROC curve of the distance of scaled features, which needs no training."""
    scaled = pairs.map(StandardScaler().fit(X_train).transform)
    return roc_auc_score(same, -np.linalg.norm(scaled.left - scaled.right, axis=1))


class TestLearning:
    @pytest.mark.parametrize(
        "loss", ["contrastive", "exponential", "binary_cross_entropy", "hinge", "triplet"]
    )
    @pytest.mark.parametrize("kind", ["rows", "pairs"])
    def test_every_loss_learns_from_rows_and_from_pairs(self, wine, loss, kind):
        """Verification beats the distance of the scaled features; by chance half of the pairs are right."""
        X_train, X_test, y_train, y_test = wine
        given = (X_train, y_train) if kind == "rows" else make_pairs(X_train, y_train, random_state=0)
        model = quick(loss=loss, validation_fraction=0.3, **LEARNING).fit(*given)
        pairs, same = make_pairs(X_test, y_test, n_pairs=1000, random_state=1)
        assert roc_auc_score(same, model.pair_score(pairs)) > area_of_scaled(X_train, pairs, same) + 0.07
        assert model.score(pairs, same) > 0.8
        if kind == "rows":
            assert model.score(X_test, y_test) > 0.9
            assert model.classes_.tolist() == [0, 1, 2]
        else:
            assert model.classes_.tolist() == [0, 1]

    @pytest.mark.parametrize("head", ["distance", "difference", "product"])
    def test_every_head_learns(self, wine, head):
        X_train, X_test, y_train, y_test = wine
        model, untrained = (
            quick(**{**LEARNING, "loss": "hinge", "head": head, **parameters}).fit(X_train, y_train)
            for parameters in ({}, {"max_epochs": 1, "lr": 1e-9})
        )
        pairs, same = make_pairs(X_test, y_test, n_pairs=1000, random_state=1)
        assert roc_auc_score(same, model.pair_score(pairs)) > area_of_scaled(X_train, pairs, same) + 0.07
        assert model.score(X_test, y_test) > 0.9
        weights = (each.net_.criterion_.loss.head.parameters() for each in (model, untrained))
        assert not any(torch.equal(*pair) for pair in zip(*weights, strict=True))

    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    @pytest.mark.parametrize("tower", ["mlp", "cnn"])
    def test_every_architecture_learns(self, images, architecture, tower):
        X_train, X_test, y_train, y_test = images
        epochs = {"max_epochs": 40} if architecture == "two_channel" else {}
        model = quick(**{**LEARNING, **epochs, **ARCHITECTURES[architecture], "tower": tower})
        model.fit(X_train, y_train)
        pairs, same = make_pairs(X_test, y_test, random_state=1)
        assert roc_auc_score(same, model.pair_score(pairs)) > 0.85
        assert model.score(X_test, y_test) > 0.75

    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_every_architecture_takes_the_defaults(self, halves, architecture):
        model = SiamesePairClassifier(architecture=architecture, max_epochs=1, random_state=0)
        model.fit(halves[0], halves[2])
        assert model.predict(halves[1]).shape == (75,)
        assert set(model.predict(Pairs(halves[1], halves[1][::-1])).tolist()) <= {0, 1}

    def test_a_two_channel_network_sees_both_images_as_channels(self, images):
        model = quick(**ARCHITECTURES["two_channel"], max_epochs=1).fit(images[0], images[2])
        first = next(layer for layer in model.net_.module_.modules() if isinstance(layer, nn.Conv2d))
        assert first.in_channels == 2

    def test_pseudo_siamese_towers_have_weights_of_their_own(self, halves):
        model = quick(architecture="pseudo_siamese").fit(halves[0], halves[2])
        left, right = model.net_.module_.towers
        shared = [torch.equal(a, b) for a, b in zip(left.parameters(), right.parameters(), strict=True)]
        assert not any(shared[-1:])
        assert not np.allclose(*model.transform(Pairs(halves[1], halves[1])).sides, atol=1e-2)

    def test_one_example_per_class_is_tolerated_beside_others(self, table):
        """Digits 8 and 9 have one image each, and are found by it."""
        X_train, X_test, y_train, y_test = table
        few = np.concatenate([np.flatnonzero(y_train < 8), [np.argmax(y_train == d) for d in (8, 9)]])
        model = quick(**LEARNING).fit(X_train[few], y_train[few])
        assert model.classes_.tolist() == list(range(10))
        assert model.score(X_test[y_test < 8], y_test[y_test < 8]) > 0.8
        assert model.score(X_test[y_test >= 8], y_test[y_test >= 8]) > 0.3  # by chance 0.1
        assert model.predict(X_train[few[-2:]]).tolist() == [8, 9]

    @pytest.mark.parametrize(
        ("given", "wanted"),
        [
            ({"loss": "contrastive", "margin": 0.7, "mining": "hard"}, {"margin": 0.7, "mining": "hard"}),
            ({"loss": TripletLoss(margin=0.1), "distance": "cosine"}, {"margin": 0.1, "distance": "cosine"}),
            ({"loss": "hinge", "margin": 0.4, "mining": "hard"}, {"margin": 0.4, "mining": "hard"}),
            ({"loss": "hinge", "margin": 0.4, **ARCHITECTURES["two_channel"]}, {"margin": 0.4}),
        ],
    )
    def test_margin_distance_and_mining_reach_the_loss(self, halves, given, wanted):
        loss = quick(max_epochs=1, **given).fit(halves[0], halves[2]).net_.criterion_.loss
        assert {name: getattr(loss, name) for name in wanted} == wanted

    @pytest.mark.parametrize(
        ("loss", "head", "kind"),
        [
            ("hinge", None, "DistanceHead"),
            ("hinge", "product", "ProductHead"),
            (BinaryCrossEntropyLoss("product"), None, "ProductHead"),
            (BinaryCrossEntropyLoss("product"), "difference", "DifferenceHead"),
            ("hinge", DistanceHead(6, "cosine"), "DistanceHead"),
        ],
    )
    def test_head_takes_the_place_of_the_one_that_the_loss_has(self, halves, loss, head, kind):
        model = quick(loss=loss, head=head, max_epochs=1).fit(halves[0], halves[2])
        assert type(model.net_.criterion_.loss.head).__name__ == kind

    def test_head_given_is_never_trained(self, halves):
        head = DistanceHead(6)
        before = copy.deepcopy(head.state_dict())
        model = quick(loss="hinge", head=head).fit(halves[0], halves[2])
        assert all(torch.equal(head.state_dict()[name], before[name]) for name in before)
        assert not torch.equal(model.net_.criterion_.loss.head.offset, head.offset)

    @pytest.mark.parametrize(
        "parameters", [{"loss": "contrastive", "head": "product"}, {"loss": "triplet", "head": "difference"}]
    )
    def test_a_loss_without_a_head_leaves_it_unused(self, halves, parameters):
        without = {**parameters, "head": None}
        decisions = [
            quick(**p).fit(halves[0], halves[2]).decision_function(halves[1]) for p in (parameters, without)
        ]
        np.testing.assert_array_equal(*decisions)


class TwoKinds:
    """The 300 digits as photographs (8, 8) and as table rows: the means of lines and columns, (16,)."""

    def __init__(self, digits):
        self.photo, self.y = digits
        self.row = np.hstack([self.photo.mean(axis=1), self.photo.mean(axis=2)])
        self.train, self.test = np.arange(0, 300, 2), np.arange(1, 300, 2)

    def pairs(self, half, seed):
        """Photographs on the left, table rows on the right, and which are of one digit."""
        index, same = make_pairs(half, self.y[half], random_state=seed)
        return Pairs(self.photo[index.left], self.row[index.right]), same


@pytest.fixture(scope="module")
def two_kinds(digits):
    return TwoKinds(digits)


@pytest.fixture(scope="module")
def two_towers(two_kinds):
    """A CNN for photographs and an MLP for table rows."""
    towers = (CNNTower(), MLPTower(hidden_layer_sizes=(32,)))
    model = quick(**LEARNING, architecture="pseudo_siamese", tower=towers)
    return model.fit(*two_kinds.pairs(two_kinds.train, 0))


class TestTwoKindsOfRows:
    def test_they_are_verified(self, two_kinds, two_towers):
        pairs, same = two_kinds.pairs(two_kinds.test, 1)
        assert roc_auc_score(same, two_towers.pair_score(pairs)) > 0.8
        assert two_towers.score(pairs, same) > 0.7
        assert two_towers.input_shape_ == (8, 8)

    def test_table_rows_are_enrolled_and_photographs_are_identified(self, two_kinds, two_towers):
        model, kinds = copy.deepcopy(two_towers), two_kinds
        model.set_params(n_references=None).enroll(kinds.row[kinds.train], kinds.y[kinds.train])
        photos = kinds.photo[kinds.test]
        assert model.score(photos, kinds.y[kinds.test]) > 0.6
        np.testing.assert_allclose(
            model.decision_function(photos[:3]),
            [
                [
                    max(model.pair_score(Pairs(photo[None], row[None]))[0] for row in kinds.row[rows])
                    for rows in (kinds.train[kinds.y[kinds.train] == digit] for digit in range(10))
                ]
                for photo in photos[:3]
            ],
            atol=1e-5,
        )

    def test_transform_embeds_each_side_by_its_tower(self, two_kinds, two_towers):
        pairs, _ = two_kinds.pairs(two_kinds.test, 1)
        Z = two_towers.transform(pairs)
        assert Z.left.shape == Z.right.shape == (len(pairs), 16)
        np.testing.assert_allclose(
            two_towers.pair_distance(pairs), np.linalg.norm(Z.left - Z.right, axis=1), atol=1e-5
        )
        np.testing.assert_allclose(two_towers.transform(pairs.left), Z.left, atol=1e-6)

    def test_a_copy_knows_both_sides(self, two_kinds, two_towers):
        pairs, _ = two_kinds.pairs(two_kinds.test, 1)
        copied = pickle.loads(pickle.dumps(two_towers))
        np.testing.assert_array_equal(copied.pair_score(pairs), two_towers.pair_score(pairs))
        copied.enroll(two_kinds.row[:5], list("abcde"))
        assert copied.predict(two_kinds.photo[:5]).shape == (5,)

    def test_a_side_is_not_taken_for_the_other(self, two_kinds, two_towers):
        photo, row = two_kinds.photo, two_kinds.row
        model = copy.deepcopy(two_towers)
        for call in (
            lambda: model.predict(Pairs(row, photo)),
            lambda: model.pair_score(Pairs(photo, photo)),
            lambda: model.enroll(photo[:1], "a"),
            lambda: model.enroll(row[:1], "a").predict(row),
            lambda: model.transform(row),
        ):
            with pytest.raises(ValueError, match=r"X has \d+ features, but \w+ is expecting \d+"):
                call()

    def test_rows_of_one_kind_are_not_trained_on(self, two_kinds, two_towers):
        model = copy.deepcopy(two_towers)
        pairs, _ = two_kinds.pairs(two_kinds.test, 1)
        before = model.pair_score(pairs)
        with pytest.raises(ValueError, match=r"shape \(8, 8\) and \(16,\).*pass Pairs\(left, right\)"):
            model.partial_fit(two_kinds.photo, two_kinds.y)
        np.testing.assert_array_equal(model.pair_score(pairs), before)

    def test_refit_on_rows_forgets_the_other_kind(self, two_kinds, two_towers):
        model = clone(two_towers).set_params(tower="auto", max_epochs=1)
        model.fit(*two_kinds.pairs(two_kinds.train, 0)).fit(two_kinds.photo, two_kinds.y)
        assert model.predict(Pairs(two_kinds.photo[:4], two_kinds.photo[4:8])).shape == (4,)

    def test_it_is_searched(self, two_kinds):
        pairs, same = two_kinds.pairs(two_kinds.train, 0)
        grid = {"tower": [("cnn", "mlp"), (CNNTower(channels=(4,)), MLPTower(hidden_layer_sizes=(8,)))]}
        search = GridSearchCV(quick(architecture="pseudo_siamese", max_epochs=1), grid, cv=2)
        search.fit(pairs, same)
        assert len(np.unique(search.cv_results_["mean_test_score"])) > 0
        assert search.best_estimator_.predict(pairs).shape == same.shape


class TestIdentification:
    def test_scores_are_those_of_the_best_reference_of_each_class(self, model, halves):
        X_train, X_test, y_train, _ = halves
        queries = X_test[::5]
        naive = naive_class_scores(model, X_train, y_train, queries)
        np.testing.assert_allclose(model.decision_function(queries), naive, atol=1e-5)
        np.testing.assert_array_equal(model.predict(queries), naive.argmax(axis=1))

    def test_probabilities_sum_to_one_and_rank_as_the_decision(self, model, halves):
        X_test = halves[1]
        probability, decision = model.predict_proba(X_test), model.decision_function(X_test)
        assert probability.shape == decision.shape == (75, 3)
        np.testing.assert_allclose(probability.sum(axis=1), 1)
        np.testing.assert_array_equal(probability.argsort(axis=1), decision.argsort(axis=1))
        np.testing.assert_array_equal(probability.argmax(axis=1), model.predict(X_test))
        np.testing.assert_array_equal(decision.argmax(axis=1), model.predict(X_test))
        assert len(np.unique(probability.max(axis=1).round(6))) > 30

    def test_two_classes_have_one_decision(self, models, halves):
        three = models("contrastive")
        two = models("contrastive").forget(1)
        X_test = halves[1]
        score, decision = three.decision_function(X_test), two.decision_function(X_test)
        assert decision.shape == (75,)
        np.testing.assert_allclose(decision, score[:, 2] - score[:, 0], atol=1e-6)
        np.testing.assert_array_equal(two.predict(X_test), np.where(decision > 0, 2, 0))
        probability = two.predict_proba(X_test)
        assert probability.shape == (75, 2)
        order = np.argsort(decision)
        assert (np.diff(probability[order, 1]) >= -1e-12).all()
        np.testing.assert_array_equal(probability[:, 1] > 0.5, decision > 0)

    def test_one_class_is_always_the_answer(self, models, halves):
        model = models("contrastive").forget([0, 1])
        assert model.predict(halves[1]).tolist() == [2] * 75
        np.testing.assert_array_equal(model.predict_proba(halves[1]), np.ones((75, 1)))
        assert model.decision_function(halves[1]).shape == (75, 1)

    @pytest.mark.parametrize(
        "names",
        [
            np.array(["setosa", "versicolor", "virginica"]),
            np.array(["a", "bb", "c"], dtype=object),
            np.array([-3, 5, 7]),
            np.array([0.0, 2.0, 4.0]),
        ],
    )
    def test_names_of_classes_come_back(self, halves, names):
        X_train, X_test, y_train, _ = halves
        model = quick().fit(X_train, names[y_train])
        assert model.classes_.tolist() == names.tolist()
        wanted = quick().fit(X_train, y_train)
        answer = model.predict(X_test)
        assert answer.dtype.kind == names.dtype.kind
        np.testing.assert_array_equal(answer, names[wanted.predict(X_test)])
        np.testing.assert_allclose(
            model.decision_function(X_test), wanted.decision_function(X_test)[:, np.argsort(names)], atol=1e-6
        )

    def test_score_is_accuracy(self, models, halves):
        model = models("contrastive")
        _, X_test, _, y_test = halves
        right = [int(a == b) for a, b in zip(model.predict(X_test), y_test, strict=True)]
        assert model.score(X_test, y_test) == pytest.approx(sum(right) / 75)
        weight = np.arange(75)
        assert model.score(X_test, y_test, weight) == pytest.approx(weight @ right / weight.sum())


class RowsSeen:
    """An `augment` that changes nothing and remembers which rows are trained on."""

    def __init__(self):
        self.rows = set()

    def __call__(self, batch):
        self.rows.update(map(tuple, batch.tolist()))
        return batch


def plane(**parameters):
    """A model whose embedding is the row itself, as training hardly moves it."""
    tower = nn.Linear(2, 2)
    with torch.no_grad():
        tower.weight.copy_(torch.eye(2))
        tower.bias.zero_()
    return quick(n_components=2, tower=tower, normalize=False, lr=1e-9, max_epochs=1, **parameters)


def clusters(n_each=20):
    """Two classes of three tight clusters each, sorted by cluster; and the number of the cluster."""
    centres = np.array([[0, 0], [10, 0], [0, 10], [50, 50], [60, 50], [50, 60]])
    cluster = np.repeat(np.arange(6), n_each)
    X = centres[cluster] + np.random.default_rng(0).normal(size=(6 * n_each, 2))
    return X.astype(np.float32), cluster // 3, cluster


class TestReferences:
    @pytest.mark.parametrize("n_references", [1, 4, 10])
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_there_are_no_more_of_a_class_than_asked_for(self, table, architecture, n_references):
        X_train, _, y_train, _ = table
        model = quick(**ARCHITECTURES[architecture], n_references=n_references, max_epochs=1)
        gallery = model.fit(X_train, y_train)._gallery
        assert max(np.bincount(gallery.labels)) <= n_references
        assert min(np.bincount(gallery.labels)) >= 1
        rows = {tuple(row): label for row, label in zip(X_train.tolist(), y_train.tolist(), strict=True)}
        assert [rows[tuple(row)] for row in gallery.rows.tolist()] == gallery.labels.tolist()

    def test_they_are_spread_over_the_class_and_central_in_their_clusters(self):
        X, y, cluster = clusters()
        gallery = plane(n_references=3).fit(X, y)._gallery
        place = [int(np.flatnonzero((row == X).all(axis=1))[0]) for row in gallery.rows]
        assert sorted(cluster[place]) == [0, 1, 2, 3, 4, 5]
        for i in place:
            members = X[cluster == cluster[i]]
            distance = np.linalg.norm(members - members.mean(axis=0), axis=1)
            assert np.linalg.norm(X[i] - members.mean(axis=0)) == pytest.approx(distance.min(), rel=1e-4)

    def test_they_are_not_simply_the_first(self, table):
        X_train, _, y_train, _ = table
        gallery = quick(n_references=3, max_epochs=1).fit(X_train, y_train)._gallery
        first = [X_train[y_train == digit][:3].tolist() for digit in range(10)]
        chosen = [gallery.rows[gallery.labels == digit].tolist() for digit in range(10)]
        n_first = sum(row in first[digit] for digit in range(10) for row in chosen[digit])
        assert n_first < 15  # of 30; by chance 6

    def test_none_keeps_all(self, table):
        X_train, _, y_train, _ = table
        gallery = quick(n_references=None, max_epochs=1).fit(X_train, y_train)._gallery
        assert sorted(gallery.rows.tolist()) == sorted(X_train.tolist())

    def test_few_of_many_rows_answer_nearly_as_well(self, table):
        X_train, X_test, y_train, y_test = table
        few, every = (quick(**LEARNING, n_references=n).fit(X_train, y_train) for n in (3, None))
        assert few.score(X_test, y_test) > every.score(X_test, y_test) - 0.05

    def test_rows_held_out_may_be_references_and_classes_held_out_are_enrolled(self, table):
        X_train, _, y_train, _ = table
        seen = RowsSeen()
        model = quick(augment=seen, validation_split="classes", max_epochs=1, tower="mlp")
        model.fit(X_train, y_train)
        trained = {int(label) for row, label in zip(X_train, y_train, strict=True) if tuple(row) in seen.rows}
        assert len(trained) == 8
        assert model.classes_.tolist() == list(range(10))

    def test_pickle_and_prediction_do_not_grow_with_the_rows(self):
        rng = np.random.default_rng(0)
        sizes = []
        for n in (400, 4000):
            X, y = rng.normal(size=(n, 30)).astype(np.float32), np.arange(n) % 4
            model = quick(max_epochs=1, tower=MLPTower(hidden_layer_sizes=(4,))).fit(X, y)
            assert len(model._gallery) <= 40
            sizes.append(len(pickle.dumps(model)))
        assert sizes[1] < 1.3 * sizes[0]
        assert sizes[1] < 0.1 * X.nbytes


class TestEnrolment:
    def test_unseen_digits_are_known_from_a_few_examples(self, table):
        """Trained on 0 to 6; chance among ten digits is 0.1."""
        X_train, X_test, y_train, y_test = table
        model = quick(**LEARNING).fit(X_train[y_train < 7], y_train[y_train < 7])
        new, new_test = y_train >= 7, y_test >= 7
        assert model.score(X_test[new_test], y_test[new_test]) == 0
        assert model.enroll(X_train[new], y_train[new]) is model
        assert model.classes_.tolist() == list(range(10))
        assert model.score(X_test[new_test], y_test[new_test]) > 0.6
        assert model.score(X_test, y_test) > 0.75

    def test_an_enrolled_row_is_found_by_itself(self, model, halves):
        X_test = halves[1]
        model.enroll(X_test[:1], 9)
        assert model.classes_.tolist() == [0, 1, 2, 9]
        naive = naive_class_scores(model, X_test[:1], [9], X_test[:6])
        np.testing.assert_allclose(model.decision_function(X_test[:6])[:, 3:], naive, atol=1e-5)

    @pytest.mark.parametrize("name", ["contrastive", "manhattan", "cosine"])
    def test_one_shot(self, models, halves, name):
        """Nothing is nearer than a row to itself, unless it has been enrolled before under another name."""
        X_test = halves[1]
        model = models(name).forget([0, 1, 2]).enroll(X_test[::9], [f"row {i}" for i in range(9)])
        assert model.predict(X_test[::9]).tolist() == [f"row {i}" for i in range(9)]

    def test_more_rows_of_a_known_class_only_bring_it_nearer(self, model, halves):
        X_test = halves[1]
        before = model.decision_function(X_test)
        model.enroll(X_test[:4], 1)
        after = model.decision_function(X_test)
        assert model.classes_.tolist() == [0, 1, 2]
        np.testing.assert_allclose(after[:, [0, 2]], before[:, [0, 2]], atol=1e-6)
        wanted = np.maximum(before[:, 1], naive_class_scores(model, X_test[:4], [1] * 4, X_test)[:, 0])
        np.testing.assert_allclose(after[:, 1], wanted, atol=1e-5)

    def test_one_label_serves_several_rows(self, models, halves):
        X_test = halves[1]
        once, each = models("contrastive"), models("contrastive")
        once.enroll(X_test[:5], 7)
        each.enroll(X_test[:5], [7] * 5)
        np.testing.assert_array_equal(once.decision_function(X_test), each.decision_function(X_test))

    def test_enrolling_keeps_the_bound_on_references(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick(n_references=4).fit(X_train, y_train).enroll(X_test, halves[3]).enroll(X_test, 9)
        assert np.bincount(model._gallery.labels).tolist() == [4, 4, 4, 4]

    def test_enrolling_is_repeatable(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick(n_references=2).fit(X_train, y_train)
        first, second = (copy.deepcopy(model).enroll(X_test, 9)._gallery.rows for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_enrolling_trains_nothing(self, models, halves):
        model = models("contrastive")
        before = model.transform(halves[1]), model.threshold_
        model.enroll(halves[1], 9)
        np.testing.assert_array_equal(model.transform(halves[1]), before[0])
        assert model.threshold_ == before[1]

    def test_forget(self, model, halves):
        X_test = halves[1]
        before = model.decision_function(X_test)
        assert model.enroll(X_test[:3], 9).forget([9]) is model
        np.testing.assert_allclose(model.decision_function(X_test), before, atol=1e-6)
        model.forget(0)
        assert model.classes_.tolist() == [1, 2]
        assert set(model.predict(X_test).tolist()) <= {1, 2}
        model.forget(np.array([1, 2]))
        assert model.classes_.tolist() == []

    def test_forgotten_classes_are_texts_or_numbers_as_they_came(self, halves):
        model = quick().fit(halves[0], np.array(["ann", "bob", "eve"])[halves[2]])
        assert model.forget("ann").classes_.tolist() == ["bob", "eve"]
        assert model.forget(("eve",)).classes_.tolist() == ["bob"]

    @pytest.mark.parametrize(
        ("labels", "named"), [(5, r"\[5\]"), ([0, 5], r"\[5\]"), ([0, "x"], r"\['x'\]"), ("0", r"\['0'\]")]
    )
    def test_forgetting_an_unknown_label_is_an_error_and_all_stay(self, models, halves, labels, named):
        model = models("contrastive")
        before = model.predict(halves[1])
        with pytest.raises(ValueError, match=rf"`labels` names classes that are not enrolled: {named}"):
            model.forget(labels)
        assert model.classes_.tolist() == [0, 1, 2]
        np.testing.assert_array_equal(model.predict(halves[1]), before)

    def test_when_all_is_forgotten_pairs_are_still_told_apart(self, model, halves):
        pairs = Pairs(halves[1][:20], halves[1][20:40])
        before = model.predict(pairs)
        model.forget(model.classes_)
        for ask in (model.predict, model.predict_proba, model.decision_function):
            with pytest.raises(ValueError, match=r"Nothing is enrolled.*Call enroll\(X, y\).*Pairs"):
                ask(halves[1])
        np.testing.assert_array_equal(model.predict(pairs), before)
        assert model.enroll(halves[1][:1], "new").predict(halves[1]).tolist() == ["new"] * 75

    def test_after_a_fit_on_pairs_nothing_is_enrolled(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick().fit(*make_pairs(X_train, y_train, random_state=0))
        assert model.classes_.tolist() == [0, 1]
        with pytest.raises(ValueError, match=r"Nothing is enrolled.*Call enroll\(X, y\)"):
            model.predict(X_test)
        with pytest.raises(ValueError, match="Nothing is enrolled"):
            model.forget(0)
        assert model.enroll(X_train, y_train).classes_.tolist() == [0, 1, 2]
        assert model.predict_proba(X_test).shape == (75, 3)
        assert model.forget([0, 1, 2]).classes_.tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("X", "y", "message"),
        [
            (lambda X: X[:2], [1, 2, 3], "equally many rows; got 2 in X and 3 in y"),
            (lambda X: X[:2], [1, None], "NaN or None"),
            (lambda X: X[:2], [0.5, 1.5], "Unknown label type: continuous"),
            (lambda X: X[:2], "ann", "one kind; got"),
            (lambda X: X[:2, :3], 1, "X has 3 features, but SiamesePairClassifier is expecting 4"),
            (lambda X: X[0], 1, "Reshape your data"),
            (lambda X: np.full_like(X, np.nan), 1, "contains NaN"),
        ],
    )
    def test_what_cannot_be_enrolled_changes_nothing(self, models, halves, X, y, message):
        model = models("contrastive")
        before = model.decision_function(halves[1])
        with pytest.raises(ValueError, match=message):
            model.enroll(X(halves[1]), y)
        np.testing.assert_array_equal(model.decision_function(halves[1]), before)

    def test_unfitted(self, halves):
        for call in (
            lambda: quick().enroll(halves[0], halves[2]),
            lambda: quick().forget(0),
            lambda: quick().predict(halves[0]),
            lambda: quick().predict(Pairs(halves[0], halves[1])),
            lambda: quick().predict_proba(halves[0]),
            lambda: quick().transform(halves[0]),
        ):
            with pytest.raises(NotFittedError):
                call()

    @settings(max_examples=25, deadline=None)
    @given(
        steps=st.lists(
            st.tuples(
                st.booleans(), st.sampled_from("abcd"), st.lists(st.integers(0, 74), min_size=1, max_size=3)
            ),
            max_size=6,
        )
    )
    def test_any_sequence_leaves_what_a_dictionary_would_hold(self, models, halves, steps):
        X_test, book = halves[1], {}
        model = models("contrastive").forget([0, 1, 2])
        for enrols, label, rows in steps:
            if enrols:
                model.enroll(X_test[rows], label)
                book.setdefault(label, []).extend(rows)
            elif label in book:
                model.forget(label)
                del book[label]
            else:
                with pytest.raises(ValueError, match="enrolled"):
                    model.forget(label)
        assert model.classes_.tolist() == sorted(book)
        if book:
            labels, rows = zip(*((label, row) for label in book for row in book[label]), strict=True)
            naive = naive_class_scores(model, X_test[list(rows)], labels, X_test[:9])
            found = model.predict(X_test[:9])
            best = [naive[i, sorted(book).index(label)] for i, label in enumerate(found)]
            np.testing.assert_allclose(best, naive.max(axis=1), atol=1e-6)


class TestUnknown:
    @pytest.mark.parametrize("label", ["unknown", -1, 99])
    def test_a_row_whose_best_reference_does_not_reach_the_threshold(self, models, halves, label):
        X_train, X_test, y_train, _ = halves
        model = models("contrastive").set_params(unknown_label=label)
        naive = naive_class_scores(model, X_train, y_train, X_test)
        threshold = float(np.median(naive.max(axis=1)))
        model.set_threshold(threshold + 1e-4)
        wanted = [
            int(np.argmax(scores)) if max(scores) >= threshold + 1e-4 else label for scores in naive.tolist()
        ]
        found = model.predict(X_test)
        assert found.tolist() == wanted
        assert 10 < sum(answer == label for answer in wanted) < 65
        assert found.dtype == (object if label == "unknown" else np.int64)

    @pytest.mark.parametrize("name", ["difference head", "product head", "two channels"])
    def test_a_score_of_just_the_threshold_reaches_it(self, models, halves, name):
        model = models(name).set_params(unknown_label=-1)
        score = float(model.decision_function(halves[1]).max(axis=1)[0])
        assert model.set_threshold(score).predict(halves[1])[0] != -1
        assert model.set_threshold(np.nextafter(np.float32(score), np.inf)).predict(halves[1])[0] == -1

    @pytest.mark.parametrize("label", ["unknown", -1])
    def test_days_as_classes(self, halves, label):
        days = np.array(["2020-01-01", "2021-01-01", "2022-01-01"], dtype="datetime64[D]")
        model = quick(unknown_label=label).fit(halves[0], days[halves[2]])
        assert model.set_threshold(1e9).predict(halves[1]).tolist() == [label] * 75
        assert set(model.set_threshold(-1e9).predict(halves[1]).tolist()) <= set(days.tolist())

    def test_names_in_long_and_short(self, halves):
        names = np.array(["a", "b", "c"])
        model = quick(unknown_label="stranger").fit(halves[0], names[halves[2]]).set_threshold(1e9)
        assert model.predict(halves[1]).tolist() == ["stranger"] * 75
        assert model.set_params(unknown_label=0).predict(halves[1]).tolist() == [0] * 75

    @pytest.mark.parametrize("name", CONFIGURATIONS)
    def test_the_threshold_decides(self, models, halves, name):
        model = models(name).set_params(unknown_label="unknown")
        closed = models(name).predict(halves[1]).tolist()
        assert model.set_threshold(-1e9).predict(halves[1]).tolist() == closed
        assert model.set_threshold(1e9).predict(halves[1]).tolist() == ["unknown"] * 75

    def test_by_a_calibrated_threshold(self, table):
        """Trained and calibrated on 0 to 6: 7, 8 and 9 are strangers more often than the others."""
        X_train, X_test, y_train, y_test = table
        known, known_test = y_train < 7, y_test < 7
        model = quick(**LEARNING, loss="contrastive", unknown_label=-1, n_references=None)
        model.fit(X_train[known], y_train[known])
        model.calibrate_threshold(X_test[known_test], y_test[known_test], strategy="far", target=0.02)
        is_stranger = model.predict(X_test) == -1
        assert is_stranger[~known_test].mean() > is_stranger[known_test].mean() + 0.2

    def test_none_always_names_a_class(self, models, halves):
        assert set(models("contrastive").set_threshold(1e9).predict(halves[1]).tolist()) <= {0, 1, 2}

    @pytest.mark.parametrize("label", ["unknown", -1])
    def test_score_counts_strangers_that_are_told(self, models, halves, label):
        X_test, y_test = halves[1], halves[3]
        model = models("contrastive").set_params(unknown_label=label).set_threshold(1e9)
        assert model.score(X_test, y_test) == 0
        truth = [label] * 15 + y_test[15:].tolist()
        assert model.score(X_test, truth) == pytest.approx(15 / 75)
        assert model.score(X_test, truth, sample_weight=[1] * 15 + [0] * 60) == 1
        with pytest.raises(ValueError, match=r"75|inconsistent"):
            model.score(X_test, truth[:-1])

    def test_pairs_are_not_concerned(self, models, halves):
        model = models("contrastive").set_params(unknown_label="unknown").set_threshold(1e9)
        assert model.predict(Pairs(halves[1], halves[1])).tolist() == [0] * 75


class TestManyRows:
    def test_ten_thousand_are_found_among_ten_thousand_in_bounded_memory(self):
        """All distances at once would be 400 MB."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(10_000, 8)).astype(np.float32)
        pairs = Pairs(X[:40], X[40:80])
        model = quick(max_epochs=1, n_references=None, n_components=8, tower=MLPTower(hidden_layer_sizes=()))
        model.fit(pairs, np.arange(40) % 2).enroll(X, np.arange(10_000))
        order = rng.permutation(10_000)
        tracemalloc.start()
        found = model.predict(X[order])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_array_equal(found, order)
        assert peak < 60e6

    def test_scores_of_all_classes_take_bounded_memory(self):
        """3,000 queries, 8,000 references of 5 classes: all scores at once would be 96 MB."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(8_000, 4)).astype(np.float32)
        model = quick(max_epochs=1, n_references=None, tower=MLPTower(hidden_layer_sizes=()))
        model.fit(X[:200], np.arange(200) % 5).enroll(X, np.arange(8_000) % 5)
        tracemalloc.start()
        decision = model.decision_function(X[:3000])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_array_equal(decision.argmax(axis=1), np.arange(3000) % 5)
        assert peak < 60e6

    @pytest.mark.parametrize("name", ["difference head", "product head", "two towers", "two channels"])
    def test_any_head_sees_a_block_of_queries_at_a_time(self, models, halves, monkeypatch, name):
        model, blocks, room = models(name), [], 500
        score = _pair_classifier.cross_scores

        def spy(*arguments):
            blocks.append(score(*arguments).shape)
            return score(*arguments)

        whole = model.decision_function(halves[1])
        monkeypatch.setattr(_pair_classifier, "cross_scores", spy)
        assert _gallery._NUMBERS_AT_ONCE <= 2**22
        monkeypatch.setattr(_gallery, "_NUMBERS_AT_ONCE", room)
        np.testing.assert_allclose(model.decision_function(halves[1]), whole, atol=1e-5)
        if name != "two towers":  # a distance, which needs no function
            assert sum(rows for rows, _ in blocks) == 75
            assert max(rows * columns for rows, columns in blocks) <= room
            assert len(blocks) == 13  # 500 // 75 = 6 queries at a time


def memory_map(folder, X, dtype):
    path = folder / f"{np.dtype(dtype)}-{len(list(folder.iterdir()))}.dat"
    np.memmap(path, dtype=dtype, mode="w+", shape=X.shape)[:] = X
    return np.memmap(path, dtype=dtype, mode="r", shape=X.shape)


KINDS = {
    "float64": lambda X: X.astype(np.float64),
    "uint8": lambda X: X.astype(np.uint8),
    "list": lambda X: X.tolist(),
    "Fortran order": np.asfortranarray,
    "pandas": lambda X: pd.DataFrame(X, columns=[f"pixel {i}" for i in range(X.shape[1])]),
    "polars": lambda X: pl.DataFrame(X, schema=[f"pixel {i}" for i in range(X.shape[1])]),
    "CSR matrix": sparse.csr_matrix,
    "CSR array": sparse.csr_array,
}
DATA_MODELS = {
    "siamese": {},
    "two_channel": {**ARCHITECTURES["two_channel"], "tower": MLPTower(hidden_layer_sizes=(8,))},
}


@pytest.fixture(scope="module")
def counts(table):
    """56 rows of 64 small integers as float32, so that every numeric type holds them exactly; 4 digits."""
    few = np.concatenate([np.flatnonzero(table[2] == digit) for digit in range(4)])
    return table[0][few], table[2][few]


class TestData:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("name", DATA_MODELS)
    def test_every_kind_of_rows_gives_the_same(self, counts, kind, name):
        X, y = counts
        convert = KINDS[kind]
        model, plain = (
            quick(**DATA_MODELS[name])
            .fit(of(X), y)
            .enroll(of(X[:2]), 9)
            .calibrate_threshold(of(X), y, strategy="eer")
            for of in (convert, lambda X: X)
        )
        np.testing.assert_allclose(model.decision_function(convert(X)), plain.decision_function(X), atol=1e-5)
        np.testing.assert_array_equal(model.predict(convert(X)), plain.predict(X))
        assert model.threshold_ == pytest.approx(plain.threshold_, abs=1e-5)

    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "list"])
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_every_kind_of_sides_gives_the_same(self, counts, kind, architecture):
        pairs, same = make_pairs(*counts, random_state=0)
        convert = KINDS[kind]
        parameters = {**ARCHITECTURES[architecture], "tower": MLPTower(hidden_layer_sizes=(8,))}
        model = quick(**parameters).fit(pairs.map(convert), same)
        plain = quick(**parameters).fit(pairs, same)
        np.testing.assert_allclose(
            model.decision_function(pairs.map(convert)), plain.decision_function(pairs), atol=1e-5
        )

    @pytest.mark.parametrize("dtype", [np.float32, np.uint8])
    @pytest.mark.parametrize("name", DATA_MODELS)
    def test_memory_maps(self, tmp_path, counts, dtype, name):
        X, y = counts
        mapped = memory_map(tmp_path, X, dtype)
        model, plain = (quick(**DATA_MODELS[name]).fit(rows, y).enroll(rows[:3], 9) for rows in (mapped, X))
        np.testing.assert_array_equal(model.decision_function(mapped), plain.decision_function(X))
        np.testing.assert_array_equal(model.pair_score(Pairs(mapped, mapped)), plain.pair_score(Pairs(X, X)))
        assert not isinstance(model._gallery.rows, np.memmap)
        pickle.loads(pickle.dumps(model)).predict(X)

    def test_sparse_rows_stay_sparse_in_the_gallery_and_can_be_extended(self, counts):
        X, y = counts
        model = quick(**DATA_MODELS["two_channel"], n_references=3).fit(sparse.csr_array(X), y)
        assert sparse.issparse(model._gallery.rows)
        model.enroll(sparse.csr_array(X[:5]), 9).forget(0)
        assert model.predict(sparse.csr_array(X)).shape == y.shape

    def test_images_and_rows_are_told_apart(self, images):
        model = quick(max_epochs=1).fit(images[0], images[2])
        with pytest.raises(ValueError, match="X"):
            model.predict(images[1].reshape(150, 64))
        assert model.predict(images[1]).shape == (150,)

    def test_column_names_are_kept_to(self, halves):
        X_train, X_test, y_train, _ = halves
        names = list("abcd")
        frame = pd.DataFrame(X_train, columns=names)
        model = quick(max_epochs=1).fit(frame, y_train)
        assert model.feature_names_in_.tolist() == names
        test = pd.DataFrame(X_test, columns=names)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.predict(test)
            model.predict(Pairs(test, test))
            model.enroll(test[:2], 9).calibrate_threshold(test, halves[3])
        for call in (model.predict, lambda X: model.predict(Pairs(X, X)), lambda X: model.enroll(X, 8)):
            with pytest.raises(ValueError, match="feature names should match"):
                call(test[names[::-1]])

    def test_data_are_left_as_they_were(self, counts):
        X, y = counts[0].copy(), counts[1].copy()
        quick().fit(X, y).enroll(X[:2], 9).predict(X)
        np.testing.assert_array_equal(X, counts[0])
        np.testing.assert_array_equal(y, counts[1])


class TestTransform:
    @pytest.mark.parametrize("name", ["contrastive", "difference head", "two towers"])
    @pytest.mark.parametrize("output", ["default", "pandas", "polars"])
    def test_embeddings_in_the_container_asked_for(self, models, halves, name, output):
        model, X_test = models(name), halves[1]
        plain = model.transform(X_test)
        assert plain.shape == (75, 6)
        assert plain.dtype == np.float32
        model.set_output(transform=output)
        kind = {"default": np.ndarray, "pandas": pd.DataFrame, "polars": pl.DataFrame}[output]
        Z = model.transform(X_test)
        sides = model.transform(Pairs(X_test, X_test))
        assert isinstance(sides, Pairs)
        for found in (Z, *sides.sides):
            assert isinstance(found, kind)
        np.testing.assert_allclose(np.asarray(Z), plain, atol=1e-6)
        np.testing.assert_allclose(np.asarray(sides.left), plain, atol=1e-6)
        if output != "default":
            assert list(Z.columns) == model.get_feature_names_out().tolist()
        assert model.predict(X_test).shape == (75,)

    def test_fit_transform_is_fit_and_transform(self, halves):
        X_train, _, y_train, _ = halves
        np.testing.assert_array_equal(
            quick().fit_transform(X_train, y_train), quick().fit(X_train, y_train).transform(X_train)
        )

    def test_feature_names(self, models):
        assert models("contrastive").get_feature_names_out().tolist() == [
            f"siamesepairclassifier{i}" for i in range(6)
        ]

    @pytest.mark.parametrize("name", ["transform", "fit_transform", "set_output", "get_feature_names_out"])
    def test_two_channels_have_no_embedding(self, models, name):
        assert hasattr(models("contrastive"), name)
        assert hasattr(quick(architecture="pseudo_siamese"), name)
        for model in (models("two channels"), quick(architecture="two_channel")):
            assert not hasattr(model, name)


class TestRandomness:
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_same_seed_is_bitwise_the_same(self, halves, architecture):
        X_train, X_test, y_train, _ = halves
        pairs = Pairs(X_test[:30], X_test[30:60])
        found = []
        for seed in (3, 3, 4):
            model = quick(**ARCHITECTURES[architecture], n_references=2, random_state=seed)
            model.fit(X_train, y_train).enroll(X_test[:9], 7)
            answers = [
                model.predict_proba(X_test),
                model.predict_proba(pairs),
                model.decision_function(X_test),
            ]
            found.append(np.concatenate([part.ravel() for part in (*answers, np.float64(model.threshold_))]))
        np.testing.assert_array_equal(found[0], found[1])
        assert not np.allclose(found[0], found[2], atol=1e-3)

    def test_a_random_state_instance_is_drawn_from(self, halves):
        state = np.random.RandomState(5)
        first, second = (
            quick(random_state=state).fit(halves[0], halves[2]).decision_function(halves[1]) for _ in range(2)
        )
        again = quick(random_state=np.random.RandomState(5)).fit(halves[0], halves[2])
        np.testing.assert_array_equal(first, again.decision_function(halves[1]))
        assert not np.allclose(first, second, atol=1e-3)

    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_global_generators_are_left_alone(self, halves, architecture):
        X_train, X_test, y_train, y_test = halves
        numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
        torch_state = torch.get_rng_state()
        model = quick(**ARCHITECTURES[architecture], early_stopping=True, n_references=2)
        model.fit(X_train, y_train).partial_fit(X_train, y_train).enroll(X_test, 9).predict(X_test)
        model.calibrate_threshold(X_test, y_test).predict(Pairs(X_test, X_test))
        np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), torch_state)


def unique_rows(n=60):
    """Rows of three classes, none of which comes twice."""
    y = np.arange(n) % 3
    X = np.random.default_rng(0).normal(size=(n, 4)) + y[:, None]
    return X.astype(np.float32), y


class TestGoingOn:
    @pytest.mark.parametrize("name", CONFIGURATIONS)
    def test_partial_fit_embeds_the_references_anew_and_keeps_who_was_enrolled(self, models, halves, name):
        X_train, X_test, y_train, _ = halves
        model = models(name).enroll(X_test[:3], 9)
        before = model.decision_function(X_test)
        model.partial_fit(X_train[:40], y_train[:40])
        assert model.n_iter_ == 4
        assert model.classes_.tolist() == [0, 1, 2, 9]
        rows = np.concatenate([X_train, X_test[:3]])
        naive = naive_class_scores(model, rows, [*y_train, 9, 9, 9], X_test)
        np.testing.assert_allclose(model.decision_function(X_test), naive, atol=1e-5)
        assert not np.allclose(naive, before, atol=1e-4)

    def test_partial_fit_on_pairs_does_so_too(self, models, halves):
        X_train, X_test, y_train, _ = halves
        model = models("contrastive").enroll(X_test[:3], 9)
        model.partial_fit(*make_pairs(X_train, y_train, random_state=0))
        assert model.classes_.tolist() == [0, 1, 2, 9]
        rows = np.concatenate([X_train, X_test[:3]])
        naive = naive_class_scores(model, rows, [*y_train, 9, 9, 9], X_test)
        np.testing.assert_allclose(model.decision_function(X_test), naive, atol=1e-5)

    def test_first_partial_fit_is_a_fit_of_one_epoch(self, halves):
        X_train, X_test, y_train, _ = halves
        first, fitted = quick().partial_fit(X_train, y_train), quick(max_epochs=1).fit(X_train, y_train)
        np.testing.assert_array_equal(first.decision_function(X_test), fitted.decision_function(X_test))
        assert first.threshold_ == fitted.threshold_

    def test_partial_fit_brings_new_classes_and_leaves_forgotten_ones_out(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick().partial_fit(X_train[y_train > 0], y_train[y_train > 0])
        assert model.classes_.tolist() == [1, 2]
        model.forget(2).partial_fit(X_train[y_train < 2], y_train[y_train < 2])
        assert model.classes_.tolist() == [0, 1]
        assert set(model.predict(X_test).tolist()) == {0, 1}

    def test_classes_announced_are_not_enrolled_yet(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick().partial_fit(X_train, y_train, classes=[0, 1, 2, 9])
        assert model.classes_.tolist() == [0, 1, 2]
        assert model.predict_proba(X_test).shape == (75, 3)

    def test_partial_fit_goes_on_learning(self, halves):
        X_train, X_test, y_train, y_test = halves
        pairs, same = make_pairs(X_test, y_test, random_state=0)
        model = quick(lr=3e-3).partial_fit(X_train, y_train)
        first = roc_auc_score(same, model.pair_score(pairs))
        for _ in range(19):
            model.partial_fit(X_train, y_train)
        assert model.n_iter_ == len(model.history_) == 20
        assert roc_auc_score(same, model.pair_score(pairs)) > first

    def test_warm_start_goes_on_and_enrols_anew(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick(warm_start=True, n_references=None).fit(X_train, y_train).enroll(X_test[:3], 9)
        net = model.net_
        model.fit(X_train[y_train > 0], y_train[y_train > 0])
        assert model.net_ is net
        assert model.n_iter_ == 6
        assert model.classes_.tolist() == [1, 2]
        naive = naive_class_scores(model, X_train[y_train > 0], y_train[y_train > 0], X_test)
        np.testing.assert_allclose(model.decision_function(X_test), naive[:, 1] - naive[:, 0], atol=1e-5)

    def test_without_warm_start_fit_starts_afresh(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick().fit(X_train, y_train)
        once = model.decision_function(X_test)
        model.partial_fit(X_train, y_train).enroll(X_test, 9).set_threshold(5)
        model.fit(X_train, y_train)
        np.testing.assert_array_equal(model.decision_function(X_test), once)
        assert model.n_iter_ == 3
        assert model.threshold_ != 5

    def test_refit_on_the_other_kind(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick().fit(X_train, y_train)
        assert model.fit(*make_pairs(X_train, y_train, random_state=0)).classes_.tolist() == [0, 1]
        with pytest.raises(ValueError, match="Nothing is enrolled"):
            model.predict(X_test)
        assert model.fit(X_train, y_train).classes_.tolist() == [0, 1, 2]

    @pytest.mark.parametrize("changed", [{"architecture": "pseudo_siamese"}, {"head": "product"}])
    def test_what_the_net_is_built_with_must_not_change_under_it(self, halves, changed):
        model = quick(loss="hinge").fit(halves[0], halves[2])
        (name,) = changed
        with pytest.raises(ValueError, match=f"`{name}` is .* was built with"):
            model.set_params(**changed).partial_fit(halves[0], halves[2])

    @pytest.mark.parametrize("y", [np.array(["a", "b", "c"]), np.array([0, 1, 2])])
    def test_names_of_another_kind_are_refused_before_training(self, halves, y):
        X_train, X_test, y_train, _ = halves
        model = quick().fit(*make_pairs(X_train, y_train, random_state=0))
        model.enroll(X_test[:2], "ann" if y.dtype.kind == "i" else 5)
        before = model.decision_function(X_test)
        with pytest.raises(ValueError, match="must be of one kind"):
            model.partial_fit(X_train, y[y_train])
        np.testing.assert_array_equal(model.decision_function(X_test), before)
        assert model.n_iter_ == len(model.history_) == 3


FAILURES = {
    "one class": ({}, lambda X, y: (X, np.zeros(len(X)))),
    "no labels": ({}, lambda X, y: (X, None)),
    "NaN": ({}, lambda X, y: (np.full_like(X, np.nan), y)),
    "other width, bad labels": ({}, lambda X, y: (X[:, :2], y + 0.5)),
    "pairs of one kind": ({}, lambda X, y: (Pairs(X, X), np.ones(len(X)))),
    "pairs of two shapes": ({"architecture": "pseudo_siamese"}, lambda X, y: (Pairs(X, X[:, :2]), y)),
    "architecture": ({"architecture": "siameze"}, lambda X, y: (X, y)),
    "head": ({"head": "prodct", "loss": "hinge"}, lambda X, y: (X, y)),
    "loss without logits": ({"architecture": "two_channel"}, lambda X, y: (X, y)),
    "two channels and no labels": (ARCHITECTURES["two_channel"], lambda X, y: (X, None)),
    "tower": ({"tower": nn.Linear(3, 6)}, lambda X, y: (X, y)),
    "learning rate": ({"lr": -1.0}, lambda X, y: (X, y)),
    "n_references": ({"n_references": 0}, lambda X, y: (X, y)),
}


class TestFailures:
    @pytest.mark.parametrize("failure", FAILURES)
    @pytest.mark.parametrize("name", ["contrastive", "two channels"])
    def test_a_failed_fit_leaves_the_fitted_model(self, models, halves, failure, name):
        X_train, X_test, y_train, _ = halves
        parameters, data = FAILURES[failure]
        model = models(name).enroll(X_test[:2], 9)
        pairs = Pairs(X_test[:30], X_test[30:60])
        before = model.decision_function(X_test), model.predict(pairs), model.threshold_, model.history_[:]
        model.set_params(**{"loss": "contrastive", **parameters})
        with pytest.raises((ValueError, TypeError)):
            model.fit(*data(X_train, y_train))
        np.testing.assert_array_equal(model.decision_function(X_test), before[0])
        np.testing.assert_array_equal(model.predict(pairs), before[1])
        assert (model.threshold_, model.history_[:]) == before[2:]
        assert model.classes_.tolist() == [0, 1, 2, 9]
        model.set_params(n_references=None).enroll(X_test[:1], 4)
        assert model.classes_.tolist() == [0, 1, 2, 4, 9]

    def test_a_failure_after_training_leaves_it_too(self, models, halves, monkeypatch):
        X_train, X_test, y_train, _ = halves
        model = models("contrastive")
        before = model.decision_function(X_test)

        def fail(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(_verifier, "choose_threshold", fail)
        with pytest.raises(KeyboardInterrupt):
            model.set_params(n_components=3).fit(X_train, y_train)
        np.testing.assert_array_equal(model.decision_function(X_test), before)

    @pytest.mark.parametrize(
        ("parameters", "kind", "message"),
        [
            ({"architecture": "siameze"}, ValueError, "`architecture` must be .* Did you mean 'siamese'"),
            ({"architecture": "two_chanel"}, ValueError, "Did you mean 'two_channel'"),
            (
                {"loss": "hinge", "head": "diference"},
                ValueError,
                "`head` must be .* Did you mean 'difference'",
            ),
            ({"loss": "contrastiv"}, ValueError, "`loss` must be .* Did you mean 'contrastive'"),
            ({"loss": "hinge", "head": nn.Linear(2, 1)}, ValueError, "`head` fails on two sides"),
            ({"loss": "hinge", "head": DistanceHead}, TypeError, "pass an instance"),
            ({"n_references": 0}, ValueError, "`n_references` must be an integer of at least 1.* or None"),
            ({"n_references": 2.5}, TypeError, "`n_references`"),
            ({"validation_split": "class"}, ValueError, "Did you mean 'classes'"),
            ({"validation_fraction": 1.0}, ValueError, "`validation_fraction`"),
            ({"tower": ("mlp", "mlp")}, ValueError, r"tuple.*architecture=.pseudo_siamese."),
            (
                {"architecture": "pseudo_siamese", "tower": ("mlp",)},
                ValueError,
                r"tuple of two.*\(left, right\).*got 1",
            ),
            (
                {"architecture": "two_channel", "loss": "contrastive"},
                ValueError,
                "no embeddings.*`loss`='contrastive' does not take; take one of 'binary_cross_entropy', ",
            ),
            (
                {"architecture": "two_channel", "loss": TripletLoss()},
                ValueError,
                "`loss`=TripletLoss does not take",
            ),
            ({"device": "gpu"}, ValueError, "`device`"),
        ],
    )
    def test_bad_parameters(self, halves, parameters, kind, message):
        with pytest.raises(kind, match=message):
            quick(**parameters).fit(halves[0], halves[2])

    def test_labels_are_needed(self, halves):
        with pytest.raises(ValueError, match="requires y to be passed"):
            quick().fit(halves[0])
        with pytest.raises(ValueError, match="one class with 2 samples"):
            quick().fit(halves[0], np.arange(75))

    def test_a_loss_on_labels_takes_no_pairs(self, halves):
        with pytest.raises(TypeError, match=r"`loss` is 'supcon', .*Take one of 'contrastive'"):
            quick(loss="supcon").fit(*make_pairs(halves[0], halves[2], random_state=0))


class TestCopies:
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    @pytest.mark.parametrize("kind", ["rows", "pairs"])
    def test_pickle_joblib_and_deepcopy(self, tmp_path, halves, architecture, kind):
        X_train, X_test, y_train, y_test = halves
        given = (X_train, y_train) if kind == "rows" else make_pairs(X_train, y_train, random_state=0)
        model = quick(**ARCHITECTURES[architecture]).fit(*given).enroll(X_test[:2], 9)
        model.calibrate_threshold(X_test, y_test, strategy="far", target=0.1)
        joblib.dump(model, tmp_path / "model.joblib")
        pairs = Pairs(X_test[:30], X_test[30:60])
        for copied in (
            pickle.loads(pickle.dumps(model)),
            joblib.load(tmp_path / "model.joblib"),
            copy.deepcopy(model),
        ):
            for X in (X_test, pairs):
                np.testing.assert_array_equal(copied.predict_proba(X), model.predict_proba(X))
                np.testing.assert_array_equal(copied.predict(X), model.predict(X))
            assert copied.threshold_ == model.threshold_
            assert copied.enroll(X_test[:1], 5).classes_.tolist() == sorted([*model.classes_, 5])
        assert 5 not in model.classes_

    def test_a_deep_copy_is_trained_on_its_own(self, models, halves):
        model = models("contrastive")
        before = model.decision_function(halves[1])
        copy.deepcopy(model).partial_fit(halves[0], halves[2]).forget(0)
        np.testing.assert_array_equal(model.decision_function(halves[1]), before)

    def test_clone_is_unfitted_and_fits_the_same(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick(loss=BinaryCrossEntropyLoss(), head="product", tower=MLPTower(), unknown_label="?")
        copied = clone(model.fit(X_train, y_train))
        assert not hasattr(copied, "net_")
        with pytest.raises(NotFittedError):
            copied.predict(X_test)
        np.testing.assert_array_equal(
            copied.fit(X_train, y_train).decision_function(X_test), model.decision_function(X_test)
        )

    def test_repr(self):
        model = SiamesePairClassifier(8, architecture="two_channel", loss=TripletLoss(margin=0.3))
        assert repr(model) == (
            "SiamesePairClassifier(architecture='two_channel', loss=TripletLoss(margin=0.3),\n"
            "                      n_components=8)"
        )
        assert "TripletLoss" in model._repr_html_()


CV = StratifiedKFold(2, shuffle=True, random_state=0)


@pytest.fixture(params=["rows", "pairs"])
def kind_of_data(request, halves):
    """All rows and their classes, or pairs of them and which are the same."""
    X, y = np.concatenate(halves[:2]), np.concatenate(halves[2:])
    return (X, y) if request.param == "rows" else make_pairs(X, y, n_pairs=200, random_state=0)


class TestInScikitLearn:
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
        search = GridSearchCV(quick(max_epochs=2, lr=0.01), grid, cv=CV, error_score="raise").fit(X, y)
        scores = search.cv_results_["mean_test_score"]
        assert len(scores) == 16 + 4 + 2
        assert 0.75 < scores.max() <= 1
        assert len(np.unique(scores)) > 5  # what is searched makes a difference
        assert search.best_score_ == scores.max()
        assert search.predict(X).shape == y.shape

    def test_cross_val_predict(self, kind_of_data):
        X, y = kind_of_data
        model = quick(max_epochs=15, lr=3e-3)
        answer, probability = (
            cross_val_predict(model, X, y, cv=CV, method=method) for method in ("predict", "predict_proba")
        )
        assert np.mean(answer == y) > 0.8
        np.testing.assert_array_equal(probability.argmax(axis=1), answer)
        assert (cross_val_score(model, X, y, cv=CV) > 0.8).all()

    @pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss", "f1"])
    def test_scoring_of_verification_by_name(self, halves, scoring):
        pairs, same = make_pairs(halves[0], halves[2], random_state=0)
        scores = cross_val_score(quick(max_epochs=15, lr=3e-3), pairs, same, cv=CV, scoring=scoring)
        assert (scores > {"roc_auc": 0.85, "neg_log_loss": -0.69, "f1": 0.7}[scoring]).all()

    @pytest.mark.parametrize("scoring", ["roc_auc_ovr", "neg_log_loss", "balanced_accuracy"])
    def test_scoring_of_identification_by_name(self, halves, scoring):
        scores = cross_val_score(quick(max_epochs=15, lr=3e-3), halves[0], halves[2], cv=CV, scoring=scoring)
        assert (scores > {"roc_auc_ovr": 0.9, "neg_log_loss": -1.09, "balanced_accuracy": 0.8}[scoring]).all()

    @pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
    def test_calibrated_classifier(self, kind_of_data, method):
        X, y = kind_of_data
        model = CalibratedClassifierCV(quick(max_epochs=15, lr=3e-3), method=method, cv=CV).fit(X, y)
        probability = model.predict_proba(X)
        assert probability.shape == (len(y), len(np.unique(y)))
        np.testing.assert_allclose(probability.sum(axis=1), 1)
        assert np.mean(model.predict(X) == y) > 0.8

    def test_calibrated_classifier_of_a_fitted_model(self, kind_of_data):
        X, y = kind_of_data
        model = quick(max_epochs=15, lr=3e-3).fit(X, y)
        calibrated = CalibratedClassifierCV(FrozenEstimator(model)).fit(X, y)
        assert np.mean(calibrated.predict(X) == y) > 0.8

    def test_tuned_threshold(self, kind_of_data):
        """Two species, or two kinds of pairs."""
        X, y = kind_of_data
        few = np.flatnonzero(y < 2)
        X, y = X[few], y[few]
        model = TunedThresholdClassifierCV(quick(max_epochs=15, lr=3e-3), scoring="f1", cv=CV).fit(X, y)
        assert np.mean(model.predict(X) == y) > 0.8
        assert 0 < model.best_threshold_ < 1


def test_several_unknown_labels_are_an_error(halves):
    with pytest.raises(TypeError, match=r"`unknown_label` must be one label or None; got \[-1, -2\]"):
        quick(unknown_label=[-1, -2]).fit(halves[0], halves[2])
