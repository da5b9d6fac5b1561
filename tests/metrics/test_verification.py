"""Verification measures against plain loops, and the laws they obey."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import det_curve, roc_curve

from siamese_sklearn.metrics import (
    _verification,
    eer,
    far_frr_curve,
    make_tar_at_far_scorer,
    pair_scores,
    tar_at_far,
)

DISTANCES = {
    "euclidean": lambda a, b: math.sqrt(
        sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    ),
    "sqeuclidean": lambda a, b: sum((x - y) ** 2 for x, y in zip(a, b, strict=True)),
    "manhattan": lambda a, b: sum(abs(x - y) for x, y in zip(a, b, strict=True)),
    "cosine": lambda a, b: 1 - np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b),
}


@st.composite
def scored_pairs(draw):
    """Pairs of both kinds with scores from a few whole numbers, so that many
    are equal.
    """
    n = draw(st.integers(2, 15))
    same = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    score = draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n))
    assume(any(same) and not all(same))
    return np.array(same), np.array(score, dtype=float)


def naive_rates(same, score, threshold):
    different_accepted = [
        s >= threshold for k, s in zip(same, score, strict=True) if not k
    ]
    same_rejected = [s < threshold for k, s in zip(same, score, strict=True) if k]
    return sum(different_accepted) / len(different_accepted), sum(same_rejected) / len(
        same_rejected
    )


@pytest.mark.slow
@given(scored_pairs())
def test_curve_equals_counting_at_each_threshold(pairs):
    far, frr, thresholds = far_frr_curve(*pairs)
    assert thresholds.tolist() == [math.inf, *sorted(set(pairs[1]), reverse=True)]
    assert list(zip(far, frr, strict=True)) == [
        naive_rates(*pairs, t) for t in thresholds
    ]


@pytest.mark.slow
@given(scored_pairs())
def test_curve_is_monotone_from_nothing_to_everything(pairs):
    far, frr, _ = far_frr_curve(*pairs)
    assert (far[0], frr[0], far[-1], frr[-1]) == (0.0, 1.0, 1.0, 0.0)
    assert (np.diff(far) >= 0).all()
    assert (np.diff(frr) <= 0).all()


@pytest.mark.slow
@given(scored_pairs())
@settings(max_examples=30)
def test_curve_agrees_with_scikit_learn(pairs):
    far, frr, thresholds = far_frr_curve(*pairs)
    false_positives, true_positives, roc_thresholds = roc_curve(
        *pairs, drop_intermediate=False
    )
    np.testing.assert_array_equal(thresholds, roc_thresholds)
    np.testing.assert_allclose(far, false_positives)
    np.testing.assert_allclose(frr, 1 - true_positives, atol=1e-12)
    points = set(zip(far.round(12), frr.round(12), strict=True))
    assert points >= set(
        zip(*(rate.round(12) for rate in det_curve(*pairs)[:2]), strict=True)
    )


def test_eer_by_hand():
    """Going down s s d s d d, after the third pair one of three d is accepted and one
    of three s is not.
    """
    assert eer([1, 1, 0, 1, 0, 0], [6, 5, 4, 3, 2, 1]) == pytest.approx(1 / 3)


def test_eer_is_interpolated_between_points():
    """Three tied: both same and 1 of 2 different. From (0, 1) to (1/2, 0) they meet at
    FAR = 1 - 2 FAR.
    """
    assert eer([1, 1, 0, 0], [1, 1, 1, 0]) == pytest.approx(1 / 3)


@pytest.mark.slow
@given(scored_pairs())
def test_eer_is_where_the_rates_cross(pairs):
    """On each straight piece of the curve solve FAR = FRR; every piece that holds its
    solution agrees.
    """
    far, frr, _ = far_frr_curve(*pairs)
    crossings = []
    for i in range(len(far) - 1):
        slope = (far[i + 1] - far[i]) - (frr[i + 1] - frr[i])
        share = (frr[i] - far[i]) / slope
        if -1e-12 <= share <= 1 + 1e-12:
            crossings.append(far[i] + share * (far[i + 1] - far[i]))
    assert crossings == pytest.approx([eer(*pairs)] * len(crossings))
    assert crossings


@pytest.mark.slow
@given(scored_pairs())
def test_eer_does_not_change_when_kinds_and_scores_are_turned_round(pairs):
    same, score = pairs
    assert eer(~same, -score) == pytest.approx(eer(same, score))


@pytest.mark.slow
@given(
    scored_pairs(),
    st.sampled_from([0.0, 0.01, 0.2, 0.5, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_increasing_transforms_and_order_change_nothing(pairs, far, seed):
    same, score = pairs
    order = np.random.default_rng(seed).permutation(len(same))
    other = same[order], np.exp(score[order]) * 3 - 7
    assert eer(*other) == pytest.approx(eer(*pairs))
    assert tar_at_far(*other, far) == tar_at_far(*pairs, far)


@pytest.mark.parametrize(
    ("score", "expected"),
    [([3, 2, 1, 0], 0.0), ([0, 1, 2, 3], 1.0), ([5, 5, 5, 5], 0.5)],
)
def test_eer_of_perfect_reversed_and_constant_scores(score, expected):
    assert eer([True, True, False, False], score) == expected


@pytest.mark.slow
@given(scored_pairs(), st.floats(0, 1))
def test_tar_at_far_is_the_best_of_all_thresholds(pairs, far):
    rates = [naive_rates(*pairs, t) for t in [math.inf, *pairs[1]]]
    best = max(1 - frr for far_found, frr in rates if far_found <= far)
    assert tar_at_far(*pairs, far) == pytest.approx(best)


def test_tar_at_far_meets_decimal_rates_exactly():
    """3 of 10 different pairs above the last same pair: allowed at 0.3, not below."""
    same, score = [1] + [0] * 10, [5] + [6] * 3 + [1] * 7
    assert tar_at_far(same, score, 0.3) == 1.0
    assert tar_at_far(same, score, np.nextafter(0.3, 0)) == 0.0


@pytest.mark.parametrize("measure", [eer, far_frr_curve, tar_at_far])
@pytest.mark.parametrize(
    ("same", "score", "message"),
    [
        ([1, 1], [0.1, 0.2], "both kinds of pairs.*got 2 same and 0 different"),
        ([0, 0], [0.1, 0.2], "both kinds of pairs.*got 0 same and 2 different"),
        ([], [], "both kinds"),
        ([1, 0], [0.1, math.nan], "`score` must be finite; 1 of its values are NaN"),
        ([1, 0], [0.1, math.inf], "`score` must be finite"),
        ([1, -1], [0.1, 0.2], r"`same` must be 1 \(same\) or 0 \(different\).*\[-1\]"),
        (["1", "0"], [0.1, 0.2], r"`same` must be 1 \(same\) or 0 \(different\)"),
        ([1, 0, 1], [0.1, 0.2], r"the same shape \(n,\); got \(3,\) and \(2,\)"),
        ([[1], [0]], [[0.1], [0.2]], "the same shape"),
    ],
)
def test_verification_errors_say_what_is_wrong(measure, same, score, message):
    with pytest.raises(ValueError, match=message):
        measure(same, score)


@pytest.mark.parametrize("far", [-0.1, 1.1])
def test_far_out_of_range_is_an_error(far):
    with pytest.raises(ValueError, match="`far` must be a finite number"):
        tar_at_far([1, 0], [1, 0], far)
    with pytest.raises(ValueError, match="`far` must be a finite number"):
        make_tar_at_far_scorer(far)


@pytest.mark.parametrize("distance", list(DISTANCES))
@pytest.mark.parametrize("chunk_bytes", [1, 100, 2**20])
def test_pair_scores_are_those_of_all_pairs(distance, chunk_bytes):
    rng = np.random.default_rng(5)
    rows, labels = rng.normal(size=(9, 3)), np.array(list("abcabcaad"))
    expected = sorted(
        (int(labels[i] == labels[j]), -DISTANCES[distance](rows[i], rows[j]))
        for i, j in combinations(range(9), 2)
    )
    with mock.patch.object(_verification, "CHUNK_BYTES", chunk_bytes):
        same, score = pair_scores(rows, labels, distance=distance)
    found = sorted(zip(same.tolist(), score.tolist(), strict=True))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def pairs_by_score(labels, **options):
    """The drawn pairs themselves: among powers of two every difference tells which two
    it came from.
    """
    place = 2.0 ** np.arange(len(labels))
    pair_at = {
        place[j] - place[i]: (i, j) for i, j in combinations(range(len(labels)), 2)
    }
    same, score = pair_scores(place[:, None], labels, **options)
    return same, [pair_at[-s] for s in score]


@pytest.mark.parametrize(
    ("labels", "max_pairs", "n_same", "n_different"),
    [
        ([0, 1, 2, 3] * 5, 50, 25, 25),  # 40 same and 150 different pairs exist
        ([0, 1, 2, 3] * 5, 51, 25, 26),
        (
            [0, 1, 2, 3] * 5,
            180,
            40,
            140,
        ),  # too few same pairs: more of the different ones
        ([0] * 19 + [1], 100, 81, 19),  # too few different pairs: more of the same ones
        ([0, 1, 2, 3] * 5, 190, 40, 150),  # all
    ],
)
def test_a_sample_is_half_same_and_half_different_and_never_repeats(
    labels, max_pairs, n_same, n_different
):
    same, pairs = pairs_by_score(labels, max_pairs=max_pairs, random_state=0)
    assert len(set(pairs)) == len(pairs) == max_pairs
    assert [int(labels[i] == labels[j]) for i, j in pairs] == same.tolist()
    assert (same.sum(), len(same) - same.sum()) == (n_same, n_different)


# the two ways to draw: by rejection and by permutation
@pytest.mark.slow
@pytest.mark.parametrize("max_pairs", [8, 60])
def test_each_pair_of_a_kind_is_drawn_equally_often(max_pairs):
    """Counts over 400 draws are binomial: none of 210 lies 5 standard deviations off
    but by a bias.
    """
    labels = [0] * 10 + [1] * 6 + [2] * 4 + [3]
    counts = Counter(
        pair
        for seed in range(400)
        for pair in pairs_by_score(labels, max_pairs=max_pairs, random_state=seed)[1]
    )
    n_same = 45 + 15 + 6
    for i, j in combinations(range(21), 2):
        share = max_pairs / 2 / (n_same if labels[i] == labels[j] else 210 - n_same)
        assert abs(counts[i, j] - 400 * share) < 5 * math.sqrt(
            400 * share * (1 - share)
        )


def test_sampling_is_repeatable_and_leaves_the_global_generator_alone():
    rng = np.random.default_rng(6)
    rows, labels = rng.normal(size=(200, 2)), rng.integers(9, size=200)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second, other = (
        pair_scores(rows, labels, max_pairs=100, random_state=seed)[1]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_many_classes_are_sampled_without_all_their_pairs():
    """6,000 rows in 3,000 classes have 3,000 same pairs and 18 million
    different ones.
    """
    labels = np.arange(6_000) % 3_000
    same, score = pair_scores(labels[:, None], labels, max_pairs=10_000, random_state=0)
    assert (same.sum(), len(same)) == (3_000, 10_000)
    assert (score[same == 1] == 0).all()
    assert (score[same == 0] < 0).all()


def test_pair_scores_errors_say_what_is_wrong():
    with pytest.raises(
        ValueError, match="`max_pairs` must be an integer of at least 2"
    ):
        pair_scores([[0.0], [1.0]], [0, 0], max_pairs=1)
    with pytest.raises(ValueError, match="`distance` must be one of"):
        pair_scores([[0.0], [1.0]], [0, 0], distance="l2")
    with pytest.raises(ValueError, match="`labels` must have one label per row"):
        pair_scores([[0.0], [1.0]], [0])
