"""The defaults on four data sets of scikit-learn, beside NCA and an SVC: accuracy in
5-fold cross-validation.

Run: python tests/benchmarks/defaults.py [--seeds 5] [--loss NAME]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NeighborhoodComponentsAnalysis
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from siamese_sklearn import SiameseEmbedder

DATA = {
    "digits": load_digits,
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "iris": load_iris,
}
FOLDS = StratifiedKFold(5, shuffle=True, random_state=0)


def siamese(seed: int, **parameters: str) -> Pipeline:
    embedder = SiameseEmbedder(random_state=seed, device="cpu", **parameters)
    return make_pipeline(StandardScaler(), embedder, KNeighborsClassifier())


def nca(seed: int) -> Pipeline:
    return make_pipeline(
        StandardScaler(),
        NeighborhoodComponentsAnalysis(random_state=seed),
        KNeighborsClassifier(),
    )


def svc(seed: int) -> Pipeline:
    del seed
    return make_pipeline(StandardScaler(), SVC())


def accuracy(
    make: Callable[[int], Pipeline], X: np.ndarray, y: np.ndarray, n_seeds: int
) -> tuple[np.ndarray, float]:
    """Mean accuracy of the folds for each seed, and seconds per fold."""
    start = time.perf_counter()
    scores = np.array(
        [cross_val_score(make(seed), X, y, cv=FOLDS).mean() for seed in range(n_seeds)]
    )
    return scores, (time.perf_counter() - start) / n_seeds / FOLDS.get_n_splits()


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--loss", help="in place of the default")
    asked = parser.parse_args()
    make_siamese = partial(siamese, loss=asked.loss) if asked.loss else siamese
    print(
        "| data | SiameseEmbedder, mean of seeds | lowest, highest | NCA | SVC | "
        "seconds per fold |"
    )
    print("|---|---|---|---|---|---|")
    for name, load in DATA.items():
        X, y = load(return_X_y=True)
        ours, seconds = accuracy(make_siamese, X, y, asked.seeds)
        others = [accuracy(make, X, y, 1)[0].mean() for make in (nca, svc)]
        spread = f"{ours.min():.4f}, {ours.max():.4f}"
        rest = f"{others[0]:.4f} | {others[1]:.4f} | {seconds:.1f}"
        print(f"| {name} | {ours.mean():.4f} | {spread} | {rest} |", flush=True)


if __name__ == "__main__":
    main()
