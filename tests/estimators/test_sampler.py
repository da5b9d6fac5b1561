"""`sampler`: batches of the user's own, and those of torch and other libraries."""

import functools
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler

from models import ARCHITECTURES, RowsSeen, quick, quick_classifier
from siamese_sklearn import Pairs, make_pairs, make_triplets
from siamese_sklearn.sampling import BalancedBatches, PairedBatches

each_estimator = pytest.mark.parametrize("make", [quick, quick_classifier])


class Shuffled:
    """Batches of the user's own: all rows in random order, the last batch shorter."""

    def __init__(self, labels, batch_size):
        self.n_rows, self.batch_size = len(labels), batch_size
        self.n_batches = -(-self.n_rows // batch_size)

    def epoch(self, rng):
        order = rng.permutation(self.n_rows)
        for start in range(0, self.n_rows, self.batch_size):
            yield order[start : start + self.batch_size]


def of_torch(labels, batch_size):
    """Torch's own samplers."""
    return BatchSampler(RandomSampler(range(len(labels))), batch_size, drop_last=False)


def in_order(labels, batch_size):
    """Batches of rows as they come."""
    rows = SequentialSampler(range(len(labels)))
    return BatchSampler(rows, batch_size, drop_last=True)


class Batches:
    """An `augment` that changes nothing and keeps the batches that it is given."""

    def __init__(self):
        self.given = []

    def __call__(self, batch):
        self.given.append(batch.clone())
        return batch

    def __deepcopy__(self, memo):
        return self

    def rows(self, X):
        """Row numbers of each batch; no two rows of X are equal."""
        number = {tuple(row): i for i, row in enumerate(X.tolist())}
        return [[number[tuple(row)] for row in batch.tolist()] for batch in self.given]


@pytest.fixture
def distinct():
    """60 rows of 4 classes, of which no two are equal."""
    y = np.arange(60) % 4
    X = np.random.default_rng(0).normal(size=(60, 5)) + y[:, None]
    return X.astype(np.float32), y


class TestBatches:
    def test_of_the_user_are_drawn_from_the_generator_of_the_fit(self, distinct):
        X, y = distinct
        fits = [Batches(), Batches(), Batches()]
        for batches, seed in zip(fits, (0, 0, 1), strict=True):
            parameters = {"batch_size": 25, "augment": batches, "random_state": seed}
            quick(sampler=Shuffled, max_epochs=2, **parameters).fit(X, y)
        first, again, other = (batches.rows(X) for batches in fits)
        assert [len(rows) for rows in first] == [25, 25, 10] * 2
        epochs = [np.concatenate(rows).tolist() for rows in (first[:3], first[3:])]
        assert [sorted(rows) for rows in epochs] == [list(range(60))] * 2
        assert epochs[0] != epochs[1]
        assert first == again != other

    def test_of_torch_are_seeded_as_the_fit_is(self, distinct):
        X, y = distinct
        fits = [Batches(), Batches(), Batches()]
        before = torch.get_rng_state()
        for batches, seed in zip(fits, (0, 0, 1), strict=True):
            parameters = {"batch_size": 25, "augment": batches, "random_state": seed}
            quick(sampler=of_torch, max_epochs=1, **parameters).fit(X, y)
        first, again, other = (batches.rows(X) for batches in fits)
        assert [len(rows) for rows in first] == [25, 25, 10]
        assert sorted(np.concatenate(first).tolist()) == list(range(60))
        assert first == again != other
        assert torch.equal(torch.get_rng_state(), before)

    def test_of_torch_in_the_order_that_it_says(self, distinct):
        X, y = distinct
        batches = Batches()
        parameters = {"batch_size": 16, "augment": batches, "max_epochs": 2}
        embedder = quick(sampler=in_order, **parameters).fit(X, y)
        assert batches.rows(X) == [list(range(i, i + 16)) for i in (0, 16, 32)] * 2
        assert [len(epoch["batches"]) for epoch in embedder.history_] == [3, 3]

    def test_of_another_library(self, distinct):
        samplers = pytest.importorskip("pytorch_metric_learning.samplers")

        def sampler(labels, batch_size):
            rows = samplers.MPerClassSampler(labels, m=4, length_before_new_iter=64)
            return BatchSampler(rows, batch_size, drop_last=True)

        X, y = distinct
        batches = Batches()
        parameters = {"batch_size": 16, "augment": batches, "max_epochs": 2}
        quick(sampler=sampler, **parameters).fit(X, y)
        found = batches.rows(X)
        assert len(found) == 2 * 64 // 16
        assert all(np.bincount(y[rows]).tolist() == [4, 4, 4, 4] for rows in found)

    def test_with_other_groups_than_the_default(self, distinct):
        X, y = distinct
        batches = Batches()
        sampler = functools.partial(BalancedBatches, samples_per_class=8)
        parameters = {"batch_size": 16, "augment": batches, "max_epochs": 1}
        quick(sampler=sampler, **parameters).fit(X, y)
        groups = [
            np.bincount(y[rows], minlength=4).tolist() for rows in batches.rows(X)
        ]
        # 15 rows of a class are cut into groups of 8 and 7
        assert {size for counts in groups for size in counts} == {0, 7, 8}

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
    def test_may_be_of_any_kind_of_integers(self, distinct, kind):
        X, y = distinct
        order = [list(range(i, 60, 3)) for i in range(3)]
        made = quick(sampler=lambda labels, size: [kind(rows) for rows in order])
        plain = quick(sampler=lambda labels, size: order)
        found = made.fit(X, y).transform(X)
        np.testing.assert_array_equal(found, plain.fit(X, y).transform(X))

    @each_estimator
    def test_the_default_is_balanced_batches(self, distinct, make):
        X, y = distinct
        default, given = (
            make(sampler=sampler).fit(X, y).transform(X)
            for sampler in (None, BalancedBatches)
        )
        np.testing.assert_array_equal(default, given)


class TestCall:
    def record(self, **parameters):
        """A sampler that notes what it is called with."""
        calls = []

        def sampler(labels, batch_size):
            calls.append((np.array(labels), batch_size))
            return BalancedBatches(labels, batch_size)

        return sampler, calls

    def test_gets_the_classes_as_integers_and_the_batch_size(self, distinct):
        X, y = distinct
        sampler, calls = self.record()
        names = np.array(["d", "c", "b", "a"])[y]
        quick(sampler=sampler, batch_size=12).fit(X, names)
        ((labels, batch_size),) = calls
        assert batch_size == 12
        assert labels.tolist() == (3 - y).tolist()  # sorted by name

    @pytest.mark.parametrize("split", ["rows", "classes"])
    def test_gets_the_rows_that_are_trained_on(self, distinct, split):
        X, y = distinct
        sampler, calls = self.record()
        seen = RowsSeen()
        parameters = {"validation_split": split, "validation_fraction": 0.3}
        model = quick_classifier(sampler=sampler, augment=seen, **parameters)
        model.fit(X, y)
        ((labels, _),) = calls
        assert labels.tolist() == y[seen.saw(X)].tolist()
        assert len(labels) < 60

    def test_is_called_anew_as_training_continues(self, distinct):
        X, y = distinct
        sampler, calls = self.record()
        embedder = quick(sampler=sampler, max_epochs=1).fit(X, y)
        embedder.partial_fit(X[:30], y[:30])
        assert [len(labels) for labels, _ in calls] == [60, 30]
        embedder.set_params(sampler=None, batch_size=16).partial_fit(X, y)
        assert len(calls) == 2
        assert embedder.n_iter_ == 3


class TestTwoChannels:
    def test_the_rows_of_a_batch_are_paired_with_each_other(self, distinct):
        X, y = distinct
        batches = Batches()
        model = quick_classifier(
            **ARCHITECTURES["two_channel"],
            sampler=Shuffled,
            batch_size=10,
            augment=batches,
            max_epochs=1,
            tower="mlp",
        ).fit(X, y)
        sides = batches.rows(X)
        left, right = sides[::2], sides[1::2]
        # a tenth of the rows is held out
        assert [len(rows) for rows in left] == [10] * 5 + [4]
        assert len(model.history_[0]["batches"]) == 6
        assert len(np.unique(np.concatenate(left))) == 54
        n_same = 0
        for first, second in zip(left, right, strict=True):
            assert set(second) <= set(first)
            assert all(i != j for i, j in zip(first, second, strict=True))
            n_same += (y[first] == y[second]).sum()
        assert 54 / 4 < n_same <= 54 / 2  # half of them, where there is one

    def test_paired_batches_take_any_batches_of_rows(self):
        labels = np.arange(24) % 3
        batches = PairedBatches(labels, 8, Shuffled(labels, 8))
        assert batches.n_batches == 3
        found = list(batches.epoch(np.random.default_rng(0)))
        rows = list(Shuffled(labels, 8).epoch(np.random.default_rng(0)))
        assert sorted(found[0][0].tolist()) == sorted(rows[0].tolist())
        assert sorted(np.concatenate([left for left, _ in found])) == list(range(24))


def fails(labels, batch_size):
    """A sampler that is not to be called."""
    raise AssertionError("called")


class TestIgnored:
    def test_for_given_pairs_and_triplets(self, distinct):
        X, y = distinct
        pairs, same = make_pairs(X, y, random_state=0)
        triplets = make_triplets(X, y, random_state=0)
        for given in ((pairs, same), (triplets,)):
            plain, with_sampler = (
                quick(sampler=sampler, max_epochs=1).fit(*given).transform(X)
                for sampler in (None, fails)
            )
            np.testing.assert_array_equal(plain, with_sampler)
        model = quick_classifier(sampler=fails, max_epochs=1).fit(pairs, same)
        assert model.predict(Pairs(X, X)).all()


class TestInScikitLearn:
    @pytest.mark.slow
    def test_is_cloned_pickled_and_searched(self, distinct):
        X, y = distinct
        grid = {"sampler": [None, Shuffled, of_torch]}
        cv = StratifiedKFold(2)
        search = GridSearchCV(quick(max_epochs=1), grid, cv=cv, error_score="raise")
        assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()
        embedder = clone(quick(sampler=Shuffled)).fit(X, y)
        stored = pickle.loads(pickle.dumps(embedder))
        assert stored.sampler is Shuffled
        np.testing.assert_array_equal(
            stored.partial_fit(X, y).transform(X),
            embedder.partial_fit(X, y).transform(X),
        )


ERRORS = {
    "no callable": ([[0, 1, 2, 3]], TypeError, "`sampler` must be None or a callable"),
    "a name": ("balanced", TypeError, "`sampler` must be None or a callable.*got str"),
    "nothing": (lambda y, size: None, TypeError, "`sampler` must return.*got NoneType"),
    "a generator": (
        lambda y, size: (rows for rows in [[0, 1, 2, 3]]),
        TypeError,
        "`sampler` must return .* a length; got generator",
    ),
    "no integers": (
        lambda y, size: [[0.5, 1.0]],
        ValueError,
        r"`sampler` must yield batches of row numbers, .*got float64 of shape \(2,\)",
    ),
    "a mask": (
        lambda y, size: [[True, False]],
        ValueError,
        r"`sampler` must yield batches of row numbers, .*got bool of shape \(2,\)",
    ),
    "a row number alone": (
        lambda y, size: [3],
        ValueError,
        r"`sampler` must yield batches of row numbers, .*of shape \(\)",
    ),
    "a table": (
        lambda y, size: [[[0, 1], [2, 3]]],
        ValueError,
        r"`sampler` must yield batches of row numbers, .*of shape \(2, 2\)",
    ),
    "an empty batch": (
        lambda y, size: [np.empty(0, dtype=int)],
        ValueError,
        r"`sampler` must yield batches of row numbers, .*of shape \(0,\)",
    ),
    "too high": (
        lambda y, size: [[0, 1, 60]],
        ValueError,
        "`sampler` must yield row numbers from 0 to 59; got a batch .* from 0 to 60",
    ),
    "below zero": (
        lambda y, size: [[0, 1, -1]],
        ValueError,
        "`sampler` must yield row numbers from 0 to 59; got a batch .* from -1 to 1",
    ),
}


@pytest.mark.parametrize(("sampler", "kind", "message"), ERRORS.values(), ids=ERRORS)
def test_what_is_no_batches_is_an_error_and_a_fitted_model_stays(
    distinct, sampler, kind, message
):
    X, y = distinct
    embedder = quick(max_epochs=1).fit(X, y)
    before = embedder.transform(X)
    embedder.set_params(sampler=sampler)
    for fit in (embedder.fit, embedder.partial_fit):
        with pytest.raises(kind, match=f"(?s){message}"):
            fit(X, y)
        np.testing.assert_array_equal(embedder.transform(X), before)
        assert embedder.n_iter_ == 1
