"""SiamesePairClassifier: who a row is, or that it is unknown, among many references."""

import tracemalloc

import numpy as np
import pytest

from models import (
    EACH_CONFIGURATION,
    LEARNING,
    NOBODY,
    naive_class_scores,
    quick_classifier,
)
from siamese_sklearn import MLPTower, Pairs
from siamese_sklearn._estimators import gallery as _gallery


class TestIdentification:
    def test_scores_are_votes_of_the_references_of_each_class(self, model, halves):
        X_train, X_test, y_train, _ = halves
        queries = X_test[::5]
        naive = naive_class_scores(model, X_train, y_train, queries)
        np.testing.assert_allclose(model.decision_function(queries), naive, atol=1e-5)
        np.testing.assert_array_equal(model.predict(queries), naive.argmax(axis=1))

    def test_probabilities_sum_to_one_and_rank_as_the_decision(self, model, halves):
        X_test = halves[1]
        probability, decision = (
            model.predict_proba(X_test),
            model.decision_function(X_test),
        )
        assert probability.shape == decision.shape == (75, 3)
        np.testing.assert_allclose(probability.sum(axis=1), 1)
        np.testing.assert_array_equal(
            probability.argsort(axis=1), decision.argsort(axis=1)
        )
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

    @pytest.mark.slow
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
        model = quick_classifier().fit(X_train, names[y_train])
        assert model.classes_.tolist() == names.tolist()
        wanted = quick_classifier().fit(X_train, y_train)
        answer = model.predict(X_test)
        assert answer.dtype.kind == names.dtype.kind
        np.testing.assert_array_equal(answer, names[wanted.predict(X_test)])
        np.testing.assert_allclose(
            model.decision_function(X_test),
            wanted.decision_function(X_test)[:, np.argsort(names)],
            atol=1e-6,
        )

    def test_score_is_accuracy(self, models, halves):
        model = models("contrastive")
        _, X_test, _, y_test = halves
        right = [
            int(a == b) for a, b in zip(model.predict(X_test), y_test, strict=True)
        ]
        assert model.score(X_test, y_test) == pytest.approx(sum(right) / 75)
        weight = np.arange(75)
        assert model.score(X_test, y_test, weight) == pytest.approx(
            weight @ right / weight.sum()
        )


class TestUnknown:
    @pytest.mark.parametrize("label", ["unknown", -1, 99])
    def test_a_row_of_which_no_class_reaches_the_threshold(self, models, halves, label):
        X_train, X_test, y_train, _ = halves
        model = models("contrastive").set_params(unknown_label=label)
        naive = naive_class_scores(model, X_train, y_train, X_test)
        threshold = float(np.median(naive.max(axis=1)))
        model.set_threshold(threshold + 1e-4, task="identification")
        wanted = [
            int(np.argmax(scores)) if max(scores) >= threshold + 1e-4 else label
            for scores in naive.tolist()
        ]
        found = model.predict(X_test)
        assert found.tolist() == wanted
        assert 10 < sum(answer == label for answer in wanted) < 65
        assert found.dtype == (object if label == "unknown" else np.int64)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "name", ["difference head", "product head", "two channels"]
    )
    def test_a_score_of_just_the_threshold_reaches_it(self, models, halves, name):
        model = models(name).set_params(unknown_label=-1)
        score = float(model.decision_function(halves[1]).max(axis=1)[0])
        assert (
            model.set_threshold(score, task="identification").predict(halves[1])[0]
            != -1
        )
        assert (
            model.set_threshold(
                np.nextafter(np.float32(score), np.inf), task="identification"
            ).predict(halves[1])[0]
            == -1
        )

    @pytest.mark.parametrize("label", ["unknown", -1])
    def test_days_as_classes(self, halves, label):
        days = np.array(
            ["2020-01-01", "2021-01-01", "2022-01-01"], dtype="datetime64[D]"
        )
        model = quick_classifier(unknown_label=label).fit(halves[0], days[halves[2]])
        assert model.set_threshold(**NOBODY).predict(halves[1]).tolist() == [label] * 75
        assert set(
            model.set_threshold(-1e9, task="identification").predict(halves[1]).tolist()
        ) <= set(days.astype("datetime64[us]").tolist())

    def test_names_in_long_and_short(self, halves):
        names = np.array(["a", "b", "c"])
        model = (
            quick_classifier(unknown_label="stranger")
            .fit(halves[0], names[halves[2]])
            .set_threshold(**NOBODY)
        )
        assert model.predict(halves[1]).tolist() == ["stranger"] * 75
        assert model.set_params(unknown_label=0).predict(halves[1]).tolist() == [0] * 75

    @pytest.mark.parametrize("name", EACH_CONFIGURATION)
    def test_the_threshold_decides(self, models, halves, name):
        model = models(name).set_params(unknown_label="unknown")
        closed = models(name).predict(halves[1]).tolist()
        assert (
            model.set_threshold(-1e9, task="identification").predict(halves[1]).tolist()
            == closed
        )
        assert (
            model.set_threshold(**NOBODY).predict(halves[1]).tolist()
            == ["unknown"] * 75
        )

    @pytest.mark.slow
    def test_by_a_calibrated_threshold(self, table):
        """Trained and calibrated on 0 to 6: 7, 8 and 9 are strangers more often than
        the others.
        """
        X_train, X_test, y_train, y_test = table
        known, known_test = y_train < 7, y_test < 7
        model = quick_classifier(
            **LEARNING, loss="contrastive", unknown_label=-1, n_references=None
        )
        model.fit(X_train[known], y_train[known])
        model.calibrate_threshold(
            X_test[known_test], y_test[known_test], strategy="fpir", target=0.05
        )
        is_stranger = model.predict(X_test) == -1
        assert is_stranger[~known_test].mean() > is_stranger[known_test].mean() + 0.2

    def test_none_always_names_a_class(self, models, halves):
        assert set(
            models("contrastive").set_threshold(**NOBODY).predict(halves[1]).tolist()
        ) <= {0, 1, 2}

    @pytest.mark.parametrize("label", ["unknown", -1])
    def test_score_counts_strangers_that_are_told(self, models, halves, label):
        X_test, y_test = halves[1], halves[3]
        model = (
            models("contrastive")
            .set_params(unknown_label=label)
            .set_threshold(**NOBODY)
        )
        assert model.score(X_test, y_test) == 0
        truth = [label] * 15 + y_test[15:].tolist()
        assert model.score(X_test, truth) == pytest.approx(15 / 75)
        assert model.score(X_test, truth, sample_weight=[1] * 15 + [0] * 60) == 1
        with pytest.raises(ValueError, match=r"75|inconsistent"):
            model.score(X_test, truth[:-1])

    def test_pairs_are_not_concerned(self, models, halves):
        model = models("contrastive").set_params(unknown_label="unknown")
        model.set_threshold(1e9, task="verification")
        model.set_threshold(-1e9, task="identification")
        assert model.predict(Pairs(halves[1], halves[1])).tolist() == [0] * 75


class TestManyRows:
    @pytest.mark.slow
    def test_ten_thousand_are_found_among_ten_thousand_in_bounded_memory(self):
        """All distances at once would be 400 MB."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(10_000, 8)).astype(np.float32)
        pairs = Pairs(X[:40], X[40:80])
        model = quick_classifier(
            max_epochs=1,
            n_references=None,
            n_components=8,
            tower=MLPTower(hidden_layer_sizes=()),
        )
        model.fit(pairs, np.arange(40) % 2).enroll(X, np.arange(10_000))
        order = rng.permutation(10_000)
        tracemalloc.start()
        found = model.predict(X[order])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_array_equal(found, order)
        assert peak < 60e6

    @pytest.mark.slow
    def test_scores_of_all_classes_take_bounded_memory(self):
        """3,000 queries, 8,000 references of 5 classes: all scores at once would be 96
        MB.
        """
        rng = np.random.default_rng(0)
        X = rng.normal(size=(8_000, 4)).astype(np.float32)
        model = quick_classifier(
            max_epochs=1, n_references=None, tower=MLPTower(hidden_layer_sizes=())
        )
        model.fit(X[:200], np.arange(200) % 5).set_threshold(**NOBODY)
        with pytest.warns(UserWarning, match="200 of 8000 rows .* references already"):
            model.enroll(X, np.arange(8_000) % 5)
        tracemalloc.start()
        decision = model.decision_function(X[:3000])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert decision.shape == (3000, 5)
        assert peak < 60e6

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "name", ["difference head", "product head", "two towers", "two channels"]
    )
    def test_any_head_sees_a_block_of_queries_at_a_time(
        self, models, halves, monkeypatch, name
    ):
        model, blocks, room = models(name), [], 500
        scorer = type(model._scorer)
        score = scorer.cross

        def spy(*arguments):
            blocks.append(score(*arguments).shape)
            return score(*arguments)

        whole = model.decision_function(halves[1])
        monkeypatch.setattr(scorer, "cross", spy)
        assert _gallery._NUMBERS_AT_ONCE <= 2**22
        monkeypatch.setattr(_gallery, "_NUMBERS_AT_ONCE", room)
        np.testing.assert_allclose(model.decision_function(halves[1]), whole, atol=1e-5)
        if name != "two towers":  # a distance, which needs no function
            assert sum(rows for rows, _ in blocks) == 75
            assert max(rows * columns for rows, columns in blocks) <= room
            assert len(blocks) == 13  # 500 // 75 = 6 queries at a time


def test_several_unknown_labels_are_an_error(halves):
    with pytest.raises(
        TypeError, match=r"`unknown_label` must be one label or None; got \[-1, -2\]"
    ):
        quick_classifier(unknown_label=[-1, -2]).fit(halves[0], halves[2])


@pytest.mark.filterwarnings("error")
def test_a_threshold_beyond_float32_names_nobody(halves):
    model = quick_classifier(max_epochs=1, unknown_label=-1).fit(halves[0], halves[2])
    model.set_threshold(1e300, task="identification")
    assert model.predict(halves[1]).tolist() == [-1] * 75
