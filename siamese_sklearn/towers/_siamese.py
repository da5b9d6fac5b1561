"""One tower for all sides: the Siamese network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from siamese_sklearn.distances import normalize

__all__ = ["SiameseNetwork"]


class SiameseNetwork(nn.Module):
    """One shared tower, on rows or on the sides of pairs and triplets.

    Parameters
    ----------
    tower : nn.Module
        Maps (B, *input_shape) to (B, n_components).
    n_components : int
    normalize : bool
        Scale the embeddings to unit norm.
    may_write : bool
        The tower may work in place on its input, which outside of training can be the user's own memory:
        give it a copy.
    """

    def __init__(
        self, tower: nn.Module, n_components: int, *, normalize: bool = True, may_write: bool = True
    ) -> None:
        super().__init__()
        self.tower = tower
        self.n_components = n_components
        self.normalize = normalize
        self.may_write = may_write

    def forward(self, x: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """Embeddings (B, n_components) of rows, or of each side; all sides pass the tower as one batch."""
        if isinstance(x, Tensor):
            return self.embed(x)
        return self.embed(torch.cat(tuple(x))).chunk(len(x))

    def embed(self, x: Tensor) -> Tensor:
        """Embeddings of a batch of rows, (B, n_components)."""
        if self.may_write and not self.training:  # in training every batch is a copy
            x = x.clone()
        z: Tensor = self.tower(x)
        return normalize(z) if self.normalize else z
