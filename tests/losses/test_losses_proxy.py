"""Losses with learned proxies: against pytorch-metric-learning, at the ends of the
cosine, and in training.

Their values against loops, and the laws that they share with all losses, are in
test_losses.py.
"""

import copy
import math
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch.testing import assert_close

from seeds import torch_seed
from siamese_sklearn import SiameseEmbedder
from siamese_sklearn.losses import (
    ArcFaceLoss,
    CosFaceLoss,
    NormalizedSoftmaxLoss,
    ProxyAnchorLoss,
    ProxyNCALoss,
)
from siamese_sklearn.losses._proxy import proxy_anchor
from siamese_sklearn.losses._softmax import add_angle

SPECS = [
    ProxyAnchorLoss(),
    ProxyNCALoss(),
    NormalizedSoftmaxLoss(),
    ArcFaceLoss(),
    CosFaceLoss(),
]
NAMES = ["proxy_anchor", "proxy_nca", "normalized_softmax", "arcface", "cosface"]
of_every_loss = pytest.mark.parametrize("spec", SPECS, ids=NAMES)


def rows(n=12, d=5, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def build(spec, n_classes=4, n_components=5, seed=0):
    with torch_seed(seed):
        return spec.build(n_classes, n_components)


def value_and_gradients(module, embeddings, labels, weight):
    """Value, and gradients of the embeddings and of the weight of the module."""
    embeddings = embeddings.clone().requires_grad_()
    value = module(embeddings, labels)
    return value, *torch.autograd.grad(value, (embeddings, weight))


# Against pytorch-metric-learning


def theirs(name, *args, **kwargs):
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    with torch.random.fork_rng(devices=[]):
        return getattr(losses, name)(*args, **kwargs)


# (ours, their class, their parameters, their weight is (n_components, n_classes),
# embeddings to unit norm) - ProxyNCALoss: a scale where we have a temperature. -
# NormalizedSoftmaxLoss: theirs takes the embeddings as they are (the paper normalizes
# them). - ArcFaceLoss: their margin is in degrees.
PAIRED = [
    (
        ProxyAnchorLoss(0.1, alpha=32),
        "ProxyAnchorLoss",
        {"margin": 0.1, "alpha": 32},
        False,
        False,
    ),
    (
        ProxyAnchorLoss(0.3, alpha=4),
        "ProxyAnchorLoss",
        {"margin": 0.3, "alpha": 4},
        False,
        False,
    ),
    (ProxyNCALoss(1 / 9), "ProxyNCALoss", {"softmax_scale": 9}, False, False),
    (ProxyNCALoss(0.5), "ProxyNCALoss", {"softmax_scale": 2}, False, False),
    (
        NormalizedSoftmaxLoss(0.05),
        "NormalizedSoftmaxLoss",
        {"temperature": 0.05},
        True,
        True,
    ),
    (
        NormalizedSoftmaxLoss(0.4),
        "NormalizedSoftmaxLoss",
        {"temperature": 0.4},
        True,
        True,
    ),
    (
        ArcFaceLoss(0.5, scale=64),
        "ArcFaceLoss",
        {"margin": math.degrees(0.5), "scale": 64},
        True,
        False,
    ),
    (
        ArcFaceLoss(1.2, scale=3),
        "ArcFaceLoss",
        {"margin": math.degrees(1.2), "scale": 3},
        True,
        False,
    ),
    (
        CosFaceLoss(0.35, scale=64),
        "CosFaceLoss",
        {"margin": 0.35, "scale": 64},
        True,
        False,
    ),
    (
        CosFaceLoss(0.1, scale=3),
        "CosFaceLoss",
        {"margin": 0.1, "scale": 3},
        True,
        False,
    ),
]


@pytest.mark.parametrize(("spec", "name", "params", "by_columns", "unit"), PAIRED)
@pytest.mark.parametrize("labels", ["every class", "two of six classes", "one class"])
def test_value_and_gradients_are_those_of_pytorch_metric_learning(
    spec, name, params, by_columns, unit, labels
):
    embeddings = rows(12, 5)
    if unit:
        embeddings = torch.nn.functional.normalize(embeddings)
    labels = {
        "every class": torch.arange(12) % 6,
        "two of six classes": torch.arange(12) % 2 * 3 + 1,
        "one class": torch.full((12,), 2),
    }[labels]
    ours, other = build(spec, 6), theirs(name, 6, 5, **params)
    weight = other.W if by_columns else other.proxies
    proxies = ours.proxies.detach().double()
    weight.data = (proxies.T if by_columns else proxies).clone()
    value, z_grad, p_grad = value_and_gradients(ours, embeddings, labels, ours.proxies)
    expected, expected_z_grad, expected_p_grad = value_and_gradients(
        other, embeddings, labels, weight
    )
    if unit:  # ours has no part along the embedding, which it normalizes
        along = (expected_z_grad * embeddings).sum(1, keepdim=True)
        expected_z_grad = expected_z_grad - along * embeddings
    assert_close(value, expected, rtol=1e-9, atol=1e-9)
    assert_close(z_grad, expected_z_grad, rtol=1e-8, atol=1e-8)
    expected_p_grad = expected_p_grad.T if by_columns else expected_p_grad
    assert p_grad.dtype == torch.float32  # as the proxies are
    assert_close(p_grad.double(), expected_p_grad, rtol=1e-5, atol=1e-6)
    assert z_grad.norm() > 1e-3
    assert p_grad.norm() > 1e-3


def test_beyond_the_turning_point_arcface_is_that_of_pytorch_metric_learning():
    """A row opposite to its proxy, and one 0.4 short of it: both more than pi - 0.5
    away.
    """
    angles = torch.tensor([math.pi, math.pi - 0.4], dtype=torch.float64)
    embeddings = torch.stack([angles.cos(), angles.sin()], dim=1)
    ours, other = (
        build(ArcFaceLoss(0.5, scale=8), 2, 2),
        theirs("ArcFaceLoss", 2, 2, scale=8),
    )
    other.margin = 0.5
    ours.proxies.data, other.W.data = torch.eye(2), torch.eye(2, dtype=torch.float64)
    labels = torch.zeros(2, dtype=torch.int64)
    assert_close(
        ours(embeddings, labels), other(embeddings, labels), rtol=1e-9, atol=1e-9
    )


# Formulas


@pytest.mark.slow
@settings(max_examples=200)
@given(
    margin=st.floats(0, math.pi / 2),
    angles=st.lists(st.floats(0, math.pi), min_size=2, max_size=8),
)
def test_a_wider_angle_has_a_smaller_cosine_on_both_sides_of_the_turning_point(
    margin, angles
):
    around = [
        max(math.pi - margin + step, 0.0) for step in (-1e-3, -1e-6, 0.0, 1e-6, 1e-3)
    ]
    angle = torch.tensor(
        sorted(a for a in angles + around if a <= math.pi), dtype=torch.float64
    )
    widened = add_angle(angle.cos(), margin)
    assert (
        widened.diff() <= 1e-7
    ).all()  # the clamp of the sine leaves steps of sqrt(eps) at 0 and pi
    assert (widened <= angle.cos() + 1e-12).all()


@pytest.mark.slow
@pytest.mark.parametrize("margin", [0.2, 0.5, 1.0, 1.5])
def test_arcface_costs_more_the_farther_a_row_is_from_its_proxy(margin):
    """At (cos t, sin t) the proxy (1, 0) is at the angle t; that of the other class is
    at a right angle.
    """
    angles = torch.linspace(0.01, math.pi - 0.01, 400, dtype=torch.float64)
    module = build(ArcFaceLoss(margin, scale=4), 2, 3)
    module.proxies.data = torch.eye(3)[[0, 2]]
    embeddings = torch.stack(
        [angles.cos(), angles.sin(), torch.zeros_like(angles)], dim=1
    )
    cost = torch.stack(
        [module(row[None], torch.tensor([0])) for row in embeddings]
    ).detach()
    assert (cost.diff() > 0).all()


def test_adding_an_angle_by_hand():
    # 60, 90, 120 and 180 degrees
    cosine = torch.tensor([0.5, 0.0, -0.5, -1.0], dtype=torch.float64)
    beyond = -1 - math.pi / 3 * math.sin(math.pi / 3)
    expected = torch.tensor(
        [-0.5, -math.sqrt(0.75), -0.5 + beyond + 1, beyond], dtype=torch.float64
    )
    widened = add_angle(cosine, math.pi / 3 + 1e-12)  # 120 + 60 degrees is just beyond
    assert_close(widened, expected, rtol=1e-9, atol=1e-9)
    assert_close(add_angle(cosine, 0.0), cosine)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "cosine", [1.0, -1.0, 1.0 + 1e-6, -1.0 - 1e-6, math.nextafter(1.0, 0.0)]
)
def test_gradient_of_adding_an_angle_is_finite_at_the_ends(cosine, dtype):
    cosine = torch.tensor([cosine], dtype=dtype, requires_grad=True)
    for margin in (0.0, 0.5, math.pi / 2):
        widened = add_angle(cosine, margin)
        (gradient,) = torch.autograd.grad(widened.sum(), cosine)
        assert widened.isfinite().all()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sign", [1, -1])
@of_every_loss
def test_gradients_are_finite_for_rows_on_their_proxies_and_opposite_to_them(
    spec, sign, dtype
):
    module = build(spec)
    labels = torch.arange(8) % 4
    embeddings = (
        sign
        * module.proxies.detach()[labels].to(dtype)
        * torch.linspace(0.1, 10, 8, dtype=dtype)[:, None]
    )
    for tensor in value_and_gradients(module, embeddings, labels, module.proxies):
        assert tensor.isfinite().all()


def test_proxies_without_rows_only_push():
    """Classes 1 and 2 of 3 have no row; cosines are 0, so that with alpha 1 each log is
    log(1 + exp(0)).
    """
    cosine, own = torch.zeros(3, 1), torch.tensor([[True], [False], [False]])
    assert_close(
        proxy_anchor(cosine, own, 0.0, 1.0).item(), math.log(2) + 2 * math.log(2) / 3
    )


def test_proxy_nca_is_a_normalized_softmax_of_half_the_temperature():
    nca, softmax = build(ProxyNCALoss(0.5)), build(NormalizedSoftmaxLoss(0.25))
    assert_close(
        nca(rows(), torch.arange(12) % 4), softmax(rows(), torch.arange(12) % 4)
    )


@pytest.mark.parametrize(
    "spec", [ArcFaceLoss(0.0, scale=5.0), CosFaceLoss(0.0, scale=5.0)]
)
def test_without_a_margin_there_is_a_normalized_softmax_left(spec):
    labels = torch.arange(12) % 4
    assert_close(
        build(spec)(rows(), labels), build(NormalizedSoftmaxLoss(0.2))(rows(), labels)
    )


# Modules


@of_every_loss
def test_proxies_come_from_the_default_generator_one_unit_row_for_each_class(spec):
    module = build(spec, n_classes=7, n_components=3, seed=1)
    assert [name for name, _ in module.named_parameters()] == ["proxies"]
    assert module.proxies.shape == (7, 3)
    assert module.proxies.dtype == torch.float32
    assert_close(module.proxies.detach().norm(dim=1), torch.ones(7))
    assert torch.equal(module.proxies, build(spec, 7, 3, seed=1).proxies)
    assert not torch.equal(module.proxies, build(spec, 7, 3, seed=2).proxies)


@of_every_loss
def test_only_directions_matter_of_rows_and_of_proxies(spec):
    module, labels = build(spec), torch.arange(12) % 4
    expected = module(rows(), labels)
    scales = torch.linspace(0.01, 100, 12, dtype=torch.float64)[:, None]
    assert_close(module(rows() * scales, labels), expected)
    module.proxies.data *= torch.tensor([[0.01], [1.0], [3.0], [100.0]])
    assert_close(module(rows() * scales, labels), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
@of_every_loss
def test_proxies_and_their_gradients_stay_in_float32(spec, dtype):
    module = build(spec)
    value = module(rows().to(dtype), torch.arange(12) % 4)
    value.backward()
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert module.proxies.dtype == module.proxies.grad.dtype == torch.float32
    assert module.n_active.item() == 12


@of_every_loss
def test_proxies_stay_in_float32_through_a_step_under_autocast(spec):
    module, embeddings = build(spec), rows(dtype=torch.bfloat16)
    before = module.proxies.detach().clone()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        module(embeddings, torch.arange(12) % 4).backward()
    optimizer.step()
    assert module.proxies.dtype == torch.float32
    assert not torch.equal(module.proxies, before)


@of_every_loss
def test_labels_may_be_of_any_integer_type(spec):
    module, labels = build(spec), torch.arange(12) % 4
    expected = module(rows(), labels)
    for dtype in (torch.int32, torch.int16, torch.uint8):
        assert torch.equal(module(rows(), labels.to(dtype)), expected)


# Errors


@pytest.mark.parametrize(
    ("labels", "named"),
    [([0, 1, 4], 4), ([-1, 0, 9], -1), ([-100, 0, 3], -100), ([10**12, 0, 0], 10**12)],
)
@of_every_loss
def test_a_label_without_a_proxy_is_an_error_that_says_what_to_do(spec, labels, named):
    message = (
        rf"^`labels` must be from 0 to 3, .* 4 classes .*; got {named}\. Pass all "
        r"classes to the first call, partial_fit\(X, y, classes=\.\.\.\), or "
    )
    with pytest.raises(ValueError, match=message):
        build(spec)(rows(3), torch.tensor(labels))


LIMITS = [
    (ProxyAnchorLoss, "margin", [-0.1, 1.1]),
    (ProxyAnchorLoss, "alpha", [0, -1]),
    (ProxyNCALoss, "temperature", [0, -1]),
    (NormalizedSoftmaxLoss, "temperature", [0, -1]),
    (ArcFaceLoss, "margin", [-0.1, 1.6]),
    (ArcFaceLoss, "scale", [0, -1]),
    (CosFaceLoss, "margin", [-0.1, 2.1]),
    (CosFaceLoss, "scale", [0, -1]),
    *((type(spec), "weights_lr", [0, -1]) for spec in SPECS),
]


@pytest.mark.parametrize(("kind", "parameter", "outside"), LIMITS)
def test_a_number_out_of_range_is_an_error_that_names_it(kind, parameter, outside):
    start = "^" + re.escape(f"`{kind.__name__}.{parameter}` must be a finite number ")
    for value in (*outside, math.nan, math.inf):
        with pytest.raises(
            ValueError, match=f"{start}.*; got {re.escape(repr(value))}"
        ):
            kind(**{parameter: value}).build(3, 4)
    for value in ("soft", None, True):
        with pytest.raises(TypeError, match=f"{start}.*; got {value!r} of type"):
            kind(**{parameter: value}).build(3, 4)


# In training


def embedder(spec, **params):
    return SiameseEmbedder(
        n_components=4, loss=spec, random_state=0, **{"max_epochs": 2, **params}
    )


def proxies_of(fitted):
    return fitted.net_.criterion_.proxies.detach().clone()


@of_every_loss
def test_proxies_have_a_learning_rate_of_their_own_and_no_decay(spec, iris):
    fitted = embedder(
        clone(spec).set_params(weights_lr=0.03), lr=1e-3, weight_decay=0.2
    ).fit(*iris)
    loss = fitted.net_.criterion_
    assert loss.lr == 0.03
    (own,) = [
        g
        for g in fitted.net_.optimizer_.param_groups
        if any(p is loss.proxies for p in g["params"])
    ]
    assert len(own["params"]) == 1
    assert (own["lr"], own["weight_decay"]) == (0.03, 0.0)
    others = [
        group for group in fitted.net_.optimizer_.param_groups if group is not own
    ]
    assert {(group["lr"], group["weight_decay"]) for group in others} == {(1e-3, 0.2)}
    fitted.set_params(lr=1e-5, weight_decay=0.5).partial_fit(*iris)
    assert (own["lr"], own["weight_decay"]) == (0.03, 0.0)


@pytest.mark.slow
@of_every_loss
def test_the_rate_decides_how_far_proxies_move(spec, iris):
    """They start at unit norm; a step of Adam moves a number by about the rate, here
    1e-9 or 0.05.
    """
    held, moved = (
        proxies_of(embedder(clone(spec).set_params(weights_lr=rate)).fit(*iris))
        for rate in (1e-9, 0.05)
    )
    assert_close(held.norm(dim=1), torch.ones(3), rtol=0, atol=1e-6)
    n_steps = 2 * math.ceil(150 / 64)
    assert 0.05 < (moved - held).abs().max() < 1.5 * 0.05 * n_steps


@pytest.mark.slow
@of_every_loss
def test_embeddings_do_not_depend_on_the_fitted_proxies_but_a_pickle_keeps_them(
    spec, iris
):
    X, y = iris
    fitted = embedder(spec).fit(X, y)
    Z, proxies = fitted.transform(X), proxies_of(fitted)
    for twin in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert torch.equal(proxies_of(twin), proxies)
        assert np.array_equal(twin.transform(X), Z)
        twin.net_.criterion_.proxies.data.zero_()
        assert np.array_equal(twin.transform(X), Z)
        assert torch.equal(proxies_of(fitted), proxies)


@pytest.mark.slow
@of_every_loss
def test_a_pickled_model_goes_on_as_the_model_does(spec, iris):
    fitted = embedder(spec).partial_fit(*iris)
    twin = pickle.loads(pickle.dumps(fitted))
    before = proxies_of(fitted)
    fitted.partial_fit(*iris)
    twin.partial_fit(*iris)
    assert torch.equal(proxies_of(fitted), proxies_of(twin))
    assert not torch.equal(proxies_of(fitted), before)


@pytest.mark.slow
@of_every_loss
def test_a_class_that_comes_later_is_an_error_unless_named_at_the_start(spec, iris):
    X, y = iris
    first, names = y < 2, np.array(["setosa", "versicolor", "virginica"])
    fitted = embedder(spec).partial_fit(X[first], names[y[first]])
    Z, proxies = fitted.transform(X), proxies_of(fitted)
    with pytest.raises(
        ValueError, match=r"2 classes .*partial_fit\(X, y, classes=\.\.\.\)"
    ):
        fitted.partial_fit(X, names[y])
    assert fitted.classes_.tolist() == ["setosa", "versicolor"]
    assert fitted.n_iter_ == 1
    assert np.array_equal(fitted.transform(X), Z)
    assert torch.equal(proxies_of(fitted), proxies)
    told = (
        embedder(spec)
        .partial_fit(X[first], names[y[first]], classes=names)
        .partial_fit(X, names[y])
    )
    assert proxies_of(told).shape == (3, 4)
    assert told.n_iter_ == 2


@pytest.mark.slow
@of_every_loss
def test_a_few_epochs_bring_rows_to_the_proxy_of_their_class(spec, iris):
    X, y = iris
    fitted = embedder(spec, max_epochs=30).fit(X, y)
    cosine = (
        torch.from_numpy(fitted.transform(X))
        @ torch.nn.functional.normalize(proxies_of(fitted)).T
    )
    assert (cosine.argmax(1).numpy() == y).mean() > 0.9
    assert fitted.score(X, y) > 0.85
    assert fitted.history_[-1]["train_loss"] < fitted.history_[0]["train_loss"]
    assert 32 < fitted.history_[-1]["n_active"] <= 64


@pytest.mark.slow
def test_the_rate_can_be_searched(iris):
    search = GridSearchCV(
        embedder(ProxyAnchorLoss()), {"loss__weights_lr": [1e-9, 0.05]}, cv=2
    )
    search.fit(*iris)
    rates = {p["loss__weights_lr"] for p in search.cv_results_["params"]}
    assert rates == {1e-9, 0.05}
    assert (
        search.best_estimator_.net_.criterion_.lr
        == search.best_params_["loss__weights_lr"]
    )
