"""Losses that compare rows with one learned vector per class, not with each other."""

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
        Cosines between every proxy and every row.
    own : bool Tensor of shape (n_classes, B)
        Whether the row belongs to the proxy's class.
    margin, alpha : float

    Returns
    -------
    Tensor of shape ()
        The mean of log(1 + sum_own exp(-alpha (cos - margin))) over the proxies that
        have rows, plus the mean of log(1 + sum_others exp(alpha (cos + margin))) over
        all proxies.

    Examples
    --------
    >>> import torch
    >>> own = torch.tensor([[True], [False]])
    >>> proxy_anchor(torch.zeros(2, 1), own, margin=0.0, alpha=1.0)
    tensor(1.0397)
    """
    pull = masked_logsumexp(-alpha * (cosine - margin), own)
    push = masked_logsumexp(alpha * (cosine + margin), ~own)
    # log(1 + exp(x)) = logaddexp(x, 0), which is 0 for a proxy without terms.
    zero = cosine.new_zeros(())
    n_present = has_any(own).sum()
    return (
        torch.logaddexp(pull, zero).sum() / n_present
        + torch.logaddexp(push, zero).mean()
    )


class ProxyModule(EmbeddingLoss):
    """A loss on the cosines between rows and learned proxies, one proxy per class.

    The proxies are stored in float32; the loss is computed with copies in the dtype of
    the embeddings.
    """

    def __init__(self, n_classes: int, n_components: int, lr: float) -> None:
        super().__init__("cosine")
        self.lr = lr
        self.proxies = nn.Parameter(
            normalize(torch.randn(n_classes, n_components, dtype=torch.float32))
        )

    @abstractmethod
    def formula(self, unit: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        """Loss of unit-norm embeddings (B, d) and unit-norm proxies (n_classes, d)."""

    def _from_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        _check_labels(labels, len(self.proxies))
        self.n_active = torch.tensor(len(labels))
        proxies = self.proxies.to(embeddings.dtype)
        return self.formula(normalize(embeddings), normalize(proxies), labels.long())


def _check_labels(labels: Tensor, n_classes: int) -> None:
    lowest, highest = torch.stack(labels.aminmax()).tolist()
    if lowest < 0 or highest >= n_classes:
        raise ValueError(
            f"`labels` must be from 0 to {n_classes - 1}, because this loss learns one "
            f"vector for each of the {n_classes} classes it was built for; got "
            f"{lowest if lowest < 0 else highest}. Pass all classes to the first call, "
            "partial_fit(X, y, classes=...), or fit a new model."
        )


class _ProxyAnchorModule(ProxyModule):
    def __init__(
        self, n_classes: int, n_components: int, lr: float, margin: float, alpha: float
    ) -> None:
        super().__init__(n_classes, n_components, lr)
        self.margin = margin
        self.alpha = alpha

    def formula(self, unit: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        # (n_classes, B)
        own = torch.arange(len(proxies), device=labels.device)[:, None] == labels
        return proxy_anchor(proxies @ unit.T, own, self.margin, self.alpha)


class ProxySpec(LossSpec):
    """What the specs of all losses with proxies share."""

    weights_lr: float

    def _positive(self, name: str) -> float:
        """Return the value of a parameter, after checking that it is above zero."""
        return check_number(
            f"{type(self).__name__}.{name}", getattr(self, name), low=0, low_open=True
        )


class ProxyAnchorLoss(ProxySpec):
    """Proxy anchor loss: each proxy pulls the rows of its class and pushes others.

    Prefer it for retrieval with up to a few hundred classes, and for classes not seen
    in training: it learns as fast as a classifier, but hard rows get more weight than
    easy ones, as in losses on pairs.

    There is one proxy per class, and the proxies are learned together with the network.
    With cosines s between a proxy and the rows of a batch, the loss is the mean of
    log(1 + sum_p exp(-alpha (s_p - margin))), with p the rows of the proxy's class,
    over the proxies whose class is in the batch, plus the mean of
    log(1 + sum_n exp(alpha (s_n + margin))), with n the rows of other classes, over all
    proxies.

    Parameters
    ----------
    margin : float, default=0.1
        The cosine of a proxy with the rows of its class should be above `margin`, and
        with all other rows below minus `margin`; from 0 to 1.
    alpha : float, default=16.0
        Higher values give the hardest rows more weight. The paper uses 32; on small
        data, lower values learn faster.
    weights_lr : float, default=0.05
        Learning rate of the proxies, independent of the estimator's `lr`. The default
        is 50 times the default of `lr`; the paper has 100 times.

    See Also
    --------
    ProxyNCALoss : a softmax over the proxies for each row.
    MultiSimilarityLoss : similar sums over pairs of rows, without proxies.

    References
    ----------
    Kim, Kim, Cho & Kwak, "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020.

    Examples
    --------
    The loss is log(1 + exp(-1)) + log(2) / 2.

    >>> import torch
    >>> loss = ProxyAnchorLoss(margin=0.0, alpha=1.0)
    >>> module = loss.build(n_classes=2, n_components=2)
    >>> module.proxies.data = torch.eye(2)
    >>> module(torch.tensor([[3.0, 0.0]]), torch.tensor([0])).detach()
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
