"""Turn the parameter `loss` into the module that training calls."""

from __future__ import annotations

import copy
from typing import Any, TypeAlias

import torch
from sklearn.base import clone
from torch import Tensor, nn

from siamese_sklearn._checks import check_option
from siamese_sklearn.distances import Distance, as_distance, at_least_float32
from siamese_sklearn.losses._base import EmbeddingLoss, LossSpec

__all__ = ["LossLike", "PluggedLoss", "make_loss", "named_loss"]

LossLike: TypeAlias = str | LossSpec | nn.Module | tuple[nn.Module, nn.Module]


class PluggedLoss(nn.Module):
    """Adapter that wraps a user's `nn.Module` as a loss, with an optional miner.

    The modules can come from pytorch-metric-learning. The loss is computed in float32
    or wider, also under autocast, and its value is checked.

    Parameters
    ----------
    loss : nn.Module
        Called as ``loss(embeddings, labels)``, or as
        ``loss(embeddings, labels, mined)`` with a miner.
    miner : nn.Module or None, default=None
        Called as ``miner(embeddings, labels)``, without gradients. It returns indices
        of pairs or triplets in the form that `loss` accepts.

    Attributes
    ----------
    distance : Distance
        The attribute `distance` of `loss`, if it is a distance or names one; else the
        Euclidean distance.
    lr : float or None
        The attribute `lr` of `loss`, the learning rate of its weights; None means the
        learning rate of the estimator.
    n_active : Tensor or None
        The attribute `n_active` of `loss`, or None if there is none.
    """

    def __init__(self, loss: nn.Module, miner: nn.Module | None = None) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner
        distance = getattr(loss, "distance", None)
        if not isinstance(distance, str | Distance):  # a library has objects of its own
            distance = "euclidean"
        self.distance = as_distance(distance, "loss.distance")

    @property
    def lr(self) -> float | None:
        """Learning rate of the weights of `loss`, or None if it does not say."""
        return getattr(self.loss, "lr", None)

    @property
    def n_active(self) -> Tensor | None:
        """Number of active terms of `loss`, or None if it does not say."""
        return getattr(self.loss, "n_active", None)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        embeddings : Tensor of shape (B, d)
        labels : Tensor of shape (B,)

        Returns
        -------
        Tensor with one element

        Raises
        ------
        TypeError, ValueError
            If the loss returns anything else, or a value without a gradient.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = at_least_float32(embeddings)
            if self.miner is None:
                value = self.loss(embeddings, labels)
            else:
                with torch.no_grad():
                    mined = self.miner(embeddings, labels)
                value = self.loss(embeddings, labels, mined)
        return _check_value(value, self.loss, differentiable=embeddings.requires_grad)


def make_loss(
    loss: LossLike,
    registry: dict[str, type[LossSpec]],
    n_classes: int,
    n_components: int,
    **overrides: Any,
) -> nn.Module:
    """Build the loss, or copy and wrap a user's module.

    Parameters
    ----------
    loss : str, LossSpec, nn.Module or tuple
        A name in `registry`, a spec, a module with ``forward(embeddings, labels)``, or
        a tuple (loss, miner) of modules, called as
        ``loss(embeddings, labels, miner(embeddings, labels))``. Modules are
        deep-copied.
    registry : dict of str to type
    n_classes, n_components : int
    **overrides
        Parameters to set on a spec. None is skipped, and so are parameters that the
        loss does not have.

    Returns
    -------
    nn.Module
        An `EmbeddingLoss`, or a `PluggedLoss` with the copies.

    Raises
    ------
    ValueError, TypeError
        If `loss` is none of these, or a parameter has a value that the loss does not
        accept.
    """
    if isinstance(loss, EmbeddingLoss):
        return copy.deepcopy(loss)
    if isinstance(loss, nn.Module):
        return PluggedLoss(copy.deepcopy(loss))
    if isinstance(loss, tuple):
        _check_tuple(loss)
        return PluggedLoss(*copy.deepcopy(loss))
    spec = named_loss(loss, registry, **overrides)
    return spec.build(n_classes, n_components)


def named_loss(
    loss: str | LossSpec, registry: dict[str, type[LossSpec]], **overrides: Any
) -> LossSpec:
    """Return a copy of the spec that is given or named, with some parameters set.

    The parameters and errors are those of `make_loss`.
    """
    spec = _make_spec(loss, registry)
    known = spec.get_params(deep=False)
    given = {
        key: value
        for key, value in overrides.items()
        if value is not None and key in known
    }
    _check_taken(spec, registry, "mining", given.get("mining"), "minings")
    _check_taken(spec, registry, "distance", given.get("distance"), "distances")
    spec.set_params(**given)
    return spec


def _make_spec(loss: Any, registry: dict[str, type[LossSpec]]) -> LossSpec:
    if isinstance(loss, str):
        return registry[check_option("loss", loss, registry)]()
    if isinstance(loss, LossSpec):
        spec: LossSpec = clone(loss)
        return spec
    if isinstance(loss, type) and issubclass(loss, LossSpec | nn.Module):
        arguments = "" if issubclass(loss, LossSpec) else "..."
        raise TypeError(
            f"`loss` is the class {loss.__name__}; pass an instance, "
            f"{loss.__name__}({arguments})."
        )
    raise TypeError(
        f"`loss` must be one of {', '.join(map(repr, registry))}, a spec such as "
        "TripletLoss(), a torch.nn.Module with forward(embeddings, labels), or a tuple "
        f"(loss, miner) of two modules; got {loss!r}."
    )


def _check_tuple(loss: tuple[Any, ...]) -> None:
    if len(loss) == 2 and all(isinstance(member, nn.Module) for member in loss):
        return
    got = ", ".join(_kind(member) for member in loss)
    raise TypeError(
        "`loss`, if it is a tuple, must be (loss, miner), two torch.nn.Modules such "
        f"as a loss and a miner from pytorch-metric-learning; got ({got})."
    )


def _kind(value: object) -> str:
    return (
        f"the class {value.__name__}"
        if isinstance(value, type)
        else type(value).__name__
    )


def _check_value(value: Any, loss: nn.Module, *, differentiable: bool) -> Tensor:
    """Return the value of a loss if training can use it, else raise."""
    name = type(loss).__name__
    if not isinstance(value, Tensor):
        raise TypeError(
            f"`loss`, a {name}, must return a Tensor with one element; got "
            f"{_kind(value)}."
        )
    if value.numel() != 1:
        raise ValueError(
            f"`loss`, a {name}, must return one number per batch, such as the mean "
            f"over its rows; got a Tensor of shape {tuple(value.shape)}."
        )
    if differentiable and not value.requires_grad:
        raise ValueError(
            f"`loss`, a {name}, must return a value with a gradient; got one without. "
            "Compute it from the embeddings with torch operations only, without "
            "detach(), item() or numpy()."
        )
    return value


def _check_taken(
    spec: LossSpec,
    registry: dict[str, type[LossSpec]],
    name: str,
    value: object,
    attribute: str,
) -> None:
    """Raise a ValueError if `value` is given and `spec` does not accept it.

    The message names the losses that do accept it.
    """
    options: tuple[str, ...] = getattr(spec, attribute)
    if value is None or not options:
        return
    kinds = registry.items()
    takers = [
        repr(key)
        for key, kind in kinds
        if isinstance(value, str) and value in getattr(kind, attribute)
    ]
    if not takers or value in options:
        check_option(name, value, options)
        return
    loss = next(
        (repr(key) for key, kind in kinds if kind is type(spec)), type(spec).__name__
    )
    raise ValueError(
        f"`{name}` must be one of {', '.join(map(repr, options))} for loss {loss}; got "
        f"{value!r}. Losses that accept it: {', '.join(takers)}."
    )
