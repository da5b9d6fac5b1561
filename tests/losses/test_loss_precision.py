"""Losses in half precision, under autocast, and in float64."""

import pytest
import torch
from torch import nn

from loss_cases import (
    GIVEN,
    LABELS,
    SAME,
    VARIANTS,
    build,
    rows,
    seeded,
    value_and_gradient,
)
from siamese_sklearn.losses import TupleLoss


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
    module, embeddings, labels = (
        build(name, params),
        rows(dtype=torch.float32),
        torch.tensor(LABELS),
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = seeded(module, embeddings, labels)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, seeded(module, embeddings, labels))


@pytest.mark.parametrize(("name", "params"), GIVEN)
def test_autocast_changes_nothing_for_given_pairs_and_triplets(name, params):
    module, embeddings = build(name, params), rows(dtype=torch.float32)
    pairs = (embeddings, embeddings.flip(0))
    triplets = (embeddings, embeddings.flip(0), embeddings.roll(1, 0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = (module(pairs, torch.tensor(SAME)), module(triplets))
    assert all(value.dtype == torch.float32 for value in inside)
    assert all(
        map(torch.equal, inside, (module(pairs, torch.tensor(SAME)), module(triplets)))
    )


class Product(TupleLoss):
    """A loss of matrix products, which autocast would take in half precision."""

    def _from_labels(self, embeddings, labels):
        return (embeddings @ embeddings.T).sum()

    def _from_pairs(self, left, right, same):
        return (left @ right.T).sum()

    def _from_triplets(self, anchor, positive, negative):
        return (anchor @ positive.T - anchor @ negative.T).sum()


@pytest.mark.parametrize("kind", ["rows", "pairs", "triplets"])
def test_a_loss_of_matrix_products_is_taken_in_float32_under_autocast(kind):
    module, sides = (
        Product("cosine"),
        tuple(rows(seed=i, dtype=torch.float32) for i in range(3)),
    )
    labels = torch.ones(8)
    given = {
        "rows": (sides[0], labels),
        "pairs": (sides[:2], labels),
        "triplets": (sides,),
    }[kind]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = module(*given)
    assert value.dtype == torch.float32
    assert value == module(*given)


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
