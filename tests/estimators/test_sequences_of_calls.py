"""Calls in any order, some of which fail, against what holds after each of them."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from skorch.callbacks import Callback

from models import quick_classifier
from siamese_sklearn import MLPTower, Pairs, SiamesePairClassifier

Y = np.arange(24) % 4
X = (np.random.default_rng(0).normal(size=(24, 3)) + Y[:, None]).astype(np.float32)
PAIRS = Pairs(X[:12], X[12:])
LABELS = st.integers(0, 6)


class FaultError(Exception):
    pass


def failing_augment(batch):
    raise FaultError


class FailingCallback(Callback):
    def on_epoch_end(self, net, **kwargs):
        raise FaultError


class LearnsMore(SiamesePairClassifier):
    """Learns something more after the training, which may fail."""

    fails = False

    def _learn_from(self, *args):
        super()._learn_from(*args)
        self.more_ = len(self.classes_)
        if self.fails:
            raise FaultError


class Calls(RuleBasedStateMachine):
    @initialize()
    def fit_first(self):
        parameters = quick_classifier(
            tower=MLPTower((4,)), max_epochs=1, batch_size=12, warm_start=True
        ).get_params(deep=False)
        self.model = LearnsMore(**parameters).fit(X, Y)
        self.enrolled = {0, 1, 2, 3}
        self.n_epochs = 1

    @rule(shift=st.integers(0, 3))
    def fit(self, shift):
        self.model.fit(X[:18], Y[:18] + shift)
        self.enrolled = set(range(shift, shift + 4))
        self.n_epochs += 1

    @rule(shift=st.integers(0, 3))
    def partial_fit(self, shift):
        self.model.partial_fit(X[6:], Y[6:] + shift)
        self.enrolled |= set(range(shift, shift + 4))
        self.n_epochs += 1

    @rule(label=LABELS, row=st.integers(0, 23))
    def enroll(self, label, row):
        self.model.enroll(X[row : row + 1] + 0.5, label)
        self.enrolled.add(label)

    @rule(label=LABELS)
    def forget(self, label):
        if label in self.enrolled:
            self.model.forget(label)
            self.enrolled.remove(label)
        else:
            with pytest.raises(ValueError, match="enrolled"):
                self.model.forget(label)

    @rule(strategy=st.sampled_from(["accuracy", "f_beta"]))
    def calibrate(self, strategy):
        self.model.calibrate_threshold(X, Y, strategy=strategy)

    @rule(task=st.sampled_from(["verification", "identification"]))
    def set_threshold(self, task):
        self.model.set_threshold(-0.5, task=task)

    @rule()
    def store_and_load(self):
        self.model = pickle.loads(pickle.dumps(self.model))

    @rule(
        method=st.sampled_from(["fit", "partial_fit"]),
        fault=st.sampled_from(["augment", "callback", "more", "data"]),
    )
    def fail(self, method, fault):
        before, twin = dict(vars(self.model)), copy.copy(self.model)
        scores = self.model.pair_score(PAIRS)
        rows, expected = X, FaultError
        if fault == "augment":
            twin.augment = failing_augment
        elif fault == "callback":
            twin.callbacks = [FailingCallback()]
        elif fault == "more":
            twin.fails = True
        else:
            rows, expected = X[:, :2], ValueError
        changed = dict(vars(twin))
        with pytest.raises(expected):
            getattr(twin, method)(rows, Y)
        assert vars(twin) == changed
        assert vars(self.model) == before
        assert np.array_equal(self.model.pair_score(PAIRS), scores)

    @invariant()
    def parts_agree(self):
        model = self.model
        assert set(model.classes_.tolist()) == self.enrolled
        assert model.n_iter_ == len(model.history_) == self.n_epochs
        assert model.history_ is model.net_.history
        gallery = model._gallery
        if len(gallery):
            encoded = model._scorer.codes(gallery.rows, 1)
            np.testing.assert_allclose(gallery.embeddings, encoded, atol=1e-6)
            assert set(model.predict(X).tolist()) <= self.enrolled
        assert model.transform(X).shape == (24, model.n_components)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_calls_in_any_order():
    run_state_machine_as_test(
        Calls,
        settings=settings(
            max_examples=10,
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
