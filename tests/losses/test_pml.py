"""pytorch-metric-learning as a plug-in: its losses, and its losses with its miners, as
`loss`.
"""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from torch import nn
from torch.testing import assert_close

from models import quick
from seeds import torch_seed
from siamese_sklearn.distances import normalize
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.losses._resolve import make_loss

losses = pytest.importorskip("pytorch_metric_learning.losses")
miners = pytest.importorskip("pytorch_metric_learning.miners")

D = 8


def seeded(make):
    """A loss whose own weights are the same every time."""
    with torch_seed():
        return make()


ALONE = {
    "angular": losses.AngularLoss,
    "arcface": lambda: losses.ArcFaceLoss(10, D),
    "signal_to_noise": losses.SignalToNoiseRatioContrastiveLoss,
    "circle": losses.CircleLoss,
    "contrastive": losses.ContrastiveLoss,
    "fast_ap": losses.FastAPLoss,
    "intra_pair_variance": losses.IntraPairVarianceLoss,
    "lifted": losses.GeneralizedLiftedStructureLoss,
    "multi_similarity": losses.MultiSimilarityLoss,
    "nca": losses.NCALoss,
    "normalized_softmax": lambda: losses.NormalizedSoftmaxLoss(10, D),
    "proxy_anchor": lambda: losses.ProxyAnchorLoss(10, D),
    "proxy_nca": lambda: losses.ProxyNCALoss(10, D),
    "soft_triple": lambda: losses.SoftTripleLoss(10, D),
    "supcon": losses.SupConLoss,
    "triplet": losses.TripletMarginLoss,
    "several": lambda: losses.MultipleLosses(
        [losses.ContrastiveLoss(), losses.ProxyAnchorLoss(10, D)]
    ),
}
MINED = {
    "triplet, semihard": lambda: (
        losses.TripletMarginLoss(),
        miners.TripletMarginMiner(type_of_triplets="semihard"),
    ),
    "triplet, batch hard": lambda: (
        losses.TripletMarginLoss(),
        miners.BatchHardMiner(),
    ),
    "triplet, angular": lambda: (losses.TripletMarginLoss(), miners.AngularMiner()),
    "multi_similarity": lambda: (
        losses.MultiSimilarityLoss(),
        miners.MultiSimilarityMiner(),
    ),
    "contrastive, pair margin": lambda: (
        losses.ContrastiveLoss(),
        miners.PairMarginMiner(),
    ),
    "proxy_anchor, multi_similarity": lambda: (
        losses.ProxyAnchorLoss(10, D),
        miners.MultiSimilarityMiner(),
    ),
}
EACH = [pytest.param(make, id=name) for name, make in {**ALONE, **MINED}.items()]


def of_library(loss, embeddings, labels):
    """What the library says by itself."""
    if isinstance(loss, tuple):
        return loss[0](embeddings, labels, loss[1](embeddings, labels))
    return loss(embeddings, labels)


def linear_tower():
    return seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, D)))


def quick_linear(**parameters):
    return quick(
        **{
            "n_components": D,
            "tower": linear_tower(),
            "max_epochs": 2,
            "lr": 0.01,
            **parameters,
        }
    )


@pytest.fixture
def rows(digits):
    """30 images of each digit, scaled to 0 .. 1."""
    X, y = digits
    return X / 16, y


@pytest.fixture
def few(rows):
    """6 of each digit: the library holds every triplet of a batch, which are too many
    for 300 rows in one.
    """
    X, y = rows
    keep = np.argsort(y, kind="stable").reshape(10, 30)[:, :6].ravel()
    return X[keep], y[keep]


def test_the_sample_of_the_library_is_a_good_one():
    assert len(ALONE) >= 10
    assert len(MINED) >= 4


@pytest.mark.parametrize("make", EACH)
def test_value_and_gradient_are_those_of_the_library(make, few):
    X, y = few
    embeddings = linear_tower()(torch.from_numpy(X)).detach().requires_grad_()
    loss, labels = seeded(make), torch.from_numpy(y)
    value, expected = (
        make_loss(loss, LOSSES, 10, D)(embeddings, labels),
        of_library(loss, embeddings, labels),
    )
    assert value > 0
    assert torch.equal(value, expected)
    assert torch.equal(
        *(torch.autograd.grad(v, embeddings)[0] for v in (value, expected))
    )


@pytest.mark.slow
@pytest.mark.parametrize("make", EACH)
def test_fit_begins_at_what_the_library_says_and_is_pickled(make, few):
    """One batch of all rows, so that the loss of the first epoch is known; the order of
    rows is free.
    """
    X, y = few
    loss = seeded(make)
    embedder = quick_linear(loss=loss, batch_size=60).fit(X, y)
    expected = of_library(
        copy.deepcopy(loss),
        normalize(linear_tower()(torch.from_numpy(X))),
        torch.from_numpy(y),
    )
    assert_close(embedder.history_[0, "train_loss"], expected.item(), rtol=1e-4, atol=0)
    assert np.isfinite(embedder.history_[1, "train_loss"])
    assert embedder.history_[1, "train_loss"] != embedder.history_[0, "train_loss"]
    again = pickle.loads(pickle.dumps(embedder))
    assert np.array_equal(again.transform(X), embedder.transform(X))
    assert np.array_equal(
        again.partial_fit(X, y).transform(X), embedder.partial_fit(X, y).transform(X)
    )


@pytest.mark.slow
@pytest.mark.parametrize("make", EACH)
def test_a_clone_of_a_fitted_model_is_fitted_to_the_same(make, rows):
    X, y = rows
    embedder = quick_linear(loss=seeded(make)).fit(X, y)
    twin = clone(embedder)
    assert type(twin.loss) is type(embedder.loss)
    assert twin.loss is not embedder.loss
    assert np.array_equal(twin.fit(X, y).transform(X), embedder.transform(X))


@pytest.mark.parametrize("mined", [False, True])
def test_proxies_are_trained_in_a_copy_and_pickled(mined, rows):
    X, y = rows
    loss = seeded(lambda: losses.ProxyAnchorLoss(10, D))
    before = loss.proxies.detach().clone()
    embedder = quick_linear(
        loss=(loss, miners.MultiSimilarityMiner()) if mined else loss
    ).fit(X, y)
    assert torch.equal(loss.proxies, before)
    trained = embedder.net_.criterion_.loss.proxies
    assert (trained - before).abs().max() > 0.01
    again = pickle.loads(pickle.dumps(embedder))
    assert torch.equal(again.net_.criterion_.loss.proxies, trained)


def test_proxies_take_the_learning_rate_of_the_estimator_or_of_a_group_of_their_own(
    rows,
):
    X, y = rows
    loss = seeded(lambda: losses.ProxyAnchorLoss(10, D))

    def steps_of_proxies(**parameters):
        fitted = quick_linear(
            loss=loss,
            max_epochs=1,
            batch_size=300,
            optimizer="sgd",
            weight_decay=0,
            **parameters,
        )
        moved = fitted.fit(X, y).net_.criterion_.loss.proxies
        return (moved - loss.proxies).detach()

    slow = steps_of_proxies(lr=0.001)
    assert slow.abs().max() > 0
    assert_close(steps_of_proxies(lr=0.01), 10 * slow, rtol=1e-3, atol=1e-6)
    group = {"optimizer__param_groups": [("loss.loss.proxies", {"lr": 0.01})]}
    assert_close(
        steps_of_proxies(lr=0.001, net_params=group), 10 * slow, rtol=1e-3, atol=1e-6
    )


@pytest.mark.slow
def test_grid_search_and_pipeline(rows):
    X, y = rows
    flat = X.reshape(300, 64)
    values = [
        losses.SupConLoss(),
        (losses.TripletMarginLoss(), miners.BatchHardMiner()),
        "triplet",
    ]
    search = GridSearchCV(quick_linear(), {"loss": values}, cv=StratifiedKFold(2)).fit(
        flat, y
    )
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert any(search.best_params_["loss"] is value for value in values)
    assert type(search.best_estimator_.loss) is type(search.best_params_["loss"])
    chain = make_pipeline(
        MinMaxScaler(),
        quick_linear(loss=values[1], max_epochs=20),
        KNeighborsClassifier(n_neighbors=1),
    )
    fold = np.arange(300) % 3
    assert (
        chain.fit(flat[fold > 0], y[fold > 0]).score(flat[fold == 0], y[fold == 0])
        > 0.85
    )
    assert "BatchHardMiner" in repr(chain)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "make", [ALONE["supcon"], ALONE["proxy_anchor"], MINED["triplet, semihard"]]
)
def test_autocast_and_half_precision_are_taken_in_float32(make, dtype, few):
    X, y = few
    embeddings, labels = (
        linear_tower()(torch.from_numpy(X)).detach().to(dtype),
        torch.from_numpy(y),
    )
    loss = seeded(make)
    expected = of_library(copy.deepcopy(loss), embeddings.float(), labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = make_loss(loss, LOSSES, 10, D)(embeddings, labels)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


class Spy(nn.Module):
    """A miner that notes whether it may differentiate, and mines nothing: the loss
    takes all.
    """

    def forward(self, embeddings, labels):
        self.saw_gradient = (2 * embeddings).requires_grad


def test_a_miner_is_called_without_gradient():
    plugged = make_loss((losses.TripletMarginLoss(), Spy()), LOSSES, 2, D)
    plugged(torch.randn(6, D).requires_grad_(), torch.tensor([0, 0, 1, 1, 2, 2]))
    assert plugged.miner.saw_gradient is False


# Errors


@pytest.mark.parametrize(
    ("loss", "came"),
    [
        ((), r"\(\)"),
        ((losses.TripletMarginLoss(),), r"\(TripletMarginLoss\)"),
        ((losses.TripletMarginLoss(), None), r"\(TripletMarginLoss, NoneType\)"),
        (("triplet", miners.BatchHardMiner()), r"\(str, BatchHardMiner\)"),
        (
            (losses.TripletMarginLoss, miners.BatchHardMiner()),
            r"\(the class TripletMarginLoss, BatchHardMiner\)",
        ),
        (
            (nn.Identity(), nn.Identity(), nn.Identity()),
            r"\(Identity, Identity, Identity\)",
        ),
    ],
)
def test_a_tuple_of_something_else_is_a_type_error(loss, came, rows):
    text = (
        r"^`loss`, if it is a tuple, must be \(loss, miner\), two "
        r"torch\.nn\.Modules such as .*; got "
    )
    with pytest.raises(TypeError, match=rf"{text}{came}\.$"):
        quick_linear(loss=loss).fit(*rows)


class Returns(nn.Module):
    """A loss that returns what a function makes of the embeddings."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, embeddings, labels, mined=None):
        return self.function(embeddings)


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (
            lambda z: None,
            TypeError,
            r"must return a Tensor with one element; got NoneType\.",
        ),
        (
            lambda z: 1.0,
            TypeError,
            r"must return a Tensor with one element; got float\.",
        ),
        (
            lambda z: {"loss": z.sum()},
            TypeError,
            r"must return a Tensor with one element; got dict\.",
        ),
        (
            lambda z: z.sum(1),
            ValueError,
            r"must return one number per batch, .*; got a Tensor of shape \(\d+,\)\.",
        ),
        (
            lambda z: z.detach().sum(),
            ValueError,
            r"must return a value with a gradient; got one without\. Compute it from ",
        ),
        (
            lambda z: torch.tensor(0.5),
            ValueError,
            r"must return a value with a gradient; got one without\. Compute it from ",
        ),
    ],
)
@pytest.mark.parametrize("mined", [False, True])
def test_what_cannot_be_trained_with_is_an_error_that_names_the_loss(
    function, error, text, mined, rows
):
    loss = (Returns(function), Spy()) if mined else Returns(function)
    with pytest.raises(error, match=f"^`loss`, a Returns, {text}"):
        quick_linear(loss=loss).fit(*rows)


def test_one_number_may_have_an_axis_and_needs_no_gradient_outside_of_training():
    plugged = make_loss(Returns(lambda z: z.mean().reshape(1)), LOSSES, 2, D)
    embeddings = torch.ones(4, D)
    assert plugged(embeddings, torch.zeros(4)).tolist() == [1.0]
    assert plugged(embeddings.requires_grad_(), torch.zeros(4)).requires_grad


def test_a_failed_loss_leaves_a_fitted_model_as_it_was(rows):
    X, y = rows
    embedder = quick_linear(loss=losses.SupConLoss()).fit(X, y)
    Z = embedder.transform(X)
    with pytest.raises(ValueError, match=r"^`loss`, a Returns, must return one number"):
        embedder.set_params(loss=Returns(lambda z: z)).fit(X, y)
    assert np.array_equal(embedder.transform(X), Z)
