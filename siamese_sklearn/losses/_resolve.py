"""From what the user gave as `loss` to the module that training calls."""

from __future__ import annotations

import copy
from typing import Any, TypeAlias

from sklearn.base import clone
from torch import nn

from siamese_sklearn._checks import check_option
from siamese_sklearn.losses._base import LossSpec

__all__ = ["LossLike", "make_loss"]

LossLike: TypeAlias = str | LossSpec | nn.Module


def make_loss(
    loss: LossLike,
    registry: dict[str, type[LossSpec]],
    n_classes: int,
    n_components: int,
    **overrides: Any,
) -> nn.Module:
    """Build the loss, or copy a module.

    Parameters
    ----------
    loss : str, LossSpec or nn.Module
        A name in `registry`, a spec, or a module with ``forward(embeddings, labels)``, which is deep-copied.
    registry : dict of str to type
    n_classes, n_components : int
    **overrides
        Parameters to set on a spec; None, and what the loss does not have, is passed over.

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError, TypeError
        If `loss` is none of these, or a parameter has a value that the loss cannot take.
    """
    if isinstance(loss, nn.Module):
        return copy.deepcopy(loss)
    if isinstance(loss, str):
        spec = registry[check_option("loss", loss, registry)]()
    elif isinstance(loss, LossSpec):
        spec = clone(loss)
    else:
        raise TypeError(
            f"`loss` must be one of {', '.join(map(repr, registry))}, a spec such as TripletLoss(), or a "
            f"torch.nn.Module with forward(embeddings, labels); got {loss!r}."
        )
    known = spec.get_params(deep=False)
    spec.set_params(**{key: value for key, value in overrides.items() if value is not None and key in known})
    return spec.build(n_classes, n_components)
