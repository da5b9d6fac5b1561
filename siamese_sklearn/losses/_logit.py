"""Losses on logits: a head makes two embeddings the logit of "same", which the loss holds to the truth."""

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
    """Binary cross-entropy of each pair, minus the log-likelihood of the truth.

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
    >>> hinge(torch.tensor([0.25, 0.25, 3.0]), torch.tensor([True, False, True]), margin=1.0)
    tensor([0.7500, 1.2500, 0.0000])
    """
    return (margin - torch.where(same, 1.0, -1.0) * logit).relu()


class LogitLoss(PairModule):
    """A loss on the logits that a head gives to pairs.

    Parameters
    ----------
    head : Head
    mining : {"all", "hard"}
    formula : callable
        Gives the loss of each pair from its logit and from whether it is the same.
    lr : float
        Learning rate of the head.

    Attributes
    ----------
    distance : Distance
        Of a `DistanceHead` its own distance; the Euclidean one for other heads.
    """

    far = -1  # logits fall

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
        """Loss of pairs whose logits a network gives itself; the head is not involved."""
        self.n_active = torch.tensor(len(logits), device=logits.device)
        return self.formula(logits, same) @ shares(same, logits.dtype)

    def _pairwise(self, embeddings: Tensor) -> Tensor:
        return self.head.pairwise(embeddings)

    def _paired(self, left: Tensor, right: Tensor) -> Tensor:
        logits: Tensor = self.head(left, right)
        return logits


class _LogitSpec(LossSpec):
    """What the two specs share."""

    minings = ("all", "hard")
    heads: ClassVar[tuple[str, ...]] = tuple(HEADS)
    takes_tuples = True
    takes_logits = True

    head: HeadLike
    weights_lr: float

    def _shared(
        self, formula: Callable[[Tensor, Tensor], Tensor], n_components: int
    ) -> tuple[Head, str, Callable[[Tensor, Tensor], Tensor], float]:
        """Head, mining, formula and learning rate, checked."""
        mining = self._option("mining", self.minings)
        lr = check_number(
            f"{type(self).__name__}.weights_lr", self.weights_lr, low=0, low_open=True
        )
        return make_head(self.head, n_components), mining, formula, lr


class BinaryCrossEntropyLoss(_LogitSpec):
    """Binary cross-entropy on the logit of a pair: the network learns how probably two things are the same.

    A head turns the two embeddings of a pair into a logit o, the sigmoid of which is the probability of
    "same". A same pair costs log(1 + exp(-o)), a different pair log(1 + exp(o)). The loss of a batch is the
    mean over its same pairs plus the mean over its different pairs, so that the many different pairs of a
    batch do not outweigh the few same ones; the probabilities are those of a world that has as many of each.

    Take it for verification, where a probability is wanted or a distance is not enough ("difference",
    "product"), and for networks that give logits and no embeddings.

    Parameters
    ----------
    head : {"distance", "difference", "product"}, Head or torch.nn.Module, default="distance"
        What makes a logit of two embeddings: a distance with a learned scale and offset, weighted absolute
        differences (the paper's), or a small network on differences and products; see
        `siamese_sklearn.heads`. It is trained along with the network, and is the attribute `head` of the
        module. A module of your own has ``forward(left, right)``, which gives the logits, of shape (n,).
    mining : {"all", "hard"}, default="all"
        "all" takes every pair of the batch; "hard" takes, for each row that has both, its same row of the
        lowest logit and its different row of the highest.
    weights_lr : float, default=0.01
        Learning rate of the head.

    See Also
    --------
    HingeLoss : lets pairs alone that are right by a margin.
    ContrastiveLoss : a margin on the distance itself, with nothing to learn in between.

    References
    ----------
    Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition", ICML Deep Learning
    Workshop 2015.

    Examples
    --------
    >>> import torch
    >>> module = BinaryCrossEntropyLoss("distance").build(n_classes=2, n_components=2)
    >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    >>> labels, wrong = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])
    >>> round(module(embeddings, labels).item(), 3), round(module(embeddings, wrong).item(), 3)
    (0.013, 7.513)
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
        return LogitLoss(*self._shared(binary_cross_entropy, n_components))


class HingeLoss(_LogitSpec):
    """Hinge loss on the logit of a pair: every pair is to be on its side of zero, by a margin.

    A head turns the two embeddings of a pair into a number o, above zero for "same". A pair costs
    [margin - y o]+, where y is 1 for a same pair and -1 for a different one. The loss of a batch is the mean
    over its same pairs plus the mean over its different pairs, so that the many different pairs of a batch do
    not outweigh the few same ones. The paper adds weight decay, `weight_decay` of the estimators.

    Take it for verification in place of `BinaryCrossEntropyLoss` where some pairs are very easy, or some
    labels wrong: the former cost nothing, and the latter cost less.

    Parameters
    ----------
    margin : float, default=1.0
        From which |o| on a pair that is on the right side costs nothing.
    head : {"distance", "difference", "product"}, Head or torch.nn.Module, default="distance"
        As for `BinaryCrossEntropyLoss`.
    mining : {"all", "hard"}, default="all"
        As for `BinaryCrossEntropyLoss`.
    weights_lr : float, default=0.01
        Learning rate of the head.

    See Also
    --------
    BinaryCrossEntropyLoss : the smooth counterpart, whose logits are probabilities.

    References
    ----------
    Zagoruyko & Komodakis, "Learning to Compare Image Patches via Convolutional Neural Networks", CVPR 2015.

    Examples
    --------
    >>> import torch
    >>> module = HingeLoss(margin=1.0).build(n_classes=2, n_components=2)
    >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    >>> labels, wrong = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])
    >>> round(module(embeddings, labels).item(), 3), round(module(embeddings, wrong).item(), 3)
    (0.0, 9.0)
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
        return LogitLoss(*self._shared(partial(hinge, margin=margin), n_components))
