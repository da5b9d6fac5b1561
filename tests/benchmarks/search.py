"""Exact and approximate search in a gallery: time of a query, recall, and changes.

Run: python tests/benchmarks/search.py [references ...]; 10,000 and 100,000 by default.
The approximate search needs the package usearch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from siamese_sklearn._estimators.gallery import Gallery
from siamese_sklearn.distances import DISTANCES
from siamese_sklearn.search import ApproximateSearch, ExactSearch

N_COMPONENTS, PER_CLASS, N_QUERIES, N_NEIGHBORS = 32, 5, 1000, 20


def embeddings(n: int, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors around a center for each class, in order of the classes."""
    centers = rng.standard_normal((n // PER_CLASS, N_COMPONENTS))
    rows = np.repeat(centers, PER_CLASS, axis=0)
    rows += 0.35 * rng.standard_normal(rows.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def seconds(run: Callable[[], Any], repeats: int) -> float:
    """Median time of a call; the first does not count."""
    run()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def searches(n: int) -> None:
    rng = np.random.default_rng(0)
    rows = embeddings(n, rng)
    queries = rows[rng.integers(n, size=N_QUERIES)]
    queries = queries + 0.05 * rng.standard_normal(queries.shape).astype(np.float32)
    expected = ExactSearch().fit(rows).kneighbors(queries, N_NEIGHBORS)[1]
    for search in (ExactSearch(), ApproximateSearch()):
        start = time.perf_counter()
        search.fit(rows)
        search.kneighbors(queries[:1], 1)
        build = time.perf_counter() - start
        start = time.perf_counter()
        found = search.kneighbors(queries, N_NEIGHBORS)[1]
        together = 1000 * (time.perf_counter() - start) / N_QUERIES
        alone = 1000 * seconds(lambda s=search: s.kneighbors(queries[:1], 1), 20)
        pairs = zip(found, expected, strict=True)
        right = sum(len(set(one) & set(other)) for one, other in pairs)
        add = 1000 * seconds(lambda s=search: s.add(queries[:1]), 20)
        numbers = iter(range(n))
        remove = 1000 * seconds(
            lambda s=search, numbers=numbers: s.remove(np.array([next(numbers)])), 20
        )
        print(
            f"| {n} | {type(search).__name__} | {build:.1f} | {together:.3f} "
            f"| {alone:.2f} | {right / expected.size:.4f} | {add:.2f} | {remove:.2f} |",
            flush=True,
        )


def changes(n: int) -> None:
    rng = np.random.default_rng(0)
    rows, distance = embeddings(n, rng), DISTANCES["euclidean"]
    names = np.repeat(np.arange(n // PER_CLASS), PER_CLASS)
    gallery = Gallery().extended(rows, rows, names, 10, rng)
    new = embeddings(PER_CLASS, rng)[:1]
    runs: list[Callable[[], Any]] = [
        lambda: gallery.extended(new, new, np.array([7]), 10, rng),
        lambda: gallery.extended(new, new, np.array([n]), 10, rng),
        lambda: gallery.without(7),
        lambda: gallery.nearest(new, distance),
    ]
    cells = " | ".join(f"{1000 * seconds(run, 5):.1f}" for run in runs)
    print(f"| {n} | {cells} |", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    sizes = [int(size) for size in sys.argv[1:]] or [10_000, 100_000]
    print(
        "| references | search | build, s | ms per query of 1,000 | ms, one query "
        "| recall at 20 | add one, ms | remove one, ms |\n" + "|---" * 8 + "|"
    )
    for n in sizes:
        searches(n)
    print(
        "\n| references | row of a known class, ms | row of a new class, ms "
        "| forget a class, ms | name a row, ms |\n" + "|---" * 5 + "|"
    )
    for n in sizes:
        changes(n)


if __name__ == "__main__":
    main()
