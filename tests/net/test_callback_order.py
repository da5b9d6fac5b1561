"""What our own callbacks do before those of the user, and what after them."""

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    Callback,
    Checkpoint,
    Freezer,
    Initializer,
    LoadInitState,
    LRScheduler,
    TrainEndCheckpoint,
)
from torch import nn

from nets import WIDTH, X, Y, make_embedder, make_net, make_run, state_of, train
from siamese_sklearn._net import Watch

BIAS = "tower.3.bias"


def constant(value):
    return lambda parameter: nn.init.constant_(parameter, value)


def bias_of(model):
    return state_of(model.net_)[BIAS]


@pytest.mark.parametrize("epoch", [1, 3])
def test_weights_that_are_set_and_frozen_stay_to_the_bit(epoch):
    callbacks = [
        Initializer(BIAS, fn=constant(0.25), at=epoch),
        Freezer(BIAS, at=epoch),
    ]
    model = make_embedder(callbacks=callbacks, weight_decay=0.0, weight_averaging=0.9)
    bias = bias_of(model.fit(X, Y))
    assert torch.equal(bias, torch.full_like(bias, 0.25))


def test_weights_that_are_set_after_an_epoch_are_trained_on():
    class Reset(Callback):
        def on_epoch_end(self, net, **kwargs):
            with torch.no_grad():
                net.module_.tower[3].bias.fill_(0.5)

        def on_batch_begin(self, net, **kwargs):
            if len(net.history) == 2 and len(net.history[-1]["batches"]) == 1:
                self.seen = net.module_.tower[3].bias.detach().clone()

    model = make_embedder(callbacks=[Reset()], weight_averaging=0.9).fit(X, Y)
    assert (dict(model.net_.callbacks_)["Reset"].seen == 0.5).all()


def test_average_is_of_the_weights_as_a_callback_leaves_them_after_each_step():
    class Clip(Callback):
        def on_batch_end(self, net, **kwargs):
            with torch.no_grad():
                net.module_.tower[3].bias.clamp_(-0.01, 0.01)

    model = make_embedder(
        callbacks=[Initializer(BIAS, fn=constant(0.0)), Clip()],
        lr=0.05,
        weight_averaging=0.9,
    )
    bias = bias_of(model.fit(X, Y))
    assert bias.abs().max() <= 0.01
    assert bias.abs().max() > 0


class Queue(nn.Module):
    """A loss with weights, and with a buffer that only the last batch fills."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))
        self.register_buffer("last", torch.zeros(4))
        self.register_buffer("running_mean", torch.zeros(()))
        self.step = 0

    def forward(self, embeddings, labels):
        self.step += 1
        self.last.fill_(self.step)
        self.running_mean.fill_(self.step)
        return (embeddings * self.weight).square().mean()


def test_only_weights_and_statistics_are_averaged():
    model = make_embedder(loss=Queue(), weight_averaging=0.9).fit(X, Y)
    queue = model.net_.criterion_.loss
    assert queue.last.tolist() == [9.0] * 4  # three epochs of three steps
    mean = 0.0
    for t in range(1, 10):
        decay = min(0.9, (1 + t) / (10 + t))
        mean = decay * mean + (1 - decay) * t
    assert float(queue.running_mean) == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("kind", [Checkpoint, TrainEndCheckpoint])
def test_training_goes_on_from_a_checkpoint(tmp_path, kind):
    settings = {"monitor": None} if kind is Checkpoint else {}
    begun = []

    class Begun(Callback):
        def on_batch_begin(self, net, **kwargs):
            if not begun:
                begun.append((state_of(net), net.optimizer_.param_groups[0]["lr"]))

    def fitted(*more):
        saving = kind(dirname=str(tmp_path), **settings)
        callbacks = [saving, LoadInitState(saving), *more]
        return make_embedder(
            callbacks=callbacks, lr=0.01, weight_averaging=0.5, random_state=len(more)
        ).fit(X, Y)

    first = fitted()
    second = fitted(Begun())
    ((weights, _),) = begun
    for name, value in state_of(first.net_).items():
        assert torch.equal(weights[name], value), name
    assert len(first.history_) == 3
    assert second.n_iter_ == len(second.history_) == 6
    # the rate of the schedule at the time of saving is not the rate to go on with
    assert second.net_.optimizer_.param_groups[0]["lr"] == 0.01


def test_interrupt_after_a_checkpoint_keeps_the_epochs_of_the_checkpoint(tmp_path):
    saving = TrainEndCheckpoint(dirname=str(tmp_path))
    make_embedder(callbacks=[saving]).fit(X, Y)

    class NoEpoch(Callback):
        def on_batch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    model = make_embedder(callbacks=[saving, LoadInitState(saving), NoEpoch()])
    with pytest.warns(UserWarning, match="interrupted in epoch 4"):
        model.fit(X, Y)
    assert model.n_iter_ == 3


def test_every_callback_sees_the_last_epoch_of_early_stopping():
    epochs = []

    class Seen(Callback):
        def on_epoch_end(self, net, **kwargs):
            epochs.append(net.history[-1]["valid_score"])

    net = make_net(callbacks=[Seen()])
    scores = iter([0.5, 0.4, 0.3])
    train(net, make_run(9, watch=Watch(lambda net: next(scores), 2)))
    assert epochs == [0.5, 0.4, 0.3]


def test_rate_in_the_history_is_that_of_the_network():
    policy = LRScheduler(policy="StepLR", step_size=1, gamma=0.5)
    model = make_embedder(loss="proxy_anchor", lr=0.01, callbacks=[policy]).fit(X, Y)
    np.testing.assert_allclose(model.history_[:, "event_lr"], [0.01, 0.005, 0.0025])
