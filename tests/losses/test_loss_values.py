"""Losses against loops.

`oracles.ORACLES` holds one row per loss; a loss that joins the registry without one
fails here.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from loss_cases import (
    COMPARED,
    GIVEN,
    LABELS,
    OWN_MININGS,
    SAME,
    VARIANTS,
    build,
    of_losses,
    rows,
    seeded,
    value_and_gradient,
    weights_of,
)
from oracles import ORACLES
from oracles._naive import naive_table
from oracles.triplet import triplet as triplet_oracle
from seeds import torch_seed
from siamese_sklearn.distances import DISTANCES
from siamese_sklearn.losses import (
    LOSSES,
    CircleLoss,
    EmbeddingLoss,
    LossSpec,
    TripletLoss,
    TupleLoss,
)
from siamese_sklearn.losses._batch import masked_logsumexp
from siamese_sklearn.losses._pair import contrastive, exponential
from siamese_sklearn.losses._triplet import soft_triplet, triplet
from siamese_sklearn.losses._triplet_ratio import triplet_ratio
from siamese_sklearn.mining import MINERS, pair_masks


def test_every_loss_of_the_registry_has_its_row():
    assert set(ORACLES) == set(LOSSES)
    assert len(LOSSES) >= 3
    assert {name for name, _ in (p.values for p in VARIANTS)} == set(LOSSES)
    assert {name for name, _ in (p.values for p in COMPARED)} == set(LOSSES)
    for quick_ones in (VARIANTS, COMPARED):
        assert {p.values[0] for p in quick_ones if not p.marks} == set(LOSSES)
    for name, spec in LOSSES.items():
        assert issubclass(spec, LossSpec)
        assert set(spec.distances) <= set(DISTANCES)
        assert set(spec.minings) <= {"all", *MINERS, *OWN_MININGS.get(name, ())}
        assert len(of_losses(VARIANTS, [name])) == max(len(spec.distances), 1) * max(
            len(spec.minings), 1
        )
        tuples = spec.takes_tuples
        assert set(ORACLES[name][0]) == (
            {"labels", "pairs", "triplets"} if tuples else {"labels"}
        )
        assert isinstance(build(name, {}), TupleLoss if tuples else EmbeddingLoss)
        assert (
            bool(of_losses(GIVEN, [name]))
            == isinstance(build(name, {}), TupleLoss)
            == tuples
        )


@pytest.mark.parametrize(("name", "params"), COMPARED)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("labels", [LABELS, [0, 0, 0, 0, 1, 1, 1, 1]])
def test_value_and_count_are_those_of_the_loops(name, params, seed, labels):
    embeddings, module = rows(seed=seed), build(name, params)
    expected, n_active = ORACLES[name][0]["labels"](
        embeddings, labels, weights_of(module), **params
    )
    value = module(embeddings, torch.tensor(labels))
    assert value.shape == ()
    assert_close(value.item(), expected, rtol=1e-10, atol=1e-12)
    assert module.n_active.shape == ()
    assert module.n_active.item() == n_active > 0


@pytest.mark.parametrize("distance", TripletLoss.distances)
@pytest.mark.parametrize("margin", [0.2, "soft"])
def test_random_mining_is_the_mean_over_what_the_miner_draws(distance, margin):
    embeddings, labels = rows(), torch.tensor(LABELS)
    table = torch.tensor(
        naive_table(embeddings, embeddings, distance), dtype=torch.float64
    )
    with torch_seed():
        chosen = zip(
            *(side.tolist() for side in MINERS["random"](table, *pair_masks(labels))),
            strict=True,
        )
    near_and_far = [(table[a, p].item(), table[a, n].item()) for a, p, n in chosen]
    expected, n_active = triplet_oracle(near_and_far, margin=margin)
    module = TripletLoss(margin, distance=distance, mining="random").build(4, 3)
    assert_close(
        seeded(module, embeddings, labels).item(), expected, rtol=1e-10, atol=1e-12
    )
    assert module.n_active.item() == n_active > 0


@pytest.mark.parametrize(("name", "params"), GIVEN)
@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.float32])
def test_given_pairs_cost_what_the_loops_say(name, params, kind):
    left, right, module = rows(seed=1), rows(seed=2), build(name, params)
    expected, n_active = ORACLES[name][0]["pairs"](
        left, right, SAME, weights_of(module), **params
    )
    value = module((left, right), torch.tensor(SAME, dtype=kind))
    assert_close(value.item(), expected, rtol=1e-10, atol=1e-12)
    assert module.n_active.item() == n_active > 0


@pytest.mark.parametrize(("name", "params"), GIVEN)
def test_given_triplets_cost_what_the_loops_say(name, params):
    sides, module = tuple(rows(seed=seed) for seed in (1, 2, 3)), build(name, params)
    expected, n_active = ORACLES[name][0]["triplets"](
        *sides, weights_of(module), **params
    )
    value = module(sides)
    assert_close(value.item(), expected, rtol=1e-10, atol=1e-12)
    assert module.n_active.item() == n_active > 0


def test_formulas_of_pairs_by_hand():
    distance, same = (
        torch.tensor([0.0, 3.0, 0.0, 3.0, 5.0]),
        torch.tensor([True, True, False, False, False]),
    )
    assert contrastive(distance, same, 4.0).tolist() == [0.0, 4.5, 8.0, 0.5, 0.0]
    expected = torch.tensor(
        [0.0, 9.0, 4.0, 4 * math.exp(-2.77 * 1.5), 4 * math.exp(-2.77 * 2.5)]
    )
    assert_close(exponential(distance, same, 2.0), expected)


def test_formulas_of_triplets_by_hand():
    near, far = torch.tensor([1.0, 1.0, 0.0, 1e6]), torch.tensor([1.0, 3.0, 0.5, 0.0])
    assert triplet(near, far, 0.5).tolist() == [0.5, 0.0, 0.0, 1e6 + 0.5]
    expected = torch.tensor(
        [math.log(2), math.log1p(math.exp(-2)), math.log1p(math.exp(-0.5)), 1e6]
    )
    assert_close(soft_triplet(near, far), expected)
    near_shares = [0.5, 1 / (1 + math.exp(2)), 1 / (1 + math.exp(0.5)), 1.0]
    assert_close(
        triplet_ratio(near, far), torch.tensor([2 * share**2 for share in near_shares])
    )


def test_masked_logsumexp_is_the_sum_over_the_mask_whatever_is_beside_it():
    """Row 0 takes 1, 2 | 1 spread far apart | 2 beside a larger one | 3 nothing."""
    values = torch.tensor(
        [[1.0, 2.0, 9.0], [0.0, -40.0, -1e4], [-3e4, 3e4, -3e4], [1.0, 1.0, 1.0]],
        dtype=torch.float64,
    ).requires_grad_()
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 1], [0, 0, 0]]).bool()
    value = masked_logsumexp(values, mask)
    expected = [math.log(math.exp(1) + math.exp(2)), math.exp(-40), math.log(2) - 3e4]
    assert_close(
        value[:3], torch.tensor(expected, dtype=torch.float64), rtol=1e-15, atol=1e-16
    )
    assert value[3] == torch.finfo(torch.float64).min
    (gradient,) = torch.autograd.grad(value.sum(), values)
    share = 1 / (1 + math.e)
    expected_gradient = [
        [share, 1 - share, 0],
        [1, math.exp(-40), 0],
        [0.5, 0, 0.5],
        [0, 0, 0],
    ]
    assert_close(
        gradient,
        torch.tensor(expected_gradient, dtype=torch.float64),
        rtol=1e-11,
        atol=1e-17,
    )


def test_masked_logsumexp_has_second_derivatives():
    values = torch.randn(
        3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    mask = torch.tensor(
        [[True, True, False, True, False], [False] * 4 + [True], [True] * 5]
    )
    assert torch.autograd.gradgradcheck(
        lambda v: masked_logsumexp(v, mask), values.requires_grad_()
    )


def test_the_gradient_of_circle_holds_its_weights_constant():
    """As in the paper, with one positive p and one negative n of an anchor.

    The gradients are -Z gamma [1 + m - s_p]+ and Z gamma [s_n + m]+ with
    Z = 1 - exp(-loss). In the plane, s = cos(angle).
    """
    margin, gamma, angles = 0.4, 3.0, torch.tensor([0.0, 0.9, 2.1], dtype=torch.float64)
    module = CircleLoss(margin, gamma=gamma).build(2, 2)
    angles.requires_grad_()
    value = module(
        torch.stack([angles.cos(), angles.sin()], dim=1), torch.tensor([0, 0, 1])
    )
    (gradient,) = torch.autograd.grad(value, angles)

    expected = [0.0, 0.0, 0.0]
    for a, p, n in ((0, 1, 2), (1, 0, 2)):
        angle = angles.tolist()
        s_p, s_n = math.cos(angle[a] - angle[p]), math.cos(angle[a] - angle[n])
        to_p, to_n = -gamma * max(1 + margin - s_p, 0), gamma * max(s_n + margin, 0)
        z = 1 / (1 + math.exp(-(to_p * (s_p - 1 + margin) + to_n * (s_n - margin))))
        for j, slope in ((p, to_p), (n, to_n)):
            # mean over two anchors
            step = -math.sin(angle[a] - angle[j]) * z * slope / 2
            expected[a] += step
            expected[j] -= step
    assert_close(
        gradient, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-14
    )


def test_a_triplet_that_just_keeps_the_margin_is_not_active():
    """At 0, 1 | 2 and a margin of 1, anchor 0 is solved (1 - 2 + 1 = 0); anchor 1 is
    not (1 - 1 + 1 = 1).

    The loss is |z1 - z0| - |z1 - z2| + 1: its gradient is -1 for z0, 1 + 1 for z1, -1
    for z2.
    """
    module = TripletLoss(1.0, distance="euclidean").build(2, 1)
    value, gradient = value_and_gradient(
        module, torch.tensor([[0.0], [1.0], [2.0]]), [0, 0, 1]
    )
    assert value.item() == 1.0
    assert module.n_active.item() == 1
    assert gradient.flatten().tolist() == [-1.0, 2.0, -1.0]


def cubic(embeddings, labels, margin, squared):
    """Mean over the active ones of all B^3 triplets, with the gradient of autograd."""
    distance = torch.cdist(
        embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist"
    )
    distance = distance.square() if squared else distance
    same = labels[:, None] == labels[None, :]
    valid = (same & ~torch.eye(len(labels), dtype=torch.bool))[:, :, None] & ~same[
        :, None, :
    ]
    gap = (distance[:, :, None] - distance[:, None, :])[valid]
    value = nn.functional.softplus(gap) if margin == "soft" else (gap + margin).relu()
    n_active = len(gap) if margin == "soft" else int((value > 0).sum())
    return value.sum() / max(n_active, 1), n_active


@pytest.mark.slow
@settings(max_examples=100)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    margin=st.sampled_from([0.0, 0.2, 1.0, 5.0, "soft"]),
    squared=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_every_triplet_equals_the_cubic_form(sizes, margin, squared, seed):
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    labels = labels[
        torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    ]
    embeddings = rows(len(labels), 4, seed).requires_grad_()
    module = TripletLoss(
        margin, distance="sqeuclidean" if squared else "euclidean"
    ).build(len(sizes), 4)
    value, gradient = value_and_gradient(module, embeddings, labels)
    expected, n_active = cubic(embeddings, labels, margin, squared)
    (expected_gradient,) = torch.autograd.grad(expected, embeddings)
    assert_close(value, expected.detach(), rtol=1e-9, atol=1e-9)
    assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-9)
    assert module.n_active.item() == n_active
