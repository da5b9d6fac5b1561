"""Specs of losses as estimators, their modules, and errors of bad values."""

import copy
import math
import pickle
import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch.testing import assert_close

from loss_cases import LABELS, VARIANTS, build, rows, value_and_gradient
from siamese_sklearn.losses import (
    LOSSES,
    CircleLoss,
    ContrastiveLoss,
    EmbeddingLoss,
    ExponentialLoss,
    LiftedLoss,
    MultiSimilarityLoss,
    NPairsLoss,
    SupConLoss,
    TripletLoss,
)


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_a_spec_is_cloned_as_an_estimator_is(name, params):
    spec = LOSSES[name](**params)
    twin = clone(spec)
    assert type(twin) is LOSSES[name]
    assert twin is not spec
    assert twin.get_params() == spec.get_params()
    assert params.items() <= twin.get_params().items()
    assert LOSSES[name]().set_params(**params).get_params() == spec.get_params()
    assert pickle.loads(pickle.dumps(spec)).get_params() == spec.get_params()


WITH_MARGIN = [name for name, spec in LOSSES.items() if "margin" in spec().get_params()]


def test_some_losses_have_a_margin():
    assert {"contrastive", "triplet", "arcface", "hinge"} < set(WITH_MARGIN)


@pytest.mark.parametrize("name", WITH_MARGIN)
def test_a_module_says_the_margin_that_it_was_built_with(name):
    assert LOSSES[name](margin=0.75).build(4, 3).margin == 0.75


@pytest.mark.parametrize("name", LOSSES)
def test_building_leaves_the_spec_as_it_is(name):
    spec = LOSSES[name]()
    before = spec.get_params()
    assert spec.build(4, 3) is not spec.build(4, 3)
    assert spec.get_params() == before
    assert vars(spec).keys() == before.keys()


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (TripletLoss(), "TripletLoss()"),
        (ContrastiveLoss(0.75), "ContrastiveLoss(margin=0.75)"),
        (
            ExponentialLoss(distance="manhattan"),
            "ExponentialLoss(distance='manhattan')",
        ),
        (
            TripletLoss("soft", mining="hard"),
            "TripletLoss(margin='soft', mining='hard')",
        ),
        (MultiSimilarityLoss(mining="all"), "MultiSimilarityLoss(mining='all')"),
    ],
)
def test_repr_shows_what_is_not_the_default(spec, text):
    assert repr(spec) == text


def test_set_params_rejects_an_unknown_name():
    with pytest.raises(ValueError, match="Invalid parameter 'margni'"):
        TripletLoss().set_params(margni=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))]
)
@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_a_used_module_is_copied_whole(name, params, copied):
    module = build(name, params)
    expected = value_and_gradient(module, rows(), LABELS)
    twin = copied(module)
    assert isinstance(twin, EmbeddingLoss)
    assert twin.distance == module.distance
    assert module.distance.name == params.get("distance", module.distance.name)
    assert twin.n_active == module.n_active
    assert_close(value_and_gradient(twin, rows(), LABELS), expected, rtol=0, atol=0)
    twin.load_state_dict(module.state_dict())


@pytest.mark.parametrize(
    ("params", "distance"),
    [
        ({}, "sqeuclidean"),
        ({"mining": "semihard"}, "sqeuclidean"),
        ({"mining": "hard"}, "euclidean"),
        ({"margin": "soft"}, "euclidean"),
        ({"margin": "soft", "distance": "sqeuclidean"}, "sqeuclidean"),
        ({"mining": "hard", "distance": "manhattan"}, "manhattan"),
    ],
)
def test_distance_of_triplets_by_default(params, distance):
    assert TripletLoss(**params).build(2, 3).distance.name == distance


@pytest.mark.parametrize(
    ("distance", "bound"),
    [("euclidean", 2.0), ("cosine", 2.0), ("manhattan", 2 * math.sqrt(5))],
)
def test_bound_of_the_energy_is_that_of_the_unit_sphere(distance, bound):
    """The row (1, ..., 1) / sqrt(5) is 2 from its opposite, and 2 sqrt(5) by the
    absolute sum.
    """
    default, explicit = (
        ExponentialLoss(given_bound, distance=distance).build(2, 5)
        for given_bound in (None, bound)
    )
    embeddings = rows(8, 5)
    assert default(embeddings, torch.tensor(LABELS)) == explicit(
        embeddings, torch.tensor(LABELS)
    )
    opposite = torch.ones(1, 5, dtype=torch.float64) / math.sqrt(5)
    least = default((opposite, -opposite), torch.tensor([0]))
    assert_close(least.item(), 2 * bound * math.exp(-2.77))


def options():
    """Each string parameter of each loss, with its legal values."""
    for name, spec in LOSSES.items():
        for parameter, legal in (
            ("distance", spec.distances),
            ("mining", spec.minings),
        ):
            for value in legal:
                yield pytest.param(
                    spec, parameter, value, legal, id=f"{name}-{parameter}-{value}"
                )


@pytest.mark.parametrize(("spec", "parameter", "value", "legal"), list(options()))
def test_a_near_miss_of_an_option_is_guessed(spec, parameter, value, legal):
    with pytest.raises(ValueError, match="must be one of") as error:
        spec(**{parameter: f"{value}x"}).build(2, 3)
    text = str(error.value)
    assert text.startswith(
        f"`{spec.__name__}.{parameter}` must be one of {', '.join(map(repr, legal))}; "
        f"got "
    )
    assert text.endswith(f"; got '{value}x'. Did you mean '{value}'?")


@pytest.mark.parametrize(
    ("spec", "parameter"), dict.fromkeys((p.values[0], p.values[1]) for p in options())
)
@pytest.mark.parametrize("value", ["qqq", 3])
def test_an_unknown_option_is_an_error(spec, parameter, value):
    message = f"`{spec.__name__}.{parameter}` must be one of "
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        spec(**{parameter: value}).build(2, 3)
    assert str(error.value).endswith(f"got {value!r}.")


NUMBERS = [
    (ContrastiveLoss, "margin"),
    (ExponentialLoss, "bound"),
    (TripletLoss, "margin"),
    (CircleLoss, "margin"),
    (CircleLoss, "gamma"),
    (LiftedLoss, "margin"),
    (MultiSimilarityLoss, "alpha"),
    (MultiSimilarityLoss, "beta"),
    (MultiSimilarityLoss, "epsilon"),
    (NPairsLoss, "temperature"),
    (SupConLoss, "temperature"),
]
ABOVE_ZERO = [
    pair
    for pair in NUMBERS
    if pair
    not in [
        (TripletLoss, "margin"),
        (LiftedLoss, "margin"),
        (MultiSimilarityLoss, "epsilon"),
    ]
]


@pytest.mark.parametrize(("spec", "parameter"), NUMBERS)
@pytest.mark.parametrize("value", [-1, -1e-9, math.nan, math.inf])
def test_a_number_out_of_range_is_a_value_error(spec, parameter, value):
    message = f"`{spec.__name__}.{parameter}` must be a finite number "
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        spec(**{parameter: value}).build(2, 3)
    assert str(error.value).endswith(f"got {value!r}.")


@pytest.mark.parametrize(("spec", "parameter"), NUMBERS)
@pytest.mark.parametrize("value", [True, "hard", [0.2]])
def test_what_is_no_number_is_a_type_error(spec, parameter, value):
    message = f"`{spec.__name__}.{parameter}` must be a finite number "
    with pytest.raises(TypeError, match=re.escape(message)) as error:
        spec(**{parameter: value}).build(2, 3)
    assert str(error.value).endswith(f"got {value!r} of type {type(value).__name__}.")


@pytest.mark.parametrize(("spec", "parameter"), NUMBERS)
@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5)])
def test_a_number_may_be_of_any_real_type(spec, parameter, value):
    module, expected = (
        spec(**{parameter: number}).build(2, 3) for number in (value, float(value))
    )
    assert module(rows(), torch.tensor(LABELS)) == expected(
        rows(), torch.tensor(LABELS)
    )


@pytest.mark.parametrize("spec", [TripletLoss, ContrastiveLoss, LiftedLoss])
def test_a_number_may_be_an_integer(spec):
    module, expected = (spec(margin).build(2, 3) for margin in (1, 1.0))
    assert module(rows(), torch.tensor(LABELS)) == expected(
        rows(), torch.tensor(LABELS)
    )


@pytest.mark.parametrize(("spec", "parameter"), ABOVE_ZERO)
def test_zero_where_it_makes_no_loss_is_an_error(spec, parameter):
    with pytest.raises(
        ValueError, match=r"must be a finite number above 0.*; got 0\.$"
    ):
        spec(**{parameter: 0}).build(2, 3)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (
            CircleLoss(1.0),
            "`CircleLoss.margin` must be a finite number above 0 and below 1; got 1.0.",
        ),
        (
            MultiSimilarityLoss(base=1.5),
            "`MultiSimilarityLoss.base` must be a finite number of at least -1 and of "
            "at most 1; got 1.5.",
        ),
    ],
)
def test_a_similarity_that_no_cosine_has_is_an_error(spec, wanted):
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        spec.build(2, 3)


def test_a_margin_of_zero_that_would_solve_every_semihard_triplet_is_an_error():
    """A semi-hard negative is beyond the positive: D_ap - D_an + 0 is never
    above zero.
    """
    message = (
        '`TripletLoss.margin` must be a finite number above 0, or "soft", with '
        'mining="semihard"; got 0.0.'
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TripletLoss(0.0, mining="semihard").build(2, 3)


def test_a_contrastive_margin_that_no_cosine_distance_reaches_is_an_error():
    message = (
        "`ContrastiveLoss.margin` must be a finite number above 0 and of at most 2, "
        "the largest cosine distance; got 2.5."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ContrastiveLoss(2.5, distance="cosine").build(2, 3)
    assert ContrastiveLoss(2.0, distance="cosine").build(2, 3).margin == 2.0
    assert ContrastiveLoss(2.5).build(2, 3).margin == 2.5


def test_the_error_of_a_triplet_margin_names_the_soft_one():
    with pytest.raises(TypeError, match=r'of at least 0, or "soft"; got \'sotf\''):
        TripletLoss("sotf").build(2, 3)
