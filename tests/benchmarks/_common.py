"""What the benchmark scripts share: data, timing of rivals in turn, and a bare torch
loop as the floor.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from siamese_sklearn.sampling import BalancedBatches


def data_folder() -> Path:
    """Folder of the data sets: SIAMESE_SKLEARN_DATA, or `shared/data` beside the
    checkout.
    """
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("SIAMESE_SKLEARN_DATA", default))


def mnist() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """MNIST as float32 in [0, 1], flat: X_train, y_train, X_test, y_test."""
    with np.load(data_folder() / "mnist.npz") as file:
        X_train, X_test = (
            file[name].reshape(-1, 784).astype(np.float32) / 255
            for name in ("X_train", "X_test")
        )
        return (
            X_train,
            file["y_train"].astype(np.int64),
            X_test,
            file["y_test"].astype(np.int64),
        )


def in_turn(
    rivals: dict[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each rival, run one after the other in every round, so that drift hits
    all alike.

    On a machine that is busy with other work, `time.process_time` counts what the
    rivals take themselves.
    """
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, run in rivals.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], name: str, floor: str) -> float:
    """Median over the rounds of how many times longer `name` took than `floor`."""
    return statistics.median(
        a / b for a, b in zip(seconds[name], seconds[floor], strict=True)
    )


class BareLoop:
    """The loop of a torch user who knows every trick: fused Adam, whole batches, no
    denormals.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: nn.Module,
        X: np.ndarray,
        y: np.ndarray,
        batch_size: int,
    ) -> None:
        self.module, self.loss = module, loss
        self.X, self.y = torch.from_numpy(X), torch.from_numpy(y)
        self.batches = BalancedBatches(y, batch_size)
        self.optimizer = torch.optim.AdamW(
            module.parameters(), lr=1e-3, weight_decay=0.01, fused=True
        )
        self.rng = np.random.default_rng(0)
        self.step = 0

    def epoch(self) -> None:
        self.module.train()
        for index in self.batches.epoch(self.rng):
            rows = torch.from_numpy(index)
            value = self.loss(self.module(self.X[rows]), self.y[rows])
            self.optimizer.zero_grad()
            value.backward()
            self.optimizer.step()
            value.item()
            self.step += 1
            if self.step % 100 == 0:
                for state in self.optimizer.state.values():
                    for moment in (state["exp_avg"], state["exp_avg_sq"]):
                        moment.masked_fill_(moment.abs() < 1e-30, 0.0)
