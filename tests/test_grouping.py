"""Rows grouped by class, against lists of lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_sklearn._grouping import group_by_class, number_within

labels_with_gaps = st.lists(st.integers(0, 9), min_size=1, max_size=40).map(np.array)


def rows_of_each(labels, order, start, count):
    """The rows that each class has in `order`."""
    return [order[s : s + c].tolist() for s, c in zip(start, count, strict=True)]


class TestGroupByClass:
    @settings(max_examples=50)
    @given(labels=labels_with_gaps)
    def test_rows_of_a_class_are_together_and_in_order(self, labels):
        groups = rows_of_each(labels, *group_by_class(labels))
        expected = [
            [row for row, label in enumerate(labels) if label == number]
            for number in range(max(labels) + 1)
        ]
        assert groups == expected

    @settings(max_examples=50)
    @given(labels=labels_with_gaps, seed=st.integers(0, 1000))
    def test_a_generator_shuffles_within_the_classes(self, labels, seed):
        groups, again = (
            rows_of_each(labels, *group_by_class(labels, np.random.default_rng(seed)))
            for _ in range(2)
        )
        assert groups == again
        plain = rows_of_each(labels, *group_by_class(labels))
        assert [sorted(rows) for rows in groups] == plain

    def test_all_orders_of_a_class_are_equally_likely(self):
        """Of 3 rows there are 6 orders: of 1,200 each comes 200 times, with a standard
        deviation of 13.
        """
        generator, labels = np.random.default_rng(0), np.array([0, 1, 0, 1, 0])
        times = {}
        for _ in range(1200):
            order, _, _ = group_by_class(labels, generator)
            key = tuple(order[:3].tolist())
            times[key] = times.get(key, 0) + 1
        assert len(times) == 6
        assert max(abs(number - 200) for number in times.values()) < 5 * 13

    @pytest.mark.parametrize("generator", [None, np.random.default_rng(0)])
    def test_no_rows(self, generator):
        none = np.empty(0, dtype=np.int64)
        assert [len(part) for part in group_by_class(none, generator)] == [0, 0, 0]


@settings(max_examples=50)
@given(count=st.lists(st.integers(0, 6), max_size=12).map(lambda c: np.array(c, int)))
def test_members_of_groups_are_numbered_from_zero(count):
    group, number = number_within(count)
    expected = [(i, j) for i, members in enumerate(count) for j in range(members)]
    assert list(zip(group.tolist(), number.tolist(), strict=True)) == expected
