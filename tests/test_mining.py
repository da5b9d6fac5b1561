"""Miners against loops over every anchor, positive and negative.

Distances are random matrices that are not symmetric, so that rows and columns cannot be
taken for each other.
"""

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seeds import torch_seed
from siamese_sklearn.mining import (
    MINERS,
    easy_positive,
    every_triplet,
    hard,
    pair_masks,
    random_negative,
    semihard,
)

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=12)
NO_TRIPLETS = [[0], [0, 0, 0], [0, 1, 2], [5, 5]]


def positives(labels, anchor):
    return [
        p for p, label in enumerate(labels) if label == labels[anchor] and p != anchor
    ]


def negatives(labels, anchor):
    return [n for n, label in enumerate(labels) if label != labels[anchor]]


def naive_semihard(distance, labels, anchor):
    for p in positives(labels, anchor):
        farther = [
            n
            for n in negatives(labels, anchor)
            if distance[anchor][n] > distance[anchor][p]
        ]
        if farther:
            yield p, min(farther, key=distance[anchor].__getitem__)


def naive_hard(distance, labels, anchor):
    same, different = positives(labels, anchor), negatives(labels, anchor)
    if same and different:
        row = distance[anchor].__getitem__
        yield max(same, key=row), min(different, key=row)


def naive_easy_positive(distance, labels, anchor):
    same, different = positives(labels, anchor), negatives(labels, anchor)
    if same and different:
        row = distance[anchor].__getitem__
        yield min(same, key=row), min(different, key=row)


NAIVE = {
    "semihard": naive_semihard,
    "hard": naive_hard,
    "easy_positive": naive_easy_positive,
}


def random_distance(n, seed):
    return torch.rand(
        n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def mined(miner, distance, labels):
    triples = miner(distance, *pair_masks(torch.tensor(labels)))
    assert all(side.dtype == torch.int64 and side.ndim == 1 for side in triples)
    return list(zip(*(side.tolist() for side in triples), strict=True))


def test_every_miner_is_compared():
    assert set(NAIVE) | {"random"} == set(MINERS)
    assert MINERS["random"] is random_negative
    assert [MINERS[name] for name in ("semihard", "hard", "easy_positive")] == [
        semihard,
        hard,
        easy_positive,
    ]


def test_masks_of_pairs():
    positive, negative = pair_masks(torch.tensor([3, 3, -1, 3]))
    assert positive.tolist() == [
        [False, True, False, True],
        [True, False, False, True],
        [False, False, False, False],
        [True, True, False, False],
    ]
    assert negative.tolist() == [
        [False, False, True, False],
        [False, False, True, False],
        [True, True, False, True],
        [False, False, True, False],
    ]


@pytest.mark.slow
@settings(max_examples=150)
@given(labels=LABELS, name=st.sampled_from(sorted(NAIVE)), seed=st.integers(0, 10**6))
def test_a_miner_takes_what_loops_take(labels, name, seed):
    distance = random_distance(len(labels), seed)
    rows = distance.tolist()
    expected = [
        (a, p, n) for a in range(len(labels)) for p, n in NAIVE[name](rows, labels, a)
    ]
    assert mined(MINERS[name], distance, labels) == expected


@pytest.mark.slow
@settings(max_examples=100)
@given(labels=LABELS, name=st.sampled_from(sorted(NAIVE)), data=st.data())
def test_ties_cost_no_triplet(labels, name, data):
    """Which of several equal distances is taken is open; the distances that are taken
    are not.
    """
    n = len(labels)
    rows = data.draw(
        st.lists(
            st.lists(st.integers(0, 2), min_size=n, max_size=n), min_size=n, max_size=n
        )
    )
    expected = [
        (a, p, n) for a in range(len(labels)) for p, n in NAIVE[name](rows, labels, a)
    ]
    ours = mined(MINERS[name], torch.tensor(rows, dtype=torch.float32), labels)
    assert all(
        labels[a] == labels[p] and a != p and labels[a] != labels[n] for a, p, n in ours
    )
    assert [(a, rows[a][p], rows[a][n]) for a, p, n in ours] == [
        (a, rows[a][p], rows[a][n]) for a, p, n in expected
    ]


def test_a_negative_as_far_as_the_positive_is_not_semihard():
    distance = torch.tensor(
        [[0.0, 1.0, 1.0, 2.0], [1.0, 0.0, 1.0, 1.0], [0.0] * 4, [0.0] * 4]
    )
    assert mined(semihard, distance, [0, 0, 1, 2]) == [(0, 1, 3)]


@pytest.mark.slow
@settings(max_examples=100)
@given(labels=LABELS, seed=st.integers(0, 10**6))
def test_random_takes_each_positive_pair_once_with_a_true_negative(labels, seed):
    with torch_seed(seed):
        ours = mined(random_negative, random_distance(len(labels), 0), labels)
        torch.manual_seed(seed)
        again = mined(random_negative, random_distance(len(labels), 1), labels)
    expected = [
        (a, p)
        for a in range(len(labels))
        if negatives(labels, a)
        for p in positives(labels, a)
    ]
    assert [(a, p) for a, p, _ in ours] == expected
    assert all(n in negatives(labels, a) for a, _, n in ours)
    assert ours == again


def test_random_takes_each_negative_equally_often():
    """20 rows of class 0, 5 others: 380 pairs, 76 draws a negative, with a standard
    deviation of 7.8.
    """
    with torch_seed():
        ours = mined(random_negative, torch.zeros(25, 25), [0] * 20 + [1, 2, 3, 4, 5])
    drawn = Counter(n for _, _, n in ours)
    assert set(drawn) == {20, 21, 22, 23, 24}
    assert all(abs(n_draws - 76) < 4 * 7.8 for n_draws in drawn.values())


@pytest.mark.parametrize("labels", NO_TRIPLETS)
@pytest.mark.parametrize("name", sorted(MINERS))
def test_a_batch_without_triplets_gives_none(name, labels):
    assert mined(MINERS[name], random_distance(len(labels), 0), labels) == []


@pytest.mark.parametrize("name", sorted(MINERS))
def test_anchors_without_positives_or_without_negatives_are_left_out(name):
    """Row 3 is alone in its class: never an anchor, always somebody's negative."""
    ours = mined(
        MINERS[name],
        random_distance(4, 0) + torch.tensor([0.0, 0.0, 0.0, 1.0]),
        [0, 0, 0, 1],
    )
    assert {a for a, _, _ in ours} == {0, 1, 2}
    assert {n for _, _, n in ours} == {3}


def naive_weights(rows, labels, margin):
    """Weight of each distance and number of active triplets, by three loops."""
    weight = [[0] * len(labels) for _ in labels]
    n_active = 0
    for a in range(len(labels)):
        for p, n in itertools.product(positives(labels, a), negatives(labels, a)):
            if rows[a][p] - rows[a][n] + margin > 0:
                weight[a][p] += 1
                weight[a][n] -= 1
                n_active += 1
    return weight, n_active


@pytest.mark.slow
@settings(max_examples=200)
@given(
    labels=LABELS,
    margin=st.integers(0, 3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    data=st.data(),
)
def test_every_triplet_counts_as_three_loops_do_ties_included(
    labels, margin, dtype, data
):
    """Small integers are exact in floating point, and meet the margin exactly in many
    triplets.
    """
    n = len(labels)
    rows = data.draw(
        st.lists(
            st.lists(st.integers(0, 5), min_size=n, max_size=n), min_size=n, max_size=n
        )
    )
    weight, n_active = every_triplet(
        torch.tensor(rows, dtype=dtype), *pair_masks(torch.tensor(labels)), margin
    )
    expected_weight, expected_n_active = naive_weights(rows, labels, margin)
    assert weight.dtype == dtype
    assert weight.tolist() == expected_weight
    assert n_active.shape == ()
    assert n_active.item() == expected_n_active


@pytest.mark.parametrize("labels", NO_TRIPLETS)
def test_every_triplet_of_a_batch_without_any_has_no_weight(labels):
    weight, n_active = every_triplet(
        torch.zeros(len(labels), len(labels)), *pair_masks(torch.tensor(labels)), 1.0
    )
    assert (weight == 0).all()
    assert n_active == 0


def test_every_triplet_counts_more_than_float32_can():
    """Two classes of 270: 39 million triplets, all active at a margin of 2 but that at
    distances 0, 2.
    """
    labels = torch.tensor([0] * 270 + [1] * 270)
    distance = torch.ones(540, 540)
    distance[0, 1], distance[0, 270] = 0.0, 2.0
    _, n_active = every_triplet(distance, *pair_masks(labels), 2.0)
    n_triplets = 540 * 269 * 270
    assert n_triplets > 2**24
    assert n_active.item() == n_triplets - 1


@pytest.mark.parametrize("name", sorted(MINERS))
def test_a_transposed_distance_mines_without_a_warning(name):
    distance = random_distance(6, 0)
    with torch_seed():
        ours = mined(MINERS[name], distance.T, [0, 0, 1, 1, 2, 2])
        torch.manual_seed(0)
        assert ours == mined(MINERS[name], distance.T.contiguous(), [0, 0, 1, 1, 2, 2])
