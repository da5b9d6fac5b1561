"""Retrieval and verification measures against plain loops, and the laws they obey."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from itertools import combinations
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.metrics import det_curve, roc_auc_score, roc_curve
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from siamese_sklearn import (
    Pairs,
    PairTransformer,
    SiameseEmbedder,
    SiamesePairClassifier,
    make_pairs,
    metrics,
)
from siamese_sklearn.metrics import (
    _retrieval,
    _verification,
    eer,
    far_frr_curve,
    make_tar_at_far_scorer,
    map_at_r,
    map_at_r_scorer,
    neg_eer_scorer,
    pair_scores,
    r_precision,
    r_precision_scorer,
    recall_at_1_scorer,
    recall_at_k,
    tar_at_far,
    tar_at_far_scorer,
    verification_auc_scorer,
)

DISTANCES = {
    "euclidean": lambda a, b: math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True))),
    "sqeuclidean": lambda a, b: sum((x - y) ** 2 for x, y in zip(a, b, strict=True)),
    "manhattan": lambda a, b: sum(abs(x - y) for x, y in zip(a, b, strict=True)),
    "cosine": lambda a, b: 1 - np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b),
}


def naive_retrieval(measure, queries, labels, gallery, gallery_labels, distance, leave_one_out):
    """Mean of `measure` over the queries; sorting (distance, relevant) puts relevant rows last in ties."""
    values = []
    for q, (row, label) in enumerate(zip(queries, labels, strict=True)):
        ranking = sorted(
            (DISTANCES[distance](row, other), other_label == label)
            for g, (other, other_label) in enumerate(zip(gallery, gallery_labels, strict=True))
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
    "recall_at_3": (lambda *args, **kw: recall_at_k(*args, k=3, **kw), lambda relevant, r: any(relevant[:3])),
    "r_precision": (r_precision, lambda relevant, r: sum(relevant[:r]) / r),
    "map_at_r": (map_at_r, naive_map_at_r),
}
measures = pytest.mark.parametrize("name", list(MEASURES))


@st.composite
def grids(draw, max_rows=12):
    """Rows of small whole numbers, full of ties and duplicates, and labels of which one occurs twice."""
    n, d = draw(st.integers(2, max_rows)), draw(st.integers(1, 3))
    rows = draw(st.lists(st.lists(st.integers(-2, 2), min_size=d, max_size=d), min_size=n, max_size=n))
    labels = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    assume(len(set(labels)) < n)
    return rows, labels


@measures
@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean", "manhattan"])
@given(data=grids())
@settings(max_examples=40, deadline=None)
def test_leave_one_out_equals_an_explicit_loop(name, distance, data):
    rows, labels = data
    measure, naive = MEASURES[name]
    expected = naive_retrieval(naive, rows, labels, rows, labels, distance, leave_one_out=True)
    assert measure(rows, labels, distance=distance) == pytest.approx(expected)


@measures
@given(data=grids(), split=st.integers(1, 11))
@settings(max_examples=40, deadline=None)
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
        naive, queries, query_labels, gallery, gallery_labels, "euclidean", leave_one_out=False
    )
    found = measure(queries, query_labels, gallery=gallery, gallery_labels=gallery_labels)
    assert found == pytest.approx(expected)


@measures
@pytest.mark.parametrize("distance", list(DISTANCES))
def test_real_numbers_equal_an_explicit_loop_for_every_distance(name, distance):
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=40)
    rows = rng.normal(size=(40, 5)) * rng.uniform(0.1, 10, size=(40, 1)) + labels[:, None]
    measure, naive = MEASURES[name]
    expected = naive_retrieval(naive, rows, labels, rows, labels, distance, leave_one_out=True)
    assert measure(rows, labels, distance=distance) == pytest.approx(expected)


def test_map_at_r_by_hand():
    """Places 0 1 3 5, labels a a b a; each a has R = 2, b has none and does not count.

    From 0: 1 (a), 3 (b): (1/1) / 2 = 1/2. From 1: 0 (a), 3 (b): 1/2. From 5: 3 (b), 1 (a): (1/2) / 2 = 1/4.
    """
    assert map_at_r([[0], [1], [3], [5]], list("aaba")) == pytest.approx((1 / 2 + 1 / 2 + 1 / 4) / 3)


@measures
@given(data=grids(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_row_order_and_label_names_do_not_matter(name, data, seed):
    rows, labels = np.array(data[0]), np.array(data[1])
    order = np.random.default_rng(seed).permutation(len(rows))
    names = np.array(["zebra", "ant", "7"])
    measure = MEASURES[name][0]
    assert measure(rows[order], names[labels[order]]) == pytest.approx(measure(rows, labels))


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
    """Each class has 10 of 30 equal rows: 20 irrelevant ones come before the first relevant one."""
    rows = np.tile(np.random.default_rng(2).normal(size=37).astype(np.float32), (30, 1))
    assert MEASURES[name][0](rows, np.repeat([0, 1, 2], 10), distance=distance) == 0.0


@measures
def test_rows_of_one_direction_are_cosine_ties(name):
    rng = np.random.default_rng(3)
    rows = rng.uniform(0.1, 10, size=(30, 1)) * rng.normal(size=5)
    assert MEASURES[name][0](rows, np.repeat([0, 1, 2], 10), distance="cosine") == 0.0


@pytest.mark.parametrize("distance", list(DISTANCES))
def test_identical_gallery_rows_are_ties_to_every_query(distance):
    """Every place is held by one row of either class, so the nearest place has a relevant row and another."""
    rng = np.random.default_rng(4)
    places = rng.normal(size=(101, 33))
    gallery, gallery_labels = np.vstack([places, places]), np.repeat([0, 1], 101)
    queries, labels = rng.normal(size=(60, 33)), rng.integers(2, size=60)
    options = {"gallery": gallery, "gallery_labels": gallery_labels, "distance": distance}
    assert recall_at_k(queries, labels, k=1, **options) == 0.0
    assert recall_at_k(queries, labels, k=2, **options) == 1.0


@measures
def test_ties_of_identical_rows_do_not_hang_on_the_matrix_product(name):
    """A matrix product may round each column its own way: here each is off by noise of its own."""
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
    """From 0 all is equally far, so its relevant row is last of 3; the others see each other or 0 first."""
    rows, labels = [[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-2.0, 0.0]], [0, 0, 1, 1]
    assert recall_at_k(rows, labels, distance="cosine") == 3 / 4  # row 1 finds row 0 before its opposites


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: map_at_r([[0.0], [1.0]], ["a", "b"]), "no label in `labels` occurs twice"),
        (lambda: map_at_r([[0.0]], [0], gallery=[[1.0]], gallery_labels=[1]), "share no label"),
        (lambda: map_at_r([[0.0]], [0], gallery=[[1.0]]), "`gallery` came without `gallery_labels`"),
        (lambda: map_at_r([[0.0]], [0], gallery_labels=[1]), "`gallery_labels` came without `gallery`"),
        (
            lambda: map_at_r([[0.0]], [0], gallery=[[1.0, 2.0]], gallery_labels=[0]),
            "`gallery` must have as many columns",
        ),
        (lambda: r_precision([0.0, 1.0], [0, 0]), r"`embeddings` must have shape \(n, d\)"),
        (lambda: r_precision([[0.0], [1.0]], [0]), "`labels` must have a label per row of `embeddings`"),
        (lambda: recall_at_k([[0.0], [math.nan]], [0, 0]), "`embeddings` must be finite"),
        (lambda: recall_at_k([[0.0], [math.inf]], [0, 0]), "`embeddings` must be finite"),
        (lambda: recall_at_k([[0.0], [1.0]], [0, 0], k=0), "`k` must be an integer of at least 1"),
        (lambda: recall_at_k([[0.0], [1.0]], [0, 0], distance="euclidian"), "Did you mean 'euclidean'"),
    ],
)
def test_retrieval_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@st.composite
def scored_pairs(draw):
    """Pairs of both kinds with scores from a few whole numbers, so that many are equal."""
    n = draw(st.integers(2, 15))
    same = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    score = draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n))
    assume(any(same) and not all(same))
    return np.array(same), np.array(score, dtype=float)


def naive_rates(same, score, threshold):
    different_accepted = [s >= threshold for k, s in zip(same, score, strict=True) if not k]
    same_rejected = [s < threshold for k, s in zip(same, score, strict=True) if k]
    return sum(different_accepted) / len(different_accepted), sum(same_rejected) / len(same_rejected)


@given(scored_pairs())
@settings(deadline=None)
def test_curve_equals_counting_at_each_threshold(pairs):
    far, frr, thresholds = far_frr_curve(*pairs)
    assert thresholds.tolist() == [math.inf, *sorted(set(pairs[1]), reverse=True)]
    assert list(zip(far, frr, strict=True)) == [naive_rates(*pairs, t) for t in thresholds]


@given(scored_pairs())
@settings(deadline=None)
def test_curve_is_monotone_from_nothing_to_everything(pairs):
    far, frr, _ = far_frr_curve(*pairs)
    assert (far[0], frr[0], far[-1], frr[-1]) == (0.0, 1.0, 1.0, 0.0)
    assert (np.diff(far) >= 0).all()
    assert (np.diff(frr) <= 0).all()


@given(scored_pairs())
@settings(max_examples=30, deadline=None)
def test_curve_agrees_with_scikit_learn(pairs):
    far, frr, thresholds = far_frr_curve(*pairs)
    false_positives, true_positives, roc_thresholds = roc_curve(*pairs, drop_intermediate=False)
    np.testing.assert_array_equal(thresholds, roc_thresholds)
    np.testing.assert_allclose(far, false_positives)
    np.testing.assert_allclose(frr, 1 - true_positives, atol=1e-12)
    points = set(zip(far.round(12), frr.round(12), strict=True))
    assert points >= set(zip(*(rate.round(12) for rate in det_curve(*pairs)[:2]), strict=True))


def test_eer_by_hand():
    """Going down s s d s d d, after the third pair one of three d is accepted and one of three s is not."""
    assert eer([1, 1, 0, 1, 0, 0], [6, 5, 4, 3, 2, 1]) == pytest.approx(1 / 3)


def test_eer_is_interpolated_between_points():
    """Three tied: both same and 1 of 2 different. From (0, 1) to (1/2, 0) they meet at FAR = 1 - 2 FAR."""
    assert eer([1, 1, 0, 0], [1, 1, 1, 0]) == pytest.approx(1 / 3)


@given(scored_pairs())
@settings(deadline=None)
def test_eer_is_where_the_rates_cross(pairs):
    """On each straight piece of the curve solve FAR = FRR; every piece that holds its solution agrees."""
    far, frr, _ = far_frr_curve(*pairs)
    crossings = []
    for i in range(len(far) - 1):
        slope = (far[i + 1] - far[i]) - (frr[i + 1] - frr[i])
        share = (frr[i] - far[i]) / slope
        if -1e-12 <= share <= 1 + 1e-12:
            crossings.append(far[i] + share * (far[i + 1] - far[i]))
    assert crossings == pytest.approx([eer(*pairs)] * len(crossings))
    assert crossings


@given(scored_pairs())
@settings(deadline=None)
def test_eer_does_not_change_when_kinds_and_scores_are_turned_round(pairs):
    same, score = pairs
    assert eer(~same, -score) == pytest.approx(eer(same, score))


@given(scored_pairs(), st.sampled_from([0.0, 0.01, 0.2, 0.5, 1.0]), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_increasing_transforms_and_order_change_nothing(pairs, far, seed):
    same, score = pairs
    order = np.random.default_rng(seed).permutation(len(same))
    other = same[order], np.exp(score[order]) * 3 - 7
    assert eer(*other) == pytest.approx(eer(*pairs))
    assert tar_at_far(*other, far) == tar_at_far(*pairs, far)


@pytest.mark.parametrize(
    ("score", "expected"), [([3, 2, 1, 0], 0.0), ([0, 1, 2, 3], 1.0), ([5, 5, 5, 5], 0.5)]
)
def test_eer_of_perfect_reversed_and_constant_scores(score, expected):
    assert eer([True, True, False, False], score) == expected


@given(scored_pairs(), st.floats(0, 1))
@settings(deadline=None)
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
        ([1, 0], [0.1, math.nan], "`score` must be finite; 1 are NaN"),
        ([1, 0], [0.1, math.inf], "`score` must be finite"),
        ([1, -1], [0.1, 0.2], r"`same` must be 1 \(same\) or 0 \(different\).*\[-1\]"),
        (["1", "0"], [0.1, 0.2], r"`same` must be 1 \(same\) or 0 \(different\)"),
        ([1, 0, 1], [0.1, 0.2], r"one shape \(n,\); got \(3,\) and \(2,\)"),
        ([[1], [0]], [[0.1], [0.2]], "one shape"),
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
    """The drawn pairs themselves: among powers of two every difference tells which two it came from."""
    place = 2.0 ** np.arange(len(labels))
    pair_at = {place[j] - place[i]: (i, j) for i, j in combinations(range(len(labels)), 2)}
    same, score = pair_scores(place[:, None], labels, **options)
    return same, [pair_at[-s] for s in score]


@pytest.mark.parametrize(
    ("labels", "max_pairs", "n_same", "n_different"),
    [
        ([0, 1, 2, 3] * 5, 50, 25, 25),  # 40 same and 150 different pairs exist
        ([0, 1, 2, 3] * 5, 51, 25, 26),
        ([0, 1, 2, 3] * 5, 180, 40, 140),  # too few same pairs: more of the different ones
        ([0] * 19 + [1], 100, 81, 19),  # too few different pairs: more of the same ones
        ([0, 1, 2, 3] * 5, 190, 40, 150),  # all
    ],
)
def test_a_sample_is_half_same_and_half_different_and_never_repeats(labels, max_pairs, n_same, n_different):
    same, pairs = pairs_by_score(labels, max_pairs=max_pairs, random_state=0)
    assert len(set(pairs)) == len(pairs) == max_pairs
    assert [int(labels[i] == labels[j]) for i, j in pairs] == same.tolist()
    assert (same.sum(), len(same) - same.sum()) == (n_same, n_different)


@pytest.mark.parametrize("max_pairs", [8, 60])  # the two ways to draw: by rejection and by permutation
def test_each_pair_of_a_kind_is_drawn_equally_often(max_pairs):
    """Counts over 400 draws are binomial: none of 210 lies 5 standard deviations off but by a bias."""
    labels = [0] * 10 + [1] * 6 + [2] * 4 + [3]
    counts = Counter(
        pair
        for seed in range(400)
        for pair in pairs_by_score(labels, max_pairs=max_pairs, random_state=seed)[1]
    )
    n_same = 45 + 15 + 6
    for i, j in combinations(range(21), 2):
        share = max_pairs / 2 / (n_same if labels[i] == labels[j] else 210 - n_same)
        assert abs(counts[i, j] - 400 * share) < 5 * math.sqrt(400 * share * (1 - share))


def test_sampling_is_repeatable_and_leaves_the_global_generator_alone():
    rng = np.random.default_rng(6)
    rows, labels = rng.normal(size=(200, 2)), rng.integers(9, size=200)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second, other = (
        pair_scores(rows, labels, max_pairs=100, random_state=seed)[1] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_many_classes_are_sampled_without_all_their_pairs():
    """6,000 rows in 3,000 classes have 3,000 same pairs and 18 million different ones."""
    labels = np.arange(6_000) % 3_000
    same, score = pair_scores(labels[:, None], labels, max_pairs=10_000, random_state=0)
    assert (same.sum(), len(same)) == (3_000, 10_000)
    assert (score[same == 1] == 0).all()
    assert (score[same == 0] < 0).all()


def test_pair_scores_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="`max_pairs` must be an integer of at least 2"):
        pair_scores([[0.0], [1.0]], [0, 0], max_pairs=1)
    with pytest.raises(ValueError, match="`distance` must be one of"):
        pair_scores([[0.0], [1.0]], [0, 0], distance="l2")
    with pytest.raises(ValueError, match="`labels` must have a label per row"):
        pair_scores([[0.0], [1.0]], [0])


SCORERS = {
    "map_at_r": (map_at_r_scorer, map_at_r),
    "r_precision": (r_precision_scorer, r_precision),
    "recall_at_1": (recall_at_1_scorer, recall_at_k),
    "auc": (verification_auc_scorer, lambda z, y: roc_auc_score(*pair_scores(z, y))),
    "neg_eer": (neg_eer_scorer, lambda z, y: -eer(*pair_scores(z, y))),
    "tar_at_far": (tar_at_far_scorer, lambda z, y: tar_at_far(*pair_scores(z, y), far=0.01)),
    "tar_at_far_0.1": (make_tar_at_far_scorer(0.1), lambda z, y: tar_at_far(*pair_scores(z, y), far=0.1)),
}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.mark.parametrize("name", list(SCORERS))
def test_scorer_measures_what_transform_returns(name, iris):
    X, y = iris
    pipeline = make_pipeline(StandardScaler(), PCA(2)).set_output(transform="pandas").fit(X)
    scorer, measure = SCORERS[name]
    assert scorer(pipeline, X, y) == pytest.approx(measure(pipeline.transform(X), y))
    assert pickle.loads(pickle.dumps(scorer))(pipeline, X, y) == scorer(pipeline, X, y)


@pytest.mark.parametrize("name", list(SCORERS))
def test_scorer_is_greater_for_better_embeddings(name):
    class Fixed(BaseEstimator):
        def __init__(self, embeddings):
            self.embeddings = embeddings

        def transform(self, X):
            return self.embeddings

    y = np.repeat([0, 1, 2], 5)
    scorer = SCORERS[name][0]
    apart, mixed = Fixed(10.0 * y[:, None]), Fixed(np.tile([[0.0], [1.0], [2.0], [3.0], [4.0]], (3, 1)))
    assert scorer(apart, None, y) > scorer(mixed, None, y)


def test_scorers_serve_cross_validation_and_grid_search(iris):
    X, y = iris
    scoring = {name: scorer for name, (scorer, _) in SCORERS.items()}
    cv = StratifiedKFold(3)
    results = cross_validate(
        make_pipeline(StandardScaler(), PCA(2)), X, y, scoring=scoring, cv=cv, error_score="raise"
    )
    assert all(np.isfinite(results[f"test_{name}"]).all() for name in SCORERS)
    search = GridSearchCV(
        PCA(), {"n_components": [1, 2]}, scoring=neg_eer_scorer, cv=cv, error_score="raise"
    ).fit(X, y)
    assert search.best_score_ == search.cv_results_["mean_test_score"].max() <= 0


@pytest.mark.parametrize("scorer", [verification_auc_scorer, neg_eer_scorer, tar_at_far_scorer])
def test_verification_scorers_need_both_kinds_of_pairs(scorer):
    embedder = PCA(1).fit([[0.0], [1.0]])
    with pytest.raises(ValueError, match="both kinds of pairs"):
        scorer(embedder, [[0.0], [1.0]], [0, 0])


def test_scorers_draw_the_same_pairs_every_time():
    rng = np.random.default_rng(7)
    X, y = rng.normal(size=(1_500, 2)), rng.integers(2, size=1_500)  # 1.1 million pairs: some are drawn
    embedder = PCA(2).fit(X)
    assert neg_eer_scorer(embedder, X, y) == neg_eer_scorer(embedder, X, y)


VERIFICATION = {
    "auc": (verification_auc_scorer, roc_auc_score),
    "neg_eer": (neg_eer_scorer, lambda same, score: -eer(same, score)),
    "tar_at_far": (tar_at_far_scorer, lambda same, score: tar_at_far(same, score, far=0.01)),
    "tar_at_far_0.1": (make_tar_at_far_scorer(0.1), lambda same, score: tar_at_far(same, score, far=0.1)),
}
verification_scorers = pytest.mark.parametrize("name", list(VERIFICATION))


def quick_classifier(**parameters):
    return SiamesePairClassifier(
        **{"n_components": 4, "max_epochs": 4, "random_state": 0, "device": "cpu", **parameters}
    )


@pytest.fixture(scope="module")
def halves(iris):
    X, y = iris
    return X[::2].astype(np.float32), X[1::2].astype(np.float32), y[::2], y[1::2]


@verification_scorers
def test_scorer_of_a_classifier_measures_pairs_made_of_the_rows(name, halves):
    """75 rows, 25 of each class: all of the 3 * 300 same pairs, and as many different ones."""
    X_train, X_test, y_train, y_test = halves
    classifier = quick_classifier(loss="hinge", head="product").fit(X_train, y_train)
    pairs, same = make_pairs(X_test, y_test, n_pairs=20_000, random_state=0)
    assert (len(same), same.sum()) == (1_800, 900)
    scorer, measure = VERIFICATION[name]
    expected = measure(same, classifier.pair_score(pairs))
    assert scorer(classifier, X_test, y_test) == pytest.approx(expected)
    assert scorer(classifier.set_threshold(7.0), X_test, y_test) == pytest.approx(expected)


@verification_scorers
def test_scorer_of_a_classifier_measures_given_pairs(name, halves):
    X_train, X_test, y_train, y_test = halves
    pairs, same = make_pairs(X_test, y_test, random_state=1)
    scorer, measure = VERIFICATION[name]
    for data in ((X_train, y_train), make_pairs(X_train, y_train, random_state=0)):
        classifier = quick_classifier().fit(*data)
        assert scorer(classifier, pairs, same) == pytest.approx(measure(same, classifier.pair_score(pairs)))


@verification_scorers
def test_scorer_of_an_embedder_measures_given_pairs(name, halves):
    X_train, X_test, y_train, y_test = halves
    pairs, same = make_pairs(X_test, y_test, random_state=1)
    embedder = SiameseEmbedder(4, max_epochs=4, random_state=0, device="cpu").fit(X_train, y_train)
    score = [-math.dist(*ends) for ends in zip(*map(embedder.transform, pairs.sides), strict=True)]
    scorer, measure = VERIFICATION[name]
    assert scorer(embedder, pairs, same) == pytest.approx(measure(same, score), abs=1e-3)


@pytest.mark.parametrize("kind", ["rows", "pairs"])
@pytest.mark.parametrize("architecture", ["siamese", "two_channel"])
def test_verification_scorers_serve_a_search_of_classifiers(halves, kind, architecture):
    X, y = halves[0], halves[2]
    X, y = (X, y) if kind == "rows" else make_pairs(X, y, random_state=0)
    scoring = {name: scorer for name, (scorer, _) in VERIFICATION.items()}
    search = GridSearchCV(
        quick_classifier(architecture=architecture, loss="hinge", max_epochs=2),
        {"margin": [0.5, 2.0], "lr": [1e-5, 1e-2]},
        scoring=scoring,
        refit="auc",
        cv=StratifiedKFold(2),
        error_score="raise",
    ).fit(X, y)
    areas = search.cv_results_["mean_test_auc"]
    assert search.best_score_ == areas.max()
    assert len(np.unique(areas)) > 2
    assert ((areas > 0.3) & (areas <= 1)).all()


@verification_scorers
def test_scorer_takes_a_pipeline_for_rows_and_pairs(name, halves):
    X_train, X_test, y_train, y_test = halves
    pipeline = make_pipeline(PairTransformer(StandardScaler()), quick_classifier()).fit(X_train, y_train)
    scaler = StandardScaler().fit(X_train)
    classifier = quick_classifier().fit(scaler.transform(X_train), y_train)
    pairs, same = make_pairs(X_test, y_test, random_state=1)
    scorer, _ = VERIFICATION[name]
    assert scorer(pipeline, X_test, y_test) == scorer(classifier, scaler.transform(X_test), y_test)
    assert scorer(pipeline, pairs, same) == scorer(classifier, pairs.map(scaler.transform), same)


def test_folds_of_classes_not_seen_in_training():
    """GroupKFold with the classes as groups: no class is in training and test, and verification works."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 8)
    X = (6 * rng.normal(size=(12, 5))[y] + rng.normal(size=(96, 5))).astype(np.float32)
    trained, tested = [], []

    class Spy(SiamesePairClassifier):
        def fit(self, X, y):
            trained.append(set(y.tolist()))
            return super().fit(X, y)

    def scorer(estimator, X, y):
        tested.append(set(y.tolist()))
        return verification_auc_scorer(estimator, X, y)

    Spy.__init__ = SiamesePairClassifier.__init__
    model = Spy(n_components=4, max_epochs=10, random_state=0, device="cpu")
    scores = cross_val_score(model, X, y, groups=y, cv=GroupKFold(3), scoring=scorer)
    assert (scores > 0.8).all()
    assert [len(classes) for classes in tested] == [4, 4, 4]
    assert all(not seen & unseen for seen, unseen in zip(trained, tested, strict=True))


@pytest.mark.parametrize("kind", ["rows", "pairs"])
def test_verification_scorers_of_a_classifier_need_both_kinds_of_pairs(halves, kind):
    X, y = halves[0], halves[2]
    classifier = quick_classifier(max_epochs=1).fit(X, y)
    data = (X, np.zeros(75)) if kind == "rows" else (Pairs(X, X), np.ones(75))
    for scorer, _ in VERIFICATION.values():
        with pytest.raises(ValueError, match=r"both kinds of pairs|at least 2 classes"):
            scorer(classifier, *data)


def test_scorers_of_retrieval_take_a_classifier_with_an_embedding(halves):
    X_train, X_test, y_train, y_test = halves
    classifier = quick_classifier().fit(X_train, y_train)
    assert map_at_r_scorer(classifier, X_test, y_test) == map_at_r(classifier.transform(X_test), y_test)


def test_all_names_exist():
    assert sorted(metrics.__all__) == list(metrics.__all__)
    assert all(hasattr(metrics, name) for name in metrics.__all__)
