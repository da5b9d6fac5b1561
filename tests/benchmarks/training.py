"""An MNIST epoch of `SiameseEmbedder.fit` against loops around pytorch-metric-learning,
on one thread.

All train the same tower (MLP 784-256-128) with AdamW on batches of 250 rows, about 25
of each class. The documented loop is that of the library's documentation:
MPerClassSampler(m=25), DataLoader, loss, miner. The fast one is that of a torch user
who knows every trick: the batches of `fit`, indexed whole, and fused AdamW. Times are
those of the processor.

Run: python tests/benchmarks/training.py [loss ...]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import process_time

import numpy as np
import torch
from _common import BareLoop, in_turn, mnist, ratio
from pytorch_metric_learning.samplers import MPerClassSampler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from losses import OURS, THEIRS
from siamese_sklearn import SiameseEmbedder
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.losses._resolve import make_loss

BATCH, PER_CLASS = 250, 25
ROUNDS = 3
SECONDS_PER_LOSS = 45
NAMES = (
    "triplet, every",
    "triplet, semihard",
    "triplet, hard",
    "contrastive",
    "multi_similarity",
    "supcon",
    "proxy_anchor",
)


def tower() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128))


class UnitNorm(nn.Module):
    """What ends the network that `fit` makes of the tower; the distances are told not
    to normalize again.
    """

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(embeddings)


def documented(
    loss: nn.Module | tuple[nn.Module, nn.Module], X: np.ndarray, y: np.ndarray
) -> Callable[[], None]:
    """Epoch of the loop in pytorch-metric-learning's documentation."""
    loss, miner = loss if isinstance(loss, tuple) else (loss, None)
    model = nn.Sequential(tower(), UnitNorm())
    sampler = MPerClassSampler(
        y, m=PER_CLASS, batch_size=BATCH, length_before_new_iter=len(y)
    )
    rows = TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    loader = DataLoader(rows, batch_size=BATCH, sampler=sampler)
    optimizer = torch.optim.AdamW([*model.parameters(), *loss.parameters()], lr=1e-3)

    def epoch() -> None:
        model.train()
        for data, labels in loader:
            optimizer.zero_grad()
            embeddings = model(data)
            mined = miner(embeddings, labels) if miner else None
            loss(embeddings, labels, mined).backward()
            optimizer.step()

    return epoch


def fast(
    loss: nn.Module | tuple[nn.Module, nn.Module], X: np.ndarray, y: np.ndarray
) -> Callable[[], None]:
    """Epoch of the bare loop."""
    plugged = make_loss(loss, LOSSES, 0, 0)
    loop = BareLoop(nn.Sequential(tower(), UnitNorm()), plugged, X, y, BATCH)
    if weights := list(plugged.parameters()):
        loop.optimizer.add_param_group({"params": weights})
    return loop.epoch


def line(name: str, X: np.ndarray, y: np.ndarray) -> str:
    embedder = SiameseEmbedder(
        n_components=128,
        tower=tower(),
        loss=OURS[name],
        batch_size=BATCH,
        lr=1e-3,
        max_epochs=1,
        warm_start=True,
        device="cpu",
        random_state=0,
    ).fit(X[:1000], y[:1000])
    counterpart, make = THEIRS[name][0]
    rivals = {
        "fit": lambda: embedder.fit(X, y),
        "documented": documented(make(10, PER_CLASS), X, y),
        "fast": fast(make(10, PER_CLASS), X, y),
    }
    seconds = in_turn(rivals, 1, process_time)
    if sum(times[0] for times in seconds.values()) < SECONDS_PER_LOSS / ROUNDS:
        seconds = in_turn(rivals, ROUNDS, process_time)
    return (
        f"| {name} | {counterpart} | {min(seconds['fit']):.2f} "
        f"| {ratio(seconds, 'documented', 'fit'):.1f} "
        f"| {ratio(seconds, 'fast', 'fit'):.1f} |"
    )


def main() -> None:
    torch.set_num_threads(1)
    X, y, _, _ = mnist()
    print(
        "| loss | pytorch-metric-learning | fit, s per epoch | documented / fit | "
        "fast loop / fit |"
    )
    print("|---|---|---|---|---|", flush=True)
    for name in sys.argv[1:] or NAMES:
        print(line(name, X, y), flush=True)


if __name__ == "__main__":
    main()
