"""Multi-similarity loss and its mining."""

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
    """Keep the positives and negatives whose similarities overlap within `epsilon`.

    Nothing is kept for a row without positives or without negatives, or whose positives
    are all more similar than its negatives by at least `epsilon`.
    """
    least = similarity.masked_fill(~positive, torch.inf).amin(dim=1, keepdim=True)
    most = similarity.masked_fill(~negative, -torch.inf).amax(dim=1, keepdim=True)
    return positive & (similarity - epsilon < most), negative & (
        similarity + epsilon > least
    )


class MultiSimilarityLoss(LossSpec):
    """Multi-similarity loss: mines informative pairs and weights them by similarity.

    Prefer it for retrieval: its mining drops pairs that are already solved, and its
    weights emphasize the hardest of the others.

    With cosine similarities s of an anchor to its positives p and negatives n, the loss
    of the anchor is::

        log(1 + sum_p exp(-alpha (s_p - base))) / alpha
        + log(1 + sum_n exp(beta (s_n - base))) / beta

    The loss of a batch is the mean over the anchors that have a pair left after mining.
    The paper divides by the number of all rows instead, so that steps shrink as more
    anchors are solved. Embeddings are normalized first.

    Parameters
    ----------
    alpha : float, default=2.0
        Higher values give the least similar positives more weight.
    beta : float, default=50.0
        Higher values give the most similar negatives more weight.
    base : float, default=0.5
        Similarity that positives should exceed and negatives should not; from -1 to 1.
    mining : {"multi_similarity", "all"}, default="multi_similarity"
        "multi_similarity" keeps, for each anchor, the negatives that are more similar
        than its least similar positive minus `epsilon`, and the positives that are less
        similar than its most similar negative plus `epsilon`; "all" keeps every pair.
    epsilon : float, default=0.1
        Margin of the mining.

    See Also
    --------
    CircleLoss : weights each pair by its own similarity only.
    SupConLoss : has a single parameter.

    References
    ----------
    Wang, Han, Huang, Dong & Scott, "Multi-Similarity Loss with General Pair Weighting
    for Deep Metric Learning", CVPR 2019.

    Examples
    --------
    The loss of anchors 0 and 1 is log(1 + 1) + log(1 + 1).

    >>> import torch
    >>> loss = MultiSimilarityLoss(alpha=1.0, beta=1.0, base=1.0)
    >>> module = loss.build(n_classes=2, n_components=2)
    >>> module(torch.ones(3, 2), torch.tensor([0, 0, 1]))
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
