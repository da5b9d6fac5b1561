"""Triplets whose distances are in units of their mean."""

import pytest
import torch
from torch.testing import assert_close

from loss_cases import LABELS, rows, seeded, value_and_gradient
from siamese_sklearn.losses import HammingTripletLoss, TripletLoss


@pytest.mark.parametrize("mining", TripletLoss.minings)
@pytest.mark.parametrize("margin", [0.2, "soft"])
def test_relative_triplets_do_not_depend_on_the_size_of_the_embeddings(margin, mining):
    module = TripletLoss(margin, mining=mining, relative=True).build(4, 3)
    small, large = (
        seeded(module, size * rows(), torch.tensor(LABELS)) for size in (1e-3, 1e3)
    )
    assert_close(small, large, rtol=1e-9, atol=0)


def test_relative_margin_by_hand():
    """At 0, 1 | 3 the distances 1, 3, 2 have the mean 2: hinges of [1/2 - 3/2 + 2]+ and
    [1/2 - 1 + 2]+.
    """
    module = TripletLoss(2.0, distance="euclidean", relative=True).build(2, 1)
    value = module(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1]))
    assert_close(value.item(), (1.0 + 1.5) / 2)


@pytest.mark.parametrize("mining", TripletLoss.minings)
def test_only_hard_triplets_are_relative_by_default(mining):
    assert TripletLoss(mining=mining).build(4, 3).relative == (mining == "hard")
    assert HammingTripletLoss(mining=mining).build(4, 3).triplet.relative is False


def test_relative_that_is_no_boolean_is_an_error():
    with pytest.raises(
        TypeError,
        match=r"`TripletLoss.relative` must be True or False; got 1 of type int",
    ):
        TripletLoss(relative=1).build(4, 3)


@pytest.mark.parametrize("mining", TripletLoss.minings)
def test_relative_triplets_gain_nothing_by_drawing_everything_together(mining):
    """The slope along "all rows shrink" is sum(z * dL/dz), zero for what does not
    depend on their size.
    """
    slope = {}
    for relative in (True, False):
        module = TripletLoss(
            0.2, distance="euclidean", mining=mining, relative=relative
        ).build(4, 3)
        embeddings = rows()
        _, gradient = value_and_gradient(module, embeddings, LABELS)
        slope[relative] = (embeddings * gradient).sum().item()
    assert slope[True] == pytest.approx(0, abs=1e-12)
    assert abs(slope[False]) > 0.01
