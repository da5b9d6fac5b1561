"""SiameseEmbedder: what its parameters do, and that they stay as they are given."""

import copy
import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from models import quick
from siamese_sklearn import ContrastiveLoss, MLPTower, SiameseEmbedder, TripletLoss
from siamese_sklearn.distances import DISTANCES


class TestParameters:
    @pytest.mark.parametrize(
        ("given", "wanted"),
        [
            ({"margin": 0.7}, {"margin": 0.7}),
            (
                {"loss": "triplet", "margin": 0.3, "mining": "hard"},
                {"margin": 0.3, "mining": "hard"},
            ),
            (
                {"loss": "triplet", "margin": "soft"},
                {"margin": None, "distance": DISTANCES["euclidean"]},
            ),
            (
                {"distance": "cosine", "mining": "hard"},
                {"distance": DISTANCES["cosine"], "mining": "hard"},
            ),
            (
                {"loss": TripletLoss(margin=0.1)},
                {"margin": 0.1, "distance": DISTANCES["sqeuclidean"]},
            ),
            ({"loss": TripletLoss(margin=0.1), "margin": 0.4}, {"margin": 0.4}),
            (
                {"loss": "exponential", "margin": 0.4, "distance": "cosine"},
                {"bound": 2.0, "distance": DISTANCES["cosine"]},
            ),
        ],
    )
    def test_margin_distance_and_mining_reach_the_loss(self, wine, given, wanted):
        X_train, _, y_train, _ = wine
        loss = quick(max_epochs=1, **given).fit(X_train, y_train).net_.criterion_
        assert {name: getattr(loss, name) for name in wanted} == wanted

    def test_overrides_leave_the_spec_alone(self, wine):
        X_train, _, y_train, _ = wine
        spec = TripletLoss(margin=0.1)
        quick(loss=spec, margin=0.4, max_epochs=1).fit(X_train, y_train)
        assert spec.margin == 0.1

    def test_what_a_loss_does_not_have_is_left_unused(self, wine):
        X_train, _, y_train, _ = wine
        np.testing.assert_array_equal(
            quick(loss="exponential").fit_transform(X_train, y_train),
            quick(loss="exponential", margin=0.9).fit_transform(X_train, y_train),
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("optimizer", ["adam", "sgd", torch.optim.RMSprop])
    def test_optimizers(self, wine, optimizer):
        X_train, X_test, y_train, y_test = wine
        embedder = quick(optimizer=optimizer, lr=0.01, max_epochs=20).fit(
            X_train, y_train
        )
        assert embedder.score(X_test, y_test) > 0.8

    def test_net_params_reach_skorch(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick(optimizer="sgd", net_params={"optimizer__momentum": 0.5}).fit(
            X_train, y_train
        )
        assert embedder.net_.optimizer_.param_groups[0]["momentum"] == 0.5

    def test_n_threads_holds_during_the_call_only(self, wine):
        X_train, _, y_train, _ = wine
        before = torch.get_num_threads()
        embedder = quick(n_threads=1, callbacks=[("threads", ThreadsSeen())]).fit(
            X_train, y_train
        )
        embedder.transform(X_train)
        assert dict(embedder.net_.callbacks_)["threads"].seen == {1}
        assert torch.get_num_threads() == before

    def test_callbacks_are_copied(self, wine):
        X_train, _, y_train, _ = wine
        counter = EpochCounter()
        embedder = quick(callbacks=[("counter", counter)]).fit(X_train, y_train)
        assert counter.n_epochs == 0
        assert dict(embedder.net_.callbacks_)["counter"].n_epochs == 3

    def test_tower_spec_module_and_callable_are_one(self, wine):
        """The same weights by three ways: a linear spec, the module that it builds, and
        a function.
        """
        X_train, X_test, y_train, _ = wine
        embedders = [
            quick(n_components=4, tower=tower, max_epochs=2)
            for tower in (MLPTower(hidden_layer_sizes=(16,)), small_tower)
        ]
        first, second = (e.fit(X_train, y_train).transform(X_test) for e in embedders)
        np.testing.assert_array_equal(first, second)

    def test_module_given_as_tower_is_never_trained(self, wine):
        X_train, X_test, y_train, _ = wine
        tower = nn.Linear(13, 4)
        before = copy.deepcopy(tower.state_dict())
        embedder = quick(tower=tower, n_components=4, lr=0.1)
        once = embedder.fit(X_train, y_train).transform(X_test)
        assert all(
            torch.equal(tower.state_dict()[name], before[name]) for name in before
        )
        assert not torch.equal(embedder.net_.module_.tower.weight, tower.weight)
        np.testing.assert_array_equal(
            embedder.fit(X_train, y_train).transform(X_test), once
        )

    @pytest.mark.slow
    def test_loss_module_with_weights_of_its_own(self, wine):
        """As many a loss of pytorch-metric-learning: its weights are trained, in a
        copy.
        """
        X_train, X_test, y_train, y_test = wine
        loss = ProxyLoss(n_classes=3, n_components=4)
        before = loss.proxies.detach().clone()
        embedder = quick(
            loss=loss, n_components=4, max_epochs=30, lr=0.01, margin=0.3
        ).fit(X_train, y_train)
        assert torch.equal(loss.proxies, before)
        assert not torch.equal(embedder.net_.criterion_.loss.proxies, before)
        assert "n_active" not in embedder.history_[-1]
        assert embedder.score(X_test, y_test) > 0.8

    def test_parameters_are_left_as_they_were(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick(
            tower=MLPTower(), loss=TripletLoss(), net_params={}, callbacks=[]
        )
        before = {
            name: copy.deepcopy(value)
            for name, value in embedder.get_params(deep=False).items()
        }
        embedder.fit(X_train, y_train)
        after = embedder.get_params(deep=False)
        assert {name: repr(value) for name, value in after.items()} == {
            n: repr(v) for n, v in before.items()
        }

    def test_repr(self):
        embedder = SiameseEmbedder(8, loss=TripletLoss(margin=0.3))
        assert (
            repr(embedder)
            == "SiameseEmbedder(loss=TripletLoss(margin=0.3), n_components=8)"
        )
        assert "TripletLoss" in embedder._repr_html_()

    def test_nested_parameters_are_set(self):
        embedder = SiameseEmbedder(tower=MLPTower(), loss=ContrastiveLoss())
        embedder.set_params(tower__hidden_layer_sizes=(7,), loss__margin=0.9)
        assert (embedder.tower.hidden_layer_sizes, embedder.loss.margin) == ((7,), 0.9)


class TestCopies:
    def test_pickle_joblib_and_deepcopy(self, tmp_path, wine):
        X_train, X_test, y_train, y_test = wine
        embedder = quick(
            loss=TripletLoss(), callbacks=[("counter", EpochCounter())]
        ).fit(X_train, y_train)
        joblib.dump(embedder, tmp_path / "embedder.joblib")
        copies = [
            pickle.loads(pickle.dumps(embedder)),
            joblib.load(tmp_path / "embedder.joblib"),
            copy.deepcopy(embedder),
        ]
        for copied in copies:
            np.testing.assert_array_equal(
                copied.transform(X_test), embedder.transform(X_test)
            )
            assert copied.score(X_test, y_test) == embedder.score(X_test, y_test)
            assert copied.history_ == embedder.history_

    @pytest.mark.slow
    def test_pickle_holds_no_data(self, counts):
        X, y = (np.repeat(part, 20, axis=0) for part in counts)
        embedder = quick(
            max_epochs=1, tower=MLPTower(hidden_layer_sizes=(8,)), early_stopping=True
        )
        assert len(pickle.dumps(embedder.fit(X, y))) < 0.1 * X.nbytes

    def test_clone_is_unfitted_and_fits_the_same(self, wine):
        X_train, X_test, y_train, _ = wine
        embedder = quick(tower=MLPTower(hidden_layer_sizes=(8,)), loss="triplet").fit(
            X_train, y_train
        )
        copied = clone(embedder)
        assert not hasattr(copied, "net_")
        np.testing.assert_array_equal(
            copied.fit(X_train, y_train).transform(X_test), embedder.transform(X_test)
        )

    def test_deep_copy_is_trained_on_its_own(self, wine):
        X_train, X_test, y_train, _ = wine
        embedder = quick().fit(X_train, y_train)
        before = embedder.transform(X_test)
        copy.deepcopy(embedder).partial_fit(X_train, y_train)
        np.testing.assert_array_equal(embedder.transform(X_test), before)
        assert embedder.n_iter_ == 3


def small_tower(input_shape, n_components):
    return MLPTower(hidden_layer_sizes=(16,)).build(input_shape, n_components)


class ProxyLoss(nn.Module):
    """Cross-entropy of the similarity to one learned vector per class."""

    def __init__(self, n_classes, n_components):
        super().__init__()
        self.proxies = nn.Parameter(torch.eye(n_classes, n_components))

    def forward(self, embeddings, labels):
        return nn.functional.cross_entropy(4 * embeddings @ self.proxies.T, labels)


class EpochCounter(Callback):
    n_epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1


class ThreadsSeen(Callback):
    def initialize(self):
        self.seen = set()
        return self

    def on_batch_end(self, net, **kwargs):
        self.seen.add(torch.get_num_threads())
