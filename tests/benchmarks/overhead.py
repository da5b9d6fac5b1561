"""What `fit` and `transform` cost beyond a bare torch loop with the same tower, loss
and optimizer.

Run: python tests/benchmarks/overhead.py
"""

from __future__ import annotations

import numpy as np
import torch
from _common import BareLoop, in_turn, mnist, ratio
from sklearn.datasets import load_digits
from torch import nn

from siamese_sklearn import SiameseEmbedder, TripletLoss
from siamese_sklearn.towers import SiameseNetwork


def perceptron(width: int, hidden: int, n_components: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, n_components)
    )


def epochs(
    name: str,
    X: np.ndarray,
    y: np.ndarray,
    sizes: tuple[int, ...],
    batch_size: int,
    per_round: int,
    repeats: int,
) -> None:
    """An epoch of `fit` against an epoch of the bare loop."""
    tower = perceptron(*sizes)
    loss = TripletLoss()
    embedder = SiameseEmbedder(
        n_components=sizes[-1],
        tower=tower,
        loss=loss,
        batch_size=batch_size,
        max_epochs=per_round,
        warm_start=True,
        device="cpu",
        random_state=0,
    ).fit(X[:1000], y[:1000])
    bare = BareLoop(
        SiameseNetwork(tower, sizes[-1]), loss.build(10, sizes[-1]), X, y, batch_size
    )

    def bare_round() -> None:
        for _ in range(per_round):
            bare.epoch()

    bare.epoch()
    seconds = in_turn({"fit": lambda: embedder.fit(X, y), "bare": bare_round}, repeats)
    print(
        f"| {name} | {batch_size} | {ratio(seconds, 'fit', 'bare'):.2f} |", flush=True
    )


def tenth_epoch(X: np.ndarray, y: np.ndarray) -> None:
    """Whether training slows down: median of epochs 9 to 11 over that of epochs
    1 to 3.
    """
    embedder = SiameseEmbedder(
        n_components=128,
        tower=perceptron(784, 256, 128),
        loss="triplet",
        batch_size=256,
        max_epochs=11,
    )
    seconds = (
        embedder.set_params(device="cpu", random_state=0).fit(X, y).history_[:, "dur"]
    )
    slowdown = np.median(seconds[8:]) / np.median(seconds[:3])
    print(
        "\nTenth epoch over the first (medians of epochs 9 to 11 and 1 to 3): "
        f"{slowdown:.2f}"
    )


def transform(X: np.ndarray, y: np.ndarray) -> None:
    """`transform` of 60,000 rows against slices of 2048 through the tower in
    `inference_mode`.
    """
    embedder = SiameseEmbedder(
        n_components=128,
        tower=perceptron(784, 256, 128),
        max_epochs=1,
        batch_size=256,
        device="cpu",
    )
    module = embedder.fit(X[:2000], y[:2000]).net_.module_
    rows = torch.from_numpy(X)

    def bare() -> np.ndarray:
        with torch.inference_mode():
            return torch.cat(
                [module(rows[i : i + 2048]) for i in range(0, len(rows), 2048)]
            ).numpy()

    assert np.allclose(bare(), embedder.transform(X), atol=1e-6)
    seconds = in_turn({"transform": lambda: embedder.transform(X), "bare": bare}, 9)
    print(
        "\ntransform of 60,000 x 784 over the bare loop: "
        f"{ratio(seconds, 'transform', 'bare'):.2f}"
    )


def main() -> None:
    torch.set_num_threads(1)
    X, y, _, _ = mnist()
    digits, labels = load_digits(return_X_y=True)
    print("| data, tower | batch | fit / bare loop |\n|---|---|---|")
    epochs("MNIST 60,000 x 784, MLP 784-256-128", X, y, (784, 256, 128), 256, 3, 5)
    epochs("MNIST 60,000 x 784, MLP 784-256-128", X, y, (784, 256, 128), 32, 1, 5)
    epochs(
        "digits 1,797 x 64, MLP 64-256-32",
        digits.astype(np.float32),
        labels,
        (64, 256, 32),
        32,
        10,
        9,
    )
    tenth_epoch(X, y)
    transform(X, y)


if __name__ == "__main__":
    main()
