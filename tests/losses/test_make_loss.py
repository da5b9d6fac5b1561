"""From what a user gives as `loss` to the module that training calls."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from loss_cases import LABELS, build, rows
from models import quick
from seeds import torch_seed
from siamese_sklearn import Pairs
from siamese_sklearn.distances import DISTANCES
from siamese_sklearn.losses import LOSSES, ContrastiveLoss, TripletLoss
from siamese_sklearn.losses._resolve import make_loss


@pytest.mark.parametrize("name", LOSSES)
def test_a_name_makes_the_loss_with_what_it_has_of_the_overrides(name):
    overrides = {"margin": 0.5, "distance": "cosine"}
    with torch_seed():
        module = make_loss(name, LOSSES, 4, 3, **overrides, mining=None, unheard_of=1)
    known = LOSSES[name]().get_params()
    expected = build(name, {k: v for k, v in overrides.items() if k in known})
    assert type(module) is type(expected)
    assert module(rows(), torch.tensor(LABELS)) == expected(
        rows(), torch.tensor(LABELS)
    )


def test_a_spec_is_not_changed_by_overrides():
    spec = TripletLoss(0.5, mining="hard")
    module = make_loss(spec, LOSSES, 4, 3, margin=0.1, mining=None)
    assert (module.margin, module.mining) == (0.1, "hard")
    assert spec.get_params() == TripletLoss(0.5, mining="hard").get_params()


def test_a_module_of_the_user_is_copied():
    class Spread(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, embeddings, labels):
            return self.weight * embeddings.var()

    given_module = Spread()
    ours = make_loss(given_module, LOSSES, 4, 3, margin=0.1)
    (copied,) = (module for module in ours.modules() if isinstance(module, Spread))
    assert copied is not given_module
    assert copied.weight is not given_module.weight


def test_an_unknown_loss_is_an_error_that_guesses():
    with pytest.raises(
        ValueError,
        match=r"^`loss` must be one of .*; got 'tripplet'\. Did you mean 'triplet'\?$",
    ):
        make_loss("tripplet", LOSSES, 4, 3)


@pytest.mark.parametrize("loss", [None, 3, dict])
def test_what_is_no_loss_is_a_type_error(loss):
    with pytest.raises(
        TypeError, match=r"^`loss` must be one of 'contrastive', .*; got "
    ):
        make_loss(loss, LOSSES, 4, 3)


@pytest.mark.parametrize(
    ("loss", "call"),
    [
        (TripletLoss, r"TripletLoss\(\)"),
        (nn.TripletMarginLoss, r"TripletMarginLoss\(\.\.\.\)"),
    ],
)
def test_a_class_is_asked_for_an_instance(loss, call):
    with pytest.raises(
        TypeError,
        match=rf"^`loss` is the class {loss.__name__}; pass an instance, {call}\.$",
    ):
        make_loss(loss, LOSSES, 4, 3)


@pytest.mark.parametrize("loss", ["contrastive", ContrastiveLoss()])
@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("mining", "semihard", "'all', 'hard'"),
        ("distance", "sqeuclidean", "'euclidean', 'manhattan', 'cosine'"),
    ],
)
def test_an_override_that_another_loss_takes_is_an_error_that_says_which(
    loss, name, value, taken
):
    few = {key: LOSSES[key] for key in ("contrastive", "exponential", "triplet")}
    message = (
        f"`{name}` must be one of {taken} for loss 'contrastive'; got '{value}'. "
        "Losses that accept it: 'triplet'."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_loss(loss, few, 4, 3, **{name: value})
    with pytest.raises(ValueError, match=r"\. Losses that accept it: .*'triplet'"):
        make_loss(loss, LOSSES, 4, 3, **{name: value})


def test_losses_of_the_user_and_several_that_take_the_override_are_named():
    class OwnLoss(TripletLoss):
        minings = ("all",)

    takers = ", ".join(
        repr(name) for name, spec in LOSSES.items() if "hard" in spec.minings
    )
    assert takers.count(", ") > 1
    message = (
        "`mining` must be one of 'all' for loss OwnLoss; got 'hard'. Losses that "
        f"accept it: {takers}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_loss(OwnLoss(), LOSSES, 4, 3, mining="hard")


@pytest.mark.parametrize(
    ("override", "error", "text"),
    [
        (
            {"mining": "semi-hard"},
            ValueError,
            r"^`mining` must be one of 'all', 'semihard', .*; got 'semi-hard'\. Did "
            r"you mean 'semihard'\?$",
        ),
        (
            {"distance": "euclid"},
            ValueError,
            r"^`distance` must be one of 'euclidean', .*; got 'euclid'\. Did you mean "
            r"'euclidean'\?$",
        ),
        ({"mining": 3}, ValueError, r"^`mining` must be one of 'all', .*; got 3\.$"),
        ({"distance": [1]}, ValueError, r"^`distance` must be one of .*; got \[1\]\.$"),
        ({"margin": -1}, ValueError, "^`TripletLoss.margin` must be .*; got -1"),
        ({"margin": "sfot"}, TypeError, "^`TripletLoss.margin` must be .*; got 'sfot'"),
    ],
)
def test_an_override_that_no_loss_takes_is_an_error_that_names_it(
    override, error, text
):
    with pytest.raises(error, match=text):
        make_loss("triplet", LOSSES, 4, 3, **override)


# The distance of a module of the user


class Named(nn.Module):
    """A loss that may say by which distance its embeddings are compared."""

    def __init__(self, **attributes):
        super().__init__()
        vars(self).update(attributes)

    def forward(self, embeddings, labels):
        return embeddings.square().mean()


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, "euclidean"),
        ({"distance": "manhattan"}, "manhattan"),
        ({"distance": DISTANCES["cosine"]}, "cosine"),
        ({"distance": None}, "euclidean"),
        ({"distance": nn.PairwiseDistance()}, "euclidean"),  # an object of a library
    ],
)
def test_a_module_may_name_its_distance_or_have_one(attributes, expected):
    module = make_loss(Named(**attributes), LOSSES, 4, 3)
    assert module.distance == DISTANCES[expected]


@pytest.mark.parametrize(
    ("name", "norm"), [("euclidean", 2), ("sqeuclidean", 2), ("manhattan", 1)]
)
def test_pairs_are_compared_by_the_distance_that_the_module_names(name, norm, halves):
    """Of a squared distance, by its root."""
    embedder = quick(loss=Named(distance=name), normalize=False, max_epochs=1)
    embedder.fit(halves[0], halves[2])
    pairs = Pairs(halves[1], halves[1][::-1])
    left, right = embedder.transform(pairs).sides
    expected = np.linalg.norm(left - right, ord=norm, axis=1)
    np.testing.assert_allclose(embedder.pair_distance(pairs), expected, rtol=1e-4)


def test_a_name_that_is_no_distance_is_an_error_before_training(halves):
    embedder = quick(loss=Named(distance="chebyshev"))
    with pytest.raises(
        ValueError, match=r"`loss\.distance` must be one of 'euclidean'"
    ):
        embedder.fit(halves[0], halves[2])
