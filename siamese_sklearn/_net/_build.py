"""From parameters to a skorch net, and what surrounds its training."""

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

__all__ = [
    "OPTIMIZERS",
    "build_net",
    "check_net_params",
    "check_optimizer",
    "conclude",
    "kept_on_error",
    "set_learning_rate",
]

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}

# In this order: what looks at the net after an epoch has to see the averaged weights.
_OURS: dict[str, type[Callback]] = {
    "averaging": Averaging,
    "monitor": Monitor,
    "retrieval_stopping": RetrievalStopping,
    "progress": Progress,
}

_OWN_LR = "own_lr"  # marks the parameter group of a loss's weights
_COLLAPSED = 1e-3  # spread of the embeddings over their mean square norm

# What we set ourselves, under the name of our own parameter.
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
    """A NeuralNet that skips what costs time, and whose pickle does not need the device it was trained on."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave out `module` and `criterion`: they are `module_` and `criterion_`, tied to their device."""
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
        """Names and parameters of the network, and those of a loss that has its own, as "loss.<name>"."""
        yield from self.module_.named_parameters()
        yield from self.criterion_.named_parameters(prefix="loss")

    def _set_training(self, training: bool = True) -> None:
        # Else skorch walks through all layers before every batch, to set a mode that they have already.
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
    """Make and initialise the skorch net.

    Raises
    ------
    ValueError, TypeError
        If `optimizer`, `callbacks` or `net_params` do not fit; the message names the parameter.
    """
    given = check_net_params(net_params)
    optimizer_class = check_optimizer(optimizer)
    options = _optimizer_options(optimizer_class, weight_decay, device, given)
    options["param_groups"] = list(given.get("optimizer__param_groups", []))
    loss_lr = getattr(loss, "lr", None)
    if (
        loss_lr is not None
    ):  # the weights of the loss have their own learning rate, and no decay
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
        text = f"The net could not be made; look at `net_params`, `callbacks` and `optimizer`: {error}"
        raise kind(text) from error
    return net


def check_net_params(net_params: dict[str, Any] | None) -> dict[str, Any]:
    """Return `net_params`, or an empty dict for None.

    Raises
    ------
    ValueError, TypeError
        If it is no dict, or sets what a parameter of the estimator sets; the message names that.
    """
    if net_params is None:
        return {}
    if not isinstance(net_params, dict):
        raise TypeError(
            f"`net_params` must be a dict of parameters of skorch.NeuralNet; got {type(net_params).__name__}."
        )
    for key in map(str, net_params):
        ours = _TAKEN.get(
            key
            if key.startswith(("optimizer__", "callbacks__"))
            else key.split("__")[0]
        )
        if ours is not None:
            raise ValueError(
                f"`net_params` must not set {key!r}; set `{ours}` of the estimator instead."
            )
    return net_params


def check_optimizer(
    optimizer: str | type[torch.optim.Optimizer],
) -> type[torch.optim.Optimizer]:
    """Return the class that the parameter `optimizer` names or is.

    Raises
    ------
    ValueError, TypeError
        If there is no optimizer of that name, or it is neither a name nor a class of optimizers.
    """
    if isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        return OPTIMIZERS[check_option("optimizer", optimizer, OPTIMIZERS)]
    raise TypeError(
        f"`optimizer` must be {', '.join(map(repr, OPTIMIZERS))} or a subclass of torch.optim.Optimizer; "
        f"got {optimizer!r}."
    )


def set_learning_rate(net: NeuralNet, lr: float, weight_decay: float) -> None:
    """Go on with changed values; one that is as before leaves alone what a scheduler has made of it."""
    changed: dict[str, float] = {}
    if lr != net.lr:
        net.lr = lr
        changed |= {"lr": lr, "initial_lr": lr}  # a scheduler begins at the latter
    if weight_decay != getattr(
        net, "optimizer__weight_decay", weight_decay
    ):  # not all optimizers have it
        net.optimizer__weight_decay = weight_decay
        changed["weight_decay"] = weight_decay
    for group in net.optimizer_.param_groups:
        if not group.get(_OWN_LR, False):
            group.update(changed)


@contextmanager
def kept_on_error(net: NeuralNet) -> Iterator[None]:
    """Put weights, optimizer and history of a net back as they were if the block raises."""
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
    """Take an unfinished epoch out of the history, and warn of what went wrong.

    Parameters
    ----------
    net : NeuralNet
        Trained on `run`; Ctrl-C may have stopped it.
    run : TrainingRun
    n_epochs_before : int
        Epochs in the history before the run.
    """
    history, failed = net.history, dict(net.callbacks_)["monitor"].failed_
    begun = len(history) > n_epochs_before
    # An epoch ends with its measures, and Ctrl-C may come before either.
    last = ["spread"] if run.watch is None else ["spread", "valid_score"]
    finished = begun and not failed and all(name in history[-1] for name in last)
    if begun and not finished:
        del history[-1]
    if failed:
        warn(
            f"The {failed} became NaN or infinite; training stopped, with the weights of the last epoch that "
            "was finite. Lower `lr`, keep `normalize=True`, or look for extreme values in X.",
            ConvergenceWarning,
        )
    elif not finished:
        warn(
            f"Training was interrupted in epoch {len(history) + 1}; the model keeps what it has learned "
            "so far.",
            ConvergenceWarning,
        )
    elif history[-1]["spread"] < _COLLAPSED:
        warn(
            f"The embeddings have collapsed towards one point (their spread is {history[-1]['spread']:.1e}). "
            'Use mining="all" (or loss="triplet" with mining="semihard"), a lower `lr`, or a larger '
            "`batch_size`.",
            ConvergenceWarning,
        )


def _check_callback_keys(net_params: dict[str, Any], names: list[str]) -> None:
    """Raise if a key such as "callbacks__name__option" names no callback: skorch passes over it."""
    known = [name for name in names if name not in _OURS]
    for key in net_params:
        if key.startswith("callbacks__") and key.split("__")[1] not in known:
            raise ValueError(
                f"{key!r} in `net_params` names none of the callbacks {', '.join(known)}."
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
    has_chosen = (
        "optimizer__fused" in given or "optimizer__foreach" in given
    )  # torch takes one of the two
    if (
        optimizer in OPTIMIZERS.values()
        and device.type in ("cpu", "cuda")
        and not has_chosen
    ):
        options["fused"] = True
    return options
