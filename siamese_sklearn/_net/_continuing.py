"""Continue the training of a net, with the parameters that may change in between."""

from __future__ import annotations

from typing import Any

from skorch import NeuralNet

from siamese_sklearn._net._build import (
    AFTER_USER,
    BEFORE_USER,
    OF_SKORCH,
    OURS,
    OWN_LR,
    check_callback_keys,
    check_net_params,
    explained,
)
from siamese_sklearn._net._copies import copy_of_callbacks, copy_to_train

__all__ = ["net_to_continue", "set_learning_rate"]


def net_to_continue(
    net: NeuralNet,
    lr: float,
    weight_decay: float,
    callbacks: list[Any] | None,
    net_params: dict[str, Any] | None,
) -> NeuralNet:
    """Copy a trained net, to train the copy on.

    Parameters
    ----------
    net : NeuralNet
        Made by `build_net`; not changed.
    lr, weight_decay : float
    callbacks : list or None
        Other callbacks than before take the place of those.
    net_params : dict or None

    Returns
    -------
    NeuralNet

    Raises
    ------
    ValueError, TypeError
        If `callbacks` is invalid, or `net_params` is not what the net was built with.
    """
    callbacks = list(callbacks or [])
    given_callbacks, given_params = net.given_
    _check_same_net_params(check_net_params(net_params), given_params)
    twin = copy_to_train(net)
    set_learning_rate(twin, lr, weight_decay)
    if not _are_same(callbacks, given_callbacks):
        _replace_callbacks(twin, callbacks)
        twin.given_ = callbacks, given_params
    return twin


def _check_same_net_params(now: dict[str, Any], before: dict[str, Any]) -> None:
    for key in now.keys() | before.keys():
        both = key in now and key in before
        if not both or (now[key] is not before[key] and now[key] != before[key]):
            value, old = now.get(key, "not set"), before.get(key, "not set")
            raise ValueError(
                f"{key!r} in `net_params` is {value!r}, but the model to continue was "
                f"built with {old!r}. Set it back, or fit a new model "
                "(warm_start=False)."
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
        if not group.get(OWN_LR, False):
            group.update(changed)


def _are_same(now: list[Any], before: list[Any]) -> bool:
    """Whether two lists hold the same callbacks, under the same names."""

    def parts(entry: Any) -> tuple[Any, Any]:
        return tuple(entry) if isinstance(entry, tuple | list) else (None, entry)

    return len(now) == len(before) and all(
        parts(one)[0] == parts(other)[0] and parts(one)[1] is parts(other)[1]
        for one, other in zip(now, before, strict=True)
    )


def _replace_callbacks(net: NeuralNet, callbacks: list[Any]) -> None:
    """Give a net other callbacks of the user; ours and skorch's own stay."""
    kept = {name: each for name, each in net.callbacks_ if name in OURS | OF_SKORCH}
    net.callbacks = [
        *((name, kept[name]) for name in BEFORE_USER),
        *copy_of_callbacks(callbacks),
        *((name, kept[name]) for name in AFTER_USER),
    ]
    with explained():
        net.initialize_callbacks()
        check_callback_keys(vars(net), [name for name, _ in net.callbacks_])
    net.callbacks_ = [(name, kept.get(name, each)) for name, each in net.callbacks_]
