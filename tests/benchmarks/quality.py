"""What each loss learns of MNIST in three epochs: neighbors, retrieval and
verification on the test set.

Run: python tests/benchmarks/quality.py [mlp] [cnn] [--only NAME ...]; both towers and
all losses by default. Each loss has its own defaults; batches hold 250 rows, in groups
of 4 of a class, and the learning rate is 0.001. The MLP is a plain 784-256-128 on
pixels from 0 to 1, the CNN the built-in one. Needs the data folder.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from _common import mnist
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from siamese_sklearn import SiameseEmbedder
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.metrics import eer, map_at_r, pair_scores


def plain_mlp(input_shape: tuple[int, ...], n_components: int) -> nn.Module:
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, n_components))


TOWERS: dict[str, dict[str, Any]] = {
    "mlp": {"tower": plain_mlp, "n_components": 128},
    "cnn": {"tower": "cnn", "n_components": 32},
}

# What a pytorch-metric-learning loop reached with a plain MLP 784-256-128 in three
# epochs, one run each: accuracy of 5 neighbors, verification AUC, EER.
REFERENCE = {
    "triplet": (0.9774, 0.9973, 0.023),
    "triplet, semihard": (0.9756, 0.9956, 0.027),
    "triplet, hard": (0.9598, 0.9587, 0.11),
    "contrastive": (0.9673, 0.9813, 0.062),
    "multi_similarity": (0.9774, 0.9963, 0.023),
    "supcon": (0.9776, 0.9968, 0.023),
    "proxy_anchor": (0.9794, 0.9892, 0.051),
}


def rivals() -> dict[str, dict[str, Any]]:
    """Every loss of the registry, and the minings and forms of the triplet and
    contrastive losses.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, spec in LOSSES.items():
        found[name] = {"loss": name}
        if name in ("triplet", "contrastive"):
            for mining in spec.minings:
                if mining != "all":
                    found[f"{name}, {mining}"] = {"loss": name, "mining": mining}
    found["triplet, soft margin"] = {"loss": "triplet", "margin": "soft"}
    return found


def measure(
    options: dict[str, Any], data: tuple[np.ndarray, ...]
) -> tuple[float, float, float, float]:
    """Accuracy of 5 neighbors, MAP@R, AUC and EER on the test set."""
    X_train, y_train, X_test, y_test = data
    embedder = SiameseEmbedder(
        max_epochs=3,
        batch_size=250,
        lr=1e-3,
        lr_schedule="constant",
        device="cpu",
        n_threads=1,
        random_state=0,
        **options,
    ).fit(X_train, y_train)
    found, queries = embedder.transform(X_train), embedder.transform(X_test)
    neighbors = KNeighborsClassifier(5, algorithm="brute").fit(found, y_train)
    same, score = pair_scores(queries, y_test, random_state=0)
    accuracy = neighbors.score(queries, y_test)
    return (
        accuracy,
        map_at_r(queries, y_test),
        float(roc_auc_score(same, score)),
        eer(same, score),
    )


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("towers", nargs="*", default=list(TOWERS))
    parser.add_argument("--only", nargs="+", default=list(rivals()))
    arguments = parser.parse_args()
    X_train, y_train, X_test, y_test = mnist()
    for tower in arguments.towers:
        shape = (-1, 28, 28) if tower == "cnn" else (-1, 784)
        data = (X_train.reshape(shape), y_train, X_test.reshape(shape), y_test)
        print(
            f"| {tower}, loss | 5-NN | MAP@R | AUC | EER "
            "| reference: 5-NN, AUC, EER | seconds |"
        )
        print("|---|---|---|---|---|---|---|")
        for name in arguments.only:
            start = time.perf_counter()
            accuracy, retrieval, auc, rate = measure(
                rivals()[name] | TOWERS[tower], data
            )
            known = REFERENCE.get(name, ()) if tower == "mlp" else ()
            reference = ", ".join(f"{value:.4f}" for value in known)
            row = f"{accuracy:.4f} | {retrieval:.4f} | {auc:.4f} | {rate:.4f}"
            print(
                f"| {name} | {row} | {reference} | {time.perf_counter() - start:.0f} |",
                flush=True,
            )
        print(flush=True)


if __name__ == "__main__":
    main()
