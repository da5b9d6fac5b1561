"""Losses on pairs: contrastive, and the exponential energy of the first Siamese face verification."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from siamese_sklearn._checks import check_number
from siamese_sklearn.distances import DISTANCES, Distance
from siamese_sklearn.losses._base import UNSQUARED, LossSpec, TupleLoss, mean_or_zero
from siamese_sklearn.mining import entries, hard, pair_masks

__all__ = [
    "ContrastiveLoss",
    "ExponentialLoss",
    "PairModule",
    "contrastive",
    "exponential",
    "shares",
]


def contrastive(distance: Tensor, same: Tensor, margin: float) -> Tensor:
    """Contrastive loss of each pair (Hadsell, Chopra & LeCun 2006).

    Parameters
    ----------
    distance : Tensor
    same : bool Tensor, of the same shape
    margin : float

    Returns
    -------
    Tensor, of the same shape
        D^2 / 2 where `same`, [margin - D]+^2 / 2 elsewhere.

    Examples
    --------
    >>> import torch
    >>> contrastive(torch.tensor([0.5, 0.5]), torch.tensor([True, False]), margin=1.0)
    tensor([0.1250, 0.1250])
    """
    # Of finite numbers, lerp between 0 and 1 chooses, and its gradient is quicker than that of where.
    return (
        0.5
        * (margin - distance).relu().lerp(distance, same.to(distance.dtype)).square()
    )


def exponential(distance: Tensor, same: Tensor, bound: float) -> Tensor:
    """Exponential energy loss of each pair (Chopra, Hadsell & LeCun 2005).

    Parameters
    ----------
    distance : Tensor
        The energy E, at most `bound`.
    same : bool Tensor, of the same shape
    bound : float
        Q, the upper bound of E.

    Returns
    -------
    Tensor, of the same shape
        (2 / Q) E^2 where `same`, 2 Q exp(-2.77 E / Q) elsewhere.

    Examples
    --------
    >>> import torch
    >>> exponential(torch.tensor([1.0, 0.0]), torch.tensor([True, False]), bound=2.0)
    tensor([1., 4.])
    """
    pushed = 2 * bound * torch.exp(-2.77 / bound * distance)
    return torch.where(same, (2 / bound) * distance.square(), pushed)


class PairModule(TupleLoss):
    """Mean of a formula over the same pairs plus its mean over the different pairs closer than `reach`.

    Parameters
    ----------
    distance : str or Distance
    mining : {"all", "hard"}
    formula : callable
        Gives the loss of each pair from what it is compared by, its distance, and from whether it is the
        same.
    reach : float, default=None
        None takes all different pairs.
    symmetric : bool, default=True
        Take each pair of a batch once, and not in both orders.
    """

    far = (
        1  # sign of what pairs are compared by where they are far apart: distances grow
    )

    def __init__(
        self,
        distance: str | Distance,
        mining: str,
        formula: Callable[[Tensor, Tensor], Tensor],
        *,
        reach: float | None = None,
        symmetric: bool = True,
    ) -> None:
        super().__init__(distance)
        self.mining = mining
        self.formula = formula
        self.reach = reach
        self.symmetric = symmetric

    def _pairwise(self, embeddings: Tensor) -> Tensor:
        """Compare every row with every row, (B, B)."""
        return self.distance.pairwise(embeddings)

    def _paired(self, left: Tensor, right: Tensor) -> Tensor:
        """Compare row i of `left` with row i of `right`, (B,)."""
        return self.distance.paired(left, right)

    def _from_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        table = self._pairwise(embeddings)  # (B, B)
        if self.mining == "hard":
            anchor, near, far = hard(self.far * table.detach(), *pair_masks(labels))
            compared, same = _both(
                entries(table, anchor, near), entries(table, anchor, far)
            )
            compared, same = self._within_reach(compared, same, torch.ones_like(same))
        else:
            same = labels[:, None] == labels
            every = torch.ones_like(same)
            once = every.triu_(1) if self.symmetric else every.fill_diagonal_(False)
            compared, same = self._within_reach(table, same, once)
        return self.formula(compared, same) @ shares(same, compared.dtype)

    def _from_pairs(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor:
        compared, same = self._within_reach(
            self._paired(left, right), same, torch.ones_like(same)
        )
        return self.formula(compared, same) @ shares(same, compared.dtype)

    def _from_triplets(
        self, anchor: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor:
        compared, same = _both(
            self._paired(anchor, positive), self._paired(anchor, negative)
        )
        compared, same = self._within_reach(compared, same, torch.ones_like(same))
        return self.formula(compared, same) @ shares(same, compared.dtype)

    def _within_reach(
        self, compared: Tensor, same: Tensor, taken: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of the pairs `taken` the same ones and the different ones within reach; each (n,)."""
        if (
            self.reach is not None
        ):  # before long few different pairs are so close: a mean over all would fade
            taken = taken & (same | (compared.detach() < self.reach))
        chosen = taken.flatten().nonzero().squeeze(1)
        compared, same = (
            side.flatten().index_select(0, chosen) for side in (compared, same)
        )
        self.n_active = torch.tensor(len(chosen), device=chosen.device)
        return compared, same


def shares(same: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights for the mean over the same pairs plus that over the different ones, which drown no others."""
    pulled = same.to(dtype)  # (n,)
    n_same = pulled.sum()
    return mean_or_zero(pulled, n_same) + mean_or_zero(1 - pulled, len(same) - n_same)


def _both(near: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
    """As many same pairs as different ones: what they are compared by and which are the same; each (2 n,)."""
    compared = torch.cat([near, far])
    return compared, torch.arange(len(compared), device=compared.device) < len(near)


class _ContrastiveModule(PairModule):
    def __init__(self, distance: str, mining: str, margin: float) -> None:
        super().__init__(
            distance, mining, partial(contrastive, margin=margin), reach=margin
        )
        self.margin = margin


class _ExponentialModule(PairModule):
    def __init__(self, distance: str, mining: str, bound: float) -> None:
        super().__init__(distance, mining, partial(exponential, bound=bound))
        self.bound = bound


class ContrastiveLoss(LossSpec):
    """Contrastive loss: pulls rows of one class together, pushes others until they are `margin` apart.

    A same pair costs D^2 / 2, a different pair [margin - D]+^2 / 2. The loss of a batch is the mean over its
    same pairs plus the mean over those of its different pairs that are closer than the margin.

    Take it when distances have to mean the same for all classes: it asks for absolute ones, where
    `TripletLoss` asks for an order. That is less, and usually separates better, in verification too.

    Parameters
    ----------
    margin : float, default=0.5
        Distance beyond which a different pair costs nothing; unit-norm embeddings are at most 2 apart.
    distance : {"euclidean", "manhattan", "cosine"}, default="euclidean"
    mining : {"all", "hard"}, default="all"
        "all" takes every pair of the batch; "hard" takes, for each row that has both, its farthest same and
        its closest different row.

    See Also
    --------
    ExponentialLoss : has no margin; different pairs are pushed apart at every distance.
    TripletLoss : compares distances with each other instead of with a fixed margin.

    References
    ----------
    Hadsell, Chopra & LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006.

    Examples
    --------
    >>> import torch
    >>> module = ContrastiveLoss(margin=1.0).build(n_classes=2, n_components=2)
    >>> module(torch.tensor([[0.0, 0.0], [0.3, 0.4]]), torch.tensor([0, 1]))
    tensor(0.1250)
    """

    distances = UNSQUARED
    minings = ("all", "hard")
    takes_tuples = True

    def __init__(
        self, margin: float = 0.5, *, distance: str = "euclidean", mining: str = "all"
    ) -> None:
        self.margin = margin
        self.distance = distance
        self.mining = mining

    def build(self, n_classes: int, n_components: int) -> TupleLoss:
        distance = self._option("distance", self.distances)
        high = DISTANCES[distance].highest
        also = "" if high == math.inf else f", which no {distance} distance exceeds"
        margin = check_number(
            "ContrastiveLoss.margin",
            self.margin,
            low=0,
            low_open=True,
            high=high,
            also=also,
        )
        return _ContrastiveModule(
            distance, self._option("mining", self.minings), margin
        )


class ExponentialLoss(LossSpec):
    """Exponential energy loss, the loss of the first Siamese face verification.

    A same pair costs (2 / Q) E^2, a different pair 2 Q exp(-2.77 E / Q), where the energy E is the distance
    of the two embeddings and Q its upper bound. The loss of a batch is the mean over its same pairs plus the
    mean over its different pairs. It has no margin.

    Take it where a margin is hard to choose: there is none. With ``mining="hard"`` the easy pairs do not
    drown the others.

    Parameters
    ----------
    bound : float, default=None
        Q. None means the bound on the unit sphere: 2 for Euclidean, cosine, 2 sqrt(n_components) for
        Manhattan; set it yourself for embeddings that are not of unit norm.
    distance : {"euclidean", "manhattan", "cosine"}, default="euclidean"
        The paper uses "manhattan".
    mining : {"all", "hard"}, default="all"
        "all" takes every pair of the batch; "hard" takes, for each row that has both, its farthest same and
        its closest different row.

    See Also
    --------
    ContrastiveLoss : leaves different pairs alone that are a margin apart.

    References
    ----------
    Chopra, Hadsell & LeCun, "Learning a Similarity Metric Discriminatively, with Application to Face
    Verification", CVPR 2005.

    Examples
    --------
    >>> import torch
    >>> module = ExponentialLoss(bound=2.0).build(n_classes=2, n_components=2)
    >>> module(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    tensor(4.)
    """

    distances = UNSQUARED
    minings = ("all", "hard")
    takes_tuples = True

    def __init__(
        self,
        bound: float | None = None,
        *,
        distance: str = "euclidean",
        mining: str = "all",
    ) -> None:
        self.bound = bound
        self.distance = distance
        self.mining = mining

    def build(self, n_classes: int, n_components: int) -> TupleLoss:
        distance = self._option("distance", self.distances)
        bound = self.bound
        if bound is None:
            bound = DISTANCES[distance].farthest(n_components)
        bound = check_number(
            "ExponentialLoss.bound", bound, low=0, low_open=True, also=" or None"
        )
        return _ExponentialModule(distance, self._option("mining", self.minings), bound)
