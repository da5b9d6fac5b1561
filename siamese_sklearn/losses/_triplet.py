"""Losses on triplets (anchor, positive, negative)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from siamese_sklearn._checks import check_boolean, check_number
from siamese_sklearn.distances import DISTANCES
from siamese_sklearn.losses._base import LossSpec, TupleLoss, mean_or_zero
from siamese_sklearn.mining import MINERS, entries, every_triplet, pair_masks

__all__ = ["SmoothTripletModule", "TripletLoss", "soft_triplet", "triplet"]

_SMALLEST = 1e-12  # lower bound of the mean distance, for finite gradients


def triplet(near: Tensor, far: Tensor, margin: float) -> Tensor:
    """Hinge of each triplet, [D_ap - D_an + margin]+ (Schroff et al. 2015).

    Parameters
    ----------
    near, far : Tensor
        Distances of the anchors to their positives and to their negatives.
    margin : float

    Returns
    -------
    Tensor, of the same shape

    Examples
    --------
    >>> import torch
    >>> triplet(torch.tensor([1.0, 0.0]), torch.tensor([1.5, 1.0]), margin=0.75)
    tensor([0.2500, 0.0000])
    """
    return (near - far + margin).relu()


def soft_triplet(near: Tensor, far: Tensor) -> Tensor:
    """Soft-margin loss of each triplet (Hermans et al. 2017).

    Parameters
    ----------
    near, far : Tensor
        Distances of the anchors to their positives and to their negatives.

    Returns
    -------
    Tensor, of the same shape
        log(1 + exp(D_ap - D_an)), computed without overflow.

    Examples
    --------
    >>> import torch
    >>> soft_triplet(torch.tensor([1e6]), torch.tensor([0.0]))
    tensor([1000000.])
    """
    return softplus(near - far)


class _TripletModule(TupleLoss):
    """Mean of a formula over the selected triplets.

    Parameters
    ----------
    distance : str or Distance
    mining : str
    relative : bool
        Divide the distances of a batch by their mean.
    formula : callable
        Computes the loss of each triplet from the distances to its positive and to its
        negative.
    """

    def __init__(
        self,
        distance: str,
        mining: str,
        relative: bool,
        formula: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        super().__init__(distance)
        self.mining = mining
        self.relative = relative
        self.formula = formula

    @abstractmethod
    def _every(self, distance: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Mean over all triplets of the masks, each (n, m) with one row per anchor."""

    @abstractmethod
    def _mean(self, value: Tensor) -> Tensor:
        """Mean over triplets, given their losses (T,)."""

    def _from_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        distance = self.distance.pairwise(embeddings)
        if self.relative:
            distance = _over_mean(distance)
        positive, negative = pair_masks(labels)
        if self.mining == "all":
            return self._every(distance, positive, negative)
        anchor, near, far = MINERS[self.mining](distance.detach(), positive, negative)
        return self._mean(
            self.formula(
                entries(distance, anchor, near), entries(distance, anchor, far)
            )
        )

    def _from_pairs(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor:
        """Compare every positive pair with every negative pair.

        The pairs are treated as if they shared an anchor.
        """
        distance = self.distance.paired(left, right)[None]  # (1, B)
        return self._every(distance, same[None], ~same[None])

    def _from_triplets(
        self, anchor: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor:
        near, far = (
            self.distance.paired(anchor, positive),
            self.distance.paired(anchor, negative),
        )
        return self._mean(self.formula(near, far))


class _TripletHingeModule(_TripletModule):
    """Mean over the selected triplets with a loss above zero."""

    def __init__(
        self, distance: str, mining: str, relative: bool, margin: float
    ) -> None:
        super().__init__(distance, mining, relative, partial(triplet, margin=margin))
        self.margin = margin

    def _every(self, distance: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        weight, self.n_active = every_triplet(
            distance.detach(), positive, negative, self.margin
        )
        total = (weight * distance).sum() + self.margin * self.n_active.to(
            distance.dtype
        )
        return mean_or_zero(total, self.n_active)

    def _mean(self, value: Tensor) -> Tensor:
        self.n_active = (value.detach() > 0).sum()
        return mean_or_zero(value.sum(), self.n_active)


class SmoothTripletModule(_TripletModule):
    """Mean over all selected triplets, for a formula that never reaches zero."""

    margin = None

    def _every(self, distance: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Mean over all triplets, O(B^2 K) of them for K rows per class."""
        anchor, near = positive.nonzero(as_tuple=True)
        # (n_positive_pairs, B)
        value = self.formula(distance[anchor, near][:, None], distance[anchor])
        valid = negative[anchor]
        self.n_active = valid.sum()
        return mean_or_zero((value * valid).sum(), self.n_active)

    def _mean(self, value: Tensor) -> Tensor:
        self.n_active = torch.tensor(len(value), device=value.device)
        return mean_or_zero(value.sum(), self.n_active)


def _over_mean(distance: Tensor) -> Tensor:
    """Divide distances (B, B) by their mean off the diagonal."""
    n_pairs = max(len(distance) * (len(distance) - 1), 1)
    return distance / (distance.sum() / n_pairs).clamp(min=_SMALLEST)


class TripletLoss(LossSpec):
    """Triplet loss: a row must be closer to its class than to any other, by a margin.

    The default of `SiameseEmbedder`. It constrains only the order of distances, which
    usually separates classes better than the fixed margin of `ContrastiveLoss`. Prefer
    a loss on pairs when pairs are given instead of classes, or when one threshold must
    serve all classes.

    The loss of a triplet is [D_ap - D_an + margin]+, or log(1 + exp(D_ap - D_an)) with
    ``margin="soft"``. The loss of a batch is the mean over the mined triplets with a
    loss above zero. This mean levels off near the margin while learning continues, so
    monitor a retrieval metric (`early_stopping`) instead.

    The mean over all triplets is exact, and takes only O(B^2 log B) time and O(B^2)
    memory; with the soft margin, it takes O(B^2 K) of both, for K rows per class. If
    pairs are given, each positive pair of a batch is compared with each negative pair,
    as if they shared an anchor; a loss on pairs makes better use of them.

    Parameters
    ----------
    margin : float or "soft", default=0.2
        How much farther than the positive the negative must be, in units of `distance`.
        Must be above 0 with ``mining="semihard"``, whose triplets have zero loss at 0.
    distance : {"euclidean", "sqeuclidean", "manhattan", "cosine"}, default=None
        None means "sqeuclidean", as in FaceNet. With ``mining="hard"`` or a soft
        margin, it means "euclidean", as in Hermans et al., because with squared
        distances the hardest triplets can collapse all embeddings into one point.
    mining : {"all", "semihard", "hard", "easy_positive", "random"}, default="all"
        Which triplets of the batch are used:

        - "all": all of them;
        - "semihard": for each (anchor, positive), the closest negative that is farther
          than the positive;
        - "hard": for each anchor, its farthest positive and its closest negative;
        - "easy_positive": for each anchor, its closest positive and its closest
          negative;
        - "random": for each (anchor, positive), a random negative.
    relative : bool, default=None
        Divide the distances of a batch by their mean before the margin is applied. None
        means True with ``mining="hard"`` and False otherwise. Batch-hard triplets can
        lower the loss by collapsing all embeddings; dividing by the mean distance
        removes that incentive. Hermans et al. do not divide. Ignored for given pairs
        and triplets.

    See Also
    --------
    TripletRatioLoss : has no margin and bounds the loss of each triplet.
    LiftedLoss : takes smooth maxima in place of the rows that ``mining="hard"`` picks.
    ContrastiveLoss : has a fixed margin for all pairs, so that one threshold can serve
        all classes.

    References
    ----------
    Schroff, Kalenichenko & Philbin, "FaceNet: A Unified Embedding for Face Recognition
    and Clustering", CVPR 2015.

    Hermans, Beyer & Leibe, "In Defense of the Triplet Loss for Person
    Re-Identification", arXiv:1703.07737, 2017.

    Xuan, Stylianou & Pless, "Improved Embeddings with Easy Positive Triplet Mining",
    WACV 2020.

    Examples
    --------
    The losses of anchors 0 and 1 are 0.1 and 1.1.

    >>> import torch
    >>> loss = TripletLoss(margin=0.2, distance="euclidean")
    >>> module = loss.build(n_classes=2, n_components=1)
    >>> module(torch.tensor([[0.0], [1.0], [1.1]]), torch.tensor([0, 0, 1]))
    tensor(0.6000)
    """

    distances = tuple(DISTANCES)
    minings = ("all", "semihard", "hard", "easy_positive", "random")
    takes_tuples = True

    def __init__(
        self,
        margin: float | Literal["soft"] = 0.2,
        *,
        distance: str | None = None,
        mining: str = "all",
        relative: bool | None = None,
    ) -> None:
        self.margin = margin
        self.distance = distance
        self.mining = mining
        self.relative = relative

    def build(self, n_classes: int, n_components: int) -> TupleLoss:
        mining = self._option("mining", self.minings)
        soft = isinstance(self.margin, str) and self.margin == "soft"
        margin = 0.0
        if not soft:
            # Semihard triplets have zero loss at a margin of 0.
            semihard = mining == "semihard"
            also = ', or "soft"' + (', with mining="semihard"' if semihard else "")
            margin = check_number(
                "TripletLoss.margin", self.margin, low=0, low_open=semihard, also=also
            )
        if self.distance is None:
            distance = "euclidean" if soft or mining == "hard" else "sqeuclidean"
        else:
            distance = self._option("distance", self.distances)
        relative = mining == "hard"
        if self.relative is not None:
            relative = check_boolean("TripletLoss.relative", self.relative)
        if soft:
            return SmoothTripletModule(distance, mining, relative, soft_triplet)
        return _TripletHingeModule(distance, mining, relative, margin)
