"""Numbers that training gives to the classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamese_sklearn._estimators.class_numbers import ClassNumbers


@given(
    steps=st.lists(
        st.tuples(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9))), max_size=6
    )
)
def test_numbers_are_kept_and_reused(steps):
    """As a dict does it, in which new classes get the lowest numbers that are free."""
    numbers, expected, most = ClassNumbers(), {}, 0
    for added, forgotten in steps:
        for name in sorted(added - expected.keys()):
            free = set(range(20)) - set(expected.values())
            expected[name] = min(free)
        most = max(most, len(expected))
        numbers = numbers.extended(np.array(sorted(expected), dtype=np.int64))
        assert numbers.names.tolist() == sorted(expected)
        assert numbers.n_given == most
        order = np.array([*expected.values()], dtype=np.int64)
        assert numbers.names_of(order).tolist() == [*expected]
        assert numbers.of([*expected]).tolist() == [*expected.values()]
        numbers = numbers.without(sorted(forgotten))
        expected = {n: i for n, i in expected.items() if n not in forgotten}


@pytest.mark.parametrize("names", ["ann", ["ann"], ("ann",), np.array(["ann"])])
def test_names_to_forget_come_in_many_forms(names):
    numbers = ClassNumbers().extended(np.array(["ann", "bob"])).without(names)
    assert numbers.names.tolist() == ["bob"]
    assert numbers.n_given == 2
