"""What is particular to the loss on binary codes; the laws of all losses are in
test_losses.py.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from oracles._naive import naive_triplets
from oracles.hamming import ORACLES
from seeds import torch_seed
from siamese_sklearn import SiameseEmbedder
from siamese_sklearn.binary import to_bits
from siamese_sklearn.distances import normalize
from siamese_sklearn.losses import TupleLoss
from siamese_sklearn.losses._hamming import HammingTripletLoss, imbalance, soft_bits

LABELS = [0, 1, 0, 2, 1, 0, 3, 1]
SAME = [1, 0, 0, 1, 1, 0, 1, 0]
ORACLE, PARAMETERS = ORACLES["hamming_triplet"]


def rows(n=8, d=3, seed=0):
    return torch.randn(
        n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def gradient(value, *sides):
    return torch.autograd.grad(value, sides)


# Values


@pytest.mark.slow
@pytest.mark.parametrize("mining", ["all", "semihard", "hard", "easy_positive"])
@pytest.mark.parametrize("params", PARAMETERS)
@pytest.mark.parametrize("d", [1, 3, 40])
def test_value_and_count_are_those_of_the_loops(params, mining, d):
    module = HammingTripletLoss(mining=mining, **params).build(4, d)
    embeddings = rows(d=d)
    expected, n_active = ORACLE["labels"](
        embeddings, LABELS, {}, mining=mining, **params
    )
    assert_close(
        module(embeddings, torch.tensor(LABELS)).item(),
        expected,
        rtol=1e-10,
        atol=1e-12,
    )
    assert module.n_active == n_active > 0


@pytest.mark.parametrize("params", PARAMETERS)
def test_given_pairs_and_triplets_cost_what_the_loops_say(params):
    module, sides = (
        HammingTripletLoss(**params).build(4, 3),
        tuple(rows(seed=seed) for seed in (1, 2, 3)),
    )
    expected, n_active = ORACLE["pairs"](*sides[:2], SAME, {}, **params)
    assert_close(
        module(sides[:2], torch.tensor(SAME)).item(), expected, rtol=1e-10, atol=0
    )
    assert module.n_active == n_active > 0
    expected, n_active = ORACLE["triplets"](*sides, {}, **params)
    assert_close(module(sides).item(), expected, rtol=1e-10, atol=0)
    assert module.n_active == n_active > 0


def test_hard_bits_cost_the_loss_of_the_paper():
    """On a line, 100 and -100 are hard bits: [0 - H + 1]+ is 1 for a negative with the
    anchor's bit, else 0.

    Class 0 has the bits 1, 1, 0, class 1 has 0, 1. The mean is over the triplets that
    cost something.
    """
    bits, labels = [1, 1, 0, 0, 1], [0, 0, 0, 1, 1]
    table = [[float(a != b) for b in bits] for a in bits]
    costs = [
        table[a][p] - table[a][n] + 1
        for a, p, n in naive_triplets(table, labels, "all")
    ]
    costs = [cost for cost in costs if cost > 0]
    module = HammingTripletLoss(margin=1.0, balance=0.0).build(2, 1)
    embeddings = torch.tensor(
        [[200.0 * bit - 100.0] for bit in bits], dtype=torch.float64
    )
    assert_close(
        module(embeddings, torch.tensor(labels)).item(), sum(costs) / len(costs)
    )
    assert module.n_active == len(costs) > 0


def test_soft_bits_by_hand():
    """(3, -4) is (0.6, -0.8) sqrt(2) at length sqrt(2)."""
    expected = [
        [
            1 / (1 + math.exp(-1.2 * math.sqrt(2))),
            1 / (1 + math.exp(1.6 * math.sqrt(2))),
        ]
    ]
    assert_close(soft_bits(torch.tensor([[3.0, -4.0]])), torch.tensor(expected))
    assert soft_bits(torch.zeros(1, 3)).tolist() == [[0.5, 0.5, 0.5]]
    assert_close(
        soft_bits(torch.tensor([[3.0]])), torch.tensor([[1 / (1 + math.exp(-6))]])
    )


@pytest.mark.slow
@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 1000), d=st.integers(2, 20))
def test_soft_bits_leave_the_length_out_and_keep_the_sign(scale, seed, d):
    embeddings = rows(d=d, seed=seed)
    assert_close(soft_bits(scale * embeddings), soft_bits(embeddings))
    assert_close(soft_bits(normalize(embeddings)), soft_bits(embeddings))
    assert np.array_equal(to_bits(soft_bits(embeddings) - 0.5), to_bits(embeddings))
    assert_close(soft_bits(-embeddings), 1 - soft_bits(embeddings))


def test_imbalance_by_hand():
    """Means 1/4, 1, 1/2: (2/4 - 1)^2 + (2 - 1)^2 + 0."""
    bits = torch.tensor(
        [[1.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]
    )
    assert imbalance(bits) == 1.25


# Laws


@pytest.mark.parametrize("mining", HammingTripletLoss.minings)
def test_a_turned_sign_of_a_bit_changes_nothing(mining):
    """The code of a class is free: turning a bit over for all rows keeps all distances
    and the balance.
    """
    module, signs = (
        HammingTripletLoss(mining=mining).build(4, 3),
        torch.tensor([1.0, -1.0, -1.0]),
    )
    values = []
    for embeddings in (rows(), signs * rows()):
        with torch_seed():
            values.append(module(embeddings, torch.tensor(LABELS)))
    assert_close(values[0], values[1])


@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 3], [1, 1, 1, 1]], ids=["no positives", "one class"]
)
@pytest.mark.parametrize("mining", HammingTripletLoss.minings)
def test_a_batch_without_triplets_costs_nothing(mining, labels):
    module, embeddings = (
        HammingTripletLoss(mining=mining).build(4, 3),
        rows(4).requires_grad_(),
    )
    value = module(embeddings, torch.tensor(labels))
    assert value == module.n_active == 0
    assert (gradient(value, embeddings)[0] == 0).all()


@pytest.mark.parametrize("label", [0, 1])
def test_given_pairs_of_one_kind_cost_nothing(label):
    module, left = HammingTripletLoss().build(2, 3), rows(seed=1).requires_grad_()
    value = module((left, rows(seed=2)), torch.full((8,), label))
    assert value == module.n_active == 0
    assert (gradient(value, left)[0] == 0).all()


def test_solved_triplets_still_pay_for_bits_out_of_balance():
    """Three copies of (1, 1) against one of (-1, 1): solved at a margin of 0.1, both
    bits out of balance.
    """
    embeddings = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [-1.0, 1.0]])
    module = HammingTripletLoss(0.1, balance=0.5).build(2, 2)
    one = 1 / (1 + math.exp(-2))
    expected = 0.5 * ((0.5 * (2 * one - 1)) ** 2 + (2 * one - 1) ** 2)
    assert_close(
        module(embeddings, torch.tensor([0, 0, 0, 1])).item(),
        expected,
        rtol=1e-6,
        atol=0,
    )
    assert module.n_active == 0


@pytest.mark.slow
def test_balance_keeps_the_bits_of_lopsided_embeddings_alive():
    """All embeddings begin on one side, (4, ..., 4) and a little: every bit is 1. The
    balance mends that.
    """

    def share_of_ones(balance):
        module, labels = (
            HammingTripletLoss(balance=balance).build(4, 16),
            torch.arange(4).repeat(8),
        )
        embeddings = (0.3 * rows(32, 16) + 4.0).requires_grad_()
        optimizer = torch.optim.Adam([embeddings], lr=0.05)
        for _ in range(100):
            optimizer.zero_grad()
            module(embeddings, labels).backward()
            optimizer.step()
        return to_bits(embeddings.detach()).mean(0)

    assert (share_of_ones(balance=0.0) == 1).any()
    balanced = share_of_ones(HammingTripletLoss().balance)
    assert ((balanced > 0.1) & (balanced < 0.9)).all()


# The spec


@pytest.mark.parametrize(
    ("n_components", "margin"), [(1, 1.0), (16, 1.0), (32, 2.0), (64, 4.0)]
)
def test_margin_by_default(n_components, margin):
    embeddings, labels = rows(d=n_components), torch.tensor(LABELS)
    default, explicit = (
        HammingTripletLoss(m).build(4, n_components) for m in (None, margin)
    )
    assert default(embeddings, labels) == explicit(embeddings, labels)


def test_the_module_says_that_it_makes_bits():
    module = HammingTripletLoss().build(2, 3)
    assert isinstance(module, TupleLoss)
    assert module.binary is True
    assert module.distance.name == "manhattan"
    assert list(module.parameters()) == []


@pytest.mark.parametrize(
    ("params", "error", "text"),
    [
        ({"margin": -1}, ValueError, "of at least 0 or None; got -1"),
        (
            {"margin": "soft"},
            TypeError,
            "of at least 0 or None; got 'soft' of type str",
        ),
        (
            {"margin": 0, "mining": "semihard"},
            ValueError,
            'above 0 or None, with mining="semihard"; got 0',
        ),
        ({"margin": math.nan}, ValueError, "of at least 0 or None; got nan"),
    ],
)
def test_a_margin_out_of_range_is_an_error(params, error, text):
    with pytest.raises(
        error, match=f"^`HammingTripletLoss.margin` must be a finite number {text}"
    ):
        HammingTripletLoss(**params).build(2, 3)


@pytest.mark.parametrize(
    ("balance", "error"),
    [(-0.1, ValueError), (math.inf, ValueError), ("no", TypeError)],
)
def test_a_balance_out_of_range_is_an_error(balance, error):
    text = "^`HammingTripletLoss.balance` must be a finite number of at least 0; got "
    with pytest.raises(error, match=text):
        HammingTripletLoss(balance=balance).build(2, 3)


def test_a_mining_that_does_not_exist_is_guessed():
    with pytest.raises(
        ValueError, match=r"^`HammingTripletLoss.mining` must .*Did you mean 'semihard'"
    ):
        HammingTripletLoss(mining="semi-hard").build(2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("normalize", [True, False])
def test_codes_of_digits_find_their_own(digits, normalize):
    """A nearest code of 32 bits is of the same digit for nine held-out images of ten,
    and no bit is dead.
    """
    X, y = digits
    train, test = np.arange(300) % 3 != 0, np.arange(300) % 3 == 0
    embedder = SiameseEmbedder(
        32,
        tower="mlp",
        loss=HammingTripletLoss(),
        normalize=normalize,
        max_epochs=10,
        lr=1e-3,
        random_state=0,
    ).fit(X[train], y[train])
    gallery, queries = (to_bits(embedder.transform(X[part])) for part in (train, test))
    nearest = (queries[:, None, :] != gallery).sum(2).argmin(1)
    assert (y[train][nearest] == y[test]).mean() > 0.9
    assert ((gallery.mean(0) > 0.1) & (gallery.mean(0) < 0.9)).all()
