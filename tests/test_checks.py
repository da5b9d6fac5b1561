"""Checks of parameter values: what passes, and what an error says."""

import fractions
import math

import numpy as np
import pytest
import torch

from siamese_sklearn._checks import (
    check_boolean,
    check_integer,
    check_number,
    check_option,
)


def test_an_option_comes_back_as_it_is():
    assert check_option("distance", "cosine", ("euclidean", "cosine")) == "cosine"


@pytest.mark.parametrize(
    "options", [("euclidean", "cosine"), {"euclidean": 1, "cosine": 2}]
)
def test_a_near_miss_is_guessed(options):
    with pytest.raises(ValueError, match="must be one of") as error:
        check_option("distance", "eucledian", options)
    assert str(error.value) == (
        "`distance` must be one of 'euclidean', 'cosine'; got 'eucledian'. Did you "
        "mean 'euclidean'?"
    )


@pytest.mark.parametrize(
    "value", ["xyz", "", None, 3, ["cosine"], np.array(["cosine"])]
)
def test_what_resembles_no_option_is_not_guessed(value):
    with pytest.raises(
        ValueError, match=r"^`distance` must be one of 'euclidean', 'cosine'; got "
    ) as error:
        check_option("distance", value, ("euclidean", "cosine"))
    assert repr(value) in str(error.value)
    assert "Did you mean" not in str(error.value)


@pytest.mark.parametrize(
    "value",
    [1, 0.5, np.float32(0.5), np.float64(0.5), np.int8(1), fractions.Fraction(1, 2)],
)
def test_a_number_of_any_real_type_comes_back_as_float(value):
    number = check_number("margin", value, low=0)
    assert type(number) is float
    assert number == value


@pytest.mark.parametrize(
    "value", [True, np.True_, "0.5", None, 1j, [1.0], torch.tensor(1.0)]
)
def test_what_is_no_number_is_a_type_error(value):
    with pytest.raises(
        TypeError,
        match=r"^`margin` must be a finite number of at least 0, or None; got ",
    ) as error:
        check_number("margin", value, low=0, also=", or None")
    assert str(error.value).endswith(f"of type {type(value).__name__}.")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_number_is_finite_even_where_no_bound_is_set(value):
    with pytest.raises(ValueError, match=r"^`margin` must be a finite number; got "):
        check_number("margin", value)


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "wanted"),
    [
        ({"low": 0}, [0, 1e300], [-1e-300], "of at least 0"),
        ({"low": 0, "low_open": True}, [1e-300], [0, -1], "above 0"),
        ({"high": 2}, [2, -1e300], [2.1], "of at most 2"),
        ({"high": 2, "high_open": True}, [1.9], [2, 3], "below 2"),
        (
            {"low": 0, "high": 1, "high_open": True},
            [0, 0.9],
            [1, -0.1],
            "of at least 0 and below 1",
        ),
    ],
)
def test_the_ends_of_an_interval_belong_to_it_unless_open(
    bounds, inside, outside, wanted
):
    assert [check_number("margin", value, **bounds) for value in inside] == inside
    for value in outside:
        with pytest.raises(ValueError, match="must be a finite number") as error:
            check_number("margin", value, **bounds)
        assert (
            str(error.value)
            == f"`margin` must be a finite number {wanted}; got {value!r}."
        )


@pytest.mark.parametrize("value", [4, 5, np.int64(4), np.uint8(200)])
def test_an_integer_of_any_integral_type_comes_back_as_int(value):
    number = check_integer("batch_size", value, low=4)
    assert type(number) is int
    assert number == value


@pytest.mark.parametrize("value", [True, np.True_, 4.0, "4", None])
def test_what_is_no_integer_is_a_type_error(value):
    with pytest.raises(
        TypeError, match=r"^`batch_size` must be an integer of at least 4; got "
    ):
        check_integer("batch_size", value, low=4)


def test_an_integer_below_the_bound_is_a_value_error():
    with pytest.raises(
        ValueError,
        match=r"^`batch_size` must be an integer of at least 4 or None; got 3\.$",
    ):
        check_integer("batch_size", 3, low=4, also=" or None")


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_a_boolean_of_either_library_comes_back_as_bool(value):
    assert check_boolean("warm_start", value) is bool(value)


@pytest.mark.parametrize("value", [0, 1, 1.0, "True", None, np.array([True])])
def test_what_is_no_boolean_is_a_type_error(value):
    with pytest.raises(TypeError, match=r"^`warm_start` must be True or False; got "):
        check_boolean("warm_start", value)
