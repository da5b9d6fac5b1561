"""Laws of an epoch: what every batch holds, and how often each row is seen."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from siamese_sklearn.sampling import BalancedBatches, PairedBatches, ShuffledBatches

COUNTS = st.lists(st.integers(1, 40), min_size=2, max_size=12)


def labels_of(counts):
    return np.repeat(np.arange(len(counts)), counts)


def epoch(batches, seed=0):
    return list(batches.epoch(np.random.default_rng(seed)))


def n_rows(batches):
    return sum(len(batch) for batch in batches)


@pytest.mark.slow
@settings(max_examples=300)
@given(
    counts=COUNTS,
    batch_size=st.integers(4, 64),
    k=st.integers(2, 8),
    seed=st.integers(0, 1000),
)
@example(counts=[2, 3], batch_size=4, k=2, seed=0)
@example(counts=[1, 1], batch_size=4, k=2, seed=0)
@example(counts=[3, 3, 3], batch_size=4, k=2, seed=0)
@example(counts=[4, 4, 4], batch_size=8, k=4, seed=0)
@example(counts=[5] + [4] * 99, batch_size=32, k=4, seed=0)
@example(counts=[1000, 1], batch_size=8, k=4, seed=0)
def test_an_epoch_holds_every_row_and_a_batch_none_twice(counts, batch_size, k, seed):
    """Fewer than 2 n rows in all.

    A class of g groups, more than the average, has at most g - 1 groups above it, and
    more than (g - 1) K rows: so the groups above the average, with K rows each, make
    fewer than n rows. Groups drawn again are no more than those, as the average is
    rounded down, and none has more than K rows.
    """
    labels = labels_of(counts)
    batches = BalancedBatches(labels, batch_size, k)
    ours = epoch(batches, seed)
    assert len(ours) == batches.n_batches
    assert set(np.concatenate(ours).tolist()) == set(range(len(labels)))
    assert len(labels) <= n_rows(ours) < 2 * len(labels)
    for batch in ours:
        assert batch.dtype == np.int64
        assert len(np.unique(batch)) == len(batch) > 0
        assert len(batch) <= max(batch_size, 6) + max(min(k, batch_size // 2), 3)


@pytest.mark.slow
@settings(max_examples=200)
@given(
    count=st.integers(2, 40),
    n_classes=st.integers(2, 12),
    batch_size=st.integers(4, 64),
    k=st.integers(2, 8),
    seed=st.integers(0, 1000),
)
# two groups of three each, no batch of one class
@example(count=3, n_classes=2, batch_size=4, k=2, seed=0)
@example(count=3, n_classes=50, batch_size=4, k=2, seed=0)
@example(count=4, n_classes=3, batch_size=8, k=4, seed=0)
def test_balanced_classes_give_each_row_once_and_each_batch_both_kinds_of_pairs(
    count, n_classes, batch_size, k, seed
):
    labels = labels_of([count] * n_classes)
    ours = epoch(BalancedBatches(labels, batch_size, k), seed)
    assert sorted(np.concatenate(ours).tolist()) == list(range(len(labels)))
    for batch in ours:
        n_of_class = Counter(labels[batch].tolist())
        assert len(n_of_class) > 1
        assert max(n_of_class.values()) > 1


@pytest.mark.slow
@settings(max_examples=200)
@given(
    counts=st.lists(st.integers(1, 3), min_size=2, max_size=12),
    batch_size=st.integers(4, 12),
    k=st.integers(3, 8),
    seed=st.integers(0, 1000),
)
@example(counts=[3] + [1] * 6, batch_size=4, k=4, seed=2)
def test_a_batch_holds_at_least_two_groups(counts, batch_size, k, seed):
    """Classes of up to three rows are one group each."""
    labels = labels_of(counts)
    for batch in epoch(BalancedBatches(labels, batch_size, k), seed):
        assert len(set(labels[batch])) > 1


@pytest.mark.slow
@settings(max_examples=100)
@given(
    counts=COUNTS,
    batch_size=st.integers(4, 64),
    k=st.integers(2, 8),
    seed=st.integers(0, 1000),
)
def test_no_row_of_a_larger_class_is_alone_in_a_batch(counts, batch_size, k, seed):
    labels = labels_of([count + 1 for count in counts])
    for batch in epoch(BalancedBatches(labels, batch_size, k), seed):
        assert min(Counter(labels[batch].tolist()).values()) > 1


@pytest.mark.slow
@settings(max_examples=100)
@given(
    n_groups=st.integers(1, 6),
    n_classes=st.integers(2, 6),
    k=st.integers(2, 5),
    seed=st.integers(0, 1000),
)
def test_a_batch_of_k_rows_per_class_holds_k_of_each_class(
    n_groups, n_classes, k, seed
):
    """Classes come round in the same order, so that `n_classes` groups in a row are of
    as many classes.
    """
    labels = labels_of([n_groups * k] * n_classes)
    for batch in epoch(BalancedBatches(labels, n_classes * k, k), seed):
        assert np.bincount(labels[batch]).tolist() == [k] * n_classes


@pytest.mark.slow
@settings(max_examples=100)
@given(large=st.integers(2, 2000), small=st.integers(2, 10), seed=st.integers(0, 1000))
def test_of_two_classes_the_rare_one_is_in_every_batch(large, small, seed):
    """It is drawn again until it has half as many groups as the other: five groups in a
    row hold it.
    """
    labels = labels_of([large, small])
    for batch in epoch(BalancedBatches(labels, 48, 4), seed):
        assert set(labels[batch]) == {0, 1}


def test_a_rare_class_is_seen_as_often_as_the_average_class():
    """100, 4 and 1 groups, 35 on average: so 35 groups of 4 rows of the second class,
    of 1 row of the third.

    Where two groups of one class share a batch, a row that both hold is in it once.
    """
    labels = labels_of([400, 16, 1])
    batches = BalancedBatches(labels, 1000, 4)
    assert batches.n_batches == 1  # 400 + 140 + 35 rows: a batch holds each only once
    assert sorted(epoch(batches)[0].tolist()) == list(range(417))
    batches = BalancedBatches(labels, 16, 4)
    rows_seen = np.concatenate(epoch(batches))
    seen = np.bincount(labels[rows_seen])
    assert batches.n_batches == 36  # 575 / 16
    assert seen[0] == 400
    assert 70 < seen[1] <= 140
    assert 35 / 2 < seen[2] <= 35
    # of 35 groups, 1/4 each: 8.75 with a deviation of 2.6
    assert np.bincount(rows_seen)[400:416].max() < 19


@pytest.mark.parametrize("counts", [[4] * 5, [5] + [4] * 99, [46] * 3 + [45] * 7])
def test_nearly_balanced_classes_are_not_drawn_again(counts):
    labels = labels_of(counts)
    assert n_rows(epoch(BalancedBatches(labels, 32))) == len(labels)


def test_groups_are_drawn_anew_each_epoch_and_repeat_with_the_seed():
    labels = labels_of([40, 17, 3, 1])
    batches, rng = BalancedBatches(labels, 16), np.random.default_rng(0)
    first, second = list(batches.epoch(rng)), list(batches.epoch(rng))
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
    again = epoch(BalancedBatches(labels, 16), seed=0)
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]


def test_every_two_rows_of_a_class_meet_in_some_epoch():
    labels = labels_of([8, 8])
    batches, rng = BalancedBatches(labels, 4, 2), np.random.default_rng(0)
    met = {
        frozenset(pair)
        for _ in range(100)
        for batch in batches.epoch(rng)
        for pair in itertools.combinations(batch.tolist(), 2)
    }
    assert {frozenset((i, j)) for i in range(8) for j in range(i)} <= met


def test_labels_may_be_any_integers_in_any_order():
    codes = np.array([7, -3, 10**12])[
        np.random.default_rng(0).permutation(labels_of([9, 4, 1]))
    ]
    _, encoded = np.unique(codes, return_inverse=True)
    ours, expected = (
        epoch(BalancedBatches(codes, 8)),
        epoch(BalancedBatches(encoded, 8)),
    )
    assert [batch.tolist() for batch in ours] == [batch.tolist() for batch in expected]
    assert set(np.concatenate(ours).tolist()) == set(range(14))


def test_ten_thousand_classes():
    labels = labels_of(np.random.default_rng(0).integers(1, 4, 10_000))
    ours = epoch(BalancedBatches(labels, 256))
    assert np.array_equal(np.sort(np.concatenate(ours)), np.arange(len(labels)))


def test_the_generators_of_numpy_are_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    epoch(BalancedBatches(labels_of([40, 17, 3, 1]), 16))
    epoch(ShuffledBatches(10, 4))
    epoch(PairedBatches(labels_of([40, 17, 3, 1]), 16))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (
            {"batch_size": 3},
            ValueError,
            "^`batch_size` must be an integer of at least 4; got 3",
        ),
        (
            {"batch_size": 8.0},
            TypeError,
            "^`batch_size` must be an integer of at least 4; got 8.0",
        ),
        (
            {"samples_per_class": 1},
            ValueError,
            "^`samples_per_class` must be an integer of at least 2; got 1",
        ),
        (
            {"samples_per_class": True},
            TypeError,
            "^`samples_per_class` must be an integer of at least 2; got T",
        ),
    ],
)
def test_batches_that_hold_no_pairs_are_an_error(params, error, message):
    with pytest.raises(error, match=message):
        BalancedBatches([0, 0, 1, 1], **{"batch_size": 8, **params})


def test_samples_per_class_is_four():
    labels = labels_of([8] * 4)
    batches = epoch(BalancedBatches(labels, 16))
    assert all(
        set(Counter(labels[batch].tolist()).values()) == {4} for batch in batches
    )


@settings(max_examples=100)
@given(
    n_rows=st.integers(1, 200), batch_size=st.integers(1, 70), seed=st.integers(0, 100)
)
def test_shuffled_batches_cut_a_permutation_into_equal_parts(n_rows, batch_size, seed):
    batches = ShuffledBatches(n_rows, batch_size)
    ours = epoch(batches, seed)
    sizes = [len(batch) for batch in ours]
    assert len(ours) == batches.n_batches
    assert sorted(np.concatenate(ours).tolist()) == list(range(n_rows))
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert [batch.tolist() for batch in ours] == [
        batch.tolist() for batch in epoch(batches, seed)
    ]


def test_shuffled_batches_differ_from_epoch_to_epoch():
    batches, rng = ShuffledBatches(50, 50), np.random.default_rng(0)
    (first,), (second,) = batches.epoch(rng), batches.epoch(rng)
    assert first.tolist() != second.tolist() != list(range(50))


@pytest.mark.slow
@settings(max_examples=100)
@given(counts=COUNTS, batch_size=st.integers(4, 48), seed=st.integers(0, 1000))
@example(counts=[1, 1], batch_size=4, seed=0)
@example(counts=[1, 1, 1], batch_size=4, seed=0)
@example(counts=[40, 1], batch_size=4, seed=0)
def test_pairs_have_balanced_rows_on_the_left_and_others_of_the_batch_on_the_right(
    counts, batch_size, seed
):
    labels = np.random.default_rng(seed).permutation(labels_of(counts))
    batches, balanced = (
        PairedBatches(labels, batch_size),
        BalancedBatches(labels, batch_size),
    )
    ours = epoch(batches, seed)
    assert len(ours) == batches.n_batches == balanced.n_batches
    for (left, right), rows in zip(ours, epoch(balanced, seed), strict=True):
        assert left.dtype == right.dtype == np.int64
        assert left.tolist() == rows.tolist()
        assert set(right.tolist()) <= set(rows.tolist())
        assert (left != right).all()


@pytest.mark.slow
@settings(max_examples=100)
@given(counts=COUNTS, batch_size=st.integers(4, 48), seed=st.integers(0, 1000))
@example(counts=[40, 1], batch_size=4, seed=0)
@example(counts=[2, 1, 1, 1], batch_size=4, seed=0)
def test_half_of_the_rows_have_a_partner_of_their_class_where_there_is_one(
    counts, batch_size, seed
):
    """Of B rows, ceil(B / 2) are to have one; those without another of their class in
    the batch cannot.

    In a batch of one class all have one.
    """
    labels = labels_of(counts)
    for left, right in epoch(PairedBatches(labels, batch_size), seed):
        n_of_class = Counter(labels[left].tolist())
        with_mate = np.array([n_of_class[label] > 1 for label in labels[left]])
        same = labels[left] == labels[right]
        assert not same[~with_mate].any()
        half = -(-len(left) // 2)
        if len(n_of_class) == 1:
            assert same.all()
        else:
            assert half - (~with_mate).sum() <= same.sum() <= min(half, with_mate.sum())


@pytest.mark.slow
@settings(max_examples=100)
@given(
    count=st.integers(2, 30),
    n_classes=st.integers(2, 8),
    batch_size=st.integers(4, 48),
    seed=st.integers(0, 1000),
)
def test_pairs_of_balanced_classes_are_half_same(count, n_classes, batch_size, seed):
    labels = labels_of([count] * n_classes)
    for left, right in epoch(PairedBatches(labels, batch_size), seed):
        assert (labels[left] == labels[right]).sum() == -(-len(left) // 2)


@pytest.mark.slow
@pytest.mark.parametrize("counts", [[3, 2, 1], [12, 4]])
def test_partners_of_a_row_are_equally_likely(counts):
    """A batch of all rows: "same" has chance 1/2 for rows with another of their class,
    0 for others.

    Of the second labels, the rows of the rarer class are drawn again, and a batch is in
    order of rows.
    """
    labels, n_epochs = labels_of(counts), 1000
    n = len(labels)
    batches, rng = PairedBatches(labels, 2 * n), np.random.default_rng(0)
    assert batches.n_batches == 1
    times = Counter(
        (int(i), int(j))
        for _ in range(n_epochs)
        for pairs in batches.epoch(rng)
        for i, j in pairs.T
    )
    for i, j in itertools.product(range(n), repeat=2):
        n_same, n_different = counts[labels[i]] - 1, n - counts[labels[i]]
        if i == j:
            chance = 0.0
        elif labels[i] == labels[j]:
            chance = 0.5 / n_same
        else:
            chance = (0.5 if n_same else 1.0) / n_different
        assert abs(times[i, j] - n_epochs * chance) <= 5 * np.sqrt(
            n_epochs * chance * (1 - chance)
        )


def test_pairs_repeat_with_the_seed_and_differ_from_epoch_to_epoch():
    batches, rng = PairedBatches(labels_of([9, 7, 3]), 8), np.random.default_rng(0)
    first, second = (
        np.concatenate(list(batches.epoch(rng)), axis=1).tolist() for _ in range(2)
    )
    assert first != second
    assert first == np.concatenate(epoch(batches), axis=1).tolist()


def test_labels_of_pairs_may_be_any_integers_in_any_order():
    codes = np.array([7, -3, 10**12])[
        np.random.default_rng(0).permutation(labels_of([9, 4, 1]))
    ]
    _, encoded = np.unique(codes, return_inverse=True)
    ours, expected = (
        epoch(PairedBatches(codes.tolist(), 8)),
        epoch(PairedBatches(encoded, 8)),
    )
    assert [pairs.tolist() for pairs in ours] == [pairs.tolist() for pairs in expected]


def test_batches_too_small_for_two_classes_of_two_are_an_error_for_pairs_too():
    with pytest.raises(
        ValueError, match=r"^`batch_size` must be an integer of at least 4; got 3"
    ):
        PairedBatches([0, 0, 1, 1], 3)
