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

_SMALLEST = 1e-12  # mean distance that is divided by, so that identical rows have a finite gradient


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
    """Soft margin of each triplet, log(1 + exp(D_ap - D_an)) without overflow (Hermans et al. 2017).

    Parameters
    ----------
    near, far : Tensor
        Distances of the anchors to their positives and to their negatives.

    Returns
    -------
    Tensor, of the same shape

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
        Measure the distances of a batch in units of their mean.
    formula : callable
        Gives the loss of each triplet from the distances to its positive and to its negative.
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
        """Mean over all triplets that the masks make; each (n, m), one row per anchor."""

    @abstractmethod
    def _mean(self, value: Tensor) -> Tensor:
        """Mean over triplets with these losses, (T,)."""

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
        """Every same pair against every different pair of the batch, as if they had one anchor."""
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
    """Mean over the selected triplets that are not yet solved by the margin."""

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
    """Mean over all selected triplets of a formula that is never quite zero."""

    margin = None

    def _every(self, distance: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """One row of negatives for each (anchor, positive): O(B^2 K) for K rows per class."""
        anchor, near = positive.nonzero(as_tuple=True)
        value = self.formula(
            distance[anchor, near][:, None], distance[anchor]
        )  # (n_positive_pairs, B)
        valid = negative[anchor]
        self.n_active = valid.sum()
        return mean_or_zero((value * valid).sum(), self.n_active)

    def _mean(self, value: Tensor) -> Tensor:
        self.n_active = torch.tensor(len(value), device=value.device)
        return mean_or_zero(value.sum(), self.n_active)


def _over_mean(distance: Tensor) -> Tensor:
    """Distances over their mean off the diagonal; (B, B)."""
    n_pairs = max(len(distance) * (len(distance) - 1), 1)
    return distance / (distance.sum() / n_pairs).clamp(min=_SMALLEST)


class TripletLoss(LossSpec):
    """Triplet loss: a row shall be closer to its own class than to any other, by a margin.

    A triplet costs [D_ap - D_an + margin]+, or log(1 + exp(D_ap - D_an)) with ``margin="soft"``. The loss of
    a batch is the mean over the mined triplets whose cost is not zero: it levels off near the margin while
    learning goes on, so watch a retrieval measure (`early_stopping`), never this value.

    The mean over every triplet is exact, and needs O(B^2 log B) time and O(B^2) memory only (the soft margin
    O(B^2 K) of both, for K rows per class). Of given pairs, each same pair of a batch meets each different
    pair of it, as if they had one anchor; a loss on pairs makes more of them.

    Parameters
    ----------
    margin : float or "soft", default=0.2
        How much farther than the positive the negative has to be, in units of `distance`; above 0 with
        ``mining="semihard"``, whose triplets cost nothing at 0.
    distance : {"euclidean", "sqeuclidean", "manhattan", "cosine"}, default=None
        None means "sqeuclidean", as in FaceNet; with ``mining="hard"`` or a soft margin it means "euclidean",
        as in Hermans et al., because squared distances let the hardest triplets pull everything into one
        point.
    mining : {"all", "semihard", "hard", "easy_positive", "random"}, default="all"
        Which triplets of the batch: "all" of them; "semihard", for each (anchor, positive) the closest
        negative beyond the positive; "hard", for each anchor its farthest positive and closest negative;
        "easy_positive", its closest positive and closest negative; "random", for each (anchor, positive) a
        random negative.
    relative : bool, default=None
        Measure the distances of a batch in units of their mean, the margin too. None means True with
        ``mining="hard"`` and False otherwise: the hardest triplets gain by drawing all rows into one point,
        and in these units that gains nothing. Hermans et al. have no such units. Unused for given pairs and
        triplets.

    See Also
    --------
    TripletRatioLoss : has no margin, and no triplet of it ever costs much more than another.
    LiftedLoss : a smooth maximum over the rows that ``mining="hard"`` takes.
    ContrastiveLoss : a fixed margin for all pairs, for a threshold that serves all classes.

    References
    ----------
    Schroff, Kalenichenko & Philbin, "FaceNet: A Unified Embedding for Face Recognition and
    Clustering", CVPR 2015.

    Hermans, Beyer & Leibe, "In Defense of the Triplet Loss for Person Re-Identification",
    arXiv:1703.07737, 2017.

    Xuan, Stylianou & Pless, "Improved Embeddings with Easy Positive Triplet Mining", WACV 2020.

    Examples
    --------
    >>> import torch
    >>> module = TripletLoss(margin=0.2, distance="euclidean").build(n_classes=2, n_components=1)
    >>> module(torch.tensor([[0.0], [1.0], [1.1]]), torch.tensor([0, 0, 1]))  # anchors 0 and 1: 0.1 and 1.1
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
            semihard = (
                mining == "semihard"
            )  # its triplets are solved at a margin of zero
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
