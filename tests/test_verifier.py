"""Verification: scores of pairs, what is answered from them, and the threshold learned on held-out pairs."""

import copy
import itertools
import math
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from siamese_sklearn import Pairs, PairTransformer, SiamesePairClassifier, Triplets, make_pairs
from siamese_sklearn._estimators import verifier as _verifier
from siamese_sklearn.calibration import STRATEGIES, choose_threshold

CONFIGURATIONS = {
    "contrastive": {"loss": "contrastive"},
    "manhattan": {"loss": "contrastive", "distance": "manhattan", "normalize": False},
    "cosine": {"loss": "contrastive", "distance": "cosine"},
    "exponential": {"loss": "exponential"},
    "triplet": {"loss": "triplet"},
    "distance head": {"loss": "binary_cross_entropy"},
    "difference head": {"loss": "binary_cross_entropy", "head": "difference"},
    "product head": {"loss": "hinge", "head": "product"},
    "two towers": {"architecture": "pseudo_siamese", "loss": "contrastive"},
    "two towers, product head": {"architecture": "pseudo_siamese", "loss": "hinge", "head": "product"},
    "two channels": {"architecture": "two_channel", "loss": "hinge"},
}
ONE_SIDED = ["two towers", "two towers, product head"]
TARGETS = {"far": 0.1, "frr": 0.1}


def is_logit(name):
    return name.endswith(("difference head", "product head", "two channels"))


def quick(**parameters):
    return SiamesePairClassifier(
        **{"n_components": 6, "max_epochs": 4, "random_state": 0, "device": "cpu", **parameters}
    )


@pytest.fixture(scope="module")
def halves(iris):
    """Rows to train on and rows to test on, 75 and 75 of 3 classes."""
    X, y = iris
    return X[::2], X[1::2], y[::2], y[1::2]


@pytest.fixture(scope="module")
def pairs(halves):
    """120 pairs of rows that are not trained on, and which are the same."""
    return make_pairs(halves[1], halves[3], n_pairs=120, random_state=1)


@pytest.fixture(scope="module")
def models(halves):
    """Fitted models by the name of their configuration, made when first asked for."""
    fitted = {}

    def model(name):
        if name not in fitted:
            fitted[name] = quick(**CONFIGURATIONS[name]).fit(halves[0], halves[2])
        return copy.deepcopy(fitted[name])

    return model


@pytest.fixture(params=CONFIGURATIONS)
def configuration(request):
    return request.param


@pytest.fixture
def model(models, configuration):
    return models(configuration)


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
            both = [network.tower(torch.cat(order, dim=1)) for order in ((left, right), (right, left))]
        return ((both[0] + both[1]) / 2).squeeze(1).double().numpy()
    a, b = embeddings_of(model, pairs)
    difference, head = np.abs(a - b), getattr(model.net_.criterion_.loss, "head", None)
    weights = {} if head is None else {key: w.detach().double().numpy() for key, w in head.named_parameters()}
    if name == "difference head":
        return difference @ weights["weight"] + weights["bias"]
    if name.endswith("product head"):
        hidden = np.concatenate([difference, a * b], axis=1) @ weights["hidden.weight"].T
        hidden = np.maximum(hidden + weights["hidden.bias"], 0)
        return hidden @ weights["output.weight"][0] + weights["output.bias"][0]
    if name == "manhattan":
        return -difference.sum(axis=1)
    if name == "cosine":
        return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1) - 1
    return -np.sqrt((difference**2).sum(axis=1))


class TestScores:
    def test_scores_are_those_of_the_formula(self, configuration, model, pairs):
        pairs, _ = pairs
        score = model.pair_score(pairs)
        assert score.dtype == np.float32
        np.testing.assert_allclose(score, naive_score(configuration, model, pairs), atol=2e-5)
        assert len(np.unique(score)) > 60

    def test_distance_falls_as_the_score_rises(self, configuration, model, pairs):
        pairs, _ = pairs
        score, distance = model.pair_score(pairs), model.pair_distance(pairs)
        by_hand = [-math.log(1 / (1 + math.exp(-s))) if is_logit(configuration) else -s for s in score]
        np.testing.assert_allclose(distance, by_hand, rtol=1e-5, atol=1e-6)
        assert distance.dtype == np.float32
        assert distance.min() >= 0

    def test_sides_can_be_swapped_unless_each_has_its_own_tower(self, configuration, model, pairs):
        pairs, _ = pairs
        score, swapped = (model.pair_score(p) for p in (pairs, Pairs(pairs.right, pairs.left)))
        assert np.allclose(score, swapped, atol=1e-5) == (configuration not in ONE_SIDED)

    def test_answers_follow_from_score_and_threshold(self, model, pairs):
        pairs, _ = pairs
        score, answer, decision = (
            model.pair_score(pairs),
            model.predict(pairs),
            model.decision_function(pairs),
        )
        assert answer.tolist() == [int(float(s) >= model.threshold_) for s in score]
        np.testing.assert_array_equal(decision, [float(s) - model.threshold_ for s in score])
        assert answer.dtype == np.int64
        assert set(answer.tolist()) == {0, 1}

    def test_probabilities(self, model, pairs):
        """Columns different and same; they sum to one, rise with the score and turn at the threshold."""
        pairs, _ = pairs
        score, probability = model.pair_score(pairs), model.predict_proba(pairs)
        assert probability.shape == (len(pairs), 2)
        np.testing.assert_allclose(probability.sum(axis=1), 1)
        order = np.argsort(score)
        assert (np.diff(probability[order, 1]) >= 0).all()
        np.testing.assert_array_equal(probability.argmax(axis=1), model.predict(pairs))
        np.testing.assert_array_equal(probability[:, 1] >= 0.5, score >= model.threshold_)

    def test_accuracy_is_the_score(self, model, pairs):
        pairs, same = pairs
        right = [int(a == b) for a, b in zip(model.predict(pairs), same, strict=True)]
        assert model.score(pairs, same) == pytest.approx(sum(right) / len(right))
        weight = np.arange(len(right))
        assert model.score(pairs, same, weight) == pytest.approx(weight @ right / weight.sum())

    @pytest.mark.parametrize(
        "configuration", [name for name in CONFIGURATIONS if not (name in ONE_SIDED or is_logit(name))]
    )
    def test_a_row_is_the_same_as_itself_and_nothing_is_nearer(self, model, halves):
        X = halves[1]
        np.testing.assert_array_equal(model.pair_distance(Pairs(X, X)), 0)
        assert model.predict(Pairs(X, X)).all()

    @pytest.mark.parametrize("n", [1, 2])
    def test_few_pairs(self, model, pairs, n):
        pairs, _ = pairs
        np.testing.assert_allclose(model.pair_score(pairs[:n]), model.pair_score(pairs)[:n], atol=1e-5)
        assert model.predict_proba(pairs[:n]).shape == (n, 2)


class TestMetric:
    def test_metric_is_the_pair_distance(self, model, pairs):
        pairs, _ = pairs
        metric = model.get_metric()
        found = [metric(pairs.left[i], pairs.right[i]) for i in range(8)]
        assert all(isinstance(d, float) for d in found)
        np.testing.assert_allclose(found, model.pair_distance(pairs[:8]), atol=1e-5)

    def test_metric_keeps_the_model_of_its_moment(self, model, halves):
        X_train, X_test, y_train, _ = halves
        metric = model.get_metric()
        before = metric(X_test[0], X_test[40])
        model.partial_fit(X_train, y_train)
        model.set_params(random_state=1).fit(X_train, y_train)
        assert metric(X_test[0], X_test[40]) == before != model.get_metric()(X_test[0], X_test[40])
        assert pickle.loads(pickle.dumps(metric))(X_test[0], X_test[40]) == before

    def test_neighbours_by_the_metric(self, halves):
        X_train, X_test, y_train, _ = halves
        frame = pd.DataFrame(X_train, columns=list("abcd"))
        model = quick().fit(frame, y_train)
        found = KNeighborsClassifier(2, metric=model.get_metric(), algorithm="brute").fit(
            X_train[:9], range(9)
        )
        wanted = KNeighborsClassifier(2).fit(model.transform(frame[:9]), range(9))
        queries = X_test[:3]
        np.testing.assert_array_equal(
            found.kneighbors(queries, return_distance=False),
            wanted.kneighbors(
                model.transform(pd.DataFrame(queries, columns=list("abcd"))), return_distance=False
            ),
        )

    def test_metric_of_two_kinds_of_rows_takes_plain_ones(self, halves):
        """Names that each side was fitted with are not asked for, and are not lost either."""
        X = halves[0][:40]
        left, right = pd.DataFrame(X, columns=list("abcd")), pd.DataFrame(X[:, :2], columns=list("xy"))
        model = quick(architecture="pseudo_siamese").fit(Pairs(left, right), np.arange(40) % 2)
        distance = model.get_metric()(X[0], X[0, :2])
        assert distance == pytest.approx(model.pair_distance(Pairs(left[:1], right[:1]))[0], abs=1e-6)
        with pytest.raises(ValueError, match="feature names"):
            model.pair_distance(Pairs(left[:1], right[["y", "x"]][:1]))


class RowsSeen:
    """An `augment` that changes nothing and remembers which rows are trained on."""

    def __init__(self):
        self.rows = set()

    def __call__(self, batch):
        self.rows.update(map(tuple, batch.tolist()))
        return batch

    def saw(self, X):
        return np.array([tuple(row) in self.rows for row in np.asarray(X, dtype=np.float32).tolist()])


@pytest.fixture
def recorded(monkeypatch):
    """What the threshold was chosen from: the calls of `choose_threshold` and the pairs of row numbers."""
    calls, drawn = [], []
    draw = _verifier.held_out_pairs

    def record(same, score, *args, **options):
        calls.append((np.array(same), np.array(score)))
        return choose_threshold(same, score, *args, **options)

    def record_pairs(labels, held, rng):
        drawn.append(draw(labels, held, rng))
        return drawn[-1]

    monkeypatch.setattr(_verifier, "choose_threshold", record)
    monkeypatch.setattr(_verifier, "held_out_pairs", record_pairs)
    return calls, drawn


def distinct_rows(n_classes, n_each, seed=0):
    """Rows of which no two are equal, so that a row tells its number, and their classes."""
    y = np.repeat(np.arange(n_classes), n_each)
    X = 3 * np.eye(n_classes, 5)[y] + np.random.default_rng(seed).normal(size=(len(y), 5))
    return X.astype(np.float32), y


class TestHeldOutThreshold:
    @pytest.mark.parametrize("split", ["rows", "classes"])
    @pytest.mark.parametrize("name", ["contrastive", "product head", "two channels"])
    def test_it_is_learned_on_pairs_of_rows_that_are_not_trained_on(self, recorded, split, name):
        X, y = distinct_rows(6, 12)
        seen = RowsSeen()
        model = quick(
            **CONFIGURATIONS[name], augment=seen, validation_split=split, validation_fraction=0.34
        ).fit(X, y)
        calls, drawn = recorded
        (same, score), (rows, drawn_same) = calls[0], drawn[0]
        assert (len(calls), len(drawn)) == (1, 1)
        assert not seen.saw(X[rows.ravel()]).any()
        np.testing.assert_array_equal(same, drawn_same)
        np.testing.assert_array_equal(same, y[rows[:, 0]] == y[rows[:, 1]])
        assert same.mean() == 0.5
        np.testing.assert_allclose(score, model.pair_score(Pairs(X[rows[:, 0]], X[rows[:, 1]])), atol=1e-5)
        assert model.threshold_ == choose_threshold(same, score)
        trained = np.bincount(y[seen.saw(X)], minlength=6)
        if split == "rows":
            assert trained.tolist() == [8] * 6  # a third of 12 rows is held out of each class
        else:
            assert sorted(trained) == [0, 0, 12, 12, 12, 12]
            assert set(y[rows].ravel()) == set(np.flatnonzero(trained == 0))

    def test_without_two_held_out_rows_of_a_class_one_side_at_least_is_held_out(self, recorded):
        X, y = distinct_rows(8, 4)
        seen = RowsSeen()
        model = quick(augment=seen).fit(X, y)  # a tenth of 32 rows is held out: no two of a class, or few
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
        number = np.arange(len(pairs), dtype=np.float32)[
            :, None
        ]  # a column that tells the number of the pair
        pairs = pairs.map(lambda side: np.hstack([side, number]))
        seen = RowsSeen()
        model = quick(augment=seen, validation_split=split, validation_fraction=0.25).fit(pairs, same)
        held = ~seen.saw(pairs.left)
        np.testing.assert_array_equal(held, ~seen.saw(pairs.right))
        assert np.bincount(same[held]).tolist() == [20, 20]  # a quarter of 80 of each kind
        ((same_seen, score),) = recorded[0]
        np.testing.assert_array_equal(same_seen, same[held])
        np.testing.assert_allclose(score, model.pair_score(pairs[held]), atol=1e-5)
        assert model.threshold_ == choose_threshold(same_seen, score)

    def test_the_midpoint_is_accurate_on_pairs_not_seen(self, halves, pairs):
        """Three species of iris are told apart by their pairs: chance is one half."""
        parameters = {"loss": "contrastive", "max_epochs": 20, "lr": 3e-3, "validation_fraction": 0.3}
        model = quick(**parameters).fit(halves[0], halves[2])
        assert model.score(*pairs) > 0.85

    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_same_rows_stay_held_out_as_training_goes_on(self, halves, early_stopping):
        seen = RowsSeen()
        model = quick(augment=seen, warm_start=True, early_stopping=early_stopping, random_state=None)
        X = halves[0] + np.arange(75, dtype=np.float32)[:, None] / 1000  # no row comes twice
        model.fit(X, halves[2])
        learned = set(seen.rows)
        model.fit(X, halves[2]).partial_fit(X, halves[2])
        assert seen.rows == learned
        assert len(learned) < 75

    @pytest.mark.parametrize("kind", ["rows", "pairs"])
    def test_too_few_to_hold_out_is_a_warning_and_a_threshold_all_the_same(self, recorded, kind):
        X, y = np.float32([[0, 0], [0, 1], [5, 5], [5, 6], [9, 0]]), [0, 0, 1, 1, 2]
        given = (X, y) if kind == "rows" else (Pairs(X[[0, 2, 0, 3]], X[[1, 3, 2, 0]]), [1, 1, 0, 0])
        with pytest.warns(UserWarning, match="too few rows to hold some out.*calibrate_threshold") as caught:
            model = quick(max_epochs=40, lr=0.01).fit(*given)
        assert caught[0].filename == __file__
        same, score = recorded[0][0]
        assert model.threshold_ == choose_threshold(same, score)
        assert model.predict(Pairs(X[[0, 0]], X[[1, 2]])).tolist() == [1, 0]

    def test_enough_to_hold_out_is_no_warning(self):
        """One class of three rows is enough; the other classes may have one row each."""
        X = np.float32([[0, 0], [0, 1], [1, 0], [5, 5], [9, 0]])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            quick().fit(X, [0, 0, 0, 1, 2])
        assert [str(warning.message) for warning in caught] == []

    @pytest.mark.parametrize("kind", ["rows", "pairs"])
    @pytest.mark.parametrize("name", ["contrastive", "product head", "two channels"])
    def test_early_stopping_watches_the_area_under_the_curve(self, recorded, monkeypatch, kind, name):
        """The best epoch's weights come back, and with them the figure that was watched."""
        watched = []
        monkeypatch.setattr(
            _verifier, "roc_auc_score", lambda s, x: watched.append(s) or float(roc_auc_score(s, x))
        )
        X, y = distinct_rows(4, 15, seed=3)
        rows_or_pairs = (X, y) if kind == "rows" else make_pairs(X, y, random_state=0)
        parameters = {"n_iter_no_change": 2, "max_epochs": 40, "lr": 0.01, "validation_fraction": 0.3}
        model = quick(**CONFIGURATIONS[name], early_stopping=True, **parameters).fit(*rows_or_pairs)
        scores = model.history_[:, "valid_score"]
        assert len(scores) == model.n_iter_ < 40
        assert np.argmax(scores) == len(scores) - 3
        if kind == "rows":
            (rows, same), _ = recorded[1]  # drawn to watch, and drawn to learn the threshold
            score = model.pair_score(Pairs(X[rows[:, 0]], X[rows[:, 1]]))
        else:
            same, score = recorded[0][0]
        np.testing.assert_array_equal(watched[0], same)
        assert roc_auc_score(same, score) == pytest.approx(max(scores), abs=1e-3)

    def test_early_stopping_needs_pairs_of_both_kinds(self):
        X, _ = distinct_rows(4, 6)
        with pytest.raises(ValueError, match=r"`early_stopping=True` holds out.*fewer than 3 of one kind"):
            quick(early_stopping=True).fit(Pairs(X[:12], X[12:]), [1, 1] + [0] * 10)

    def test_too_few_classes_to_hold_out(self, halves):
        with pytest.raises(ValueError, match=r'validation_split="classes" holds out 2 classes'):
            quick(validation_split="classes").fit(halves[0], halves[2])


def all_pairs(y):
    """Every pair of two rows, and which are the same."""
    left, right = np.array(list(itertools.combinations(range(len(y)), 2))).T
    return left, right, (y[left] == y[right]).astype(int)


class TestCalibration:
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_on_pairs_it_is_the_choice_of_the_pure_function(self, model, pairs, strategy):
        pairs, same = pairs
        target = TARGETS.get(strategy)
        wanted = choose_threshold(same, model.pair_score(pairs), strategy, target=target)
        assert model.calibrate_threshold(pairs, same, strategy=strategy, target=target) is model
        assert model.threshold_ == wanted

    @pytest.mark.parametrize("strategy", STRATEGIES)
    @pytest.mark.parametrize("name", ["contrastive", "difference head", "two channels"])
    def test_on_rows_all_pairs_are_looked_at(self, models, halves, strategy, name):
        """10 + 6 rows: 45 + 15 same pairs and 10 * 6 = 60 different ones, so that balance leaves none out."""
        model, target = models(name), TARGETS.get(strategy)
        rows = np.concatenate([np.flatnonzero(halves[3] == 1)[:10], np.flatnonzero(halves[3] == 2)[:6]])
        X, y = halves[1][rows], halves[3][rows]
        left, right, same = all_pairs(y)
        assert np.bincount(same).tolist() == [60, 60]
        score = model.pair_score(Pairs(X[left], X[right]))
        model.calibrate_threshold(X, y, strategy=strategy, target=target)
        wanted = choose_threshold(same, score, strategy, target=target)
        assert model.threshold_ == pytest.approx(wanted, abs=1e-5)

    @pytest.mark.parametrize(
        ("strategy", "n_same", "n_different"),
        [("accuracy", 900, 900), ("f_beta", 900, 900), ("far", 900, 1875), ("eer", 900, 1875)],
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
        wanted = model.calibrate_threshold(halves[1], halves[3], strategy="eer").threshold_
        names = np.array(["x", "y", "z"])[halves[3]]
        assert (
            model.set_threshold(0).calibrate_threshold(halves[1], names, strategy="eer").threshold_ == wanted
        )

    @pytest.mark.parametrize("target", [0.0, 0.05, 0.3])
    def test_far_holds_and_accepts_the_most(self, model, pairs, target):
        """By trying every threshold."""
        pairs, same = pairs
        answer = model.calibrate_threshold(pairs, same, strategy="far", target=target).predict(pairs)
        score = model.pair_score(pairs)
        rates = [(np.mean(score[same == 0] >= t), np.mean(score[same == 1] >= t)) for t in [*score, math.inf]]
        best = max(accepted for wrongly, accepted in rates if wrongly <= target)
        assert np.mean(answer[same == 0]) <= target
        assert np.mean(answer[same == 1]) == best

    def test_beta_counts(self, models, pairs):
        model, (pairs, same) = models("contrastive"), pairs
        thresholds = [
            model.calibrate_threshold(pairs, same, strategy="f_beta", beta=beta).threshold_
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
            model.calibrate_threshold(halves[1], halves[3], strategy="accuracy").threshold_ for _ in range(2)
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
            ((pairs, 2 * same), {}, r"1 \(same\) and 0 \(different\) only; got \[0, 2\]"),
            ((pairs, same[:-1]), {}, "equally many rows; got 120 in X and 119 in y"),
            ((X, np.zeros(75)), {}, "at least 2 classes"),
            ((X, np.arange(75)), {}, "one class with 2 samples"),
            ((X[:, :3], y), {}, "X has 3 features, but SiamesePairClassifier is expecting 4"),
        ]
        for data, options, message in cases:
            with pytest.raises(ValueError, match=message):
                model.calibrate_threshold(*data, **options)
            assert model.threshold_ == before

    def test_rows_of_one_kind_calibrate_no_model_of_two(self, halves):
        X = halves[0][:40]
        model = quick(architecture="pseudo_siamese").fit(Pairs(X, X[:, :2]), np.arange(40) % 2)
        with pytest.raises(ValueError, match=r"shape \(4,\) and \(2,\).*pass Pairs\(left, right\)"):
            model.calibrate_threshold(X, halves[2][:40])
        model.calibrate_threshold(Pairs(X, X[:, :2]), np.arange(40) % 2, strategy="eer")

    def test_unfitted(self, halves):
        for call in (
            lambda: quick().calibrate_threshold(halves[0], halves[2]),
            lambda: quick().set_threshold(0),
            lambda: quick().pair_score(Pairs(halves[0], halves[0])),
            lambda: quick().get_metric(),
        ):
            with pytest.raises(NotFittedError):
                call()


class TestSetThreshold:
    @settings(max_examples=25, deadline=None)
    @given(place=st.integers(0, 119), threshold=st.none() | st.floats(-3, 3, width=32))
    def test_a_pair_that_reaches_it_is_the_same(self, models, pairs, place, threshold):
        model, (pairs, _) = models("contrastive"), pairs
        score = model.pair_score(pairs)
        threshold = float(score[place]) if threshold is None else threshold
        assert model.set_threshold(threshold) is model
        assert model.threshold_ == threshold
        assert model.predict(pairs).tolist() == [int(float(s) >= threshold) for s in score]
        np.testing.assert_array_equal(model.decision_function(pairs) >= 0, model.predict(pairs))

    def test_next_number_above_the_score_rejects(self, model, pairs):
        pairs, _ = pairs
        score = float(model.pair_score(pairs[:1])[0])
        assert model.set_threshold(score).predict(pairs[:1]).tolist() == [1]
        assert model.set_threshold(np.nextafter(score, math.inf)).predict(pairs[:1]).tolist() == [0]

    @pytest.mark.parametrize("threshold", [math.nan, math.inf, "0.5", None])
    def test_errors_leave_the_threshold(self, models, threshold):
        model = models("contrastive")
        before = model.threshold_
        with pytest.raises((ValueError, TypeError), match="`threshold` must be"):
            model.set_threshold(threshold)
        assert model.threshold_ == before


class TestBadPairs:
    def test_sides_of_different_length(self, halves):
        with pytest.raises(ValueError, match="equally many rows; `left` has 75, `right` has 74"):
            Pairs(halves[0], halves[1][:74])

    @pytest.mark.parametrize(
        ("same", "message"),
        [
            ([0, 1, 2] * 25, r"1 \(same\) and 0 \(different\) only; got \[0, 1, 2\]"),
            ([-1, 1, 1] * 25, r"got \[-1, 1\]. Replace -1 by 0"),
            ([1] * 75, "both 1 .same. and 0 .different.; got 1 class, all are same"),
            ([0] * 75, "got 1 class, all are different"),
            ([0, 1] * 30, "equally many rows; got 75 in X and 60 in y"),
            (None, "say.* which are the same.*got None"),
        ],
    )
    def test_bad_same(self, halves, same, message):
        with pytest.raises(ValueError, match=message):
            quick().fit(Pairs(halves[0], halves[1]), same)

    def test_wrong_shape_of_a_side(self, model, halves):
        X = halves[0]
        with pytest.raises(ValueError, match=r"Pairs.left: X has 3 features, but \w+ is expecting 4"):
            model.predict(Pairs(X[:, :3], X))
        with pytest.raises(ValueError, match=r"Pairs.right: X has 5 features, but \w+ is expecting 4"):
            model.predict(Pairs(X, np.hstack([X, X[:, :1]])))
        with pytest.raises(ValueError, match=r"Pairs.right: Input X contains NaN"):
            model.predict(Pairs(X, np.full_like(X, np.nan)))

    def test_sides_that_differ_need_two_towers(self, halves):
        X = halves[0]
        with pytest.raises(ValueError, match=r"Pairs.right: X has 2 features"):
            quick().fit(Pairs(X, X[:, :2]), np.arange(75) % 2)

    @pytest.mark.parametrize("method", ["predict", "decision_function", "predict_proba", "pair_score"])
    def test_triplets_are_no_pairs(self, models, halves, method):
        X = halves[0]
        with pytest.raises(TypeError, match=r"Pairs\(left, right\); got Triplets"):
            getattr(models("contrastive"), method)(Triplets(X, X, X))

    def test_rows_have_no_pair_score(self, models, halves):
        with pytest.raises(TypeError, match=r"Pairs\(left, right\); got ndarray"):
            models("contrastive").pair_score(halves[0])

    def test_fit_takes_no_triplets(self, halves):
        X = halves[0]
        with pytest.raises(TypeError, match="X must be rows or Pairs; got Triplets, which SiameseEmbedder"):
            quick().fit(Triplets(X, X, X))


class TestPipeline:
    def test_one_scaler_for_rows_and_for_both_sides_of_pairs(self, halves, pairs):
        X_train, X_test, y_train, y_test = halves
        pairs, same = pairs
        pipeline = make_pipeline(PairTransformer(StandardScaler()), quick(max_epochs=15, lr=3e-3))
        pipeline.fit(X_train, y_train)
        scaler = StandardScaler().fit(X_train)
        model = quick(max_epochs=15, lr=3e-3).fit(scaler.transform(X_train), y_train)
        np.testing.assert_array_equal(pipeline.predict(X_test), model.predict(scaler.transform(X_test)))
        np.testing.assert_array_equal(pipeline.predict(pairs), model.predict(pairs.map(scaler.transform)))
        np.testing.assert_array_equal(
            pipeline.predict_proba(pairs), model.predict_proba(pairs.map(scaler.transform))
        )
        assert pipeline.score(X_test, y_test) > 0.9
        assert pipeline.score(pairs, same) > 0.8

    def test_fitted_on_pairs(self, halves, pairs):
        pairs, same = pairs
        pipeline = make_pipeline(PairTransformer(StandardScaler()), quick(max_epochs=15, lr=3e-3))
        train_pairs, train_same = make_pairs(halves[0], halves[2], random_state=0)
        assert pipeline.fit(train_pairs, train_same).score(pairs, same) > 0.8
