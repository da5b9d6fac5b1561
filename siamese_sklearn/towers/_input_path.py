"""The part of an embedding that is computed from the input by a fixed linear map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from siamese_sklearn.distances import normalize

__all__ = ["InputPath"]


class InputPath(nn.Module):
    """Maps rows to unit vectors by an affine map, and puts them beside an embedding.

    The last component is constant before the scaling to unit norm: it keeps the length
    of a row, which would otherwise be lost.

    Parameters
    ----------
    mean : Tensor of shape (d,)
        Subtracted from the rows, which are flattened.
    projection : Tensor of shape (d, width - 1)
    constant : float
        Of the last component, above 0.
    weight : float, default=0.5
        Share of the squared distance that comes from the input, from 0 to 1.

    Attributes
    ----------
    width : int
        Number of components.

    Examples
    --------
    >>> path = InputPath(torch.zeros(2), torch.eye(2), constant=1.0, weight=0.25)
    >>> path(torch.tensor([[2.0, 2.0]]))
    tensor([[0.6667, 0.6667, 0.3333]])
    >>> path.beside(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 2.0]]))
    tensor([[0.3333, 0.3333, 0.1667, 0.0000, 0.8660]])
    """

    mean: Tensor
    projection: Tensor
    constant: Tensor
    weight: Tensor

    def __init__(
        self, mean: Tensor, projection: Tensor, constant: float, weight: float = 0.5
    ) -> None:
        super().__init__()
        self.width = projection.shape[1] + 1
        self.register_buffer("mean", mean)
        self.register_buffer("projection", projection)
        self.register_buffer("constant", torch.tensor(constant))
        self.register_buffer("weight", torch.tensor(weight))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows (B, ...) to unit vectors (B, width)."""
        mapped = (x.flatten(1) - self.mean) @ self.projection
        constant = self.constant.expand(x.shape[0], 1)
        return normalize(torch.cat([mapped, constant], dim=1))

    def beside(self, learned: Tensor, x: Tensor) -> Tensor:
        """Join learned unit vectors (B, d) and those of their rows, (B, width + d).

        The result has unit norm, and its squared distances are the weighted means of
        the two.
        """
        kept = self.weight.sqrt() * self(x)
        return torch.cat([kept, (1 - self.weight).sqrt() * learned], dim=1)
