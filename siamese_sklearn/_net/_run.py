"""One training run: the data, the batches, and the score to watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from siamese_sklearn._net._rows import Batch, Rows
from siamese_sklearn.sampling import Batches

__all__ = ["BatchIterator", "TrainingRun", "Watch"]


@dataclass
class Watch:
    """Score to watch, and when to stop.

    Attributes
    ----------
    measure : callable
        Takes the skorch net and returns the score; higher is better.
    patience : int
        Number of epochs without improvement after which training stops.
    """

    measure: Callable[[Any], float]
    patience: int


@dataclass
class TrainingRun(Dataset[Any]):
    """The dataset that one call of `fit` or `partial_fit` passes to skorch.

    It holds everything that belongs to the call rather than to the model, so that the
    fitted net keeps no data.
    """

    rows: Rows
    target: Tensor  # (n,): labels of rows, `same` of pairs, or zeros for triplets
    kept: npt.NDArray[np.int64]  # rows to train on; `batches` yields indices into it
    batches: Batches
    rng: np.random.Generator
    n_epochs: int
    augment: Callable[[Tensor], Tensor] | None = None
    averaging: float = 0.0  # decay of the moving average of the weights
    schedule: Callable[[int, int], float] | None = None  # None: as the rates are
    n_towers: int = 1  # that embed each row
    watch: Watch | None = None
    verbose: int = 0
    # what training notes
    n_epochs_before: int = 0  # in the history
    was_stopped: bool = False
    interrupt: KeyboardInterrupt | None = None  # by Ctrl-C, not by a callback

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def n_steps(self) -> int:
        """Steps of the optimizer in all epochs."""
        return self.n_epochs * self.batches.n_batches

    def epoch(self) -> Iterator[tuple[Batch, Tensor]]:
        """Yield (batch, target) for one epoch."""
        for positions in self.batches.epoch(self.rng):
            index = self.kept[positions]
            batch = self._batch(index)
            if self.augment is not None:
                sides = batch if isinstance(batch, tuple) else (batch,)
                sides = tuple(
                    _check_augmented(self.augment(side), side) for side in sides
                )
                batch = sides if isinstance(batch, tuple) else sides[0]
            target = self.target[torch.from_numpy(index).to(self.target.device)]
            yield (
                batch,
                target.repeat(self.n_towers)
                if index.ndim == 1
                else (target[0] == target[1]).long(),
            )

    def _batch(self, index: npt.NDArray[np.int64]) -> Batch:
        if index.ndim == 1:
            return self.rows.take(index)
        return tuple(self.rows.sides(side)[0] for side in index)


class BatchIterator:
    """skorch's `iterator_train`: yields whole batches instead of collating samples."""

    def __init__(self, dataset: TrainingRun, batch_size: int) -> None:
        del batch_size  # `TrainingRun.batches` already has the size
        self._run = dataset

    def __len__(self) -> int:
        return self._run.batches.n_batches

    def __iter__(self) -> Iterator[tuple[Batch, Tensor]]:
        return self._run.epoch()


def _check_augmented(after: Any, before: Tensor) -> Tensor:
    if (
        isinstance(after, Tensor)
        and after.shape == before.shape
        and after.is_floating_point()
    ):
        return after.to(before)
    got = type(after).__name__
    if isinstance(after, Tensor):
        got = f"{after.dtype} of shape {tuple(after.shape)}"
    raise ValueError(
        "`augment` must return a float tensor with the same shape as the batch, "
        f"{tuple(before.shape)}; got {got}."
    )
