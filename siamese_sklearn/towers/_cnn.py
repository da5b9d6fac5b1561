"""The tower for images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from siamese_sklearn._checks import check_integer, check_number
from siamese_sklearn.towers._layers import Standardize
from siamese_sklearn.towers._spec import TowerSpec, activation_layer

__all__ = ["CNNTower"]

_POOLED = 4  # pixels left on each side at the most, whatever the size of the image


class CNNTower(TowerSpec):
    """Small convolutional network for images.

    Its blocks are a 3 x 3 convolution, batch normalisation, the activation and 2 x 2 pooling. It takes images
    (H, W) of one channel or (C, H, W), and standardises each channel itself. It runs in the ``channels_last``
    memory format, which is faster on CPUs.

    Parameters
    ----------
    channels : sequence of int, default=(32, 64, 64)
        Channels of each block. An image is halved after each block as long as it has two pixels on each side.
    activation : {"relu", "gelu", "silu", "tanh"}, default="relu"
    dropout : float, default=0
        Share of the last features left out in training, in [0, 1).

    See Also
    --------
    MLPTower : for tables and vectors.

    Examples
    --------
    >>> import torch
    >>> tower = CNNTower(channels=(8, 16)).build(input_shape=(28, 28), n_components=2)
    >>> tower(torch.zeros(5, 28, 28)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 64),
        *,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        self.channels = channels
        self.activation = activation
        self.dropout = dropout

    def build(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        dropout = check_number(
            "CNNTower.dropout", self.dropout, low=0, high=1, high_open=True
        )
        width, height, breadth = _image_shape(input_shape)
        layers: list[nn.Module] = [
            Standardize((width, height, breadth)),
            _ChannelsLast(),
        ]
        for size in self._sizes():
            layers += [
                nn.Conv2d(width, size, 3, padding=1, bias=False),
                nn.BatchNorm2d(size),
            ]
            layers.append(activation_layer(self, self.activation))
            if min(height, breadth) >= 2:
                layers.append(nn.MaxPool2d(2))
                height, breadth = height // 2, breadth // 2
            width = size
        pooled = min(height, _POOLED), min(breadth, _POOLED)
        if pooled != (height, breadth):
            layers.append(nn.AdaptiveAvgPool2d(pooled))
        layers += [nn.Flatten(), nn.Dropout(dropout)] if dropout > 0 else [nn.Flatten()]
        layers.append(nn.Linear(width * pooled[0] * pooled[1], n_components))
        tower = nn.Sequential(*layers)
        return tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _sizes(self) -> list[int]:
        name = "CNNTower.channels"
        sizes: Any = self.channels
        if not isinstance(sizes, Sequence) or len(sizes) == 0:
            raise TypeError(
                f"`{name}` must be a sequence of integers, such as (32, 64); got {sizes!r}."
            )
        return [check_integer(name, size, low=1) for size in sizes]


class _ChannelsLast(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last)


def _image_shape(input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width of an image, or an error that tells how to make images of the rows."""
    if len(input_shape) == 2:
        return 1, *input_shape
    if len(input_shape) != 3:
        raise ValueError(
            f"`tower` is a CNN, which takes images, X of shape (n, H, W) or (n, C, H, W); got rows of shape "
            f'{input_shape}. Reshape X, e.g. X.reshape(-1, 28, 28), or take tower="mlp".'
        )
    if input_shape[2] in (1, 3, 4) and min(input_shape[:2]) > 4:
        raise ValueError(
            "`tower` is a CNN, which takes images with the channels first, (n, C, H, W); rows of shape "
            f"{input_shape} seem to have them last. Move them, e.g. numpy.moveaxis(X, -1, 1)."
        )
    return input_shape
