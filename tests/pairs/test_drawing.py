"""Pairs drawn out of labels, held out and not, against loops' pairs."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from siamese_sklearn.pairs import _drawing as _thresholds
from siamese_sklearn.pairs._drawing import balanced_pairs, held_out_pairs, many_pairs

labelings = (
    st.lists(st.integers(1, 9), min_size=2, max_size=8)
    .filter(lambda counts: max(counts) > 1)
    .map(lambda counts: np.repeat(np.arange(len(counts)), counts))
)
seeds = st.integers(0, 1000)


def rng(seed=0):
    return np.random.default_rng(seed)


def every_pair(labels):
    """All unordered pairs, by two loops: those of one class, those of different
    ones.
    """
    pairs = list(itertools.combinations(range(len(labels)), 2))
    same = {frozenset(pair) for pair in pairs if labels[pair[0]] == labels[pair[1]]}
    return same, {frozenset(pair) for pair in pairs} - same


def drawn(found):
    """Unordered pairs as found, those marked same and those marked different."""
    pairs, same = found
    assert pairs.shape == (len(same), 2)
    assert same.dtype == np.int64
    assert set(same.tolist()) <= {0, 1}
    both = [frozenset(pair) for pair in pairs.tolist()]
    return tuple(
        [pair for pair, mark in zip(both, same, strict=True) if mark == kind]
        for kind in (1, 0)
    )


class TestBalancedAndManyPairs:
    @pytest.mark.slow
    @settings(max_examples=80)
    @given(labels=labelings, seed=seeds, most=st.integers(1, 40))
    def test_balanced(self, labels, seed, most):
        labels = rng(seed).permutation(labels)
        every_same, every_different = every_pair(labels)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_thresholds, "_MOST_OF_A_KIND", most)
            same, different = drawn(balanced_pairs(labels, rng(seed)))
        assert (
            len(same)
            == len(different)
            == min(most, len(every_same), len(every_different))
        )
        assert set(same) <= every_same
        assert set(different) <= every_different
        assert len(set(same)) == len(set(different)) == len(same)

    @pytest.mark.slow
    @settings(max_examples=80)
    @given(labels=labelings, seed=seeds, most=st.integers(1, 200))
    def test_many(self, labels, seed, most):
        labels = rng(seed).permutation(labels)
        every_same, every_different = every_pair(labels)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_thresholds, "_MOST_FOR_RATES", most)
            same, different = drawn(many_pairs(labels, rng(seed)))
        for found, possible in ((same, every_same), (different, every_different)):
            assert len(found) == len(set(found)) == min(most, len(possible))
            assert set(found) <= possible

    def test_all_pairs_where_they_are_few(self):
        labels = np.array([2, 0, 1, 0, 2, 2, 1, 3])
        same, different = drawn(many_pairs(labels, rng()))
        assert (set(same), set(different)) == every_pair(labels)

    @pytest.mark.parametrize("draw", [balanced_pairs, many_pairs])
    def test_the_generator_alone_decides(self, draw, monkeypatch):
        monkeypatch.setattr(_thresholds, "_MOST_FOR_RATES", 50)
        labels = np.arange(60) % 4
        first, again, other = (draw(labels, rng(seed))[0] for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


@st.composite
def held_rows(draw):
    """Labels, and rows held out of which one at least has another row of its class
    somewhere.
    """
    labels = rng(draw(seeds)).permutation(draw(labelings))
    held = np.array(
        draw(st.lists(st.integers(0, len(labels) - 1), min_size=1, unique=True))
    )
    assume((np.bincount(labels)[labels[held]] > 1).any())
    return labels, held


def enough_among_themselves(labels, held):
    """Whether the held-out rows have two classes, and half of them have another of
    their class held out.
    """
    of_class = Counter(labels[held].tolist())
    with_mate = [row for row in held if of_class[labels[row]] > 1]
    return len(of_class) > 1 and len(with_mate) >= len(held) / 2


class TestHeldOutPairs:
    @pytest.mark.slow
    @settings(max_examples=200)
    @given(case=held_rows(), seed=seeds)
    # all of them have a mate
    @example(case=(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 3, 4])), seed=0)
    # half of them
    @example(case=(np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 1, 3, 5])), seed=0)
    # 2 of 5
    @example(
        case=(np.array([0, 0, 0, 1, 1, 2, 2, 3]), np.array([0, 1, 3, 5, 7])), seed=0
    )
    # one class
    @example(case=(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2])), seed=0)
    @example(case=(np.array([0, 0, 1]), np.array([1])), seed=0)
    def test_true_balanced_and_of_rows_held_out(self, case, seed):
        labels, held = case
        pairs, same = held_out_pairs(labels, held, rng(seed))
        assert pairs.shape == (len(same), 2)
        assert np.array_equal(labels[pairs[:, 0]] == labels[pairs[:, 1]], same == 1)
        assert (pairs[:, 0] != pairs[:, 1]).all()
        assert 2 * same.sum() == len(same) > 0
        is_held = np.isin(pairs, held)
        assert is_held[:, 0].all()
        if enough_among_themselves(labels, held):
            assert is_held.all()

    @pytest.mark.slow
    @settings(max_examples=100)
    @given(case=held_rows(), seed=seeds)
    def test_every_held_out_row_with_a_mate_takes_part_equally(self, case, seed):
        """Where rows of all the data are the partners, each is in as many same as
        different pairs.
        """
        labels, held = case
        assume(not enough_among_themselves(labels, held))
        pairs, same = held_out_pairs(labels, held, rng(seed))
        with_mate = {int(row) for row in held if (labels == labels[row]).sum() > 1}
        for kind in (0, 1):
            times = Counter(pairs[same == kind, 0].tolist())
            assert set(times) == with_mate
            assert set(times.values()) == {_thresholds._DRAWS_PER_ROW}

    def test_all_partners_come_and_are_equally_likely(self):
        """Two rows held out, of classes of 4 and 2 of 8 rows: 3 and 1 same, 4 and 6
        different partners.
        """
        labels, held, n_calls = (
            np.array([0, 1, 0, 2, 0, 1, 0, 3]),
            np.array([4, 5]),
            300,
        )
        generator = rng()
        times = Counter()
        for _ in range(n_calls):
            times.update(
                map(tuple, held_out_pairs(labels, held, generator)[0].tolist())
            )
        expected = {
            (row, other): 1 / len(partners)
            for row in held.tolist()
            for partners in (
                [
                    other
                    for other in range(8)
                    if other != row and labels[other] == labels[row]
                ],
                [other for other in range(8) if labels[other] != labels[row]],
            )
            for other in partners
        }
        n_draws = n_calls * _thresholds._DRAWS_PER_ROW
        assert times.keys() == expected.keys()
        for pair, chance in expected.items():
            assert abs(times[pair] - n_draws * chance) <= 5 * np.sqrt(
                n_draws * chance * (1 - chance)
            )

    @pytest.mark.parametrize(("most", "n_draws"), [(1, 1), (12, 4), (1000, 10)])
    def test_rows_are_paired_less_often_where_they_are_many(
        self, most, n_draws, monkeypatch
    ):
        """Three rows held out, of one class each: `most` pairs of a kind, but one to
        ten of each row.
        """
        monkeypatch.setattr(_thresholds, "_MOST_OF_A_KIND", most)
        _, same = held_out_pairs(np.repeat([0, 1, 2], 3), np.array([0, 3, 6]), rng())
        assert np.bincount(same).tolist() == [3 * n_draws] * 2

    def test_classes_without_rows_do_not_matter(self):
        """Classes that earlier calls of `partial_fit` have brought keep their numbers,
        without rows.
        """
        labels = np.array([0, 4, 4, 0, 7, 7])
        for held in (np.array([1, 4]), np.array([0, 3, 1, 2])):
            pairs, same = held_out_pairs(labels, held, rng())
            assert np.array_equal(labels[pairs[:, 0]] == labels[pairs[:, 1]], same == 1)
            assert (pairs[:, 0] != pairs[:, 1]).all()

    def test_the_generator_alone_decides(self):
        labels = np.arange(40) % 4
        for held in (np.arange(0, 40, 3), np.arange(4)):
            first, again, other = (
                held_out_pairs(labels, held, rng(seed))[0] for seed in (1, 1, 2)
            )
            assert np.array_equal(first, again)
            assert not np.array_equal(first, other)
