"""What all losses share: the cloneable spec, the module that training calls, and the reduction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from siamese_sklearn._checks import check_option
from siamese_sklearn.distances import DISTANCES, at_least_float32

__all__ = ["EmbeddingLoss", "LossSpec", "TupleLoss", "mean_or_zero"]


class LossSpec(BaseEstimator, ABC):
    """The parameters of a loss, in scikit-learn's manner (``clone``, ``get_params``, ``set_params``).

    `build` checks the parameters and makes the ``nn.Module``. A subclass names the values that its parameters
    take in `distances` and `minings`; both are empty for a loss that has no such parameter. `takes_tuples`
    says that it builds a `TupleLoss`, which takes given pairs and triplets too, `takes_logits` that it builds
    one with ``from_logits``, for networks that give logits.
    """

    distances: ClassVar[tuple[str, ...]] = ()
    minings: ClassVar[tuple[str, ...]] = ()
    takes_tuples: ClassVar[bool] = False
    takes_logits: ClassVar[bool] = False

    @abstractmethod
    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        """Make the module that training calls as ``module(embeddings, labels)``.

        Parameters
        ----------
        n_classes : int
            How many classes the labels 0 .. n_classes - 1 name.
        n_components : int
            Number of columns of the embeddings.

        Returns
        -------
        EmbeddingLoss

        Raises
        ------
        ValueError, TypeError
            If a parameter has a value that the loss cannot take.
        """

    def _option(self, name: str, options: tuple[str, ...]) -> str:
        """Value of a string parameter, checked."""
        return check_option(f"{type(self).__name__}.{name}", getattr(self, name), options)


class EmbeddingLoss(nn.Module, ABC):
    """A loss on the embeddings of a batch and its labels.

    It is computed in float32 or wider, under autocast too, is zero (with a gradient of zero) for a batch that
    holds no valid pair or triplet, and not finite if an embedding is not.

    Parameters
    ----------
    distance : {"euclidean", "sqeuclidean", "manhattan", "cosine"}
        The distance between embeddings that the loss shapes.

    Attributes
    ----------
    n_active : Tensor of shape ()
        How many terms the mean of the last call was taken over: pairs, triplets or rows, and of some losses
        only those that cost something.
    lr : float or None
        Learning rate of the loss's own weights; None for a loss without weights.
    """

    lr: float | None = None

    def __init__(self, distance: str) -> None:
        super().__init__()
        self.distance = check_option("distance", distance, DISTANCES)
        self.n_active = torch.zeros(())

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of the batch.

        Parameters
        ----------
        embeddings : Tensor of shape (B, d)
        labels : Tensor of shape (B,)
            The classes, as integers.

        Returns
        -------
        Tensor of shape ()
        """
        if not len(embeddings):
            self.n_active = torch.zeros((), dtype=torch.long, device=embeddings.device)
            return embeddings.sum()
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = at_least_float32(embeddings)
            # Mining and masks can hide what is not finite; this shows it.
            return self._from_labels(embeddings, labels) + 0.0 * embeddings.detach().sum()

    @abstractmethod
    def _from_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor: ...


class TupleLoss(EmbeddingLoss):
    """A loss on pairs or triplets.

    ``module(embeddings, labels)`` makes the pairs or triplets of the batch; `forward_pairs` and
    `forward_triplets` take ones that are given.
    """

    def forward_pairs(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor:
        """Loss of given pairs.

        Parameters
        ----------
        left, right : Tensor of shape (B, d)
        same : Tensor of shape (B,)
            1 where both rows are of one class, else 0.

        Returns
        -------
        Tensor of shape ()
        """
        with torch.autocast(left.device.type, enabled=False):
            return self._from_pairs(at_least_float32(left), at_least_float32(right), same.bool())

    def forward_triplets(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Loss of given triplets.

        Parameters
        ----------
        anchor, positive, negative : Tensor of shape (B, d)
            Row i of `positive` is of the class of row i of `anchor`, row i of `negative` is not.

        Returns
        -------
        Tensor of shape ()
        """
        with torch.autocast(anchor.device.type, enabled=False):
            return self._from_triplets(*(at_least_float32(side) for side in (anchor, positive, negative)))

    @abstractmethod
    def _from_pairs(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor: ...

    @abstractmethod
    def _from_triplets(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor: ...


def mean_or_zero(total: Tensor, count: Tensor) -> Tensor:
    """`total / count`, or zero with a gradient path where nothing was counted.

    Parameters
    ----------
    total : Tensor
    count : Tensor of shape ()

    Returns
    -------
    Tensor, of the shape of `total`
    """
    return total / count.clamp(min=1)
