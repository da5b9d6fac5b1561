"""Pairs and triplets made out of labeled rows."""

import itertools
from collections import Counter

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from siamese_sklearn.pairs import Pairs, make_pairs, make_triplets
from siamese_sklearn.pairs._drawing import count_pairs, draw_pairs

TABLE = np.arange(12.0).reshape(6, 2)

LABELS = st.lists(st.integers(0, 4), min_size=3, max_size=25).filter(
    lambda y: len(set(y)) > 1 and max(Counter(y).values()) > 1
)


def every_pair(y):
    """All unordered pairs, by two loops: those of one class, those of different
    ones.
    """
    all_pairs = [frozenset(p) for p in itertools.combinations(range(len(y)), 2)]
    same = {p for p in all_pairs if len({y[i] for i in p}) == 1}
    return same, set(all_pairs) - same


def drawn(y, **params):
    """Unordered pairs of row numbers as made: those marked same, those marked
    different.
    """
    pairs, same = make_pairs(np.arange(len(y)), y, **params)
    both = [
        frozenset((int(a), int(b)))
        for a, b in zip(pairs.left, pairs.right, strict=True)
    ]
    assert same.shape == (len(pairs),)
    assert same.dtype == np.int64
    return [p for p, s in zip(both, same, strict=True) if s], [
        p for p, s in zip(both, same, strict=True) if not s
    ]


@pytest.mark.slow
@settings(max_examples=150)
@given(y=LABELS, half=st.none() | st.integers(1, 200), seed=st.integers(0, 1000))
def test_pairs_are_balanced_distinct_and_truly_marked(y, half, seed):
    n_pairs = None if half is None else 2 * half
    all_same, all_different = every_pair(y)
    same, different = drawn(y, n_pairs=n_pairs, random_state=seed)
    n_each = min(half or len(y), len(all_same), len(all_different))
    assert len(same) == len(different) == n_each
    assert set(same) <= all_same
    assert set(different) <= all_different
    assert len(set(same)) == len(set(different)) == n_each


@pytest.mark.slow
@settings(max_examples=100)
@given(y=LABELS, half=st.none() | st.integers(1, 60), seed=st.integers(0, 1000))
def test_rows_of_a_class_have_equally_many_partners_and_none_is_left_out(y, half, seed):
    same, _ = drawn(y, n_pairs=None if half is None else 2 * half, random_state=seed)
    partners = Counter(i for pair in same for i in pair)
    for label, count in Counter(y).items():
        of_class = [partners[i] for i in range(len(y)) if y[i] == label]
        assert max(of_class) - min(of_class) <= 2
        if half is None and count > 1:
            assert min(of_class) >= 1


def test_classes_take_part_by_rows_not_by_pairs():
    """One step around the rings of 90 and 10 rows is 90 and 10 pairs; of the pairs that
    exist 4005 and 45.
    """
    y = np.repeat([0, 1], [90, 10])
    same, _ = drawn(y, random_state=0)
    assert Counter(int(y[min(p)]) for p in same) == {0: 90, 1: 10}


@pytest.mark.parametrize(
    "y", [[0] * 3 + [1] * 3 + [2] * 2, [0] * 6 + [1]], ids=["few_same", "few_different"]
)
def test_all_pairs_of_the_rarer_kind_are_used_where_too_many_are_asked_for(y):
    all_same, all_different = every_pair(y)
    same, different = drawn(y, n_pairs=1000, random_state=0)
    assert len(same) == len(different) == min(len(all_same), len(all_different))
    assert set(same) == all_same or set(different) == all_different


@pytest.mark.slow
def test_every_pair_of_its_kind_is_equally_likely():
    """Classes of 4 and 2 rows have 8 different pairs; of the 7 same ones, 5 are one
    step around a ring.

    A step around the ring of 4 has 4 of its 6 pairs, so with one same pair each of
    these has 4/5 * 1/6, the pair of the class of 2 has 1/5.
    """
    y, n = [0, 0, 0, 0, 1, 1], 1500
    generator = np.random.RandomState(0)
    draws = [drawn(y, n_pairs=2, random_state=generator) for _ in range(n)]
    same, different = Counter(s for (s,), _ in draws), Counter(d for _, (d,) in draws)
    expected = dict.fromkeys(every_pair(y)[0], 4 / 30) | {frozenset((4, 5)): 1 / 5}
    for counts, chances in (
        (same, expected),
        (different, dict.fromkeys(every_pair(y)[1], 1 / 8)),
    ):
        for pair, chance in chances.items():
            assert abs(counts[pair] - n * chance) < 5 * np.sqrt(
                n * chance * (1 - chance)
            )


def test_order_and_sides_are_shuffled():
    y = np.repeat([0, 1], 200)
    pairs, same = make_pairs(np.arange(400), y, random_state=0)
    n = len(pairs)
    assert abs(same[: n // 2].sum() - n / 4) < 5 * np.sqrt(n) / 4
    left_is_lower = y[pairs.left[same == 0]] < y[pairs.right[same == 0]]
    assert abs(left_is_lower.sum() - n / 4) < 5 * np.sqrt(n / 2) / 2


def test_lone_labels_take_part_in_different_pairs_only():
    y = np.array([0, 0, 0, 1, 2, 3])
    draws = [drawn(y, random_state=seed) for seed in range(20)]
    assert all({i for pair in same for i in pair} == {0, 1, 2} for same, _ in draws)
    assert {i for _, different in draws for pair in different for i in pair} == set(
        range(6)
    )


@pytest.mark.slow
def test_thousands_of_classes_and_a_big_one():
    y = np.concatenate([np.zeros(40_000, int), np.arange(1, 20_001).repeat(3)])
    pairs, same = make_pairs(np.arange(100_000), y, random_state=0)
    assert pairs.shape == (200_000, 2)
    assert ((y[pairs.left] == y[pairs.right]) == same).all()
    assert (pairs.left != pairs.right).all()
    rows = np.sort(np.column_stack(pairs.sides), axis=1)
    assert len(np.unique(rows @ [100_000, 1])) == len(rows)


SIDES = {
    "images": np.arange(6 * 2 * 3).reshape(6, 2, 3),
    "frame": pd.DataFrame({"a": range(6), "b": list("uvwxyz")}, index=list("uvwxyz")),
    "polars": pl.DataFrame({"a": range(6), "b": list("uvwxyz")}),
    "sparse": sparse.csr_array(np.diag(np.arange(6.0))),
    "list": ["a", "b", "c", "d", "e", "f"],
}


@pytest.mark.slow
@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)
@pytest.mark.parametrize("make", [make_pairs, make_triplets])
@pytest.mark.parametrize(
    "labels", [list, np.array, lambda y: pd.Series(y, index=range(6, 0, -1)), pl.Series]
)
def test_all_kinds_of_rows_and_labels(make, side, labels):
    y = ["b", "a", "b", "a", "c", "b"]
    held = Pairs(side, side)
    made, numbers = (
        make(side, labels(y), random_state=3),
        make(np.arange(6), y, random_state=3),
    )
    if make is make_pairs:
        made, numbers = made[0], numbers[0]
    for values, rows in zip(made.sides, numbers.sides, strict=True):
        assert joblib.hash(values) == joblib.hash(held[rows].left)


@pytest.mark.parametrize("make", [make_pairs, make_triplets])
def test_random_state_alone_decides(make):
    y = np.repeat([0, 1, 2], 20)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = [
        joblib.hash(make(np.arange(60), y, random_state=seed)) for seed in (1, 1, 2)
    ]
    assert first == again
    assert first != other
    generator = np.random.RandomState(0)
    assert joblib.hash(make(y, y, random_state=generator)) != joblib.hash(
        make(y, y, random_state=generator)
    )
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("make", [make_pairs, make_triplets])
@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1, 1, 1], "at least 2 classes, .* got 1 class"),
        ([1, 2, 3], "one class with 2 rows, .* its 3 classes has 1 sample"),
        ([0.5, 1.5, 0.5], "continuous"),
        ([1, 2], "inconsistent numbers of samples"),
        ([[1, 2], [1, 2], [3, 4]], "1d array"),
    ],
)
def test_labels_that_cannot_be_used(make, y, message):
    with pytest.raises(ValueError, match=message):
        make(TABLE[:3], y)


@pytest.mark.parametrize(
    ("make", "params", "error", "message"),
    [
        (
            make_pairs,
            {"n_pairs": 7},
            ValueError,
            "`n_pairs` must be even, half same and half different; got 7",
        ),
        (
            make_pairs,
            {"n_pairs": 0},
            ValueError,
            "`n_pairs` must be an integer of at least 2; got 0",
        ),
        (make_pairs, {"n_pairs": 4.0}, TypeError, "`n_pairs` must be an integer"),
        (
            make_triplets,
            {"n_triplets": 0},
            ValueError,
            "`n_triplets` must be an integer of at least 1; got 0",
        ),
        (
            make_triplets,
            {"n_triplets": "all"},
            TypeError,
            "`n_triplets` must be an integer",
        ),
    ],
)
def test_numbers_that_cannot_be_used(make, params, error, message):
    with pytest.raises(error, match=message):
        make(TABLE, [0, 0, 0, 1, 1, 1], **params)


def every_triplet(y):
    """All triplets by three loops."""
    return {
        (a, p, n)
        for a, p, n in itertools.product(range(len(y)), repeat=3)
        if a != p and y[a] == y[p] and y[a] != y[n]
    }


def drawn_triplets(y, **params):
    made = make_triplets(np.arange(len(y)), y, **params)
    return [tuple(int(i) for i in row) for row in zip(*made.sides, strict=True)]


@pytest.mark.slow
@settings(max_examples=150)
@given(y=LABELS, n_triplets=st.none() | st.integers(1, 150), seed=st.integers(0, 1000))
def test_triplets_are_true_and_anchors_take_turns(y, n_triplets, seed):
    triplets = drawn_triplets(y, n_triplets=n_triplets, random_state=seed)
    possible = every_triplet(y)
    of_anchor = Counter(a for a, _, _ in possible)
    assert len(triplets) == (n_triplets or len(of_anchor))
    assert set(triplets) <= possible
    turns = [Counter(a for a, _, _ in triplets)[a] for a in of_anchor]
    assert max(turns) - min(turns) <= 1
    for triplet, times in Counter(
        triplets
    ).items():  # again only when the anchor's triplets are used up
        in_turn = Counter(a for a, _, _ in triplets)[triplet[0]]
        assert times <= -(-in_turn // of_anchor[triplet[0]])


def test_every_triplet_comes_once_where_as_many_are_asked_for():
    """Two classes of 3 rows: each of 6 anchors has 2 * 3 triplets."""
    y = [0, 1, 0, 1, 0, 1]
    assert Counter(drawn_triplets(y, n_triplets=36, random_state=0)) == dict.fromkeys(
        every_triplet(y), 1
    )


@pytest.mark.slow
def test_every_triplet_of_an_anchor_is_equally_likely():
    """Anchors 0, 1, 2 have 2 * 3 triplets each, anchors 3, 4 have 1 * 4, the lone label
    never is one.
    """
    y, n = [0, 0, 0, 1, 1, 2], 1000
    generator = np.random.RandomState(0)
    counts = Counter(
        t for _ in range(n) for t in drawn_triplets(y, random_state=generator)
    )
    assert len(counts) == 3 * 6 + 2 * 4
    for (anchor, _, _), count in counts.items():
        chance = 1 / 6 if y[anchor] == 0 else 1 / 4
        assert abs(count - n * chance) < 5 * np.sqrt(n * chance * (1 - chance))


def test_triplets_of_thousands_of_classes():
    y = np.concatenate([np.zeros(40_000, int), np.arange(1, 20_001).repeat(3)])
    triplets = make_triplets(np.arange(100_000), y, n_triplets=150_000, random_state=0)
    assert (y[triplets.anchor] == y[triplets.positive]).all()
    assert (y[triplets.anchor] != y[triplets.negative]).all()
    assert (triplets.anchor != triplets.positive).all()


CLASS_NUMBERS = st.lists(st.integers(0, 4), min_size=1, max_size=25).map(
    lambda y: np.unique(
        np.random.default_rng(len(y)).permutation(y), return_inverse=True
    )[1]
)


def draw(labels, n_same, n_different, seed):
    """Unordered pairs of row numbers: those drawn as the same, those drawn as
    different.
    """
    rows = draw_pairs(labels, n_same, n_different, np.random.default_rng(seed))
    assert rows.shape == (n_same + n_different, 2)
    pairs = [frozenset(pair) for pair in rows.tolist()]
    return pairs[:n_same], pairs[n_same:]


@pytest.mark.slow
@settings(max_examples=100)
@given(labels=CLASS_NUMBERS)
def test_count_of_pairs(labels):
    same, different = every_pair(labels)
    found = count_pairs(labels)
    assert found == (len(same), len(different))
    assert all(isinstance(number, int) for number in found)


def test_count_of_more_pairs_than_fit_into_32_bits():
    """Two classes of n rows: n (n - 1) same pairs, n^2 different ones."""
    n = 100_000
    assert count_pairs(np.repeat([0, 1], n)) == (n * (n - 1), n * n)


@pytest.mark.slow
@settings(max_examples=150)
@given(labels=CLASS_NUMBERS, data=st.data(), seed=st.integers(0, 1000))
def test_drawn_pairs_are_distinct_and_the_same_ones_come_first(labels, data, seed):
    every_same, every_different = every_pair(labels)
    n_same = data.draw(st.integers(0, len(every_same)))
    n_different = data.draw(st.integers(0, len(every_different)))
    same, different = draw(labels, n_same, n_different, seed)
    assert len(set(same)) == n_same
    assert len(set(different)) == n_different
    assert set(same) <= every_same
    assert set(different) <= every_different


@pytest.mark.slow
@settings(max_examples=50)
@given(labels=CLASS_NUMBERS, seed=st.integers(0, 1000))
def test_all_pairs_are_drawn_if_as_many_are_asked_for(labels, seed):
    same, different = draw(labels, *count_pairs(labels), seed)
    assert (set(same), set(different)) == every_pair(labels)


def test_the_generator_alone_decides_which_pairs_are_drawn():
    labels = np.repeat([0, 1, 2], 20)
    first, again, other = (draw(labels, 10, 25, seed) for seed in (1, 1, 2))
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]
