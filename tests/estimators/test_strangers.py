"""Classes left out of brief trainings, and the threshold that they give."""

import copy
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from siamese_sklearn import SiamesePairClassifier
from siamese_sklearn._estimators.class_folds import ClassFold
from siamese_sklearn._estimators.gallery import Gallery
from siamese_sklearn._estimators.strangers import (
    LeftOut,
    StrangerSearches,
    Trained,
    search_left_out,
)
from siamese_sklearn.calibration import threshold_at_rate
from siamese_sklearn.distances import Euclidean

CLASSES = np.arange(3)


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(*shape, seed=0):
    return rng(seed).standard_normal(shape).astype(np.float32)


def gallery_of(rows, names):
    return Gallery().extended(rows, rows, names, None, rng())


class TestLeftOut:
    def test_best_reference_of_each_row_in_its_fold(self):
        """Two folds of two numbers each, the first of them from the input: at a weight
        of 0.2 its squares count 0.4 times, and those of the second 1.6 times.
        """
        target = np.array([0, 0, 1, 1, 2, 2])
        codes = normal(6, 2)
        parts = [([0, 1, 2, 3], [4, 5]), ([2, 3, 4], [0, 1])]
        folds = [
            ClassFold(np.array(a), np.array(b), codes[a], codes[b], width=1)
            for a, b in parts
        ]
        found = search_left_out(
            folds,
            target,
            CLASSES,
            0.2,
            None,
            Euclidean(),
            math.inf,
            rng(),
        )
        expected = [
            max(
                -np.sqrt(((codes[i] - codes[j]) ** 2 * [0.4, 1.6]).sum()) for j in known
            )
            for known, out in parts
            for i in out
        ]
        np.testing.assert_allclose(found.scores, expected, rtol=1e-5)
        assert found.n_classes == 2.0

    def test_as_many_references_as_the_gallery_takes(self):
        target = np.repeat([0, 1, 2], 20)
        known, out = np.arange(40), np.arange(40, 60)
        codes = normal(60, 3)
        fold = ClassFold(known, out, codes[known], codes[out], width=1)
        few, many = (
            search_left_out(
                [fold], target, CLASSES, 0.5, n, Euclidean(), math.inf, rng()
            )
            for n in (2, None)
        )
        assert np.all(few.scores <= many.scores)
        assert np.any(few.scores < many.scores)


def naive_best(searches, gallery, shift, trained):
    """By plain loops: the best score of a class that is not the search's own."""
    best = []
    for code, name in zip(searches.codes, searches.names, strict=True):
        scores = [-np.inf]
        for reference, label in zip(gallery.embeddings, gallery.labels, strict=True):
            other = gallery.classes[label]
            if other != name:
                both = name in trained and other in trained
                scores.append(-np.linalg.norm(code - reference) + shift * both)
        best.append(max(scores))
    return np.array(best)


class TestShift:
    @settings(max_examples=40)
    @given(
        seed=st.integers(0, 1000),
        n_new=st.integers(0, 3),
        target=st.sampled_from([0.01, 0.1, 0.3]),
    )
    def test_only_between_classes_of_training(self, seed, n_new, target):
        trained, draw = [0, 1, 2], rng(seed)
        names = np.repeat(np.arange(3 + n_new), 2)
        gallery = gallery_of(normal(len(names), 2, seed=seed), names)
        asked = draw.integers(0, 5, size=20)
        codes = normal(20, 2, seed=seed + 1)
        searches = StrangerSearches(codes, asked, target, codes)
        left_out = LeftOut(Trained(CLASSES), normal(30, seed=seed + 2), 2.0)
        assume(np.isin(asked, trained).any())
        found = searches.shifted(gallery, Euclidean(), math.inf, left_out)

        among = gallery.without(list(range(3, 3 + n_new)))
        ours = np.isin(asked, trained)
        usual = threshold_at_rate(
            naive_best(searches, among, 0.0, trained)[ours], target
        )
        wanted = threshold_at_rate(left_out.scores, target * 2 / 3)
        shift = max(wanted - usual, 0)
        assert found.shift == pytest.approx(shift, abs=1e-4)
        best = naive_best(searches, gallery, shift, trained)
        np.testing.assert_allclose(
            found.best_scores(gallery, Euclidean(), math.inf), best, atol=1e-4
        )

    @pytest.mark.parametrize("target", [0.01, 0.05, 0.2])
    def test_among_classes_of_training_the_threshold_is_that_of_those_left_out(
        self, target
    ):
        names = np.repeat(np.arange(4), 3)
        gallery = gallery_of(normal(12, 2), names)
        codes, asked = normal(50, 2, seed=1), np.arange(50) % 4
        left_out = LeftOut(Trained(np.arange(4)), normal(200, seed=2) + 5, 3.0)
        searches = StrangerSearches(codes, asked, target, codes)
        found = searches.shifted(gallery, Euclidean(), math.inf, left_out)
        wanted = threshold_at_rate(left_out.scores, target * 3 / 4)
        assert found.threshold(gallery, Euclidean(), math.inf) == pytest.approx(
            wanted, abs=1e-5
        )

    def test_searches_that_are_severe_enough_stay(self):
        gallery = gallery_of(normal(12, 2), np.repeat(np.arange(4), 3))
        codes, asked = normal(50, 2, seed=1), np.arange(50) % 4
        left_out = LeftOut(Trained(np.arange(4)), normal(200, seed=2) - 9, 3.0)
        searches = StrangerSearches(codes, asked, 0.1, codes)
        assert searches.shifted(gallery, Euclidean(), math.inf, left_out).shift == 0

    def test_a_class_that_is_forgotten_and_enrolled_again_is_known_again(self):
        names = np.array(["ann", "bo", "cy"])
        trained = Trained(names).named_by(names[[0, 2]])
        assert trained.names.tolist() == ["ann", "cy"]
        assert len(trained.gone) == 1
        assert "bo" not in str(trained.gone)
        assert trained.marks(names).tolist() == [True, False, True]
        again = trained.named_by(np.array(["ann", "bo", "eve"]))
        assert again.marks(np.array(["bo", "cy", "eve"])).tolist() == [1, 0, 0]
        assert len(again.gone) == 1

    def test_strangers_and_newcomers_are_not_shifted(self):
        gallery = gallery_of(normal(6, 2), np.repeat(np.arange(3), 2))
        codes, asked = normal(9, 2, seed=1), np.full(9, None, dtype=object)
        left_out = LeftOut(Trained(CLASSES), normal(30, seed=2), 3.0)
        searches = StrangerSearches(codes, asked, 0.1, codes)
        found = searches.shifted(gallery, Euclidean(), math.inf, left_out)
        assert found.shift == 0
        np.testing.assert_array_equal(
            found.best_scores(gallery, Euclidean(), math.inf),
            searches.best_scores(gallery, Euclidean(), math.inf),
        )


@pytest.fixture(scope="module")
def door():
    """Digits 0 to 7 are trained on, an 8 is enrolled, and a 9 comes."""
    X, y = load_digits(return_X_y=True)
    X = X / 16
    known = y < 8
    A, B, ya, yb = train_test_split(
        X[known], y[known], stratify=y[known], random_state=0
    )
    model = SiamesePairClassifier(unknown_label=-1, random_state=0).fit(A, ya)
    return model.enroll(X[y == 8][:5], 8), B, yb, X[y == 9]


class TestDoor:
    @pytest.mark.slow
    def test_few_strangers_are_named(self, door):
        """Without the shift, a quarter of them was, at a target of 1%."""
        model, B, yb, strangers = copy.deepcopy(door)
        model.calibrate_threshold(B, yb, strategy="fpir", target=0.01)
        assert np.mean(model.predict(strangers) != -1) <= 0.1
        assert np.mean(model.predict(B) == yb) >= 0.6

    @pytest.mark.slow
    def test_who_is_forgotten_and_comes_back_does_not_open_the_door(self, door):
        model, B, yb, strangers = copy.deepcopy(door)
        model.calibrate_threshold(B, yb, strategy="fpir", target=0.01)
        rows, names = model._gallery.rows, model.reference_labels_
        model.set_params(unknown_label=None)  # without warnings of confusions
        model.forget(range(8)).enroll(rows[names < 8], names[names < 8])
        model.set_params(unknown_label=-1)
        assert np.mean(model.predict(strangers) != -1) <= 0.1

    @pytest.mark.slow
    def test_training_goes_on_with_the_same_strangers(self, door):
        model, B, yb, strangers = copy.deepcopy(door)
        before = model._left_out.scores
        model.partial_fit(B, yb)
        assert model._left_out.scores is before
        assert np.mean(model.predict(strangers) != -1) <= 0.1
        assert model.fit(B[yb < 3], yb[yb < 3])._left_out is None  # too few classes
