"""The learned distance of two rows, as a function."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy.sparse import issparse

from siamese_sklearn._arrays import to_numpy
from siamese_sklearn._typing import Array
from siamese_sklearn.pairs import Pairs

__all__ = ["PairMetric"]


@dataclass(frozen=True, eq=False)
class PairMetric:
    """Distance of two rows; a class, because a closure cannot be pickled.

    Parameters
    ----------
    estimator : SiameseBase
        Fitted, and without names of the features: most rows come without names.
    names : tuple of (array or None)
        Names of the features of the left and of the right row.
    """

    estimator: Any
    names: tuple[Array | None, Array | None]

    @classmethod
    def of(cls, estimator: Any) -> PairMetric:
        """Make the metric of an estimator as it is now.

        The net is shared, because a later fit replaces it and does not change it.
        """
        fitted = copy.copy(estimator)
        fitted._right_side = copy.copy(estimator._right_side)
        left = fitted.__dict__.pop("feature_names_in_", None)
        own = fitted._right_side
        right = left if own is None else own.__dict__.pop("feature_names_in_", None)
        return cls(fitted, (left, right))

    def __call__(self, u: Any, v: Any) -> float:
        left = _row(u, self.names[0], self.estimator.input_shape_)
        right = _row(v, self.names[1], self.estimator._right.input_shape_)
        return float(self.estimator.pair_distance(Pairs(left, right))[0])


def _row(values: Any, names: Array | None, shape: tuple[int, ...]) -> Array:
    """Return a row, or a table of a single row, as an array (1, ...)."""
    is_series = isinstance(values, pd.Series)
    given = list(values.index if is_series else getattr(values, "columns", []))
    if names is not None and _are_names(given) and given != list(names):
        raise ValueError(
            f"The row has the columns {given}, but the estimator was fitted on "
            f"{list(names)}. Select these, in this order."
        )
    array: Array = values.toarray() if issparse(values) else to_numpy(values)
    return array if array.shape == (1, *shape) else array[None]


def _are_names(columns: list[Any]) -> bool:
    return bool(columns) and all(isinstance(name, str) for name in columns)
