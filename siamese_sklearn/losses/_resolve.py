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
    spec = _make_spec(loss, registry)
    known = spec.get_params(deep=False)
    given = {key: value for key, value in overrides.items() if value is not None and key in known}
    _check_taken(spec, registry, "mining", given.get("mining"), "minings")
    _check_taken(spec, registry, "distance", given.get("distance"), "distances")
    spec.set_params(**given)
    return spec.build(n_classes, n_components)


def _make_spec(loss: Any, registry: dict[str, type[LossSpec]]) -> LossSpec:
    if isinstance(loss, str):
        return registry[check_option("loss", loss, registry)]()
    if isinstance(loss, LossSpec):
        spec: LossSpec = clone(loss)
        return spec
    if isinstance(loss, type) and issubclass(loss, LossSpec | nn.Module):
        arguments = "" if issubclass(loss, LossSpec) else "..."
        raise TypeError(
            f"`loss` is the class {loss.__name__}; pass an instance, {loss.__name__}({arguments})."
        )
    raise TypeError(
        f"`loss` must be one of {', '.join(map(repr, registry))}, a spec such as TripletLoss(), or a "
        f"torch.nn.Module with forward(embeddings, labels); got {loss!r}."
    )


def _check_taken(
    spec: LossSpec, registry: dict[str, type[LossSpec]], name: str, value: object, attribute: str
) -> None:
    """Raise a ValueError, with the losses that do take `value`, if it is given and `spec` does not."""
    options: tuple[str, ...] = getattr(spec, attribute)
    if value is None or not options:
        return
    kinds = registry.items()
    takers = [
        repr(key) for key, kind in kinds if isinstance(value, str) and value in getattr(kind, attribute)
    ]
    if not takers or value in options:
        check_option(name, value, options)
        return
    loss = next((repr(key) for key, kind in kinds if kind is type(spec)), type(spec).__name__)
    raise ValueError(
        f"`{name}`={value!r} is not for loss {loss}, which takes {', '.join(map(repr, options))}; "
        f"{' and '.join(takers)} {'takes' if len(takers) == 1 else 'take'} it."
    )
