"""Drawn characters for the gallery: put into the middle at one size, and tower and loss that embed them."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, normalize

from siamese_sklearn.losses import SupConLoss

__all__ = ["ProjectedSupCon", "character_tower", "framed"]

Array = npt.NDArray[Any]


def framed(images: Array) -> Array:
    """Drawings (n, 28, 28) as (n, 32, 32), the centre of their ink in the middle.

    Each axis is scaled by how far the ink spreads: half by its own spread, half by the larger of both, so
    that flat characters stay somewhat flat.
    """
    ink = torch.tensor(images).float()[:, None] / 255  # (n, 1, 28, 28)
    place = (2 * torch.arange(28) + 1) / 28 - 1
    share = ink / ink.sum((2, 3), keepdim=True)
    across, down = share.sum((1, 2)), share.sum((1, 3))  # (n, 28)
    centre = torch.stack([across @ place, down @ place], dim=1)  # (n, 2)
    spread = (torch.stack([across @ place**2, down @ place**2], dim=1) - centre**2).relu().sqrt()
    scale = (spread * spread.amax(1, keepdim=True)).sqrt() / 0.4
    matrix = torch.cat([torch.diag_embed(scale.clamp(0.4, 2.5)), centre[:, :, None]], dim=2)
    grid = affine_grid(matrix, [len(ink), 1, 32, 32], align_corners=False)
    framed: Array = grid_sample(ink, grid, align_corners=False).squeeze(1).numpy()
    return framed


def character_tower() -> nn.Sequential:
    """Four convolutions with batch norm, (n, 32, 32) -> (n, 2048): 128 features at each of 4 x 4 places."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 32))]
    for width, size in ((1, 32), (32, 64), (64, 128), (128, 128)):
        layers += [nn.Conv2d(width, size, 3, padding=1, bias=False), nn.BatchNorm2d(size), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[:-1], nn.Flatten()).to(memory_format=torch.channels_last)


class ProjectedSupCon(nn.Module):
    """`SupConLoss` on two further layers, which belong to the loss and are gone after training."""

    def __init__(self) -> None:
        super().__init__()
        hidden = [nn.Linear(2048, 256, bias=False), nn.BatchNorm1d(256), nn.ReLU()]
        self.projection = nn.Sequential(*hidden, nn.Linear(256, 128, bias=False))
        self.loss = SupConLoss().build(n_classes=2, n_components=128)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of the projected embeddings."""
        loss: Tensor = self.loss(normalize(self.projection(embeddings)), labels)
        return loss
