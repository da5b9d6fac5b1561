"""Rows of the user's data as float32 tensors, a batch at a time."""

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
_NUMBERS_AT_ONCE = 2**22  # 16 MB: wide rows, and large images inside a network, need room


class Rows:
    """Rows of one side, or of all sides of pairs and triplets, as batches on the device.

    Dense data go to a GPU once, where they fit into half of its free memory; else batch by batch. Sparse rows
    become dense, and memory-mapped ones are read, one batch at a time. A batch is always a copy: a network
    may write into it.

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
        most = _SPARSE_ROWS_AT_ONCE if any(map(sparse.issparse, sides)) else _ROWS_AT_ONCE
        self._rows_at_once = max(min(_NUMBERS_AT_ONCE // max(math.prod(self.row_shape), 1), most), 1)

    def __len__(self) -> int:
        return self.n_rows

    def take(self, index: Index) -> Batch:
        """Rows of the index, (B, ...), or a tuple of them, one per side."""
        sides = tuple(take(index) for take in self._takes)
        return sides[0] if len(sides) == 1 else sides

    def slices(self) -> Iterator[slice]:
        """Cut all rows into slices that can be worked on at once."""
        for start in range(0, self.n_rows, self._rows_at_once):
            yield slice(start, start + self._rows_at_once)

    def sample(self, n_numbers: int, rng: np.random.Generator) -> Tensor:
        """Random rows of the first side: all of them, or as many as hold `n_numbers` numbers."""
        n_rows = max(n_numbers // max(math.prod(self.row_shape), 1), 1)
        if n_rows >= self.n_rows:
            return torch.cat([self._takes[0](part) for part in self.slices()])
        chosen = np.sort(rng.choice(self.n_rows, n_rows, replace=False))
        n_parts = -(-n_rows // self._rows_at_once)
        return torch.cat([self._takes[0](part) for part in np.array_split(chosen, n_parts)])


def _taker(side: Any, device: torch.device) -> Callable[[Index], Tensor]:
    is_sparse: bool = sparse.issparse(side)
    if not is_sparse and not isinstance(side, np.memmap) and _fits(side.nbytes, device):
        resident = torch.from_numpy(side.astype(np.float32)).to(device)

        def take_resident(index: Index) -> Tensor:
            if isinstance(index, slice):
                return resident[index].clone()
            return resident[torch.from_numpy(index).to(device)]

        return take_resident

    def take(index: Index) -> Tensor:
        is_view = isinstance(index, slice) and not is_sparse  # of the user's own memory
        rows = side[index]
        dense = rows.toarray() if is_sparse else np.asarray(rows)
        if is_view or dense.dtype != np.float32:
            dense = dense.astype(np.float32)
        return torch.from_numpy(dense).to(device)

    return take


def _fits(n_bytes: int, device: torch.device) -> bool:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return n_bytes < _SHARE_OF_FREE_MEMORY * free
    return device.type == "mps" and n_bytes < _SHARE_OF_FREE_MEMORY * torch.mps.recommended_max_memory()
