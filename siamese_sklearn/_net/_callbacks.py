"""skorch callbacks. They read the run that they are given, and keep no data of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm.auto import tqdm

from siamese_sklearn._net._run import TrainingRun

__all__ = [
    "AfterUser",
    "Averaging",
    "Monitor",
    "Progress",
    "RetrievalStopping",
    "restore",
    "snapshot",
]

_DENORMAL = 1e-30
_STEPS_BETWEEN_FLUSHES = 100
_FEWEST_TRIED, _MOST_TRIED, _ROWS_PER_TRIED = 8, 256, 16  # rows after an epoch
_BATCHES_BETWEEN_LOSSES = 20  # that the progress bar shows
_SHORT = 10  # the average spans at most about 1/10 of the steps, so early weights fade
_SHARE = 0.04  # fraction of a long average that one update renews


Weights: TypeAlias = tuple[dict[str, Any], dict[str, Any]]


def snapshot(net: Any) -> Weights:
    """Copy all weights of the network, and of a loss that has weights."""
    return copy.deepcopy(net.module_.state_dict()), copy.deepcopy(
        net.criterion_.state_dict()
    )


def restore(net: Any, state: Weights) -> None:
    """Load weights from a snapshot."""
    net.module_.load_state_dict(state[0])
    net.criterion_.load_state_dict(state[1])


def share_kept(decay: float, step: int, taken: int) -> float:
    """Share of the moving average to keep when a step is added; 1 to skip the step.

    A long average changes little per step. To save time, it is updated only every few
    steps, when about 4% of it can be renewed at once; the result is practically the
    same.

    Parameters
    ----------
    decay : float
        Maximum share to keep per step; the first steps keep less.
    step : int
        Number of the step, from 1.
    taken : int
        Number of the step that was added last, or 0.

    Returns
    -------
    float
    """
    decay = min(decay, (1 + step) / (_SHORT + step))
    gap = step - taken
    return decay**gap if gap >= round(_SHARE / (1 - decay)) else 1.0


class Averaging(Callback):
    """Keeps a moving average of the weights, which the net uses except during steps.

    Averaged are the parameters and the statistics of normalization layers. Other
    buffers, such as a memory of embeddings that a loss keeps, have no meaningful mean.

    It precedes the callbacks that read the net at the end of an epoch, so that they
    measure, save and restore the averaged weights. `AfterUser` calls `begin` and
    `update`, after the callbacks that set weights.

    References
    ----------
    Polyak & Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM
    Journal on Control and Optimization 30(4), 1992.

    Tarvainen & Valpola, "Mean Teachers are Better Role Models", NeurIPS 2017.
    """

    weights_: list[Tensor]
    mean_: list[Tensor]
    last_: list[Tensor] | None  # weights of the last step, while the net has the mean

    def on_train_begin(self, net: Any, X: TrainingRun, **kwargs: Any) -> None:
        """Reset the state of the previous run."""
        self.release()
        self.decay_ = X.averaging
        self.step_, self.taken_ = 0, 0
        self.has_mean_ = False

    @torch.no_grad()
    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Continue from the weights of the last step, except where the net has others.

        A callback may have set weights since the average was loaded.
        """
        if self.last_ is None:
            return
        self.has_mean_ = False
        for value, mean, last in zip(
            self.weights_, self.mean_, self.last_, strict=True
        ):
            if torch.equal(value, mean):
                value.copy_(last)
            else:
                mean.copy_(value)
                last.copy_(value)

    @torch.no_grad()
    def begin(self, net: Any) -> None:
        """Start the average from the current weights, or from those set since."""
        if self.decay_ > 0 and not self.weights_:
            weights = [*_averaged(net.module_), *_averaged(net.criterion_)]
            self.mean_ = [value.clone() for value in weights]
            self.weights_ = weights
        elif self.last_ is not None:
            for value, mean, last in zip(
                self.weights_, self.mean_, self.last_, strict=True
            ):
                if not torch.equal(value, last):
                    mean.copy_(value)
        self.last_ = None

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        """Count the step."""
        self.step_ += 1

    def update(self) -> None:
        """Update the average, if enough steps have passed since the last update."""
        kept = share_kept(self.decay_, self.step_, self.taken_)
        if self.weights_ and kept < 1:
            get_ema_multi_avg_fn(kept)(self.mean_, self.weights_, None)  # type: ignore[no-untyped-call]
            self.taken_ = self.step_

    @torch.no_grad()
    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Load the average into the net."""
        self.last_ = [value.clone() for value in self.weights_]
        _copy(self.mean_, self.weights_)
        self.has_mean_ = True

    @torch.no_grad()
    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Load the average into the net, if training stopped within an epoch."""
        if self.weights_ and not self.has_mean_:
            self.update()  # training may have stopped before it
            _copy(self.mean_, self.weights_)
        self.release()

    def release(self) -> None:
        """Drop what is needed during training only."""
        self.weights_, self.mean_, self.last_ = [], [], None


class Monitor(Callback):
    """Records active pairs and spread, flushes denormals, and stops at NaN or infinity.

    Attributes
    ----------
    failed_ : str
        What became NaN or infinite, "loss" or "embeddings"; empty if nothing did.
    """

    finite_: Weights | None
    last_embeddings_: Tensor | tuple[Tensor, ...]

    def on_train_begin(self, net: Any, X: TrainingRun, **kwargs: Any) -> None:
        """Reset the state of the previous run."""
        self.release()
        self.step_ = 0
        self.failed_ = ""

    def begin(self, net: Any) -> None:
        """Save the weights, in case the first epoch ruins them."""
        if self.finite_ is None:
            self.finite_ = snapshot(net)

    def on_batch_end(self, net: Any, y_pred: Any = None, **kwargs: Any) -> None:
        """Check the loss of the batch."""
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
        # the loss has not seen the result of the last step
        if not _embeds_finitely(net.module_, dataset_train):
            self._fail("embeddings")
        batches = net.history[-1]["batches"]
        if batches and "n_active" in batches[0]:
            net.history.record(
                "n_active", sum(batch["n_active"] for batch in batches) / len(batches)
            )
        net.history.record("spread", _spread(self.last_embeddings_))
        self.finite_ = snapshot(net)  # in case the next epoch ruins the weights

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """After a failure, restore the last finite epoch and reset the optimizer."""
        if self.failed_ and self.finite_ is not None:
            restore(net, self.finite_)
            net.optimizer_.state.clear()
        self.release()

    def release(self) -> None:
        """Drop what is needed during training only."""
        self.finite_, self.last_embeddings_ = None, ()

    def _fail(self, what: str) -> None:
        self.failed_ = what
        raise KeyboardInterrupt  # skorch's signal to stop training


class RetrievalStopping(Callback):
    """Finds when the watched score stops improving, and restores the best weights.

    `AfterUser` stops the training, so that all callbacks see the last epoch.
    """

    def begin(self, net: Any, X: TrainingRun) -> None:
        """Start from the current score, so that a worse epoch does not replace it."""
        self.best_score_ = -math.inf
        self.best_state_: Weights | None = None
        self.epochs_since_best_ = 0
        self.is_over_ = False
        if X.watch is not None and len(net.history) > 0:
            self.best_score_, self.best_state_ = X.watch.measure(net), snapshot(net)

    def on_epoch_end(self, net: Any, dataset_train: TrainingRun, **kwargs: Any) -> None:
        """Compute the score, and count the epochs without improvement."""
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
        self.is_over_ = self.epochs_since_best_ >= watch.patience

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Restore the best weights."""
        if self.best_state_ is not None:
            restore(net, self.best_state_)
        self.release()

    def release(self) -> None:
        """Drop what is needed during training only."""
        self.best_state_ = None


class AfterUser(Callback):
    """What has to follow the callbacks of the user, which may set weights or rates."""

    def __init__(
        self, averaging: Averaging, monitor: Monitor, stopping: RetrievalStopping
    ) -> None:
        # skorch takes names without an underscore for parameters
        self.averaging_, self.monitor_, self.stopping_ = averaging, monitor, stopping

    def on_train_begin(self, net: Any, X: TrainingRun, **kwargs: Any) -> None:
        """Note where the run begins: a callback may have loaded a checkpoint."""
        X.n_epochs_before = len(net.history)
        self.stopping_.begin(net, X)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin with the weights as they are now."""
        self.averaging_.begin(net)
        self.monitor_.begin(net)

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        """Average the weights as they are after the step."""
        self.averaging_.update()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Stop if the watched score has stopped improving."""
        if self.stopping_.is_over_:
            raise KeyboardInterrupt  # skorch's signal to stop training


class Progress(Callback):
    """A tqdm bar over all epochs, with the loss and the remaining time."""

    def initialize(self) -> Progress:
        """Start without a bar."""
        self.bar_: Any = None
        return self

    def on_train_begin(self, net: Any, X: TrainingRun, **kwargs: Any) -> None:
        """Open the bar, if it is wanted."""
        n_steps = X.n_epochs * X.batches.n_batches
        self.bar_ = tqdm(
            total=n_steps, unit="batch", disable=X.verbose == 0, leave=X.verbose > 0
        )
        self.n_epochs_ = X.n_epochs
        self.epoch_ = 0
        self.figures_: dict[str, str] = {}

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Show the number of the epoch."""
        self.epoch_ += 1
        self.bar_.set_description(
            f"epoch {self.epoch_}/{self.n_epochs_}", refresh=False
        )

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        """Advance by one batch, and show its loss every few batches."""
        batches = net.history[-1]["batches"]
        if len(batches) % _BATCHES_BETWEEN_LOSSES == 0:
            self.figures_["train_loss"] = f"{batches[-1]['train_loss']:.4g}"
            self.bar_.set_postfix(self.figures_, refresh=False)
        self.bar_.update()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the loss and the score of the epoch."""
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


def _averaged(module: nn.Module) -> Iterator[Tensor]:
    """Parameters of a module, and the statistics of its normalization layers."""
    yield from module.parameters()
    for part in module.modules():
        for name in ("running_mean", "running_var"):
            value = getattr(part, name, None)
            if isinstance(value, Tensor):
                yield value


def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    for value, place in zip(source, target, strict=True):
        place.copy_(value)


def _flush_denormals(optimizer: torch.optim.Optimizer) -> None:
    """Set denormal numbers, which slow the processor down, to zero."""
    for state in optimizer.state.values():
        for value in state.values():
            if (
                isinstance(value, Tensor)
                and value.is_floating_point()
                and value.ndim > 0
            ):
                value.masked_fill_(value.abs() < _DENORMAL, 0.0)


def _spread(embeddings: Tensor | tuple[Tensor, ...]) -> float:
    """Variance of the embeddings over their mean square norm; 0 means collapsed."""
    rows = embeddings if isinstance(embeddings, Tensor) else torch.cat(embeddings)
    # logits of a two-channel network have a single column; some GPUs have no float64
    rows = rows.detach().cpu().to(torch.float64).reshape(len(rows), -1)
    mean_square = rows.square().sum(1).mean()
    variance = (rows - rows.mean(0)).square().sum(1).mean()
    return float(variance / mean_square.clamp(min=torch.finfo(rows.dtype).tiny))


def _embeds_finitely(module: nn.Module, run: TrainingRun) -> bool:
    """Whether embeddings of some rows are finite, and their squared distances too."""
    n_tried = min(max(len(run.rows) // _ROWS_PER_TRIED, _FEWEST_TRIED), _MOST_TRIED)
    module.eval()
    with torch.inference_mode():
        step = max(len(run.rows) // n_tried, 1)
        embeddings = module(run.rows.take(slice(0, step * n_tried, step)))
    sides = (embeddings,) if isinstance(embeddings, Tensor) else embeddings
    # at most (2 |z|)^2
    return all(bool((4 * side.square()).sum().isfinite()) for side in sides)
