"""skorch callbacks: they watch the run that training was handed, and keep nothing of it."""

from __future__ import annotations

import copy
import math
from typing import Any, TypeAlias

import torch
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm.auto import tqdm

from siamese_sklearn._net._run import TrainingRun

__all__ = [
    "Averaging",
    "Monitor",
    "Progress",
    "RetrievalStopping",
    "restore",
    "snapshot",
]

_DENORMAL = 1e-30
_STEPS_BETWEEN_FLUSHES = 100
_ROWS_TRIED = 8
_BATCHES_BETWEEN_LOSSES = 20  # that the bar shows
_SHORT = 10  # the mean spans at most about one step in so many: the first ones are soon forgotten
_SHARE = 0.04  # of a long mean is renewed at a time


Weights: TypeAlias = tuple[dict[str, Any], dict[str, Any]]


def snapshot(net: Any) -> Weights:
    """Copy of all weights, of the network and of a loss that has its own."""
    return copy.deepcopy(net.module_.state_dict()), copy.deepcopy(
        net.criterion_.state_dict()
    )


def restore(net: Any, state: Weights) -> None:
    """Put copied weights back."""
    net.module_.load_state_dict(state[0])
    net.criterion_.load_state_dict(state[1])


def share_kept(decay: float, step: int, taken: int) -> float:
    """Share of a running mean that stays when the weights of a step come in; 1 if they are left out.

    A mean over many steps changes little in one. Of such a mean, 4 % are renewed at a time, by one step in a
    few: that costs less, and comes to the same.

    Parameters
    ----------
    decay : float
        Share that stays in one step, at most; it is less in the first ones.
    step : int
        Number of the step, from 1.
    taken : int
        Number of the step whose weights came in last, or 0.

    Returns
    -------
    float
    """
    decay = min(decay, (1 + step) / (_SHORT + step))
    gap = step - taken
    return decay**gap if gap >= round(_SHARE / (1 - decay)) else 1.0


class Averaging(Callback):
    """Keeps a running mean of the weights, which the net has whenever it is not taking steps.

    It comes before the callbacks that look at the net at the end of an epoch: what they measure, keep and put
    back are the averaged weights.

    References
    ----------
    Polyak & Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM Journal on Control and
    Optimization 30(4), 1992.

    Tarvainen & Valpola, "Mean Teachers are Better Role Models", NeurIPS 2017.
    """

    def on_train_begin(self, net: Any, X: TrainingRun, **kwargs: Any) -> None:
        """Begin with the weights as they are."""
        self.decay_ = X.averaging
        self.step_, self.taken_ = 0, 0
        parts = (
            (net.module_.state_dict(), net.criterion_.state_dict())
            if self.decay_ > 0
            else ()
        )
        values = [
            value
            for part in parts
            for value in part.values()
            if isinstance(value, Tensor)
        ]
        self.weights_ = [
            value for value in values if value.is_floating_point()
        ]  # no counters
        self.mean_ = [value.clone() for value in self.weights_]
        self.last_: list[Tensor] | None = (
            None  # those of the last step, while the net has the mean
        )

    def on_batch_begin(self, net: Any, **kwargs: Any) -> None:
        """Go on from the last step."""
        if self.last_ is not None:
            _copy(self.last_, self.weights_)
            self.last_ = None

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        """Take in the weights of this step, if enough steps have gone by since the last ones."""
        self.step_ += 1
        kept = share_kept(self.decay_, self.step_, self.taken_)
        if self.weights_ and kept < 1:
            get_ema_multi_avg_fn(kept)(self.mean_, self.weights_, None)  # type: ignore[no-untyped-call]
            self.taken_ = self.step_

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Give the net the mean."""
        self.last_ = [value.clone() for value in self.weights_]
        _copy(self.mean_, self.weights_)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Give the net the mean, if training was stopped within an epoch."""
        if self.last_ is None:
            _copy(self.mean_, self.weights_)
        self.release()

    def release(self) -> None:
        """Drop what only training needs."""
        self.weights_, self.mean_, self.last_ = [], [], None


class Monitor(Callback):
    """Records active pairs and spread of the embeddings, keeps Adam quick, and stops at what is not finite.

    Attributes
    ----------
    failed_ : str
        What became NaN or infinite, "loss" or "embeddings"; empty if nothing did.
    """

    def on_train_begin(self, net: Any, X: TrainingRun, **kwargs: Any) -> None:
        """Forget the last call."""
        self.step_ = 0
        self.failed_ = ""

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Keep the weights in case this epoch spoils them."""
        self.before_epoch_: Weights | None = snapshot(net)

    def on_batch_end(self, net: Any, y_pred: Any = None, **kwargs: Any) -> None:
        """Look at the loss of the batch just done."""
        self.step_ += 1
        if self.step_ % _STEPS_BETWEEN_FLUSHES == 0 and net.device == "cpu":
            _flush_denormals(net.optimizer_)
        history = net.history
        n_active = net.criterion_.n_active
        if n_active is not None:
            history.record_batch("n_active", float(n_active))
        if not math.isfinite(history[-1]["batches"][-1]["train_loss"]):
            self._fail("loss")
        self.last_embeddings_ = y_pred

    def on_epoch_end(self, net: Any, dataset_train: TrainingRun, **kwargs: Any) -> None:
        """Record the means of the epoch."""
        if not _embeds_finitely(
            net.module_, dataset_train
        ):  # no loss has seen the last step yet
            self._fail("embeddings")
        batches = net.history[-1]["batches"]
        if batches and "n_active" in batches[0]:
            net.history.record(
                "n_active", sum(batch["n_active"] for batch in batches) / len(batches)
            )
        net.history.record("spread", _spread(self.last_embeddings_))

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Put the weights of the last finite epoch back; the optimizer's state is spoilt, and starts anew."""
        if self.failed_ and self.before_epoch_ is not None:
            restore(net, self.before_epoch_)
            net.optimizer_.state.clear()
        self.release()

    def release(self) -> None:
        """Drop what only training needs."""
        self.before_epoch_ = self.last_embeddings_ = None

    def _fail(self, what: str) -> None:
        self.failed_ = what
        raise KeyboardInterrupt  # skorch's signal to stop training


class RetrievalStopping(Callback):
    """Stops when the watched measure no longer rises, and restores the weights of its best epoch."""

    def on_train_begin(self, net: Any, X: TrainingRun, **kwargs: Any) -> None:
        """Forget the last call; the weights it left are to be beaten, lest worse ones replace them."""
        self.best_score_ = -math.inf
        self.best_state_: Weights | None = None
        self.epochs_since_best_ = 0
        if X.watch is not None and len(net.history) > 0:
            self.best_score_, self.best_state_ = X.watch.measure(net), snapshot(net)

    def on_epoch_end(self, net: Any, dataset_train: TrainingRun, **kwargs: Any) -> None:
        """Measure, and stop when patience is used up."""
        watch = dataset_train.watch
        if watch is None:
            return
        score = watch.measure(net)
        best = score > self.best_score_
        net.history.record("valid_score", score)
        net.history.record("valid_score_best", best)
        if best:
            self.best_score_, self.best_state_, self.epochs_since_best_ = (
                score,
                snapshot(net),
                0,
            )
            return
        self.epochs_since_best_ += 1
        if self.epochs_since_best_ >= watch.patience:
            raise KeyboardInterrupt  # skorch's signal to stop training

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Put the best weights back."""
        if self.best_state_ is not None:
            restore(net, self.best_state_)
        self.release()

    def release(self) -> None:
        """Drop what only training needs."""
        self.best_state_ = None


class Progress(Callback):
    """A tqdm bar over all epochs, with the loss and the time left."""

    def initialize(self) -> Progress:
        """Begin without a bar."""
        self.bar_: Any = None
        return self

    def on_train_begin(self, net: Any, X: TrainingRun, **kwargs: Any) -> None:
        """Open the bar, if wanted."""
        n_steps = X.n_epochs * X.batches.n_batches
        self.bar_ = tqdm(
            total=n_steps, unit="batch", disable=X.verbose == 0, leave=X.verbose > 0
        )
        self.n_epochs_ = X.n_epochs
        self.epoch_ = 0
        self.figures_: dict[str, str] = {}

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Name the epoch."""
        self.epoch_ += 1
        self.bar_.set_description(
            f"epoch {self.epoch_}/{self.n_epochs_}", refresh=False
        )

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        """Move on by one batch, and now and then show its loss."""
        batches = net.history[-1]["batches"]
        if len(batches) % _BATCHES_BETWEEN_LOSSES == 0:
            self.figures_["train_loss"] = f"{batches[-1]['train_loss']:.4g}"
            self.bar_.set_postfix(self.figures_, refresh=False)
        self.bar_.update()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the figures of the epoch."""
        row = net.history[-1]
        self.figures_ = {
            key: f"{row[key]:.4g}"
            for key in ("train_loss", "valid_score")
            if key in row
        }
        self.bar_.set_postfix(self.figures_)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Close the bar."""
        self.release()

    def release(self) -> None:
        """Close the bar, if it is open."""
        if self.bar_ is not None:
            self.bar_.close()
        self.bar_ = None


def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    for value, place in zip(source, target, strict=True):
        place.copy_(value)


def _flush_denormals(optimizer: torch.optim.Optimizer) -> None:
    """Zero what has decayed so far that it only slows the processor down."""
    for state in optimizer.state.values():
        for value in state.values():
            if (
                isinstance(value, Tensor)
                and value.is_floating_point()
                and value.ndim > 0
            ):
                value.masked_fill_(value.abs() < _DENORMAL, 0.0)


def _spread(embeddings: Tensor | tuple[Tensor, ...]) -> float:
    """Variance of the embeddings about their mean, over their mean square norm: 0 collapsed, 1 all around."""
    rows = embeddings if isinstance(embeddings, Tensor) else torch.cat(embeddings)
    rows = (
        rows.detach().double().reshape(len(rows), -1)
    )  # logits of a 2-channel network have one column
    mean_square = rows.square().sum(1).mean()
    variance = (rows - rows.mean(0)).square().sum(1).mean()
    return float(variance / mean_square.clamp(min=torch.finfo(rows.dtype).tiny))


def _embeds_finitely(module: nn.Module, run: TrainingRun) -> bool:
    """Whether a few rows have embeddings without NaN and infinity."""
    module.eval()
    with torch.inference_mode():
        embeddings = module(run.rows.take(slice(_ROWS_TRIED)))
    sides = (embeddings,) if isinstance(embeddings, Tensor) else embeddings
    return all(bool(side.isfinite().all()) for side in sides)
