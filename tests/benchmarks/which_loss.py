"""Which loss to take when: every loss with the same settings, on classes of training
and on new ones.

Run: python tests/benchmarks/which_loss.py [DATA ...] [--only LOSS ...] [--seed 0]; by
default all, in half an hour. Images are trained on for fewer epochs, on one fold
instead of three, and with the losses that differ most. MNIST, faces and Omniglot need
the data folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from _common import data_folder
from quality import rivals
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier

from siamese_sklearn import SiameseEmbedder
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.metrics import eer, map_at_r, pair_scores

Array = np.ndarray[Any, Any]

N_FOLDS = 3
FEWEST_CLASSES = 10  # for a split by classes
TABLE_LOSSES = [*LOSSES, "triplet, semihard", "triplet, hard"]
IMAGE_LOSSES = [
    "contrastive",
    "exponential",
    "triplet",
    "triplet, semihard",
    "triplet, hard",
    "multi_similarity",
    "supcon",
    "circle",
    "proxy_anchor",
    "normalized_softmax",
    "arcface",
    "binary_cross_entropy",
]


@dataclass
class Task:
    """Data, and how long to train on them."""

    load: Callable[[], tuple[Array, Array]]
    max_epochs: int = 40
    n_folds: int = N_FOLDS
    losses: Sequence[str] = TABLE_LOSSES


def sample(name: str, n_rows: int | None = None) -> tuple[Array, Array]:
    """Rows and classes of a file of the data folder, the first `n_rows` after a shuffle
    with seed 0.
    """
    with np.load(data_folder() / name) as file:
        suffix = "" if "X" in file.files else "_train"
        X, y = file[f"X{suffix}"], file[f"y{suffix}"]
    chosen = np.random.default_rng(0).permutation(len(y))[:n_rows]
    return X[chosen], y[chosen]


def faces() -> tuple[Array, Array]:
    """The faces, at half their size."""
    X, y = sample("olivetti_faces.npz")
    return X.reshape(-1, 32, 2, 32, 2).mean(axis=(2, 4)), y


TASKS = {
    "iris": Task(lambda: load_iris(return_X_y=True)),
    "wine": Task(lambda: load_wine(return_X_y=True)),
    "breast cancer": Task(lambda: load_breast_cancer(return_X_y=True)),
    "digits": Task(lambda: load_digits(return_X_y=True)),
    "MNIST, 3,000 images": Task(
        lambda: sample("mnist.npz", 3000), max_epochs=10, n_folds=1, losses=IMAGE_LOSSES
    ),
    "AT&T faces": Task(faces, n_folds=1, losses=IMAGE_LOSSES),
    "Omniglot": Task(
        lambda: sample("omniglot_small1.npz"),
        max_epochs=15,
        n_folds=1,
        losses=IMAGE_LOSSES,
    ),
}


def fitted(
    options: dict[str, Any], X: Array, y: Array, max_epochs: int
) -> SiameseEmbedder:
    return SiameseEmbedder(
        n_components=32,
        lr=5e-4,
        lr_schedule="constant",
        max_epochs=max_epochs,
        device="cpu",
        n_threads=1,
        **options,
    ).fit(X, y)


def on_seen(options: dict[str, Any], task: Task, X: Array, y: Array) -> float:
    """Accuracy of 5 neighbors in stratified folds."""
    scores = []
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(X, y)
    for train, test in islice(folds, task.n_folds):
        embedder = fitted(options, X[train], y[train], task.max_epochs)
        neighbors = KNeighborsClassifier(5).fit(embedder.transform(X[train]), y[train])
        scores.append(neighbors.score(embedder.transform(X[test]), y[test]))
    return float(np.mean(scores))


def on_unseen(
    options: dict[str, Any], task: Task, X: Array, y: Array
) -> tuple[float, float]:
    """MAP@R and EER among the classes that were left out of training."""
    scores = []
    folds = GroupKFold(N_FOLDS, shuffle=True, random_state=0).split(X, y, groups=y)
    for train, test in islice(folds, task.n_folds):
        Z = fitted(options, X[train], y[train], task.max_epochs).transform(X[test])
        scores.append(
            (map_at_r(Z, y[test]), eer(*pair_scores(Z, y[test], random_state=0)))
        )
    retrieval, rate = np.mean(scores, axis=0)
    return float(retrieval), float(rate)


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", default=list(TASKS))
    parser.add_argument("--only", nargs="+", help="losses")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(
        "| data | loss | seen: 5-NN accuracy | unseen: MAP@R | unseen: EER "
        "|\n|---|---|---|---|---|"
    )
    for name in asked.data:
        task = TASKS[name]
        X, y = task.load()
        for loss in asked.only or task.losses:
            options = rivals()[loss] | {"random_state": asked.seed}
            row = f"| {name} | {loss} | {on_seen(options, task, X, y):.4f} "
            if len(np.unique(y)) >= FEWEST_CLASSES:
                retrieval, rate = on_unseen(options, task, X, y)
                row += f"| {retrieval:.3f} | {rate:.3f} |"
            else:
                row += "| | |"
            print(row, flush=True)


if __name__ == "__main__":
    main()
