"""The running mean of the weights that a model ends with, against a mean worked out
step by step.
"""

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback
from torch import nn

from siamese_sklearn import SiameseEmbedder, SiamesePairClassifier
from siamese_sklearn._net._callbacks import share_kept
from siamese_sklearn.losses import BinaryCrossEntropyLoss, ProxyAnchorLoss

Y = np.arange(60) % 3
X = (np.random.default_rng(0).normal(size=(60, 4)) + Y[:, None]).astype(np.float32)


def values_of(net):
    """All weights and buffers that are floats, of the network and of the loss,
    by name.
    """
    parts = {"module": net.module_, "loss": net.criterion_}
    return {
        f"{part}.{name}": value.detach().double().numpy().copy()
        for part, module in parts.items()
        for name, value in module.state_dict().items()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    }


class Recorder(Callback):
    """Keeps the weights from before the first step, after each step, and after each
    epoch.
    """

    def on_train_begin(self, net, **kwargs):
        self.steps_, self.epochs_ = [values_of(net)], []

    def on_batch_end(self, net, **kwargs):
        self.steps_.append(values_of(net))

    def on_epoch_end(self, net, **kwargs):
        self.epochs_.append(values_of(net))


class StopAt(Callback):
    """Presses Ctrl-C after a number of steps in all."""

    def __init__(self, n_steps):
        self.n_steps = n_steps

    def on_train_begin(self, net, **kwargs):
        self.step_ = 0

    def on_batch_end(self, net, **kwargs):
        self.step_ += 1
        if self.step_ == self.n_steps:
            raise KeyboardInterrupt


def mean_of(steps, decay):
    """mean_t = d mean_(t-1) + (1 - d) weights_t, where d is `decay`, or less in the
    first steps.
    """
    mean = steps[0]
    for t, weights in enumerate(steps[1:], start=1):
        d = min(decay, (1 + t) / (10 + t))
        mean = {
            name: d * mean[name] + (1 - d) * value for name, value in weights.items()
        }
    return mean


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        np.testing.assert_allclose(
            value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name
        )


def batch_norm_tower(input_shape, n_components):
    return nn.Sequential(
        nn.Linear(input_shape[0], 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Linear(8, n_components),
    )


def fitted(kind=SiameseEmbedder, callbacks=(), **parameters):
    settings = {
        "n_components": 3,
        "max_epochs": 4,
        "batch_size": 16,
        "lr": 0.01,
        "random_state": 0,
    }
    callbacks = [Recorder(), *callbacks]
    return kind(
        **settings | {"callbacks": callbacks, "device": "cpu"} | parameters
    ).fit(X, Y)


def record_of(model):
    return dict(model.net_.callbacks_)["Recorder"]


@pytest.mark.slow
@pytest.mark.parametrize("decay", [0.5, 0.99])
@pytest.mark.parametrize(
    "parameters",
    [
        {"tower": batch_norm_tower},
        {"loss": ProxyAnchorLoss()},
        {"kind": SiamesePairClassifier, "loss": BinaryCrossEntropyLoss(head="product")},
    ],
    ids=["buffers", "proxies", "head"],
)
def test_model_ends_with_the_running_mean(parameters, decay):
    model = fitted(weight_averaging=decay, **parameters)
    steps = record_of(model).steps_
    assert len(steps) > 12
    assert_same(values_of(model.net_), mean_of(steps, decay))


@pytest.mark.slow
def test_a_long_mean_leaves_steps_out_and_is_much_the_same():
    model = fitted(weight_averaging=0.99, max_epochs=250)
    steps = record_of(model).steps_
    assert len(steps) > 950
    every = mean_of(steps, 0.99)
    for name, value in values_of(model.net_).items():
        moved = np.abs(every[name] - steps[0][name]).mean()
        assert np.abs(value - every[name]).mean() <= 0.02 * moved, name


@pytest.mark.slow
@pytest.mark.parametrize("n_steps", [1, 10, 300, 3_000, 30_000])
@pytest.mark.parametrize("decay", [0.9, 0.99, 0.999, 0.9999])
def test_the_steps_that_come_in_span_as_far_as_all_would(decay, n_steps):
    """The mean age of a step in the mean, in steps, beside that of the mean over every
    step.
    """
    age, full_age, taken, n_taken = 0.0, 0.0, 0, 0
    for step in range(1, n_steps + 1):
        kept = share_kept(decay, step, taken)
        age = kept * (age + 1)  # what comes in is new, what stays is a step older
        if kept < 1:
            taken, n_taken = step, n_taken + 1
        full_age = min(decay, (1 + step) / (10 + step)) * (full_age + 1)
    assert age == pytest.approx(full_age, rel=0.06, abs=0.5)
    assert n_taken == n_steps or decay > 0.9
    if n_steps == 30_000 and decay > 0.99:
        assert n_taken < n_steps / 15


class Noted(nn.Linear):
    """Keeps a note among its weights."""

    def get_extra_state(self):
        return {"note": "not a tensor"}

    def set_extra_state(self, state):
        assert state == {"note": "not a tensor"}


def test_state_that_is_no_tensor_is_left_alone():
    model = fitted(weight_averaging=0.9, tower=Noted(4, 3), callbacks=[])
    assert model.net_.module_.state_dict()


def test_zero_keeps_the_last_step():
    model = fitted(weight_averaging=0.0)
    assert_same(values_of(model.net_), record_of(model).steps_[-1])


def test_steps_do_not_depend_on_the_averaging():
    plain, averaged = (fitted(weight_averaging=decay) for decay in (0.0, 0.9))
    for one, other in zip(
        record_of(plain).steps_, record_of(averaged).steps_, strict=True
    ):
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name])


def test_what_looks_at_the_net_after_an_epoch_sees_the_mean():
    record = record_of(fitted(weight_averaging=0.9))
    n_steps = (len(record.steps_) - 1) // 4
    for number, epoch in enumerate(record.epochs_, start=1):
        assert_same(epoch, mean_of(record.steps_[: number * n_steps + 1], 0.9))


def test_early_stopping_keeps_a_mean():
    model = fitted(weight_averaging=0.9, early_stopping=True, max_epochs=6)
    record, best = record_of(model), [row["valid_score_best"] for row in model.history_]
    last_best = max(number for number, is_best in enumerate(best) if is_best)
    assert_same(values_of(model.net_), record.epochs_[last_best])


def test_interrupted_training_keeps_the_mean_so_far():
    with pytest.warns(ConvergenceWarning, match="interrupted in epoch 2"):
        model = fitted(weight_averaging=0.9, callbacks=[StopAt(6)])
    steps = record_of(model).steps_
    assert len(steps) == 7
    assert_same(values_of(model.net_), mean_of(steps, 0.9))


def test_going_on_begins_at_the_mean():
    model = fitted(weight_averaging=0.9, warm_start=True)
    before = values_of(model.net_)
    model.fit(X, Y)
    record = record_of(model)
    assert_same(record.steps_[0], before)
    assert_same(values_of(model.net_), mean_of(record.steps_, 0.9))


def test_decay_may_change_when_training_goes_on():
    model = (
        fitted(weight_averaging=0.9, warm_start=True)
        .set_params(weight_averaging=0.0)
        .fit(X, Y)
    )
    assert_same(values_of(model.net_), record_of(model).steps_[-1])


def test_a_failed_epoch_leaves_the_mean_of_those_before_it():
    def spoil(batch):
        spoil.n_calls += 1
        return batch if spoil.n_calls <= 6 else torch.full_like(batch, torch.nan)

    spoil.n_calls = 0
    with pytest.warns(ConvergenceWarning, match="became NaN"):
        model = fitted(
            weight_averaging=0.9, augment=spoil, loss="supcon", tower=batch_norm_tower
        )
    record = record_of(model)
    assert len(record.epochs_) == 1
    assert_same(values_of(model.net_), record.epochs_[0])


def test_nothing_of_it_stays_with_the_model():
    averaging = dict(fitted().net_.callbacks_)["averaging"]
    assert (averaging.weights_, averaging.mean_, averaging.last_) == ([], [], None)
