"""Forward plus backward of every loss against pytorch-metric-learning's: time and
memory, on one thread.

Each cell is a process of its own, in which the rivals take turns; the third of them is
the floor, a step of the tower alone (MLP 784-256-128, forward, backward and AdamW).
Times are the processor's, so that other work on the machine counts little. Peak memory
is how far the resident set rises in a first forward plus backward. A rival may map 8 GB
more and take 60 s, else it fails. Linux only: peaks are read from, and reset in, /proc.

Run: python tests/benchmarks/losses.py [--batch 256] [--layout classes] [loss ...]
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import resource
import statistics
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from time import process_time
from typing import Any

import torch
from _common import in_turn, ratio
from memory import resident
from pytorch_metric_learning import distances, losses, miners
from torch import Tensor, nn

from siamese_sklearn.distances import normalize
from siamese_sklearn.losses import LOSSES, LossSpec, TripletLoss
from siamese_sklearn.losses._resolve import make_loss

BATCHES = (64, 256, 1024, 4096)
LAYOUTS = {"rows": "4 rows per class", "classes": "10 classes"}
D = 128
MEMORY_LIMIT = 8 * 2**30
SECONDS_LIMIT = 60
SECONDS_PER_CELL = 1.0
HEADER = (
    "| pytorch-metric-learning | ours, ms | theirs, ms | theirs / ours | tower steps "
    "| ours, MB | theirs, MB |\n"
    "|---|---|---|---|---|---|---|---|"
)
RAW = {"normalize_embeddings": False}
Loss = Callable[[Tensor, Tensor], Tensor]
# of n_classes, K
Rival = tuple[str, Callable[[int, int], nn.Module | tuple[nn.Module, nn.Module]]]


def euclidean(power: int = 1) -> distances.LpDistance:
    return distances.LpDistance(power=power, **RAW)


def triplet_rival(miner: str, make_miner: Callable[[], nn.Module], power: int) -> Rival:
    return f"TripletMarginLoss, {miner}", lambda n, k: (
        losses.TripletMarginLoss(0.2, distance=euclidean(power)),
        make_miner(),
    )


OURS: dict[str, str | LossSpec] = {
    "triplet, every": TripletLoss(),
    "triplet, semihard": TripletLoss(mining="semihard"),
    "triplet, hard": TripletLoss(mining="hard", relative=False),
    "triplet, easy_positive": TripletLoss(mining="easy_positive"),
    "triplet, random": TripletLoss(mining="random"),
    "triplet, every, soft": TripletLoss("soft"),
    **{name: name for name in LOSSES if name != "triplet"},
}
THEIRS: dict[str, list[Rival]] = {
    "triplet, every": [
        (
            "TripletMarginLoss",
            lambda n, k: losses.TripletMarginLoss(0.2, distance=euclidean(2)),
        )
    ],
    "triplet, semihard": [
        triplet_rival(
            "TripletMarginMiner",
            lambda: miners.TripletMarginMiner(
                0.2, type_of_triplets="semihard", distance=euclidean(2)
            ),
            2,
        )
    ],
    "triplet, hard": [
        triplet_rival(
            "BatchHardMiner", lambda: miners.BatchHardMiner(distance=euclidean()), 1
        )
    ],
    "triplet, easy_positive": [
        triplet_rival(
            "BatchEasyHardMiner",
            lambda: miners.BatchEasyHardMiner("easy", "hard", distance=euclidean(2)),
            2,
        )
    ],
    "triplet, random": [
        (
            "TripletMarginLoss, triplets_per_anchor",
            lambda n, k: losses.TripletMarginLoss(
                0.2, triplets_per_anchor=k - 1, distance=euclidean(2)
            ),
        )
    ],
    "triplet, every, soft": [
        (
            "TripletMarginLoss, smooth_loss",
            lambda n, k: losses.TripletMarginLoss(
                0.0, smooth_loss=True, distance=euclidean()
            ),
        )
    ],
    "contrastive": [
        (
            "ContrastiveLoss (linear in D)",
            lambda n, k: losses.ContrastiveLoss(0, 0.5, distance=euclidean()),
        )
    ],
    "circle": [("CircleLoss", lambda n, k: losses.CircleLoss())],
    "lifted": [
        (
            "GeneralizedLiftedStructureLoss",
            lambda n, k: losses.GeneralizedLiftedStructureLoss(distance=euclidean()),
        )
    ],
    "multi_similarity": [
        (
            "MultiSimilarityLoss, its miner",
            lambda n, k: (losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()),
        )
    ],
    "n_pairs": [
        (
            "NTXentLoss (same formula)",
            lambda n, k: losses.NTXentLoss(
                1.0, distance=distances.DotProductSimilarity(**RAW)
            ),
        ),
        (
            "NPairsLoss (a pair of each class)",
            lambda n, k: losses.NPairsLoss(
                distance=distances.DotProductSimilarity(**RAW)
            ),
        ),
    ],
    "supcon": [("SupConLoss", lambda n, k: losses.SupConLoss())],
    "arcface": [("ArcFaceLoss", lambda n, k: losses.ArcFaceLoss(n, D))],
    "cosface": [("CosFaceLoss", lambda n, k: losses.CosFaceLoss(n, D))],
    "normalized_softmax": [
        ("NormalizedSoftmaxLoss", lambda n, k: losses.NormalizedSoftmaxLoss(n, D))
    ],
    "proxy_anchor": [("ProxyAnchorLoss", lambda n, k: losses.ProxyAnchorLoss(n, D))],
    "proxy_nca": [("ProxyNCALoss", lambda n, k: losses.ProxyNCALoss(n, D))],
}


def embeddings_of(labels: Tensor) -> Tensor:
    """Rows of unit norm around a center for each class, as half-way through training;
    (B, d).
    """
    torch.manual_seed(0)
    centers = torch.randn(int(labels.max()) + 1, D)
    return normalize(centers[labels] + torch.randn(len(labels), D)).requires_grad_()


def passes(
    module: nn.Module | tuple[nn.Module, nn.Module], z: Tensor, y: Tensor
) -> Callable[[], object]:
    """Forward plus backward of a loss, or of a miner and a loss."""
    loss = make_loss(module, LOSSES, 0, 0) if isinstance(module, tuple) else module
    inputs = [z, *loss.parameters()]
    return lambda: torch.autograd.grad(loss(z, y), inputs)


def tower_step(batch: int) -> Callable[[], object]:
    tower = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, D))
    optimizer = torch.optim.AdamW(tower.parameters(), fused=True)
    rows, gradient = torch.rand(batch, 784), torch.randn(batch, D) / batch

    def step() -> None:
        optimizer.zero_grad()
        tower(rows).backward(gradient)
        optimizer.step()

    return step


def peak(run: Callable[[], object]) -> float:
    """By how many MB the resident set rises while `run` runs."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def measure(name: str, rival: int, batch: int, layout: str, report: Connection) -> None:
    """Send what becomes of ours and of the rival, each as soon as it is known."""
    torch.set_num_threads(1)
    labels = (
        torch.arange(batch) % 10 if layout == "classes" else torch.arange(batch) // 4
    )
    n_classes = int(labels.max()) + 1
    losses_of = {"ours": make_loss(OURS[name], LOSSES, n_classes, D)}
    if name in THEIRS:
        losses_of["theirs"] = THEIRS[name][rival][1](n_classes, batch // n_classes)
    z, few = embeddings_of(labels), slice(0, 40)
    small = z[few].detach().requires_grad_()
    runs = {"tower": tower_step(batch)}
    runs["tower"]()
    mapped = int(resident("VmSize") * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_LIMIT,) * 2)
    for who, loss in losses_of.items():
        passes(
            loss, small, labels[few]
        )()  # what is loaded at the first call does not count
        runs[who] = passes(loss, z, labels)
        try:
            report.send({f"{who}, MB": peak(runs[who])})
        except (RuntimeError, MemoryError) as error:
            if not (
                isinstance(error, MemoryError)
                or "memory" in str(error)
                or "bad_alloc" in str(error)
            ):
                raise
            report.send({who: f"over {MEMORY_LIMIT >> 30} GB"})
            del runs[who]
        seconds = in_turn(runs, 1, process_time)
        report.send({"seconds": seconds})
    repeats = int(SECONDS_PER_CELL / sum(times[0] for times in seconds.values()))
    report.send(
        {
            "seconds": in_turn(runs, min(repeats, 101), process_time)
            if repeats > 1
            else seconds
        }
    )


def cell(name: str, rival: int, batch: int, layout: str) -> dict[str, Any]:
    """All reports of one process, which is ended when it takes too long."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(name, rival, batch, layout, sender))
    process.start()
    sender.close()
    found: dict[str, Any] = {}
    try:
        while receiver.poll(SECONDS_LIMIT):
            found |= receiver.recv()
        found["theirs" if "ours, MB" in found else "ours"] = f"over {SECONDS_LIMIT} s"
        process.kill()
    except EOFError:
        process.join()
        if process.exitcode:
            raise RuntimeError(
                f"{name}, {layout}, B = {batch}: the measurement failed"
            ) from None
    process.join()
    return found


def line(name: str, rival: int, batch: int, layout: str) -> str:
    found = cell(name, rival, batch, layout)
    seconds = found.get("seconds", {})
    counterpart = THEIRS[name][rival][0] if name in THEIRS else "none"
    ours, theirs = (
        f"{1e3 * statistics.median(seconds[who]):.2f}"
        if who in seconds
        else found.get(who, "")
        for who in ("ours", "theirs")
    )
    faster = (
        f"{ratio(seconds, 'theirs', 'ours'):.1f}"
        if {"ours", "theirs"} <= set(seconds)
        else ""
    )
    steps = f"{ratio(seconds, 'ours', 'tower'):.2f}" if "ours" in seconds else ""
    memory = (
        f"{found[key]:.0f}" if key in found else ""
        for key in ("ours, MB", "theirs, MB")
    )
    cells = [name, counterpart, ours, theirs, faster, steps, *memory]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("loss", nargs="*", default=list(OURS))
    parser.add_argument("--batch", type=int, choices=BATCHES, action="append")
    parser.add_argument("--layout", choices=LAYOUTS, action="append")
    asked = parser.parse_args()
    for layout in asked.layout or LAYOUTS:
        for batch in asked.batch or BATCHES:
            print(f"\n| B = {batch}, {LAYOUTS[layout]} {HEADER}", flush=True)
            for name in asked.loss:
                for rival in range(len(THEIRS.get(name, [""]))):
                    print(line(name, rival, batch, layout), flush=True)


if __name__ == "__main__":
    main()
