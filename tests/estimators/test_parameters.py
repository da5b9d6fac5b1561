"""A parameter of the estimators is declared, checked and documented in one field."""

import inspect
import re
from dataclasses import MISSING, dataclass, fields
from functools import partial

import numpy as np
import pytest
from sklearn.base import clone

from models import quick, quick_classifier
from siamese_sklearn import SiameseEmbedder, SiamesePairClassifier
from siamese_sklearn._checks import check_integer
from siamese_sklearn._estimators.parameters import SharedParameters
from siamese_sklearn._validation import documented, parameter

ESTIMATORS = [SiameseEmbedder, SiamesePairClassifier]
# Checked where they are built, which is before training, too.
BUILT = {
    *["tower", "loss", "margin", "distance", "mining", "optimizer", "net_params"],
    "device",
}


def declared(estimator):
    """Fields of the parameters, by name."""
    names = inspect.signature(estimator).parameters
    return {each.name: each for each in fields(estimator) if each.name in names}


DECLARED = [
    pytest.param(estimator, each, id=f"{estimator.__name__}-{each.name}")
    for estimator in ESTIMATORS
    for each in declared(estimator).values()
]
each_parameter = pytest.mark.parametrize(("estimator", "declared"), DECLARED)


def entries(estimator):
    """Lines of the docstring that begin the entry of a parameter, by its name."""
    text = inspect.getdoc(estimator)
    section = text.split("Parameters\n----------\n")[1].split("\n\nAttributes\n")[0]
    heads = [line for line in section.splitlines() if line[:1].strip()]
    return {head.split(" : ")[0]: head for head in heads}, section


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_parameter_is_a_field(estimator):
    names = list(inspect.signature(estimator).parameters)
    assert set(declared(estimator)) == set(names)
    assert estimator().get_params(deep=False).keys() == set(names)
    shared = [name for name in names if name in declared(SharedParameters)]
    assert shared == names[: len(shared)]
    assert len(shared) > 20


@each_parameter
def test_a_field_says_its_kind_its_text_and_its_default(estimator, declared):
    assert declared.default is not MISSING
    kind, text = declared.metadata["kind"], declared.metadata["text"]
    assert kind.strip() == kind != ""
    assert text.strip().endswith(".")
    assert text.strip()[0].isupper() or text.strip()[0] in '"`1-'
    assert declared.metadata["check"] is None or callable(declared.metadata["check"])
    assert isinstance(declared.metadata["fixed"], bool)


@each_parameter
def test_a_field_is_in_the_docstring_once(estimator, declared):
    name, documentation = declared.name, inspect.getdoc(estimator)
    assert len(re.findall(rf"(?m)^{name} : ", documentation)) == 1
    pattern = rf"(?m)^{name} : (.*), default=(.*)\n((?:    .*\n)+)"
    kind, default, text = re.search(pattern, documentation).groups()
    assert kind == declared.metadata["kind"]
    assert eval(default) == declared.default
    assert inspect.cleandoc(text) == inspect.cleandoc(declared.metadata["text"])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_docstring_has_no_other_parameters(estimator):
    heads, _ = entries(estimator)
    assert list(heads) == list(inspect.signature(estimator).parameters)


@each_parameter
def test_a_bad_value_is_an_error_that_names_the_parameter(estimator, declared, halves):
    """What has no check in its field has one where it is built."""
    assert (declared.metadata["check"] is None) == (declared.name in BUILT)
    if declared.name == "unknown_label":
        bad = ["a", "b"]
    elif declared.name == "head":
        bad = "heads"
    else:
        bad = {"margin": -1.0}.get(declared.name, object())
    loss = {} if declared.name == "loss" else {"loss": "triplet"}
    model = estimator(**{"max_epochs": 1, **loss, declared.name: bad})
    with pytest.raises((ValueError, TypeError), match=rf"{declared.name}`"):
        model.fit(halves[0], halves[2])
    assert not hasattr(model, "net_")


@pytest.mark.slow
@pytest.mark.parametrize("make", [quick, quick_classifier])
def test_fixed_ones_must_not_change_as_training_continues(make, halves):
    other = {
        "n_components": 9,
        "normalize": False,
        "optimizer": "sgd",
        "device": "meta",
    }
    model = make(max_epochs=1).fit(halves[0], halves[2])
    names = [n for n, each in declared(type(model)).items() if each.metadata["fixed"]]
    assert {"tower", "loss", "margin", "distance", "mining", *other} <= set(names)
    before = model.get_params(deep=False)
    for name in names:
        changed = other.get(name, "other" if name not in ("tower", "loss") else "cnn")
        if name in ("architecture", "head"):
            changed = {"architecture": "pseudo_siamese", "head": "product"}[name]
        elif name == "purpose":
            both = {"known_classes", "new_classes"}
            (changed,) = both - {before[name]}
        with pytest.raises(ValueError, match=f"`{name}` is .* built with"):
            model.set_params(**{name: changed}).partial_fit(halves[0], halves[2])
        model.set_params(**{name: before[name]})
    model.partial_fit(halves[0], halves[2])


class TestNewParameter:
    """Two edits: the field, and its use."""

    @pytest.fixture(params=ESTIMATORS)
    def extended(self, request):
        @documented
        @dataclass(eq=False, repr=False, kw_only=True)
        class Extended(request.param):
            """A model with one parameter more.

            Attributes
            ----------
            net_ : skorch.NeuralNet
            """

            n_wishes: int = parameter(
                3, "int", "Wishes that are left.", check=partial(check_integer, low=1)
            )

        return Extended

    def test_is_a_parameter_as_the_others(self, extended):
        model = extended(n_wishes=2, lr=0.01)
        assert model.get_params(deep=False)["n_wishes"] == 2
        assert clone(model).n_wishes == 2
        assert repr(model) == "Extended(lr=0.01, n_wishes=2)"
        assert list(inspect.signature(extended).parameters)[-1] == "n_wishes"

    def test_is_documented_after_the_others(self, extended):
        heads, section = entries(extended)
        assert list(heads) == list(inspect.signature(extended).parameters)
        assert heads["n_wishes"] == "n_wishes : int, default=3"
        assert section.endswith("n_wishes : int, default=3\n    Wishes that are left.")
        assert inspect.getdoc(extended).startswith("A model with one parameter more.\n")
        assert inspect.getdoc(extended).endswith("net_ : skorch.NeuralNet")
        assert "n_wishes" not in inspect.getdoc(extended.__mro__[1])

    def test_is_checked_before_training(self, extended, halves):
        model = extended(max_epochs=1, random_state=0, n_wishes=0)
        with pytest.raises(ValueError, match=r"`n_wishes` must be .* got 0"):
            model.fit(halves[0], halves[2])
        assert not hasattr(model, "net_")
        embeddings = model.set_params(n_wishes=1).fit_transform(halves[0], halves[2])
        assert np.isfinite(embeddings).all()
