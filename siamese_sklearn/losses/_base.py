"""What all losses share: the cloneable spec, the module that training calls, and the reduction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from siamese_sklearn._checks import check_option
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
        return check_option(
            f"{type(self).__name__}.{name}", getattr(self, name), options
        )


class EmbeddingLoss(nn.Module, ABC):
    """A loss on the embeddings of a batch and its labels.

    It is computed in float32 or wider, under autocast too, is zero (with a gradient of zero) for a batch that
    holds no valid pair or triplet, and not finite if an embedding is not.

    Parameters
    ----------
    distance : str or Distance
        The distance between embeddings that the loss shapes.

    Attributes
    ----------
    distance : Distance
    n_active : Tensor of shape ()
        How many terms the mean of the last call was taken over: pairs, triplets or rows, and of some losses
        only those that cost something.
    lr : float or None
        Learning rate of the loss's own weights; None for a loss without weights.
    """

    lr: float | None = None

    def __init__(self, distance: str | Distance) -> None:
        super().__init__()
        self.distance = as_distance(distance)
        self.n_active = torch.zeros(())

    def forward(
        self, embeddings: Tensor | tuple[Tensor, ...], labels: Tensor | None = None
    ) -> Tensor:
        """Loss of the batch.

        Parameters
        ----------
        embeddings : Tensor of shape (B, d), tuple of two or three of them, or Tensor of shape (B,)
            Of rows; or, for a `TupleLoss`, of the sides of given pairs (left, right) or triplets (anchor,
            positive, negative). Numbers without a second axis are the logits of pairs, for a loss on logits.
        labels : Tensor of shape (B,)
            The classes of rows, as integers; of pairs 1 where both sides are of one class, else 0; ignored
            for triplets.

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
                    f"{type(self).__name__} needs `labels` of rows and of pairs; got None."
                )
            if len(sides) == 2:
                return self._from_pairs(*sides, labels.bool())
            if sides[0].ndim == 1:
                return self._from_logits(sides[0], labels.bool())
            # Mining and masks can hide what is not finite; the second term shows it.
            return self._from_labels(sides[0], labels) + 0.0 * sides[0].detach().sum()

    @abstractmethod
    def _from_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor: ...

    def _from_logits(self, logits: Tensor, same: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} takes embeddings, not logits.")

    def _from_pairs(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} takes the labels of rows, not pairs.")

    def _from_triplets(
        self, anchor: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor:
        raise TypeError(
            f"{type(self).__name__} takes the labels of rows, not triplets."
        )


class TupleLoss(EmbeddingLoss):
    """A loss on pairs or triplets: it makes those of a batch out of its labels, and takes given ones."""

    @abstractmethod
    def _from_pairs(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor: ...

    @abstractmethod
    def _from_triplets(
        self, anchor: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor: ...


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
