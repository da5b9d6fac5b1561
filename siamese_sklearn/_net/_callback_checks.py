"""Refuses callbacks of skorch that could not do what skorch documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    InputShapeSetter,
    LRScheduler,
    PassthroughScoring,
)
from skorch.callbacks.scoring import ScoringBase

__all__ = ["check_callbacks"]

_RECORDED = {
    *("epoch", "dur", "train_loss", "train_loss_best", "train_batch_count"),
    *("n_active", "spread"),
}
_WATCHED = {"valid_score", "valid_score_best"}


def check_callbacks(callbacks: list[Any], *, is_watched: bool) -> None:
    """Raise a ValueError if a callback of skorch would find nothing to work on.

    Parameters
    ----------
    callbacks : list of initialized callbacks
    is_watched : bool
        Whether a held-out score is recorded.
    """
    for callback in callbacks:
        name = type(callback).__name__
        if isinstance(callback, InputShapeSetter):
            raise ValueError(
                f"`callbacks` must not contain {name}: a tower that is a function is "
                "called with the shape of the rows; pass one as `tower`."
            )
        scores = isinstance(callback, ScoringBase | PassthroughScoring)
        if scores and not callback.on_train:
            raise ValueError(
                f"`callbacks` contains {name}, which scores validation data that "
                "skorch holds out; here the estimator holds rows out. Use "
                'early_stopping=True, which records "valid_score", or on_train=True.'
            )
    recorded = {*_RECORDED, *(_WATCHED if is_watched else ()), *_names_in(callbacks)}
    if any(not _is_of_skorch(callback) for callback in callbacks):
        return  # it may record anything
    for callback in callbacks:
        monitor = _monitored(callback)
        if monitor is not None and monitor not in recorded:
            raise ValueError(
                f"{type(callback).__name__} in `callbacks` monitors {monitor!r}, which "
                f'is not recorded in this call. Monitor "train_loss{_best(monitor)}", '
                f'or "valid_score{_best(monitor)}" in `fit` with early_stopping=True.'
            )


def _monitored(callback: Callback) -> str | None:
    """Name of what a callback looks up in the history of the epoch, if any."""
    if isinstance(callback, LRScheduler) and (
        callback.step_every != "epoch"
        or callback.policy_.__name__ != "ReduceLROnPlateau"
    ):
        return None
    if not isinstance(callback, Checkpoint | EarlyStopping | LRScheduler):
        return None
    return callback.monitor if isinstance(callback.monitor, str) else None


def _names_in(callbacks: list[Any]) -> Iterator[str]:
    """Names under which callbacks of skorch record values."""
    for callback in callbacks:
        for kind in ("name_", "name", "event_name"):
            name = getattr(callback, kind, None)
            if isinstance(name, str):
                yield name
                yield f"{name}_best"


def _best(monitor: str) -> str:
    return "_best" if monitor.endswith("_best") else ""


def _is_of_skorch(callback: Callback) -> bool:
    return type(callback).__module__.startswith("skorch.")
