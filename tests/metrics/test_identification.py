"""Identification measures against plain loops, and the laws they obey."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from siamese_sklearn.metrics import (
    cmc_curve,
    fnir,
    fnir_at_fpir,
    fpir,
    fpir_fnir_curve,
    make_neg_fnir_at_fpir_scorer,
)

CLASSES = ["ann", "bob", "joe"]
# Ann is found at 9; bob is second, behind joe, at 5; joe is found at 4, tied with ann.
# Two strangers: the best scores are 6 and 2.
LABELS = ["ann", "bob", "joe", "eve", "sue"]
SCORES = [[9, 1, 2], [3, 5, 7], [4, 0, 4], [6, 6, 1], [1, 2, 0]]
WHOLE = {"classes": CLASSES}


@st.composite
def searches(draw):
    """Searches of both kinds, by labels 0 to 4 among fewer classes, with scores from a
    few whole numbers, so that many are equal.
    """
    n, n_classes = draw(st.integers(2, 12)), draw(st.integers(1, 4))
    labels = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    scores = draw(
        st.lists(
            st.lists(st.integers(-3, 3), min_size=n_classes, max_size=n_classes),
            min_size=n,
            max_size=n,
        )
    )
    classes = draw(st.permutations(range(n_classes)))
    assume(any(label in classes for label in labels))
    assume(any(label not in classes for label in labels))
    return np.array(labels), np.array(scores, dtype=float), np.array(classes)


def naive_ranking(row, label, classes):
    """Classes from best to worst as (score, class); in ties, the true class is last."""
    ranking = list(zip(row, classes, strict=True))
    return sorted(ranking, key=lambda each: (-each[0], each[1] == label))


def naive_fpir(labels, scores, classes, threshold):
    strangers = [
        any(score >= threshold for score in row)
        for label, row in zip(labels, scores, strict=True)
        if label not in classes
    ]
    return sum(strangers) / len(strangers)


def naive_fnir(labels, scores, classes, threshold, rank):
    missed = []
    for label, row in zip(labels, scores, strict=True):
        if label in classes:
            best = naive_ranking(row, label, classes)[:rank]
            candidates = [name for score, name in best if score >= threshold]
            missed.append(label not in candidates)
    return sum(missed) / len(missed)


class TestByHand:
    @pytest.mark.parametrize(
        ("threshold", "expected"),
        [(math.inf, 0), (6.5, 0), (6, 0.5), (2.5, 0.5), (2, 1), (-math.inf, 1)],
    )
    def test_fpir(self, threshold, expected):
        assert fpir(LABELS, SCORES, threshold, **WHOLE) == expected

    @pytest.mark.parametrize(
        ("threshold", "rank", "n_missed"),
        [
            *[(math.inf, 1, 3), (9.5, 3, 3), (9, 1, 2), (4, 1, 2), (-math.inf, 1, 2)],
            *[(5, 2, 1), (5.5, 2, 2), (4, 2, 0), (4.5, 2, 1), (-math.inf, 3, 0)],
        ],
    )
    def test_fnir(self, threshold, rank, n_missed):
        found = fnir(LABELS, SCORES, threshold, rank=rank, **WHOLE)
        assert found == pytest.approx(n_missed / 3)

    def test_curve(self):
        """At rank 1, only ann counts, at 9; bob and joe are never found."""
        named, missed, thresholds = fpir_fnir_curve(LABELS, SCORES, **WHOLE)
        assert thresholds.tolist() == [math.inf, 9, 6, 2]
        assert named.tolist() == [0, 0, 0.5, 1]
        np.testing.assert_allclose(missed, [1, 2 / 3, 2 / 3, 2 / 3])

    def test_curve_at_rank_2(self):
        named, missed, thresholds = fpir_fnir_curve(LABELS, SCORES, rank=2, **WHOLE)
        assert thresholds.tolist() == [math.inf, 9, 6, 5, 4, 2]
        assert named.tolist() == [0, 0, 0.5, 0.5, 0.5, 1]
        np.testing.assert_allclose(missed, [1, 2 / 3, 2 / 3, 1 / 3, 0, 0])

    @pytest.mark.parametrize(
        ("target", "rank", "n_missed"),
        [(0, 1, 2), (1, 1, 2), (0, 2, 2), (0.49, 2, 2), (0.5, 2, 0), (1, 2, 0)],
    )
    def test_fnir_at_fpir(self, target, rank, n_missed):
        found = fnir_at_fpir(LABELS, SCORES, target, rank=rank, **WHOLE)
        assert found == pytest.approx(n_missed / 3)

    def test_fnir_at_fpir_meets_decimal_rates_exactly(self):
        """3 of 10 strangers score above the mate: allowed at 0.3, not below."""
        labels = ["ann"] + ["eve"] * 10
        scores = np.array([[5]] + [[6]] * 3 + [[1]] * 7)
        for target, expected in ((0.3, 0.0), (np.nextafter(0.3, 0), 1.0)):
            assert fnir_at_fpir(labels, scores, target, classes=["ann"]) == expected

    def test_fnir_at_fpir_allows_one_stranger_in_a_hundred_by_default(self):
        labels = ["ann"] + ["eve"] * 100
        scores = np.array([[5]] + [[6]] + [[1]] * 99)
        assert fnir_at_fpir(labels, scores, classes=["ann"]) == 0.0
        assert fnir_at_fpir(labels[:-1], scores[:-1], classes=["ann"]) == 1.0

    def test_cmc(self):
        """Ann is first, bob second, joe second as well, because he is tied."""
        np.testing.assert_allclose(cmc_curve(LABELS, SCORES, **WHOLE), [1 / 3, 1, 1])
        assert cmc_curve(LABELS, SCORES, max_rank=2, **WHOLE).shape == (2,)

    def test_equal_scores_find_nobody_at_rank_1(self):
        scores = np.zeros((3, 3))
        assert cmc_curve(CLASSES, scores, **WHOLE).tolist() == [0, 0, 1]
        assert fnir(CLASSES, scores, 0, **WHOLE) == 1.0


class TestAgainstLoops:
    @given(searches(), st.integers(1, 4))
    def test_curve_equals_counting_at_each_threshold(self, given_searches, rank):
        labels, scores, classes = given_searches
        rank = min(rank, len(classes))
        named, missed, thresholds = fpir_fnir_curve(
            labels, scores, classes=classes, rank=rank
        )
        for i, threshold in enumerate(thresholds):
            expected = (
                naive_fpir(labels, scores, classes, threshold),
                naive_fnir(labels, scores, classes, threshold, rank),
            )
            assert (named[i], missed[i]) == pytest.approx(expected)
            assert expected == pytest.approx(
                (
                    fpir(labels, scores, threshold, classes=classes),
                    fnir(labels, scores, threshold, classes=classes, rank=rank),
                )
            )

    @pytest.mark.slow
    @given(searches(), st.floats(-4, 4))
    def test_curve_has_the_rates_of_every_other_threshold(
        self, given_searches, threshold
    ):
        labels, scores, classes = given_searches
        named, missed, thresholds = fpir_fnir_curve(labels, scores, classes=classes)
        last = np.flatnonzero(thresholds >= threshold)[-1]
        assert (named[last], missed[last]) == pytest.approx(
            (
                naive_fpir(labels, scores, classes, threshold),
                naive_fnir(labels, scores, classes, threshold, 1),
            )
        )

    @pytest.mark.slow
    @given(searches(), st.floats(0, 1), st.integers(1, 4))
    def test_fnir_at_fpir_is_the_best_of_all_thresholds(
        self, given_searches, target, rank
    ):
        labels, scores, classes = given_searches
        rank = min(rank, len(classes))
        best = min(
            naive_fnir(labels, scores, classes, threshold, rank)
            for threshold in [math.inf, *scores.ravel()]
            if naive_fpir(labels, scores, classes, threshold) <= target
        )
        found = fnir_at_fpir(labels, scores, target, classes=classes, rank=rank)
        assert found == pytest.approx(best)

    @pytest.mark.slow
    @given(searches())
    def test_cmc_is_the_complement_of_fnir_without_a_threshold(self, given_searches):
        labels, scores, classes = given_searches
        rates = cmc_curve(labels, scores, classes=classes)
        expected = [
            1 - naive_fnir(labels, scores, classes, -math.inf, rank)
            for rank in range(1, len(classes) + 1)
        ]
        np.testing.assert_allclose(rates, expected, atol=1e-12)
        assert 1 - fnir(labels, scores, -math.inf, classes=classes) == pytest.approx(
            rates[0]
        )


class TestLaws:
    @given(searches())
    def test_curve_is_monotone(self, given_searches):
        labels, scores, classes = given_searches
        named, missed, thresholds = fpir_fnir_curve(labels, scores, classes=classes)
        assert (thresholds[0], named[0], missed[0], named[-1]) == (math.inf, 0, 1, 1)
        assert missed[-1] == pytest.approx(
            1 - cmc_curve(labels, scores, classes=classes)[0]
        )
        assert (np.diff(thresholds) < 0).all()
        assert (np.diff(named) >= 0).all()
        assert (np.diff(missed) <= 0).all()
        # every threshold changes one of them
        assert ((np.diff(named) > 0) | (np.diff(missed) < 0)).all()

    @pytest.mark.slow
    @given(searches())
    def test_cmc_never_falls_and_ends_at_1(self, given_searches):
        labels, scores, classes = given_searches
        rates = cmc_curve(labels, scores, classes=classes)
        assert (np.diff(rates) >= 0).all()
        assert rates[-1] == 1.0

    @pytest.mark.slow
    @given(searches(), st.integers(0, 2**32 - 1))
    def test_order_of_searches_and_of_classes_changes_nothing(
        self, given_searches, seed
    ):
        labels, scores, classes = given_searches
        rng = np.random.default_rng(seed)
        rows, columns = rng.permutation(len(labels)), rng.permutation(len(classes))
        other = labels[rows], scores[rows][:, columns], classes[columns]
        assert_same_rates(given_searches, other)

    @pytest.mark.slow
    @given(searches())
    def test_searches_made_twice_change_nothing(self, given_searches):
        labels, scores, classes = given_searches
        other = np.repeat(labels, 2), np.repeat(scores, 2, axis=0), classes
        assert_same_rates(given_searches, other)

    @pytest.mark.slow
    @given(searches())
    def test_increasing_transforms_change_thresholds_only(self, given_searches):
        labels, scores, classes = given_searches
        other = labels, 3 * np.exp(scores) - 7, classes
        assert_same_rates(given_searches, other, same_thresholds=False)
        np.testing.assert_array_equal(
            fpir_fnir_curve(labels, other[1], classes=classes)[2],
            3 * np.exp(fpir_fnir_curve(labels, scores, classes=classes)[2]) - 7,
        )

    @pytest.mark.slow
    @given(searches())
    def test_names_of_classes_change_nothing(self, given_searches):
        labels, scores, classes = given_searches
        names = np.array(["zoe", "ann", "bob", "joe", "eve"])
        assert_same_rates(given_searches, (names[labels], scores, names[classes]))

    @pytest.mark.slow
    @given(searches())
    def test_a_class_that_nobody_resembles_changes_nothing(self, given_searches):
        labels, scores, classes = given_searches
        never = np.full((len(labels), 1), -9.0)
        other = np.append(scores, never, axis=1)
        named, missed, _ = fpir_fnir_curve(labels, scores, classes=classes)
        found = fpir_fnir_curve(labels, other, classes=[*classes, 99])
        np.testing.assert_array_equal(found[0], named)
        np.testing.assert_array_equal(found[1], missed)


def assert_same_rates(one, other, same_thresholds=True):
    curves, cmcs = zip(
        *(
            (
                fpir_fnir_curve(labels, scores, classes=classes),
                cmc_curve(labels, scores, classes=classes),
            )
            for labels, scores, classes in (one, other)
        ),
        strict=True,
    )
    for left, right in list(zip(*curves, strict=True))[: 2 + same_thresholds]:
        np.testing.assert_allclose(left, right)
    np.testing.assert_allclose(*cmcs)
    targets = [
        fnir_at_fpir(labels, scores, 0.3, classes=classes)
        for labels, scores, classes in (one, other)
    ]
    assert targets[0] == pytest.approx(targets[1])


class TestLabels:
    @pytest.mark.parametrize(
        ("labels", "classes"),
        [
            ([7, 8, "unknown"], [7, 8]),
            ([7, 8, None], [7, 8]),
            ([7.0, 8.0, -1.0], np.array([7, 8])),
            (np.array([7, 8, -1]), np.array([7.0, 8.0])),
            (("7", "8", "x"), np.array(["7", "8"])),
            (np.array(["7", "8", "unknown"]), np.array(["7", "8"], dtype=object)),
            (pd.Series(["7", "8", "x"]), ["7", "8"]),
            (pd.Series(["7", "8", "x"], dtype="category"), pd.Index(["7", "8"])),
            ([True, False, 2], [True, False]),
        ],
    )
    def test_may_be_of_any_kind(self, labels, classes):
        scores = pd.DataFrame([[3, 1], [0, 2], [1, 1]])
        assert fnir(labels, scores, 2.0, classes=classes) == 0.0
        assert fpir(labels, scores, 1.0, classes=classes) == 1.0
        assert fpir(labels, scores, 2.0, classes=classes) == 0.0

    @pytest.mark.parametrize(
        ("labels", "classes"),
        [
            (np.array([7, 8, "unknown"]), [7, 8]),
            ([7, 8, 9], ["7", "8"]),
            (["7", "8", "9"], np.array([7, 8])),
        ],
    )
    def test_strings_are_not_compared_with_numbers(self, labels, classes):
        with pytest.raises(
            ValueError,
            match=r"must both contain strings, or both numbers; got \['?7.*Convert",
        ):
            fpir(labels, np.eye(3)[:, :2], 0.5, classes=classes)


EVERY = {
    "fpir": lambda y, s, c: fpir(y, s, 1.0, classes=c),
    "fnir": lambda y, s, c: fnir(y, s, 1.0, classes=c),
    "curve": lambda y, s, c: fpir_fnir_curve(y, s, classes=c),
    "fnir_at_fpir": lambda y, s, c: fnir_at_fpir(y, s, classes=c),
    "cmc": lambda y, s, c: cmc_curve(y, s, classes=c),
}
NEEDS_STRANGERS = {"fpir", "curve", "fnir_at_fpir"}
NEEDS_MATES = {"fnir", "curve", "fnir_at_fpir", "cmc"}


class TestErrors:
    @pytest.mark.parametrize("name", list(EVERY))
    @pytest.mark.parametrize(
        ("labels", "scores", "classes", "message"),
        [
            (
                LABELS,
                [5, 4, 3, 2, 1],
                CLASSES,
                r"`scores` must have shape \(n, n_classes\).*got \(5,\)\. With two",
            ),
            (LABELS, np.zeros((5, 3, 1)), CLASSES, r"got \(5, 3, 1\)\.$"),
            (
                LABELS,
                SCORES,
                CLASSES[:2],
                r"`classes` must name each column of `scores`, shape \(3,\).*\(2,\)",
            ),
            (LABELS, SCORES, [CLASSES], r"`classes` must name each column.*\(1, 3\)"),
            (LABELS, np.zeros((5, 0)), [], "with at least one"),
            (
                LABELS[:4],
                SCORES,
                CLASSES,
                r"one label per row of `scores`, shape \(5,\); got \(4,\)",
            ),
            ([LABELS], SCORES, CLASSES, r"`y_true` must have shape \(n,\); got \(1, 5"),
            ("ann", SCORES, CLASSES, r"`y_true` must have shape \(n,\); got \(\)"),
            (
                LABELS,
                SCORES,
                ["ann", "bob", "ann"],
                "must be distinct; 'ann' occurs twice. Pass one column per class",
            ),
            (
                LABELS,
                [[math.nan, 1, 2], *SCORES[1:4], [1, math.inf, 0]],
                CLASSES,
                "`scores` must be finite; 2 of its values are NaN or infinite",
            ),
        ],
    )
    def test_data(self, name, labels, scores, classes, message):
        with pytest.raises(ValueError, match=message):
            EVERY[name](labels, scores, classes)

    @pytest.mark.parametrize("name", list(EVERY))
    def test_no_strangers(self, name):
        if name in NEEDS_STRANGERS:
            with pytest.raises(
                ValueError,
                match=r"must contain strangers.*3 searches and no stranger\. Add rows",
            ):
                EVERY[name](LABELS[:3], SCORES[:3], CLASSES)
        else:
            np.testing.assert_array_equal(
                EVERY[name](LABELS[:3], SCORES[:3], CLASSES),
                EVERY[name](LABELS, SCORES, CLASSES),
            )

    @pytest.mark.parametrize("name", list(EVERY))
    def test_no_mated_searches(self, name):
        if name in NEEDS_MATES:
            with pytest.raises(
                ValueError,
                match=r"must contain mated.*2 searches, all by strangers\. Add rows",
            ):
                EVERY[name](LABELS[3:], SCORES[3:], CLASSES)
        else:
            assert EVERY[name](LABELS[3:], SCORES[3:], CLASSES) == EVERY[name](
                LABELS, SCORES, CLASSES
            )

    @pytest.mark.parametrize("name", list(EVERY))
    def test_no_searches(self, name):
        with pytest.raises(ValueError, match=r"must contain (strangers|mated)"):
            EVERY[name]([], np.zeros((0, 3)), CLASSES)

    @pytest.mark.parametrize("measure", [fpir, fnir])
    def test_threshold(self, measure):
        with pytest.raises(
            ValueError, match="`threshold` must be a finite number or infinity; got nan"
        ):
            measure(LABELS, SCORES, math.nan, **WHOLE)
        for threshold in ("0.5", None, True, [0.5]):
            with pytest.raises(TypeError, match="`threshold` must be a finite number"):
                measure(LABELS, SCORES, threshold, **WHOLE)

    @pytest.mark.parametrize("target", [-0.1, 1.1, math.nan])
    def test_fpir_out_of_range(self, target):
        with pytest.raises(ValueError, match="`fpir` must be a finite number"):
            fnir_at_fpir(LABELS, SCORES, target, **WHOLE)
        with pytest.raises(ValueError, match="`fpir` must be a finite number"):
            make_neg_fnir_at_fpir_scorer(target)

    @pytest.mark.parametrize(
        ("name", "measure"),
        [
            ("rank", lambda rank: fnir(LABELS, SCORES, 0, rank=rank, **WHOLE)),
            ("rank", lambda rank: fpir_fnir_curve(LABELS, SCORES, rank=rank, **WHOLE)),
            ("rank", lambda rank: fnir_at_fpir(LABELS, SCORES, rank=rank, **WHOLE)),
            (
                "max_rank",
                lambda rank: cmc_curve(LABELS, SCORES, max_rank=rank, **WHOLE),
            ),
        ],
    )
    def test_rank(self, name, measure):
        wanted = (
            f"`{name}` must be an integer of at least 1 and at most 3, the number of "
            "classes; got "
        )
        for rank in (0, -1, 4):
            with pytest.raises(ValueError, match=f"{wanted}{rank}"):
                measure(rank)
        for rank in (1.0, "1", True):
            with pytest.raises(TypeError, match=wanted):
                measure(rank)
