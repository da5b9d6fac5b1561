"""Losses that have an anchor tell its positives from all other rows: supervised contrastive, N-pairs."""

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
    """Multi-class N-pair loss: an anchor has to tell each positive from all rows of other classes.

    An anchor and a positive p cost log(1 + sum_n exp(s_n - s_p)), with s the dot products of the anchor with
    its positive and with the rows n of all other classes, divided by `temperature`. The loss of a batch is
    the mean over its ordered positive pairs. Such a loss is also known as InfoNCE or NT-Xent.

    Sohn's batch has one pair of each class, and an anchor meets the positives of the other classes only. Here
    every positive pair of a batch has its turn, against every row of the other classes: no row is passed over
    and none is drawn at random.

    Take it where classes are many and have few rows each. Embeddings are not normalised here, as in the
    paper.

    Parameters
    ----------
    temperature : float, default=1.0
        1 is the paper's loss, for embeddings that find their length (``normalize=False``). On the unit
        sphere, where dot products differ by at most 2, about 0.1 separates better.

    See Also
    --------
    SupConLoss : sets the positives of an anchor against each other as well.

    References
    ----------
    Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", NeurIPS 2016.

    Examples
    --------
    >>> import torch
    >>> module = NPairsLoss().build(n_classes=2, n_components=2)
    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> module(rows, torch.tensor([0, 0, 1]))  # log(1 + exp(0 - 1)), twice
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
    """Supervised contrastive loss: the rows of an anchor's class shall be the likeliest among all others.

    With s the cosine similarities of an anchor to the other rows, divided by `temperature`, an anchor costs
    the mean over its positives p of -log(exp(s_p) / sum_a exp(s_a)), where a runs over all other rows, of its
    own class too. The loss of a batch is the mean over the anchors that have a positive. Embeddings are
    normalised first.

    Take it when an embedding shall serve many uses: it has one parameter, needs no mining and gains from
    large batches. It goes on pulling a class into one point; where a class has several looks, `TripletLoss`
    with ``mining="easy_positive"`` lets it keep them.

    Parameters
    ----------
    temperature : float, default=0.1
        The lower, the more the most similar rows weigh.

    See Also
    --------
    NPairsLoss : leaves the other positives out of the sum.
    MultiSimilarityLoss : mines the pairs that it weighs.

    References
    ----------
    Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu & Krishnan, "Supervised Contrastive Learning",
    NeurIPS 2020.

    Examples
    --------
    >>> import torch
    >>> module = SupConLoss(temperature=1.0).build(n_classes=2, n_components=2)
    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> module(rows, torch.tensor([0, 0, 1]))  # log(e + 1) - 1 for anchors 0 and 1
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
