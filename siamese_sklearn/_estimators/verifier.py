"""A fitted classifier whose classes are "different" and "same"."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from siamese_sklearn._estimators.class_numbers import ClassNumbers
from siamese_sklearn._estimators.gallery import Gallery

__all__ = ["copy_for_pairs"]


def copy_for_pairs(classifier: Any) -> Any:
    """Return a copy with the same network and thresholds, as if fitted on pairs.

    The network is shared, because a later fit replaces it and does not change it.
    """
    alone = copy.copy(classifier)
    alone._gallery, alone._class_numbers = Gallery(), ClassNumbers()
    alone._identification = classifier.identification_threshold_
    alone._strangers = alone._left_out = None
    alone._has_rows = False
    alone.classes_ = np.array([0, 1])
    return alone
