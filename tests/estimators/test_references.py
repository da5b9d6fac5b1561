"""Which rows stand for their class, against dictionaries and plain loops."""

from __future__ import annotations

import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.cluster import KMeans

from siamese_sklearn._estimators import gallery as _gallery
from siamese_sklearn._estimators.gallery import choose_references


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(*shape, seed=0):
    return rng(seed).standard_normal(shape).astype(np.float32)


@st.composite
def labeled_grids(draw, max_rows=40):
    """Rows of small whole numbers, full of duplicates, and labels with gaps."""
    n, d = draw(st.integers(1, max_rows)), draw(st.integers(1, 3))
    numbers = st.lists(st.integers(-2, 2), min_size=n * d, max_size=n * d)
    labels = draw(st.lists(st.sampled_from([0, 1, 5, 6]), min_size=n, max_size=n))
    return np.array(draw(numbers), dtype=np.float32).reshape(n, d), np.array(labels)


class TestChooseReferences:
    @pytest.mark.slow
    @given(labeled_grids(), st.integers(1, 6), st.integers(0, 99))
    def test_at_most_so_many_rows_of_every_class_and_all_of_a_small_one(
        self, grid, n_references, seed
    ):
        points, labels = grid
        chosen = choose_references(points, labels, n_references, rng(seed))
        assert chosen.tolist() == sorted(set(chosen.tolist()))
        for label in set(labels.tolist()):
            rows = np.flatnonzero(labels == label)
            taken = np.intersect1d(rows, chosen)
            if len(rows) <= n_references:
                np.testing.assert_array_equal(taken, rows)
            n_distinct = len(np.unique(points[rows], axis=0))
            assert min(n_references, n_distinct, 2) <= len(
                np.unique(points[taken], axis=0)
            )
            assert len(taken) <= n_references

    def test_none_keeps_every_row(self):
        np.testing.assert_array_equal(
            choose_references(normal(5, 2), np.array([1, 0, 1, 0, 0]), None, rng()),
            range(5),
        )

    @pytest.mark.slow
    @given(st.integers(0, 10_000))
    def test_one_reference_is_the_row_nearest_to_the_mean_of_its_class(self, seed):
        points, labels = normal(30, 3, seed=seed), rng(seed).integers(3, size=30)
        chosen = choose_references(points, labels, 1, rng())
        for label, reference in zip(
            labels[chosen].tolist(), chosen.tolist(), strict=True
        ):
            rows = [i for i in range(30) if labels[i] == label]
            mean = [
                math.fsum(float(points[i, j]) for i in rows) / len(rows)
                for j in range(3)
            ]
            least = min(math.dist(points[i], mean) for i in rows)
            assert math.dist(points[reference], mean) == pytest.approx(least, rel=1e-4)
        assert sorted(labels[chosen].tolist()) == sorted(set(labels.tolist()))

    def test_seeds_are_drawn_in_proportion_to_the_squared_distance_from_those_before(
        self,
    ):
        # from 0 the others are 1, 2, 2 and 0 away: drawn with 1/9, 4/9, 4/9 and never
        points = np.tile(
            np.array([[0], [1], [2], [-2], [0]], dtype=np.float32), (20_000, 1, 1)
        )
        seeds = _gallery._seeds(points, 3, rng())
        assert (seeds[:, 0] == 0).all()
        share = np.bincount(seeds[:, 1], minlength=5) / len(seeds)
        # 4 standard errors
        np.testing.assert_allclose(share, [0, 1 / 9, 4 / 9, 4 / 9, 0], atol=0.015)
        # after 0 and 2 the nearest of them are 1 away from 1, and 2 away from -2: 1/5,
        # 4/5
        after_two = seeds[seeds[:, 1] == 2, 2]
        share = np.bincount(after_two, minlength=5) / len(after_two)
        np.testing.assert_allclose(share, [0, 1 / 5, 0, 4 / 5, 0], atol=0.018)

    @pytest.mark.parametrize("seed", range(5))
    def test_each_cluster_of_a_class_sends_its_most_central_row(self, seed):
        # 90 rows round (0, 0) come first, then 9 and 3 far off; a middle row is put
        # into each
        centers = np.array([[0, 0], [100, 0], [0, 100]], dtype=np.float32)
        cluster = np.repeat([0, 1, 2], [90, 9, 3])
        angle = np.concatenate([np.arange(n) * 2 * np.pi / n for n in (90, 9, 3)])
        ring = centers[cluster] + np.stack([np.cos(angle), np.sin(angle)], axis=1)
        points = np.concatenate([ring, centers + 0.01]).astype(np.float32)
        chosen = choose_references(
            points, np.zeros(len(points), dtype=int), 3, rng(seed)
        )
        np.testing.assert_array_equal(chosen, [102, 103, 104])

    @pytest.mark.slow
    def test_no_row_stands_for_two_clusters(self):
        sizes = [
            len(
                choose_references(
                    normal(12, 8, seed=seed), np.zeros(12, int), 5, rng(seed)
                )
            )
            for seed in range(300)
        ]
        assert set(sizes) == {5}

    @pytest.mark.slow
    def test_references_cover_their_class_like_those_of_scikit_learns_k_means(self):
        points = normal(600, 4) * [4, 2, 1, 1]
        labels = np.zeros(600, dtype=int)

        def cost(rows):
            squares = np.square(points[:, None] - points[rows]).sum(axis=2)
            return squares.min(axis=1).mean()

        def theirs(seed):
            centers = (
                KMeans(8, n_init=1, random_state=seed).fit(points).cluster_centers_
            )
            return cost(np.square(points[:, None] - centers).sum(axis=2).argmin(axis=0))

        ours = np.mean(
            [
                cost(choose_references(points, labels, 8, rng(seed)))
                for seed in range(10)
            ]
        )
        at_random = np.mean(
            [cost(rng(seed).permutation(600)[:8]) for seed in range(10)]
        )
        assert ours <= 1.05 * np.mean([theirs(seed) for seed in range(10)])
        assert ours < 0.8 * at_random

    def test_equal_rows_give_one_reference(self):
        assert (
            len(
                choose_references(
                    np.ones((20, 3), np.float32), np.zeros(20, int), 5, rng()
                )
            )
            == 1
        )

    def test_fewer_distinct_rows_than_references_are_all_represented(self):
        points = np.repeat(np.eye(3, dtype=np.float32), [15, 4, 1], axis=0)
        chosen = choose_references(points, np.zeros(20, int), 7, rng())
        assert len(np.unique(points[chosen], axis=0)) == 3
        assert len(chosen) <= 7

    @pytest.mark.parametrize("scale", [1e-38, 1e-20, 1e20, 3e37])
    def test_the_scale_of_the_rows_does_not_matter(self, scale):
        points, labels = normal(60, 3), np.repeat([0, 1], 30)
        chosen = choose_references(points.clip(-3, 3), labels, 4, rng())
        scaled = (points.clip(-3, 3) * scale).astype(np.float32)
        assert (
            len(np.intersect1d(choose_references(scaled, labels, 4, rng()), chosen))
            >= 7
        )

    def test_an_offset_of_the_rows_does_not_matter(self):
        points = np.round(normal(60, 3), 2)
        labels = np.repeat([0, 1], 30)
        np.testing.assert_array_equal(
            choose_references(points + 512, labels, 4, rng()),
            choose_references(points, labels, 4, rng()),
        )

    def test_one_seed_one_choice_and_other_seeds_others(self):
        points, labels = normal(300, 3), np.repeat([0, 1, 2], 100)
        choices = [
            choose_references(points, labels, 5, rng(seed)).tolist()
            for seed in (0, 0, 1)
        ]
        assert choices[0] == choices[1] != choices[2]

    def test_sparse_rows_are_chosen_like_dense_ones(self):
        points = normal(40, 6) * (rng(1).random((40, 6)) < 0.4)
        labels = np.repeat([0, 1], 20)
        np.testing.assert_array_equal(
            choose_references(sparse.csr_matrix(points), labels, 3, rng()),
            choose_references(points, labels, 3, rng()),
        )

    @pytest.mark.slow
    @pytest.mark.parametrize(("n_references", "n_rows"), [(5, 1000), (1500, 3000)])
    def test_a_large_class_is_looked_at_in_part_but_at_random(
        self, n_references, n_rows
    ):
        points = np.arange(5000, dtype=np.float32)[:, None]
        with mock.patch.object(
            _gallery, "_medoids", wraps=_gallery._medoids
        ) as medoids:
            chosen = choose_references(points, np.zeros(5000, int), n_references, rng())
        assert medoids.call_args.args[0].shape == (1, n_rows, 1)
        assert len(chosen) == n_references
        # at best a row has a reference within 5000 / (2 * 5) rows; no row may be twice
        # as far from one
        assert np.abs(np.arange(5000)[:, None] - chosen).min(axis=1).max() < 1000

    def test_classes_in_many_parts_are_all_clustered(self, monkeypatch):
        monkeypatch.setattr(_gallery, "_NUMBERS_AT_ONCE", 50)
        # two clusters in each class
        points = np.array([[0], [0.1], [9]] * 40, dtype=np.float32)
        labels = np.repeat(np.arange(40), 3)
        chosen = choose_references(points, labels, 2, rng())
        np.testing.assert_array_equal(labels[chosen], np.repeat(np.arange(40), 2))
        assert (points[chosen].reshape(40, 2) < 1).sum(axis=1).tolist() == [1] * 40

    def test_wide_rows_leave_fewer_of_them_to_look_at_yet_enough(self, monkeypatch):
        monkeypatch.setattr(_gallery, "_NUMBERS_AT_ONCE", 50)
        with mock.patch.object(
            _gallery, "_medoids", wraps=_gallery._medoids
        ) as medoids:
            assert (
                len(choose_references(normal(50, 20), np.zeros(50, int), 4, rng())) == 4
            )
            # 4 times those numbers
            assert medoids.call_args.args[0].shape == (
                1,
                10,
                20,
            )
            assert (
                len(choose_references(normal(50, 200), np.zeros(50, int), 4, rng()))
                == 4
            )

    def test_the_rows_are_left_as_they_are(self):
        points, labels = normal(30, 2), np.repeat([1, 0], 15)
        points.flags.writeable = labels.flags.writeable = False
        assert len(choose_references(points, labels, 2, rng())) == 4

    @pytest.mark.parametrize(
        ("n_references", "error"),
        [(0, ValueError), (2.0, TypeError), (True, TypeError)],
    )
    def test_a_wrong_number_is_an_error_that_names_it(self, n_references, error):
        with pytest.raises(
            error,
            match="`n_references` must be an integer of at least 1, or None for all",
        ):
            choose_references(normal(3, 1), np.zeros(3, int), n_references, rng())
