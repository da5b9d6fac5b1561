"""The tower for tables and vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from siamese_sklearn._checks import check_integer, check_number
from siamese_sklearn.towers._layers import Standardize
from siamese_sklearn.towers._spec import TowerSpec, activation_layer

__all__ = ["MLPTower"]


class MLPTower(TowerSpec):
    """Multilayer perceptron for tables and vectors.

    It flattens rows of any shape and standardizes its input itself, so that features in
    different units need no StandardScaler.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(512,)
        Units of each hidden layer; empty for a linear map.
    activation : {"relu", "gelu", "silu", "tanh"}, default="silu"
    dropout : float, default=0
        Fraction of the hidden units that is dropped in training, in [0, 1).
    clip : float, default=3
        Bound on the standardized input, in standard deviations; ``math.inf`` disables
        clipping.
    noise : float, default=0.2
        Standard deviation of the Gaussian noise that is added to the standardized input
        in training.

    See Also
    --------
    CNNTower : for images.

    Examples
    --------
    >>> import torch
    >>> spec = MLPTower(hidden_layer_sizes=(16,))
    >>> tower = spec.build(input_shape=(4,), n_components=2)
    >>> tower(torch.zeros(5, 4)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (512,),
        *,
        activation: str = "silu",
        dropout: float = 0.0,
        clip: float = 3.0,
        noise: float = 0.2,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.clip = clip
        self.noise = noise

    def build(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        dropout = check_number(
            "MLPTower.dropout", self.dropout, low=0, high=1, high_open=True
        )
        noise = check_number("MLPTower.noise", self.noise, low=0)
        clip = self.clip
        if clip != math.inf:
            clip = check_number(
                "MLPTower.clip", clip, low=0, low_open=True, also=" or infinity"
            )
        width = math.prod(input_shape)
        layers: list[nn.Module] = [Standardize((width,), clip, noise)]
        for size in self._sizes():
            layers += [nn.Linear(width, size), activation_layer(self, self.activation)]
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
            width = size
        return nn.Sequential(*layers, nn.Linear(width, n_components))

    def _sizes(self) -> list[int]:
        name = "MLPTower.hidden_layer_sizes"
        sizes: Any = self.hidden_layer_sizes
        if not isinstance(sizes, Sequence):
            raise TypeError(
                f"`{name}` must be a sequence of integers, such as (256,); got "
                f"{sizes!r}."
            )
        return [check_integer(name, size, low=1) for size in sizes]
