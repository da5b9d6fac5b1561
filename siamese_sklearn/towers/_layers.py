"""Layers that the towers share."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["Standardize"]


class Standardize(nn.Module):
    """Standardize the input with training statistics, and clip outliers.

    The statistics are computed once, by `fit`, before training. Clipping limits the
    influence of outliers and of nearly constant features, which get huge standard
    scores as soon as they vary. In training, Gaussian noise is added to the standard
    scores; for small noise, this is Tikhonov regularization (Bishop 1995).

    Parameters
    ----------
    row_shape : tuple of int
        Shape that each row is given, (d,) or (C, H, W). Each index of the first axis
        has its own statistics, which the other axes share.
    clip : float, default=inf
        Bound on the absolute value, in standard deviations.
    noise : float, default=0
        Standard deviation of the noise, in standard deviations of the input.

    References
    ----------
    Bishop, "Training with Noise is Equivalent to Tikhonov Regularization", Neural
    Computation 7(1), 1995.

    Chan, Golub & LeVeque, "Algorithms for Computing the Sample Variance: Analysis and
    Recommendations", The American Statistician 37(3), 1983.
    """

    mean: Tensor
    inverse_scale: Tensor

    def __init__(
        self, row_shape: tuple[int, ...], clip: float = math.inf, noise: float = 0.0
    ) -> None:
        super().__init__()
        self.row_shape = row_shape
        self.clip = clip
        self.noise = noise
        shape = (row_shape[0], *(1 for _ in row_shape[1:]))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("inverse_scale", torch.ones(shape))

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Compute the mean and standard deviation of all rows of `batches`.

        A constant feature is only centered. The rows do not have to be in memory
        together: a single pass merges the moments of each batch with those of the
        previous ones (Chan, Golub & LeVeque 1983).

        Parameters
        ----------
        batches : iterable of Tensor of shape (n, ...)
            At least one batch, and at least one row in each.
        """
        n_seen = 0
        mean = torch.zeros(self.row_shape[0], dtype=torch.float64)
        squares = torch.zeros_like(mean)  # sum of the squared deviations from the mean
        for batch in batches:
            rows = batch.cpu().reshape(len(batch), *self.row_shape).double()
            variance, batch_mean = torch.var_mean(
                rows, dim=(0, *range(2, rows.ndim)), correction=0
            )
            n = rows.numel() // self.row_shape[0]
            share = n / (n_seen + n)
            step = batch_mean - mean
            mean += share * step
            squares += n * variance + n_seen * share * step.square()
            n_seen += n
        scale = (squares / n_seen).sqrt()
        # The spread that rounding to float32 can give a constant feature.
        rounding = 1e-7 * mean.abs() + torch.finfo(torch.float32).tiny
        inverse_scale = torch.where(
            scale <= rounding, torch.ones_like(scale), 1 / scale
        )
        self.mean.copy_(mean.reshape(self.mean.shape))
        self.inverse_scale.copy_(inverse_scale.reshape(self.mean.shape))

    def forward(self, x: Tensor) -> Tensor:
        """Return the standard scores of a batch, (B, *row_shape)."""
        # torch.export fixes the batch size where it meets len(x)
        rows = x.reshape(x.shape[0], *self.row_shape)
        x = (rows - self.mean) * self.inverse_scale
        if self.clip < math.inf:
            x = x.clamp(-self.clip, self.clip)
        if self.training and self.noise > 0:
            x = x + self.noise * torch.randn_like(x)
        return x
