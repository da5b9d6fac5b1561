"""The chosen threshold against every threshold there is, tried one by one."""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score

from siamese_sklearn import calibration
from siamese_sklearn.calibration import STRATEGIES, choose_threshold, threshold_at_rate

TARGETS = {"far": 0.25, "frr": 0.25, "precision": 0.5}


def choose(same, score, strategy, target):
    """`choose_threshold`, with the warning that the rule of three asks for; None where
    no threshold reaches the target.
    """
    n = {"far": np.sum(~same), "frr": np.sum(same)}.get(strategy, math.inf)
    with (
        pytest.warns(UserWarning, match="is beyond these data")
        if target is not None and 0 < target < 3 / n
        else nullcontext()
    ):
        try:
            return choose_threshold(same, score, strategy, target=target)
        except ValueError:
            best = max(precision(same, score, t) for t in np.unique(score))
            assert strategy == "precision"
            assert best < target
            return None


def precision(same, score, threshold):
    return np.mean(same[score >= threshold])


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


def rates(same, score, threshold):
    accepted = score >= threshold
    return np.mean(accepted[~same]), np.mean(~accepted[same])


def value(same, score, threshold, strategy, target=None, beta=1.0):
    """What `strategy` wants to be as high as possible; minus infinity where the target
    is missed.
    """
    far, frr = rates(same, score, threshold)
    if strategy == "accuracy":
        return np.mean((score >= threshold) == same)
    if strategy == "f_beta":
        return fbeta_score(same, score >= threshold, beta=beta, zero_division=0)
    if strategy == "eer":
        return -abs(far - frr)
    if strategy == "precision":
        reaches = frr < 1 and precision(same, score, threshold) >= target
        return 1 - frr if reaches else -math.inf
    if strategy == "far":
        return 1 - frr if far <= target else -math.inf
    return -far if frr <= target else -math.inf


def every_threshold(score):
    return [*np.unique(score), math.inf]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["accuracy", "eer"])
@given(pairs=scored_pairs())
def test_no_threshold_does_better(strategy, pairs):
    best = max(value(*pairs, t, strategy) for t in every_threshold(pairs[1]))
    assert value(*pairs, choose_threshold(*pairs, strategy), strategy) == pytest.approx(
        best
    )


@pytest.mark.slow
@given(pairs=scored_pairs(), beta=st.sampled_from([0.5, 1.0, 2.0]))
def test_no_threshold_has_a_higher_f_beta(pairs, beta):
    best = max(value(*pairs, t, "f_beta", beta=beta) for t in every_threshold(pairs[1]))
    threshold = choose_threshold(*pairs, "f_beta", beta=beta)
    assert value(*pairs, threshold, "f_beta", beta=beta) == pytest.approx(best)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", TARGETS)
@given(
    pairs=scored_pairs(),
    target=st.one_of(
        st.sampled_from([0.0, 0.1, 0.3, 1 / 3, 0.5, 1.0]), st.floats(0, 1)
    ),
)
def test_target_is_always_met_and_none_does_better(strategy, pairs, target):
    best = max(value(*pairs, t, strategy, target) for t in every_threshold(pairs[1]))
    threshold = choose(*pairs, strategy, target)
    if threshold is None:
        assert best == -math.inf
        return
    if strategy in ("far", "frr"):
        assert rates(*pairs, threshold)[strategy == "frr"] <= target
    assert value(*pairs, threshold, strategy, target) == pytest.approx(best)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@given(pairs=scored_pairs())
@settings(max_examples=50)
def test_among_the_best_it_accepts_the_fewest_different_pairs(strategy, pairs):
    target = TARGETS.get(strategy)
    values = {t: value(*pairs, t, strategy, target) for t in every_threshold(pairs[1])}
    best = [t for t in values if values[t] >= max(values.values()) - 1e-12]
    chosen = choose(*pairs, strategy, target)
    assume(chosen is not None)
    assert rates(*pairs, chosen)[0] == min(rates(*pairs, t)[0] for t in best)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@given(pairs=scored_pairs(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_increasing_transforms_and_order_leave_every_decision(strategy, pairs, seed):
    same, score = pairs
    target = TARGETS.get(strategy)
    threshold = choose(same, score, strategy, target)
    assume(threshold is not None)
    decisions = score >= threshold
    order = np.random.default_rng(seed).permutation(len(same))
    other = np.exp(score) * 3 - 7
    threshold = choose(same[order], other[order], strategy, target)
    np.testing.assert_array_equal(other >= threshold, decisions)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@given(
    pairs=scored_pairs(), dtype=st.sampled_from([np.float16, np.float32, np.float64])
)
@settings(max_examples=50)
def test_threshold_lies_midway_or_half_a_mean_gap_beyond(strategy, pairs, dtype):
    """Among whole scores midway is exact in every dtype; beyond the ends the gap is up
    to rounding.
    """
    same, score = pairs
    threshold = choose(same, score.astype(dtype), strategy, TARGETS.get(strategy))
    assume(threshold is not None)
    accepted, rejected = score[score >= threshold], score[score < threshold]
    if len(accepted) and len(rejected):
        assert threshold == (accepted.min() + rejected.max()) / 2
    elif np.ptp(score):
        half_gap = np.ptp(score) / (len(np.unique(score)) - 1) / 2
        expected = score.max() + half_gap if len(rejected) else score.min() - half_gap
        assert threshold == pytest.approx(expected, rel=4 * float(np.finfo(dtype).eps))
    else:
        beyond = np.inf if len(rejected) else -np.inf
        assert threshold == np.nextafter(dtype(score[0]), dtype(beyond))


def test_by_hand():
    """Scores 6 to 1 of s s d s d d: 5/6 are right with two accepted or with four; two
    are the stricter.
    """
    same, score = [1, 1, 0, 1, 0, 0], [6, 5, 4, 3, 2, 1]
    assert choose_threshold(same, score) == 4.5
    # one of three d accepted, one of three s rejected
    assert choose_threshold(same, score, "eer") == 3.5
    # F1 is 6/7 for four pairs, 4/5 for two
    assert choose_threshold(same, score, "f_beta") == 2.5
    # 10/11 for two pairs, 15/19 for four
    assert choose_threshold(same, score, "f_beta", beta=0.5) == 4.5
    for strategy, target, wanted in (
        ("far", 1 / 3, 2.5),
        ("far", 0.3, 4.5),
        ("frr", 1 / 3, 4.5),
        ("frr", 0.3, 2.5),
    ):
        with pytest.warns(UserWarning, match=r"3 \w+ pairs without an error"):
            assert choose_threshold(same, score, strategy, target=target) == wanted
    # precision 1, 1, 2/3, 3/4, 3/5, 3/6 for one to six pairs
    for target, wanted in ((1, 4.5), (0.76, 4.5), (0.75, 2.5), (0.7, 2.5), (0.6, 2.5)):
        assert choose_threshold(same, score, "precision", target=target) == wanted


def test_precision_that_is_not_reached():
    """Precision 0, 1/2, 1/3 for one to three pairs."""
    same, score = [0, 1, 0], [3.0, 2.0, 1.0]
    assert choose_threshold(same, score, "precision", target=0.5) == 1.5
    with pytest.raises(
        ValueError,
        match=r"`target`=0.51 cannot be reached: the highest precision .* is 0\.5 on",
    ):
        choose_threshold(same, score, "precision", target=0.51)


def test_a_precision_of_0_accepts_something():
    assert choose_threshold([0, 1], [2.0, 1.0], "precision", target=0) < 1


@pytest.mark.parametrize(
    ("strategy", "what"), [("far", "different pairs"), ("frr", "same pairs")]
)
def test_rule_of_three(strategy, what):
    """12 pairs of a kind without an error show a rate below 3 / 12, and no lower."""
    same, score = np.repeat([strategy == "frr", strategy == "far"], [12, 2]), range(14)
    for target in (0, 3 / 12, 0.26, 1):
        choose_threshold(same, score, strategy, target=target)
    with pytest.warns(
        UserWarning,
        match=rf"`target`=0.24 is beyond these data: 12 {what} without an error .* "
        rf"3/12 = 0.25, .*Use at least 13 {what}",
    ):
        choose_threshold(same, score, strategy, target=0.24)
    with pytest.warns(UserWarning, match="is beyond these data"):
        choose_threshold(same, score, strategy, target=np.nextafter(0.25, 0))


def test_threshold_at_rate_by_hand():
    """Of 5, 4, 4, 3, 2 one in five is above 4.5, and three are above 3.5."""
    score = np.array([4.0, 2.0, 5.0, 3.0, 4.0])
    for target, wanted in ((0.2, 4.5), (0.59, 4.5), (0.6, 3.5), (0.8, 2.5), (1, 1.5)):
        assert threshold_at_rate(score, target) == wanted
    assert threshold_at_rate(score, 0.19) == 5.5  # half the mean gap above all
    # 29 of 100, though 0.29 * 100 is less in floats
    assert threshold_at_rate(np.arange(100.0), 0.29) == 70.5
    assert threshold_at_rate(np.float32([1]), 0.5) == np.nextafter(np.float32(1), 2)


def test_nothing_is_accepted_when_a_different_pair_is_the_most_alike():
    """Scores 4, 2, 0: the mean gap is 2, half of it above the highest is 5."""
    threshold = choose_threshold([0, 1, 1], [4.0, 2.0, 0.0], "far", target=0.0)
    assert threshold == 5.0


def test_everything_is_accepted_when_a_same_pair_is_the_least_alike():
    assert choose_threshold([0, 0, 1], [4.0, 2.0, 0.0], "frr", target=0.0) == -1.0


def test_equal_scores_still_give_a_finite_threshold():
    same, score = np.array([1, 0]), np.array([0.7, 0.7])
    nothing = choose_threshold(same, score, "far", target=0.0)
    everything = choose_threshold(same, score, "frr", target=0.0)
    assert everything < 0.7 < nothing < math.inf


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("start", [1.0, -3.0, 0.1])
def test_neighboring_floats_are_told_apart_in_their_own_dtype(dtype, start):
    """Where no number of the dtype lies between two scores the threshold is the higher
    one itself.
    """
    low = dtype(start)
    high = np.nextafter(low, dtype(np.inf))
    score = np.array([low, high, low], dtype=dtype)
    threshold = choose_threshold([0, 1, 0], score)
    assert (score >= threshold).tolist() == [False, True, False]
    assert (score >= dtype(threshold)).tolist() == [False, True, False]


def test_float32_scores_give_a_float32_number():
    rng = np.random.default_rng(0)
    score = rng.normal(size=100).astype(np.float32)
    for strategy in STRATEGIES:
        threshold = choose_threshold(
            rng.integers(2, size=100), score, strategy, target=TARGETS.get(strategy)
        )
        assert type(threshold) is float
        assert np.float32(threshold) == threshold


def test_whole_and_boolean_inputs_are_taken():
    assert choose_threshold([True, False], [3, 2]) == 2.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"strategy": "acuracy"},
            "`strategy` must be one of .*Did you mean 'accuracy'",
        ),
        ({"strategy": "far"}, "`target` must be given for strategy 'far'"),
        ({"strategy": "frr"}, "`target` must be given for strategy 'frr'"),
        ({"strategy": "precision"}, "`target` must be given .*: the lowest precision"),
        ({"strategy": "precision", "target": 1.01}, "`target` must be a finite number"),
        (
            {"strategy": "far", "target": 1.5},
            "`target` must be a finite number of at least 0 and of at most 1; got 1.5",
        ),
        ({"strategy": "frr", "target": -0.5}, "`target` must be a finite number"),
        ({"strategy": "far", "target": math.nan}, "`target` must be a finite number"),
        (
            {"strategy": "accuracy", "target": 0.1},
            "`target` must be None for strategy 'accuracy'; got 0.1",
        ),
        (
            {"strategy": "eer", "target": 0.1},
            "`target` must be None for strategy 'eer'",
        ),
        (
            {"strategy": "f_beta", "target": 0.1},
            "`target` must be None for strategy 'f_beta'",
        ),
        (
            {"strategy": "f_beta", "beta": 0.0},
            "`beta` must be a finite number above 0; for precision alone, .*; got 0.0",
        ),
    ],
)
def test_wrong_options_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        choose_threshold([1, 0], [2.0, 1.0], **options)


@pytest.mark.parametrize(
    ("same", "score", "message"),
    [
        ([1, 1], [0.1, 0.2], "both kinds of pairs"),
        ([1, 0], [0.1, math.nan], "`score` must be finite"),
        ([1, 2], [0.1, 0.2], "`same` must be 1"),
        ([1, 0], [0.1], "the same shape"),
    ],
)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_wrong_pairs_are_errors(strategy, same, score, message):
    with pytest.raises(ValueError, match=message):
        choose_threshold(same, score, strategy, target=TARGETS.get(strategy))


def test_all_names_exist():
    assert all(hasattr(calibration, name) for name in calibration.__all__)
