"""SiamesePairClassifier: strangers, the threshold that keeps them out, and the
references that are found.
"""

import copy
import pickle
import warnings

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.exceptions import NotFittedError

from models import CONFIGURATIONS, NOBODY, RowsSeen, quick_classifier
from siamese_sklearn import Pairs, make_pairs

CONFUSED = "would be named as another class"
SOME = [
    "contrastive",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("manhattan", "cosine", "product head", "two towers")
    ),
]
STEPS = {"strategy": "fpir", "target": 0.1}


def people(classes, n_each, seed):
    """Rows of some of 70 classes, each around its own center, and their classes."""
    centers = np.random.default_rng(0).normal(scale=2, size=(70, 5))
    y = np.repeat(classes, n_each)
    noise = np.random.default_rng(seed).normal(size=(len(y), 5))
    return (centers[y] + noise).astype(np.float32), y


def naive_best(model, rows, names):
    """Best score of each row with a class that is not its own, from the `pair_score` of
    all its references; none for a row that has no such class.
    """
    labels = model.reference_labels_.tolist()
    references, sharpness = model._gallery.rows, model._threshold.slope
    every = Pairs(
        np.repeat(rows, len(references), axis=0), np.tile(references, (len(rows), 1))
    )
    score = model.pair_score(every).reshape(len(rows), -1).astype(np.float64)
    best = []
    for row, name in zip(score, list(names), strict=True):
        votes = [
            logsumexp(sharpness * own, b=1 / len(own)) / sharpness
            for other in set(labels) - {name}
            if len(own := row[[label == other for label in labels]])
        ]
        if votes:
            best.append(max(votes))
    return np.array(best)


def naive_threshold(best, target):
    """Midway between the lowest score at which few enough are named and the next."""
    named = [score for score in best if np.mean(best >= score) <= target]
    if named:
        return (min(named) + max(best[best < min(named)])) / 2
    return max(best) + np.ptp(best) / (len(set(best)) - 1) / 2


def state(model):
    """All that a call that fails must leave as it was."""
    return (
        model.threshold_,
        model.identification_threshold_,
        model.classes_.tolist(),
        model.reference_ids_.tolist(),
        model.reference_labels_.tolist(),
        model._n_rows,
    )


@pytest.fixture(scope="module")
def gate():
    """Fitted classifiers by the name of their configuration, of classes 0 to 5, 120
    rows each, and which rows are held out. Each is fitted once, and given as a copy.
    """
    fitted = {}

    def model(name="contrastive"):
        if name not in fitted:
            seen = RowsSeen()
            X, y = people(range(6), 120, seed=1)
            parameters = {**CONFIGURATIONS[name], "unknown_label": -1}
            made = quick_classifier(
                **parameters, augment=seen, validation_fraction=0.3, n_references=4
            )
            made.fit(X, y)
            fitted[name] = made, ~seen.saw(X)
        return copy.deepcopy(fitted[name])

    return model


class TestThresholdOfFit:
    @pytest.mark.parametrize("name", SOME)
    def test_it_is_the_naive_one_of_the_rows_held_out(self, gate, name):
        model, held = gate(name)
        X, y = people(range(6), 120, seed=1)
        assert held.sum() == 216  # at 1 %, two are named
        best = naive_best(model, X[held], y[held])
        threshold = model.identification_threshold_
        assert threshold == pytest.approx(naive_threshold(best, 0.01), abs=1e-5)
        assert threshold != model.threshold_
        assert np.mean(best >= threshold) == 2 / 216

    def test_at_most_1000_are_searched_for_and_all_classes_alike(self):
        X, y = people(range(6), 500, seed=1)
        fewer = np.concatenate([np.arange(2600), np.arange(2600, 3000, 4)])
        model = quick_classifier(max_epochs=1, validation_fraction=0.5)
        count = np.bincount(model.fit(X[fewer], y[fewer])._strangers.names)
        assert count.sum() == 1000
        assert count[5] == 100  # half of all that there are
        assert np.ptp(count[:5]) <= 1

    def test_two_classes_are_enough(self, halves):
        X, y = halves[0][halves[2] > 0], halves[2][halves[2] > 0]
        seen = RowsSeen()
        model = quick_classifier(augment=seen).fit(X, y)
        held = ~seen.saw(X)
        wanted = naive_threshold(naive_best(model, X[held], y[held]), 0.01)
        assert model.identification_threshold_ == pytest.approx(wanted, abs=1e-5)

    @pytest.mark.parametrize("kind", ["two channels", "pairs"])
    def test_with_nothing_to_search_for_it_is_that_of_pairs(self, halves, kind):
        X, X_test, y, y_test = halves
        given = (X, y) if kind == "two channels" else make_pairs(X, y, random_state=0)
        parameters = CONFIGURATIONS["two channels" if kind != "pairs" else "triplet"]
        model = quick_classifier(**parameters).fit(*given)
        assert model.identification_threshold_ == model.threshold_
        model.set_threshold(0.5)
        assert model.identification_threshold_ == 0.5
        if kind == "pairs":
            model.enroll(X, y)
            assert model.identification_threshold_ == 0.5
        model.calibrate_threshold(X_test[::2], y_test[::2], **STEPS)
        best = naive_best(model, X_test[::2], y_test[::2])
        assert model.identification_threshold_ == pytest.approx(
            naive_threshold(best, 0.1), abs=1e-5
        )
        assert model.threshold_ == 0.5


class TestCalibration:
    @pytest.mark.parametrize("target", [0.02, 0.1, 0.5])
    @pytest.mark.parametrize("name", SOME)
    def test_it_is_the_lowest_that_keeps_to_the_target(self, gate, name, target):
        model, _ = gate(name)
        X, y = people(range(6), 30, seed=2)
        assert model.calibrate_threshold(X, y, strategy="fpir", target=target) is model
        best, threshold = naive_best(model, X, y), model.identification_threshold_
        assert threshold == pytest.approx(naive_threshold(best, target), abs=1e-5)
        assert np.mean(best >= threshold) <= target
        assert np.mean(best >= best[best < threshold].max()) > target

    def test_strangers_that_are_given(self, gate):
        model, _ = gate()
        strangers, y = people(range(20, 40), 5, seed=3)
        model.calibrate_threshold(None, None, strangers=strangers, **STEPS)
        threshold = model.identification_threshold_
        best = naive_best(model, strangers, [None] * 100)
        assert threshold == pytest.approx(naive_threshold(best, 0.1), abs=1e-5)
        assert np.mean(model.predict(strangers) != -1) == 0.1
        # so are rows of classes that are not enrolled
        model.set_threshold(0, task="identification").calibrate_threshold(
            strangers, y, **STEPS
        )
        assert model.identification_threshold_ == threshold

    def test_labels_of_another_kind_are_not_strangers(self, gate):
        model, _ = gate()
        X, y = people(range(6), 5, seed=3)
        before = state(model)
        with pytest.raises(ValueError, match="must be of the same kind"):
            model.calibrate_threshold(X, y.astype(str), **STEPS)
        assert state(model) == before

    def test_enrolled_classes_and_others_together(self, gate):
        model, _ = gate()
        X, y = people([0, 1, 2, 20, 21], 20, seed=3)
        model.calibrate_threshold(X, y, **STEPS)
        wanted = naive_threshold(naive_best(model, X, y), 0.1)
        assert model.identification_threshold_ == pytest.approx(wanted, abs=1e-5)

    def test_searches_of_the_only_class_do_not_count(self, gate):
        model, _ = gate()
        model.forget([1, 2, 3, 4, 5])
        X, y = people([0] * 5 + [20], 20, seed=3)
        with pytest.warns(
            UserWarning, match="`target`=0.1 .* 20 searches of strangers without an"
        ):
            model.calibrate_threshold(X, y, **STEPS)
        best = naive_best(model, X, y)
        assert len(best) == 20
        assert model.identification_threshold_ == pytest.approx(
            naive_threshold(best, 0.1), abs=1e-5
        )

    def test_a_target_beyond_the_data_is_a_warning(self, gate):
        model, _ = gate()
        X, y = people(range(6), 5, seed=2)  # 30 searches
        model.calibrate_threshold(X, y, strategy="fpir", target=0.1)
        with pytest.warns(UserWarning, match=r"is below 3/30 = 0\.1.*at least 34 sear"):
            model.calibrate_threshold(X, y, strategy="fpir", target=0.09)

    def test_at_most_5000_are_searched_for(self, gate):
        model, _ = gate()
        X, y = people(range(6), 1000, seed=2)
        model.calibrate_threshold(X, y, **STEPS)
        count = np.bincount(model._strangers.names)
        assert count.sum() == 5000
        assert np.ptp(count) <= 1

    def test_it_is_repeatable(self, gate):
        X, y = people(range(6), 1000, seed=2)
        first, second = (
            gate()[0].calibrate_threshold(X, y, **STEPS).identification_threshold_
            for _ in range(2)
        )
        assert first == second

    def test_each_task_has_its_own_threshold(self, gate):
        model, _ = gate()
        X, y = people(range(6), 30, seed=2)
        pairs, of_fit = model.threshold_, model.identification_threshold_
        model.calibrate_threshold(X, y, **STEPS).set_threshold(9, task="identification")
        assert (model.threshold_, model.identification_threshold_) == (pairs, 9)
        model, _ = gate()
        model.calibrate_threshold(X, y, strategy="far", target=0.1).set_threshold(7)
        model.set_threshold(8, task="verification")
        assert (model.threshold_, model.identification_threshold_) == (8, of_fit)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"target": None}, "`target` must be given for strategy 'fpir'"),
            *[
                (
                    {"target": target},
                    "`target` must be a finite number above 0 and .*1;",
                )
                for target in (0, 1, 1.5, np.nan)
            ],
            (
                {"strategy": "far", "strangers": np.zeros((1, 5))},
                "`strangers` must be None for strategy 'far'; only 'fpir' uses them",
            ),
            (
                {"X": Pairs(np.zeros((2, 5)), np.zeros((2, 5)))},
                "must be rows .*; got P",
            ),
            ({"X": np.zeros((180, 4))}, "X has 4 features"),
            ({"strangers": np.zeros((180, 4))}, "X has 4 features"),
            ({"strangers": np.zeros((0, 5))}, "0 sample"),
            ({"y": [1, 2]}, "the same number of rows; got 180 in `X` and 2 in `y`"),
        ],
    )
    def test_errors_leave_all_as_it_was(self, gate, options, message):
        model, _ = gate()
        X, y = people(range(6), 30, seed=2)
        before = state(model)
        with pytest.raises((ValueError, TypeError), match=message):
            model.calibrate_threshold(**{"X": X, "y": y, **STEPS, **options})
        assert state(model) == before

    def test_two_classes_leave_no_strangers(self, gate):
        model, _ = gate()
        before = state(model.forget([2, 3, 4, 5]))
        X, y = people(range(2), 30, seed=2)
        with pytest.raises(ValueError, match="no strangers: 2 classes are enrolled"):
            model.calibrate_threshold(X, y, **STEPS)
        assert state(model) == before
        model.calibrate_threshold(X, y, strangers=people([9], 30, seed=2)[0], **STEPS)

    def test_a_gallery_is_needed(self, gate):
        model, _ = gate()
        X, y = people(range(6), 30, seed=2)
        with pytest.raises(ValueError, match="Nothing is enrolled"):
            model.forget(model.classes_).calibrate_threshold(X, y, **STEPS)

    def test_unknown_task(self, gate):
        model, _ = gate()
        before = state(model)
        with pytest.raises(ValueError, match=r"`task` must be one of .*; got 'verify'"):
            model.set_threshold(0, task="verify")
        with pytest.raises((ValueError, TypeError), match="`threshold` must be"):
            model.set_threshold(np.nan, task="identification")
        assert state(model) == before


class TestGalleryThatChanges:
    @pytest.mark.parametrize("name", SOME)
    def test_the_rate_holds_in_a_gallery_of_ten_times_as_many(self, gate, name):
        model, _ = gate(name)
        X, y = people(range(6), 30, seed=2)
        first = model.calibrate_threshold(X, y, **STEPS).identification_threshold_
        crowd = people(range(6, 66), 1, seed=4)
        if name == "two towers":  # references are no queries
            model.enroll(*crowd)
        else:
            with pytest.warns(UserWarning, match=CONFUSED):
                model.enroll(*crowd)
        threshold, best = model.identification_threshold_, naive_best(model, X, y)
        assert threshold > first
        assert np.mean(best >= first) > 0.15
        assert np.mean(best >= threshold) == 0.1
        assert threshold == pytest.approx(naive_threshold(best, 0.1), abs=1e-5)
        fresh = copy.deepcopy(model).calibrate_threshold(X, y, **STEPS)
        assert fresh.identification_threshold_ == threshold
        # classes that are forgotten are strangers from then on
        model.forget([0, 1, *range(10, 66)])
        best = naive_best(model, X, y)
        assert model.identification_threshold_ == pytest.approx(
            naive_threshold(best, 0.1), abs=1e-5
        )

    def test_forgetting_what_was_enrolled_restores_it(self, gate):
        model, _ = gate()
        first = model.identification_threshold_
        with pytest.warns(UserWarning, match=CONFUSED):
            model.enroll(*people(range(6, 66), 1, seed=4))
        assert model.identification_threshold_ != first
        assert model.forget(range(6, 66)).identification_threshold_ == first
        model.forget(range(6))
        assert model.identification_threshold_ == first
        model.enroll(*people([0], 1, seed=4))
        assert model.identification_threshold_ < first  # five strangers, one reference

    def test_one_that_was_set_stays(self, gate):
        model, _ = gate()
        model.set_threshold(**NOBODY)
        model.enroll(*people(range(6, 66), 1, seed=4)).forget([0, 1])
        assert model.identification_threshold_ == 1e9

    def test_training_goes_on(self, gate):
        model, _ = gate()
        X, y = people(range(6), 30, seed=2)
        for given in ((X, y), make_pairs(X, y, random_state=0)):
            before = model.identification_threshold_
            model.partial_fit(*given)
            searches = model._strangers
            best = naive_best(model, searches.rows, searches.names)
            threshold = model.identification_threshold_
            assert threshold != before
            assert threshold == pytest.approx(naive_threshold(best, 0.01), abs=1e-5)

    def test_a_fit_that_goes_on_starts_with_an_empty_gallery(self, halves):
        X, X_test, y, _ = halves
        model = quick_classifier(warm_start=True).fit(X, y)
        model.set_threshold(**NOBODY).enroll(X_test[:2], 9, ids=["photo", 99])
        model.fit(X, y)
        assert set(model.reference_ids_.tolist()) <= set(range(75))
        searches = model._strangers
        best = naive_best(model, searches.rows, searches.names)
        assert model.identification_threshold_ == pytest.approx(
            naive_threshold(best, 0.01), abs=1e-5
        )

    def test_a_pickle_goes_on_alike(self, gate):
        model, _ = gate()
        new = people(range(40, 60), 1, seed=4)
        copied = pickle.loads(pickle.dumps(model))
        assert state(copied) == state(model)
        for either in (model, copied):
            with pytest.warns(UserWarning, match=CONFUSED):
                either.enroll(*new, ids=[f"photo {i}" for i in range(20)])
        assert state(copied) == state(model)


class TestUnknown:
    @pytest.mark.parametrize("name", [*SOME, "two channels"])
    @pytest.mark.parametrize("n_classes", [6, 2, 1])
    def test_probability_and_prediction_agree(self, gate, name, n_classes):
        model, _ = gate(name)
        model.forget(range(n_classes, 6))
        known, y = people(range(n_classes), 10, seed=2)
        strangers, _ = people(range(10, 40), 2, seed=2)
        model.calibrate_threshold(known, y, strangers=strangers, **STEPS)
        X = np.concatenate([known, strangers])
        probability, answer = model.predict_proba(X), model.predict(X)
        assert probability.shape == (len(X), n_classes)
        unknown = 1 - probability.sum(axis=1, keepdims=True)
        assert (unknown > 0).all()
        best = np.hstack([probability, unknown]).argmax(axis=1)
        np.testing.assert_array_equal(np.append(model.classes_, -1)[best], answer)
        assert np.mean(answer[len(known) :] == -1) == 0.9
        if n_classes > 1:
            assert (answer[: len(known)] != -1).any()
        closed = model.set_params(unknown_label=None).predict_proba(X)
        np.testing.assert_allclose(closed.sum(axis=1), 1)
        np.testing.assert_allclose(probability / (1 - unknown), closed, rtol=1e-6)


class TestNeighbors:
    @pytest.mark.parametrize(
        "name",
        [
            *("contrastive", "manhattan", "cosine"),
            *("product head", "two towers", "two channels"),
        ],
    )
    def test_they_are_those_of_every_distance(self, models, halves, name):
        model, X = models(name), halves[1][::7]
        references = model._gallery.rows
        n, m = len(X), len(references)
        every = Pairs(np.repeat(X, m, axis=0), np.tile(references, (n, 1)))
        naive = model.pair_distance(every).reshape(n, m)
        distances, ids = model.kneighbors(X, 7)
        assert distances.shape == ids.shape == (n, 7)
        assert distances.dtype == np.float32
        assert ids.dtype == model.reference_ids_.dtype == np.int64
        np.testing.assert_allclose(distances, np.sort(naive)[:, :7], atol=1e-5)
        place = {number: i for i, number in enumerate(model.reference_ids_.tolist())}
        found = np.vectorize(place.get)(ids)
        np.testing.assert_allclose(
            np.take_along_axis(naive, found, axis=1), distances, atol=1e-5
        )
        assert all(len(set(row)) == 7 for row in ids.tolist())
        np.testing.assert_array_equal(
            model.kneighbors(X, 7, return_distance=False), ids
        )
        np.testing.assert_array_equal(model.kneighbors(X, 1)[1], ids[:, :1])
        assert model.kneighbors(X)[1].shape == (n, 5)
        assert (np.sort(model.kneighbors(X, m)[1]) == np.arange(75)).all()

    @pytest.mark.parametrize(
        ("n_neighbors", "message"),
        [
            (0, "`n_neighbors` must be an integer of at least 1"),
            (2.5, "`n_neighbors` must be an integer"),
            (76, "`n_neighbors`=76 is more than the number of enrolled references, 75"),
        ],
    )
    def test_errors(self, models, halves, n_neighbors, message):
        with pytest.raises((ValueError, TypeError), match=message):
            models("contrastive").kneighbors(halves[1], n_neighbors)

    def test_nothing_is_enrolled(self, models, halves):
        model = models("contrastive").forget([0, 1, 2])
        assert model.reference_ids_.tolist() == model.reference_labels_.tolist() == []
        with pytest.raises(ValueError, match="Nothing is enrolled"):
            model.kneighbors(halves[1])

    def test_unfitted(self, halves):
        for call in (
            lambda model: model.kneighbors(halves[0]),
            lambda model: model.reference_ids_,
            lambda model: model.reference_labels_,
        ):
            with pytest.raises(NotFittedError):
                call(quick_classifier())


class TestIds:
    def test_references_of_fit_have_their_row_numbers(self, gate):
        model, _ = gate()
        X, y = people(range(6), 120, seed=1)
        ids = model.reference_ids_
        assert len(set(ids.tolist())) == len(ids) == 24
        np.testing.assert_array_equal(X[ids], model._gallery.rows)
        np.testing.assert_array_equal(y[ids], model.reference_labels_)

    def test_numbers_go_on(self, models, halves):
        X_test = halves[1]
        model = models("contrastive").enroll(X_test[:2], [7, 3])
        assert model.reference_ids_.tolist() == [*range(75), 76, 75]
        model.forget(7).enroll(X_test[2:3], 8)
        assert model.reference_ids_.tolist() == [*range(75), 76, 77]

    def test_partial_fit_numbers_its_rows_on(self, halves):
        X, _, y, _ = halves
        model = (
            quick_classifier(n_references=None).fit(X, y).partial_fit(X[:40], y[:40])
        )
        assert sorted(model.reference_ids_.tolist()) == [*range(115)]
        twice = np.concatenate([X, X[:40]])
        np.testing.assert_array_equal(twice[model.reference_ids_], model._gallery.rows)

    def test_numbers_that_were_given_are_not_given_again(self, models, halves):
        model = models("contrastive").enroll(halves[1][:2], 9, ids=[76, 100])
        model.enroll(halves[1][2:4], 9)
        assert model.reference_ids_[75:].tolist() == [76, 100, 101, 102]

    @pytest.mark.parametrize(
        "ids",
        [
            ["x", "y"],
            ["x", 200],
            np.array(["x", 200], dtype=object),
            np.array([2**63 - 1, 2**63 - 2], dtype=np.uint64),
            [-(2**63), 2**62],
        ],
    )
    def test_they_come_back_as_they_were(self, models, halves, ids):
        X_test = halves[1]
        model = models("contrastive").enroll(X_test[:2], 9, ids=ids)
        assert model.reference_ids_.tolist() == [*range(75), *list(ids)]
        model.enroll(X_test[2:3], 9, ids=["z"])
        assert model.reference_ids_.tolist()[75:] == [*list(ids), "z"]
        assert model.reference_ids_.dtype == object
        _, found = model.kneighbors(X_test[:3], 78)
        for row, wanted in zip(found.tolist(), [*list(ids), "z"], strict=True):
            assert len(set(row)) == 78
            assert wanted in row[:3]
        assert model.forget(9).reference_ids_.tolist() == [*range(75)]

    def test_texts_alone_and_those_of_rows_that_stay(self, models, halves):
        model = models("contrastive").forget([0, 1, 2]).set_params(n_references=3)
        names = [f"photo {i}" for i in range(20)]
        model.enroll(halves[1][:20], "ann", ids=names)
        ids = model.reference_ids_
        assert ids.dtype.kind == "U"
        assert len(ids) == 3
        rows = [names.index(name) for name in ids.tolist()]
        np.testing.assert_array_equal(halves[1][rows], model._gallery.rows)
        free = sorted(set(names) - set(ids.tolist()))
        model.enroll(halves[1][20:21], "bob", ids=free[:1])
        assert model.reference_ids_.tolist() == [*ids.tolist(), free[0]]

    @pytest.mark.parametrize(
        ("ids", "message"),
        [
            ([80], r"one for each of 2 rows; got int64 of shape \(1,\)"),
            ([[80, 81]], r"one for each of 2 rows; got int64 of shape \(1, 2\)"),
            (80, r"one for each of 2 rows; got int64 of shape \(\)"),
            ([80.0, 81.0], "must be integers or strings.*float64"),
            ([True, False], "must be integers or strings.*bool"),
            (["x", None], "must be integers or strings"),
            ([80, 80], r"`ids` must be unique, but \[80\] are given twice"),
            (["x", "x"], r"`ids` must be unique, but \['x'\] are given twice"),
            ([80, 3], r"`ids` must be unique, but \[3\] are taken by enrolled ref"),
        ],
    )
    def test_errors_leave_all_as_it_was(self, models, halves, ids, message):
        model = models("contrastive")
        before = state(model)
        with pytest.raises(ValueError, match=message):
            model.enroll(halves[1][:2], 9, ids=ids)
        assert state(model) == before


class TestWarningsOfEnroll:
    def test_rows_that_would_be_named_as_another_class(self, gate):
        model, _ = gate()
        X, _ = people([3, 3, 30], 1, seed=5)
        reference = model._gallery.rows[model.reference_labels_ == 3][0]
        X[1] = reference
        score = model.decision_function(X).max(axis=1)
        model.set_threshold((score[1] + max(score[[0, 2]])) / 2, task="identification")
        before = state(model)
        with pytest.warns(
            UserWarning,
            match="1 of 3 rows .*: row 1, of class 31, is most similar to the "
            "references of 3. Check",
        ) as caught:
            model.enroll(X, [3, 31, 32])
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert model.classes_.tolist() == [*range(6), 31, 32]
        # as an error it leaves all as it was
        model, _ = gate()
        model.set_threshold(before[1], task="identification")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UserWarning, match=CONFUSED):
                model.enroll(X, [3, 31, 32])
        assert state(model) == before

    def test_without_a_label_for_strangers_every_row_is_named(self, gate):
        model, _ = gate()
        X = model._gallery.rows[model.reference_labels_ == 3][:1]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.set_params(unknown_label=None).enroll(X, 31)

    def test_rows_that_are_references_already(self, gate):
        model, _ = gate()
        row, name = model._gallery.rows[-1:], model.reference_labels_[-1]
        number = model.reference_ids_[-1]
        with pytest.warns(
            UserWarning,
            match=f"1 of 1 rows .* already: row 0 is equal to reference {number} of "
            f"class {name}.",
        ) as caught:
            model.enroll(row, name)
        assert len(caught) == 1
        assert caught[0].filename == __file__

    def test_a_row_of_its_own_class_and_one_of_a_new_kind_are_no_warning(self, gate):
        model, _ = gate()
        X, y = people([0], 1, seed=5)
        model.enroll(X, y)
        scores = model.decision_function(people(range(10, 40), 1, seed=5)[0])
        far = int(scores.max(axis=1).argmin())
        model.enroll(people(range(10, 40), 1, seed=5)[0][[far]], 99)
        assert 99 in model.classes_


class TestUnknownLabelIsNoClass:
    def test_in_fit(self, halves):
        X, _, y, _ = halves
        for unknown in (1, 1.0, np.int8(1)):
            model = quick_classifier(unknown_label=unknown)
            with pytest.raises(ValueError, match=r"class in `y`.*Choose a label"):
                model.fit(X, y)
            assert not hasattr(model, "net_")
        names = np.array(["a", "b", "c"])[y]
        quick_classifier(unknown_label=1, max_epochs=1).fit(X, names)

    def test_in_enroll_and_partial_fit(self, halves):
        X, _, y, _ = halves
        model = quick_classifier(unknown_label=9, max_epochs=1).fit(X, y)
        with pytest.raises(ValueError, match="`unknown_label`=9 is a class in `y`"):
            model.enroll(X[:1], 9)
        with pytest.raises(ValueError, match="`unknown_label`=9 is a class in `y`"):
            model.partial_fit(X, np.where(y == 2, 9, y))
        assert model.classes_.tolist() == [0, 1, 2]
