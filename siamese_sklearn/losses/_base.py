"""What all losses share: the spec, the module that training calls, the reduction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from siamese_sklearn._checks import check_option
from siamese_sklearn._documentation import DocumentationLink
from siamese_sklearn.distances import (
    DISTANCES,
    Distance,
    as_distance,
    at_least_float32,
)

__all__ = ["UNSQUARED", "EmbeddingLoss", "LossSpec", "TupleLoss", "mean_or_zero"]

# The names of all distances that are not squares of others.
UNSQUARED = tuple(
    name for name, distance in DISTANCES.items() if distance.unsquared == distance
)


class LossSpec(DocumentationLink, BaseEstimator, ABC):
    """Parameters of a loss, as a scikit-learn estimator that can be cloned.

    `build` checks the parameters and returns the ``nn.Module`` that computes the loss.
    A subclass lists the values that its parameters `distance` and `mining` accept in
    `distances` and `minings`; these are empty for a loss without such a parameter.
    `takes_tuples` says that the module is a `TupleLoss`, which also accepts given pairs
    and triplets. `takes_logits` says that the module also accepts logits, for networks
    that output logits instead of embeddings.
    """

    distances: ClassVar[tuple[str, ...]] = ()
    minings: ClassVar[tuple[str, ...]] = ()
    takes_tuples: ClassVar[bool] = False
    takes_logits: ClassVar[bool] = False

    @abstractmethod
    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        """Build the module that training calls as ``module(embeddings, labels)``.

        Parameters
        ----------
        n_classes : int
            Number of classes; the labels are 0, ..., n_classes - 1.
        n_components : int
            Width of the embeddings.

        Returns
        -------
        EmbeddingLoss

        Raises
        ------
        ValueError, TypeError
            If a parameter has a value that the loss does not accept.
        """

    def _option(self, name: str, options: tuple[str, ...]) -> str:
        """Return the value of a string parameter, after checking it."""
        return check_option(
            f"{type(self).__name__}.{name}", getattr(self, name), options
        )


class EmbeddingLoss(nn.Module, ABC):
    """A loss on the embeddings of a batch and their labels.

    The loss is computed in float32 or wider, also under autocast. It is zero, with a
    gradient of zero, for a batch without a valid pair or triplet, and not finite if an
    embedding is not finite.

    Parameters
    ----------
    distance : str or Distance
        Distance between embeddings that the loss optimizes.

    Attributes
    ----------
    distance : Distance
    n_active : Tensor of shape ()
        Number of terms (pairs, triplets or rows) in the mean of the last call. Some
        losses count only the terms above zero.
    lr : float or None
        Learning rate of the weights of the loss; None for a loss without weights.
    """

    lr: float | None = None

    def __init__(self, distance: str | Distance) -> None:
        super().__init__()
        self.distance = as_distance(distance)
        self.n_active = torch.zeros(())

    def forward(
        self, embeddings: Tensor | tuple[Tensor, ...], labels: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        embeddings : Tensor or tuple of Tensor
            Embeddings of rows, of shape (B, d). A `TupleLoss` also accepts given pairs,
            as a tuple (left, right), and triplets, as a tuple (anchor, positive,
            negative), of Tensors of shape (B, d). A loss on logits also accepts the
            logits of pairs, of shape (B,).
        labels : Tensor of shape (B,), default=None
            For rows, the classes as integers. For pairs, 1 if both sides belong to the
            same class, else 0. Ignored for triplets.

        Returns
        -------
        Tensor of shape ()
        """
        sides = embeddings if isinstance(embeddings, tuple) else (embeddings,)
        device = sides[0].device
        if not len(sides[0]):
            self.n_active = torch.zeros((), dtype=torch.long, device=device)
            return sides[0].sum()
        with torch.autocast(device.type, enabled=False):
            sides = tuple(map(at_least_float32, sides))
            if len(sides) == 3:
                return self._from_triplets(*sides)
            if labels is None:
                raise TypeError(
                    "`labels` must be given for rows and pairs; got None. Only "
                    "triplets do not need labels."
                )
            if len(sides) == 2:
                return self._from_pairs(*sides, labels.bool())
            if sides[0].ndim == 1:
                return self._from_logits(sides[0], labels.bool())
            # Mining and masks can hide a value that is not finite; the second term
            # exposes it.
            return self._from_labels(sides[0], labels) + 0.0 * sides[0].detach().sum()

    @abstractmethod
    def _from_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor: ...

    def _from_logits(self, logits: Tensor, same: Tensor) -> Tensor:
        raise TypeError(
            "`embeddings` must have shape (B, d) for this loss; got logits of shape "
            f"{tuple(logits.shape)}. Use BinaryCrossEntropyLoss or HingeLoss."
        )

    def _from_pairs(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor:
        raise TypeError(
            "`embeddings` must be a single Tensor for this loss, which learns from "
            "the class labels of rows; got a pair of Tensors. Use a loss that "
            "accepts given pairs, such as ContrastiveLoss."
        )

    def _from_triplets(
        self, anchor: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor:
        raise TypeError(
            "`embeddings` must be a single Tensor for this loss, which learns from "
            "the class labels of rows; got a triplet of Tensors. Use a loss that "
            "accepts given triplets, such as TripletLoss."
        )


class TupleLoss(EmbeddingLoss):
    """A loss on pairs or triplets, either given or formed from labels."""

    @abstractmethod
    def _from_pairs(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor: ...

    @abstractmethod
    def _from_triplets(
        self, anchor: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor: ...


def mean_or_zero(total: Tensor, count: Tensor) -> Tensor:
    """Return ``total / count``, or zero with a gradient path if `count` is zero.

    Parameters
    ----------
    total : Tensor
    count : Tensor of shape ()

    Returns
    -------
    Tensor, of the shape of `total`
    """
    return total / count.clamp(min=1)
