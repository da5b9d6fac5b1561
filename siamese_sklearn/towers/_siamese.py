"""Networks built from towers: one shared tower, two towers, or one on stacked pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from siamese_sklearn.distances import normalize
from siamese_sklearn.towers._input_path import InputPath

__all__ = [
    "PseudoSiameseNetwork",
    "SiameseNetwork",
    "TwoChannelNetwork",
    "stack_channels",
]


class SiameseNetwork(nn.Module):
    """One shared tower, for rows and for the sides of pairs and triplets.

    Parameters
    ----------
    tower : nn.Module
        Maps (B, *input_shape) to (B, n_components).
    n_components : int
    normalize : bool
        Scale the embeddings to unit norm.
    may_write : bool
        Whether the tower may modify its input in place. Outside of training, the input
        can be the user's own memory, so such a tower then gets a copy.
    input_path : InputPath, default=None
        Outside of training, its components stand before those of the tower, and
        `n_components` counts both.

    References
    ----------
    Chopra, Hadsell & LeCun, "Learning a Similarity Metric Discriminatively, with
    Application to Face Verification", CVPR 2005.
    """

    def __init__(
        self,
        tower: nn.Module,
        n_components: int,
        *,
        normalize: bool = True,
        may_write: bool = True,
        input_path: InputPath | None = None,
    ) -> None:
        super().__init__()
        self.tower = tower
        self.input_path = input_path
        self.n_components = n_components
        self.normalize = normalize
        self.may_write = may_write

    def forward(self, x: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """Embeddings (B, n_components) of rows, or a tuple of those of each side.

        All sides pass through the tower as one batch.
        """
        if isinstance(x, Tensor):
            return self.embed(x)
        return self.embed(torch.cat(tuple(x))).chunk(len(x))

    def embed(self, x: Tensor, side: int = 0) -> Tensor:
        """Embeddings (B, n_components) of rows; both sides have the same tower."""
        del side
        z = _normalized(self.tower(_protected(x, self)), self.normalize)
        if self.input_path is None or self.training:
            return z
        return self.input_path.beside(z, x)


class PseudoSiameseNetwork(nn.Module):
    """Two towers with separate weights, one for each side of a pair.

    Parameters
    ----------
    left, right : nn.Module
        Map the rows (B, *input_shape) of their side to (B, n_components).
    n_components, normalize, may_write
        As in `SiameseNetwork`.

    References
    ----------
    Zagoruyko & Komodakis, "Learning to Compare Image Patches via Convolutional Neural
    Networks", CVPR 2015.
    """

    def __init__(
        self,
        left: nn.Module,
        right: nn.Module,
        n_components: int,
        *,
        normalize: bool,
        may_write: bool,
    ) -> None:
        super().__init__()
        self.towers = nn.ModuleList([left, right])
        self.n_components = n_components
        self.normalize = normalize
        self.may_write = may_write

    def forward(self, x: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """Embeddings of each side.

        Rows pass through both towers; the result is (2 B, n_components), left tower
        first.
        """
        if isinstance(x, Tensor):
            return torch.cat([self.embed(x, 0), self.embed(x, 1)])
        return tuple(self.embed(rows, side) for side, rows in enumerate(x))

    def embed(self, x: Tensor, side: int = 0) -> Tensor:
        """Embeddings (B, n_components) of the rows of one side."""
        return _normalized(self.towers[side](_protected(x, self)), self.normalize)


class TwoChannelNetwork(nn.Module):
    """One tower on both sides of a pair, stacked as channels; it outputs a logit.

    There is no embedding. In training, each pair is in a random order. Otherwise, the
    logit is the mean over both orders, and therefore symmetric.

    Parameters
    ----------
    tower : nn.Module
        Maps stacked pairs, see `stack_channels`, to (B, 1).

    References
    ----------
    Zagoruyko & Komodakis, "Learning to Compare Image Patches via Convolutional Neural
    Networks", CVPR 2015.
    """

    n_components = 0

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, x: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Logits (B,) of pairs, above 0 for "same"; rows are paired with themselves."""
        left, right = (x, x) if isinstance(x, Tensor) else x
        if self.training:  # each pair in a random order
            swap = torch.rand(len(left), device=left.device) < 0.5
            swap = swap.reshape(-1, *(1 for _ in left.shape[1:]))
            return self._logits(
                torch.where(swap, right, left), torch.where(swap, left, right)
            )
        return (self._logits(left, right) + self._logits(right, left)) / 2

    def _logits(self, left: Tensor, right: Tensor) -> Tensor:
        logits: Tensor = self.tower(stack_channels(left, right))
        return logits.squeeze(1)


def stack_channels(left: Tensor, right: Tensor) -> Tensor:
    """Stack two sides: concatenate vectors, stack images as channels.

    Parameters
    ----------
    left, right : Tensor of shape (B, d), (B, H, W) or (B, C, H, W)

    Returns
    -------
    Tensor of shape (B, 2 d), (B, 2, H, W) or (B, 2 C, H, W)
    """
    if left.ndim == 3:
        return torch.stack([left, right], dim=1)
    return torch.cat([left, right], dim=1)


def _protected(x: Tensor, network: SiameseNetwork | PseudoSiameseNetwork) -> Tensor:
    """Copy the input of a tower that may modify it.

    In training, every batch is a copy already.
    """
    return x.clone() if network.may_write and not network.training else x


def _normalized(z: Tensor, unit_norm: bool) -> Tensor:
    return normalize(z) if unit_norm else z
