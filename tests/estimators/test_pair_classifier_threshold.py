"""SiamesePairClassifier: the threshold, learned, calibrated or set."""

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

from models import CONFIGURATIONS, RowsSeen, quick_classifier
from siamese_sklearn import Pairs, make_pairs
from siamese_sklearn import calibration as _calibration
from siamese_sklearn._estimators import holdout as _holdout
from siamese_sklearn._estimators import pair_classifier as _pair_classifier
from siamese_sklearn.calibration import STRATEGIES, choose_threshold

TARGETS = {"far": 0.1, "frr": 0.1, "precision": 0.6}


@pytest.fixture
def recorded(monkeypatch):
    """What the threshold was chosen from: the calls of `choose_threshold` and the pairs
    of row numbers.
    """
    calls, drawn = [], []
    draw = _holdout.held_out_pairs

    def record(same, score, *args, **options):
        calls.append((np.array(same), np.array(score)))
        return choose_threshold(same, score, *args, **options)

    def record_pairs(labels, held, rng):
        drawn.append(draw(labels, held, rng))
        return drawn[-1]

    # one chooses in fit, the other in calibrate_threshold
    for module in (_calibration, _pair_classifier):
        monkeypatch.setattr(module, "choose_threshold", record)
    monkeypatch.setattr(_holdout, "held_out_pairs", record_pairs)
    return calls, drawn


def distinct_rows(n_classes, n_each, seed=0):
    """Rows of which no two are equal, so that a row tells its number, and their
    classes.
    """
    y = np.repeat(np.arange(n_classes), n_each)
    X = 3 * np.eye(n_classes, 5)[y] + np.random.default_rng(seed).normal(
        size=(len(y), 5)
    )
    return X.astype(np.float32), y


class TestHeldOutThreshold:
    @pytest.mark.slow
    @pytest.mark.parametrize("split", ["rows", "classes"])
    @pytest.mark.parametrize("name", ["contrastive", "product head", "two channels"])
    def test_it_is_learned_on_pairs_of_rows_that_are_not_trained_on(
        self, recorded, split, name
    ):
        X, y = distinct_rows(6, 12)
        seen = RowsSeen()
        model = quick_classifier(
            **CONFIGURATIONS[name],
            augment=seen,
            validation_split=split,
            validation_fraction=0.34,
        ).fit(X, y)
        calls, drawn = recorded
        (same, score), (rows, drawn_same) = calls[0], drawn[0]
        assert (len(calls), len(drawn)) == (1, 1)
        assert not seen.saw(X[rows.ravel()]).any()
        np.testing.assert_array_equal(same, drawn_same)
        np.testing.assert_array_equal(same, y[rows[:, 0]] == y[rows[:, 1]])
        assert same.mean() == 0.5
        np.testing.assert_allclose(
            score, model.pair_score(Pairs(X[rows[:, 0]], X[rows[:, 1]])), atol=1e-5
        )
        assert model.threshold_ == choose_threshold(same, score)
        trained = np.bincount(y[seen.saw(X)], minlength=6)
        if split == "rows":
            # a third of 12 rows is held out of each class
            assert trained.tolist() == [8] * 6
        else:
            assert sorted(trained) == [0, 0, 12, 12, 12, 12]
            assert set(y[rows].ravel()) == set(np.flatnonzero(trained == 0))

    def test_without_two_held_out_rows_of_a_class_one_side_at_least_is_held_out(
        self, recorded
    ):
        X, y = distinct_rows(8, 4)
        seen = RowsSeen()
        # a tenth of 32 rows is held out: no two of a class, or few
        model = quick_classifier(augment=seen).fit(X, y)
        rows, same = recorded[1][0]
        trained = seen.saw(X)
        assert 0 < np.sum(~trained) <= 4
        assert not (trained[rows[:, 0]] & trained[rows[:, 1]]).any()
        assert (rows[:, 0] != rows[:, 1]).all()
        np.testing.assert_array_equal(same, y[rows[:, 0]] == y[rows[:, 1]])
        assert np.isfinite(model.threshold_)

    @pytest.mark.parametrize("split", ["rows", "classes"])
    def test_given_pairs_are_held_out_by_pairs_of_both_kinds(self, recorded, split):
        X, y = distinct_rows(4, 20)
        pairs, same = make_pairs(X, y, random_state=0)
        # a column that tells the number of the pair
        number = np.arange(len(pairs), dtype=np.float32)[:, None]
        pairs = pairs.map(lambda side: np.hstack([side, number]))
        seen = RowsSeen()
        model = quick_classifier(
            augment=seen, validation_split=split, validation_fraction=0.25
        ).fit(pairs, same)
        held = ~seen.saw(pairs.left)
        np.testing.assert_array_equal(held, ~seen.saw(pairs.right))
        # a quarter of 80 of each kind
        assert np.bincount(same[held]).tolist() == [
            20,
            20,
        ]
        ((same_seen, score),) = recorded[0]
        np.testing.assert_array_equal(same_seen, same[held])
        np.testing.assert_allclose(score, model.pair_score(pairs[held]), atol=1e-5)
        assert model.threshold_ == choose_threshold(same_seen, score)

    @pytest.mark.slow
    def test_the_midpoint_is_accurate_on_pairs_not_seen(self, halves, pairs):
        """Three species of iris are told apart by their pairs: chance is one half."""
        parameters = {
            "loss": "contrastive",
            "max_epochs": 20,
            "lr": 3e-3,
            "validation_fraction": 0.3,
        }
        model = quick_classifier(**parameters).fit(halves[0], halves[2])
        assert model.score(*pairs) > 0.85

    @pytest.mark.slow
    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_same_rows_stay_held_out_as_training_goes_on(self, halves, early_stopping):
        seen = RowsSeen()
        model = quick_classifier(
            augment=seen,
            warm_start=True,
            early_stopping=early_stopping,
            random_state=None,
        )
        # no row comes twice
        X = halves[0] + np.arange(75, dtype=np.float32)[:, None] / 1000
        model.fit(X, halves[2])
        learned = set(seen.rows)
        model.fit(X, halves[2]).partial_fit(X, halves[2])
        assert seen.rows == learned
        assert len(learned) < 75

    @pytest.mark.parametrize("kind", ["rows", "pairs"])
    def test_too_few_to_hold_out_is_a_warning_and_a_threshold_all_the_same(
        self, recorded, kind
    ):
        X, y = np.float32([[0, 0], [0, 1], [5, 5], [5, 6], [9, 0]]), [0, 0, 1, 1, 2]
        given = (
            (X, y)
            if kind == "rows"
            else (Pairs(X[[0, 2, 0, 3]], X[[1, 3, 2, 0]]), [1, 1, 0, 0])
        )
        with pytest.warns(
            UserWarning, match="Too few rows to hold any out.*calibrate_threshold"
        ) as caught:
            model = quick_classifier(max_epochs=40, lr=0.01).fit(*given)
        assert caught[0].filename == __file__
        same, score = recorded[0][0]
        assert model.threshold_ == choose_threshold(same, score)
        assert model.predict(Pairs(X[[0, 0]], X[[1, 2]])).tolist() == [1, 0]

    def test_enough_to_hold_out_is_no_warning(self):
        """One class of three rows is enough; the other classes may have one row
        each.
        """
        X = np.float32([[0, 0], [0, 1], [1, 0], [5, 5], [9, 0]])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            quick_classifier().fit(X, [0, 0, 0, 1, 2])
        assert [str(warning.message) for warning in caught] == []

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["rows", "pairs"])
    @pytest.mark.parametrize("name", ["contrastive", "product head", "two channels"])
    def test_early_stopping_watches_the_area_under_the_curve(
        self, recorded, monkeypatch, kind, name
    ):
        """The best epoch's weights come back, and with them the figure that was
        watched.
        """
        watched = []
        monkeypatch.setattr(
            _pair_classifier,
            "roc_auc_score",
            lambda s, x: watched.append(s) or float(roc_auc_score(s, x)),
        )
        X, y = distinct_rows(4, 15, seed=3)
        rows_or_pairs = (X, y) if kind == "rows" else make_pairs(X, y, random_state=0)
        parameters = {
            "n_iter_no_change": 2,
            "max_epochs": 40,
            "lr": 0.01,
            "validation_fraction": 0.3,
        }
        model = quick_classifier(
            **CONFIGURATIONS[name], early_stopping=True, **parameters
        ).fit(*rows_or_pairs)
        scores = model.history_[:, "valid_score"]
        assert len(scores) == model.n_iter_ < 40
        assert np.argmax(scores) == len(scores) - 3
        if kind == "rows":
            # drawn to watch, and drawn to learn the threshold
            (rows, same), _ = recorded[1]
            score = model.pair_score(Pairs(X[rows[:, 0]], X[rows[:, 1]]))
        else:
            same, score = recorded[0][0]
        np.testing.assert_array_equal(watched[0], same)
        assert roc_auc_score(same, score) == pytest.approx(max(scores), abs=1e-3)

    def test_early_stopping_needs_pairs_of_both_kinds(self):
        X, _ = distinct_rows(4, 6)
        with pytest.raises(
            ValueError,
            match=r"`early_stopping=True` holds out.*fewer than 3 of one kind",
        ):
            quick_classifier(early_stopping=True).fit(
                Pairs(X[:12], X[12:]), [1, 1] + [0] * 10
            )

    def test_too_few_classes_to_hold_out(self, halves):
        with pytest.raises(
            ValueError, match=r'validation_split="classes" holds out 2 classes'
        ):
            quick_classifier(validation_split="classes").fit(halves[0], halves[2])


def all_pairs(y):
    """Every pair of two rows, and which are the same."""
    left, right = np.array(list(itertools.combinations(range(len(y)), 2))).T
    return left, right, (y[left] == y[right]).astype(int)


class TestCalibration:
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_on_pairs_it_is_the_choice_of_the_pure_function(
        self, model, pairs, strategy
    ):
        pairs, same = pairs
        target = TARGETS.get(strategy)
        wanted = choose_threshold(
            same, model.pair_score(pairs), strategy, target=target
        )
        assert (
            model.calibrate_threshold(pairs, same, strategy=strategy, target=target)
            is model
        )
        assert model.threshold_ == wanted

    @pytest.mark.slow
    @pytest.mark.parametrize("strategy", STRATEGIES)
    @pytest.mark.parametrize("name", ["contrastive", "difference head", "two channels"])
    def test_on_rows_all_pairs_are_looked_at(self, models, halves, strategy, name):
        """10 + 6 rows: 45 + 15 same pairs and 10 * 6 = 60 different ones, so that
        balance leaves none out.
        """
        model, target = models(name), TARGETS.get(strategy)
        rows = np.concatenate(
            [np.flatnonzero(halves[3] == 1)[:10], np.flatnonzero(halves[3] == 2)[:6]]
        )
        X, y = halves[1][rows], halves[3][rows]
        left, right, same = all_pairs(y)
        assert np.bincount(same).tolist() == [60, 60]
        score = model.pair_score(Pairs(X[left], X[right]))
        model.calibrate_threshold(X, y, strategy=strategy, target=target)
        wanted = choose_threshold(same, score, strategy, target=target)
        assert model.threshold_ == pytest.approx(wanted, abs=1e-5)

    @pytest.mark.parametrize(
        ("strategy", "n_same", "n_different"),
        [
            ("accuracy", 900, 900),
            ("f_beta", 900, 900),
            ("far", 900, 1875),
            ("eer", 900, 1875),
        ],
    )
    def test_kinds_are_balanced_where_balance_decides(
        self, models, halves, recorded, strategy, n_same, n_different
    ):
        """75 rows, 25 of each class: 3 * 300 same pairs, and 3 * 625 different ones."""
        models("contrastive").calibrate_threshold(
            halves[1], halves[3], strategy=strategy, target=TARGETS.get(strategy)
        )
        same, _ = recorded[0][-1]
        assert np.bincount(same).tolist() == [n_different, n_same]

    def test_classes_are_those_of_the_rows_not_of_fit(self, models, halves):
        model = models("contrastive")
        wanted = model.calibrate_threshold(
            halves[1], halves[3], strategy="eer"
        ).threshold_
        names = np.array(["x", "y", "z"])[halves[3]]
        assert (
            model.set_threshold(0)
            .calibrate_threshold(halves[1], names, strategy="eer")
            .threshold_
            == wanted
        )

    @pytest.mark.parametrize("target", [0.0, 0.05, 0.3])
    def test_far_holds_and_accepts_the_most(self, model, pairs, target):
        """By trying every threshold."""
        pairs, same = pairs
        answer = model.calibrate_threshold(
            pairs, same, strategy="far", target=target
        ).predict(pairs)
        score = model.pair_score(pairs)
        rates = [
            (np.mean(score[same == 0] >= t), np.mean(score[same == 1] >= t))
            for t in [*score, math.inf]
        ]
        best = max(accepted for wrongly, accepted in rates if wrongly <= target)
        assert np.mean(answer[same == 0]) <= target
        assert np.mean(answer[same == 1]) == best

    def test_beta_counts(self, models, pairs):
        model, (pairs, same) = models("contrastive"), pairs
        thresholds = [
            model.calibrate_threshold(
                pairs, same, strategy="f_beta", beta=beta
            ).threshold_
            for beta in (0.1, 10.0)
        ]
        assert thresholds[0] > thresholds[1]  # precision accepts less than recall

    def test_calibration_leaves_scores_and_probabilities_alone(self, model, pairs):
        pairs, same = pairs
        before = model.pair_score(pairs), model.predict_proba(pairs), model.threshold_
        model.calibrate_threshold(pairs, same, strategy="far", target=0.0)
        np.testing.assert_array_equal(model.pair_score(pairs), before[0])
        np.testing.assert_array_equal(model.predict_proba(pairs), before[1])
        assert model.threshold_ != before[2]

    def test_calibration_is_repeatable(self, models, halves):
        model = models("contrastive")
        first, second = (
            model.calibrate_threshold(
                halves[1], halves[3], strategy="accuracy"
            ).threshold_
            for _ in range(2)
        )
        assert first == second

    def test_errors_leave_the_threshold(self, models, halves, pairs):
        model, (pairs, same) = models("contrastive"), pairs
        before = model.threshold_
        X, y = halves[1], halves[3]
        cases = [
            ((pairs, same), {"strategy": "acuracy"}, "Did you mean 'accuracy'"),
            ((pairs, same), {"strategy": "far"}, "`target` must be given"),
            ((pairs, same), {"strategy": "far", "target": 2.0}, "`target` must be"),
            ((pairs, same), {"target": 0.1}, "`target` must be None"),
            ((pairs, same), {"strategy": "f_beta", "beta": 0.0}, "`beta` must be"),
            ((pairs, np.ones(120)), {}, "both 1 .same. and 0 .different.*all are same"),
            (
                (pairs, 2 * same),
                {},
                r"only 1 \(same\) and 0 \(different\); got \[0, 2\]",
            ),
            (
                (pairs, same[:-1]),
                {},
                "same number of rows; got 120 in `X` and 119 in `y`",
            ),
            ((X, np.zeros(75)), {}, "at least 2 classes"),
            ((X, np.arange(75)), {}, "one class with 2 samples"),
            (
                (X[:, :3], y),
                {},
                "X has 3 features, but SiamesePairClassifier is expecting 4",
            ),
        ]
        for data, options, message in cases:
            with pytest.raises(ValueError, match=message):
                model.calibrate_threshold(*data, **options)
            assert model.threshold_ == before

    def test_rows_of_one_kind_calibrate_no_model_of_two(self, halves):
        X = halves[0][:40]
        model = quick_classifier(architecture="pseudo_siamese").fit(
            Pairs(X, X[:, :2]), np.arange(40) % 2
        )
        with pytest.raises(
            ValueError, match=r"shape \(4,\) and \(2,\).*pass Pairs\(left, right\)"
        ):
            model.calibrate_threshold(X, halves[2][:40])
        model.calibrate_threshold(Pairs(X, X[:, :2]), np.arange(40) % 2, strategy="eer")

    def test_unfitted(self, halves):
        for call in (
            lambda: quick_classifier().calibrate_threshold(halves[0], halves[2]),
            lambda: quick_classifier().set_threshold(0),
            lambda: quick_classifier().pair_score(Pairs(halves[0], halves[0])),
            lambda: quick_classifier().get_metric(),
        ):
            with pytest.raises(NotFittedError):
                call()


class TestSetThreshold:
    @pytest.mark.slow
    @settings(max_examples=25)
    @given(place=st.integers(0, 119), threshold=st.none() | st.floats(-3, 3, width=32))
    def test_a_pair_that_reaches_it_is_the_same(self, models, pairs, place, threshold):
        model, (pairs, _) = models("contrastive"), pairs
        score = model.pair_score(pairs)
        threshold = float(score[place]) if threshold is None else threshold
        assert model.set_threshold(threshold) is model
        assert model.threshold_ == threshold
        assert model.predict(pairs).tolist() == [
            int(float(s) >= threshold) for s in score
        ]
        np.testing.assert_array_equal(
            model.decision_function(pairs) >= 0, model.predict(pairs)
        )

    def test_next_number_above_the_score_rejects(self, model, pairs):
        pairs, _ = pairs
        score = float(model.pair_score(pairs[:1])[0])
        assert model.set_threshold(score).predict(pairs[:1]).tolist() == [1]
        assert model.set_threshold(np.nextafter(score, math.inf)).predict(
            pairs[:1]
        ).tolist() == [0]

    @pytest.mark.parametrize("threshold", [math.nan, math.inf, "0.5", None])
    def test_errors_leave_the_threshold(self, models, threshold):
        model = models("contrastive")
        before = model.threshold_
        with pytest.raises((ValueError, TypeError), match="`threshold` must be"):
            model.set_threshold(threshold)
        assert model.threshold_ == before
