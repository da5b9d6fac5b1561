"""Which loss to take when: every loss with the embedder's defaults, on classes of training and on new ones.

Run: python tests/benchmarks/which_loss.py [DATA ...] [--only NAME ...]; all data and losses by default.
MNIST, faces and Omniglot need the data folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from _common import data_folder
from quality import rivals
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier

from siamese_sklearn import SiameseEmbedder
from siamese_sklearn.metrics import eer, map_at_r, pair_scores

Array = np.ndarray[Any, Any]
Split = tuple[Array, Array]


def sample(name: str, n_rows: int | None = None) -> tuple[Array, Array]:
    """Rows and classes of a file of the data folder, the first `n_rows` after a shuffle with seed 0."""
    with np.load(data_folder() / name) as file:
        suffix = "" if "X" in file.files else "_train"
        X, y = file[f"X{suffix}"], file[f"y{suffix}"]
    chosen = np.random.default_rng(0).permutation(len(y))[:n_rows]
    return X[chosen], y[chosen]


DATA: dict[str, Callable[[], tuple[Array, Array]]] = {
    "iris": lambda: load_iris(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "breast cancer": lambda: load_breast_cancer(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "MNIST, 3,000 rows": lambda: sample("mnist.npz", 3000),
    "AT&T faces": lambda: sample("olivetti_faces.npz"),
    "Omniglot": lambda: sample("omniglot_small1.npz"),
}
FEWEST_CLASSES = 10  # for a split by classes
N_FOLDS = 3


def seen(X: Array, y: Array) -> Iterator[Split]:
    yield from StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(X, y)


def unseen(X: Array, y: Array) -> Iterator[Split]:
    yield from GroupKFold(N_FOLDS, shuffle=True, random_state=0).split(X, y, groups=y)


def fitted(options: dict[str, Any], X: Array, y: Array) -> SiameseEmbedder:
    return SiameseEmbedder(device="cpu", n_threads=1, random_state=0, **options).fit(X, y)


def on_seen(options: dict[str, Any], X: Array, y: Array) -> float:
    """Accuracy of 5 neighbours in stratified folds."""
    scores = []
    for train, test in seen(X, y):
        embedder = fitted(options, X[train], y[train])
        neighbours = KNeighborsClassifier(5).fit(embedder.transform(X[train]), y[train])
        scores.append(neighbours.score(embedder.transform(X[test]), y[test]))
    return float(np.mean(scores))


def on_unseen(options: dict[str, Any], X: Array, y: Array) -> tuple[float, float]:
    """MAP@R and EER among the classes that were left out of training."""
    scores = []
    for train, test in unseen(X, y):
        Z = fitted(options, X[train], y[train]).transform(X[test])
        scores.append((map_at_r(Z, y[test]), eer(*pair_scores(Z, y[test], random_state=0))))
    retrieval, rate = np.mean(scores, axis=0)
    return float(retrieval), float(rate)


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", default=list(DATA))
    parser.add_argument("--only", nargs="+", default=list(rivals()))
    arguments = parser.parse_args()
    print("| data | loss | seen: 5-NN accuracy | unseen: MAP@R | unseen: EER |\n|---|---|---|---|---|")
    for name in arguments.data:
        X, y = DATA[name]()
        for loss in arguments.only:
            options = rivals()[loss]
            row = f"| {name} | {loss} | {on_seen(options, X, y):.4f} "
            if len(np.unique(y)) >= FEWEST_CLASSES:
                retrieval, rate = on_unseen(options, X, y)
                row += f"| {retrieval:.3f} | {rate:.3f} |"
            else:
                row += "| | |"
            print(row, flush=True)


if __name__ == "__main__":
    main()
