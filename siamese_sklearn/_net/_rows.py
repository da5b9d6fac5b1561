"""Rows of the user's data as float32 tensors, one batch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

__all__ = ["Batch", "Index", "Rows"]

Index: TypeAlias = slice | npt.NDArray[np.int64]
Batch: TypeAlias = Tensor | tuple[Tensor, ...]

_SHARE_OF_FREE_MEMORY = 0.5
_ROWS_AT_ONCE = 2048
_SPARSE_ROWS_AT_ONCE = 256
_NUMBERS_AT_ONCE = 2**22  # 16 MB: limits wide rows, and large images inside a network


class Rows:
    """Rows of one side, or of all sides of pairs or triplets, in batches on a device.

    Dense data that fit into half of the free GPU memory are copied to the GPU once,
    other data batch by batch. Sparse rows are converted to dense, and memory-mapped
    rows are read, one batch at a time. Indexing with an array of row numbers returns a
    copy; a slice may return a view of the user's memory.

    Parameters
    ----------
    sides : array, memmap or CSR matrix, each of n rows
    device : torch.device
    """

    def __init__(self, *sides: Any, device: torch.device) -> None:
        self.n_rows = int(sides[0].shape[0])
        self.row_shape = tuple(sides[0].shape[1:])
        self.device = device
        self._takes = [_taker(side, device) for side in sides]
        most = (
            _SPARSE_ROWS_AT_ONCE if any(map(sparse.issparse, sides)) else _ROWS_AT_ONCE
        )
        self.rows_at_once = max(
            min(_NUMBERS_AT_ONCE // max(math.prod(self.row_shape), 1), most), 1
        )

    def __len__(self) -> int:
        return self.n_rows

    def take(self, index: Index) -> Batch:
        """Return the rows in `index`, (B, ...), or a tuple of them, one per side."""
        sides = self.sides(index)
        return sides[0] if len(sides) == 1 else sides

    def sides(self, index: Index) -> tuple[Tensor, ...]:
        """Return the rows in `index` of each side."""
        return tuple(take(index) for take in self._takes)

    def slices(self) -> Iterator[slice]:
        """Yield slices that cover all rows, each small enough to process at once."""
        for start in range(0, self.n_rows, self.rows_at_once):
            yield slice(start, start + self.rows_at_once)


def _taker(side: Any, device: torch.device) -> Callable[[Index], Tensor]:
    is_sparse: bool = sparse.issparse(side)
    if not is_sparse and not isinstance(side, np.memmap) and _fits(side.nbytes, device):
        # torch does not accept read-only memory
        host = side.astype(np.float32, copy=not side.flags.writeable)
        resident = torch.from_numpy(host).to(device)

        def take_resident(index: Index) -> Tensor:
            return resident[
                index
                if isinstance(index, slice)
                else torch.from_numpy(index).to(device)
            ]

        return take_resident

    def take(index: Index) -> Tensor:
        rows = side[index]
        dense = rows.toarray() if is_sparse else np.asarray(rows)
        # torch does not accept read-only memory
        if dense.dtype != np.float32 or not dense.flags.writeable:
            dense = dense.astype(np.float32)
        return torch.from_numpy(dense).to(device)

    return take


def _fits(n_bytes: int, device: torch.device) -> bool:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return n_bytes < _SHARE_OF_FREE_MEMORY * free
    return (
        device.type == "mps"
        and n_bytes < _SHARE_OF_FREE_MEMORY * torch.mps.recommended_max_memory()
    )
