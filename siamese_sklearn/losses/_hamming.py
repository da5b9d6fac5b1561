"""Triplet loss for binary codes: Hamming distance metric learning."""

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
    """Differentiable bits: sigmoid(2 u), with u the embedding scaled to length sqrt(d).

    A bit is the sign of its component, whatever the length of the embedding. The
    scaling makes soft bits independent of the length too: the root mean square of the
    entries of u is 1. In one dimension (d = 1), the length is all there is, and u is
    the embedding itself.

    Parameters
    ----------
    embeddings : Tensor of shape (B, d)

    Returns
    -------
    Tensor of shape (B, d)
        Between 0 and 1, and above 1/2 where the embedding is above 0. Between bits that
        are exactly 0 or 1, the squared Euclidean distance is the Hamming distance.

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
    """Sum over bits of (2 mean - 1)^2: how far each is from 1 in half of the rows.

    Parameters
    ----------
    bits : Tensor of shape (B, d)

    Returns
    -------
    Tensor of shape ()
        Between 0 and d, the number of bits.

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

    def __init__(self, triplet: TupleLoss, margin: float, balance: float) -> None:
        super().__init__("manhattan")  # between 0/1 bits: the number that differ
        self.triplet = triplet
        self.margin = margin
        self.balance = balance

    def _from_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        bits = soft_bits(embeddings)
        # n_same includes each row paired with itself.
        n_rows, n_same = len(labels), (labels[:, None] == labels).sum()
        has_triplets = (n_same > n_rows) & (n_same < n_rows**2)
        return self._balanced(self.triplet(bits, labels), bits, has_triplets)

    def _from_pairs(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor:
        """Compare every positive pair with every negative pair.

        The pairs are treated as if they shared an anchor.
        """
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

    Prefer it to `TripletLoss` for search in large collections or with little memory: a
    code of 64 bits takes 8 bytes, 1/32 of a float32 embedding.

    With h the bits of an embedding (1 where a component is above zero), the loss of a
    triplet is [H(h, h+) - H(h, h-) + margin]+, where H is the Hamming distance, the
    number of bits that differ. The loss of a batch is the mean over the mined triplets
    with a loss above zero, plus `balance` times the sum over bits of (2 mean - 1)^2.
    The second term keeps each bit at 1 for about half of the rows, so that no bit
    becomes constant.

    Bits have no gradient, so training replaces them with soft bits,
    sigmoid(2 sqrt(d) z / |z|), and H with their squared Euclidean distance, which
    equals H for bits that are exactly 0 or 1. (The paper instead minimizes an upper
    bound of the loss, whose gradient requires an inference per triplet.) A bit depends
    only on a sign, so soft bits ignore the length of the embedding: normalizing
    embeddings to unit norm does not change the loss.

    Parameters
    ----------
    margin : float, default=None
        How many more bits must differ between anchor and negative than between anchor
        and positive. Must be above 0 with ``mining="semihard"``. None means a sixteenth
        of the number of bits, but at least 1, the margin of the paper.
    mining : {"all", "semihard", "hard", "easy_positive", "random"}, default="all"
        Which triplets of the batch are used, as in `TripletLoss`.
    balance : float, default=0.1
        Weight of the imbalance of the bits; 0 disables it.

    See Also
    --------
    TripletLoss : for real-valued embeddings, which take 32 times the memory.
    siamese_sklearn.binary : converts embeddings to bits, packs them and searches them.

    References
    ----------
    Norouzi, Fleet & Salakhutdinov, "Hamming Distance Metric Learning", NeurIPS 2012.

    Examples
    --------
    >>> import torch
    >>> loss = HammingTripletLoss(margin=1.0, balance=0.0)
    >>> module = loss.build(n_classes=2, n_components=2)
    >>> rows = torch.tensor([[9.0, 9.0], [9.0, 9.0], [9.0, -9.0]])
    >>> module(rows, torch.tensor([0, 0, 1]))
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
        # A semihard negative is already farther than the positive.
        solved_at_zero = mining == "semihard"
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
        module = triplet.build(n_classes, n_components)
        return _HammingTripletModule(module, margin, balance)
