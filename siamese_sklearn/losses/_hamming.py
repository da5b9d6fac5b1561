"""Loss on triplets of binary codes: Hamming distance metric learning."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from siamese_sklearn._checks import check_number
from siamese_sklearn.distances import normalize
from siamese_sklearn.losses._base import LossSpec, TupleLoss
from siamese_sklearn.losses._triplet import TripletLoss

__all__ = ["HammingTripletLoss", "imbalance", "soft_bits"]

_BITS_PER_MARGIN = 16


def soft_bits(embeddings: Tensor) -> Tensor:
    """Bits that can be differentiated: sigmoid(2 u), where u is the embedding scaled to length sqrt(d).

    The bit of a component is its sign, whatever the length of the embedding, and so the soft bit does not
    depend on it either: an entry of u is +-1 in the mean. On a line (d = 1) length is all there is, and u is
    the embedding itself.

    Parameters
    ----------
    embeddings : Tensor of shape (B, d)

    Returns
    -------
    Tensor of shape (B, d)
        Between 0 and 1, above 1/2 where the embedding is above 0. Between bits that are 0 or 1, the squared
        Euclidean distance is the Hamming distance.

    Examples
    --------
    >>> import torch
    >>> soft_bits(torch.tensor([[5.0, 5.0, -5.0, 0.0]]))
    tensor([[0.9097, 0.9097, 0.0903, 0.5000]])
    """
    d = embeddings.shape[1]
    u = embeddings if d == 1 else math.sqrt(d) * normalize(embeddings)
    return torch.sigmoid(2 * u)


def imbalance(bits: Tensor) -> Tensor:
    """How far each bit is from being 1 for half of the rows: the sum over bits of (2 mean - 1)^2.

    Parameters
    ----------
    bits : Tensor of shape (B, d)

    Returns
    -------
    Tensor of shape ()
        From 0 to d, the number of bits.

    Examples
    --------
    >>> import torch
    >>> imbalance(torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    tensor(1.)
    """
    return (2 * bits.mean(0) - 1).square().sum()


class _HammingTripletModule(TupleLoss):
    """A triplet loss on soft bits, plus the weighted imbalance of the bits."""

    binary = True

    def __init__(self, triplet: TupleLoss, balance: float) -> None:
        super().__init__("manhattan")  # between 0/1 bits: how many of them differ
        self.triplet = triplet
        self.balance = balance

    def _from_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        bits = soft_bits(embeddings)
        n_rows, n_same = (
            len(labels),
            (labels[:, None] == labels).sum(),
        )  # a row is the same as itself
        has_triplets = (n_same > n_rows) & (n_same < n_rows**2)
        return self._balanced(self.triplet(bits, labels), bits, has_triplets)

    def _from_pairs(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor:
        """Every same pair against every different pair of the batch, as if they had one anchor."""
        sides = soft_bits(left), soft_bits(right)
        value = self.triplet(sides, same)
        return self._balanced(value, torch.cat(sides), same.any() & ~same.all())

    def _from_triplets(
        self, anchor: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor:
        sides = soft_bits(anchor), soft_bits(positive), soft_bits(negative)
        return self._balanced(self.triplet(sides), torch.cat(sides), True)

    def _balanced(
        self, value: Tensor, bits: Tensor, has_triplets: Tensor | bool
    ) -> Tensor:
        self.n_active = self.triplet.n_active
        return value + self.balance * imbalance(bits) * has_triplets


class HammingTripletLoss(LossSpec):
    """Hamming distance metric learning: a triplet loss for binary codes.

    With h the bits of an embedding, 1 where a component is above zero, a triplet costs
    [H(h, h+) - H(h, h-) + margin]+, where H is the Hamming distance: the number of bits that differ. The loss
    of a batch is the mean over the mined triplets whose cost is not zero, plus `balance` times the sum over
    bits of (2 mean - 1)^2, which keeps every bit 0 for about half of the rows and 1 for the others, so that
    none of them dies.

    Training needs a gradient, which bits do not have: it takes soft bits, sigmoid(2 sqrt(d) z / |z|), and
    their squared Euclidean distance, which equals H on bits that are 0 or 1. (The paper bounds the loss from
    above instead; its gradient needs an inference per triplet.) A bit depends on the sign only, so the soft
    bits leave the length of an embedding out: embeddings of unit norm and others cost the same.

    Take it for search in large or small-memory collections: a code of 64 bits is 8 bytes.

    Parameters
    ----------
    margin : float, default=None
        How many more bits of the negative have to differ than of the positive; above 0 with
        ``mining="semihard"``. None means a sixteenth of the bits, but at least 1, which is the paper's.
    mining : {"all", "semihard", "hard", "easy_positive", "random"}, default="all"
        Which triplets of the batch, as for `TripletLoss`.
    balance : float, default=0.1
        Weight of the imbalance of the bits; 0 for none.

    See Also
    --------
    TripletLoss : for embeddings of real numbers, in 32 times the memory.
    siamese_sklearn.binary : makes bits of embeddings, packs them, and searches them.

    References
    ----------
    Norouzi, Fleet & Salakhutdinov, "Hamming Distance Metric Learning", NeurIPS 2012.

    Examples
    --------
    >>> import torch
    >>> module = HammingTripletLoss(margin=1.0, balance=0.0).build(n_classes=2, n_components=2)
    >>> module(torch.tensor([[9.0, 9.0], [9.0, 9.0], [9.0, -9.0]]), torch.tensor([0, 0, 1]))
    tensor(0.4200)
    """

    minings = TripletLoss.minings
    takes_tuples = True

    def __init__(
        self, margin: float | None = None, *, mining: str = "all", balance: float = 0.1
    ) -> None:
        self.margin = margin
        self.mining = mining
        self.balance = balance

    def build(self, n_classes: int, n_components: int) -> TupleLoss:
        mining = self._option("mining", self.minings)
        margin = self.margin
        if margin is None:
            margin = max(n_components / _BITS_PER_MARGIN, 1.0)
        solved_at_zero = (
            mining == "semihard"
        )  # each of its negatives is beyond the positive
        also = " or None" + (', with mining="semihard"' if solved_at_zero else "")
        margin = check_number(
            "HammingTripletLoss.margin",
            margin,
            low=0,
            low_open=solved_at_zero,
            also=also,
        )
        balance = check_number("HammingTripletLoss.balance", self.balance, low=0)
        triplet = TripletLoss(
            margin, distance="sqeuclidean", mining=mining, relative=False
        )
        return _HammingTripletModule(triplet.build(n_classes, n_components), balance)
