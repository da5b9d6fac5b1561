"""The learned distance of two rows as a function."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from siamese_sklearn.pairs import Pairs

__all__ = ["LearnedMetric", "metric_of"]


@dataclass(frozen=True)
class LearnedMetric:
    """Learned distance of two rows; a class, because a closure cannot be pickled."""

    estimator: Any

    def __call__(self, u: npt.ArrayLike, v: npt.ArrayLike) -> float:
        return float(
            self.estimator.pair_distance(
                Pairs(np.asarray(u)[None], np.asarray(v)[None])
            )[0]
        )


def metric_of(estimator: Any) -> LearnedMetric:
    """Make the metric of an estimator as it is now.

    Parameters
    ----------
    estimator : SiameseBase
        Fitted. A later fit replaces its net and does not change it, so it is shared.

    Returns
    -------
    LearnedMetric
    """
    fitted = copy.copy(estimator)
    fitted._right_side = copy.copy(estimator._right_side)
    for side in (fitted, fitted._right_side):
        if side is not None:
            # the metric gets plain rows, without names
            side.__dict__.pop("feature_names_in_", None)
    return LearnedMetric(fitted)
