"""The slope of the probability that belongs to a score."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit

from siamese_sklearn.calibration import choose_threshold, probability_slope

seeds = st.integers(0, 1000)


def rng(seed=0):
    return np.random.default_rng(seed)


@st.composite
def scored_pairs(draw):
    """Scores of both kinds of pairs: apart, mixed or the wrong way round, of any size
    and at any place.
    """
    same = np.array([1, 0, *draw(st.lists(st.integers(0, 1), max_size=30))])
    generator = rng(draw(seeds))
    score = draw(st.sampled_from([-10, -1, 0, 1, 10])) * same + generator.normal(
        size=len(same)
    )
    score = np.round(score) if draw(st.booleans()) else score  # with ties
    scale, place = (
        10.0 ** draw(st.integers(-15, 15)),
        draw(st.sampled_from([0.0, 1.0, -7.0])),
    )
    return same, (scale * (score + place)).astype(np.float32)


def naive_slope(same, score, threshold):
    """Platt's slope with the penalty w^2 / 2 of scikit-learn's default, in deviations,
    by a search.
    """
    scale = np.std(score.astype(float))
    x = (score.astype(float) - threshold) / scale
    signed = np.where(same == 1, x, -x)
    found = minimize_scalar(
        lambda w: w**2 / 2 + np.logaddexp(0, -w * signed).sum(), bracket=(0, 1)
    )
    return found.x / scale


class TestProbabilitySlope:
    @pytest.mark.slow
    @settings(max_examples=150)
    @given(case=scored_pairs())
    def test_positive_finite_and_the_probability_rises(self, case):
        same, score = case
        threshold = choose_threshold(same, score)
        slope = probability_slope(same, score, threshold)
        assert isinstance(slope, float)
        assert 0 < slope < np.inf
        ordered = np.sort(score).astype(float)
        probability = expit(slope * (ordered - threshold))
        assert (np.diff(probability) >= 0).all()
        assert np.array_equal(probability > 0.5, slope * (ordered - threshold) > 1e-15)

    @pytest.mark.slow
    @settings(max_examples=60)
    @given(case=scored_pairs())
    def test_against_a_search(self, case):
        same, score = case
        assume(np.ptp(score) > 0)
        threshold = choose_threshold(same, score)
        expected = naive_slope(same, score, threshold)
        least = 1e-3 / np.std(score.astype(float))
        found = probability_slope(same, score, threshold)
        np.testing.assert_allclose(found, max(expected, least), rtol=2e-3, atol=least)

    @pytest.mark.parametrize("n", [2, 6, 40, 186])
    @pytest.mark.parametrize("value", [0.0, 0.1, -0.52031213, 1e-30, 3e30])
    @pytest.mark.parametrize("threshold", [None, 0.123456])
    def test_equal_scores_teach_nothing(self, n, value, threshold):
        """A score one lower or higher is about as probably the same."""
        same, score = np.arange(n) % 2, np.full(n, value, dtype=np.float32)
        threshold = choose_threshold(same, score) if threshold is None else threshold
        assert 0 < probability_slope(same, score, threshold) <= 1e-2

    @pytest.mark.parametrize("threshold", [1.5, 0.0, 1e6])
    def test_scores_the_wrong_way_round_have_the_least_slope(self, threshold):
        same, score = np.repeat([1, 0], 20), np.linspace(-1, 1, 40, dtype=np.float32)
        slope = probability_slope(same, score, 0.0)
        assert slope == pytest.approx(1e-3 / np.std(score.astype(float)))
        assert 0 < probability_slope(same, score, threshold) < np.inf

    @pytest.mark.parametrize("factor", [2.0**-30, 0.5, 2.0**20])
    def test_slope_is_per_unit_of_the_score(self, factor):
        same = np.arange(50) % 2
        score = (same + rng().normal(size=50)).astype(np.float32)
        slope = probability_slope(same, score, 0.25)
        assert slope > 0.1
        scaled = probability_slope(same, np.float32(factor) * score, factor * 0.25)
        assert scaled == pytest.approx(slope / factor, rel=1e-12)

    def test_separable_scores_are_sure(self):
        same = np.repeat([1, 0], 100)
        score = np.where(same == 1, 1.0, -1.0) + 0.1 * rng().normal(size=200)
        slope = probability_slope(same, score.astype(np.float32), 0.0)
        probability = expit(slope * score)
        assert probability[same == 1].min() > 0.9
        assert probability[same == 0].max() < 0.1

    def test_probabilities_of_a_logistic_world_come_back(self):
        """Scores whose pairs are the same with probability 1 / (1 + exp(-3 (s - 0.5))):
        a slope of 3.
        """
        score = rng(1).uniform(-1.5, 2.5, size=20_000).astype(np.float32)
        same = (rng(2).random(20_000) < expit(3 * (score - 0.5))).astype(np.int64)
        assert probability_slope(same, score, 0.5) == pytest.approx(3, rel=0.05)
