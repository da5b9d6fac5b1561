"""Turn the parameters `architecture` and `tower` into the network that is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from torch import Tensor, nn

from siamese_sklearn.towers._input_path import InputPath
from siamese_sklearn.towers._layers import Standardize
from siamese_sklearn.towers._resolve import TowerLike, make_tower
from siamese_sklearn.towers._siamese import (
    PseudoSiameseNetwork,
    SiameseNetwork,
    TwoChannelNetwork,
    stack_channels,
)
from siamese_sklearn.towers._spec import TowerSpec

__all__ = ["ARCHITECTURES", "make_network"]

ARCHITECTURES = ("siamese", "pseudo_siamese", "two_channel")

Slices: TypeAlias = Callable[[], Iterable[tuple[Tensor, ...]]]

_ROWS_TRIED = 2


def make_network(
    architecture: str,
    tower: TowerLike | tuple[TowerLike, TowerLike],
    slices: Slices,
    n_components: int,
    *,
    normalize: bool,
    input_path: InputPath | None = None,
) -> nn.Module:
    """Build the network and fit its `Standardize` layers to the data.

    Parameters
    ----------
    architecture : {"siamese", "pseudo_siamese", "two_channel"}
    tower : tower, or tuple of two towers for "pseudo_siamese"
        As in `make_tower`.
    slices : callable
        Returns a new iterable over the data at each call. It yields slices of rows,
        (x,), or of the sides of pairs or triplets.
    n_components : int
    normalize : bool
        Scale embeddings to unit norm.
    input_path : InputPath, default=None
        For "siamese" only: takes its width of the components.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    ValueError, TypeError
        If a tower cannot be built or does not fit the data, or if two towers are given
        where one is used.
    """
    if isinstance(tower, tuple):
        _check_two(tower, architecture)
    if architecture == "two_channel":
        stacked = _fitted_tower(tower, lambda: _stacked(slices), 1, takes_pairs=True)
        return TwoChannelNetwork(stacked)
    # Built-in towers never modify their input.
    towers = tower if isinstance(tower, tuple) else (tower,)
    built_in = all(isinstance(each, str | TowerSpec) for each in towers)
    # In one dimension, unit norm would leave only the sign, which has no gradient.
    options = {"normalize": normalize and n_components > 1, "may_write": not built_in}
    if architecture == "pseudo_siamese":
        left, right = tower if isinstance(tower, tuple) else (tower, tower)
        left = _fitted_tower(
            left, lambda: (sides[0] for sides in slices()), n_components
        )
        right = _fitted_tower(
            right, lambda: (sides[-1] for sides in slices()), n_components
        )
        return PseudoSiameseNetwork(left, right, n_components, **options)
    width = n_components - (0 if input_path is None else input_path.width)
    shared = _fitted_tower(
        tower, lambda: (side for sides in slices() for side in sides), width
    )
    return SiameseNetwork(shared, n_components, input_path=input_path, **options)


def _check_two(towers: tuple[TowerLike, ...], architecture: str) -> None:
    """Raise a ValueError unless two towers are given where two are used."""
    if architecture != "pseudo_siamese":
        raise ValueError(
            "`tower` can be a tuple of two towers, (left, right), only with "
            f'architecture="pseudo_siamese"; got a tuple of {len(towers)} with '
            f"architecture={architecture!r}."
        )
    if len(towers) != 2:
        raise ValueError(
            "`tower` must be one tower or a tuple of two, (left, right), with "
            f'architecture="pseudo_siamese"; got a tuple of {len(towers)}.'
        )


def _fitted_tower(
    tower: Any,
    batches: Callable[[], Iterable[Tensor]],
    width: int,
    *,
    takes_pairs: bool = False,
) -> nn.Module:
    first = next(iter(batches()))[:_ROWS_TRIED]
    module = make_tower(tower, first.cpu(), width, takes_pairs=takes_pairs)
    for layer in module.modules():
        if isinstance(layer, Standardize):
            layer.fit(batches())
    return module


def _stacked(slices: Slices) -> Iterable[Tensor]:
    """Stack pairs as channels, in both orders; rows are stacked with themselves."""
    for sides in slices():
        left, right = sides[0], sides[-1]
        yield stack_channels(left, right)
        if left is not right:
            yield stack_channels(right, left)
