"""Build a skorch net from parameters, and prepare and conclude its training."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from skorch.callbacks import LRScheduler
from torch import Tensor, nn

from siamese_sklearn._checks import check_option, warn
from siamese_sklearn._net._callback_checks import check_callbacks
from siamese_sklearn._net._callbacks import (
    AfterUser,
    Averaging,
    Monitor,
    Progress,
    RetrievalStopping,
)
from siamese_sklearn._net._copies import copy_of_callbacks
from siamese_sklearn._net._history import EpochHistory
from siamese_sklearn._net._interrupts import is_request
from siamese_sklearn._net._run import BatchIterator, TrainingRun
from siamese_sklearn._net._schedule import Scheduling

__all__ = [
    "AFTER_USER",
    "BEFORE_USER",
    "OF_SKORCH",
    "OPTIMIZERS",
    "OURS",
    "OWN_LR",
    "build_net",
    "check_callback_keys",
    "check_callbacks_of",
    "check_net_params",
    "check_optimizer",
    "explained",
    "train_briefly",
    "training",
    "without_callbacks",
]

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}

BEFORE_USER = "averaging", "monitor", "retrieval_stopping", "progress"
AFTER_USER = "scheduling", "after_user"
OURS = {*BEFORE_USER, *AFTER_USER}
OF_SKORCH = {"epoch_timer", "train_loss"}

OWN_LR = "own_lr"  # marks the parameter group of the weights of a loss
_COLLAPSED = 1e-3  # variance of the embeddings over their mean square norm

# skorch settings that the estimator makes itself, and the parameter that controls each.
_TAKEN = {
    "module": "tower",
    "criterion": "loss",
    "optimizer": "optimizer",
    "optimizer__lr": "lr",
    "optimizer__weight_decay": "weight_decay",
    "lr": "lr",
    "max_epochs": "max_epochs",
    "batch_size": "batch_size",
    "callbacks": "callbacks",
    "device": "device",
    "verbose": "verbose",
    "warm_start": "warm_start",
    "train_split": "early_stopping",
    "dataset": "X",
    "iterator_train": "batch_size",
    "iterator_valid": "early_stopping",
}


class _Net(NeuralNet):
    """A NeuralNet with less overhead, whose pickle does not depend on its device."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is there twice.

        `module` and `criterion` are the same objects as `module_` and `criterion_`, but
        would be pickled on their device; and so would the weights that a scheduler
        holds.
        """
        state = super().__getstate__()
        state["callbacks_"] = state["callbacks"] = copy_of_callbacks(self.callbacks_)
        for _, callback in state["callbacks_"]:
            if isinstance(callback, LRScheduler):
                callback.lr_scheduler_ = None  # made for each training; has all weights
        return {
            key: value
            for key, value in state.items()
            if key not in ("module", "criterion")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.update(
            module=self.module_, criterion=self.criterion_, device=str(self.device)
        )

    def initialize_callbacks(self) -> _Net:
        """Keep ours at the end; skorch moves its `PrintLog` there."""
        super().initialize_callbacks()
        self.callbacks_.sort(key=lambda named: named[0] in AFTER_USER)
        return self

    def initialize_history(self) -> _Net:
        """Start an empty history."""
        self.history = EpochHistory()
        return self

    def get_params_for_optimizer(
        self, prefix: str, named_parameters: Iterator[tuple[str, nn.Parameter]]
    ) -> tuple[tuple[list[dict[str, Any]]], dict[str, Any]]:
        """Put the weights of a loss last: schedulers report the rate of the first."""
        (groups,), options = super().get_params_for_optimizer(prefix, named_parameters)
        groups = groups or [{"params": []}]  # a network without weights
        return (sorted(groups, key=lambda group: OWN_LR in group),), options

    def get_all_learnable_params(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters of the network, and of a loss with weights as "loss.<name>"."""
        yield from self.module_.named_parameters()
        yield from self.criterion_.named_parameters(prefix="loss")

    def _set_training(self, training: bool = True) -> None:
        # Without this check, skorch visits all layers before every batch to set a mode
        # that they already have.
        if self.module_.training != training or self.criterion_.training != training:
            super()._set_training(training)
            if training:
                for part in _frozen_statistics(self.module_):
                    part.eval()


def build_net(
    module: nn.Module,
    loss: nn.Module,
    *,
    optimizer: str | type[torch.optim.Optimizer],
    lr: float,
    weight_decay: float,
    max_epochs: int,
    callbacks: list[Any] | None,
    net_params: dict[str, Any] | None,
    device: torch.device,
) -> NeuralNet:
    """Create and initialize the skorch net; `given_` has what the user gave for it.

    Raises
    ------
    ValueError, TypeError
        If `optimizer`, `callbacks` or `net_params` is invalid; the message names the
        parameter.
    """
    given = check_net_params(net_params)
    optimizer_class = check_optimizer(optimizer)
    options = _optimizer_options(optimizer_class, weight_decay, device, given)
    options["param_groups"] = list(given.get("optimizer__param_groups", []))
    loss_lr = getattr(loss, "lr", None)
    # the weights of the loss have their own learning rate, and no weight decay
    if loss_lr is not None:
        group = {"lr": loss_lr, "weight_decay": 0.0, OWN_LR: True}
        options["param_groups"].append(("loss.*", group))
    settings: dict[str, Any] = {
        "module": module,
        "criterion": loss,
        "optimizer": optimizer_class,
        "lr": lr,
        "max_epochs": max_epochs,
        "iterator_train": BatchIterator,
        "train_split": None,
        "callbacks": _around(copy_of_callbacks(callbacks or [])),
        "callbacks__valid_loss": None,
        "callbacks__print_log": None,
        "device": str(device),
        "verbose": 0,
        **given,
        **{f"optimizer__{key}": value for key, value in options.items()},
    }
    with explained():
        net = _Net(**settings)
        net.initialize()
        check_callback_keys(given, [name for name, _ in net.callbacks_])
    _check_param_groups(given, net)
    net.given_ = list(callbacks or []), dict(given)
    return net


def check_net_params(net_params: dict[str, Any] | None) -> dict[str, Any]:
    """Return `net_params`, or an empty dict for None.

    Raises
    ------
    ValueError, TypeError
        If it is not a dict, or sets something that a parameter of the estimator sets;
        the message names that parameter.
    """
    if net_params is None:
        return {}
    if not isinstance(net_params, dict):
        raise TypeError(
            "`net_params` must be a dict of skorch.NeuralNet parameters; "
            f"got {type(net_params).__name__}."
        )
    for key in map(str, net_params):
        ours = _TAKEN.get(
            key
            if key.startswith(("optimizer__", "callbacks__"))
            else key.split("__")[0]
        )
        if ours is not None:
            raise ValueError(
                f"`net_params` must not set {key!r}; set `{ours}` of the estimator "
                "instead."
            )
    return net_params


def without_callbacks(net_params: dict[str, Any] | None) -> dict[str, Any]:
    """Return `net_params` without parameters of callbacks."""
    return {
        key: value
        for key, value in check_net_params(net_params).items()
        if not key.startswith("callbacks__")
    }


def check_optimizer(
    optimizer: str | type[torch.optim.Optimizer],
) -> type[torch.optim.Optimizer]:
    """Return the optimizer class for the parameter `optimizer`.

    Raises
    ------
    ValueError, TypeError
        If it is an unknown name, or neither a name nor an optimizer class.
    """
    if isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        return OPTIMIZERS[check_option("optimizer", optimizer, OPTIMIZERS)]
    raise TypeError(
        f"`optimizer` must be {', '.join(map(repr, OPTIMIZERS))} or a subclass of "
        f"torch.optim.Optimizer; got {optimizer!r}."
    )


def check_callbacks_of(net: NeuralNet, run: TrainingRun) -> None:
    """Raise a ValueError if a callback of the user would find nothing to work on."""
    of_user = [each for name, each in net.callbacks_ if name not in OURS | OF_SKORCH]
    check_callbacks(of_user, is_watched=run.watch is not None)


@contextmanager
def training(net: NeuralNet, run: TrainingRun) -> Iterator[None]:
    """Prepare a net that the block trains; then remove an unfinished epoch, and warn.

    The block calls ``net.fit_loop(run)``, which is skorch's.

    Parameters
    ----------
    net : NeuralNet
        Changed in place; worth nothing if this raises.
    run : TrainingRun
        Has the interrupt afterwards if Ctrl-C stopped the training.

    Raises
    ------
    ValueError
        If a callback would find nothing to work on.
    """
    check_callbacks_of(net, run)
    with _prepared(net, run):
        yield
    _conclude(net, run)


def train_briefly(net: NeuralNet, run: TrainingRun) -> bool:
    """Train a net that is only needed to learn something from it.

    Returns
    -------
    bool
        Whether loss and embeddings stayed finite.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C stopped it: the net is then worth nothing.
    """
    with _prepared(net, run):
        net.fit_loop(run)
    if run.interrupt is not None:
        raise run.interrupt
    return not dict(net.callbacks_)["monitor"].failed_


@contextmanager
def _prepared(net: NeuralNet, run: TrainingRun) -> Iterator[None]:
    """Do what skorch's `partial_fit` does around the loop, and note a Ctrl-C."""
    weights = (*net.module_.parameters(), *net.criterion_.parameters())
    # what callbacks of the user print, log or read
    net.max_epochs = run.n_epochs if any(each.requires_grad for each in weights) else 0
    net.batch_size = math.ceil(len(run) / run.batches.n_batches)
    net.verbose = run.verbose
    try:
        net.notify("on_train_begin", X=run, y=None)
        net._set_training(False)  # so that the first step sets all modes
        try:
            yield
        except KeyboardInterrupt as error:
            if len(net.history) == run.n_epochs_before:
                raise  # nothing has been learned
            run.was_stopped = True
            run.interrupt = None if is_request(error) else error
        net.notify("on_train_end", X=run, y=None)
    finally:
        dict(net.callbacks_)["progress"].release()


def _conclude(net: NeuralNet, run: TrainingRun) -> None:
    history, failed = net.history, dict(net.callbacks_)["monitor"].failed_
    begun = len(history) > run.n_epochs_before
    # The measures are the last entries of an epoch; Ctrl-C may come before any of them.
    last = ["spread"] if run.watch is None else ["spread", "valid_score"]
    finished = begun and not failed and all(name in history[-1] for name in last)
    if begun and not finished:
        del history[-1]
    if failed:
        warn(
            f"The {failed} became NaN or infinite; training stopped and the weights of "
            "the last finite epoch were restored. Lower `lr`, keep `normalize=True`, "
            "or look for extreme values in `X`.",
            ConvergenceWarning,
        )
    elif run.interrupt is not None:
        run.interrupt.add_note(
            f"Training was interrupted after {len(history)} epochs; the estimator is "
            "fitted and keeps what it has learned so far."
        )
    elif run.was_stopped and not finished:
        warn(
            f"Training was interrupted in epoch {len(history) + 1}; the model keeps "
            "what it has learned so far.",
            ConvergenceWarning,
        )
    elif finished and history[-1]["spread"] < _COLLAPSED:
        warn(
            "The embeddings have collapsed to nearly a single point (spread "
            f'{history[-1]["spread"]:.1e}). Use mining="all" (or loss="triplet" with '
            'mining="semihard"), a lower `lr`, or a larger `batch_size`.',
            ConvergenceWarning,
        )


@contextmanager
def explained() -> Iterator[None]:
    """Say which parameters of the estimator an error of skorch is about."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        kind = ValueError if isinstance(error, ValueError | RuntimeError) else TypeError
        text = (
            "Could not create the net; check `net_params`, `callbacks` and "
            f"`optimizer`: {error}"
        )
        raise kind(text) from error


def _around(callbacks: list[Any]) -> list[Any]:
    """Put the callbacks of the user among ours.

    Those that read the net after an epoch must see its averaged weights and its
    measures, and those that set weights or rates must come before what builds on them.
    """
    averaging, monitor, stopping = Averaging(), Monitor(), RetrievalStopping()
    before = averaging, monitor, stopping, Progress()
    after = Scheduling(), AfterUser(averaging, monitor, stopping)
    return [
        *zip(BEFORE_USER, before, strict=True),
        *callbacks,
        *zip(AFTER_USER, after, strict=True),
    ]


def check_callback_keys(net_params: dict[str, Any], names: list[str]) -> None:
    """Raise if a key "callbacks__name__option" names no callback; skorch ignores it."""
    known = [name for name in names if name not in OURS]
    for key in net_params:
        if not key.startswith("callbacks__"):
            continue
        if key.split("__")[1] not in {*known, *OF_SKORCH, "valid_loss", "print_log"}:
            raise ValueError(
                f"{key!r} in `net_params` does not name a callback; the callbacks are "
                f"{', '.join(known)}."
            )


def _check_param_groups(net_params: dict[str, Any], net: NeuralNet) -> None:
    """Raise if a pattern of the user's parameter groups matches no parameter."""
    names = [name for name, _ in net.get_all_learnable_params()]
    for pattern, _ in net_params.get("optimizer__param_groups", []):
        if not any(fnmatch(name, pattern) for name in names):
            raise ValueError(
                f"The pattern {pattern!r} in `net_params['optimizer__param_groups']` "
                f"matches no parameter; the parameters are {', '.join(names)}."
            )


def _frozen_statistics(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the normalization layers of parts whose weights are all frozen."""
    for part in module.modules():
        weights = list(part.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            for layer in part.modules():
                if isinstance(getattr(layer, "running_mean", None), Tensor):
                    yield layer


def _optimizer_options(
    optimizer: type[torch.optim.Optimizer],
    weight_decay: float,
    device: torch.device,
    given: dict[str, Any],
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "weight_decay" in inspect.signature(optimizer).parameters:
        options["weight_decay"] = weight_decay
    # torch accepts only one of the two
    has_chosen = "optimizer__fused" in given or "optimizer__foreach" in given
    if (
        optimizer in OPTIMIZERS.values()
        and device.type in ("cpu", "cuda")
        and not has_chosen
    ):
        options["fused"] = True
    return options
