"""A fitted classifier whose classes are "different" and "same"."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from siamese_sklearn._estimators.gallery import Gallery

__all__ = ["copy_for_pairs"]


def copy_for_pairs(classifier: Any) -> Any:
    """Return a copy with the same network and thresholds, as if fitted on pairs."""
    alone = copy.copy(classifier)
    alone.net_ = copy.deepcopy(classifier.net_)
    alone._gallery, alone._class_order = Gallery(), None
    alone._identification = classifier.identification_threshold_
    alone._strangers = None
    alone.classes_ = np.array([0, 1])
    return alone
