"""What towers are joined to: one shared tower, two towers, or one on both sides stacked."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from siamese_sklearn.distances import normalize

__all__ = [
    "PseudoSiameseNetwork",
    "SiameseNetwork",
    "TwoChannelNetwork",
    "stack_channels",
]


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

    References
    ----------
    Chopra, Hadsell & LeCun, "Learning a Similarity Metric Discriminatively, with Application to Face
    Verification", CVPR 2005.
    """

    def __init__(
        self,
        tower: nn.Module,
        n_components: int,
        *,
        normalize: bool = True,
        may_write: bool = True,
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

    def embed(self, x: Tensor, side: int = 0) -> Tensor:
        """Embeddings of a batch of rows, (B, n_components); both sides have the same tower."""
        del side
        return _finished(self.tower(_own(x, self)), self.normalize)


class PseudoSiameseNetwork(nn.Module):
    """Two towers with weights of their own, one for each side of a pair.

    Parameters
    ----------
    left, right : nn.Module
        Map (B, *input_shape) of their side to (B, n_components).
    n_components, normalize, may_write
        As for `SiameseNetwork`.

    References
    ----------
    Zagoruyko & Komodakis, "Learning to Compare Image Patches via Convolutional Neural Networks", CVPR 2015.
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
        """Embeddings of each side; of rows (2 B, n_components), by the left tower and by the right one."""
        if isinstance(x, Tensor):
            return torch.cat([self.embed(x, 0), self.embed(x, 1)])
        return tuple(self.embed(rows, side) for side, rows in enumerate(x))

    def embed(self, x: Tensor, side: int = 0) -> Tensor:
        """Embeddings of a batch of rows of a side, (B, n_components)."""
        return _finished(self.towers[side](_own(x, self)), self.normalize)


class TwoChannelNetwork(nn.Module):
    """One tower on both sides of a pair, stacked as channels; it gives a logit and no embedding.

    Outside of training a pair passes in both orders, and the mean logit is symmetric in the two sides. In
    training the order is random.

    Parameters
    ----------
    tower : nn.Module
        Maps stacked pairs, see `stack_channels`, to (B, 1).

    References
    ----------
    Zagoruyko & Komodakis, "Learning to Compare Image Patches via Convolutional Neural Networks", CVPR 2015.
    """

    n_components = 0

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, x: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Logits (B,) of pairs, positive for "same"; of rows, each with itself."""
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
    """Stack two sides: vectors end to end, images channel upon channel.

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


def _own(x: Tensor, network: SiameseNetwork | PseudoSiameseNetwork) -> Tensor:
    """Give a tower that may write into its input a copy; in training every batch is one."""
    return x.clone() if network.may_write and not network.training else x


def _finished(z: Tensor, unit_norm: bool) -> Tensor:
    return normalize(z) if unit_norm else z
