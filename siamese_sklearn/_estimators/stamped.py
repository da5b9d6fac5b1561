"""Pickles that say which version of the package wrote them."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator

from siamese_sklearn._checks import warn
from siamese_sklearn._version import __version__

__all__ = ["StampedPickles"]

_STAMP = "_siamese_sklearn_version"


class StampedPickles(BaseEstimator):
    """Warns if a pickle comes from another version.

    scikit-learn does that for its own estimators only.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), _STAMP: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state.get(_STAMP) != __version__:
            by = f"version {state[_STAMP]}" if _STAMP in state else "an unknown version"
            warn(
                f"This {type(self).__name__} was pickled by {by} of siamese_sklearn, "
                f"and this is version {__version__}, so it may fail or give wrong "
                "results. Unpickle it with the version that pickled it, and store it "
                "by siamese_sklearn.persistence.save, whose files later versions read."
            )
        super().__setstate__({k: v for k, v in state.items() if k != _STAMP})
