"""Losses on pairs: contrastive and exponential."""

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
    >>> distance, same = torch.tensor([0.5, 0.5]), torch.tensor([True, False])
    >>> contrastive(distance, same, margin=1.0)
    tensor([0.1250, 0.1250])
    """
    # For finite numbers, lerp by 0 or 1 selects as where does, but its gradient is
    # faster.
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
    """Mean of a formula over the positive pairs plus its mean over the negative pairs.

    Parameters
    ----------
    distance : str or Distance
    mining : {"all", "hard"}
    formula : callable
        Computes the loss of each pair from its compared value, such as the distance,
        and from whether the pair is the same.
    reach : float, default=None
        Only negative pairs with a compared value below `reach` are used; None uses all.
    symmetric : bool, default=True
        Use each pair of a batch once instead of in both orders.
    """

    far = 1  # -1 if the compared values decrease with distance

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
        """Keep the pairs `taken`, except negative pairs out of reach.

        Returns the compared values and whether the pairs are the same, each (n,).
        """
        # Few negative pairs stay this close, and a mean over all would vanish.
        if self.reach is not None:
            taken = taken & (same | (compared.detach() < self.reach))
        chosen = taken.flatten().nonzero().squeeze(1)
        compared, same = (
            side.flatten().index_select(0, chosen) for side in (compared, same)
        )
        self.n_active = torch.tensor(len(chosen), device=chosen.device)
        return compared, same


def shares(same: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights of the mean over positive pairs plus the mean over negative pairs, (n,).

    A plain mean over all pairs would let the more frequent kind dominate.
    """
    pulled = same.to(dtype)  # (n,)
    n_same = pulled.sum()
    return mean_or_zero(pulled, n_same) + mean_or_zero(1 - pulled, len(same) - n_same)


def _both(near: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenate as many positive as negative pairs.

    Returns the compared values and whether the pairs are the same, each (2 n,).
    """
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
    """Contrastive loss: pulls rows of a class together, pushes others a margin apart.

    Prefer it when a distance must mean the same for all classes: it constrains the
    distances themselves, whereas `TripletLoss` constrains only their order. The weaker
    constraint usually separates classes better, even for verification.

    The loss of a positive pair is D^2 / 2, the loss of a negative pair
    [margin - D]+^2 / 2. The loss of a batch is the mean over its positive pairs plus
    the mean over those of its negative pairs that are closer than the margin.

    Parameters
    ----------
    margin : float, default=0.5
        Distance beyond which a negative pair has zero loss. Unit-norm embeddings are at
        most 2 apart, by Euclidean or cosine distance.
    distance : {"euclidean", "manhattan", "cosine"}, default="euclidean"
    mining : {"all", "hard"}, default="all"
        "all" uses every pair of the batch; "hard" uses, for each row that has both, its
        farthest positive and its closest negative.

    See Also
    --------
    ExponentialLoss : has no margin; pushes negative pairs apart at every distance.
    TripletLoss : compares distances with each other instead of with a fixed margin.

    References
    ----------
    Hadsell, Chopra & LeCun, "Dimensionality Reduction by Learning an Invariant
    Mapping", CVPR 2006.

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
        also = "" if high == math.inf else f", the largest {distance} distance"
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
    """Exponential loss: like the contrastive loss, but without a margin.

    Prefer it to `ContrastiveLoss` when a margin is hard to choose: it has none. With
    ``mining="hard"``, easy pairs do not dominate the mean. It is the loss of the first
    Siamese network for face verification.

    The loss of a positive pair is (2 / Q) E^2, the loss of a negative pair
    2 Q exp(-2.77 E / Q), where the energy E is the distance between the two embeddings
    and Q is its upper bound. The loss of a batch is the mean over its positive pairs
    plus the mean over its negative pairs.

    Parameters
    ----------
    bound : float, default=None
        Q. None means the largest distance on the unit sphere: 2 for Euclidean and
        cosine distances, 2 sqrt(n_components) for Manhattan. Set it yourself for
        embeddings that do not have unit norm.
    distance : {"euclidean", "manhattan", "cosine"}, default="euclidean"
        The paper uses "manhattan".
    mining : {"all", "hard"}, default="all"
        "all" uses every pair of the batch; "hard" uses, for each row that has both, its
        farthest positive and its closest negative.

    See Also
    --------
    ContrastiveLoss : ignores negative pairs that are a margin apart.

    References
    ----------
    Chopra, Hadsell & LeCun, "Learning a Similarity Metric Discriminatively, with
    Application to Face Verification", CVPR 2005.

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
