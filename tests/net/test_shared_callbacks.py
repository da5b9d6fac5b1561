"""Callbacks of skorch work as skorch documents, or are refused."""

import pickle
import threading

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    PassthroughScoring,
    PrintLog,
    TensorBoard,
    WandbLogger,
)
from torch import nn

from models import RowsSeen, quick_classifier
from nets import WIDTH, X, Y, make_embedder, state_of


class Run:
    """A run of a tracker: it counts, and it cannot be copied."""

    def __init__(self):
        self.lock = threading.Lock()
        self.rows = []

    def log(self, row):
        self.rows.append(row)

    def watch(self, module):
        self.module = module

    def add_scalar(self, tag, scalar_value, global_step):
        self.rows.append((global_step, tag))

    def close(self):
        self.rows.append("closed")


class Held(Callback):
    """A callback of the user, with a state of its own."""

    def __init__(self, run):
        self.run = run
        self.n_epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1
        self.run.log(self.n_epochs)


def callback_of(model, name):
    return dict(model.net_.callbacks_)[name]


class TestHandles:
    def test_what_is_logged_reaches_the_run_that_was_given(self):
        run, other = Run(), Run()
        callbacks = [
            WandbLogger(run, save_model=False),
            ("board", TensorBoard(other)),
        ]
        model = make_embedder(callbacks=callbacks).fit(X, Y)
        assert [len(row) > 1 for row in run.rows] == [True] * 3
        assert run.module is model.net_.module_
        assert other.rows[-1] == "closed"
        assert {row[0] for row in other.rows[:-1]} == {1, 2, 3}

    @pytest.mark.parametrize("make", [make_embedder, quick_classifier])
    def test_state_of_its_own_is_not_shared(self, make):
        run = Run()
        given = Held(run)
        models = [make(callbacks=[given]).fit(X, Y) for _ in range(2)]
        assert run.rows == [1, 2, 3, 1, 2, 3]
        assert given.n_epochs == 0
        assert [callback_of(model, "Held").n_epochs for model in models] == [3, 3]
        before = callback_of(models[0], "Held")
        models[0].partial_fit(X, Y)
        assert run.rows[-1] == 4
        assert before.n_epochs == 3

    def test_one_that_holds_another_of_the_list_holds_its_copy(self, tmp_path):
        saving = Checkpoint(monitor=None, dirname=str(tmp_path))
        model = make_embedder(callbacks=[saving, LoadInitState(saving)]).fit(X, Y)
        held = callback_of(model, "LoadInitState").checkpoint
        assert held is callback_of(model, "Checkpoint")
        assert held is not saving


class TestRefused:
    @pytest.mark.parametrize(
        "callback",
        [
            EpochScoring(lambda net, X, y=None: 1.0, name="mine"),
            BatchScoring(lambda net, X, y=None: 1.0, name="mine"),
            PassthroughScoring("mine"),
            type("Own", (EpochScoring,), {})(lambda net, X, y=None: 1.0, name="mine"),
        ],
        ids=lambda callback: type(callback).__name__,
    )
    @pytest.mark.parametrize("early_stopping", [True, False])
    def test_scores_of_validation_data(self, callback, early_stopping):
        embedder = make_embedder(
            callbacks=[("mine", callback)], early_stopping=early_stopping
        )
        name = type(callback).__name__
        with pytest.raises(ValueError, match=rf"`callbacks` contains {name}.*on_train"):
            embedder.fit(X, Y)
        assert not hasattr(embedder, "net_")

    @pytest.mark.parametrize(
        ("callback", "named"),
        [
            (Checkpoint(), '"train_loss_best", or "valid_score_best" in `fit`'),
            (Checkpoint, '"train_loss_best", or "valid_score_best" in `fit`'),
            (EarlyStopping(), '"train_loss", or "valid_score" in `fit`'),
            (LRScheduler("ReduceLROnPlateau", monitor="valid_loss"), '"train_loss"'),
        ],
        ids=["Checkpoint", "class", "EarlyStopping", "LRScheduler"],
    )
    def test_what_is_not_recorded(self, callback, named):
        with pytest.raises(ValueError, match=rf"monitors 'valid_loss.*{named}"):
            make_embedder(callbacks=[callback]).fit(X, Y)

    def test_score_that_partial_fit_does_not_record(self):
        stopping = EarlyStopping(monitor="valid_score", lower_is_better=False)
        embedder = make_embedder(early_stopping=True, callbacks=[stopping]).fit(X, Y)
        with pytest.raises(ValueError, match="monitors 'valid_score'"):
            embedder.partial_fit(X, Y)

    def test_before_the_short_trainings_of_the_purpose(self):
        seen = RowsSeen()
        model = make_embedder(
            purpose="new_classes", n_components=8, augment=seen, callbacks=[Checkpoint]
        )
        with pytest.raises(ValueError, match="monitors 'valid_loss_best'"):
            model.fit(X, np.arange(48) % 6)
        assert seen.n_calls == 0

    def test_shape_of_the_input(self):
        with pytest.raises(ValueError, match=r"InputShapeSetter: .*`tower`"):
            make_embedder(callbacks=[InputShapeSetter()]).fit(X, Y)

    def test_pattern_that_matches_nothing(self):
        groups = [("tower.*.bias", {"lr": 0.5}), ("encoder.*", {"lr": 0.1})]
        with pytest.raises(
            ValueError, match=r"'encoder\.\*'.*matches no parameter.*tower\.1\.weight"
        ):
            make_embedder(net_params={"optimizer__param_groups": groups}).fit(X, Y)


class TestHeard:
    def test_scores_of_the_training(self):
        def largest(net, dataset, y):
            return float(np.max(y))

        scoring = EpochScoring(largest, on_train=True, name="largest")
        model = make_embedder(callbacks=[scoring]).fit(X, Y)
        assert model.history_[:, "largest"] == [2.0] * 3

    @pytest.mark.parametrize(
        ("callback", "settings"),
        [
            (Checkpoint(monitor="train_loss_best"), {}),
            (Checkpoint(monitor="valid_score_best"), {"early_stopping": True}),
        ],
        ids=["loss", "score"],
    )
    def test_checkpoint_of_the_best_epoch(self, tmp_path, callback, settings):
        callback.dirname = str(tmp_path)
        make_embedder(callbacks=[callback], **settings).fit(X, Y)
        assert (tmp_path / "params.pt").exists()

    def test_monitor_that_another_callback_may_record(self):
        class Record(Callback):
            def on_epoch_end(self, net, **kwargs):
                net.history.record("mine", len(net.history))

        stopping = EarlyStopping(monitor="mine", patience=2)
        model = make_embedder(callbacks=[Record(), stopping], max_epochs=9).fit(X, Y)
        assert model.n_iter_ == 3

    @pytest.mark.parametrize("verbose", [0, 1])
    def test_log_is_printed_if_verbose(self, verbose, capsys):
        make_embedder(callbacks=[PrintLog()], verbose=verbose, early_stopping=True).fit(
            X, Y
        )
        printed = capsys.readouterr().out
        assert printed.count("\n") == verbose * 5
        assert ("valid_score" in printed) == bool(verbose)

    def test_settings_of_the_call_can_be_read(self):
        seen = []

        class Record(Callback):
            def on_train_begin(self, net, **kwargs):
                seen.append((net.batch_size, net.max_epochs, net.verbose))

        model = make_embedder(callbacks=[Record()], batch_size=16, warm_start=True)
        model.fit(X, Y).set_params(batch_size=24, max_epochs=2).fit(X, Y)
        assert seen == [(16, 3, 0), (24, 2, 0)]

    def test_a_scheduler_adds_nothing_to_the_pickle(self):
        policy = LRScheduler("StepLR", step_size=1)
        sizes = [
            len(pickle.dumps(make_embedder(callbacks=callbacks).fit(X, Y)))
            for callbacks in ([], [policy])
        ]
        assert sizes[1] < sizes[0] + 1500  # two values for each weight are 20 kB

    def test_a_scheduler_goes_on_after_loading_and_in_partial_fit(self):
        policy = LRScheduler("StepLR", step_size=2, gamma=0.1)
        model = make_embedder(lr=0.01, callbacks=[policy]).fit(X, Y)
        twin = pickle.loads(pickle.dumps(model))
        for each in (model, twin):
            each.partial_fit(X, Y)
            rates = each.history_[:, "event_lr"]
            np.testing.assert_allclose(rates, [0.01, 0.01, 0.001, 0.001])
        assert all(
            torch.equal(value, state_of(twin.net_)[name])
            for name, value in state_of(model.net_).items()
        )


class TestChanges:
    def test_other_callbacks_are_taken(self):
        run, other = Run(), Run()
        model = make_embedder(callbacks=[Held(run)]).fit(X, Y)
        model.set_params(callbacks=[("new", Held(other))]).partial_fit(X, Y)
        model.partial_fit(X, Y)
        assert (run.rows, other.rows) == ([1, 2, 3], [1, 2])
        model.set_params(callbacks=None).partial_fit(X, Y)
        assert other.rows == [1, 2]
        assert model.history_[:, "train_loss_best"]

    def test_the_same_ones_keep_their_state_also_after_loading(self):
        model = make_embedder(callbacks=[Count()]).fit(X, Y)
        loaded = pickle.loads(pickle.dumps(model)).partial_fit(X, Y)
        assert callback_of(loaded, "Count").n_epochs == 4

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (None, {"optimizer__amsgrad": True}),
            ({"optimizer__amsgrad": True}, None),
            ({"optimizer__betas": (0.9, 0.9)}, {"optimizer__betas": (0.9, 0.99)}),
        ],
    )
    def test_other_net_params_are_refused(self, before, after):
        model = make_embedder(net_params=before, warm_start=True).fit(X, Y)
        model.set_params(net_params=after)
        for method in (model.fit, model.partial_fit):
            with pytest.raises(ValueError, match=r"'optimizer__.*was built with"):
                method(X, Y)
        equal = None if before is None else dict(before)
        assert model.set_params(net_params=equal).partial_fit(X, Y).n_iter_ == 4


class Count(Callback):
    n_epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1


class TestOptimizer:
    def test_attributes_of_its_own_go_on(self):
        class Counting(torch.optim.SGD):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.n_steps = 0

            def step(self, closure=None):
                self.n_steps += 1
                return super().step(closure)

        model = make_embedder(optimizer=Counting).fit(X, Y)
        first = model.net_.optimizer_
        assert model.partial_fit(X, Y).net_.optimizer_.n_steps == 12
        assert first.n_steps == 9


class Keeping(nn.Module):
    """Keeps its last embeddings, with their gradients."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, WIDTH)

    def forward(self, x):
        self.last = self.linear(x)
        return self.last


def test_a_tower_that_keeps_what_it_computed_can_go_on():
    model = make_embedder(tower=Keeping()).fit(X, Y)
    assert model.partial_fit(X, Y).n_iter_ == 4
