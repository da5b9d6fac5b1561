"""Losses that pick an anchor's positives out of other rows: SupCon and N-pair."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from siamese_sklearn._checks import check_number
from siamese_sklearn.losses._base import EmbeddingLoss, LossSpec
from siamese_sklearn.losses._batch import BatchModule, cosines, masked_logsumexp
from siamese_sklearn.mining import has_any

__all__ = ["NPairsLoss", "SupConLoss"]


class _NPairsModule(BatchModule):
    def __init__(self, temperature: float) -> None:
        super().__init__("cosine")
        self.temperature = temperature

    def terms(
        self, embeddings: Tensor, positive: Tensor, negative: Tensor
    ) -> tuple[Tensor, Tensor]:
        product = embeddings / self.temperature @ embeddings.T  # (B, B)
        others = masked_logsumexp(product, negative)
        anchor, near = positive.nonzero(as_tuple=True)
        return softplus(others[anchor] - product[anchor, near]), has_any(negative)[
            anchor
        ]


class _SupConModule(BatchModule):
    def __init__(self, temperature: float) -> None:
        super().__init__("cosine")
        self.temperature = temperature

    def terms(
        self, embeddings: Tensor, positive: Tensor, negative: Tensor
    ) -> tuple[Tensor, Tensor]:
        logit = cosines(embeddings) / self.temperature  # (B, B)
        n_positives = positive.sum(1)
        pull = (logit * positive).sum(1) / n_positives.clamp(min=1)
        return masked_logsumexp(logit, positive | negative) - pull, n_positives > 0


class NPairsLoss(LossSpec):
    """Multi-class N-pair loss: picks each positive out of the rows of other classes.

    Prefer it when there are many classes with few rows each. Unlike in `SupConLoss`,
    the positives of an anchor do not compete with each other. The loss does not
    normalize embeddings, as in the paper.

    The loss of an anchor and a positive p is log(1 + sum_n exp(s_n - s_p)), with s the
    dot products of the anchor with p and with the rows n of all other classes, divided
    by `temperature`. The loss of a batch is the mean over its ordered positive pairs.
    Losses of this form are also known as InfoNCE and NT-Xent.

    In the paper, a batch has one pair of each class, and an anchor is compared only
    with the positives of the other classes. Here, every positive pair of a batch is
    compared with every row of the other classes; no row is skipped or drawn at random.

    Parameters
    ----------
    temperature : float, default=1.0
        1 gives the loss of the paper, for embeddings whose length is learned
        (``normalize=False``). On the unit sphere, where dot products differ by at most
        2, about 0.1 separates better.

    See Also
    --------
    SupConLoss : the positives of an anchor also compete with each other.

    References
    ----------
    Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective",
    NeurIPS 2016.

    Examples
    --------
    The loss of both positive pairs is log(1 + exp(0 - 1)).

    >>> import torch
    >>> module = NPairsLoss().build(n_classes=2, n_components=2)
    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> module(rows, torch.tensor([0, 0, 1]))
    tensor(0.3133)
    """

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        return _NPairsModule(
            check_number(
                "NPairsLoss.temperature", self.temperature, low=0, low_open=True
            )
        )


class SupConLoss(LossSpec):
    """Supervised contrastive loss: picks an anchor's class out of all other rows.

    Prefer it when one embedding must serve many tasks: it has a single parameter, needs
    no mining and benefits from large batches. It keeps pulling each class into a single
    point; if a class has several modes, ``TripletLoss(mining="easy_positive")``
    preserves them.

    With cosine similarities s of an anchor to the other rows, divided by `temperature`,
    the loss of the anchor is the mean over its positives p of
    -log(exp(s_p) / sum_a exp(s_a)), where a runs over all other rows, including those
    of its own class. The loss of a batch is the mean over the anchors that have a
    positive. Embeddings are normalized first.

    Parameters
    ----------
    temperature : float, default=0.1
        Lower values give the most similar rows more weight.

    See Also
    --------
    NPairsLoss : leaves the other positives out of the sum.
    MultiSimilarityLoss : mines pairs before it weights them.

    References
    ----------
    Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu & Krishnan, "Supervised
    Contrastive Learning", NeurIPS 2020.

    Examples
    --------
    The loss of anchors 0 and 1 is log(e + 1) - 1.

    >>> import torch
    >>> module = SupConLoss(temperature=1.0).build(n_classes=2, n_components=2)
    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> module(rows, torch.tensor([0, 0, 1]))
    tensor(0.3133)
    """

    def __init__(self, temperature: float = 0.1) -> None:
        self.temperature = temperature

    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        return _SupConModule(
            check_number(
                "SupConLoss.temperature", self.temperature, low=0, low_open=True
            )
        )
