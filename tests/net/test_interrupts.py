"""Training that is interrupted or fails, and what a trained net keeps."""

import copy
import gc
import pickle
import signal
import weakref

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from skorch.callbacks import Callback, EarlyStopping
from skorch.exceptions import DeviceWarning
from torch import nn

from models import quick_classifier
from nets import (
    CPU,
    WIDTH,
    NaNAfter,
    X,
    Y,
    embeddings_of,
    make_embedder,
    make_net,
    make_run,
    same_state,
    state_of,
    train,
)
from siamese_sklearn import MLPTower
from siamese_sklearn._net import Rows, Watch, embed


class StopAt(Callback):
    """Stops in the given epoch, at the end of the given batch."""

    def __init__(self, epoch, batch):
        self.epoch = epoch
        self.batch = batch

    def on_batch_end(self, net, **kwargs):
        if (
            len(net.history) == self.epoch
            and len(net.history[-1]["batches"]) == self.batch
        ):
            raise KeyboardInterrupt


class CtrlC(StopAt):
    """Presses Ctrl-C there."""

    def on_batch_end(self, net, **kwargs):
        try:
            super().on_batch_end(net, **kwargs)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)


class TestCtrlC:
    @pytest.mark.parametrize("make", [make_embedder, quick_classifier])
    def test_is_raised_again_and_what_was_learned_is_kept(self, make):
        model = make(max_epochs=9, batch_size=16, callbacks=[CtrlC(3, 1)])
        with pytest.raises(KeyboardInterrupt) as caught:
            model.fit(X, Y)
        (note,) = caught.value.__notes__
        assert note.startswith("Training was interrupted after 2 epochs; the estimator")
        assert model.n_iter_ == len(model.history_) == 2
        assert "spread" in model.history_[-1]
        assert model.score(X, Y) > 0
        loaded = pickle.loads(pickle.dumps(model))
        assert np.array_equal(loaded.transform(X), model.transform(X))

    def test_in_partial_fit(self):
        embedder = make_embedder().fit(X, Y)
        before = embedder.transform(X)
        embedder.set_params(callbacks=[CtrlC(4, 2)])
        with pytest.raises(KeyboardInterrupt):
            embedder.partial_fit(X, Y)
        assert embedder.n_iter_ == 3
        assert not np.array_equal(embedder.transform(X), before)

    def test_ends_a_search(self):
        """No further candidate is trained, and the search has no result."""
        candidates = []

        class Press(Callback):
            def on_train_begin(self, net, **kwargs):
                candidates.append(net)

            def on_epoch_end(self, net, **kwargs):
                signal.raise_signal(signal.SIGINT)

        search = GridSearchCV(
            make_embedder(callbacks=[Press()]),
            {"margin": [0.1, 0.2]},
            cv=StratifiedKFold(2),
        )
        with pytest.raises(KeyboardInterrupt):
            search.fit(X, Y)
        assert len(candidates) == 1
        assert not hasattr(search, "cv_results_")

    def test_before_and_after_the_training_the_model_stays_as_it_was(self):
        embedder = make_embedder(warm_start=True).fit(X, Y)
        before = embedder.transform(X)
        for event in ("on_train_begin", "on_train_end"):

            class Press(Callback):
                pass

            def press(self, net, **kwargs):
                signal.raise_signal(signal.SIGINT)

            setattr(Press, event, press)
            embedder.set_params(callbacks=[Press()])
            with pytest.raises(KeyboardInterrupt):
                embedder.fit(X, Y)
            assert np.array_equal(embedder.transform(X), before)
            assert embedder.n_iter_ == 3

    def test_in_the_short_trainings_of_the_purpose(self):
        def press(batch):
            signal.raise_signal(signal.SIGINT)
            return batch

        x, y = np.tile(X, (2, 1)), np.arange(96) % 6
        embedder = make_embedder(purpose="new_classes", n_components=8, augment=press)
        with pytest.raises(KeyboardInterrupt):
            embedder.fit(x, y)
        assert not hasattr(embedder, "net_")


def stop():
    raise KeyboardInterrupt


class TestWhoStops:
    """Only a callback that raises KeyboardInterrupt itself asks for an end."""

    def fitted(self, on_epoch_end):
        kind = type("Own", (Callback,), {"on_epoch_end": on_epoch_end})
        return make_embedder(callbacks=[kind()])

    def test_a_callback_that_raises_it_itself_ends_training(self):
        def raises(self, net, **kwargs):
            raise KeyboardInterrupt

        assert self.fitted(raises).fit(X, Y).n_iter_ == 1

    def test_what_comes_out_of_other_functions_is_raised_again(self):
        model = self.fitted(lambda self, net, **kwargs: stop())
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y)
        assert model.n_iter_ == 1

    def test_a_handler_of_the_user_counts_as_ctrl_c(self):
        def handler(number, frame):
            raise KeyboardInterrupt

        model = self.fitted(
            lambda self, net, **kwargs: signal.raise_signal(signal.SIGINT)
        )
        before = signal.signal(signal.SIGINT, handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                model.fit(X, Y)
        finally:
            signal.signal(signal.SIGINT, before)
        assert model.n_iter_ == 1

    @pytest.mark.parametrize("error", [SystemExit, RuntimeError])
    def test_other_errors_leave_the_model_as_it_was(self, error):
        def raises(self, net, **kwargs):
            raise error

        model = self.fitted(raises)
        with pytest.raises(error):
            model.fit(X, Y)
        assert not hasattr(model, "net_")


class TestInterrupt:
    @pytest.mark.parametrize("batch", [1, 2, 3])
    def test_what_was_learned_is_kept(self, batch):
        after_epoch = []

        class Record(Callback):
            def on_epoch_end(self, net, **kwargs):
                after_epoch.append(state_of(net))

        embedder = make_embedder(
            max_epochs=9, callbacks=[Record(), StopAt(epoch=3, batch=batch)]
        )
        with pytest.warns(
            ConvergenceWarning, match="interrupted in epoch 3; the model keeps"
        ) as caught:
            embedder.fit(X, Y)
        assert caught[0].filename == __file__
        assert embedder.n_iter_ == len(embedder.history_) == len(after_epoch) == 2
        assert all("train_loss" in row and "spread" in row for row in embedder.history_)
        assert not same_state(state_of(embedder.net_), after_epoch[-1])
        assert np.isfinite(embedder.transform(X)).all()
        assert embedder.score(X, Y) > 0

    def test_in_the_first_epoch(self):
        embedder = make_embedder(callbacks=[StopAt(epoch=1, batch=1)])
        with pytest.warns(ConvergenceWarning, match="interrupted in epoch 1"):
            embedder.fit(X, Y)
        assert embedder.n_iter_ == 0
        loaded = pickle.loads(pickle.dumps(embedder))
        assert np.array_equal(loaded.transform(X), embedder.transform(X))

    def test_later_training_goes_on(self):
        embedder = make_embedder(callbacks=[StopAt(epoch=2, batch=1)], warm_start=True)
        with pytest.warns(ConvergenceWarning, match="interrupted in epoch 2"):
            embedder.fit(X, Y)
        dict(embedder.net_.callbacks_)["StopAt"].epoch = -1
        assert embedder.fit(X, Y).n_iter_ == 4

    def test_while_the_watched_measure_is_taken(self):
        def measure(net):
            if len(net.history) == 3:
                raise KeyboardInterrupt
            return len(net.history)

        net, run = make_net(), make_run(9, watch=Watch(measure, 5))
        train(net, run)
        assert isinstance(run.interrupt, KeyboardInterrupt)
        assert net.history[:, "valid_score"] == [1, 2]

    def test_early_stopping_of_skorch_is_no_interrupt(self):
        # It stops by the same exception, at the end of an epoch; the suite turns
        # warnings into errors.
        stop = EarlyStopping(
            monitor="train_loss", patience=2, threshold=1e9, threshold_mode="abs"
        )
        embedder = make_embedder(max_epochs=9, callbacks=[stop]).fit(X, Y)
        assert embedder.n_iter_ < 9
        assert "spread" in embedder.history_[-1]


class TestFailure:
    def fitted(self):
        """A model of two epochs, and the switch that makes its augmentation fail in a
        later call.
        """
        switch = {"fails_after": None}

        class Augment:
            def __call__(self, batch):
                if switch["fails_after"] is not None:
                    switch["fails_after"] -= 1
                    if switch["fails_after"] < 0:
                        raise RuntimeError("boom")
                return batch

            def __deepcopy__(self, memo):
                return self

        embedder = make_embedder(
            max_epochs=2,
            augment=Augment(),
            warm_start=True,
            early_stopping=True,
            verbose=1,
        )
        return embedder.fit(X, Y), switch

    @pytest.mark.parametrize("n_batches", [0, 1, 4])
    @pytest.mark.parametrize("method", ["fit", "partial_fit"])
    def test_fitted_model_stays_as_it_was(self, n_batches, method):
        if method == "partial_fit":
            n_batches = min(n_batches, 2)  # one epoch is three batches
        embedder, switch = self.fitted()
        moments = copy.deepcopy(embedder.net_.optimizer_.state_dict())
        before = state_of(embedder.net_), embedder.transform(X)
        switch["fails_after"] = n_batches
        with pytest.raises(RuntimeError, match="boom"):
            getattr(embedder, method)(X, Y)
        assert same_state(state_of(embedder.net_), before[0])
        assert np.array_equal(embedder.transform(X), before[1])
        torch.testing.assert_close(
            embedder.net_.optimizer_.state_dict(), moments, rtol=0, atol=0
        )
        assert embedder.n_iter_ == len(embedder.history_) == 2

    def test_next_call_is_that_of_a_model_that_never_failed(self):
        (failed, switch), (other, _) = self.fitted(), self.fitted()
        switch["fails_after"] = 4
        with pytest.raises(RuntimeError, match="boom"):
            failed.fit(X, Y)
        switch["fails_after"] = None
        assert np.array_equal(
            failed.fit(X, Y).transform(X), other.fit(X, Y).transform(X)
        )

    def test_nothing_of_the_failed_call_is_held(self):
        embedder, switch = self.fitted()
        switch["fails_after"] = 4
        with pytest.raises(RuntimeError, match="boom"):
            embedder.fit(X, Y)
        assert np.array_equal(
            embed(pickle.loads(pickle.dumps(embedder.net_)), Rows(X, device=CPU)),
            embeddings_of(embedder.net_),
        )

    def test_warning_as_error_counts_as_failure(self):
        # The suite turns warnings into errors.
        embedder = make_embedder(max_epochs=2, loss=NaNAfter(6), warm_start=True).fit(
            X, Y
        )
        before = embedder.transform(X)
        with pytest.raises(ConvergenceWarning, match="NaN"):
            embedder.fit(X, Y)
        assert np.array_equal(embedder.transform(X), before)
        assert embedder.n_iter_ == len(embedder.history_) == 2

    @pytest.mark.parametrize(
        ("augment", "came"),
        [
            (lambda batch: batch[:2], r"float32 of shape \(2, 4\)"),
            (lambda batch: batch.long(), "int64"),
            (lambda batch: batch.numpy(), "ndarray"),
            (lambda batch: None, "NoneType"),
        ],
    )
    def test_augment_that_returns_something_else(self, augment, came):
        with pytest.raises(
            ValueError,
            match=rf"`augment` must return a float tensor .*\(\d+, 4\); got .*{came}",
        ):
            make_embedder(augment=augment).fit(X, Y)

    def test_augment_in_double_precision_is_brought_back(self):
        outputs = [
            make_embedder(augment=f).fit(X, Y).transform(X)
            for f in (torch.Tensor.double, None)
        ]
        assert np.array_equal(*outputs)


class TestNothingIsHeld:
    @pytest.mark.parametrize(
        "early_stopping", [True, pytest.param(False, marks=pytest.mark.slow)]
    )
    def test_data_are_freed_after_fit(self, early_stopping):
        x = np.array(X)
        embedder = make_embedder(early_stopping=early_stopping).fit(x, Y)
        alive = weakref.ref(x)
        del x
        gc.collect()
        assert alive() is None
        assert embedder.transform(X).shape == (48, WIDTH)

    @pytest.mark.slow
    @pytest.mark.parametrize("early_stopping", [True, False])
    def test_pickle_has_the_size_of_the_model(self, early_stopping):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(5000, 50)).astype(np.float32), np.arange(5000) % 5
        embedder = make_embedder(
            tower=MLPTower((32,)),
            max_epochs=1,
            batch_size=1000,
            early_stopping=early_stopping,
        ).fit(x, y)
        n_weights = sum(p.numel() for p in embedder.net_.module_.parameters())
        n_bytes = 4 * n_weights * 3  # a weight and its two moments, once
        overhead = 20_000
        assert x.nbytes > 10 * (n_bytes + overhead)
        assert n_bytes < len(pickle.dumps(embedder)) < n_bytes + overhead


class TestPickle:
    def test_net_of_a_gpu_loads_without_one(self, monkeypatch):
        embedder = make_embedder().fit(X, Y)
        expected = embedder.transform(X)
        embedder.net_.device = "cuda"
        saved = pickle.dumps(embedder)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.warns(DeviceWarning, match="available"):
            loaded = pickle.loads(saved)
        assert loaded.net_.device == "cpu"
        assert np.array_equal(loaded.transform(X), expected)
        assert loaded.partial_fit(X, Y).n_iter_ == 4

    def test_no_tensor_is_tied_to_its_device(self):
        # skorch moves what is under this key to a device that exists; a tensor anywhere
        # else would not load.
        embedder = make_embedder(
            early_stopping=True, callbacks=[EarlyStopping(monitor="train_loss")]
        ).fit(X, Y)
        state = embedder.net_.__getstate__()
        moved = state.pop("__cuda_dependent_attributes__")
        assert b"_rebuild_tensor" in moved
        assert b"_rebuild_tensor" not in pickle.dumps(state)
        others = {
            name: value for name, value in vars(embedder).items() if name != "net_"
        }
        assert b"_rebuild_tensor" not in pickle.dumps(others)

    def test_loaded_net_goes_on_as_the_saved_one_would(self):
        saved = make_embedder(warm_start=True).fit(X, Y)
        loaded = pickle.loads(pickle.dumps(saved))
        assert loaded.net_.module is loaded.net_.module_
        assert loaded.net_.criterion is loaded.net_.criterion_
        assert np.array_equal(
            loaded.fit(X, Y).transform(X), saved.fit(X, Y).transform(X)
        )
        assert loaded.history_[:, "train_loss"] == saved.history_[:, "train_loss"]

    def test_modes_are_set_where_they_are_not_set_yet(self):
        modes = []

        class Mode(nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = nn.Linear(4, WIDTH)

            def forward(self, x):
                modes.append((len(x) > 8, self.training))
                return self.linear(x)

        net = make_net(tower=Mode())
        train(net, make_run(2))
        embeddings_of(net)
        train(net, make_run(1))
        # Batches of 16 in training mode; a look at 8 rows, and the embedding of all, in
        # evaluation mode.
        epoch = [(True, True)] * 3 + [(False, False)]
        assert [*epoch, *epoch, (True, False), *epoch] == modes
