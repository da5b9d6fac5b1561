"""SiamesePairClassifier: seeds, training that continues, and fits that fail."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from models import (
    ARCHITECTURES,
    EACH_CONFIGURATION,
    NOBODY,
    naive_class_scores,
    quick_classifier,
)
from siamese_sklearn import Pairs, TripletLoss, make_pairs
from siamese_sklearn import calibration as _calibration
from siamese_sklearn.heads import DistanceHead


class TestRandomness:
    @pytest.mark.slow
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_same_seed_is_bitwise_the_same(self, halves, architecture):
        X_train, X_test, y_train, _ = halves
        pairs = Pairs(X_test[:30], X_test[30:60])
        found = []
        for seed in (3, 3, 4):
            model = quick_classifier(
                **ARCHITECTURES[architecture], n_references=2, random_state=seed
            )
            model.fit(X_train, y_train)
            thresholds = [model.threshold_, model.identification_threshold_]
            model.set_threshold(**NOBODY).enroll(X_test[:9], 7)
            answers = [
                model.predict_proba(X_test),
                model.predict_proba(pairs),
                model.decision_function(X_test),
            ]
            found.append(
                np.concatenate(
                    [part.ravel() for part in (*answers, np.array(thresholds))]
                )
            )
        np.testing.assert_array_equal(found[0], found[1])
        assert not np.allclose(found[0], found[2], atol=1e-3)

    @pytest.mark.slow
    def test_a_random_state_instance_is_drawn_from(self, halves):
        state = np.random.RandomState(5)
        first, second = (
            quick_classifier(random_state=state)
            .fit(halves[0], halves[2])
            .decision_function(halves[1])
            for _ in range(2)
        )
        again = quick_classifier(random_state=np.random.RandomState(5)).fit(
            halves[0], halves[2]
        )
        np.testing.assert_array_equal(first, again.decision_function(halves[1]))
        assert not np.allclose(first, second, atol=1e-3)

    @pytest.mark.slow
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_global_generators_are_left_alone(self, halves, architecture):
        X_train, X_test, y_train, y_test = halves
        numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
        torch_state = torch.get_rng_state()
        model = quick_classifier(
            **ARCHITECTURES[architecture], early_stopping=True, n_references=2
        )
        model.fit(X_train, y_train).partial_fit(X_train, y_train)
        model.set_threshold(**NOBODY).enroll(X_test, 9).predict(X_test)
        model.calibrate_threshold(X_test, y_test, strategy="fpir", target=0.1)
        model.calibrate_threshold(X_test, y_test).predict(Pairs(X_test, X_test))
        np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), torch_state)


class TestGoingOn:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", EACH_CONFIGURATION)
    def test_partial_fit_embeds_the_references_anew_and_keeps_who_was_enrolled(
        self, models, halves, name
    ):
        X_train, X_test, y_train, _ = halves
        model = models(name).enroll(X_test[:3], 9)
        before = model.decision_function(X_test)
        model.partial_fit(X_train[:40], y_train[:40])
        assert model.n_iter_ == 4
        assert model.classes_.tolist() == [0, 1, 2, 9]
        # the rows of the second call vote twice
        rows = np.concatenate([X_train, X_test[:3], X_train[:40]])
        names = [*y_train, 9, 9, 9, *y_train[:40]]
        naive = naive_class_scores(model, rows, names, X_test)
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
        alike = {"max_epochs": 1, "lr_schedule": "constant"}
        first, fitted = (
            quick_classifier(**alike).partial_fit(X_train, y_train),
            quick_classifier(**alike).fit(X_train, y_train),
        )
        np.testing.assert_array_equal(
            first.decision_function(X_test), fitted.decision_function(X_test)
        )
        assert first.threshold_ == fitted.threshold_

    def test_partial_fit_brings_new_classes_and_leaves_forgotten_ones_out(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick_classifier().partial_fit(
            X_train[y_train > 0], y_train[y_train > 0]
        )
        assert model.classes_.tolist() == [1, 2]
        model.forget(2).partial_fit(X_train[y_train < 2], y_train[y_train < 2])
        assert model.classes_.tolist() == [0, 1]
        assert set(model.predict(X_test).tolist()) == {0, 1}

    def test_classes_announced_are_not_enrolled_yet(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick_classifier().partial_fit(X_train, y_train, classes=[0, 1, 2, 9])
        assert model.classes_.tolist() == [0, 1, 2]
        assert model.predict_proba(X_test).shape == (75, 3)

    @pytest.mark.slow
    def test_partial_fit_goes_on_learning(self, halves):
        X_train, X_test, y_train, y_test = halves
        pairs, same = make_pairs(X_test, y_test, random_state=0)
        model = quick_classifier(lr=3e-3).partial_fit(X_train, y_train)
        first = roc_auc_score(same, model.pair_score(pairs))
        for _ in range(19):
            model.partial_fit(X_train, y_train)
        assert model.n_iter_ == len(model.history_) == 20
        assert roc_auc_score(same, model.pair_score(pairs)) > first

    @pytest.mark.slow
    def test_warm_start_goes_on_and_enrolls_anew(self, halves):
        X_train, X_test, y_train, _ = halves
        model = (
            quick_classifier(warm_start=True, n_references=None)
            .fit(X_train, y_train)
            .set_threshold(**NOBODY)
            .enroll(X_test[:3], 9)
        )
        net = model.net_
        model.fit(X_train[y_train > 0], y_train[y_train > 0])
        assert len(net.history) == 3
        assert model.n_iter_ == 6
        assert model.classes_.tolist() == [1, 2]
        naive = naive_class_scores(
            model, X_train[y_train > 0], y_train[y_train > 0], X_test
        )
        np.testing.assert_allclose(
            model.decision_function(X_test), naive[:, 1] - naive[:, 0], atol=1e-5
        )

    def test_without_warm_start_fit_starts_afresh(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick_classifier().fit(X_train, y_train)
        once = model.decision_function(X_test)
        before = model.identification_threshold_
        model.partial_fit(X_train, y_train).set_threshold(5)
        model.set_threshold(5, task="identification").enroll(X_test, 9)
        model.fit(X_train, y_train)
        np.testing.assert_array_equal(model.decision_function(X_test), once)
        assert model.n_iter_ == 3
        assert model.threshold_ != 5
        assert model.identification_threshold_ == before

    @pytest.mark.slow
    def test_refit_on_the_other_kind(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick_classifier().fit(X_train, y_train)
        assert model.fit(
            *make_pairs(X_train, y_train, random_state=0)
        ).classes_.tolist() == [0, 1]
        with pytest.raises(ValueError, match="Nothing is enrolled"):
            model.predict(X_test)
        assert model.fit(X_train, y_train).classes_.tolist() == [0, 1, 2]

    @pytest.mark.parametrize(
        "changed", [{"architecture": "pseudo_siamese"}, {"head": "product"}]
    )
    def test_what_the_net_is_built_with_must_not_change_under_it(self, halves, changed):
        model = quick_classifier(loss="hinge").fit(halves[0], halves[2])
        (name,) = changed
        with pytest.raises(ValueError, match=f"`{name}` is .* was built with"):
            model.set_params(**changed).partial_fit(halves[0], halves[2])

    @pytest.mark.parametrize("y", [np.array(["a", "b", "c"]), np.array([0, 1, 2])])
    def test_names_of_another_kind_are_refused_before_training(self, halves, y):
        X_train, X_test, y_train, _ = halves
        model = quick_classifier().fit(*make_pairs(X_train, y_train, random_state=0))
        model.enroll(X_test[:2], "ann" if y.dtype.kind == "i" else 5)
        before = model.decision_function(X_test)
        with pytest.raises(ValueError, match="must be of the same kind"):
            model.partial_fit(X_train, y[y_train])
        np.testing.assert_array_equal(model.decision_function(X_test), before)
        assert model.n_iter_ == len(model.history_) == 3


FAILURES = {
    "one class": ({}, lambda X, y: (X, np.zeros(len(X)))),
    "no labels": ({}, lambda X, y: (X, None)),
    "NaN": ({}, lambda X, y: (np.full_like(X, np.nan), y)),
    "other width, bad labels": ({}, lambda X, y: (X[:, :2], y + 0.5)),
    "pairs of one kind": ({}, lambda X, y: (Pairs(X, X), np.ones(len(X)))),
    "pairs of two shapes": (
        {"architecture": "pseudo_siamese"},
        lambda X, y: (Pairs(X, X[:, :2]), y),
    ),
    "architecture": ({"architecture": "siameze"}, lambda X, y: (X, y)),
    "head": ({"head": "prodct", "loss": "hinge"}, lambda X, y: (X, y)),
    "loss without logits": ({"architecture": "two_channel"}, lambda X, y: (X, y)),
    "two channels and no labels": (
        ARCHITECTURES["two_channel"],
        lambda X, y: (X, None),
    ),
    "tower": ({"tower": nn.Linear(3, 6)}, lambda X, y: (X, y)),
    "learning rate": ({"lr": -1.0}, lambda X, y: (X, y)),
    "n_references": ({"n_references": 0}, lambda X, y: (X, y)),
}


class TestFailures:
    @pytest.mark.parametrize("failure", FAILURES)
    @pytest.mark.parametrize(
        "name", ["contrastive", pytest.param("two channels", marks=pytest.mark.slow)]
    )
    def test_a_failed_fit_leaves_the_fitted_model(self, models, halves, failure, name):
        X_train, X_test, y_train, _ = halves
        parameters, data = FAILURES[failure]
        model = models(name).enroll(X_test[:2], 9)
        pairs = Pairs(X_test[:30], X_test[30:60])
        before = (
            model.decision_function(X_test),
            model.predict(pairs),
            model.threshold_,
            model.history_[:],
        )
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

        monkeypatch.setattr(_calibration, "choose_threshold", fail)
        with pytest.raises(KeyboardInterrupt):
            model.set_params(n_components=3).fit(X_train, y_train)
        np.testing.assert_array_equal(model.decision_function(X_test), before)

    @pytest.mark.parametrize(
        ("parameters", "kind", "message"),
        [
            (
                {"architecture": "siameze"},
                ValueError,
                "`architecture` must be .* Did you mean 'siamese'",
            ),
            ({"architecture": "two_chanel"}, ValueError, "Did you mean 'two_channel'"),
            (
                {"loss": "hinge", "head": "diference"},
                ValueError,
                "`head` must be .* Did you mean 'difference'",
            ),
            (
                {"loss": "contrastiv"},
                ValueError,
                "`loss` must be .* Did you mean 'contrastive'",
            ),
            (
                {"loss": "hinge", "head": nn.Linear(2, 1)},
                ValueError,
                r"`head` failed on `left` and `right` of shape \(2, 6\): ",
            ),
            ({"loss": "hinge", "head": DistanceHead}, TypeError, "pass an instance"),
            (
                {"n_references": 0},
                ValueError,
                "`n_references` must be an integer of at least 1.* or None",
            ),
            ({"n_references": 2.5}, TypeError, "`n_references`"),
            ({"validation_split": "class"}, ValueError, "Did you mean 'classes'"),
            ({"validation_fraction": 1.0}, ValueError, "`validation_fraction`"),
            (
                {"tower": ("mlp", "mlp")},
                ValueError,
                r"tuple.*architecture=.pseudo_siamese.",
            ),
            (
                {"architecture": "pseudo_siamese", "tower": ("mlp",)},
                ValueError,
                r"`tower` must .* tuple of two, \(left, right\), .*; got a tuple of 1",
            ),
            (
                {"architecture": "two_channel", "loss": "contrastive"},
                ValueError,
                "'two_channel' returns logits, .*`loss`='contrastive' needs emb.*; "
                "use one of 'binary_cross_entropy', 'hinge'",
            ),
            (
                {"architecture": "two_channel", "loss": TripletLoss()},
                ValueError,
                "`loss`=TripletLoss needs embeddings; use one of ",
            ),
            ({"device": "gpu"}, ValueError, "`device`"),
        ],
    )
    def test_bad_parameters(self, halves, parameters, kind, message):
        with pytest.raises(kind, match=message):
            quick_classifier(**parameters).fit(halves[0], halves[2])

    def test_labels_are_needed(self, halves):
        with pytest.raises(ValueError, match="requires y to be passed"):
            quick_classifier().fit(halves[0])
        with pytest.raises(ValueError, match="one class with 2 samples"):
            quick_classifier().fit(halves[0], np.arange(75))

    def test_a_loss_on_labels_takes_no_pairs(self, halves):
        with pytest.raises(
            TypeError, match=r"`loss` is 'supcon', .*Use one of 'contrastive'"
        ):
            quick_classifier(loss="supcon").fit(
                *make_pairs(halves[0], halves[2], random_state=0)
            )
