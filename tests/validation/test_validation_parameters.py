"""Fields that are parameters: how they are declared, checked, documented, compared."""

import inspect
from dataclasses import dataclass, field, fields
from functools import partial

import pytest
from sklearn.base import BaseEstimator
from torch import nn

from siamese_sklearn import MLPTower
from siamese_sklearn._checks import check_integer, check_number, check_option
from siamese_sklearn._validation import (
    check_parameters,
    check_unchanged,
    documented,
    fixed_parameters,
    or_none,
    parameter,
)


@documented
@dataclass(eq=False, repr=False)
class Kettle(BaseEstimator):
    """Boils water.

    It has no whistle.

    Attributes
    ----------
    heat_ : float

    See Also
    --------
    Stove : what it stands on.
    """

    n_cups: int = parameter(
        2, "int", "Cups of water.", check=partial(check_integer, low=1), fixed=True
    )
    power: float | None = parameter(
        None,
        "float or None",
        """Watts; None is all
        there are.""",
        check=or_none(partial(check_number, low=0)),
    )
    lid: object = parameter("auto", '"auto" or a module', "What is on top.", fixed=True)
    size: str = parameter(
        "small",
        '{"small", "large"}',
        """- "small": for one.
        - "large": for more.""",
        check=partial(check_option, options=("small", "large")),
    )
    heat_: float = field(init=False)


class TestParameter:
    def test_is_a_field_of_a_dataclass_with_its_default(self):
        assert Kettle().get_params() == {
            "n_cups": 2,
            "power": None,
            "lid": "auto",
            "size": "small",
        }
        (first, *_) = fields(Kettle)
        assert first.default == 2
        assert first.metadata["kind"] == "int"
        assert first.metadata["text"] == "Cups of water."
        assert first.metadata["fixed"]

    def test_construction_assigns_and_checks_nothing(self):
        kettle = Kettle(n_cups=-3, size="huge")
        assert vars(kettle) == {
            "n_cups": -3,
            "power": None,
            "lid": "auto",
            "size": "huge",
        }


class TestCheckParameters:
    @pytest.mark.parametrize(
        "values", [{}, {"power": 5.5}, {"n_cups": 1, "size": "large", "lid": object()}]
    )
    def test_good_ones_pass(self, values):
        check_parameters(Kettle(**values))

    @pytest.mark.parametrize(
        ("values", "kind", "message"),
        [
            ({"n_cups": 0}, ValueError, "`n_cups` must be .* got 0"),
            ({"n_cups": "two"}, TypeError, "`n_cups` must be .* got 'two'"),
            ({"power": -1}, ValueError, "`power` must be .* got -1"),
            ({"size": "smal"}, ValueError, "`size` must be .* Did you mean 'small'"),
            ({"size": "x", "n_cups": 0}, ValueError, "`n_cups` must be"),
        ],
    )
    def test_the_first_bad_one_is_named(self, values, kind, message):
        with pytest.raises(kind, match=message):
            check_parameters(Kettle(**values))

    def test_a_subclass_is_checked_too(self):
        @dataclass(eq=False, repr=False)
        class Electric(Kettle):
            volts: int = parameter(
                230, "int", "At the plug.", check=partial(check_integer, low=100)
            )

        check_parameters(Electric())
        with pytest.raises(ValueError, match="`volts`"):
            check_parameters(Electric(volts=12))
        with pytest.raises(ValueError, match="`n_cups`"):
            check_parameters(Electric(n_cups=0))


class TestOrNone:
    def test_none_passes_and_all_else_is_checked(self):
        check = or_none(partial(check_integer, low=1))
        assert check("n", None) is None
        assert check("n", 4) == 4
        with pytest.raises(ValueError, match="`n` must be"):
            check("n", 0)


class TestDocumented:
    def test_parameters_come_before_the_attributes(self):
        assert inspect.getdoc(Kettle) == inspect.cleandoc(
            """Boils water.

            It has no whistle.

            Parameters
            ----------
            n_cups : int, default=2
                Cups of water.
            power : float or None, default=None
                Watts; None is all
                there are.
            lid : "auto" or a module, default="auto"
                What is on top.
            size : {"small", "large"}, default="small"
                - "small": for one.
                - "large": for more.

            Attributes
            ----------
            heat_ : float

            See Also
            --------
            Stove : what it stands on.
            """
        )

    @pytest.mark.parametrize("indent", ["", "    ", "        "])
    def test_of_any_indentation(self, indent):
        """Python 3.13 strips it, and classes may stand in functions."""

        class Given(Kettle):
            pass

        lines = ["Boils.", "", "Attributes", "----------", "heat_ : float"]
        Given.__doc__ = f"\n{indent}".join(lines)
        before, after = inspect.getdoc(documented(Given)).split("n_cups : int")
        assert before == "Boils.\n\nParameters\n----------\n"
        assert after.endswith("more.\n\nAttributes\n----------\nheat_ : float")

    def test_without_attributes_they_come_last(self):
        class Given(Kettle):
            """Boils."""

        text = inspect.getdoc(documented(Given))
        assert text.startswith("Boils.\n\nParameters\n----------\nn_cups : int")
        assert text.endswith('    - "large": for more.')

    def test_no_docstring_stays_none(self):
        """As under ``python -OO``."""

        class Given(Kettle):
            pass

        Given.__doc__ = None
        assert documented(Given).__doc__ is None


class TestUnchanged:
    def test_only_fixed_ones_are_recorded(self):
        assert fixed_parameters(Kettle()) == {"n_cups": "2", "lid": "'auto'"}

    def test_specs_are_compared_by_what_they_say_and_modules_are_not(self):
        spec = fixed_parameters(Kettle(lid=MLPTower(dropout=0.5)))
        assert spec["lid"] == "MLPTower(dropout=0.5)"
        assert "lid" not in fixed_parameters(Kettle(lid=nn.Linear(2, 2)))
        assert fixed_parameters(Kettle(lid=None))["lid"] == "None"

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({}, {}),
            ({}, {"power": 3.0, "size": "large"}),
            ({"lid": MLPTower(dropout=0.5)}, {"lid": MLPTower(dropout=0.5)}),
            ({"lid": nn.Linear(2, 2)}, {"lid": nn.Linear(3, 3)}),
        ],
    )
    def test_others_may_change(self, before, after):
        check_unchanged(Kettle(**after), fixed_parameters(Kettle(**before)))

    @pytest.mark.parametrize(
        ("before", "after", "message"),
        [
            ({}, {"n_cups": 3}, "`n_cups` is 3, .* built with 2"),
            (
                {"lid": MLPTower()},
                {"lid": MLPTower(dropout=0.5)},
                r"`lid` is MLPTower\(dropout=0.5\), .* built with MLPTower\(\)",
            ),
            ({}, {"lid": nn.Linear(2, 2)}, "`lid` is a module, .* built with 'auto'"),
            ({"lid": nn.Linear(2, 2)}, {}, "`lid` is 'auto', .* built with a module"),
        ],
    )
    def test_fixed_ones_may_not(self, before, after, message):
        with pytest.raises(ValueError, match=message):
            check_unchanged(Kettle(**after), fixed_parameters(Kettle(**before)))
