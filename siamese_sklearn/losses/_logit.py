"""Losses on logits: a head turns two embeddings into the logit of "same"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from siamese_sklearn._checks import check_number
from siamese_sklearn.heads import HEADS, DistanceHead, Head, HeadLike, make_head
from siamese_sklearn.losses._base import LossSpec
from siamese_sklearn.losses._pair import PairModule, shares

__all__ = [
    "BinaryCrossEntropyLoss",
    "HingeLoss",
    "LogitLoss",
    "binary_cross_entropy",
    "hinge",
]


def binary_cross_entropy(logit: Tensor, same: Tensor) -> Tensor:
    """Binary cross-entropy of each pair, the negative log-likelihood of its label.

    Parameters
    ----------
    logit : Tensor
    same : bool Tensor, of the same shape

    Returns
    -------
    Tensor, of the same shape
        log(1 + exp(-logit)) where `same`, log(1 + exp(logit)) elsewhere.

    Examples
    --------
    >>> import torch
    >>> binary_cross_entropy(torch.tensor([0.0, 2.0]), torch.tensor([True, False]))
    tensor([0.6931, 2.1269])
    """
    return softplus(torch.where(same, -1.0, 1.0) * logit)


def hinge(logit: Tensor, same: Tensor, margin: float) -> Tensor:
    """Hinge loss of each pair.

    Parameters
    ----------
    logit : Tensor
    same : bool Tensor, of the same shape
    margin : float

    Returns
    -------
    Tensor, of the same shape
        [margin - logit]+ where `same`, [margin + logit]+ elsewhere.

    Examples
    --------
    >>> import torch
    >>> logit = torch.tensor([0.25, 0.25, 3.0])
    >>> hinge(logit, torch.tensor([True, False, True]), margin=1.0)
    tensor([0.7500, 1.2500, 0.0000])
    """
    return (margin - torch.where(same, 1.0, -1.0) * logit).relu()


class LogitLoss(PairModule):
    """A loss on the logits that a head computes for pairs.

    Parameters
    ----------
    head : Head
    mining : {"all", "hard"}
    formula : callable
        Computes the loss of each pair from its logit and from whether the pair is the
        same.
    lr : float
        Learning rate of the head.

    Attributes
    ----------
    distance : Distance
        The distance of a `DistanceHead`, and the Euclidean distance for other heads.
    """

    far = -1  # logits decrease with distance

    def __init__(
        self,
        head: Head,
        mining: str,
        formula: Callable[[Tensor, Tensor], Tensor],
        lr: float,
    ) -> None:
        distance = head.distance if isinstance(head, DistanceHead) else "euclidean"
        super().__init__(distance, mining, formula, symmetric=head.symmetric)
        self.head = head
        self.lr = lr

    def _from_logits(self, logits: Tensor, same: Tensor) -> Tensor:
        """Compute the loss of logits from the network; the head is not used."""
        self.n_active = torch.tensor(len(logits), device=logits.device)
        return self.formula(logits, same) @ shares(same, logits.dtype)

    def _pairwise(self, embeddings: Tensor) -> Tensor:
        return self.head.pairwise(embeddings)

    def _paired(self, left: Tensor, right: Tensor) -> Tensor:
        logits: Tensor = self.head(left, right)
        return logits


class _HingeModule(LogitLoss):
    def __init__(self, head: Head, mining: str, lr: float, margin: float) -> None:
        super().__init__(head, mining, partial(hinge, margin=margin), lr)
        self.margin = margin


class _LogitSpec(LossSpec):
    """What the specs of all losses on logits share."""

    minings = ("all", "hard")
    heads: ClassVar[tuple[str, ...]] = tuple(HEADS)
    takes_tuples = True
    takes_logits = True

    head: HeadLike
    weights_lr: float

    def _shared(self, n_components: int) -> tuple[Head, str, float]:
        """Return the head, mining and learning rate, after checking them."""
        mining = self._option("mining", self.minings)
        lr = check_number(
            f"{type(self).__name__}.weights_lr", self.weights_lr, low=0, low_open=True
        )
        return make_head(self.head, n_components), mining, lr


class BinaryCrossEntropyLoss(_LogitSpec):
    """Binary cross-entropy: learns the probability that two rows are the same.

    The default of `SiamesePairClassifier`. Prefer it for verification when you need
    probabilities, when a plain distance is not enough (use the head "difference" or
    "product"), or when the network outputs logits instead of embeddings.

    A head turns the two embeddings of a pair into a logit o; the sigmoid of o is the
    probability of "same". The loss of a positive pair is log(1 + exp(-o)), the loss of
    a negative pair log(1 + exp(o)). The loss of a batch is the mean over its positive
    pairs plus the mean over its negative pairs, so that the many negative pairs do not
    outweigh the few positive ones. The probabilities therefore assume that positive and
    negative pairs are equally frequent.

    Parameters
    ----------
    head : str, Head or torch.nn.Module, default="distance"
        Turns two embeddings into a logit. "distance" is a distance with a learned scale
        and offset, "difference" weights the absolute differences of the components (the
        head of the paper), and "product" is a small network on differences and
        products; see `siamese_sklearn.heads`. A module of your own must have
        ``forward(left, right)`` and return logits of shape (n,). The head is trained
        together with the network and is the attribute `head` of the built module.
    mining : {"all", "hard"}, default="all"
        "all" uses every pair of the batch; "hard" uses, for each row that has both, its
        positive pair with the lowest logit and its negative pair with the highest.
    weights_lr : float, default=0.01
        Learning rate of the head.

    See Also
    --------
    HingeLoss : ignores pairs that are correct by a margin.
    ContrastiveLoss : a margin on the distance itself, without a learned head.

    References
    ----------
    Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image
    Recognition", ICML Deep Learning Workshop 2015.

    Examples
    --------
    >>> import torch
    >>> module = BinaryCrossEntropyLoss("distance").build(n_classes=2, n_components=2)
    >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    >>> correct, wrong = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])
    >>> [round(module(embeddings, labels).item(), 3) for labels in (correct, wrong)]
    [0.013, 7.513]
    """

    def __init__(
        self,
        head: HeadLike = "distance",
        *,
        mining: str = "all",
        weights_lr: float = 0.01,
    ) -> None:
        self.head = head
        self.mining = mining
        self.weights_lr = weights_lr

    def build(self, n_classes: int, n_components: int) -> LogitLoss:
        head, mining, lr = self._shared(n_components)
        return LogitLoss(head, mining, binary_cross_entropy, lr)


class HingeLoss(_LogitSpec):
    """Hinge loss: each logit must be on the correct side of zero, by a margin.

    Prefer it to `BinaryCrossEntropyLoss` when many pairs are easy and you do not need
    probabilities: a pair that is correct by the margin has zero loss and no gradient,
    so that training concentrates on the others.

    A head turns the two embeddings of a pair into a logit o, above zero for "same". The
    loss of a pair is [margin - y o]+, where y is 1 for a positive pair and -1 for a
    negative pair. The loss of a batch is the mean over its positive pairs plus the mean
    over its negative pairs, so that the many negative pairs do not outweigh the few
    positive ones. The paper adds weight decay, which is the parameter `weight_decay` of
    the estimators.

    Parameters
    ----------
    margin : float, default=1.0
        A pair on the correct side has zero loss once ``|o|`` reaches `margin`.
    head : str, Head or torch.nn.Module, default="distance"
        As in `BinaryCrossEntropyLoss`.
    mining : {"all", "hard"}, default="all"
        As in `BinaryCrossEntropyLoss`.
    weights_lr : float, default=0.01
        Learning rate of the head.

    See Also
    --------
    BinaryCrossEntropyLoss : a smooth alternative, whose logits give probabilities.

    References
    ----------
    Zagoruyko & Komodakis, "Learning to Compare Image Patches via Convolutional Neural
    Networks", CVPR 2015.

    Examples
    --------
    >>> import torch
    >>> module = HingeLoss(margin=1.0).build(n_classes=2, n_components=2)
    >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    >>> correct, wrong = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])
    >>> [round(module(embeddings, labels).item(), 3) for labels in (correct, wrong)]
    [0.0, 9.0]
    """

    def __init__(
        self,
        margin: float = 1.0,
        *,
        head: HeadLike = "distance",
        mining: str = "all",
        weights_lr: float = 0.01,
    ) -> None:
        self.margin = margin
        self.head = head
        self.mining = mining
        self.weights_lr = weights_lr

    def build(self, n_classes: int, n_components: int) -> LogitLoss:
        margin = check_number("HingeLoss.margin", self.margin, low=0, low_open=True)
        return _HingeModule(*self._shared(n_components), margin)
