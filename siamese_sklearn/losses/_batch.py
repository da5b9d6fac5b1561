"""Losses on all positives and negatives of an anchor: circle, lifted, shared code."""

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

# A value this far below the largest contributes nothing to a sum of exponentials
# (2e-22), but its gradient soon becomes denormal, and arithmetic on denormal numbers is
# 100 times slower.
_NEGLIGIBLE = 50.0


def cosines(embeddings: Tensor) -> Tensor:
    """Cosine similarity between every two rows.

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
    """Log of the sum of exp(values) over the columns that `mask` selects in each row.

    Parameters
    ----------
    values : Tensor of shape (B, m)
    mask : bool Tensor of shape (B, m)

    Returns
    -------
    Tensor of shape (B,)
        For a row without selected columns, the lowest finite number, with a gradient of
        zero.

    Examples
    --------
    >>> import torch
    >>> mask = torch.tensor([[True, True, False], [True, False, False]])
    >>> masked_logsumexp(torch.zeros(2, 3), mask)
    tensor([0.6931, 0.0000])
    """
    result: Tensor = _MaskedLogSumExp.apply(values, mask)  # type: ignore[no-untyped-call]
    return result


class _MaskedLogSumExp(torch.autograd.Function):
    """Log-sum-exp whose gradient, a softmax, passes over the mask only once."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, mask: Tensor) -> Tensor:
        # -inf would give NaN in rows without selected columns.
        lowest = torch.finfo(values.dtype).min
        masked = values.masked_fill(~mask, lowest)
        result = masked.clamp_(
            min=masked.amax(dim=1, keepdim=True) - _NEGLIGIBLE
        ).logsumexp(dim=1)
        ctx.save_for_backward(values, mask, result)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        values, mask, result = ctx.saved_tensors
        # Only values outside the mask can exceed the result.
        share = (values - result[:, None]).clamp_(-_NEGLIGIBLE, 0.0).exp_()
        return (grad[:, None] * share).masked_fill_(~mask, 0.0), None


class BatchModule(EmbeddingLoss):
    """Mean over the terms of a batch, one per anchor or per pair, that count."""

    @abstractmethod
    def terms(
        self, embeddings: Tensor, positive: Tensor, negative: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Value of each term, and whether it counts; both of the same shape.

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
        # The gradients in the paper treat the weights as constants.
        detached = similarity.detach()
        positive_weight = self.gamma * (1 + self.margin - detached).relu()
        negative_weight = self.gamma * (detached + self.margin).relu()
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
        # pytorch-metric-learning averages over all rows instead, including those with
        # zero loss and those without a positive or a negative.
        return value, has_any(positive) & has_any(negative) & (value.detach() > 0)


class CircleLoss(LossSpec):
    """Circle loss: moves a pair more, the farther its similarity is from the optimum.

    Prefer it when some classes are much tighter than others: a pair that is near its
    optimum hardly moves, whereas `TripletLoss` moves both pairs of an active triplet
    with the same strength.

    With cosine similarities s of an anchor to its positives p and negatives n, and with
    margin m, the loss of the anchor is::

        log(1 + sum_n exp(gamma [s_n + m]+ (s_n - m))
                * sum_p exp(-gamma [1 + m - s_p]+ (s_p - 1 + m)))

    The weights [.]+ are treated as constants in the gradient, as in the paper. The loss
    of a batch is the mean over the anchors that have both a positive and a negative.
    Embeddings are normalized first.

    Parameters
    ----------
    margin : float, default=0.4
        Positives should reach a similarity of 1 - margin, and negatives should fall to
        margin. Smaller values are stricter. Above 0 and below 1. The paper uses 0.25
        for faces and person re-identification, 0.4 for retrieval.
    gamma : float, default=80.0
        Scale of the similarities. The paper uses 256 for faces, 128 for person
        re-identification, 80 for retrieval.

    See Also
    --------
    MultiSimilarityLoss : weights each pair relative to the other pairs of its anchor.
    TripletLoss : moves near and far positives with the same strength.

    References
    ----------
    Sun, Cheng, Zhang, Zhang, Zheng, Wang & Wei, "Circle Loss: A Unified Perspective of
    Pair Similarity Optimization", CVPR 2020.

    Examples
    --------
    The loss of anchors 0 and 1 is log(1 + exp(-1/4) exp(-1/4)).

    >>> import torch
    >>> module = CircleLoss(margin=0.5, gamma=1.0).build(n_classes=2, n_components=2)
    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> module(rows, torch.tensor([0, 0, 1]))
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
    """Lifted structured loss: a smooth form of the triplet loss with hard mining.

    Prefer it to ``TripletLoss(mining="hard")`` when the hardest rows alone are too
    noisy a signal: smooth maxima replace the farthest positive and the closest
    negative, so that every row contributes to the gradient.

    With distances D of an anchor to its positives p and negatives n, the loss of the
    anchor is [log sum_p exp(D_p) + log sum_n exp(margin - D_n)]+. The loss of a batch
    is the mean over the anchors with a loss above zero.

    This is the generalization by Hermans et al. 2017 to any number of rows per class,
    which pytorch-metric-learning calls ``GeneralizedLiftedStructureLoss``. The original
    by Oh Song et al. 2016 takes one positive pair at a time, with the negatives of both
    of its rows, and squares the hinge.

    Parameters
    ----------
    margin : float, default=1.0
        In units of `distance`.
    distance : {"euclidean", "sqeuclidean", "manhattan", "cosine"}, default="euclidean"

    See Also
    --------
    TripletLoss : with ``mining="hard"``, the same with hard maxima.

    References
    ----------
    Oh Song, Xiang, Jegelka & Savarese, "Deep Metric Learning via Lifted Structured
    Feature Embedding", CVPR 2016.

    Hermans, Beyer & Leibe, "In Defense of the Triplet Loss for Person
    Re-Identification", arXiv:1703.07737, 2017.

    Examples
    --------
    The losses of anchors 0 and 1 are 0.5 and 1.5.

    >>> import torch
    >>> module = LiftedLoss(margin=1.0).build(n_classes=2, n_components=1)
    >>> module(torch.tensor([[0.0], [1.0], [1.5]]), torch.tensor([0, 0, 1]))
    tensor(1.)
    """

    distances = tuple(DISTANCES)

    def __init__(self, margin: float = 1.0, *, distance: str = "euclidean") -> None:
        self.margin = margin
        self.distance = distance

    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        margin = check_number("LiftedLoss.margin", self.margin, low=0)
        return _LiftedModule(self._option("distance", self.distances), margin)
