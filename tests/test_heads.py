"""Heads against loops; their symmetry, their gradients, their first logits; and what is
taken for a head.
"""

import copy
import math
import pickle
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.testing import assert_close

from oracles._naive import naive_paired
from oracles.logit import NAIVE_HEADS
from seeds import torch_seed
from siamese_sklearn import heads
from siamese_sklearn.distances import DISTANCES, normalize, paired, pairwise
from siamese_sklearn.heads import (
    HEADS,
    DifferenceHead,
    DistanceHead,
    Head,
    PluggedHead,
    ProductHead,
    make_head,
)

each_head = pytest.mark.parametrize("name", HEADS)


def rows(n=5, d=4, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def trained(name, d=4, seed=0):
    """A head whose weights are of both signs, as after training."""
    head, generator = HEADS[name](d), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in head.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    return head


def weights_of(head):
    return {f"head.{name}": weight.detach() for name, weight in head.named_parameters()}


def table_of(head, left, right):
    """Logits of every row of `left` with every row of `right`, pair by pair."""
    return torch.stack(
        [torch.cat([head(a[None], b[None]) for b in right]) for a in left]
    )


class Bilinear(nn.Module):
    """A head from elsewhere, which is not symmetric."""

    def __init__(self, d=4):
        super().__init__()
        self.form = nn.Bilinear(d, d, 1)
        self.most_pairs = 0

    def forward(self, left, right):
        self.most_pairs = max(self.most_pairs, len(left))
        return self.form(left, right).squeeze(1)


def test_the_registry_has_all_heads():
    assert set(HEADS) == set(NAIVE_HEADS)
    assert len(HEADS) == 3
    assert all(issubclass(head, Head) for head in HEADS.values())


# Values


@each_head
@pytest.mark.parametrize("seed", range(3))
def test_logits_are_those_of_the_loops(name, seed):
    head, left, right = trained(name, seed=seed), rows(seed=seed), rows(seed=seed + 10)
    logit, weights = NAIVE_HEADS[name], weights_of(head)
    sides = zip(left.tolist(), right.tolist(), strict=True)
    assert_close(head(left, right).tolist(), [logit(a, b, weights) for a, b in sides])
    expected = [[logit(a, b, weights) for b in right.tolist()] for a in left.tolist()]
    assert_close(head.pairwise(left, right).tolist(), expected)


@pytest.mark.parametrize("distance", DISTANCES)
def test_logits_of_each_distance_are_those_of_the_loops(distance):
    head, left, right = DistanceHead(4, distance), rows(), rows(seed=1)
    with torch.no_grad():
        head.log_scale.fill_(0.25)
        head.offset.fill_(1.5)
    expected = [math.exp(0.25) * (1.5 - d) for d in naive_paired(left, right, distance)]
    assert_close(head(left, right).tolist(), expected)
    assert_close(head.pairwise(left, right).diag().tolist(), expected)


def test_difference_by_hand():
    """3 |1 - 3| - 2 |0 - 5| + 0 |2 - 9| + 0.5 = -3.5."""
    head = DifferenceHead(3)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([3.0, -2.0, 0.0]))
        head.bias.fill_(0.5)
    left, right = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[3.0, 5.0, 9.0]])
    assert head(left, right).tolist() == [-3.5]
    assert head.pairwise(left, right).tolist() == [[-3.5]]


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("scale", [-3.0, 4.0])
def test_a_distance_head_keeps_the_order_of_distances(distance, scale):
    head, left, right = DistanceHead(4, distance), rows(1), rows(20, seed=1)
    with torch.no_grad():
        head.log_scale.fill_(scale)
    by_logit, by_distance = (
        head.pairwise(left, right)[0],
        pairwise(left, right, distance)[0],
    )
    assert torch.equal(by_logit.argsort(descending=True), by_distance.argsort())
    offset = head.offset.detach().double()
    assert torch.equal(by_logit > 0, by_distance < offset)


@pytest.mark.slow
@settings(max_examples=50)
@given(
    name=st.sampled_from([*HEADS, "bilinear"]),
    n=st.integers(0, 6),
    m=st.integers(0, 6),
    d=st.integers(1, 5),
    seed=st.integers(0, 10**6),
)
def test_the_table_is_that_of_the_pairs(name, n, m, d, seed):
    head = (
        PluggedHead(Bilinear(d).double())
        if name == "bilinear"
        else trained(name, d, seed)
    )
    left, right = rows(n, d, seed), rows(m, d, seed + 1)
    for other, given_right in ((right, right), (left, None)):
        table = head.pairwise(left, given_right)
        assert table.shape == (n, len(other))
        if n and len(other):
            assert_close(table, table_of(head, left, other), rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@settings(max_examples=50)
@given(
    name=st.sampled_from(list(HEADS)),
    n=st.integers(1, 6),
    d=st.integers(1, 5),
    seed=st.integers(0, 10**6),
)
def test_the_sides_can_be_swapped(name, n, d, seed):
    head, left, right = trained(name, d, seed), rows(n, d, seed), rows(n, d, seed + 1)
    assert torch.equal(head(left, right), head(right, left))
    assert_close(
        head.pairwise(left, right), head.pairwise(right, left).T, rtol=1e-9, atol=1e-9
    )
    assert_close(head.pairwise(left), head.pairwise(left).T, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("room", "pairs"), [(100, 24), (1, 12), (10**6, 84)])
def test_few_pairs_are_held_at_once(room, pairs, monkeypatch):
    """12 rows of 4 numbers on the right: two rows of the left fit into 100 numbers, and
    one goes at least.
    """
    module, left, right = Bilinear().double(), rows(7), rows(12, seed=1)
    product, expected = trained("product"), table_of(module, left, right)
    expected_product = table_of(product, left, right)
    module.most_pairs = 0
    monkeypatch.setattr(heads, "_NUMBERS_AT_ONCE", room)
    assert_close(PluggedHead(module).pairwise(left, right), expected)
    assert module.most_pairs == pairs
    assert_close(product.pairwise(left, right), expected_product)


# First logits


@pytest.mark.parametrize("distance", [*DISTANCES, "difference"])
@pytest.mark.parametrize("d", [1, 2, 32])
def test_first_logits_span_five_to_minus_five_on_the_unit_sphere(distance, d):
    """The row (1, ..., 1) / sqrt(d) is as far from its opposite as two rows of unit
    norm can be.
    """
    head = DifferenceHead(d) if distance == "difference" else DistanceHead(d, distance)
    row = torch.full((1, d), 1 / math.sqrt(d))
    assert_close(
        torch.cat([head(row, row), head(row, -row)]),
        torch.tensor([5.0, -5.0]),
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("d", [32, 256])
@pytest.mark.parametrize("seed", range(3))
def test_first_logits_of_a_product_head_fall_with_the_difference(d, seed):
    with torch_seed(seed):
        head = ProductHead(d)
    row = torch.full((1, d), 1 / math.sqrt(d))
    half = row * torch.tensor([1.0, -1.0]).repeat_interleave(d // 2)
    equal, right_angle, opposite = (
        head(row, other).item() for other in (row, half, -row)
    )
    assert 4.5 < equal <= 5
    assert -1.5 < right_angle < 1.5
    assert -6 < opposite < -4


def test_the_first_weights_of_a_product_head_come_from_the_default_generator():
    def first(seed):
        with torch_seed(seed):
            return ProductHead(4).hidden.weight

    assert torch.equal(first(0), first(0))
    assert not torch.equal(first(0), first(1))


# Gradients and precision


@each_head
def test_gradients_are_those_of_finite_differences(name):
    head = trained(name).double()
    names, weights = zip(*head.named_parameters(), strict=True)
    sides = [rows(seed=seed).requires_grad_() for seed in (1, 2)]

    def logits(left, right, *values):
        return functional_call(
            head, dict(zip(names, values, strict=True)), (left, right)
        )

    assert torch.autograd.gradcheck(logits, (*sides, *weights))


@each_head
@pytest.mark.parametrize("both", [True, False])
def test_gradients_of_the_table_are_those_of_the_pairs(name, both):
    head, left, right = (
        trained(name),
        rows().requires_grad_(),
        rows(6, seed=1).requires_grad_(),
    )
    if name == "difference":
        with torch.no_grad():
            head.weight[1] = 0.0
    other = right if both else left
    weight = rows(5, len(other), seed=2)
    inputs = [left, right, *head.parameters()]
    ours, expected = (
        torch.autograd.grad((table * weight).sum(), inputs, materialize_grads=True)
        for table in (
            head.pairwise(left, right if both else None),
            table_of(head, left, other),
        )
    )
    assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    assert ours[2].norm() > 0


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_weight_of_zero_has_a_gradient(kind):
    """Rows 2 and 3 apart in components 0 and 1: the gradient of a weight is its
    difference.
    """
    head = DifferenceHead(2)
    with torch.no_grad():
        head.weight.zero_()
    left, right = (
        torch.tensor([[1.0, 5.0]], dtype=kind),
        torch.tensor([[3.0, 2.0]], dtype=kind),
    )
    for logits in (head(left, right), head.pairwise(left, right)):
        assert logits.item() == 5.0
        (gradient,) = torch.autograd.grad(logits.sum(), head.weight)
        assert gradient.tolist() == [2.0, 3.0]


DEGENERATE = {
    "equal rows": torch.full((4, 4), 0.3),
    "zero rows": torch.zeros(4, 4),
    "large": 1e4 * rows(4, dtype=torch.float32),
    "small": 1e-8 * rows(4, dtype=torch.float32),
}


@pytest.mark.parametrize("batch", DEGENERATE)
@pytest.mark.parametrize("name", [*HEADS, *DISTANCES])
def test_logits_and_gradients_are_finite(name, batch):
    head = trained(name) if name in HEADS else DistanceHead(4, name)
    embeddings = DEGENERATE[batch].clone().requires_grad_()
    other = embeddings.detach().flip(0) if batch in ("large", "small") else embeddings
    for logits in (
        head(embeddings, other),
        head.pairwise(embeddings),
        head.pairwise(embeddings, other),
    ):
        assert logits.isfinite().all()
        gradients = torch.autograd.grad(
            logits.sum(), [embeddings, *head.parameters()], materialize_grads=True
        )
        assert all(gradient.isfinite().all() for gradient in gradients)


@each_head
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_that_of_the_embeddings(name, dtype):
    for head in (trained(name), trained(name).double()):
        left, right = rows(dtype=dtype).requires_grad_(), rows(seed=1, dtype=dtype)
        for logits in (
            head(left, right),
            head.pairwise(left, right),
            head.pairwise(left),
        ):
            assert logits.dtype == dtype
            gradients = torch.autograd.grad(
                logits.sum(), list(head.parameters()), allow_unused=True
            )
            assert {gradient.dtype for gradient in gradients} == {
                next(head.parameters()).dtype
            }


@each_head
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda head: pickle.loads(pickle.dumps(head))]
)
def test_a_head_is_copied_whole(name, copied):
    head, left, right = trained(name), rows(), rows(seed=1)
    assert torch.equal(copied(head)(left, right), head(left, right))
    fresh = HEADS[name](4)
    fresh.load_state_dict(head.state_dict())
    assert torch.equal(fresh(left, right), head(left, right))


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_distance_of_the_head_is_that_of_the_package(distance):
    head, left, right = (
        DistanceHead(4, distance),
        normalize(rows()),
        normalize(rows(seed=1)),
    )
    expected = head.log_scale.double().exp() * (
        head.offset.double() - paired(left, right, distance)
    )
    assert torch.equal(head(left, right), expected)
    assert head.distance == DISTANCES[distance]


# From what a user gives as `head`


@each_head
def test_a_name_makes_its_head(name):
    head = make_head(name, 4)
    assert type(head) is HEADS[name]
    assert head(rows(), rows(seed=1)).shape == (5,)


@pytest.mark.parametrize(
    "given_head", [DistanceHead(4, "cosine"), DifferenceHead(4), ProductHead(4)]
)
def test_a_head_that_is_given_is_copied(given_head):
    ours = make_head(given_head, 4)
    assert type(ours) is type(given_head)
    assert torch.equal(ours(rows(), rows(seed=1)), given_head(rows(), rows(seed=1)))
    with torch.no_grad():
        next(ours.parameters()).add_(1.0)
    assert not torch.equal(next(ours.parameters()), next(given_head.parameters()))


def test_a_module_is_wrapped_and_keeps_its_sides():
    module = Bilinear()
    ours = make_head(module, 4)
    assert isinstance(ours, PluggedHead)
    assert isinstance(ours.module, Bilinear)
    assert ours.module is not module
    left, right = rows(3, dtype=torch.float32), rows(2, seed=1, dtype=torch.float32)
    assert torch.equal(ours(left[:2], right), module(left[:2], right))
    assert_close(ours.pairwise(left, right), table_of(module, left, right))
    assert not torch.allclose(ours.pairwise(left, right), ours.pairwise(right, left).T)


def test_trying_a_head_leaves_no_trace_in_it():
    class Normalized(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)

        def forward(self, left, right):
            return self.norm(left - right).square().sum(1)

    module = Normalized()
    module.norm.eval()
    ours = make_head(module, 4).module
    assert module.norm.num_batches_tracked == ours.norm.num_batches_tracked == 0
    assert (
        (module.training, module.norm.training)
        == (ours.training, ours.norm.training)
        == (True, False)
    )


def test_an_unknown_head_is_an_error_that_guesses():
    message = (
        "`head` must be one of 'distance', 'difference', 'product'; got "
        "'produkt'. Did you mean 'product'?"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_head("produkt", 4)


@pytest.mark.parametrize("head", [None, 3, dict, lambda left, right: left[:, 0]])
def test_what_is_no_head_is_a_type_error(head):
    with pytest.raises(
        TypeError,
        match=r"^`head` must be one of 'distance', .*torch.nn.Module .*; got ",
    ) as error:
        make_head(head, 4)
    assert str(error.value).endswith(f"got {head!r}.")


@pytest.mark.parametrize("head", [ProductHead, Bilinear])
def test_a_class_is_asked_for_an_instance(head):
    message = (
        rf"^`head` is the class {head.__name__}; pass an instance, "
        rf"{head.__name__}\(\.\.\.\)\.$"
    )
    with pytest.raises(TypeError, match=message):
        make_head(head, 4)


class Answering(nn.Module):
    """A head that answers whatever it is told to make of the difference."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, left, right):
        return self.answer(left - right)


@pytest.mark.parametrize(
    ("answer", "came"),
    [
        (lambda difference: difference[:, :1], r"\(2, 1\)"),
        (lambda difference: difference.sum(), r"\(\)"),
        (lambda difference: difference.sum(0), r"\(4,\)"),
        (lambda difference: difference.sum(1).tolist(), "list"),
    ],
)
def test_an_output_that_is_no_logits_is_an_error(answer, came):
    with pytest.raises(
        ValueError,
        match=rf"^`head` must map .* \(2, 4\) to logits of shape \(2,\); got {came}\. ",
    ):
        make_head(Answering(answer), 4)


@pytest.mark.parametrize("head", [Bilinear(5), DifferenceHead(5), ProductHead(5)])
def test_a_head_of_another_width_is_an_error(head):
    with pytest.raises(
        ValueError,
        match=r"^`head` failed on `left` and `right` of shape \(2, 4\): .*\S",
    ) as error:
        make_head(head, 4)
    assert isinstance(error.value.__cause__, RuntimeError)


@each_head
@pytest.mark.parametrize(
    ("width", "error"), [(0, ValueError), (2.0, TypeError), (None, TypeError)]
)
def test_a_width_that_is_none_is_an_error(name, width, error):
    message = (
        f"`{HEADS[name].__name__}.n_components` must be an integer of at least "
        f"1; got {width!r}"
    )
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        HEADS[name](width)


def test_an_unknown_distance_is_an_error_that_guesses():
    with pytest.raises(
        ValueError,
        match=r"^`DistanceHead.distance` must be one of .*'cosin'\. Did you mean "
        r"'cosine'\?$",
    ):
        DistanceHead(4, "cosin")
