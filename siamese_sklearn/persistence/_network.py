"""How the network of an estimator was built, and how it is built again."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from siamese_sklearn._checks import warn
from siamese_sklearn._net import build_net, resolve_device, seeded, uncompiled
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.losses._resolve import make_loss, named_loss
from siamese_sklearn.persistence._values import Encoder, NotStorableError
from siamese_sklearn.towers import InputPath
from siamese_sklearn.towers._architecture import make_network
from siamese_sklearn.towers._resolve import named_tower

__all__ = ["OWN", "build_again", "described"]

# Parameters of the user's own types. A file has no code, so `load` takes them again.
OWN = ("tower", "loss", "head")

_ROWS = 2  # to build the network with


def described(estimator: Any, encoder: Encoder) -> dict[str, Any]:
    """Describe the network, its loss and their weights in JSON.

    Names are replaced by the specs that they stand for, because defaults may differ in
    the version that loads the file.
    """
    net = estimator.net_
    parts = {"tower": _towers(estimator), "loss": _loss(estimator)}
    return {
        **{name: or_own(encoder, part, name) for name, part in parts.items()},
        "weights": _weights(encoder, net.module_, "weights", "tower"),
        "loss_weights": _weights(encoder, net.criterion_, "loss_weights", "loss"),
        # a two-channel network has none, but its loss is built with some
        "n_components": int(net.module_.n_components) or estimator._width(False),
        "n_classes": estimator._n_classes,
    }


def or_own(encoder: Encoder, value: Any, name: str) -> Any:
    """Encode a value; of the user's own types, the name alone, for an error message."""
    try:
        return {"value": encoder.encode(value, name)}
    except NotStorableError as error:
        return {"own": str(error)}


def build_again(
    estimator: Any, network: dict[str, Any], history: list[dict[str, Any]]
) -> Any:
    """Build the net of an estimator that has its parameters and its shapes.

    Parameters
    ----------
    estimator : SiameseEmbedder or SiamesePairClassifier
    network : dict
        As `described`, decoded, and with the user's own tower and loss.
    history : list of dict
        One for each epoch.

    Raises
    ------
    ValueError
        If the weights do not fit.
    """
    device = _device(estimator.device)
    with seeded(0, device):  # initial weights are drawn, and then replaced
        module = _module(estimator, network)
        path = getattr(module, "input_path", None)
        width = network["n_components"] - (0 if path is None else path.width)
        given = {
            name: getattr(estimator, name) for name in ("margin", "distance", "mining")
        }
        loss = make_loss(
            network["loss"],
            LOSSES,
            network["n_classes"],
            width,
            **given,
            head=estimator._head,
        )
        _load(module, network["weights"], "tower")
        _load(loss, network["loss_weights"], "loss")
        net = build_net(
            module,
            loss,
            optimizer=estimator.optimizer,
            lr=estimator.lr,
            weight_decay=estimator.weight_decay,
            max_epochs=1,
            callbacks=estimator.callbacks,
            net_params=estimator.net_params,
            device=device,
        )
    net.history.extend(history)
    return net


def _towers(estimator: Any) -> Any:
    """Return the tower, or both, with specs in place of names."""
    if isinstance(estimator.tower, tuple):
        return tuple(
            named_tower(tower, shape)
            for tower, shape in zip(estimator.tower, _shapes(estimator), strict=True)
        )
    return named_tower(estimator.tower, estimator.input_shape_)


def _loss(estimator: Any) -> Any:
    """Return the loss: a spec in place of a name, with what overrides it."""
    if isinstance(estimator.loss, nn.Module | tuple):
        return estimator.loss
    given = {
        name: getattr(estimator, name) for name in ("margin", "distance", "mining")
    }
    head = estimator._head if isinstance(estimator._head, str) else None
    return named_loss(estimator.loss, LOSSES, **given, head=head)


def _weights(encoder: Encoder, module: nn.Module, name: str, part: str) -> Any:
    try:
        return encoder.encode(dict(uncompiled(module).state_dict()), name)
    except NotStorableError as error:
        raise TypeError(
            f"The state of `{part}` cannot be stored, because it holds {error}. Make "
            "it of tensors, or use pickle."
        ) from error


def _module(estimator: Any, network: dict[str, Any]) -> nn.Module:
    sides = tuple(torch.zeros(_ROWS, *shape) for shape in _shapes(estimator))
    if estimator._architecture == "siamese":
        sides = sides[:1]
    width = network["n_components"]
    return make_network(
        estimator._architecture,
        network["tower"],
        lambda: [sides],
        width,
        normalize=estimator.normalize,
        input_path=_input_path(network["weights"]),
    )


def _input_path(weights: dict[str, torch.Tensor]) -> InputPath | None:
    """Make an empty input path of the shape that the weights have, if they have one."""
    projection = weights.get("input_path.projection")
    if projection is None:
        return None
    mean = torch.zeros(len(projection))
    return InputPath(mean, torch.zeros_like(projection), constant=1.0)


def _shapes(estimator: Any) -> tuple[tuple[int, ...], ...]:
    """Shapes of a row of the left side and of the right."""
    right = estimator if estimator._right_side is None else estimator._right_side
    return estimator.input_shape_, right.input_shape_


def _load(module: nn.Module, weights: dict[str, torch.Tensor], name: str) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"The weights in the file do not fit the `{name}`. If you pass `{name}` to "
            f"`load`, build it as for the fit: {error}"
        ) from error


def _device(wanted: Any) -> torch.device:
    """Return the device, or the CPU if this machine does not have it."""
    try:
        return resolve_device(wanted)
    except ValueError as error:
        warn(f"The model is loaded to the CPU. {error}")
        return torch.device("cpu")
