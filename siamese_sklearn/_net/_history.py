"""History of a training."""

from __future__ import annotations

from typing import Any

from skorch.history import History

__all__ = ["EpochHistory"]


class EpochHistory(History):
    """skorch's history, which finds one epoch without a copy of the list of epochs."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int):
            return list.__getitem__(self, index)
        return super().__getitem__(index)
