"""The data that one call of fit trains on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from siamese_sklearn._typing import Array, IntArray

__all__ = ["Kind", "TrainingData"]

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
