"""SiamesePairClassifier: every loss, head and architecture learns."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from torch import nn

from models import ARCHITECTURES, LEARNING, naive_class_scores, quick_classifier
from siamese_sklearn import (
    CNNTower,
    MLPTower,
    Pairs,
    SiamesePairClassifier,
    TripletLoss,
    make_pairs,
)
from siamese_sklearn.distances import DISTANCES
from siamese_sklearn.heads import DistanceHead
from siamese_sklearn.losses import BinaryCrossEntropyLoss


def area_of_scaled(X_train, pairs, same):
    """Area under the ROC curve of the distance of scaled features, which needs no
    training.
    """
    scaled = pairs.map(StandardScaler().fit(X_train).transform)
    return roc_auc_score(same, -np.linalg.norm(scaled.left - scaled.right, axis=1))


class TestLearning:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "loss",
        ["contrastive", "exponential", "binary_cross_entropy", "hinge", "triplet"],
    )
    @pytest.mark.parametrize("kind", ["rows", "pairs"])
    def test_every_loss_learns_from_rows_and_from_pairs(self, wine, loss, kind):
        """Verification beats the distance of the scaled features; by chance half of the
        pairs are right.
        """
        X_train, X_test, y_train, y_test = wine
        given = (
            (X_train, y_train)
            if kind == "rows"
            else make_pairs(X_train, y_train, random_state=0)
        )
        model = quick_classifier(loss=loss, validation_fraction=0.3, **LEARNING).fit(
            *given
        )
        pairs, same = make_pairs(X_test, y_test, n_pairs=1000, random_state=1)
        assert (
            roc_auc_score(same, model.pair_score(pairs))
            > area_of_scaled(X_train, pairs, same) + 0.07
        )
        assert model.score(pairs, same) > 0.8
        if kind == "rows":
            assert model.score(X_test, y_test) > 0.9
            assert model.classes_.tolist() == [0, 1, 2]
        else:
            assert model.classes_.tolist() == [0, 1]

    @pytest.mark.slow
    @pytest.mark.parametrize("head", ["distance", "difference", "product"])
    def test_every_head_learns(self, wine, head):
        X_train, X_test, y_train, y_test = wine
        model, untrained = (
            quick_classifier(
                **{**LEARNING, "loss": "hinge", "head": head, **parameters}
            ).fit(X_train, y_train)
            for parameters in ({}, {"max_epochs": 1, "lr": 1e-9})
        )
        pairs, same = make_pairs(X_test, y_test, n_pairs=1000, random_state=1)
        assert (
            roc_auc_score(same, model.pair_score(pairs))
            > area_of_scaled(X_train, pairs, same) + 0.07
        )
        assert model.score(X_test, y_test) > 0.9
        weights = (
            each.net_.criterion_.head.parameters() for each in (model, untrained)
        )
        assert not any(torch.equal(*pair) for pair in zip(*weights, strict=True))

    @pytest.mark.slow
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    @pytest.mark.parametrize("tower", ["mlp", "cnn"])
    def test_every_architecture_learns(self, images, architecture, tower):
        X_train, X_test, y_train, y_test = images
        epochs = {"max_epochs": 40} if architecture == "two_channel" else {}
        model = quick_classifier(
            **{**LEARNING, **epochs, **ARCHITECTURES[architecture], "tower": tower}
        )
        model.fit(X_train, y_train)
        pairs, same = make_pairs(X_test, y_test, random_state=1)
        assert roc_auc_score(same, model.pair_score(pairs)) > 0.85
        assert model.score(X_test, y_test) > 0.75

    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_every_architecture_takes_the_defaults(self, halves, architecture):
        model = SiamesePairClassifier(
            architecture=architecture, max_epochs=1, random_state=0
        )
        model.fit(halves[0], halves[2])
        assert model.predict(halves[1]).shape == (75,)
        assert set(model.predict(Pairs(halves[1], halves[1][::-1])).tolist()) <= {0, 1}

    def test_a_two_channel_network_sees_both_images_as_channels(self, images):
        model = quick_classifier(**ARCHITECTURES["two_channel"], max_epochs=1).fit(
            images[0], images[2]
        )
        first = next(
            layer
            for layer in model.net_.module_.modules()
            if isinstance(layer, nn.Conv2d)
        )
        assert first.in_channels == 2

    def test_pseudo_siamese_towers_have_weights_of_their_own(self, halves):
        model = quick_classifier(architecture="pseudo_siamese").fit(
            halves[0], halves[2]
        )
        left, right = model.net_.module_.towers
        shared = [
            torch.equal(a, b)
            for a, b in zip(left.parameters(), right.parameters(), strict=True)
        ]
        assert not any(shared[-1:])
        assert not np.allclose(
            *model.transform(Pairs(halves[1], halves[1])).sides, atol=1e-2
        )

    @pytest.mark.slow
    def test_one_example_per_class_is_tolerated_beside_others(self, table):
        """Digits 8 and 9 have one image each, and are found by it."""
        X_train, X_test, y_train, y_test = table
        few = np.concatenate(
            [np.flatnonzero(y_train < 8), [np.argmax(y_train == d) for d in (8, 9)]]
        )
        model = quick_classifier(**LEARNING).fit(X_train[few], y_train[few])
        assert model.classes_.tolist() == list(range(10))
        assert model.score(X_test[y_test < 8], y_test[y_test < 8]) > 0.8
        # by chance 0.1
        assert model.score(X_test[y_test >= 8], y_test[y_test >= 8]) > 0.3
        assert model.predict(X_train[few[-2:]]).tolist() == [8, 9]

    @pytest.mark.parametrize(
        ("given", "wanted"),
        [
            (
                {"loss": "contrastive", "margin": 0.7, "mining": "hard"},
                {"margin": 0.7, "mining": "hard"},
            ),
            (
                {"loss": TripletLoss(margin=0.1), "distance": "cosine"},
                {"margin": 0.1, "distance": DISTANCES["cosine"]},
            ),
            (
                {"loss": "hinge", "margin": 0.4, "mining": "hard"},
                {"margin": 0.4, "mining": "hard"},
            ),
            (
                {"loss": "hinge", "margin": 0.4, **ARCHITECTURES["two_channel"]},
                {"margin": 0.4},
            ),
        ],
    )
    def test_margin_distance_and_mining_reach_the_loss(self, halves, given, wanted):
        loss = (
            quick_classifier(max_epochs=1, **given)
            .fit(halves[0], halves[2])
            .net_.criterion_
        )
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
    def test_head_takes_the_place_of_the_one_that_the_loss_has(
        self, halves, loss, head, kind
    ):
        model = quick_classifier(loss=loss, head=head, max_epochs=1).fit(
            halves[0], halves[2]
        )
        assert type(model.net_.criterion_.head).__name__ == kind

    def test_head_given_is_never_trained(self, halves):
        head = DistanceHead(6)
        before = copy.deepcopy(head.state_dict())
        model = quick_classifier(loss="hinge", head=head).fit(halves[0], halves[2])
        assert all(
            torch.equal(head.state_dict()[name], before[name]) for name in before
        )
        assert not torch.equal(model.net_.criterion_.head.offset, head.offset)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "parameters",
        [
            {"loss": "contrastive", "head": "product"},
            {"loss": "triplet", "head": "difference"},
        ],
    )
    def test_a_loss_without_a_head_leaves_it_unused(self, halves, parameters):
        without = {**parameters, "head": None}
        decisions = [
            quick_classifier(**p).fit(halves[0], halves[2]).decision_function(halves[1])
            for p in (parameters, without)
        ]
        np.testing.assert_array_equal(*decisions)


class TwoKinds:
    """The 300 digits as photographs (8, 8) and as table rows: the means of lines and
    columns, (16,).
    """

    def __init__(self, digits):
        self.photo, self.y = digits
        self.row = np.hstack([self.photo.mean(axis=1), self.photo.mean(axis=2)])
        self.train, self.test = np.arange(0, 300, 2), np.arange(1, 300, 2)

    def pairs(self, half, seed):
        """Photographs on the left, table rows on the right, and which are of
        one digit.
        """
        index, same = make_pairs(half, self.y[half], random_state=seed)
        return Pairs(self.photo[index.left], self.row[index.right]), same


@pytest.fixture(scope="module")
def two_kinds(digits):
    return TwoKinds(digits)


@pytest.fixture(scope="module")
def two_towers(two_kinds):
    """A CNN for photographs and an MLP for table rows."""
    towers = (CNNTower(), MLPTower(hidden_layer_sizes=(32,)))
    model = quick_classifier(**LEARNING, architecture="pseudo_siamese", tower=towers)
    return model.fit(*two_kinds.pairs(two_kinds.train, 0))


@pytest.mark.slow
class TestTwoKindsOfRows:
    def test_they_are_verified(self, two_kinds, two_towers):
        pairs, same = two_kinds.pairs(two_kinds.test, 1)
        assert roc_auc_score(same, two_towers.pair_score(pairs)) > 0.8
        assert two_towers.score(pairs, same) > 0.7
        assert two_towers.input_shape_ == (8, 8)

    def test_table_rows_are_enrolled_and_photographs_are_identified(
        self, two_kinds, two_towers
    ):
        model, kinds = copy.deepcopy(two_towers), two_kinds
        model.set_params(n_references=None).enroll(
            kinds.row[kinds.train], kinds.y[kinds.train]
        )
        photos = kinds.photo[kinds.test]
        assert model.score(photos, kinds.y[kinds.test]) > 0.6
        rows, names = kinds.row[kinds.train], kinds.y[kinds.train]
        naive = naive_class_scores(model, rows, names, photos[:3])
        np.testing.assert_allclose(
            model.decision_function(photos[:3]), naive, atol=1e-5
        )

    def test_transform_embeds_each_side_by_its_tower(self, two_kinds, two_towers):
        pairs, _ = two_kinds.pairs(two_kinds.test, 1)
        Z = two_towers.transform(pairs)
        assert Z.left.shape == Z.right.shape == (len(pairs), 16)
        np.testing.assert_allclose(
            two_towers.pair_distance(pairs),
            np.linalg.norm(Z.left - Z.right, axis=1),
            atol=1e-5,
        )
        np.testing.assert_allclose(two_towers.transform(pairs.left), Z.left, atol=1e-6)

    def test_a_copy_knows_both_sides(self, two_kinds, two_towers):
        pairs, _ = two_kinds.pairs(two_kinds.test, 1)
        copied = pickle.loads(pickle.dumps(two_towers))
        np.testing.assert_array_equal(
            copied.pair_score(pairs), two_towers.pair_score(pairs)
        )
        copied.enroll(two_kinds.row[:5], list("abcde"))
        assert copied.predict(two_kinds.photo[:5]).shape == (5,)

    def test_a_side_is_not_taken_for_the_other(self, two_kinds, two_towers):
        photo, row = two_kinds.photo, two_kinds.row
        model = copy.deepcopy(two_towers)
        left, right = "SiamesePairClassifier", "the right tower"
        for call, named in (
            (lambda: model.predict(Pairs(row, photo)), left),
            (lambda: model.pair_score(Pairs(photo, photo)), right),
            (lambda: model.enroll(photo[:1], "a"), right),
            (lambda: model.enroll(row[:1], "a").predict(row), left),
            (lambda: model.transform(row), left),
        ):
            with pytest.raises(
                ValueError, match=rf"X has \d+ features, but {named} is expecting \d+"
            ):
                call()

    def test_rows_of_one_kind_are_not_trained_on(self, two_kinds, two_towers):
        model = copy.deepcopy(two_towers)
        pairs, _ = two_kinds.pairs(two_kinds.test, 1)
        before = model.pair_score(pairs)
        with pytest.raises(
            ValueError, match=r"shape \(8, 8\) and \(16,\).*pass Pairs\(left, right\)"
        ):
            model.partial_fit(two_kinds.photo, two_kinds.y)
        np.testing.assert_array_equal(model.pair_score(pairs), before)

    def test_refit_on_rows_forgets_the_other_kind(self, two_kinds, two_towers):
        model = clone(two_towers).set_params(tower="auto", max_epochs=1)
        model.fit(*two_kinds.pairs(two_kinds.train, 0)).fit(
            two_kinds.photo, two_kinds.y
        )
        assert model.predict(
            Pairs(two_kinds.photo[:4], two_kinds.photo[4:8])
        ).shape == (4,)

    def test_it_is_searched(self, two_kinds):
        pairs, same = two_kinds.pairs(two_kinds.train, 0)
        grid = {
            "tower": [
                ("cnn", "mlp"),
                (CNNTower(channels=(4,)), MLPTower(hidden_layer_sizes=(8,))),
            ]
        }
        search = GridSearchCV(
            quick_classifier(architecture="pseudo_siamese", max_epochs=1), grid, cv=2
        )
        search.fit(pairs, same)
        assert len(np.unique(search.cv_results_["mean_test_score"])) > 0
        assert search.best_estimator_.predict(pairs).shape == same.shape
