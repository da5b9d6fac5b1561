"""Losses against loops, and the laws that every loss in the registry keeps.

`oracles.ORACLES` holds one row per loss; adding a loss to the registry without one fails here.
"""

import copy
import itertools
import math
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import ORACLES, proxy
from oracles._naive import naive_paired, naive_table
from oracles.pair import contrastive as contrastive_oracle
from oracles.pair import exponential as exponential_oracle
from oracles.triplet import triplet as triplet_oracle
from sklearn.base import clone
from torch import nn
from torch.testing import assert_close

from siamese_sklearn.distances import DISTANCES
from siamese_sklearn.losses import (
    LOSSES,
    CircleLoss,
    ContrastiveLoss,
    EmbeddingLoss,
    ExponentialLoss,
    HammingTripletLoss,
    LiftedLoss,
    LossSpec,
    MultiSimilarityLoss,
    NPairsLoss,
    SupConLoss,
    TripletLoss,
    TripletRatioLoss,
    TupleLoss,
    make_loss,
)
from siamese_sklearn.losses._batch import masked_logsumexp
from siamese_sklearn.losses._pair import contrastive, exponential
from siamese_sklearn.losses._triplet import soft_triplet, triplet
from siamese_sklearn.losses._triplet_ratio import triplet_ratio
from siamese_sklearn.mining import MINERS, pair_masks

LABELS = [0, 1, 0, 2, 1, 0, 3, 1]  # classes of 3, 3 and twice 1
SAME = [1, 0, 0, 1, 1, 0, 1, 0]


def variants(name):
    """Every distance x mining of a loss, as parameters of its spec."""
    spec = LOSSES[name]
    axes = {"distance": spec.distances, "mining": spec.minings}
    axes = {key: values for key, values in axes.items() if values}
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def case(name, params):
    return pytest.param(name, params, id="-".join([name, *map(str, params.values())]))


VARIANTS = [case(name, params) for name in LOSSES for params in variants(name)]
DETERMINISTIC = [p for p in VARIANTS if p.values[1].get("mining") != "random"]
COMPARED = [
    case(name, {**params, **extra})
    for name, params in (p.values for p in DETERMINISTIC)
    for extra in ORACLES[name][1]
    if (params.get("mining"), extra.get("margin")) != ("semihard", 0.0)
]
GIVEN = [
    p for p in COMPARED if LOSSES[p.values[0]].takes_tuples and p.values[1].get("mining", "all") == "all"
]


PER_CLASS = tuple(proxy.ORACLES)  # losses with weights for each class, which care about which class is which
NORMALISES = ("circle", "multi_similarity", "supcon", *PER_CLASS)
OWN_MININGS = {"multi_similarity": ("multi_similarity",)}
HELD_WEIGHTS = ("circle",)  # whose gradient holds weights constant that its value depends on


def of_losses(cases, names):
    return [p for p in cases if p.values[0] in names]


def build(name, params, n_components=3):
    """The module of a loss, whose own weights are the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LOSSES[name](**params).build(n_classes=4, n_components=n_components)


def weights_of(module):
    return {name: weight.detach() for name, weight in module.named_parameters()}


def rows(n=8, d=3, seed=0, dtype=torch.float64):
    return 0.5 * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def seeded(module, embeddings, labels, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return module(embeddings, labels)


def value_and_gradient(module, embeddings, labels):
    embeddings = embeddings.detach().clone().requires_grad_()
    value = seeded(module, embeddings, torch.as_tensor(labels))
    (gradient,) = torch.autograd.grad(value, embeddings)
    return value.detach(), gradient


def test_every_loss_of_the_registry_has_its_row():
    assert set(ORACLES) == set(LOSSES)
    assert len(LOSSES) >= 3
    assert {name for name, _ in (p.values for p in VARIANTS)} == set(LOSSES)
    assert {name for name, _ in (p.values for p in COMPARED)} == set(LOSSES)
    for name, spec in LOSSES.items():
        assert issubclass(spec, LossSpec)
        assert set(spec.distances) <= set(DISTANCES)
        assert set(spec.minings) <= {"all", *MINERS, *OWN_MININGS.get(name, ())}
        assert len(of_losses(VARIANTS, [name])) == max(len(spec.distances), 1) * max(len(spec.minings), 1)
        tuples = spec.takes_tuples
        assert set(ORACLES[name][0]) == ({"labels", "pairs", "triplets"} if tuples else {"labels"})
        assert isinstance(build(name, {}), TupleLoss if tuples else EmbeddingLoss)
        assert bool(of_losses(GIVEN, [name])) == isinstance(build(name, {}), TupleLoss) == tuples


# Values


@pytest.mark.parametrize(("name", "params"), COMPARED)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("labels", [LABELS, [0, 0, 0, 0, 1, 1, 1, 1]])
def test_value_and_count_are_those_of_the_loops(name, params, seed, labels):
    embeddings, module = rows(seed=seed), build(name, params)
    expected, n_active = ORACLES[name][0]["labels"](embeddings, labels, weights_of(module), **params)
    value = module(embeddings, torch.tensor(labels))
    assert value.shape == ()
    assert_close(value.item(), expected, rtol=1e-10, atol=1e-12)
    assert module.n_active.shape == ()
    assert module.n_active.item() == n_active > 0


@pytest.mark.parametrize("distance", TripletLoss.distances)
@pytest.mark.parametrize("margin", [0.2, "soft"])
def test_random_mining_is_the_mean_over_what_the_miner_draws(distance, margin):
    embeddings, labels = rows(), torch.tensor(LABELS)
    table = torch.tensor(naive_table(embeddings, embeddings, distance), dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        chosen = zip(*(side.tolist() for side in MINERS["random"](table, *pair_masks(labels))), strict=True)
    near_and_far = [(table[a, p].item(), table[a, n].item()) for a, p, n in chosen]
    expected, n_active = triplet_oracle(near_and_far, margin=margin)
    module = TripletLoss(margin, distance=distance, mining="random").build(4, 3)
    assert_close(seeded(module, embeddings, labels).item(), expected, rtol=1e-10, atol=1e-12)
    assert module.n_active.item() == n_active > 0


@pytest.mark.parametrize(("name", "params"), GIVEN)
@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.float32])
def test_given_pairs_cost_what_the_loops_say(name, params, kind):
    left, right, module = rows(seed=1), rows(seed=2), build(name, params)
    expected, n_active = ORACLES[name][0]["pairs"](left, right, SAME, weights_of(module), **params)
    value = module((left, right), torch.tensor(SAME, dtype=kind))
    assert_close(value.item(), expected, rtol=1e-10, atol=1e-12)
    assert module.n_active.item() == n_active > 0


@pytest.mark.parametrize(("name", "params"), GIVEN)
def test_given_triplets_cost_what_the_loops_say(name, params):
    sides, module = [rows(seed=seed) for seed in (1, 2, 3)], build(name, params)
    expected, n_active = ORACLES[name][0]["triplets"](*sides, weights_of(module), **params)
    value = module(sides)
    assert_close(value.item(), expected, rtol=1e-10, atol=1e-12)
    assert module.n_active.item() == n_active > 0


def test_formulas_of_pairs_by_hand():
    distance, same = torch.tensor([0.0, 3.0, 0.0, 3.0, 5.0]), torch.tensor([True, True, False, False, False])
    assert contrastive(distance, same, 4.0).tolist() == [0.0, 4.5, 8.0, 0.5, 0.0]
    expected = torch.tensor([0.0, 9.0, 4.0, 4 * math.exp(-2.77 * 1.5), 4 * math.exp(-2.77 * 2.5)])
    assert_close(exponential(distance, same, 2.0), expected)


def test_formulas_of_triplets_by_hand():
    near, far = torch.tensor([1.0, 1.0, 0.0, 1e6]), torch.tensor([1.0, 3.0, 0.5, 0.0])
    assert triplet(near, far, 0.5).tolist() == [0.5, 0.0, 0.0, 1e6 + 0.5]
    expected = torch.tensor([math.log(2), math.log1p(math.exp(-2)), math.log1p(math.exp(-0.5)), 1e6])
    assert_close(soft_triplet(near, far), expected)
    near_shares = [0.5, 1 / (1 + math.exp(2)), 1 / (1 + math.exp(0.5)), 1.0]
    assert_close(triplet_ratio(near, far), torch.tensor([2 * share**2 for share in near_shares]))


def test_masked_logsumexp_is_the_sum_over_the_mask_whatever_is_beside_it():
    """Row 0 takes 1, 2 | 1 spread far apart | 2 beside a larger one | 3 nothing."""
    values = torch.tensor(
        [[1.0, 2.0, 9.0], [0.0, -40.0, -1e4], [-3e4, 3e4, -3e4], [1.0, 1.0, 1.0]], dtype=torch.float64
    ).requires_grad_()
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 1], [0, 0, 0]]).bool()
    value = masked_logsumexp(values, mask)
    expected = [math.log(math.exp(1) + math.exp(2)), math.exp(-40), math.log(2) - 3e4]
    assert_close(value[:3], torch.tensor(expected, dtype=torch.float64), rtol=1e-15, atol=1e-16)
    assert value[3] == torch.finfo(torch.float64).min
    (gradient,) = torch.autograd.grad(value.sum(), values)
    share = 1 / (1 + math.e)
    expected_gradient = [[share, 1 - share, 0], [1, math.exp(-40), 0], [0.5, 0, 0.5], [0, 0, 0]]
    assert_close(gradient, torch.tensor(expected_gradient, dtype=torch.float64), rtol=1e-11, atol=1e-17)


def test_masked_logsumexp_has_second_derivatives():
    values = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = torch.tensor([[True, True, False, True, False], [False] * 4 + [True], [True] * 5])
    assert torch.autograd.gradgradcheck(lambda v: masked_logsumexp(v, mask), values.requires_grad_())


def test_the_gradient_of_circle_holds_its_weights_constant():
    """In the paper, the gradients of an anchor with one positive p and one negative n are

    -Z gamma [1 + m - s_p]+ and Z gamma [s_n + m]+ with Z = 1 - exp(-loss). In the plane, s = cos(angle).
    """
    margin, gamma, angles = 0.4, 3.0, torch.tensor([0.0, 0.9, 2.1], dtype=torch.float64)
    module = CircleLoss(margin, gamma=gamma).build(2, 2)
    angles.requires_grad_()
    value = module(torch.stack([angles.cos(), angles.sin()], dim=1), torch.tensor([0, 0, 1]))
    (gradient,) = torch.autograd.grad(value, angles)

    expected = [0.0, 0.0, 0.0]
    for a, p, n in ((0, 1, 2), (1, 0, 2)):
        angle = angles.tolist()
        s_p, s_n = math.cos(angle[a] - angle[p]), math.cos(angle[a] - angle[n])
        to_p, to_n = -gamma * max(1 + margin - s_p, 0), gamma * max(s_n + margin, 0)
        z = 1 / (1 + math.exp(-(to_p * (s_p - 1 + margin) + to_n * (s_n - margin))))
        for j, slope in ((p, to_p), (n, to_n)):
            step = -math.sin(angle[a] - angle[j]) * z * slope / 2  # mean over two anchors
            expected[a] += step
            expected[j] -= step
    assert_close(gradient, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-14)


def test_a_triplet_that_just_keeps_the_margin_is_not_active():
    """At 0, 1 | 2 and a margin of 1, anchor 0 is solved (1 - 2 + 1 = 0); anchor 1 is not (1 - 1 + 1 = 1).

    The loss is |z1 - z0| - |z1 - z2| + 1: its gradient is -1 for z0, 1 + 1 for z1, -1 for z2.
    """
    module = TripletLoss(1.0, distance="euclidean").build(2, 1)
    value, gradient = value_and_gradient(module, torch.tensor([[0.0], [1.0], [2.0]]), [0, 0, 1])
    assert value.item() == 1.0
    assert module.n_active.item() == 1
    assert gradient.flatten().tolist() == [-1.0, 2.0, -1.0]


def cubic(embeddings, labels, margin, squared):
    """Mean over the active ones of all B^3 triplets, with the gradient of autograd."""
    distance = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
    distance = distance.square() if squared else distance
    same = labels[:, None] == labels[None, :]
    valid = (same & ~torch.eye(len(labels), dtype=torch.bool))[:, :, None] & ~same[:, None, :]
    gap = (distance[:, :, None] - distance[:, None, :])[valid]
    value = nn.functional.softplus(gap) if margin == "soft" else (gap + margin).relu()
    n_active = len(gap) if margin == "soft" else int((value > 0).sum())
    return value.sum() / max(n_active, 1), n_active


@settings(deadline=None, max_examples=100)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    margin=st.sampled_from([0.0, 0.2, 1.0, 5.0, "soft"]),
    squared=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_every_triplet_equals_the_cubic_form(sizes, margin, squared, seed):
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    embeddings = rows(len(labels), 4, seed).requires_grad_()
    module = TripletLoss(margin, distance="sqeuclidean" if squared else "euclidean").build(len(sizes), 4)
    value, gradient = value_and_gradient(module, embeddings, labels)
    expected, n_active = cubic(embeddings, labels, margin, squared)
    (expected_gradient,) = torch.autograd.grad(expected, embeddings)
    assert_close(value, expected.detach(), rtol=1e-9, atol=1e-9)
    assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-9)
    assert module.n_active.item() == n_active


# Laws


@pytest.mark.parametrize(("name", "params"), [p for p in VARIANTS if p.values[0] not in HELD_WEIGHTS])
def test_gradient_is_that_of_finite_differences(name, params):
    module, labels = build(name, params), torch.tensor(LABELS)
    assert torch.autograd.gradcheck(lambda z: seeded(module, z, labels), rows().requires_grad_())
    assert module.n_active > 0


@pytest.mark.parametrize(("name", "params"), GIVEN)
def test_gradient_of_given_pairs_and_triplets_is_that_of_finite_differences(name, params):
    module, same = build(name, params), torch.tensor(SAME)
    sides = [rows(seed=seed).requires_grad_() for seed in (1, 2, 3)]
    assert torch.autograd.gradcheck(lambda a, b: module((a, b), same), sides[:2])
    assert torch.autograd.gradcheck(lambda *given: module(given), sides)


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_a_smaller_step_down_the_gradient_lowers_the_loss(name, params):
    module, embeddings = build(name, params), rows()
    value, gradient = value_and_gradient(module, embeddings, LABELS)
    assert gradient.norm() > 0
    lower, _ = value_and_gradient(module, embeddings - 1e-5 * gradient, LABELS)
    assert lower < value


@pytest.mark.parametrize(("name", "params"), DETERMINISTIC)
def test_the_order_of_the_batch_does_not_matter(name, params):
    module, embeddings, labels = build(name, params), rows(), torch.tensor(LABELS)
    order = torch.tensor([3, 6, 1, 0, 7, 5, 2, 4])
    value, gradient = value_and_gradient(module, embeddings, labels)
    n_active = module.n_active
    permuted, permuted_gradient = value_and_gradient(module, embeddings[order], labels[order])
    assert_close(permuted, value, rtol=1e-10, atol=1e-12)
    assert_close(permuted_gradient, gradient[order], rtol=1e-10, atol=1e-12)
    assert module.n_active == n_active


@pytest.mark.parametrize("distance", TripletLoss.distances)
def test_random_mining_with_one_negative_is_every_triplet(distance):
    embeddings, labels = rows(5), [0, 0, 0, 0, 1]
    ours, expected = (
        value_and_gradient(TripletLoss(distance=distance, mining=mining).build(2, 3), embeddings, labels)
        for mining in ("random", "all")
    )
    assert_close(ours, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "params"), [p for p in VARIANTS if p.values[0] not in PER_CLASS])
@pytest.mark.parametrize("names", [[2, 0, 3, 1], [-7, 10**12, 5, 0]])
def test_the_names_of_the_classes_do_not_matter(name, params, names):
    module, embeddings = build(name, params), rows()
    renamed = torch.tensor(names)[torch.tensor(LABELS)]
    assert_close(
        value_and_gradient(module, embeddings, renamed), value_and_gradient(module, embeddings, LABELS)
    )


DEGENERATE = {
    "identical rows": (torch.full((8, 3), 0.3), LABELS),
    "zero rows": (torch.zeros(8, 3), LABELS),
    "identical rows inside each class": (rows(4, dtype=torch.float32)[LABELS], LABELS),
    "no positives": (rows(4, dtype=torch.float32), [0, 1, 2, 3]),
    "one class": (rows(4, dtype=torch.float32), [1, 1, 1, 1]),
    "one row": (rows(1, dtype=torch.float32), [0]),
    "no row": (rows(0, dtype=torch.float32), []),
    "large": (1e4 * rows(dtype=torch.float32), LABELS),
    "small": (1e-8 * rows(dtype=torch.float32), LABELS),
    "a far row": (rows(dtype=torch.float32) + 1e4 * torch.eye(8, 3), LABELS),
}


@pytest.mark.parametrize("batch", DEGENERATE)
@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_value_and_gradient_are_finite_whatever_the_batch(name, params, batch):
    embeddings, labels = DEGENERATE[batch]
    module = build(name, params)
    value, gradient = value_and_gradient(module, embeddings, labels)
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert module.n_active >= 0
    if batch == "no row" or (batch == "one row" and name not in PER_CLASS):
        assert value == module.n_active == 0
        assert (gradient == 0).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("everywhere", [False, True], ids=["one row", "all rows"])
@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_a_value_is_not_finite_if_an_embedding_is_not(name, params, everywhere, bad):
    embeddings = rows(dtype=torch.float32)
    embeddings[slice(None) if everywhere else 3] = bad
    assert not seeded(build(name, params), embeddings, torch.tensor(LABELS)).isfinite()


def test_lifted_takes_its_mean_over_the_anchors_that_cost_something():
    """Rows 0 | 3, 3.5: anchor 3 costs [0.5 + 1 - 3]+ = 0, anchor 3.5 costs [0.5 + 1 - 3.5]+ = 0."""
    module = LiftedLoss(1.0).build(2, 1)
    alone = torch.tensor([[0.0], [3.0], [3.5]], dtype=torch.float64)
    assert module(alone, torch.tensor([0, 1, 1])) == module.n_active == 0
    solved = torch.tensor([[0.0], [0.1], [9.0], [9.1], [9.2], [9.8]], dtype=torch.float64)
    expected, n_active = ORACLES["lifted"][0]["labels"](
        solved, [0, 0, 1, 1, 2, 2], {}, distance="euclidean", margin=1.0
    )
    assert 0 < n_active < 6
    assert_close(module(solved, torch.tensor([0, 0, 1, 1, 2, 2])).item(), expected)
    assert module.n_active == n_active


WITHOUT_PAIRS = [
    *(TripletLoss(margin, mining=mining) for margin in (0.2, "soft") for mining in TripletLoss.minings),
    *(TripletRatioLoss(mining=mining) for mining in TripletRatioLoss.minings),
    *(CircleLoss(), LiftedLoss(), MultiSimilarityLoss(), NPairsLoss()),
]


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [1, 1, 1, 1]], ids=["no positives", "one class"])
@pytest.mark.parametrize("spec", WITHOUT_PAIRS, ids=repr)
def test_a_batch_without_triplets_costs_nothing_and_can_be_differentiated(spec, labels):
    module = spec.build(4, 3)
    value, gradient = value_and_gradient(module, rows(4), labels)
    assert value == module.n_active == 0
    assert (gradient == 0).all()


def test_supcon_asks_for_a_positive_only():
    """Of one class, all others are positives: at four equal rows each has a share of 1/3."""
    module = SupConLoss().build(4, 3)
    value, gradient = value_and_gradient(module, rows(4), [0, 1, 2, 3])
    assert value == module.n_active == 0
    assert (gradient == 0).all()
    value = module(torch.ones(4, 3, dtype=torch.float64), torch.tensor([1, 1, 1, 1]))
    assert_close(value.item(), math.log(3))
    assert module.n_active == 4


def test_multi_similarity_mines_nothing_where_classes_are_far_apart():
    """At right angles positives have a similarity of 1, negatives of 0: more than 0.1 between them."""
    corners = torch.eye(3, dtype=torch.float64)[[0, 0, 1, 1, 2, 2]]
    for epsilon, n_active in ((0.1, 0), (0.9, 0), (1.1, 6)):
        module = MultiSimilarityLoss(epsilon=epsilon).build(3, 3)
        value, gradient = value_and_gradient(module, corners, [0, 0, 1, 1, 2, 2])
        assert module.n_active == n_active
        assert (value > 0) == (gradient.norm() > 0) == (n_active > 0)


@pytest.mark.parametrize("name", NORMALISES)
def test_the_lengths_of_the_rows_do_not_matter_to_losses_that_normalise(name):
    module, embeddings = build(name, {}), rows()
    lengths = torch.tensor([1e-3, 0.1, 1, 2, 3, 5, 10, 1e3], dtype=torch.float64)[:, None]
    value, gradient = value_and_gradient(module, embeddings, LABELS)
    scaled, scaled_gradient = value_and_gradient(module, embeddings * lengths, LABELS)
    assert module.distance == "cosine"
    assert_close(scaled, value, rtol=1e-10, atol=1e-12)
    assert_close(scaled_gradient * lengths, gradient, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("spec", "oracle"),
    [(ContrastiveLoss(1.0), contrastive_oracle), (ExponentialLoss(2.0), exponential_oracle)],
)
@pytest.mark.parametrize("label", [0, 1])
def test_given_pairs_of_one_kind_cost_their_own_mean(spec, oracle, label):
    module, left, right = spec.build(2, 3), rows(seed=1), rows(seed=2)
    value = module((left, right), torch.full((8,), label))
    distance = naive_paired(left, right, "euclidean")
    same, different = (distance, []) if label else ([], distance)
    parameters = {key: value for key, value in spec.get_params().items() if key in ("margin", "bound")}
    expected, n_active = oracle(same, different, **parameters)
    assert_close(value.item(), expected)
    assert module.n_active.item() == n_active > 0


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("margin", [0.2, "soft"])
def test_given_pairs_of_one_kind_make_no_triplets(label, margin):
    module, left = TripletLoss(margin).build(2, 3), rows(seed=1).requires_grad_()
    value = module((left, rows(seed=2)), torch.full((8,), label))
    assert value == module.n_active == 0
    (gradient,) = torch.autograd.grad(value, left)
    assert (gradient == 0).all()


@pytest.mark.parametrize(("name", "params"), of_losses(VARIANTS, ["contrastive", "triplet"]))
def test_classes_at_three_points_far_apart_cost_nothing(name, params):
    """At right angles cosine distances are 1, the others sqrt(2) and more."""
    corners = torch.eye(3, dtype=torch.float64)[[0, 0, 1, 1, 2, 2]]
    module = build(name, {**params, "margin": 0.9})
    value, gradient = value_and_gradient(module, corners, [0, 0, 1, 1, 2, 2])
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("mining", ExponentialLoss.minings)
def test_exponential_counts_different_pairs_that_are_too_far_to_cost_anything(mining):
    """At 0, 0 | 1e4 the same pair costs nothing, exp(-1e4) nothing; the mean is still over all."""
    embeddings = torch.tensor([[0.0], [0.0], [1e4], [1e4]])
    module = ExponentialLoss(2.0, mining=mining).build(2, 1)
    assert module(embeddings, torch.tensor([0, 0, 1, 1])) == 0
    assert module.n_active.item() == (6 if mining == "all" else 8)


@pytest.mark.parametrize("mining", TripletLoss.minings)
def test_soft_margin_counts_triplets_that_are_too_far_to_cost_anything(mining):
    embeddings = torch.tensor([[0.0], [0.0], [1e4], [1e4]])
    module = TripletLoss("soft", mining=mining, relative=False).build(2, 1)
    assert module(embeddings, torch.tensor([0, 0, 1, 1])) == 0
    assert module.n_active.item() == (8 if mining == "all" else 4)


# Distances in units of their mean


@pytest.mark.parametrize("mining", TripletLoss.minings)
@pytest.mark.parametrize("margin", [0.2, "soft"])
def test_relative_triplets_do_not_depend_on_the_size_of_the_embeddings(margin, mining):
    module = TripletLoss(margin, mining=mining, relative=True).build(4, 3)
    small, large = (seeded(module, size * rows(), torch.tensor(LABELS)) for size in (1e-3, 1e3))
    assert_close(small, large, rtol=1e-9, atol=0)


def test_relative_margin_by_hand():
    """At 0, 1 | 3 the distances 1, 3, 2 have the mean 2: hinges of [1/2 - 3/2 + 2]+ and [1/2 - 1 + 2]+."""
    module = TripletLoss(2.0, distance="euclidean", relative=True).build(2, 1)
    value = module(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1]))
    assert_close(value.item(), (1.0 + 1.5) / 2)


@pytest.mark.parametrize("mining", TripletLoss.minings)
def test_only_hard_triplets_are_relative_by_default(mining):
    assert TripletLoss(mining=mining).build(4, 3).relative == (mining == "hard")
    assert HammingTripletLoss(mining=mining).build(4, 3).triplet.relative is False


def test_relative_that_is_no_boolean_is_an_error():
    with pytest.raises(TypeError, match=r"`TripletLoss.relative` must be True or False; got 1 of type int"):
        TripletLoss(relative=1).build(4, 3)


@pytest.mark.parametrize("mining", TripletLoss.minings)
def test_relative_triplets_gain_nothing_by_drawing_everything_together(mining):
    """The slope along "all rows shrink" is sum(z * dL/dz), zero for what does not depend on their size."""
    slope = {}
    for relative in (True, False):
        module = TripletLoss(0.2, distance="euclidean", mining=mining, relative=relative).build(4, 3)
        embeddings = rows()
        _, gradient = value_and_gradient(module, embeddings, LABELS)
        slope[relative] = (embeddings * gradient).sum().item()
    assert slope[True] == pytest.approx(0, abs=1e-12)
    assert abs(slope[False]) > 0.01


# Precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_half_precision_embeddings_are_taken_in_float32(name, params, dtype):
    module = build(name, params)
    halves = rows(dtype=torch.float32).to(dtype)
    value, gradient = value_and_gradient(module, halves, LABELS)
    expected, expected_gradient = value_and_gradient(module, halves.float(), LABELS)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    assert torch.equal(value, expected)
    assert torch.equal(gradient, expected_gradient.to(dtype))


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_autocast_changes_nothing(name, params):
    module, embeddings, labels = build(name, params), rows(dtype=torch.float32), torch.tensor(LABELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = seeded(module, embeddings, labels)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, seeded(module, embeddings, labels))


@pytest.mark.parametrize(("name", "params"), GIVEN)
def test_autocast_changes_nothing_for_given_pairs_and_triplets(name, params):
    module, embeddings = build(name, params), rows(dtype=torch.float32)
    pairs = (embeddings, embeddings.flip(0), torch.tensor(SAME))
    triplets = (embeddings, embeddings.flip(0), embeddings.roll(1, 0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = (module.forward_pairs(*pairs), module.forward_triplets(*triplets))
    assert all(value.dtype == torch.float32 for value in inside)
    assert all(map(torch.equal, inside, (module.forward_pairs(*pairs), module.forward_triplets(*triplets))))


class Product(TupleLoss):
    """A loss of matrix products, which autocast would take in half precision."""

    def _from_labels(self, embeddings, labels):
        return (embeddings @ embeddings.T).sum()

    def _from_pairs(self, left, right, same):
        return (left @ right.T).sum()

    def _from_triplets(self, anchor, positive, negative):
        return (anchor @ positive.T - anchor @ negative.T).sum()


@pytest.mark.parametrize("method", ["forward", "forward_pairs", "forward_triplets"])
def test_a_loss_of_matrix_products_is_taken_in_float32_under_autocast(method):
    take, sides = getattr(Product("cosine"), method), [rows(seed=i, dtype=torch.float32) for i in range(3)]
    given = {"forward": (sides[0], None), "forward_pairs": (*sides[:2], torch.ones(8))}.get(method, sides)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = take(*given)
    assert value.dtype == torch.float32
    assert value == take(*given)


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_float64_is_kept(name, params):
    value, gradient = value_and_gradient(build(name, params), rows(), LABELS)
    assert value.dtype == gradient.dtype == torch.float64


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_a_tower_trains_under_autocast(name, params):
    module = build(name, params)
    with torch.random.fork_rng(devices=[]), torch.autocast("cpu", dtype=torch.bfloat16):
        torch.manual_seed(0)
        tower = nn.Linear(5, 3)
        embeddings = tower(torch.randn(8, 5))
        value = module(embeddings, torch.tensor(LABELS))
    assert embeddings.dtype == torch.bfloat16
    assert value.dtype == torch.float32
    value.backward()
    assert tower.weight.grad.isfinite().all()
    assert tower.weight.grad.norm() > 0


# Specs and modules


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
        (ExponentialLoss(distance="manhattan"), "ExponentialLoss(distance='manhattan')"),
        (TripletLoss("soft", mining="hard"), "TripletLoss(margin='soft', mining='hard')"),
        (MultiSimilarityLoss(mining="all"), "MultiSimilarityLoss(mining='all')"),
    ],
)
def test_repr_shows_what_is_not_the_default(spec, text):
    assert repr(spec) == text


def test_set_params_rejects_an_unknown_name():
    with pytest.raises(ValueError, match="Invalid parameter 'margni'"):
        TripletLoss().set_params(margni=0.1)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_a_used_module_is_copied_whole(name, params, copied):
    module = build(name, params)
    expected = value_and_gradient(module, rows(), LABELS)
    twin = copied(module)
    assert isinstance(twin, EmbeddingLoss)
    assert twin.distance == module.distance == params.get("distance", module.distance)
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
    assert TripletLoss(**params).build(2, 3).distance == distance


@pytest.mark.parametrize(
    ("distance", "bound"), [("euclidean", 2.0), ("cosine", 2.0), ("manhattan", 2 * math.sqrt(5))]
)
def test_bound_of_the_energy_is_that_of_the_unit_sphere(distance, bound):
    """The row (1, ..., 1) / sqrt(5) is 2 from its opposite, and 2 sqrt(5) by the absolute sum."""
    default, explicit = (
        ExponentialLoss(given_bound, distance=distance).build(2, 5) for given_bound in (None, bound)
    )
    embeddings = rows(8, 5)
    assert default(embeddings, torch.tensor(LABELS)) == explicit(embeddings, torch.tensor(LABELS))
    opposite = torch.ones(1, 5, dtype=torch.float64) / math.sqrt(5)
    least = default.forward_pairs(opposite, -opposite, torch.tensor([0]))
    assert_close(least.item(), 2 * bound * math.exp(-2.77))


# Errors


def options():
    """Each string parameter of each loss, with its legal values."""
    for name, spec in LOSSES.items():
        for parameter, legal in (("distance", spec.distances), ("mining", spec.minings)):
            for value in legal:
                yield pytest.param(spec, parameter, value, legal, id=f"{name}-{parameter}-{value}")


@pytest.mark.parametrize(("spec", "parameter", "value", "legal"), list(options()))
def test_a_near_miss_of_an_option_is_guessed(spec, parameter, value, legal):
    with pytest.raises(ValueError, match="must be one of") as error:
        spec(**{parameter: f"{value}x"}).build(2, 3)
    text = str(error.value)
    assert text.startswith(
        f"`{spec.__name__}.{parameter}` must be one of {', '.join(map(repr, legal))}; got "
    )
    assert text.endswith(f"; got '{value}x'. Did you mean '{value}'?")


@pytest.mark.parametrize(("spec", "parameter"), dict.fromkeys((p.values[0], p.values[1]) for p in options()))
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
    if pair not in [(TripletLoss, "margin"), (LiftedLoss, "margin"), (MultiSimilarityLoss, "epsilon")]
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
    module, expected = (spec(**{parameter: number}).build(2, 3) for number in (value, float(value)))
    assert module(rows(), torch.tensor(LABELS)) == expected(rows(), torch.tensor(LABELS))


@pytest.mark.parametrize("spec", [TripletLoss, ContrastiveLoss, LiftedLoss])
def test_a_number_may_be_an_integer(spec):
    module, expected = (spec(margin).build(2, 3) for margin in (1, 1.0))
    assert module(rows(), torch.tensor(LABELS)) == expected(rows(), torch.tensor(LABELS))


@pytest.mark.parametrize(("spec", "parameter"), ABOVE_ZERO)
def test_zero_where_it_makes_no_loss_is_an_error(spec, parameter):
    with pytest.raises(ValueError, match=r"must be a finite number above 0.*; got 0\.$"):
        spec(**{parameter: 0}).build(2, 3)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (CircleLoss(1.0), "`CircleLoss.margin` must be a finite number above 0 and below 1; got 1.0."),
        (
            MultiSimilarityLoss(base=1.5),
            "`MultiSimilarityLoss.base` must be a finite number of at least -1 and of at most 1; got 1.5.",
        ),
    ],
)
def test_a_similarity_that_no_cosine_has_is_an_error(spec, wanted):
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        spec.build(2, 3)


def test_a_margin_of_zero_that_would_solve_every_semihard_triplet_is_an_error():
    """A semi-hard negative is beyond the positive: D_ap - D_an + 0 is never above zero."""
    message = (
        '`TripletLoss.margin` must be a finite number above 0, or "soft", with mining="semihard"; got 0.0.'
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TripletLoss(0.0, mining="semihard").build(2, 3)


def test_a_contrastive_margin_that_no_cosine_distance_reaches_is_an_error():
    message = (
        "`ContrastiveLoss.margin` must be a finite number above 0 and of at most 2, "
        "which no cosine distance exceeds; got 2.5."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ContrastiveLoss(2.5, distance="cosine").build(2, 3)
    assert ContrastiveLoss(2.0, distance="cosine").build(2, 3).margin == 2.0
    assert ContrastiveLoss(2.5).build(2, 3).margin == 2.5


def test_the_error_of_a_triplet_margin_names_the_soft_one():
    with pytest.raises(TypeError, match=r'of at least 0, or "soft"; got \'sotf\''):
        TripletLoss("sotf").build(2, 3)


# From what a user gives as `loss`


@pytest.mark.parametrize("name", LOSSES)
def test_a_name_makes_the_loss_with_what_it_has_of_the_overrides(name):
    overrides = {"margin": 0.5, "distance": "cosine"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = make_loss(name, LOSSES, 4, 3, **overrides, mining=None, unheard_of=1)
    known = LOSSES[name]().get_params()
    expected = build(name, {k: v for k, v in overrides.items() if k in known})
    assert type(module) is type(expected)
    assert module(rows(), torch.tensor(LABELS)) == expected(rows(), torch.tensor(LABELS))


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
        ValueError, match=r"^`loss` must be one of .*; got 'tripplet'\. Did you mean 'triplet'\?$"
    ):
        make_loss("tripplet", LOSSES, 4, 3)


@pytest.mark.parametrize("loss", [None, 3, dict])
def test_what_is_no_loss_is_a_type_error(loss):
    with pytest.raises(TypeError, match=r"^`loss` must be one of 'contrastive', .*; got "):
        make_loss(loss, LOSSES, 4, 3)


@pytest.mark.parametrize(
    ("loss", "call"),
    [(TripletLoss, r"TripletLoss\(\)"), (nn.TripletMarginLoss, r"TripletMarginLoss\(\.\.\.\)")],
)
def test_a_class_is_asked_for_an_instance(loss, call):
    with pytest.raises(
        TypeError, match=rf"^`loss` is the class {loss.__name__}; pass an instance, {call}\.$"
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
def test_an_override_that_another_loss_takes_is_an_error_that_says_which(loss, name, value, taken):
    few = {key: LOSSES[key] for key in ("contrastive", "exponential", "triplet")}
    message = f"`{name}`='{value}' is not for loss 'contrastive', which takes {taken}; 'triplet' takes it."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_loss(loss, few, 4, 3, **{name: value})
    with pytest.raises(ValueError, match=r"; .*'triplet'.* takes? it\.$"):
        make_loss(loss, LOSSES, 4, 3, **{name: value})


def test_losses_of_the_user_and_several_that_take_the_override_are_named():
    class OwnLoss(TripletLoss):
        minings = ("all",)

    takers = " and ".join(repr(name) for name, spec in LOSSES.items() if "hard" in spec.minings)
    assert takers.count(" and ") > 1
    with pytest.raises(ValueError, match=f"for loss OwnLoss, which takes 'all'; {takers} take it"):
        make_loss(OwnLoss(), LOSSES, 4, 3, mining="hard")


@pytest.mark.parametrize(
    ("override", "error", "text"),
    [
        (
            {"mining": "semi-hard"},
            ValueError,
            r"^`mining` must be one of 'all', 'semihard', .*; got 'semi-hard'\. Did you mean 'semihard'\?$",
        ),
        (
            {"distance": "euclid"},
            ValueError,
            r"^`distance` must be one of 'euclidean', .*; got 'euclid'\. Did you mean 'euclidean'\?$",
        ),
        ({"mining": 3}, ValueError, r"^`mining` must be one of 'all', .*; got 3\.$"),
        ({"distance": [1]}, ValueError, r"^`distance` must be one of .*; got \[1\]\.$"),
        ({"margin": -1}, ValueError, "^`TripletLoss.margin` must be .*; got -1"),
        ({"margin": "sfot"}, TypeError, "^`TripletLoss.margin` must be .*; got 'sfot'"),
    ],
)
def test_an_override_that_no_loss_takes_is_an_error_that_names_it(override, error, text):
    with pytest.raises(error, match=text):
        make_loss("triplet", LOSSES, 4, 3, **override)
