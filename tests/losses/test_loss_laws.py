"""The laws that every loss in the registry keeps."""

import math

import pytest
import torch
from torch.testing import assert_close

from loss_cases import (
    DETERMINISTIC,
    GIVEN,
    LABELS,
    PER_CLASS,
    SAME,
    VARIANTS,
    build,
    of_losses,
    rows,
    seeded,
    value_and_gradient,
)
from oracles import ORACLES
from oracles._naive import naive_paired
from oracles.pair import contrastive as contrastive_oracle
from oracles.pair import exponential as exponential_oracle
from siamese_sklearn.losses import (
    CircleLoss,
    ContrastiveLoss,
    ExponentialLoss,
    LiftedLoss,
    MultiSimilarityLoss,
    NPairsLoss,
    SupConLoss,
    TripletLoss,
    TripletRatioLoss,
)

NORMALIZES = ("circle", "multi_similarity", "supcon", *PER_CLASS)
# whose gradient holds weights constant that its value depends on
HELD_WEIGHTS = ("circle",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "params"), [p for p in VARIANTS if p.values[0] not in HELD_WEIGHTS]
)
def test_gradient_is_that_of_finite_differences(name, params):
    module, labels = build(name, params), torch.tensor(LABELS)
    assert torch.autograd.gradcheck(
        lambda z: seeded(module, z, labels), rows().requires_grad_()
    )
    assert module.n_active > 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "params"), GIVEN)
def test_gradient_of_given_pairs_and_triplets_is_that_of_finite_differences(
    name, params
):
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
    permuted, permuted_gradient = value_and_gradient(
        module, embeddings[order], labels[order]
    )
    assert_close(permuted, value, rtol=1e-10, atol=1e-12)
    assert_close(permuted_gradient, gradient[order], rtol=1e-10, atol=1e-12)
    assert module.n_active == n_active


@pytest.mark.parametrize("distance", TripletLoss.distances)
def test_random_mining_with_one_negative_is_every_triplet(distance):
    embeddings, labels = rows(5), [0, 0, 0, 0, 1]
    ours, expected = (
        value_and_gradient(
            TripletLoss(distance=distance, mining=mining).build(2, 3),
            embeddings,
            labels,
        )
        for mining in ("random", "all")
    )
    assert_close(ours, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "params"), [p for p in VARIANTS if p.values[0] not in PER_CLASS]
)
@pytest.mark.parametrize("names", [[2, 0, 3, 1], [-7, 10**12, 5, 0]])
def test_the_names_of_the_classes_do_not_matter(name, params, names):
    module, embeddings = build(name, params), rows()
    renamed = torch.tensor(names)[torch.tensor(LABELS)]
    assert_close(
        value_and_gradient(module, embeddings, renamed),
        value_and_gradient(module, embeddings, LABELS),
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
    """Rows 0 | 3, 3.5: anchor 3 costs [0.5 + 1 - 3]+ = 0, anchor 3.5 costs [0.5 + 1 -
    3.5]+ = 0.
    """
    module = LiftedLoss(1.0).build(2, 1)
    alone = torch.tensor([[0.0], [3.0], [3.5]], dtype=torch.float64)
    assert module(alone, torch.tensor([0, 1, 1])) == module.n_active == 0
    solved = torch.tensor(
        [[0.0], [0.1], [9.0], [9.1], [9.2], [9.8]], dtype=torch.float64
    )
    expected, n_active = ORACLES["lifted"][0]["labels"](
        solved, [0, 0, 1, 1, 2, 2], {}, distance="euclidean", margin=1.0
    )
    assert 0 < n_active < 6
    assert_close(module(solved, torch.tensor([0, 0, 1, 1, 2, 2])).item(), expected)
    assert module.n_active == n_active


WITHOUT_PAIRS = [
    *(
        TripletLoss(margin, mining=mining)
        for margin in (0.2, "soft")
        for mining in TripletLoss.minings
    ),
    *(TripletRatioLoss(mining=mining) for mining in TripletRatioLoss.minings),
    *(CircleLoss(), LiftedLoss(), MultiSimilarityLoss(), NPairsLoss()),
]


@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 3], [1, 1, 1, 1]], ids=["no positives", "one class"]
)
@pytest.mark.parametrize("spec", WITHOUT_PAIRS, ids=repr)
def test_a_batch_without_triplets_costs_nothing_and_can_be_differentiated(spec, labels):
    module = spec.build(4, 3)
    value, gradient = value_and_gradient(module, rows(4), labels)
    assert value == module.n_active == 0
    assert (gradient == 0).all()


def test_supcon_asks_for_a_positive_only():
    """Of one class, all others are positives: at four equal rows each has a share of
    1/3.
    """
    module = SupConLoss().build(4, 3)
    value, gradient = value_and_gradient(module, rows(4), [0, 1, 2, 3])
    assert value == module.n_active == 0
    assert (gradient == 0).all()
    value = module(torch.ones(4, 3, dtype=torch.float64), torch.tensor([1, 1, 1, 1]))
    assert_close(value.item(), math.log(3))
    assert module.n_active == 4


def test_multi_similarity_mines_nothing_where_classes_are_far_apart():
    """At right angles positives have a similarity of 1, negatives of 0: more than 0.1
    between them.
    """
    corners = torch.eye(3, dtype=torch.float64)[[0, 0, 1, 1, 2, 2]]
    for epsilon, n_active in ((0.1, 0), (0.9, 0), (1.1, 6)):
        module = MultiSimilarityLoss(epsilon=epsilon).build(3, 3)
        value, gradient = value_and_gradient(module, corners, [0, 0, 1, 1, 2, 2])
        assert module.n_active == n_active
        assert (value > 0) == (gradient.norm() > 0) == (n_active > 0)


@pytest.mark.parametrize("name", NORMALIZES)
def test_the_lengths_of_the_rows_do_not_matter_to_losses_that_normalize(name):
    module, embeddings = build(name, {}), rows()
    lengths = torch.tensor([1e-3, 0.1, 1, 2, 3, 5, 10, 1e3], dtype=torch.float64)[
        :, None
    ]
    value, gradient = value_and_gradient(module, embeddings, LABELS)
    scaled, scaled_gradient = value_and_gradient(module, embeddings * lengths, LABELS)
    assert module.distance.name == "cosine"
    assert_close(scaled, value, rtol=1e-10, atol=1e-12)
    assert_close(scaled_gradient * lengths, gradient, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("spec", "oracle"),
    [
        (ContrastiveLoss(1.0), contrastive_oracle),
        (ExponentialLoss(2.0), exponential_oracle),
    ],
)
@pytest.mark.parametrize("label", [0, 1])
def test_given_pairs_of_one_kind_cost_their_own_mean(spec, oracle, label):
    module, left, right = spec.build(2, 3), rows(seed=1), rows(seed=2)
    value = module((left, right), torch.full((8,), label))
    distance = naive_paired(left, right, "euclidean")
    same, different = (distance, []) if label else ([], distance)
    parameters = {
        key: value
        for key, value in spec.get_params().items()
        if key in ("margin", "bound")
    }
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


@pytest.mark.parametrize(
    ("name", "params"), of_losses(VARIANTS, ["contrastive", "triplet"])
)
def test_classes_at_three_points_far_apart_cost_nothing(name, params):
    """At right angles cosine distances are 1, the others sqrt(2) and more."""
    corners = torch.eye(3, dtype=torch.float64)[[0, 0, 1, 1, 2, 2]]
    module = build(name, {**params, "margin": 0.9})
    value, gradient = value_and_gradient(module, corners, [0, 0, 1, 1, 2, 2])
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("mining", ExponentialLoss.minings)
def test_exponential_counts_different_pairs_that_are_too_far_to_cost_anything(mining):
    """At 0, 0 | 1e4 the same pair costs nothing, exp(-1e4) nothing; the mean is still
    over all.
    """
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
