"""Towers that are ready: frozen as a whole, or in part."""

import numpy as np
import pytest
import torch
from torch import nn

from models import quick, quick_classifier
from seeds import torch_seed

Y = np.arange(60) % 3
MEANS = 3 * np.random.default_rng(1).normal(size=(3, 6))
X = (np.random.default_rng(0).normal(size=(60, 6)) + MEANS[Y]).astype(np.float32)


def frozen(module):
    return module.eval().requires_grad_(False)


def normalizing():
    with torch_seed():
        return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU())


def state_of(model):
    state = model.net_.module_.tower.state_dict()
    return {name: value.clone() for name, value in state.items()}


@pytest.mark.parametrize(
    "tower",
    [frozen(normalizing()[0]), frozen(normalizing()), nn.Identity()],
    ids=["linear", "batch norm", "no weights"],
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_network_that_is_ready_enrolls_and_verifies(tower, early_stopping):
    width = tower(torch.ones(2, 6)).shape[1]
    model = quick_classifier(
        n_components=width,
        tower=tower,
        loss="contrastive",
        early_stopping=early_stopping,
        warm_start=True,
    )
    for method in (model.fit, model.partial_fit, model.fit):
        method(X, Y)
        assert model.n_iter_ == 0
        assert list(model.history_) == []
        assert np.isfinite(model.threshold_)
        assert model.score(X, Y) > 0.7
        z = tower(torch.from_numpy(X)).numpy()
        expected = z / np.linalg.norm(z, axis=1, keepdims=True)
        np.testing.assert_allclose(model.transform(X), expected, atol=1e-6)
    assert model.enroll(X[:1], 7).classes_.tolist() == [0, 1, 2, 7]


@pytest.mark.parametrize("make", [quick, quick_classifier])
def test_frozen_stage_does_not_move_and_the_rest_does(make):
    tower = nn.Sequential(frozen(normalizing()), nn.Linear(5, 4), nn.BatchNorm1d(4))
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    model = make(n_components=4, tower=tower).fit(X, Y).partial_fit(X, Y)
    after = state_of(model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if not name.startswith("0.")}


def test_weights_of_a_loss_are_trained_beside_a_frozen_network():
    tower = frozen(normalizing())
    model = quick(n_components=5, tower=tower, loss="proxy_anchor").fit(X, Y)
    assert model.n_iter_ == 3
    after = state_of(model)
    assert all(
        torch.equal(value, after[name]) for name, value in tower.state_dict().items()
    )


def test_layer_with_one_weight_to_train_is_not_frozen():
    """Only its bias is frozen, so its statistics are those of the training."""
    tower = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4))
    tower[0].bias.requires_grad_(False)
    after = state_of(quick(n_components=4, tower=tower).fit(X, Y))
    assert not torch.equal(after["0.running_mean"], tower[0].running_mean)
