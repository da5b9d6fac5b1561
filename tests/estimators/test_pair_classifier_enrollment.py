"""SiamesePairClassifier: which references are kept, and enrolling and forgetting."""

import copy
import pickle
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from torch import nn

from models import (
    ARCHITECTURES,
    LEARNING,
    NOBODY,
    RowsSeen,
    naive_class_scores,
    quick_classifier,
)
from siamese_sklearn import MLPTower, Pairs, make_pairs


def plane(**parameters):
    """A model whose embedding is the row itself, as training hardly moves it."""
    tower = nn.Linear(2, 2)
    with torch.no_grad():
        tower.weight.copy_(torch.eye(2))
        tower.bias.zero_()
    return quick_classifier(
        n_components=2,
        tower=tower,
        normalize=False,
        lr=1e-9,
        max_epochs=1,
        **parameters,
    )


def clusters(n_each=20):
    """Two classes of three tight clusters each, sorted by cluster; and the number of
    the cluster.
    """
    centers = np.array([[0, 0], [10, 0], [0, 10], [50, 50], [60, 50], [50, 60]])
    cluster = np.repeat(np.arange(6), n_each)
    X = centers[cluster] + np.random.default_rng(0).normal(size=(6 * n_each, 2))
    return X.astype(np.float32), cluster // 3, cluster


class TestReferences:
    @pytest.mark.slow
    @pytest.mark.parametrize("n_references", [1, 4, 10])
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_there_are_no_more_of_a_class_than_asked_for(
        self, table, architecture, n_references
    ):
        X_train, _, y_train, _ = table
        model = quick_classifier(
            **ARCHITECTURES[architecture], n_references=n_references, max_epochs=1
        )
        gallery = model.fit(X_train, y_train)._gallery
        assert max(np.bincount(gallery.labels)) <= n_references
        assert min(np.bincount(gallery.labels)) >= 1
        rows = {
            tuple(row): label
            for row, label in zip(X_train.tolist(), y_train.tolist(), strict=True)
        }
        assert [
            rows[tuple(row)] for row in gallery.rows.tolist()
        ] == gallery.labels.tolist()

    def test_they_are_spread_over_the_class_and_central_in_their_clusters(self):
        X, y, cluster = clusters()
        gallery = plane(n_references=3).fit(X, y)._gallery
        place = [int(np.flatnonzero((row == X).all(axis=1))[0]) for row in gallery.rows]
        assert sorted(cluster[place]) == [0, 1, 2, 3, 4, 5]
        for i in place:
            members = X[cluster == cluster[i]]
            distance = np.linalg.norm(members - members.mean(axis=0), axis=1)
            assert np.linalg.norm(X[i] - members.mean(axis=0)) == pytest.approx(
                distance.min(), rel=1e-4
            )

    def test_they_are_not_simply_the_first(self, table):
        X_train, _, y_train, _ = table
        gallery = (
            quick_classifier(n_references=3, max_epochs=1)
            .fit(X_train, y_train)
            ._gallery
        )
        first = [X_train[y_train == digit][:3].tolist() for digit in range(10)]
        chosen = [gallery.rows[gallery.labels == digit].tolist() for digit in range(10)]
        n_first = sum(
            row in first[digit] for digit in range(10) for row in chosen[digit]
        )
        assert n_first < 15  # of 30; by chance 6

    def test_none_keeps_all(self, table):
        X_train, _, y_train, _ = table
        gallery = (
            quick_classifier(n_references=None, max_epochs=1)
            .fit(X_train, y_train)
            ._gallery
        )
        assert sorted(gallery.rows.tolist()) == sorted(X_train.tolist())

    @pytest.mark.slow
    def test_few_of_many_rows_answer_nearly_as_well(self, table):
        X_train, X_test, y_train, y_test = table
        few, every = (
            quick_classifier(**LEARNING, n_references=n).fit(X_train, y_train)
            for n in (3, None)
        )
        assert few.score(X_test, y_test) > every.score(X_test, y_test) - 0.05

    def test_rows_held_out_may_be_references_and_classes_held_out_are_enrolled(
        self, table
    ):
        X_train, _, y_train, _ = table
        seen = RowsSeen()
        model = quick_classifier(
            augment=seen, validation_split="classes", max_epochs=1, tower="mlp"
        )
        model.fit(X_train, y_train)
        trained = {
            int(label)
            for row, label in zip(X_train, y_train, strict=True)
            if tuple(row) in seen.rows
        }
        assert len(trained) == 8
        assert model.classes_.tolist() == list(range(10))

    @pytest.mark.slow
    def test_pickle_and_prediction_do_not_grow_with_the_rows(self):
        rng = np.random.default_rng(0)
        sizes = []
        for n in (10_000, 20_000):  # a tenth is searched for, at most 1000
            X, y = rng.normal(size=(n, 30)).astype(np.float32), np.arange(n) % 4
            model = quick_classifier(
                max_epochs=1, tower=MLPTower(hidden_layer_sizes=(4,))
            ).fit(X, y)
            assert len(model._gallery) <= 120
            assert len(model._strangers.names) == 1000
            sizes.append(len(pickle.dumps(model)))
        assert sizes[1] < 1.1 * sizes[0]
        assert sizes[1] < 0.15 * X.nbytes


class TestEnrollment:
    @pytest.mark.slow
    def test_unseen_digits_are_known_from_a_few_examples(self, table):
        """Trained on 0 to 6; chance among ten digits is 0.1."""
        X_train, X_test, y_train, y_test = table
        model = quick_classifier(**LEARNING).fit(
            X_train[y_train < 7], y_train[y_train < 7]
        )
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
        np.testing.assert_allclose(
            model.decision_function(X_test[:6])[:, 3:], naive, atol=1e-5
        )

    @pytest.mark.parametrize("name", ["contrastive", "manhattan", "cosine"])
    def test_one_shot(self, models, halves, name):
        """Nothing is nearer than a row to itself, unless it has been enrolled before
        under another name.
        """
        X_test = halves[1]
        model = (
            models(name)
            .forget([0, 1, 2])
            .enroll(X_test[::9], [f"row {i}" for i in range(9)])
        )
        assert model.predict(X_test[::9]).tolist() == [f"row {i}" for i in range(9)]

    @pytest.mark.slow
    def test_more_rows_of_a_known_class_vote_beside_the_others(self, model, halves):
        X_train, X_test, y_train, _ = halves
        before = model.decision_function(X_test)
        model.enroll(X_test[:4], 1)
        after = model.decision_function(X_test)
        assert model.classes_.tolist() == [0, 1, 2]
        np.testing.assert_allclose(after[:, [0, 2]], before[:, [0, 2]], atol=1e-6)
        rows = np.concatenate([X_train[y_train == 1], X_test[:4]])
        wanted = naive_class_scores(model, rows, [1] * len(rows), X_test)[:, 0]
        np.testing.assert_allclose(after[:, 1], wanted, atol=1e-5)

    def test_one_label_serves_several_rows(self, models, halves):
        X_test = halves[1]
        once, each = models("contrastive"), models("contrastive")
        once.enroll(X_test[:5], 7)
        each.enroll(X_test[:5], [7] * 5)
        np.testing.assert_array_equal(
            once.decision_function(X_test), each.decision_function(X_test)
        )

    def test_enrolling_keeps_the_bound_on_references(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick_classifier(n_references=4).fit(X_train, y_train)
        model.set_threshold(**NOBODY)
        with pytest.warns(UserWarning, match="1 of 75 rows .* references already"):
            model.enroll(X_test, halves[3])  # two flowers are equal
        model.enroll(X_test, 9)
        assert np.bincount(model._gallery.labels).tolist() == [4, 4, 4, 4]

    def test_enrolling_is_repeatable(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick_classifier(n_references=2).fit(X_train, y_train)
        model.set_threshold(**NOBODY)
        first, second = (
            copy.deepcopy(model).enroll(X_test, 9)._gallery.rows for _ in range(2)
        )
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
        model = quick_classifier().fit(
            halves[0], np.array(["ann", "bob", "eve"])[halves[2]]
        )
        assert model.forget("ann").classes_.tolist() == ["bob", "eve"]
        assert model.forget(("eve",)).classes_.tolist() == ["bob"]

    @pytest.mark.parametrize(
        ("labels", "named"),
        [(5, r"\[5\]"), ([0, 5], r"\[5\]"), ([0, "x"], r"\['x'\]"), ("0", r"\['0'\]")],
    )
    def test_forgetting_an_unknown_label_is_an_error_and_all_stay(
        self, models, halves, labels, named
    ):
        model = models("contrastive")
        before = model.predict(halves[1])
        with pytest.raises(
            ValueError, match=rf"`labels` names classes that are not enrolled: {named}"
        ):
            model.forget(labels)
        assert model.classes_.tolist() == [0, 1, 2]
        np.testing.assert_array_equal(model.predict(halves[1]), before)

    def test_when_all_is_forgotten_pairs_are_still_told_apart(self, model, halves):
        pairs = Pairs(halves[1][:20], halves[1][20:40])
        before = model.predict(pairs)
        model.forget(model.classes_)
        for ask in (model.predict, model.predict_proba, model.decision_function):
            with pytest.raises(
                ValueError, match=r"Nothing is enrolled.*Call enroll\(X, y\).*Pairs"
            ):
                ask(halves[1])
        np.testing.assert_array_equal(model.predict(pairs), before)
        assert (
            model.enroll(halves[1][:1], "new").predict(halves[1]).tolist()
            == ["new"] * 75
        )

    def test_after_a_fit_on_pairs_nothing_is_enrolled(self, halves):
        X_train, X_test, y_train, _ = halves
        model = quick_classifier().fit(*make_pairs(X_train, y_train, random_state=0))
        assert model.classes_.tolist() == [0, 1]
        with pytest.raises(
            ValueError, match=r"Nothing is enrolled.*Call enroll\(X, y\)"
        ):
            model.predict(X_test)
        with pytest.raises(ValueError, match="Nothing is enrolled"):
            model.forget(0)
        assert model.enroll(X_train, y_train).classes_.tolist() == [0, 1, 2]
        assert model.predict_proba(X_test).shape == (75, 3)
        assert model.forget([0, 1, 2]).classes_.tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("X", "y", "message"),
        [
            (
                lambda X: X[:2],
                [1, 2, 3],
                "`X` and `y` must have the same number of rows; got 2 in `X` and 3 in",
            ),
            (lambda X: X[:2], [1, None], "NaN or None"),
            (lambda X: X[:2], [0.5, 1.5], "Unknown label type: continuous"),
            (
                lambda X: X[:2],
                "ann",
                r"must be of the same kind; got \[0, 1, 2\] and \['ann', 'ann'\]",
            ),
            (
                lambda X: X[:2, :3],
                1,
                "X has 3 features, but SiamesePairClassifier is expecting 4",
            ),
            (lambda X: X[0], 1, "Reshape your data"),
            (lambda X: np.full_like(X, np.nan), 1, "contains NaN"),
        ],
    )
    def test_what_cannot_be_enrolled_changes_nothing(
        self, models, halves, X, y, message
    ):
        model = models("contrastive")
        before = model.decision_function(halves[1])
        with pytest.raises(ValueError, match=message):
            model.enroll(X(halves[1]), y)
        np.testing.assert_array_equal(model.decision_function(halves[1]), before)

    def test_unfitted(self, halves):
        for call in (
            lambda: quick_classifier().enroll(halves[0], halves[2]),
            lambda: quick_classifier().forget(0),
            lambda: quick_classifier().predict(halves[0]),
            lambda: quick_classifier().predict(Pairs(halves[0], halves[1])),
            lambda: quick_classifier().predict_proba(halves[0]),
            lambda: quick_classifier().transform(halves[0]),
        ):
            with pytest.raises(NotFittedError):
                call()

    @pytest.mark.slow
    @settings(max_examples=25)
    @given(
        steps=st.lists(
            st.tuples(
                st.booleans(),
                st.sampled_from("abcd"),
                st.lists(st.integers(0, 74), min_size=1, max_size=3),
            ),
            max_size=6,
        )
    )
    def test_any_sequence_leaves_what_a_dictionary_would_hold(
        self, models, halves, steps
    ):
        X_test, book = halves[1], {}
        model = models("contrastive").forget([0, 1, 2])
        for enrolls, label, rows in steps:
            if enrolls:
                # an equal row of the first class that has it is found
                first = {row: name for name in sorted(book)[::-1] for row in book[name]}
                with (
                    pytest.warns(UserWarning, match="are references already")
                    if label in map(first.get, rows)
                    else nullcontext()
                ):
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
            labels, rows = zip(
                *((label, row) for label in book for row in book[label]), strict=True
            )
            naive = naive_class_scores(model, X_test[list(rows)], labels, X_test[:9])
            found = model.predict(X_test[:9])
            best = [
                naive[i, sorted(book).index(label)] for i, label in enumerate(found)
            ]
            np.testing.assert_allclose(best, naive.max(axis=1), atol=1e-6)


class TestNumbersOfReferences:
    @pytest.mark.parametrize("large", [10**19, 2**63, -(2**63) - 1])
    def test_ids_beyond_64_bits_are_refused(self, models, halves, large):
        model = models("contrastive")
        before = model.reference_ids_.tolist()
        with pytest.raises(ValueError, match=r"fit into int64.*Convert them to st"):
            model.enroll(halves[1][:1], 5, ids=[large])
        assert model.reference_ids_.tolist() == before

    def test_rows_are_numbered_on_from_large_ids(self, models, halves):
        model = models("contrastive").enroll(halves[1][:1], 50, ids=[2**63 - 2])
        model.enroll(halves[1][1:2], 51)
        assert model.reference_ids_.dtype == np.int64
        assert model.reference_ids_.tolist()[-2:] == [2**63 - 2, 2**63 - 1]
        with pytest.raises(ValueError, match="1 rows cannot be numbered on from"):
            model.enroll(halves[1][2:3], 52)
        with pytest.raises(ValueError, match="75 rows cannot be numbered"):
            model.partial_fit(halves[0], halves[2])
        assert model.enroll(halves[1][2:3], 52, ids=["c"]).reference_ids_[-1] == "c"

    def test_unsigned_ids_stay_integers(self, models, halves):
        model = models("contrastive").enroll(halves[1][:1], 50, ids=[np.uint64(2**62)])
        assert model.reference_ids_.dtype == np.int64
        assert model.reference_ids_[-1] == 2**62
