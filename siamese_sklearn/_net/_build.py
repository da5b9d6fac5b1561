"""From parameters to a skorch net, training it, and embedding with it."""

from __future__ import annotations

import copy
import inspect
import warnings
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from torch import Tensor, nn

from siamese_sklearn._checks import check_option
from siamese_sklearn._net._callbacks import Averaging, Monitor, Progress, RetrievalStopping, restore, snapshot
from siamese_sklearn._net._run import BatchIterator, TrainingRun

__all__ = [
    "OPTIMIZERS",
    "Criterion",
    "build_net",
    "check_net_params",
    "check_optimizer",
    "set_learning_rate",
    "train",
]

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
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


class Criterion(nn.Module):
    """The loss as skorch calls it: on embeddings of rows, pairs or triplets, or on the logits of pairs."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    @property
    def n_active(self) -> Tensor | None:
        """How many pairs or triplets had a part in the last value; None if the loss does not tell."""
        return getattr(self.loss, "n_active", None)

    def forward(self, output: Tensor | tuple[Tensor, ...], target: Tensor) -> Tensor:
        """Loss of a batch."""
        loss: Any = self.loss
        value: Tensor
        if isinstance(output, Tensor) and output.ndim == 1:
            value = loss.from_logits(output, target)
        elif isinstance(output, Tensor):  # rows that passed two towers have two embeddings each
            value = loss(output, target.repeat(len(output) // len(target)))
        elif len(output) == 2:
            value = loss.forward_pairs(*output, target)
        else:
            value = loss.forward_triplets(*output)
        return value


class _Net(NeuralNet):
    """A NeuralNet that skips what costs time, and whose pickle does not need the device it was trained on."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave out `module` and `criterion`: they are `module_` and `criterion_`, tied to their device."""
        state = super().__getstate__()
        return {key: value for key, value in state.items() if key not in ("module", "criterion")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.update(module=self.module_, criterion=self.criterion_, device=str(self.device))

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
    options["param_groups"] = [*given.get("optimizer__param_groups", []), *_loss_group(loss)]
    ours = [  # in this order: what looks at the net after an epoch shall see the averaged weights
        ("averaging", Averaging()),
        ("monitor", Monitor()),
        ("retrieval_stopping", RetrievalStopping()),
        ("progress", Progress()),
    ]
    settings: dict[str, Any] = {
        "module": module,
        "criterion": Criterion(loss),
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
        _check_callback_keys(given, [name for name, _ in net.callbacks_], [name for name, _ in ours])
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
        ours = _TAKEN.get(key if key.startswith(("optimizer__", "callbacks__")) else key.split("__")[0])
        if ours is not None:
            raise ValueError(f"`net_params` must not set {key!r}; set `{ours}` of the estimator instead.")
    return net_params


def check_optimizer(optimizer: str | type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
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
    if weight_decay != getattr(net, "optimizer__weight_decay", weight_decay):  # not all optimizers have it
        net.optimizer__weight_decay = weight_decay
        changed["weight_decay"] = weight_decay
    for group in net.optimizer_.param_groups:
        if not group.get(_OWN_LR, False):
            group.update(changed)


def train(net: NeuralNet, run: TrainingRun) -> None:
    """Train for `run.n_epochs` epochs; if that fails, put the net back as it was.

    Ctrl-C stops training and keeps what was learned, with a warning.
    """
    weights, moments = snapshot(net), copy.deepcopy(net.optimizer_.state_dict())
    n_epochs = len(net.history)
    try:
        net.partial_fit(run, epochs=run.n_epochs)
        _conclude(net, run, n_epochs)
    except BaseException:
        restore(net, weights)
        net.optimizer_.load_state_dict(moments)
        del net.history[n_epochs:]
        for name in ("averaging", "monitor", "retrieval_stopping", "progress"):
            dict(net.callbacks_)[name].release()
        raise


def _conclude(net: NeuralNet, run: TrainingRun, n_epochs_before: int) -> None:
    """Take an unfinished epoch out of the history, and warn of what went wrong."""
    history, failed = net.history, dict(net.callbacks_)["monitor"].failed_
    begun = len(history) > n_epochs_before
    finished = begun and not failed and _is_finished(history[-1], run)
    if begun and not finished:
        del history[-1]
    if failed:
        _warn(
            f"The {failed} became NaN or infinite; training stopped, with the weights of the last epoch that "
            "was finite. Lower `lr`, keep `normalize=True`, or look for extreme values in X."
        )
    elif not finished:
        _warn(
            f"Training was interrupted in epoch {len(history) + 1}; the model keeps what it has learned "
            "so far."
        )
    elif history[-1]["spread"] < _COLLAPSED:
        _warn(
            f"The embeddings have collapsed towards one point (their spread is {history[-1]['spread']:.1e}). "
            'Use mining="all" (or loss="triplet" with mining="semihard"), a lower `lr`, or a larger '
            "`batch_size`."
        )


def _is_finished(epoch: dict[str, Any], run: TrainingRun) -> bool:
    """Whether an epoch has come to its end, and its measure too: Ctrl-C may fall into either."""
    return "spread" in epoch and (run.watch is None or "valid_score" in epoch)


def _warn(text: str) -> None:
    warnings.warn(text, ConvergenceWarning, stacklevel=6)  # where the user called fit


def _check_callback_keys(net_params: dict[str, Any], names: list[str], ours: list[str]) -> None:
    """Raise if a key such as "callbacks__name__option" names no callback: skorch passes over it."""
    known = [name for name in names if name not in ours]
    for key in net_params:
        if key.startswith("callbacks__") and key.split("__")[1] not in known:
            raise ValueError(f"{key!r} in `net_params` names none of the callbacks {', '.join(known)}.")


def _optimizer_options(
    optimizer: type[torch.optim.Optimizer], weight_decay: float, device: torch.device, given: dict[str, Any]
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "weight_decay" in inspect.signature(optimizer).parameters:
        options["weight_decay"] = weight_decay
    has_chosen = "optimizer__fused" in given or "optimizer__foreach" in given  # torch takes one of the two
    if optimizer in OPTIMIZERS.values() and device.type in ("cpu", "cuda") and not has_chosen:
        options["fused"] = True
    return options


def _loss_group(loss: nn.Module) -> list[tuple[str, dict[str, Any]]]:
    """Parameter group of a loss's own weights: their own learning rate, and no decay."""
    lr = getattr(loss, "lr", None)
    return [] if lr is None else [("loss.*", {"lr": lr, "weight_decay": 0.0, _OWN_LR: True})]
