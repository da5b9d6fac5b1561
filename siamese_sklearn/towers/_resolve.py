"""Turn the parameter `tower` into a network whose output shape has been checked."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from siamese_sklearn._checks import check_option
from siamese_sklearn.towers._cnn import CNNTower
from siamese_sklearn.towers._mlp import MLPTower
from siamese_sklearn.towers._spec import TowerSpec

__all__ = ["TOWERS", "TowerLike", "is_cnn", "make_tower", "named_tower"]

TOWERS: dict[str, type[TowerSpec]] = {"mlp": MLPTower, "cnn": CNNTower}

TowerLike: TypeAlias = (
    str | TowerSpec | nn.Module | Callable[[tuple[int, ...], int], nn.Module]
)


def make_tower(
    tower: TowerLike, rows: Tensor, n_components: int, *, takes_pairs: bool = False
) -> nn.Module:
    """Build or copy the tower and test it on a few rows.

    Parameters
    ----------
    tower : "auto", "mlp", "cnn", TowerSpec, nn.Module or callable
        "auto" builds an MLP for flat rows and a CNN for images. A callable is called as
        ``tower(input_shape, n_components)``. A module, given or returned, is
        deep-copied.
    rows : Tensor of shape (n, *input_shape)
        Rows to test the tower on.
    n_components : int
    takes_pairs : bool, default=False
        Whether each row is a pair, stacked for ``architecture="two_channel"``, so that
        the errors describe that architecture.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    TypeError
        If `tower` is none of these.
    ValueError
        If the name is unknown, the tower fails on the rows, or its output does not have
        shape (n, n_components).
    """
    module = _build(tower, tuple(rows.shape[1:]), n_components).cpu()
    remedy = "Set `n_components` to the width of its output, or change its last layer."
    if takes_pairs:
        remedy = (
            'With architecture="two_channel", it returns one number; change its last '
            "layer."
        )
    elif not isinstance(tower, nn.Module):
        remedy = (
            "Make its last layer as wide as the `n_components` that the callable gets."
        )
    _check_output(module, rows, n_components, takes_pairs, remedy)
    return module


def named_tower(tower: TowerLike, input_shape: tuple[int, ...]) -> TowerLike:
    """Return the spec that a name stands for, and any other tower as it is."""
    if not isinstance(tower, str):
        return tower
    name = check_option("tower", tower, ("auto", *TOWERS))
    if name == "auto":
        name = "cnn" if _has_image_shape(input_shape) else "mlp"
    return TOWERS[name]()


def is_cnn(tower: TowerLike, input_shape: tuple[int, ...]) -> bool:
    """Whether `make_tower` builds the built-in CNN for `tower`."""
    if isinstance(tower, str):
        return tower == "cnn" or (tower == "auto" and _has_image_shape(input_shape))
    return isinstance(tower, CNNTower)


def _has_image_shape(input_shape: tuple[int, ...]) -> bool:
    return len(input_shape) in (2, 3)


def _build(
    tower: TowerLike, input_shape: tuple[int, ...], n_components: int
) -> nn.Module:
    tower = named_tower(tower, input_shape)
    if isinstance(tower, TowerSpec):
        return tower.build(input_shape, n_components)
    if isinstance(tower, nn.Module):
        return copy.deepcopy(tower)
    if isinstance(tower, type) and issubclass(tower, TowerSpec | nn.Module):
        arguments = "" if issubclass(tower, TowerSpec) else "..."
        raise TypeError(
            f"`tower` is the class {tower.__name__}; pass an instance, "
            f"{tower.__name__}({arguments})."
        )
    if callable(tower) and not isinstance(tower, type):
        module: Any = tower(input_shape, n_components)
        if not isinstance(module, nn.Module):
            raise TypeError(
                "`tower`, if it is a callable, must return a torch.nn.Module; got "
                f"{type(module).__name__}."
            )
        return copy.deepcopy(module)  # the user may keep the layers it returns
    raise TypeError(
        f"`tower` must be one of {', '.join(map(repr, ('auto', *TOWERS)))}, a spec "
        "such as MLPTower(), a torch.nn.Module or a callable "
        f"(input_shape, n_components) -> torch.nn.Module; got {tower!r}."
    )


def _check_output(
    module: nn.Module, rows: Tensor, n_components: int, takes_pairs: bool, remedy: str
) -> None:
    was_training = module.training
    module.eval()  # batch normalization must not see these rows
    try:
        with torch.no_grad():
            output = module(rows.clone())
    except Exception as error:
        shape = tuple(rows.shape)
        what = "rows"
        if takes_pairs:
            what = 'pairs, stacked by architecture="two_channel" into rows'
        raise ValueError(
            f"`tower` failed on {what} of shape {shape[1:]} (a batch of shape "
            f"{shape}): {error}"
        ) from error
    finally:
        module.train(was_training)
    expected = (len(rows), n_components)
    if not isinstance(output, Tensor) or tuple(output.shape) != expected:
        got = (
            tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        )
        what = "logits" if takes_pairs else "embeddings"
        raise ValueError(
            f"`tower` must map a batch of shape {tuple(rows.shape)} to {what} of shape "
            f"{expected}; got {got}. {remedy}"
        )
