"""Intervals of rates: exact for independent trials, honest for those that are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from siamese_sklearn.metrics._intervals import (
    effective_number,
    rate_interval,
    upper_bound,
)


class TestBounds:
    @pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (3, 40), (9, 10)])
    @pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
    def test_upper_bound_is_where_so_few_errors_become_unlikely(self, k, n, confidence):
        bound = upper_bound(k / n, n, confidence)
        assert binom.cdf(k, n, bound) == pytest.approx(1 - confidence)

    def test_rule_of_three(self):
        assert upper_bound(0.0, 1000, 0.95) == pytest.approx(3 / 1000, rel=0.01)

    @given(k=st.integers(0, 50), n=st.integers(1, 50))
    def test_interval_contains_the_rate_and_turns_with_it(self, k, n):
        rate = min(k, n) / n
        low, high = rate_interval(rate, n)
        assert 0 <= low <= rate <= high <= 1
        turned = rate_interval(1 - rate, n)
        np.testing.assert_allclose(turned, (1 - high, 1 - low), atol=1e-12)


class TestEffectiveNumber:
    def test_independent_trials_count_in_full(self):
        assert effective_number(np.arange(50.0), None, 0.1) == 50

    def test_equal_rows_of_a_class_count_once(self):
        """40 classes of 25 equal scores: as 40 trials, less the price of few classes,
        the square of 1.961 / 2.023 (quantiles of t with 999 and 39 degrees).
        """
        score = np.repeat(np.random.default_rng(0).random(40), 25)
        classes = np.repeat(np.arange(40), 25)
        found = effective_number(score, classes, 0.25)
        assert found == pytest.approx(40 * (1.9623 / 2.0227) ** 2, rel=0.03)

    def test_classes_that_do_not_matter(self):
        """Scores that do not depend on the class: nearly all count, and never more."""
        draw = np.random.default_rng(0)
        found = [
            effective_number(draw.random(2000), np.arange(2000) % 200, 0.2)
            for _ in range(20)
        ]
        assert max(found) <= 2000
        assert np.mean(found) > 1500

    def test_a_pair_belongs_to_both_of_its_classes(self):
        """Every tenth person resembles everybody: their pairs are the errors. The
        variance is that of shares without one person, worked out naively.
        """
        n = 30
        pairs = np.array([(i, j) for i in range(n) for j in range(i)])
        score = (pairs % 10 == 0).any(axis=1) + np.linspace(0, 0.1, len(pairs))
        n_errors = 81  # with 3 of 30 people: 3 * 27 + 3, and 3 of these are left
        error = score >= np.sort(score)[-n_errors]
        shares = [error[(pairs != i).all(axis=1)].mean() for i in range(n)]
        variance = (n - 1) * np.var(shares)
        share = n_errors / len(pairs)
        expected = share * (1 - share) / variance
        found = effective_number(score, pairs, n_errors / len(pairs))
        few = (1.9653 / 2.0452) ** 2  # t with 434 and 29 degrees of freedom
        assert found == pytest.approx(expected * few, rel=1e-3)

    def test_one_class_says_nothing(self):
        assert effective_number(np.arange(9.0), np.zeros(9, dtype=int), 0.5) == 1

    @settings(max_examples=30)
    @given(seed=st.integers(0, 100))
    def test_names_of_classes_do_not_matter(self, seed):
        draw = np.random.default_rng(seed)
        score, classes = draw.random(60), draw.integers(0, 6, size=(60, 2))
        order = draw.permutation(6)
        once = effective_number(score, classes, 0.3)
        assert effective_number(score, order[classes], 0.3) == pytest.approx(once)
        turned = classes[:, ::-1]
        assert effective_number(score, turned, 0.3) == pytest.approx(once)
