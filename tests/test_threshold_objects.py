"""A threshold as an object, and the slope of the probability that belongs to it."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit

from siamese_sklearn.calibration import Threshold, choose_threshold, probability_slope

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

    @pytest.mark.slow
    def test_probabilities_of_a_logistic_world_come_back(self):
        """Scores whose pairs are the same with probability 1 / (1 + exp(-3 (s - 0.5))):
        a slope of 3.
        """
        score = rng(1).uniform(-1.5, 2.5, size=20_000).astype(np.float32)
        same = (rng(2).random(20_000) < expit(3 * (score - 0.5))).astype(np.int64)
        assert probability_slope(same, score, 0.5) == pytest.approx(3, rel=0.05)


class TestThreshold:
    @pytest.mark.slow
    @settings(max_examples=30)
    @given(case=scored_pairs())
    def test_is_learned_as_the_most_accurate_one_and_its_slope(self, case):
        same, score = case
        threshold = Threshold.learn(same, score)
        assert threshold.value == threshold.midpoint == choose_threshold(same, score)
        assert threshold.slope == probability_slope(same, score, threshold.value)
        assert threshold.strategy == "accuracy"

    @settings(max_examples=30)
    @given(case=scored_pairs(), place=st.integers(0, 1000))
    def test_a_score_at_the_value_is_the_same_and_one_below_is_not(self, case, place):
        """Exactly, although scores are float32."""
        same, score = case
        value = float(score[place % len(score)])
        threshold = Threshold.learn(same, score).moved(value, "set")
        margin = threshold.margin(score)
        assert margin.dtype == np.float64
        expected = [float(s) >= value for s in score]
        np.testing.assert_array_equal(margin >= 0, expected)
        below = np.nextafter(np.float32([value]), np.float32(-np.inf))
        assert threshold.margin(below)[0] < 0

    @pytest.mark.slow
    @settings(max_examples=30)
    @given(
        case=scored_pairs(),
        value=st.floats(-100, 100, width=32),
        strategy=st.sampled_from(["far", "eer", "set"]),
    )
    def test_moving_the_value_keeps_the_probability(self, case, value, strategy):
        same, score = case
        learned = Threshold.learn(same, score)
        before = vars(learned).copy()
        moved = learned.moved(value, strategy)
        assert (moved.value, moved.strategy) == (value, strategy)
        assert (moved.slope, moved.midpoint) == (learned.slope, learned.midpoint)
        np.testing.assert_array_equal(moved.logit(score), learned.logit(score))
        np.testing.assert_array_equal(moved.margin(score), score.astype(float) - value)
        assert vars(learned) == before

    @pytest.mark.slow
    @settings(max_examples=30)
    @given(case=scored_pairs())
    def test_probability_and_margin_turn_at_one_score_until_it_is_moved(self, case):
        same, score = case
        threshold = Threshold.learn(same, score)
        logit, margin = threshold.logit(score), threshold.margin(score)
        np.testing.assert_array_equal(logit >= 0, margin >= 0)
        order = np.argsort(score, kind="stable")
        assert (np.diff(logit[order]) >= 0).all()
        probability = 1 / (1 + np.exp(-logit))
        np.testing.assert_allclose(probability, expit(threshold.slope * margin))

    def test_by_hand(self):
        threshold = Threshold(value=0.5, slope=2.0, midpoint=-1.0)
        score = np.float32([0.5, -1.0, 3.0])
        assert threshold.margin(score).tolist() == [0.0, -1.5, 2.5]
        assert threshold.logit(score).tolist() == [3.0, 0.0, 8.0]
        assert threshold.strategy == "accuracy"

    def test_is_never_changed(self):
        threshold = Threshold(0.5, 2.0, -1.0)
        with pytest.raises(AttributeError):
            threshold.value = 1.0
        assert threshold == Threshold(0.5, 2.0, -1.0)
        assert threshold != threshold.moved(1.0, "set")
