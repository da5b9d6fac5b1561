"""What a call shares with its process: modes of torch, locks, threads, forks."""

import os
import signal
import sys
import threading

import numpy as np
import pytest
import threadpoolctl
import torch
from skorch.callbacks import Callback
from torch import nn

from models import quick_classifier
from nets import CPU, X, Y, make_embedder
from siamese_sklearn._net import _device, resolve_device, seeded, threads

MODELS = pytest.mark.parametrize(
    "make",
    [
        make_embedder,
        quick_classifier,
        lambda: make_embedder(loss="proxy_anchor"),
    ],
    ids=["embedder", "classifier", "proxies"],
)


def answers(model):
    """What a model gives after fit and partial_fit."""
    return model.fit(X, Y).partial_fit(X, Y).transform(X)


class TestModes:
    @MODELS
    @pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
    def test_training_in_inference_mode(self, make, mode):
        expected = answers(make())
        with mode():
            found = answers(make())
            assert torch.is_grad_enabled() is False
        assert np.array_equal(found, expected)

    @MODELS
    def test_default_device_of_the_caller(self, make):
        expected = answers(make())
        with torch.device("meta"):
            found = answers(make())
            assert torch.get_default_device().type == "meta"
        assert np.array_equal(found, expected)

    def test_numbered_cpu_is_the_cpu(self):
        assert resolve_device("cpu:0") == torch.device("cpu")
        model = make_embedder(device="cpu:0").fit(X, Y)
        assert model.net_.device == "cpu"


def refuse_float64(monkeypatch):
    """Make `Tensor.to` and `Tensor.double` fail as on a GPU of Apple, but for tensors
    that `Tensor.cpu` has brought to the host.
    """
    host = set()
    cpu, to = torch.Tensor.cpu, torch.Tensor.to

    def to_host(tensor, *args, **kwargs):
        result = cpu(tensor, *args, **kwargs).clone()
        host.add(result.data_ptr())
        return result

    def refusing(tensor, *args, **kwargs):
        wanted = [*args, *kwargs.values()]
        if torch.float64 in wanted and tensor.data_ptr() not in host:
            raise TypeError("the device has no float64")
        return to(tensor, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "cpu", to_host)
    monkeypatch.setattr(torch.Tensor, "to", refusing)
    monkeypatch.setattr(
        torch.Tensor, "double", lambda tensor: refusing(tensor, torch.float64)
    )


@pytest.mark.parametrize("early_stopping", [True, False])
def test_nothing_needs_float64_on_the_device(monkeypatch, early_stopping):
    refuse_float64(monkeypatch)
    with pytest.raises(TypeError, match="no float64"):
        torch.ones(2).double()
    make_embedder(early_stopping=early_stopping).fit(X, Y).transform(X)
    quick_classifier().fit(X, Y).predict(X)


def in_thread(work):
    """Start work in another thread, and return the thread."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


class Hold(Callback):
    """Stays in the training until it is let go."""

    def __init__(self, begun, go_on):
        self.begun, self.go_on = begun, go_on

    def on_batch_end(self, net, **kwargs):
        self.begun.set()
        assert self.go_on.wait(60)


class TestBesideAFit:
    def held(self, model, method="fit"):
        """Start a call in another thread, and wait until it trains."""
        begun, go_on = threading.Event(), threading.Event()
        model.set_params(callbacks=[Hold(begun, go_on)])
        thread = in_thread(lambda: getattr(model, method)(X, Y))
        assert begun.wait(60)
        return thread, go_on

    @pytest.mark.parametrize("n_threads", [None, 1])
    def test_prediction_of_another_model_does_not_wait(self, n_threads):
        other = quick_classifier(n_threads=n_threads).fit(X, Y)
        thread, go_on = self.held(make_embedder(n_threads=2))
        assert other.predict(X).shape == (48,)
        assert thread.is_alive()
        go_on.set()
        thread.join()

    @pytest.mark.parametrize("make", [make_embedder, quick_classifier])
    @pytest.mark.parametrize("method", ["fit", "partial_fit"])
    def test_the_model_answers_as_before_and_training_does_not_notice(
        self, make, method
    ):
        modes = []

        class Noise(nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = nn.Linear(4, 3)
                self.dropout = nn.Dropout(0.5)

            def forward(self, x):
                modes.append((len(x) == 16, self.training))
                return self.linear(self.dropout(x))

        model = make(tower=Noise(), n_components=3, batch_size=16).fit(X, Y)
        before = model.transform(X)
        alone = getattr(make(**model.get_params(deep=False)).fit(X, Y), method)(X, Y)
        modes.clear()
        thread, go_on = self.held(model, method)
        assert np.array_equal(model.transform(X), before)
        go_on.set()
        thread.join()
        assert np.array_equal(model.transform(X), alone.transform(X))
        assert all(training for is_batch, training in modes if is_batch)

    @pytest.mark.skipif(sys.platform == "win32", reason="forks")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_forked_process_can_fit(self):
        thread, go_on = self.held(make_embedder(n_threads=1))
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # ends a process that hangs
            try:
                with seeded(0, CPU), threads(1):
                    os._exit(7)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        go_on.set()
        thread.join()
        assert os.waitstatus_to_exitcode(status) == 7


class TestLateImports:
    NAME = "imported_late_by_torch"

    def test_are_made_where_ctrl_c_does_not_reach(self, tmp_path, monkeypatch):
        module = tmp_path / f"{self.NAME}.py"
        module.write_text("import threading\nthread = threading.current_thread()\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(_device, "_IMPORTED_LATE", self.NAME)
        try:
            make_embedder(max_epochs=1).fit(X, Y)
            assert sys.modules[self.NAME].thread is not threading.main_thread()
        finally:
            sys.modules.pop(self.NAME, None)

    def test_an_optimizer_imports_nothing_more_of_torch(self):
        """But for the profiler, which is tiny and has no parts."""
        _device.import_for_optimizers()
        before = set(sys.modules)
        torch.optim.AdamW([nn.Parameter(torch.ones(1))])
        assert len(set(sys.modules) - before) <= 1


class TestThreadCounts:
    def test_a_count_of_torch_does_not_undo_the_limit(self):
        """The first look at the count in a thread applies what the process has set."""
        seen = []

        def look():
            with threads(1):
                seen.append(torch.get_num_threads())
            seen.append(torch.get_num_threads())

        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            in_thread(look).join()
        finally:
            torch.set_num_threads(before)
        assert seen == [1, 2]

    def test_limits_of_two_threads_end_in_any_order(self):
        def counts():
            found = threadpoolctl.threadpool_info()
            return [(each["user_api"], each["num_threads"]) for each in found]

        before, inner = counts(), []
        entered, may_leave = threading.Event(), threading.Event()

        def second():
            with threads(1):
                inner.extend(count for api, count in counts() if api == "openmp")
                entered.set()
                assert may_leave.wait(60)

        with threads(2):
            thread = in_thread(second)
            assert entered.wait(60)
            assert {count for _, count in counts()} == {2}
        assert counts() == before
        may_leave.set()
        thread.join()
        assert set(inner) == {1}
        assert counts() == before
