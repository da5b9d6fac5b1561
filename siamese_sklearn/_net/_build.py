"""Build a skorch net from parameters, and prepare and conclude its training."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import nn

from siamese_sklearn._checks import check_option, warn
from siamese_sklearn._net._callbacks import (
    Averaging,
    Monitor,
    Progress,
    RetrievalStopping,
    restore,
    snapshot,
)
from siamese_sklearn._net._run import BatchIterator, TrainingRun
from siamese_sklearn._net._schedule import Scheduling

__all__ = [
    "OPTIMIZERS",
    "build_net",
    "check_net_params",
    "check_optimizer",
    "conclude",
    "kept_on_error",
    "set_learning_rate",
    "train_briefly",
    "without_callbacks",
]

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}

# Order matters: callbacks that read the net after an epoch must see averaged weights.
_OURS: dict[str, type[Callback]] = {
    "scheduling": Scheduling,
    "averaging": Averaging,
    "monitor": Monitor,
    "retrieval_stopping": RetrievalStopping,
    "progress": Progress,
}

_OWN_LR = "own_lr"  # marks the parameter group of the weights of a loss
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
        """Leave out `module` and `criterion`.

        They are the same objects as `module_` and `criterion_`, but would be pickled on
        their device.
        """
        state = super().__getstate__()
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

    def get_all_learnable_params(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters of the network, and of a loss with weights as "loss.<name>"."""
        yield from self.module_.named_parameters()
        yield from self.criterion_.named_parameters(prefix="loss")

    def _set_training(self, training: bool = True) -> None:
        # Without this check, skorch visits all layers before every batch to set a mode
        # that they already have.
        if self.module_.training != training or self.criterion_.training != training:
            super()._set_training(training)


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
    """Create and initialize the skorch net.

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
        group = {"lr": loss_lr, "weight_decay": 0.0, _OWN_LR: True}
        options["param_groups"].append(("loss.*", group))
    ours = [(name, callback()) for name, callback in _OURS.items()]
    settings: dict[str, Any] = {
        "module": module,
        "criterion": loss,
        "optimizer": optimizer_class,
        "lr": lr,
        "max_epochs": max_epochs,
        "iterator_train": BatchIterator,
        "train_split": None,
        "callbacks": ours + copy.deepcopy(list(callbacks or [])),
        "callbacks__valid_loss": None,
        "callbacks__print_log": None,
        "device": str(device),
        "verbose": 0,
        **given,
        **{f"optimizer__{key}": value for key, value in options.items()},
    }
    try:
        net = _Net(**settings)
        net.initialize()
        _check_callback_keys(given, [name for name, _ in net.callbacks_])
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        kind = ValueError if isinstance(error, ValueError | RuntimeError) else TypeError
        text = (
            "Could not create the net; check `net_params`, `callbacks` and "
            f"`optimizer`: {error}"
        )
        raise kind(text) from error
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


def set_learning_rate(net: NeuralNet, lr: float, weight_decay: float) -> None:
    """Apply changed values; an unchanged one keeps what a scheduler has made of it."""
    changed: dict[str, float] = {}
    if lr != net.lr:
        net.lr = lr
        changed |= {"lr": lr, "initial_lr": lr}  # schedulers start from `initial_lr`
    # not all optimizers have weight decay
    if weight_decay != getattr(net, "optimizer__weight_decay", weight_decay):
        net.optimizer__weight_decay = weight_decay
        changed["weight_decay"] = weight_decay
    for group in net.optimizer_.param_groups:
        if not group.get(_OWN_LR, False):
            group.update(changed)


def train_briefly(net: NeuralNet, run: TrainingRun) -> bool:
    """Train a net that is only needed to learn something from it.

    Returns
    -------
    bool
        Whether loss and embeddings stayed finite.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C stopped it: skorch swallows that, and the net is worth nothing.
    """
    net.partial_fit(run, epochs=run.n_epochs)
    failed = dict(net.callbacks_)["monitor"].failed_
    if not failed and (
        len(net.history) < run.n_epochs or "spread" not in net.history[-1]
    ):
        raise KeyboardInterrupt
    return not failed


@contextmanager
def kept_on_error(net: NeuralNet) -> Iterator[None]:
    """Restore weights, optimizer state and history of a net if the block raises."""
    weights, moments = snapshot(net), copy.deepcopy(net.optimizer_.state_dict())
    n_epochs = len(net.history)
    try:
        yield
    except BaseException:
        restore(net, weights)
        net.optimizer_.load_state_dict(moments)
        del net.history[n_epochs:]
        for name in _OURS:
            dict(net.callbacks_)[name].release()
        raise


def conclude(net: NeuralNet, run: TrainingRun, n_epochs_before: int) -> None:
    """Remove an unfinished epoch from the history, and warn if training went wrong.

    Parameters
    ----------
    net : NeuralNet
        Trained on `run`, possibly stopped by Ctrl-C.
    run : TrainingRun
    n_epochs_before : int
        Number of epochs in the history before the run.
    """
    history, failed = net.history, dict(net.callbacks_)["monitor"].failed_
    begun = len(history) > n_epochs_before
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
    elif not finished:
        warn(
            f"Training was interrupted in epoch {len(history) + 1}; the model keeps "
            "what it has learned so far.",
            ConvergenceWarning,
        )
    elif history[-1]["spread"] < _COLLAPSED:
        warn(
            "The embeddings have collapsed to nearly a single point (spread "
            f'{history[-1]["spread"]:.1e}). Use mining="all" (or loss="triplet" with '
            'mining="semihard"), a lower `lr`, or a larger `batch_size`.',
            ConvergenceWarning,
        )


def _check_callback_keys(net_params: dict[str, Any], names: list[str]) -> None:
    """Raise if a key "callbacks__name__option" names no callback; skorch ignores it."""
    known = [name for name in names if name not in _OURS]
    for key in net_params:
        if key.startswith("callbacks__") and key.split("__")[1] not in known:
            raise ValueError(
                f"{key!r} in `net_params` does not name a callback; the callbacks are "
                f"{', '.join(known)}."
            )


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
