"""Losses on all positives and negatives of an anchor at once: what they share, circle and lifted."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from siamese_sklearn._checks import check_number
from siamese_sklearn.distances import DISTANCES, normalize
from siamese_sklearn.losses._base import EmbeddingLoss, LossSpec, mean_or_zero
from siamese_sklearn.mining import has_any, pair_masks

__all__ = ["BatchModule", "CircleLoss", "LiftedLoss", "cosines", "masked_logsumexp"]

# Below the largest by this much, exp is nothing in a sum (2e-22), but its gradient becomes a denormal number
# before long, and those take 100 times as long to compute with.
_NEGLIGIBLE = 50.0


def cosines(embeddings: Tensor) -> Tensor:
    """Cosine similarity of every two rows.

    Parameters
    ----------
    embeddings : Tensor of shape (B, d)

    Returns
    -------
    Tensor of shape (B, B)
    """
    unit = normalize(embeddings)
    return unit @ unit.T


def masked_logsumexp(values: Tensor, mask: Tensor) -> Tensor:
    """Logarithm of the sum of exp(values) over the columns that `mask` has in each row.

    Parameters
    ----------
    values : Tensor of shape (B, m)
    mask : bool Tensor of shape (B, m)

    Returns
    -------
    Tensor of shape (B,)
        The lowest finite number, whose gradient is zero, for a row without columns.

    Examples
    --------
    >>> import torch
    >>> masked_logsumexp(torch.zeros(2, 3), torch.tensor([[True, True, False], [True, False, False]]))
    tensor([0.6931, 0.0000])
    """
    result: Tensor = _MaskedLogSumExp.apply(values, mask)  # type: ignore[no-untyped-call]
    return result


class _MaskedLogSumExp(torch.autograd.Function):
    """Log of a sum of exponentials whose gradient, a softmax, passes over the mask once."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, mask: Tensor) -> Tensor:
        lowest = torch.finfo(
            values.dtype
        ).min  # -inf would give NaN where a row has nothing else
        held = values.masked_fill(~mask, lowest)
        result = held.clamp_(
            min=held.amax(dim=1, keepdim=True) - _NEGLIGIBLE
        ).logsumexp(dim=1)
        ctx.save_for_backward(values, mask, result)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        values, mask, result = ctx.saved_tensors
        share = (
            (values - result[:, None]).clamp_(-_NEGLIGIBLE, 0.0).exp_()
        )  # above 0 only beside the mask
        return (grad[:, None] * share).masked_fill_(~mask, 0.0), None


class BatchModule(EmbeddingLoss):
    """Mean over those terms of a batch, one for each anchor or pair, that have a part."""

    @abstractmethod
    def terms(
        self, embeddings: Tensor, positive: Tensor, negative: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Value of each term, and which of them have a part; of the same shape.

        Parameters
        ----------
        embeddings : Tensor of shape (B, d)
        positive, negative : bool Tensor of shape (B, B)
        """

    def _from_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        value, counted = self.terms(embeddings, *pair_masks(labels))
        self.n_active = counted.sum()
        return mean_or_zero(value.masked_fill(~counted, 0.0).sum(), self.n_active)


class _CircleModule(BatchModule):
    def __init__(self, margin: float, gamma: float) -> None:
        super().__init__("cosine")
        self.margin = margin
        self.gamma = gamma

    def terms(
        self, embeddings: Tensor, positive: Tensor, negative: Tensor
    ) -> tuple[Tensor, Tensor]:
        similarity = cosines(embeddings)  # (B, B)
        held = (
            similarity.detach()
        )  # in the gradients that the paper gives, the weights are constants
        positive_weight = self.gamma * (1 + self.margin - held).relu()
        negative_weight = self.gamma * (held + self.margin).relu()
        pull = masked_logsumexp(
            -positive_weight * (similarity - (1 - self.margin)), positive
        )
        push = masked_logsumexp(negative_weight * (similarity - self.margin), negative)
        return softplus(pull + push), has_any(positive) & has_any(negative)


class _LiftedModule(BatchModule):
    def __init__(self, distance: str, margin: float) -> None:
        super().__init__(distance)
        self.margin = margin

    def terms(
        self, embeddings: Tensor, positive: Tensor, negative: Tensor
    ) -> tuple[Tensor, Tensor]:
        distance = self.distance.pairwise(embeddings)  # (B, B)
        pull = masked_logsumexp(distance, positive)
        push = masked_logsumexp(self.margin - distance, negative)
        value = (pull + push).relu()
        # pytorch-metric-learning takes the mean over all rows instead, lone ones and solved ones too.
        return value, has_any(positive) & has_any(negative) & (value.detach() > 0)


class CircleLoss(LossSpec):
    """Circle loss: each similarity is pushed the harder, the farther it is from where it should be.

    With s the cosine similarities of an anchor to its positives p and negatives n and m the margin, an
    anchor costs::

        log(1 + sum_n exp(gamma [s_n + m]+ (s_n - m)) sum_p exp(-gamma [1 + m - s_p]+ (s_p - 1 + m)))

    whose weights [.]+ are held constant in the gradient, as in the paper. The loss of a batch is the mean
    over the anchors that have both a positive and a negative. Embeddings are normalised first.

    Take it when some classes are much tighter than others: a pair that is solved already is hardly moved,
    where `TripletLoss` moves both pairs of an active triplet with the same strength.

    Parameters
    ----------
    margin : float, default=0.4
        Positives shall reach a similarity of 1 - margin, negatives fall to margin; above 0 and below 1. The
        smaller, the stricter. The paper takes 0.25 for faces and persons, 0.4 for retrieval.
    gamma : float, default=80.0
        The scale; the paper takes 256 for faces, 128 for persons, 80 for retrieval.

    See Also
    --------
    MultiSimilarityLoss : weighs pairs by those around them, not by their own similarity alone.
    TripletLoss : the same pull for a positive that is near and for one that is far.

    References
    ----------
    Sun, Cheng, Zhang, Zhang, Zheng, Wang & Wei, "Circle Loss: A Unified Perspective of Pair Similarity
    Optimization", CVPR 2020.

    Examples
    --------
    >>> import torch
    >>> module = CircleLoss(margin=0.5, gamma=1.0).build(n_classes=2, n_components=2)
    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> module(rows, torch.tensor([0, 0, 1]))  # anchors 0 and 1: log(1 + exp(-1/4) exp(-1/4))
    tensor(0.4741)
    """

    def __init__(self, margin: float = 0.4, *, gamma: float = 80.0) -> None:
        self.margin = margin
        self.gamma = gamma

    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        return _CircleModule(
            check_number(
                "CircleLoss.margin",
                self.margin,
                low=0,
                high=1,
                low_open=True,
                high_open=True,
            ),
            check_number("CircleLoss.gamma", self.gamma, low=0, low_open=True),
        )


class LiftedLoss(LossSpec):
    """Lifted structured loss, in its generalised form: smoothly, the farthest positive and nearest negative.

    An anchor costs [log sum_p exp(D_p) + log sum_n exp(margin - D_n)]+, with D its distances to its positives
    p and its negatives n. The loss of a batch is the mean over the anchors whose cost is not zero.

    This is the form of Hermans et al. 2017 for any number of rows per class, which pytorch-metric-learning
    calls ``GeneralizedLiftedStructureLoss``. The original of Oh Song et al. 2016 takes one positive pair at a
    time, with the negatives of both its rows, and squares the hinge.

    Take it as a smooth form of ``TripletLoss(mining="hard")``: it looks at the same rows through a smooth
    maximum, so that all rows have a part.

    Parameters
    ----------
    margin : float, default=1.0
        In units of `distance`.
    distance : {"euclidean", "sqeuclidean", "manhattan", "cosine"}, default="euclidean"

    See Also
    --------
    TripletLoss : with ``mining="hard"``, the same with a hard maximum.

    References
    ----------
    Oh Song, Xiang, Jegelka & Savarese, "Deep Metric Learning via Lifted Structured Feature Embedding", CVPR
    2016.

    Hermans, Beyer & Leibe, "In Defense of the Triplet Loss for Person Re-Identification",
    arXiv:1703.07737, 2017.

    Examples
    --------
    >>> import torch
    >>> module = LiftedLoss(margin=1.0).build(n_classes=2, n_components=1)
    >>> module(torch.tensor([[0.0], [1.0], [1.5]]), torch.tensor([0, 0, 1]))  # anchors 0 and 1: 0.5 and 1.5
    tensor(1.)
    """

    distances = tuple(DISTANCES)

    def __init__(self, margin: float = 1.0, *, distance: str = "euclidean") -> None:
        self.margin = margin
        self.distance = distance

    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        margin = check_number("LiftedLoss.margin", self.margin, low=0)
        return _LiftedModule(self._option("distance", self.distances), margin)
