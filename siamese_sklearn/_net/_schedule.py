"""Learning-rate schedules, stepped per batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from skorch.callbacks import Callback, LRScheduler

from siamese_sklearn._net._run import TrainingRun

__all__ = ["SCHEDULES", "Schedule", "Scheduling", "resolve_schedule", "usual_epochs"]

Schedule: TypeAlias = Callable[[int, int], float]

_MAX_EPOCHS, _MAX_STEPS = 40, 5000

_WARM_UP = 0.3  # fraction of the steps in which one cycle rises
_UNSCHEDULED = "lr_unscheduled"  # in the parameter groups of an optimizer
_START = 0.04  # of the learning rate, where one cycle begins


def _constant(step: int, n_steps: int) -> float:
    return 1.0


def _cosine(step: int, n_steps: int) -> float:
    """Fall from 1 to 0 along half a cosine (Loshchilov & Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * step / n_steps))


def _one_cycle(step: int, n_steps: int) -> float:
    """Rise to 1, then fall to 0, each along half a cosine (Smith & Topin 2019)."""
    top = _WARM_UP * n_steps
    if step < top:
        return _START + (1 - _START) * 0.5 * (1 - math.cos(math.pi * step / top))
    return 0.5 * (1 + math.cos(math.pi * (step - top) / (n_steps - top)))


SCHEDULES: dict[str, Schedule] = {
    "constant": _constant,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}


def usual_epochs(n_batches: int) -> int:
    """Choose how many epochs train small and large data well.

    Parameters
    ----------
    n_batches : int
        Number of batches per epoch.

    Returns
    -------
    int
        40, or fewer so that there are at most 5000 steps, but at least 1.
    """
    return max(min(_MAX_EPOCHS, _MAX_STEPS // n_batches), 1)


def resolve_schedule(
    lr_schedule: str | Schedule, callbacks: list[Any] | None
) -> Schedule | None:
    """Look up a schedule; None if the rates stay, or a callback of the user sets them.

    Parameters
    ----------
    lr_schedule : str or callable
        A name in `SCHEDULES`, or a schedule.
    callbacks : list of skorch callbacks or None
        Callbacks of the user, which may be classes, instances or (name, callback).
    """
    for given in callbacks or []:
        callback = given[1] if isinstance(given, tuple) else given
        kind = callback if isinstance(callback, type) else type(callback)
        if issubclass(kind, LRScheduler):
            return None
    if callable(lr_schedule):
        return lr_schedule
    return None if lr_schedule == "constant" else SCHEDULES[lr_schedule]


class Scheduling(Callback):
    """Multiplies the learning rates before every step by what the schedule says.

    After training the rates are what they were, so that training can continue.

    References
    ----------
    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR
    2017.

    Smith & Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
    Learning Rates", Artificial Intelligence and Machine Learning for Multi-Domain
    Operations Applications, SPIE 2019.
    """

    def on_train_begin(self, net: Any, X: TrainingRun, **kwargs: Any) -> None:
        """Record the learning rates, also in the optimizer, for its checkpoints."""
        self.schedule_ = X.schedule
        self.step_, self.n_steps_ = 0, X.n_steps
        self.rates_ = _unscheduled(net.optimizer_)
        if self.schedule_ is not None:
            for group, rate in zip(
                net.optimizer_.param_groups, self.rates_, strict=True
            ):
                group[_UNSCHEDULED] = rate

    def on_batch_begin(self, net: Any, training: bool = True, **kwargs: Any) -> None:
        """Set the learning rates of the step."""
        if self.schedule_ is None or not training:
            return
        factor = self.schedule_(self.step_, self.n_steps_)
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = factor * rate
        self.step_ += 1

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Put the learning rates back."""
        _unscheduled(net.optimizer_)
        self.schedule_, self.rates_ = None, []  # only needed in training


def _unscheduled(optimizer: torch.optim.Optimizer) -> list[float]:
    """Put back the learning rates from before a schedule changed them."""
    for group in optimizer.param_groups:
        group["lr"] = group.pop(_UNSCHEDULED, group["lr"])
    return [group["lr"] for group in optimizer.param_groups]
