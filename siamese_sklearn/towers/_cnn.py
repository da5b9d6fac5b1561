"""The tower for images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from siamese_sklearn._checks import check_integer, check_number
from siamese_sklearn.towers._layers import Standardize
from siamese_sklearn.towers._spec import TowerSpec, activation_layer

__all__ = ["CNNTower", "has_channels_last"]

_POOLED = 4  # largest height and width of the last feature map


class CNNTower(TowerSpec):
    """Small convolutional network for images.

    Use it for small images, and `MLPTower` for tables and vectors. For photographs,
    pass a pretrained ``torch.nn.Module`` as the parameter `tower` of the estimators
    instead.

    Each block is a 3 x 3 convolution, batch normalization, the activation and 2 x 2 max
    pooling. Images have shape (H, W), with a single channel, or (C, H, W). The tower
    standardizes each channel itself. It runs in the ``channels_last`` memory format,
    which is faster on CPUs.

    Parameters
    ----------
    channels : sequence of int, default=(32, 64, 64)
        Output channels of each block. A block halves the image as long as both sides
        have at least two pixels.
    activation : {"relu", "gelu", "silu", "tanh"}, default="relu"
    dropout : float, default=0
        Fraction of the last features that is dropped in training, in [0, 1).

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
        n_channels, height, width = _image_shape(input_shape)
        layers: list[nn.Module] = [
            Standardize((n_channels, height, width)),
            _ChannelsLast(),
        ]
        for size in self._sizes():
            layers += [
                nn.Conv2d(n_channels, size, 3, padding=1, bias=False),
                nn.BatchNorm2d(size),
            ]
            layers.append(activation_layer(self, self.activation))
            if min(height, width) >= 2:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            n_channels = size
        pooled = min(height, _POOLED), min(width, _POOLED)
        if pooled != (height, width):
            layers.append(nn.AdaptiveAvgPool2d(pooled))
        layers += [nn.Flatten(), nn.Dropout(dropout)] if dropout > 0 else [nn.Flatten()]
        layers.append(nn.Linear(n_channels * pooled[0] * pooled[1], n_components))
        tower = nn.Sequential(*layers)
        return tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _sizes(self) -> list[int]:
        name = "CNNTower.channels"
        sizes: Any = self.channels
        if not isinstance(sizes, Sequence) or len(sizes) == 0:
            raise TypeError(
                f"`{name}` must be a sequence of integers, such as (32, 64); got "
                f"{sizes!r}."
            )
        return [check_integer(name, size, low=1) for size in sizes]


class _ChannelsLast(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last)


def has_channels_last(row_shape: tuple[int, ...]) -> bool:
    """Whether (C, H, W) can hardly be anything but (H, W, C)."""
    channels, height, width = row_shape
    has_colors = width in (1, 3, 4) and min(channels, height) > 4
    return has_colors or channels == height > max(width, 4)


def _image_shape(input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width of an image.

    The error for other rows says how to reshape them.
    """
    if len(input_shape) == 2:
        return 1, *input_shape
    if len(input_shape) != 3:
        raise ValueError(
            "`tower` is a CNN, which takes images, X of shape (n, H, W) or "
            f"(n, C, H, W); got rows of shape {input_shape}. Reshape X, for example "
            'X.reshape(-1, 28, 28), or use tower="mlp".'
        )
    if has_channels_last(input_shape):
        raise ValueError(
            "`tower` is a CNN, which takes images with channels first, X of shape "
            f"(n, C, H, W); got rows of shape {input_shape}, which seem to have "
            "channels last. Move the channels, for example numpy.moveaxis(X, -1, 1)."
        )
    return input_shape
