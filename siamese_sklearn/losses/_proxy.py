"""Losses with one learned vector per class, which rows are compared with instead of with each other."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from siamese_sklearn._checks import check_number
from siamese_sklearn.distances import normalize
from siamese_sklearn.losses._base import EmbeddingLoss, LossSpec
from siamese_sklearn.losses._batch import masked_logsumexp
from siamese_sklearn.mining import has_any

__all__ = ["ProxyAnchorLoss", "ProxyModule", "ProxySpec", "proxy_anchor"]


def proxy_anchor(cosine: Tensor, own: Tensor, margin: float, alpha: float) -> Tensor:
    """Proxy anchor loss of a batch (Kim et al. 2020).

    Parameters
    ----------
    cosine : Tensor of shape (n_classes, B)
        Of every proxy with every row.
    own : bool Tensor of shape (n_classes, B)
        Whether the row is of the proxy's class.
    margin, alpha : float

    Returns
    -------
    Tensor of shape ()
        The mean over the proxies with rows of log(1 + sum_own exp(-alpha (cos - margin))), plus the mean over
        all proxies of log(1 + sum_others exp(alpha (cos + margin))).

    Examples
    --------
    >>> import torch
    >>> proxy_anchor(torch.zeros(2, 1), torch.tensor([[True], [False]]), margin=0.0, alpha=1.0)
    tensor(1.0397)
    """
    pull = masked_logsumexp(-alpha * (cosine - margin), own)
    push = masked_logsumexp(alpha * (cosine + margin), ~own)
    zero = cosine.new_zeros(
        ()
    )  # log(1 + exp(x)) = logaddexp(x, 0), which is 0 for a proxy without terms
    n_present = has_any(own).sum()
    return (
        torch.logaddexp(pull, zero).sum() / n_present
        + torch.logaddexp(push, zero).mean()
    )


class ProxyModule(EmbeddingLoss):
    """A loss on the cosines between rows and proxies, one learned proxy for each class.

    The proxies stay in float32; it is their copies that are computed with in the type of the embeddings.
    """

    def __init__(self, n_classes: int, n_components: int, lr: float) -> None:
        super().__init__("cosine")
        self.lr = lr
        self.proxies = nn.Parameter(
            normalize(torch.randn(n_classes, n_components, dtype=torch.float32))
        )

    @abstractmethod
    def formula(self, unit: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch, from embeddings (B, d) and proxies (n_classes, d) of unit norm."""

    def _from_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        _check_labels(labels, len(self.proxies))
        self.n_active = torch.tensor(len(labels))
        proxies = self.proxies.to(embeddings.dtype)
        return self.formula(normalize(embeddings), normalize(proxies), labels.long())


def _check_labels(labels: Tensor, n_classes: int) -> None:
    lowest, highest = torch.stack(labels.aminmax()).tolist()
    if lowest < 0 or highest >= n_classes:
        raise ValueError(
            f"`labels` must be from 0 to {n_classes - 1}, since this loss learns one vector for each of the "
            f"{n_classes} classes that it was built for; got {lowest if lowest < 0 else highest}. Name the "
            "classes that come later in the first call, partial_fit(X, y, classes=...), or fit a new model."
        )


class _ProxyAnchorModule(ProxyModule):
    def __init__(
        self, n_classes: int, n_components: int, lr: float, margin: float, alpha: float
    ) -> None:
        super().__init__(n_classes, n_components, lr)
        self.margin = margin
        self.alpha = alpha

    def formula(self, unit: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        own = (
            torch.arange(len(proxies), device=labels.device)[:, None] == labels
        )  # (n_classes, B)
        return proxy_anchor(proxies @ unit.T, own, self.margin, self.alpha)


class ProxySpec(LossSpec):
    """What the specs of losses with proxies share."""

    weights_lr: float

    def _positive(self, name: str) -> float:
        """Value of a parameter that is above zero, checked."""
        return check_number(
            f"{type(self).__name__}.{name}", getattr(self, name), low=0, low_open=True
        )


class ProxyAnchorLoss(ProxySpec):
    """Proxy anchor loss: the proxy of each class pulls the rows of its class and pushes all others.

    With s the cosines between a proxy and the rows of a batch, a proxy whose class is in the batch costs
    log(1 + sum_p exp(-alpha (s_p - margin))) for its rows p, averaged over these proxies; every proxy costs
    log(1 + sum_n exp(alpha (s_n + margin))) for the rows n of other classes, averaged over all proxies.
    The proxies, one for each class, are learned with the network.

    Take it for retrieval among few to some hundreds of classes, and of classes not seen in training: it has
    the speed of a classifier, but hard rows weigh more than easy ones, as in losses on pairs.

    Parameters
    ----------
    margin : float, default=0.1
        Rows of a proxy's class shall have a cosine above `margin`, all others one below -`margin`; from 0 to
        1.
    alpha : float, default=16.0
        How much the hardest rows outweigh the others. The paper takes 32; on small data less learns faster.
    weights_lr : float, default=0.05
        Learning rate of the proxies, absolute, apart from the estimator's `lr`. It is 100 times that one's
        default, the ratio of the paper.

    See Also
    --------
    ProxyNCALoss : each row has a softmax of its own.
    MultiSimilarityLoss : such sums over pairs of rows, without proxies.

    References
    ----------
    Kim, Kim, Cho & Kwak, "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020.

    Examples
    --------
    >>> import torch
    >>> module = ProxyAnchorLoss(margin=0.0, alpha=1.0).build(n_classes=2, n_components=2)
    >>> module.proxies.data = torch.eye(2)
    >>> module(torch.tensor([[3.0, 0.0]]), torch.tensor([0])).detach()  # log(1 + 1 / e) + log(2) / 2
    tensor(0.6598)
    """

    def __init__(
        self, margin: float = 0.1, *, alpha: float = 16.0, weights_lr: float = 0.05
    ) -> None:
        self.margin = margin
        self.alpha = alpha
        self.weights_lr = weights_lr

    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        margin = check_number("ProxyAnchorLoss.margin", self.margin, low=0, high=1)
        alpha, lr = self._positive("alpha"), self._positive("weights_lr")
        return _ProxyAnchorModule(n_classes, n_components, lr, margin, alpha)
