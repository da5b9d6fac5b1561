"""Multi-similarity loss, and the mining that goes with it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from siamese_sklearn._checks import check_number
from siamese_sklearn.losses._base import EmbeddingLoss, LossSpec
from siamese_sklearn.losses._batch import BatchModule, cosines, masked_logsumexp
from siamese_sklearn.mining import has_any

__all__ = ["MultiSimilarityLoss"]


class _MultiSimilarityModule(BatchModule):
    def __init__(
        self, alpha: float, beta: float, base: float, mining: str, epsilon: float
    ) -> None:
        super().__init__("cosine")
        self.alpha = alpha
        self.beta = beta
        self.base = base
        self.mining = mining
        self.epsilon = epsilon

    def terms(
        self, embeddings: Tensor, positive: Tensor, negative: Tensor
    ) -> tuple[Tensor, Tensor]:
        similarity = cosines(embeddings)  # (B, B)
        if self.mining == "multi_similarity":
            positive, negative = _informative(
                similarity.detach(), positive, negative, self.epsilon
            )
        excess = similarity - self.base
        pull = softplus(masked_logsumexp(-self.alpha * excess, positive)) / self.alpha
        push = softplus(masked_logsumexp(self.beta * excess, negative)) / self.beta
        return pull + push, has_any(positive) | has_any(negative)


def _informative(
    similarity: Tensor, positive: Tensor, negative: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Masks of the positives and the negatives that overlap, within `epsilon`, in their similarity.

    Of a row, both are empty if it has no positive or no negative, or keeps `epsilon` between the two.
    """
    least = similarity.masked_fill(~positive, torch.inf).amin(dim=1, keepdim=True)
    most = similarity.masked_fill(~negative, -torch.inf).amax(dim=1, keepdim=True)
    return positive & (similarity - epsilon < most), negative & (
        similarity + epsilon > least
    )


class MultiSimilarityLoss(LossSpec):
    """Multi-similarity loss: pairs weigh by their own similarity and by those of the other pairs around.

    With s the cosine similarities of an anchor to its positives p and negatives n, an anchor costs::

        log(1 + sum_p exp(-alpha (s_p - base))) / alpha + log(1 + sum_n exp(beta (s_n - base))) / beta

    The loss of a batch is the mean over the anchors that have a pair left by the mining; the paper divides by
    the number of all rows instead, which lets the steps shrink with the share of anchors that are solved.
    Embeddings are normalised first.

    Take it for retrieval: the mining leaves out the pairs that are solved, and the weights put the hardest of
    the others first.

    Parameters
    ----------
    alpha : float, default=2.0
        How much more the least similar positives weigh than the others.
    beta : float, default=50.0
        How much more the most similar negatives weigh than the others.
    base : float, default=0.5
        The similarity that positives shall exceed and negatives shall not; from -1 to 1.
    mining : {"multi_similarity", "all"}, default="multi_similarity"
        "multi_similarity" takes, for each anchor, the negatives more similar than its least similar positive
        less `epsilon`, and the positives less similar than its most similar negative plus `epsilon`; "all"
        takes every pair.
    epsilon : float, default=0.1
        The margin of the mining.

    See Also
    --------
    CircleLoss : weighs each pair by its own similarity.
    SupConLoss : has one parameter only.

    References
    ----------
    Wang, Han, Huang, Dong & Scott, "Multi-Similarity Loss with General Pair Weighting for Deep Metric
    Learning", CVPR 2019.

    Examples
    --------
    >>> import torch
    >>> module = MultiSimilarityLoss(alpha=1.0, beta=1.0, base=1.0).build(n_classes=2, n_components=2)
    >>> module(torch.ones(3, 2), torch.tensor([0, 0, 1]))  # anchors 0 and 1: log(1 + 1) twice
    tensor(1.3863)
    """

    minings = ("multi_similarity", "all")

    def __init__(
        self,
        alpha: float = 2.0,
        *,
        beta: float = 50.0,
        base: float = 0.5,
        mining: str = "multi_similarity",
        epsilon: float = 0.1,
    ) -> None:
        self.alpha = alpha
        self.beta = beta
        self.base = base
        self.mining = mining
        self.epsilon = epsilon

    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        return _MultiSimilarityModule(
            check_number("MultiSimilarityLoss.alpha", self.alpha, low=0, low_open=True),
            check_number("MultiSimilarityLoss.beta", self.beta, low=0, low_open=True),
            check_number("MultiSimilarityLoss.base", self.base, low=-1, high=1),
            self._option("mining", self.minings),
            check_number("MultiSimilarityLoss.epsilon", self.epsilon, low=0),
        )
