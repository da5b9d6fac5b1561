"""The data that one call of fit trains on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from torch import Tensor, nn

from siamese_sklearn._estimators.axes import is_picture
from siamese_sklearn._typing import Array, IntArray
from siamese_sklearn.augmentation import ImageAugmenter
from siamese_sklearn.losses import LOSSES, LogitLoss, TupleLoss
from siamese_sklearn.losses._resolve import LossLike
from siamese_sklearn.sampling import (
    Batches,
    PairedBatches,
    SamplerLike,
    ShuffledBatches,
    make_batches,
)
from siamese_sklearn.towers._resolve import is_cnn

__all__ = ["Kind", "TrainingData", "augmenter", "batches_of", "check_loss"]

Kind: TypeAlias = Literal["rows", "pairs", "triplets"]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Validated data of one call of fit.

    Attributes
    ----------
    kind : {"rows", "pairs", "triplets"}
    sides : tuple of arrays
        The rows, or the sides of the pairs or triplets; each has n rows.
    target : array of shape (n,)
        Class numbers for rows, 1 (same) or 0 (different) for pairs, zeros for triplets.
    classes : array of shape (n_classes,)
        Names of the classes; None unless `kind` is "rows".
    """

    kind: Kind
    sides: tuple[Any, ...]
    target: IntArray
    classes: Array | None = None

    def take(self, index: IntArray) -> TrainingData:
        """Return the rows in `index` only."""
        return replace(
            self,
            sides=tuple(side[index] for side in self.sides),
            target=self.target[index],
        )


def augmenter(
    augment: Callable[[Tensor], Tensor] | str | None, tower: Any, data: TrainingData
) -> Callable[[Tensor], Tensor] | None:
    """Resolve the parameter `augment`: "auto" augments images for the built-in CNN.

    Parameters
    ----------
    augment : callable, str or None
    tower : tower or tuple of towers
    data : TrainingData

    Returns
    -------
    callable or None
    """
    if not isinstance(augment, str):
        return augment
    towers = tower if isinstance(tower, tuple) else (tower,)
    shape = data.sides[0].shape[1:]
    are_images = all(is_cnn(each, shape) for each in towers) and is_picture(shape)
    return ImageAugmenter() if data.kind == "rows" and are_images else None


def batches_of(
    data: TrainingData,
    kept: IntArray,
    batch_size: int,
    sampler: SamplerLike | None,
    architecture: str,
) -> Batches:
    """Make the batches of a training.

    Parameters
    ----------
    data : TrainingData
    kept : array of int
        The rows to train on.
    batch_size : int
    sampler : callable or None
        Of the user, for rows.
    architecture : str
    """
    if data.kind != "rows":
        return ShuffledBatches(len(kept), batch_size)
    labels = data.target[kept]
    batches = make_batches(sampler, labels, batch_size)
    if architecture == "two_channel":
        return PairedBatches(labels, batch_size, batches)
    return batches


def check_loss(
    loss: nn.Module, given: LossLike, data: TrainingData, architecture: str
) -> None:
    """Raise if a loss cannot be used with the data or the architecture.

    Parameters
    ----------
    loss : nn.Module
        Built from `given`.
    given : str, LossSpec, nn.Module or tuple
        The parameter `loss`, which the error names.
    data : TrainingData
    architecture : str

    Raises
    ------
    ValueError, TypeError
        If the architecture returns logits, or the data have no classes, and the loss
        does not take that.
    """
    if architecture == "two_channel" and not isinstance(loss, LogitLoss):
        able = ", ".join(
            repr(name) for name, spec in LOSSES.items() if spec.takes_logits
        )
        got = repr(given) if isinstance(given, str) else type(given).__name__
        raise ValueError(
            "architecture='two_channel' returns logits, not embeddings, but "
            f"`loss`={got} needs embeddings; use one of {able}."
        )
    if data.kind != "rows" and not isinstance(loss, TupleLoss):
        able = ", ".join(
            repr(name) for name, spec in LOSSES.items() if spec.takes_tuples
        )
        got = repr(given) if isinstance(given, str) else f"a {type(given).__name__}"
        raise TypeError(
            f"`loss` is {got}, which takes (embeddings, labels), but Pairs and "
            f"Triplets have no class labels. Use one of {able}, or fit on rows and "
            "their classes."
        )
