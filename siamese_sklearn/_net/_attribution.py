"""Integrated gradients: which features of two rows their score comes from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from siamese_sklearn._net._rows import Rows
from siamese_sklearn._net._scorer import Scorer
from siamese_sklearn._typing import DoubleArray

__all__ = ["integrated_gradients"]

_FEWEST_NODES, _MOST_NODES = 8, 256


def integrated_gradients(
    scorer: Scorer, left: Any, right: Any, tolerance: float
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Split the score of each pair into contributions of the features.

    The path runs from two rows that are equal, the mean of both, straight to the two
    rows. It is the same for (a, b) and (b, a). The integral is a Gauss-Legendre
    quadrature with as many nodes as the tolerance takes.

    Parameters
    ----------
    scorer : Scorer
    left, right : array of shape (n, ...) or CSR matrix
    tolerance : float
        Of the sum, as a fraction of the sum of the absolute contributions.

    Returns
    -------
    baseline : array of shape (n,)
        The score at the start of the path.
    contributions : array of shape (n, n_features)
        They and the baseline sum to the score, up to the error.
    error : array of shape (n,)
        What is missing from the sum, as a fraction.

    References
    ----------
    Sundararajan, Taly & Yan, "Axiomatic Attribution for Deep Networks", ICML 2017.
    """
    scorer.net.module_.eval(), scorer.net.criterion_.eval()
    rows = Rows(left, right, device=torch.device(scorer.net.device))
    parts = []
    for part in rows.slices():
        one, other = rows.sides(part)
        parts.append(_of_batch(scorer, one, other, tolerance))
    baseline, contributions, error = (
        torch.cat(each).cpu().numpy() for each in zip(*parts, strict=True)
    )
    return baseline, contributions, error


def _of_batch(
    scorer: Scorer, left: Tensor, right: Tensor, tolerance: float
) -> tuple[Tensor, Tensor, Tensor]:
    middle, half = (left + right) / 2, (left - right) / 2
    with torch.no_grad():
        start = scorer.of_tensors(middle, middle).double()  # (B,)
        change = scorer.of_tensors(left, right).double() - start
    total = torch.zeros(half.shape, dtype=torch.float64, device=half.device)
    error = torch.full_like(change, torch.inf)
    n_nodes = _FEWEST_NODES
    while n_nodes <= _MOST_NODES and (error > tolerance).any():
        is_open = error > tolerance
        part = _integral(scorer, middle[is_open], half[is_open], n_nodes)
        total[is_open] = part
        rest = (change[is_open] - part.flatten(1).sum(1)).abs()
        size = part.flatten(1).abs().sum(1) + torch.finfo(torch.float32).eps
        error[is_open] = rest / size
        n_nodes *= 2
    return start, total.flatten(1), error


def _integral(scorer: Scorer, middle: Tensor, half: Tensor, n_nodes: int) -> Tensor:
    """Contributions of the features, of the shape of `half`."""
    total = torch.zeros(half.shape, dtype=torch.float64, device=half.device)
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)  # on [-1, 1]
    steps, shares = ((nodes + 1) / 2).tolist(), (weights / 2).tolist()
    for step, share in zip(steps, shares, strict=True):
        sides = [(middle + sign * step * half).requires_grad_() for sign in (1, -1)]
        score = scorer.of_tensors(*sides).sum()
        of_left, of_right = torch.autograd.grad(score, sides)
        total += share * (of_left - of_right) * half
    return total
