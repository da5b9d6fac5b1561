"""Peak memory of `fit` beyond the data: MNIST, 60,000 x 784 float32 (188 MB), in fresh
processes.

Linux only: the peak is read from, and reset in, /proc. Run: python
tests/benchmarks/memory.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from _common import mnist

from siamese_sklearn import MLPTower, SiameseEmbedder

KINDS = ("float32", "float64", "memory-mapped uint8")


def resident(which: str) -> float:
    """Resident set of this process in MB: "VmRSS" now, or "VmHWM" at its peak since the
    last reset.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024


def measure(kind: str) -> None:
    """Print how far the peak of `fit` lies above what the process held with the data
    loaded.
    """
    torch.set_num_threads(1)
    embedder = SiameseEmbedder(
        tower=MLPTower((256,)),
        batch_size=256,
        max_epochs=2,
        device="cpu",
        random_state=0,
    )
    rng = np.random.default_rng(0)
    # torch's own start-up does not count
    embedder.fit(rng.normal(size=(512, 784)), np.arange(512) % 10)
    X, y, _, _ = mnist()
    if kind == "memory-mapped uint8":
        with tempfile.NamedTemporaryFile() as file:
            stored = np.memmap(file.name, dtype=np.uint8, mode="w+", shape=X.shape)
            stored[:] = X * 255
            del X
            report(
                embedder,
                np.memmap(file.name, dtype=np.uint8, mode="r", shape=stored.shape),
                y,
                kind,
            )
    else:
        report(embedder, X.astype(kind, copy=False), y, kind)


def report(embedder: SiameseEmbedder, X: np.ndarray, y: np.ndarray, kind: str) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident("VmRSS")
    embedder.fit(X, y)
    print(f"| {kind} | {resident('VmHWM') - before:.0f} |", flush=True)


def main() -> None:
    print("| X | MB that fit adds to the peak |\n|---|---|", flush=True)
    for kind in KINDS:
        subprocess.run([sys.executable, __file__, kind], check=True)


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
