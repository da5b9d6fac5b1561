"""Copies of callbacks and nets. What a callback was given is shared, not copied."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn

__all__ = ["copy_of_callbacks", "copy_to_train"]

Object = TypeVar("Object")


def copy_of_callbacks(callbacks: Iterable[Any]) -> list[Any]:
    """Copy callbacks, so that their own state is not shared.

    A writer, a run of a logger or a lock that a callback holds stays the one it was
    given. A callback that holds another one of the list, as skorch's `LoadInitState`
    does, holds its copy afterwards.

    Parameters
    ----------
    callbacks : iterable of callbacks, classes, or (name, callback)

    Returns
    -------
    list
        With the same names and classes.
    """
    given = list(callbacks)
    copies = {
        id(callback): _shallow(callback)
        for callback in map(_callback, given)
        if isinstance(callback, Callback)
    }
    for twin in copies.values():
        for name, value in vars(twin).items():
            vars(twin)[name] = copies.get(id(value), value)
    return [
        (entry[0], copies.get(id(entry[1]), entry[1]))
        if isinstance(entry, tuple | list)
        else copies.get(id(entry), entry)
        for entry in given
    ]


def copy_to_train(net: NeuralNet) -> NeuralNet:
    """Copy a net, so that training it leaves the original as it is.

    Parameters
    ----------
    net : NeuralNet
        Initialized.

    Returns
    -------
    NeuralNet
        With its own weights, optimizer, callbacks and list of epochs.
    """
    memo: dict[int, Any] = {}
    for part in (net.module_, net.criterion_):
        _detach_kept_tensors(part, memo)
    twin = _shallow(net)
    twin.module_ = twin.module = copy.deepcopy(net.module_, memo)
    twin.criterion_ = twin.criterion = copy.deepcopy(net.criterion_, memo)
    twin.optimizer_ = _copy_of_optimizer(net.optimizer_, memo)
    twin.callbacks_ = twin.callbacks = copy_of_callbacks(net.callbacks_)
    twin.history_ = type(net.history)(net.history.to_list())
    return twin


def _callback(entry: Any) -> Any:
    return entry[1] if isinstance(entry, tuple | list) else entry


def _shallow(source: Object) -> Object:
    """Copy without what a class does for pickling, which may leave handles out."""
    twin: Object = object.__new__(type(source))
    vars(twin).update(vars(source))
    return twin


def _copy_of_optimizer(
    optimizer: torch.optim.Optimizer, memo: dict[int, Any]
) -> torch.optim.Optimizer:
    """Copy all attributes; PyTorch's own copy leaves out those of subclasses."""
    twin = object.__new__(type(optimizer))
    memo[id(optimizer)] = twin
    for name, value in vars(optimizer).items():
        if name != "step":  # a scheduler's wrapper, which calls the original
            vars(twin)[name] = copy.deepcopy(value, memo)
    return twin


def _detach_kept_tensors(module: nn.Module, memo: dict[int, Any]) -> None:
    """Let a copy have the values of tensors that a module keeps from its last batch.

    PyTorch does not copy tensors with a history of gradients.
    """
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, Tensor) and value.grad_fn is not None:
                memo[id(value)] = value.detach().clone()
