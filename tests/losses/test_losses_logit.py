"""What is particular to the losses on logits; the laws of all losses are in
test_losses.py.
"""

import copy
import itertools
import math
import pickle
import re

import pytest
import torch
from sklearn.base import clone
from torch import nn
from torch.func import functional_call
from torch.testing import assert_close

from oracles.logit import ORACLES
from seeds import torch_seed
from siamese_sklearn import SiameseEmbedder
from siamese_sklearn.distances import DISTANCES
from siamese_sklearn.heads import HEADS, DifferenceHead, DistanceHead, Head, PluggedHead
from siamese_sklearn.losses import TupleLoss
from siamese_sklearn.losses._logit import (
    BinaryCrossEntropyLoss,
    HingeLoss,
    binary_cross_entropy,
    hinge,
)

LABELS = [0, 1, 0, 2, 1, 0, 3, 1]
SAME = [1, 0, 0, 1, 1, 0, 1, 0]
SPECS = {"binary_cross_entropy": BinaryCrossEntropyLoss, "hinge": HingeLoss}
VARIANTS = list(itertools.product(SPECS, HEADS, ["all", "hard"]))
COMPARED = [
    (name, {**params, "mining": mining})
    for name in SPECS
    for params in ORACLES[name][1]
    for mining in ("all", "hard")
]

each_spec = pytest.mark.parametrize("spec", SPECS.values())


def rows(n=8, d=3, seed=0, dtype=torch.float64):
    return 0.5 * torch.randn(
        n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype
    )


def build(name, params, d=3):
    """A loss whose head has weights of both signs, as after training."""
    module, generator = (
        SPECS[name](**params).build(4, d),
        torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    return module


def weights_of(module):
    return {name: weight.detach() for name, weight in module.named_parameters()}


class Cosine(nn.Module):
    """A head from elsewhere."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, left, right):
        return self.scale * nn.functional.cosine_similarity(left, right)


class Slope(nn.Module):
    """A head from elsewhere, which is not symmetric: how far the first
    component falls.
    """

    def forward(self, left, right):
        return 3.0 * (left - right)[:, 0]


class SlopeHead(Head):
    """The same as a head of this package's kind."""

    def forward(self, left, right):
        return Slope()(left, right)

    def pairwise(self, left, right=None):
        right = left if right is None else right
        return 3.0 * (left[:, None, 0] - right[None, :, 0])


# Values


@pytest.mark.parametrize("head", [Slope(), SlopeHead()], ids=["module", "Head"])
@each_spec
def test_a_head_that_is_not_symmetric_learns_from_both_orders(spec, head):
    """A pair costs f(o) in one order and f(-o) in the other, and the mean is
    over both.
    """
    formula = {
        BinaryCrossEntropyLoss: lambda y_o: math.log1p(math.exp(-y_o)),
        HingeLoss: lambda y_o: max(1 - y_o, 0),
    }
    first = rows()[:, 0].tolist()
    costs = {True: [], False: []}
    for i, j in itertools.permutations(range(8), 2):
        same = LABELS[i] == LABELS[j]
        costs[same].append(
            formula[spec]((1 if same else -1) * 3 * (first[i] - first[j]))
        )
    expected = sum(sum(kind) / len(kind) for kind in costs.values())
    module = spec(head=head).build(4, 3)
    assert_close(module(rows(), torch.tensor(LABELS)).item(), expected)
    assert module.n_active == 8 * 7


@pytest.mark.parametrize(("name", "params"), COMPARED)
@pytest.mark.parametrize("seed", range(2))
def test_value_and_count_are_those_of_the_loops(name, params, seed):
    module, sides, oracle = (
        build(name, params),
        [rows(seed=seed + i) for i in range(3)],
        ORACLES[name][0],
    )
    results = {
        "labels": ((sides[0], torch.tensor(LABELS)), (sides[0], LABELS)),
        "pairs": ((tuple(sides[:2]), torch.tensor(SAME)), (*sides[:2], SAME)),
        "triplets": ((tuple(sides),), sides),
    }
    for kind, (given, plain) in results.items():
        expected, n_active = oracle[kind](*plain, weights_of(module), **params)
        assert_close(module(*given).item(), expected, rtol=1e-10, atol=1e-12)
        assert module.n_active == n_active > 0


def test_binary_cross_entropy_by_hand():
    """A probability of 1/2 costs log 2, one of 3/4 for the truth log(4/3), for the
    other log 4.
    """
    logit, same = (
        torch.tensor([0.0, math.log(3), math.log(3)]),
        torch.tensor([False, True, False]),
    )
    assert_close(
        binary_cross_entropy(logit, same), torch.tensor([2.0, 4 / 3, 4.0]).log()
    )


def test_hinge_by_hand():
    logit, same = (
        torch.tensor([0.5, 0.5, 2.0, -2.0, -3.0]),
        torch.tensor([True, False, True, False, True]),
    )
    assert hinge(logit, same, 1.0).tolist() == [0.5, 1.5, 0.0, 0.0, 4.0]
    assert hinge(logit, same, 2.5).tolist() == [2.0, 3.0, 0.5, 0.5, 5.5]


def test_logits_of_any_size_have_a_finite_cost_and_gradient():
    logit = torch.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    value = binary_cross_entropy(logit, torch.tensor([True, True, False, False]))
    assert value.tolist() == [0.0, 1e4, 1e4, 0.0]
    (gradient,) = torch.autograd.grad(value.sum(), logit)
    assert gradient.tolist() == [0.0, -1.0, 1.0, 0.0]


def test_given_logits_count_however_sure_they_are():
    """Two different pairs, at minus infinity and 2: they cost 0 and 1 + 2, and the mean
    is over both.
    """
    module = HingeLoss(margin=1.0).build(2, 3)
    assert module(torch.tensor([-torch.inf, 2.0]), torch.tensor([0, 0])) == 1.5
    assert module.n_active == 2


@each_spec
def test_as_many_different_pairs_as_there_may_be_weigh_as_much_as_the_same(spec):
    module, left, right = spec(head="difference").build(2, 3), rows(4), rows(4, seed=1)
    same = torch.tensor([1, 0, 0, 0])
    value = module((left, right), same)
    repeated = torch.tensor([0, *[1, 2, 3] * 50])
    assert_close(module((left[repeated], right[repeated]), same[repeated]), value)
    assert module.n_active == 151


# Logits of a network that gives them itself


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.float32])
@each_spec
def test_given_logits_cost_what_they_would_as_those_of_the_head(spec, kind):
    module, left, right = spec().build(2, 3), rows(seed=1), rows(seed=2)
    same = torch.tensor(SAME, dtype=kind)
    value = module(module.head(left, right), same)
    assert module.n_active == len(SAME)
    assert_close(value, module((left, right), same))


def test_given_logits_by_hand():
    """The same pairs cost 2 and 0, mean 1; the different pairs 4, 0 and 0.5,
    mean 1.5.
    """
    module = HingeLoss(1.0).build(2, 3)
    logits = torch.tensor([-1.0, 1.0, 3.0, -2.0, -0.5])
    assert module(logits, torch.tensor([1, 1, 0, 0, 0])) == 2.5


@each_spec
@pytest.mark.parametrize("label", [0, 1])
def test_given_logits_of_one_kind_cost_their_own_mean(spec, label):
    module, logits = spec().build(2, 3), torch.tensor([-1.0, 0.5, 2.0])
    same = torch.full((3,), bool(label))
    formula = (
        binary_cross_entropy
        if spec is BinaryCrossEntropyLoss
        else lambda o, s: hinge(o, s, 1.0)
    )
    assert_close(module(logits, same), formula(logits, same).mean())


@each_spec
def test_no_logits_cost_nothing_and_can_be_differentiated(spec):
    logits = torch.empty(0, requires_grad=True)
    value = spec().build(2, 3)(logits, torch.empty(0))
    assert value == 0
    value.backward()


@each_spec
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_given_logits_of_half_precision_are_taken_in_float32(spec, dtype):
    module, logits, same = (
        spec().build(2, 3),
        (8 * rows()[:, 0]).to(dtype),
        torch.tensor(SAME),
    )
    expected = module(logits.float(), same)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = module(logits, same)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    assert module(logits.double(), same).dtype == torch.float64


# Gradients


@pytest.mark.slow
@pytest.mark.parametrize(("name", "head", "mining"), VARIANTS)
def test_gradient_is_that_of_finite_differences(name, head, mining):
    module = build(name, {"head": head, "mining": mining}).double()
    names, weights = zip(*module.named_parameters(), strict=True)

    def of_labels(embeddings, *values):
        weights = dict(zip(names, values, strict=True))
        return functional_call(module, weights, (embeddings, torch.tensor(LABELS)))

    assert torch.autograd.gradcheck(of_labels, (rows().requires_grad_(), *weights))
    sides = [rows(seed=seed).requires_grad_() for seed in (1, 2, 3)]
    assert torch.autograd.gradcheck(
        lambda a, b: module((a, b), torch.tensor(SAME)), sides[:2]
    )
    assert torch.autograd.gradcheck(lambda *given: module(given), sides)


@pytest.mark.parametrize(("name", "head", "mining"), VARIANTS)
@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e4])
def test_value_and_gradients_are_finite_whatever_the_size(name, head, mining, scale):
    module, embeddings = (
        build(name, {"head": head, "mining": mining}),
        scale * rows(dtype=torch.float32),
    )
    embeddings.requires_grad_()
    value = module(embeddings, torch.tensor(LABELS))
    assert value.isfinite()
    inputs = [embeddings, *module.parameters()]
    assert all(
        g.isfinite().all()
        for g in torch.autograd.grad(value, inputs, materialize_grads=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "head"), list(itertools.product(SPECS, HEADS)))
def test_the_head_is_fitted_to_the_embeddings(name, head):
    """Same rows 0.2 apart, different ones 0.5 and 0.7, on a line in space: the first
    heads say "same" to all.

    Trained alone, at its own learning rate, the head comes to tell them apart.
    """
    with torch_seed():
        module = SPECS[name](head=head).build(2, 3)
    embeddings = torch.tensor(
        [[0.0, 0.0, 0.0], [0.2, 0.0, 0.0], [0.7, 0.0, 0.0], [0.9, 0.0, 0.0]]
    )
    labels = torch.tensor([0, 0, 1, 1])
    same = labels[:, None] == labels
    assert (module.head.pairwise(embeddings) > 0).all()
    optimizer = torch.optim.Adam(module.parameters(), lr=module.lr)
    for _ in range(1000):
        optimizer.zero_grad()
        module(embeddings, labels).backward()
        optimizer.step()
    assert torch.equal(module.head.pairwise(embeddings) > 0, same)


def test_an_estimator_trains_the_head():
    X = rows(40, 5, dtype=torch.float32).numpy()
    y = [0, 1, 2, 3] * 10
    spec = BinaryCrossEntropyLoss("difference")
    model = SiameseEmbedder(
        4, loss=spec, max_epochs=2, device="cpu", random_state=0
    ).fit(X, y)
    head = model.net_.criterion_.head
    assert isinstance(head, DifferenceHead)
    assert (head.weight != DifferenceHead(4).weight).all()
    (group,) = (
        g
        for g in model.net_.optimizer_.param_groups
        if any(p is head.weight for p in g["params"])
    )
    assert group["lr"] == spec.weights_lr


# Specs and modules


@each_spec
def test_the_module_says_what_it_is(spec):
    module = spec(head="product", mining="hard", weights_lr=0.3).build(4, 3)
    assert isinstance(module, TupleLoss)
    assert (module.lr, module.mining, module.distance.name) == (
        0.3,
        "hard",
        "euclidean",
    )
    assert spec.takes_tuples
    assert spec.takes_logits
    assert spec.heads == tuple(HEADS)
    assert isinstance(module.head, HEADS["product"])
    assert {name.split(".")[0] for name in module.state_dict()} == {"head"}


@each_spec
@pytest.mark.parametrize("distance", DISTANCES)
def test_the_distance_is_that_of_the_head(spec, distance):
    assert spec(head=DistanceHead(3, distance)).build(4, 3).distance.name == distance


@each_spec
def test_a_head_of_the_user_is_copied_and_trained(spec):
    given_head = Cosine()
    module = spec(head=given_head).build(4, 3)
    assert isinstance(module.head, PluggedHead)
    module(rows(dtype=torch.float32), torch.tensor(LABELS)).backward()
    assert module.head.module.scale.grad != 0
    assert given_head.scale.grad is None


@each_spec
@pytest.mark.parametrize("head", [*HEADS, Cosine(), DistanceHead(3, "cosine")])
def test_a_spec_is_cloned_with_its_head(spec, head):
    original = spec(head=head)
    twin = clone(original)
    assert type(twin.head) is type(head)
    assert (twin.head is head) == isinstance(head, str)
    assert (
        set(twin.get_params())
        == set(original.get_params())
        >= {"head", "mining", "weights_lr"}
    )
    assert type(pickle.loads(pickle.dumps(original)).head) is type(head)
    assert spec().set_params(head=head).head is head


@each_spec
@pytest.mark.parametrize("head", HEADS)
def test_weights_are_saved_and_loaded(spec, head):
    trained, fresh = (spec(head=head).build(4, 3) for _ in range(2))
    with torch.no_grad():
        for weight in trained.parameters():
            weight.add_(0.1)
    fresh.load_state_dict(copy.deepcopy(trained.state_dict()))
    labels = torch.tensor(LABELS)
    assert torch.equal(fresh(rows(), labels), trained(rows(), labels))


# Errors


@each_spec
def test_an_unknown_head_is_an_error_that_guesses(spec):
    with pytest.raises(
        ValueError,
        match=r"^`head` must be one of .*'distanc'\. Did you mean 'distance'\?$",
    ):
        spec(head="distanc").build(4, 3)


@each_spec
def test_what_is_no_head_is_an_error(spec):
    with pytest.raises(TypeError, match=r"^`head` must be .*; got None\.$"):
        spec(head=None).build(4, 3)
    with pytest.raises(
        ValueError, match=r"^`head` failed on `left` and `right` of shape \(2, 3\): "
    ):
        spec(head=DifferenceHead(5)).build(4, 3)


@each_spec
@pytest.mark.parametrize(
    ("value", "error"),
    [(0, ValueError), (-1.0, ValueError), (math.nan, ValueError), ("slow", TypeError)],
)
def test_a_learning_rate_out_of_range_is_an_error(spec, value, error):
    message = (
        f"`{spec.__name__}.weights_lr` must be a finite number above 0; got {value!r}"
    )
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        spec(weights_lr=value).build(4, 3)


@pytest.mark.parametrize(
    ("value", "error"),
    [(0, ValueError), (-1.0, ValueError), (math.inf, ValueError), ("soft", TypeError)],
)
def test_a_margin_out_of_range_is_an_error(value, error):
    message = f"`HingeLoss.margin` must be a finite number above 0; got {value!r}"
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        HingeLoss(value).build(4, 3)


@each_spec
def test_an_unknown_mining_is_an_error_that_guesses(spec):
    message = (
        f"`{spec.__name__}.mining` must be one of 'all', 'hard'; got 'hrad'. "
        f"Did you mean 'hard'?"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        spec(mining="hrad").build(4, 3)
