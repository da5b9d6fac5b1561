"""Every loss of the registry in every variant, and what is asked of all of them."""

import itertools

import pytest
import torch

from oracles import ORACLES, proxy
from seeds import torch_seed
from siamese_sklearn.losses import LOSSES

LABELS = [0, 1, 0, 2, 1, 0, 3, 1]  # classes of 3, 3 and twice 1
SAME = [1, 0, 0, 1, 1, 0, 1, 0]


def variants(name):
    """Every distance x mining of a loss, as parameters of its spec."""
    spec = LOSSES[name]
    axes = {"distance": spec.distances, "mining": spec.minings}
    axes = {key: values for key, values in axes.items() if values}
    return [
        dict(zip(axes, values, strict=True))
        for values in itertools.product(*axes.values())
    ]


def cases(variants):
    """One case for each (name, params); all but the first of a loss are slow."""
    found, names = [], set()
    for name, params in variants:
        marks = [pytest.mark.slow] if name in names else []
        key = "-".join([name, *map(str, params.values())])
        found.append(pytest.param(name, params, marks=marks, id=key))
        names.add(name)
    return found


VARIANTS = cases((name, params) for name in LOSSES for params in variants(name))
DETERMINISTIC = [p for p in VARIANTS if p.values[1].get("mining") != "random"]
COMPARED = cases(
    (name, {**params, **extra})
    for name, params in (p.values for p in DETERMINISTIC)
    for extra in ORACLES[name][1]
    if (params.get("mining"), extra.get("margin")) != ("semihard", 0.0)
)
GIVEN = [
    p
    for p in COMPARED
    if LOSSES[p.values[0]].takes_tuples and p.values[1].get("mining", "all") == "all"
]


# losses with weights for each class, which care about which class is which
PER_CLASS = tuple(proxy.ORACLES)
OWN_MININGS = {"multi_similarity": ("multi_similarity",)}


def of_losses(cases, names):
    return [p for p in cases if p.values[0] in names]


def build(name, params, n_components=3):
    """The module of a loss, whose own weights are the same every time."""
    with torch_seed():
        return LOSSES[name](**params).build(n_classes=4, n_components=n_components)


def weights_of(module):
    return {name: weight.detach() for name, weight in module.named_parameters()}


def rows(n=8, d=3, seed=0, dtype=torch.float64):
    return 0.5 * torch.randn(
        n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype
    )


def seeded(module, embeddings, labels, seed=0):
    with torch_seed(seed):
        return module(embeddings, labels)


def value_and_gradient(module, embeddings, labels):
    embeddings = embeddings.detach().clone().requires_grad_()
    value = seeded(module, embeddings, torch.as_tensor(labels))
    (gradient,) = torch.autograd.grad(value, embeddings)
    return value.detach(), gradient
