"""The last step of a Pipeline, for code that needs more than the Pipeline offers."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

__all__ = ["final_estimator", "last_step"]


def final_estimator(estimator: Any) -> Any:
    """Return the last step of a Pipeline; else the estimator."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def last_step(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the last step of a Pipeline and its input; else the estimator and `X`."""
    if not isinstance(estimator, Pipeline):
        return estimator, X
    return estimator[-1], estimator[:-1].transform(X) if len(estimator) > 1 else X
