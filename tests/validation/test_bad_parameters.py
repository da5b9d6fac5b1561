"""Bad parameters and training that breaks: what the error says, what outlives it."""

import numpy as np
import pytest
import torch
from torch import nn

from refusals import PAIRS, SAME, X, Y, check_refused
from siamese_sklearn import (
    CNNTower,
    ContrastiveLoss,
    MLPTower,
    SiameseEmbedder,
    TripletLoss,
    Triplets,
)


class LabelLoss(nn.Module):
    def forward(self, embeddings, labels):
        return embeddings.square().mean()


def no_module(input_shape, n_components):
    return input_shape


def narrow(input_shape, n_components):
    return nn.Linear(*input_shape, n_components - 1)


BAD_PARAMETERS = [
    # parameters, error, message
    (
        {"n_components": 0},
        ValueError,
        r"`n_components` must be an integer of at least 1 or None; got 0",
    ),
    (
        {"n_components": 2.5},
        TypeError,
        r"`n_components` must be an integer .* got 2.5 of type float",
    ),
    ({"n_components": True}, TypeError, r"`n_components` must be an integer"),
    (
        {"tower": "mpl"},
        ValueError,
        r"`tower` must be one of 'auto', 'mlp', 'cnn'; got 'mpl'. Did you mean 'mlp'\?",
    ),
    ({"tower": 3}, TypeError, r"`tower` must be .* got 3"),
    (
        {"tower": MLPTower},
        TypeError,
        r"`tower` is the class MLPTower; pass an instance, MLPTower\(\)",
    ),
    (
        {"tower": no_module},
        TypeError,
        r"`tower`, if it is a callable, must return a torch.nn.Module; got tuple",
    ),
    (
        {"tower": narrow},
        ValueError,
        r"`tower` must map .* to embeddings of shape \(2, 32\); got \(2, 31\)",
    ),
    (
        {"tower": nn.Linear(13, 5)},
        ValueError,
        r"`tower` must map .* got \(2, 5\). Set `n_components`",
    ),
    (
        {"tower": nn.Linear(12, 32)},
        ValueError,
        r"`tower` failed on rows of shape \(13,\)",
    ),
    ({"tower": "cnn"}, ValueError, r"`tower` is a CNN, which takes images"),
    ({"tower": CNNTower()}, ValueError, r"`tower` is a CNN, which takes images"),
    ({"tower": MLPTower(dropout=1.5)}, ValueError, r"`MLPTower.dropout` must be"),
    (
        {"tower": MLPTower(hidden_layer_sizes=(0,))},
        ValueError,
        r"`MLPTower.hidden_layer_sizes` must be",
    ),
    (
        {"tower": MLPTower(activation="rellu")},
        ValueError,
        r"`MLPTower.activation` .* Did you mean 'relu'",
    ),
    (
        {"loss": "triplets"},
        ValueError,
        r"`loss` must be one of .*; got 'triplets'. Did you mean 'triplet'\?",
    ),
    (
        {"loss": TripletLoss},
        TypeError,
        r"`loss` is the class TripletLoss; pass an instance",
    ),
    ({"loss": None}, TypeError, r"`loss` must be .* got None"),
    (
        {"mining": "semihrad", "loss": "triplet"},
        ValueError,
        r"`mining` must be one of 'all', 'semihard', .* Did you mean 'semihard'",
    ),
    (
        {"mining": "semihard", "loss": "contrastive"},
        ValueError,
        r"`mining` must be .* for loss 'contrastive'; got 'semihard'\..*: .*'triplet'",
    ),
    (
        {"distance": "euclidian"},
        ValueError,
        r"`distance` must be .* Did you mean 'euclidean'",
    ),
    (
        {"margin": -0.5, "loss": "contrastive"},
        ValueError,
        r"`ContrastiveLoss.margin` must be a finite number above 0; got -0.5",
    ),
    (
        {"margin": -0.5, "loss": "triplet"},
        ValueError,
        r"`TripletLoss.margin` must be .* of at least 0",
    ),
    (
        {"margin": np.nan},
        ValueError,
        r"`TripletLoss.margin` must be a finite number .* got nan",
    ),
    (
        {"margin": "Soft", "loss": "triplet"},
        TypeError,
        r"`TripletLoss.margin` must be .*\"soft\"; got 'Soft'",
    ),
    (
        {"loss": ContrastiveLoss(margin=-1)},
        ValueError,
        r"`ContrastiveLoss.margin` must be",
    ),
    ({"normalize": "yes"}, TypeError, r"`normalize` must be True or False; got 'yes'"),
    (
        {"max_epochs": 0},
        ValueError,
        r"`max_epochs` must be an integer of at least 1 or None; got 0",
    ),
    (
        {"max_epochs": -3},
        ValueError,
        r"`max_epochs` must be an integer of at least 1 or None; got -3",
    ),
    ({"max_epochs": 2.0}, TypeError, r"`max_epochs` must be an integer"),
    (
        {"batch_size": 0},
        ValueError,
        r"`batch_size` must be an integer of at least 1; got 0",
    ),
    (
        {"batch_size": 3},
        ValueError,
        r"`batch_size` must be at least 4, .* a positive and a negative pair; got 3",
    ),
    ({"batch_size": 16.0}, TypeError, r"`batch_size` must be an integer"),
    ({"lr": 0}, ValueError, r"`lr` must be a finite number above 0; got 0"),
    ({"lr": -0.1}, ValueError, r"`lr` must be a finite number above 0; got -0.1"),
    ({"lr": np.nan}, ValueError, r"`lr` must be a finite number above 0; got nan"),
    ({"lr": np.inf}, ValueError, r"`lr` must be a finite number above 0; got inf"),
    ({"lr": "fast"}, TypeError, r"`lr` must be a finite number above 0; got 'fast'"),
    (
        {"optimizer": "adamm"},
        ValueError,
        r"`optimizer` must be one of .* Did you mean 'adam'",
    ),
    ({"optimizer": 3}, TypeError, r"`optimizer` must be .* got 3"),
    (
        {"optimizer": torch.nn.Linear},
        TypeError,
        r"`optimizer` must be .* a subclass of torch.optim.Optimizer",
    ),
    (
        {"weight_decay": -1},
        ValueError,
        r"`weight_decay` must be a finite number of at least 0; got -1",
    ),
    (
        {"augment": 3},
        TypeError,
        r'`augment` must be "auto", None or a callable that takes a batch tensor; got '
        r"int\.",
    ),
    ({"augment": "flip"}, TypeError, r"`augment` must be .*; got 'flip'"),
    ({"weight_averaging": 1.0}, ValueError, r"`weight_averaging` must be .* got 1.0"),
    ({"early_stopping": "yes"}, TypeError, r"`early_stopping` must be True or False"),
    (
        {"validation_fraction": 0.0},
        ValueError,
        r"`validation_fraction` must be .* above 0 and below 1; got 0",
    ),
    (
        {"validation_fraction": 1},
        ValueError,
        r"`validation_fraction` must be .* above 0 and below 1; got 1",
    ),
    (
        {"validation_split": "class"},
        ValueError,
        r"`validation_split` .* Did you mean 'classes'",
    ),
    (
        {"validation_split": "classes", "early_stopping": True},
        ValueError,
        r'validation_split="classes" holds out 2',
    ),
    (
        {"n_iter_no_change": 0},
        ValueError,
        r"`n_iter_no_change` must be an integer of at least 1; got 0",
    ),
    (
        {"callbacks": 3},
        TypeError,
        r"`callbacks` must be None or a list of skorch callbacks; got int",
    ),
    (
        {"callbacks": [3]},
        TypeError,
        r"check `net_params`, `callbacks` and `optimizer`",
    ),
    (
        {"net_params": [1]},
        TypeError,
        r"`net_params` must be a dict of skorch.NeuralNet parameters; got list",
    ),
    (
        {"net_params": {"iterator_trian": 3}},
        ValueError,
        r"`net_params`.* unexpected argument.* iterator_trian",
    ),
    (
        {"net_params": {"optimizer__momentum": 0.9}},
        TypeError,
        r"`net_params`.*momentum",
    ),
    (
        {"net_params": {"lr": 0.1}},
        ValueError,
        r"`net_params` must not set 'lr'; set `lr` of the estimator",
    ),
    (
        {"net_params": {"module": nn.Linear}},
        ValueError,
        r"`net_params` must not set 'module'; set `tower`",
    ),
    ({"warm_start": 2}, TypeError, r"`warm_start` must be True or False; got 2"),
    (
        {"device": "gpu"},
        ValueError,
        r"`device` must be \"auto\", \"cpu\", .*; got 'gpu'",
    ),
    (
        {"device": "cuda:99"},
        ValueError,
        r"`device` is 'cuda:99', but PyTorch sees \d+ such device.* device=\"auto\"",
    ),
    ({"device": None}, ValueError, r"`device` must be .* got None"),
    (
        {"n_threads": 0},
        ValueError,
        r"`n_threads` must be an integer of at least 1 or None; got 0",
    ),
    (
        {"random_state": "a"},
        ValueError,
        r"`random_state` must be an integer .* got 'a'",
    ),
    ({"random_state": -1}, ValueError, r"`random_state` must be an integer .* got -1"),
    (
        {"verbose": -1},
        ValueError,
        r"`verbose` must be an integer of at least 0.* got -1",
    ),
    (
        {"verbose": "loud"},
        TypeError,
        r"`verbose` must be an integer of at least 0.* got 'loud'",
    ),
    (
        {"verbose": None},
        TypeError,
        r"`verbose` must be an integer of at least 0.* got None",
    ),
]


@pytest.mark.parametrize(("parameters", "error", "message"), BAD_PARAMETERS)
def test_bad_parameters(parameters, error, message):
    check_refused(parameters, (X, Y), error, message)


@pytest.mark.parametrize(
    "data", [(PAIRS, SAME), (Triplets(X[:20], X[:20], X[50:70]), None)]
)
def test_loss_module_on_pairs_and_triplets(data):
    check_refused(
        {"loss": LabelLoss()},
        data,
        TypeError,
        r"`loss` is a LabelLoss, .* 'contrastive'",
    )


def test_early_stopping_on_classes_too_small():
    message = r"`early_stopping=True` holds out rows, but no class has 3"
    check_refused(
        {"early_stopping": True}, (X[[0, 1, 60, 61]], [0, 0, 1, 1]), ValueError, message
    )


@pytest.fixture(scope="module")
def embedder():
    return SiameseEmbedder(device="cpu", max_epochs=1, random_state=0).fit(X, Y)


class TestBrokenTraining:
    """Errors that only training can bring leave a fitted model as it was, too."""

    def test_augment_of_another_shape(self):
        embedder = SiameseEmbedder(
            device="cpu", max_epochs=2, random_state=0, warm_start=True
        ).fit(X, Y)
        before = embedder.transform(X)
        embedder.set_params(augment=lambda batch: batch[:, :5])
        with pytest.raises(
            ValueError,
            match="`augment` must return a float tensor with the same shape as the",
        ):
            embedder.fit(X, Y)
        np.testing.assert_array_equal(embedder.transform(X), before)
        assert embedder.n_iter_ == len(embedder.history_) == 2

    def test_augment_that_breaks_late(self):
        embedder = SiameseEmbedder(
            device="cpu", max_epochs=2, random_state=0, warm_start=True
        ).fit(X, Y)
        going_on = SiameseEmbedder(
            device="cpu", max_epochs=2, random_state=0, warm_start=True
        ).fit(X, Y)
        embedder.set_params(augment=BreaksAfter(5))
        with pytest.raises(RuntimeError, match="out of ideas"):
            embedder.fit(X, Y)
        embedder.set_params(augment=None)
        np.testing.assert_array_equal(
            embedder.fit(X, Y).transform(X), going_on.fit(X, Y).transform(X)
        )


class BreaksAfter:
    def __init__(self, n_calls):
        self.n_left = n_calls

    def __call__(self, batch):
        self.n_left -= 1
        if self.n_left < 0:
            raise RuntimeError("out of ideas")
        return batch
