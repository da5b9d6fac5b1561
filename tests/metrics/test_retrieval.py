"""Retrieval measures against plain loops, and the laws they obey."""

from __future__ import annotations

import math
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from siamese_sklearn.metrics import _retrieval, map_at_r, r_precision, recall_at_k

DISTANCES = {
    "euclidean": lambda a, b: math.sqrt(
        sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    ),
    "sqeuclidean": lambda a, b: sum((x - y) ** 2 for x, y in zip(a, b, strict=True)),
    "manhattan": lambda a, b: sum(abs(x - y) for x, y in zip(a, b, strict=True)),
    "cosine": lambda a, b: 1 - np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b),
}


def naive_retrieval(
    measure, queries, labels, gallery, gallery_labels, distance, leave_one_out
):
    """Mean of `measure` over the queries; sorting (distance, relevant) puts relevant
    rows last in ties.
    """
    values = []
    for q, (row, label) in enumerate(zip(queries, labels, strict=True)):
        ranking = sorted(
            (DISTANCES[distance](row, other), other_label == label)
            for g, (other, other_label) in enumerate(
                zip(gallery, gallery_labels, strict=True)
            )
            if not (leave_one_out and g == q)
        )
        relevant = [is_relevant for _, is_relevant in ranking]
        if any(relevant):
            values.append(measure(relevant, sum(relevant)))
    return sum(values) / len(values)


def naive_map_at_r(relevant, r):
    return sum(sum(relevant[: i + 1]) / (i + 1) for i in range(r) if relevant[i]) / r


MEASURES = {
    "recall_at_1": (recall_at_k, lambda relevant, r: relevant[0]),
    "recall_at_3": (
        lambda *args, **kw: recall_at_k(*args, k=3, **kw),
        lambda relevant, r: any(relevant[:3]),
    ),
    "r_precision": (r_precision, lambda relevant, r: sum(relevant[:r]) / r),
    "map_at_r": (map_at_r, naive_map_at_r),
}
measures = pytest.mark.parametrize("name", list(MEASURES))


@st.composite
def grids(draw, max_rows=12):
    """Rows of small whole numbers, full of ties and duplicates, and labels of which one
    occurs twice.
    """
    n, d = draw(st.integers(2, max_rows)), draw(st.integers(1, 3))
    rows = draw(
        st.lists(
            st.lists(st.integers(-2, 2), min_size=d, max_size=d), min_size=n, max_size=n
        )
    )
    labels = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    assume(len(set(labels)) < n)
    return rows, labels


@pytest.mark.slow
@measures
@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean", "manhattan"])
@given(data=grids())
@settings(max_examples=40)
def test_leave_one_out_equals_an_explicit_loop(name, distance, data):
    rows, labels = data
    measure, naive = MEASURES[name]
    expected = naive_retrieval(
        naive, rows, labels, rows, labels, distance, leave_one_out=True
    )
    assert measure(rows, labels, distance=distance) == pytest.approx(expected)


@pytest.mark.slow
@measures
@given(data=grids(), split=st.integers(1, 11))
@settings(max_examples=40)
def test_gallery_equals_an_explicit_loop(name, data, split):
    rows, labels = data
    queries, query_labels, gallery, gallery_labels = (
        rows[:split],
        labels[:split],
        rows[split:],
        labels[split:],
    )
    assume(set(query_labels) & set(gallery_labels))
    measure, naive = MEASURES[name]
    expected = naive_retrieval(
        naive,
        queries,
        query_labels,
        gallery,
        gallery_labels,
        "euclidean",
        leave_one_out=False,
    )
    found = measure(
        queries, query_labels, gallery=gallery, gallery_labels=gallery_labels
    )
    assert found == pytest.approx(expected)


@measures
@pytest.mark.parametrize("distance", list(DISTANCES))
def test_real_numbers_equal_an_explicit_loop_for_every_distance(name, distance):
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=40)
    rows = (
        rng.normal(size=(40, 5)) * rng.uniform(0.1, 10, size=(40, 1)) + labels[:, None]
    )
    measure, naive = MEASURES[name]
    expected = naive_retrieval(
        naive, rows, labels, rows, labels, distance, leave_one_out=True
    )
    assert measure(rows, labels, distance=distance) == pytest.approx(expected)


def test_map_at_r_by_hand():
    """Places 0 1 3 5, labels a a b a; each a has R = 2, b has none and does not count.

    From 0: 1 (a), 3 (b): (1/1) / 2 = 1/2. From 1: 0 (a), 3 (b): 1/2. From 5: 3 (b), 1
    (a): (1/2) / 2 = 1/4.
    """
    assert map_at_r([[0], [1], [3], [5]], list("aaba")) == pytest.approx(
        (1 / 2 + 1 / 2 + 1 / 4) / 3
    )


@pytest.mark.slow
@measures
@given(data=grids(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_row_order_and_label_names_do_not_matter(name, data, seed):
    rows, labels = np.array(data[0]), np.array(data[1])
    order = np.random.default_rng(seed).permutation(len(rows))
    names = np.array(["zebra", "ant", "7"])
    measure = MEASURES[name][0]
    assert measure(rows[order], names[labels[order]]) == pytest.approx(
        measure(rows, labels)
    )


@pytest.mark.slow
@measures
@pytest.mark.parametrize("distance", list(DISTANCES))
@pytest.mark.parametrize("chunk_bytes", [1, 8 * 50 * 7])
def test_chunk_size_does_not_matter(name, distance, chunk_bytes):
    rng = np.random.default_rng(1)
    rows, labels = rng.normal(size=(50, 4)), rng.integers(5, size=50)
    measure = MEASURES[name][0]
    whole = measure(rows, labels, distance=distance)
    with mock.patch.object(_retrieval, "CHUNK_BYTES", chunk_bytes):
        assert measure(rows, labels, distance=distance) == pytest.approx(whole)


@measures
@pytest.mark.parametrize("distance", list(DISTANCES))
def test_collapsed_embeddings_find_nothing(name, distance):
    """Each class has 10 of 30 equal rows: 20 irrelevant ones come before the first
    relevant one.
    """
    rows = np.tile(np.random.default_rng(2).normal(size=37).astype(np.float32), (30, 1))
    assert MEASURES[name][0](rows, np.repeat([0, 1, 2], 10), distance=distance) == 0.0


@measures
def test_rows_of_one_direction_are_cosine_ties(name):
    rng = np.random.default_rng(3)
    rows = rng.uniform(0.1, 10, size=(30, 1)) * rng.normal(size=5)
    assert MEASURES[name][0](rows, np.repeat([0, 1, 2], 10), distance="cosine") == 0.0


@pytest.mark.parametrize("distance", list(DISTANCES))
def test_identical_gallery_rows_are_ties_to_every_query(distance):
    """Every place is held by one row of either class, so the nearest place has a
    relevant row and another.
    """
    rng = np.random.default_rng(4)
    places = rng.normal(size=(101, 33))
    gallery, gallery_labels = np.vstack([places, places]), np.repeat([0, 1], 101)
    queries, labels = rng.normal(size=(60, 33)), rng.integers(2, size=60)
    options = {
        "gallery": gallery,
        "gallery_labels": gallery_labels,
        "distance": distance,
    }
    assert recall_at_k(queries, labels, k=1, **options) == 0.0
    assert recall_at_k(queries, labels, k=2, **options) == 1.0


@measures
def test_ties_of_identical_rows_do_not_hang_on_the_matrix_product(name):
    """A matrix product may round each column its own way: here each is off by noise of
    its own.
    """
    exact = _retrieval._distance_matrix

    def noisy(queries, gallery, distance):
        return exact(queries, gallery, distance) + 1e-3 * torch.arange(len(gallery))

    with mock.patch.object(_retrieval, "_distance_matrix", noisy):
        assert MEASURES[name][0](np.full((30, 2), 0.7), np.repeat([0, 1, 2], 10)) == 0.0


@measures
def test_clusters_apart_are_perfect(name):
    rows = np.array([[0.0, 0.0], [0.1, 0.0], [9.0, 9.0], [9.1, 9.0], [9.0, 9.1]])
    assert MEASURES[name][0](rows, [0, 0, 1, 1, 1]) == 1.0


def test_a_row_finds_its_duplicate_but_never_itself():
    assert recall_at_k([[1.0], [1.0], [5.0]], [0, 0, 1]) == 1.0
    assert recall_at_k([[1.0], [1.0], [5.0], [1.5]], [0, 1, 0, 1]) == 0.0


def test_k_beyond_the_gallery_means_all_of_it():
    assert recall_at_k([[0.0], [1.0], [2.0]], [0, 1, 0], k=99) == 1.0


@pytest.mark.slow
@measures
@pytest.mark.parametrize("distance", list(DISTANCES))
@pytest.mark.parametrize("exponent", [-900, -70, 70, 1000])
def test_scale_does_not_matter(name, distance, exponent):
    """Squared, these numbers leave the range of float32 or even of float64."""
    rng = np.random.default_rng(8)
    rows, labels = rng.normal(size=(30, 3)), rng.integers(4, size=30)
    measure = MEASURES[name][0]
    expected = measure(rows, labels, distance=distance)
    assert measure(np.ldexp(rows, exponent), labels, distance=distance) == expected


def test_zero_rows_are_at_cosine_distance_one():
    """From 0 all is equally far, so its relevant row is last of 3; the others see each
    other or 0 first.
    """
    rows, labels = [[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-2.0, 0.0]], [0, 0, 1, 1]
    # row 1 finds row 0 before its opposites
    assert recall_at_k(rows, labels, distance="cosine") == 3 / 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: map_at_r([[0.0], [1.0]], ["a", "b"]),
            "no label occurs twice in `labels`",
        ),
        (
            lambda: map_at_r([[0.0]], [0], gallery=[[1.0]], gallery_labels=[1]),
            "have no label in common",
        ),
        (
            lambda: map_at_r([[0.0]], [0], gallery=[[1.0]]),
            "`gallery` was passed without `gallery_labels`",
        ),
        (
            lambda: map_at_r([[0.0]], [0], gallery_labels=[1]),
            "`gallery_labels` was passed without `gallery`",
        ),
        (
            lambda: map_at_r([[0.0]], [0], gallery=[[1.0, 2.0]], gallery_labels=[0]),
            "`gallery` must have as many columns",
        ),
        (
            lambda: r_precision([0.0, 1.0], [0, 0]),
            r"`embeddings` must have shape \(n, d\)",
        ),
        (
            lambda: r_precision([[0.0], [1.0]], [0]),
            "`labels` must have one label per row of `embeddings`",
        ),
        (
            lambda: recall_at_k([[0.0], [math.nan]], [0, 0]),
            "`embeddings` must be finite",
        ),
        (
            lambda: recall_at_k([[0.0], [math.inf]], [0, 0]),
            "`embeddings` must be finite",
        ),
        (
            lambda: recall_at_k([[0.0], [1.0]], [0, 0], k=0),
            "`k` must be an integer of at least 1",
        ),
        (
            lambda: recall_at_k([[0.0], [1.0]], [0, 0], distance="euclidian"),
            "Did you mean 'euclidean'",
        ),
    ],
)
def test_retrieval_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
