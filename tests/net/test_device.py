"""Devices, seeds and threads: set for one call, then back as they were."""

import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from nets import CPU, WIDTH, X, Y, make_embedder
from siamese_sklearn._net import resolve_device, seeded, threads


class TestDevice:
    @pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
    def test_cpu(self, device):
        assert resolve_device(device) == CPU

    @pytest.mark.parametrize(
        "device",
        ["gpu", "", "cuda:x", "cuda:-1", "cpu cuda", None, 1.5, ["cpu"], "meta", "xpu"],
    )
    def test_unknown(self, device):
        with pytest.raises(
            ValueError, match=r'`device` must be "auto", "cpu", "cuda", .*; got '
        ):
            resolve_device(device)

    @pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps"])
    def test_not_there(self, device, monkeypatch):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        text = (
            rf"`device` is '{device}', but PyTorch sees 0 such device\(s\)\. Use "
            r'device="auto", .*, or device="cpu"\.'
        )
        with pytest.raises(ValueError, match=text):
            resolve_device(device)

    def test_number_too_high(self):
        with pytest.raises(
            ValueError, match=r"`device` is 'cuda:99', but PyTorch sees \d+ such device"
        ):
            resolve_device("cuda:99")

    @pytest.mark.parametrize(
        ("cuda", "mps", "expected"),
        [
            (True, True, "cuda:1"),
            (True, False, "cuda:1"),
            (False, True, "mps"),
            (False, False, "cpu"),
        ],
    )
    def test_auto(self, cuda, mps, expected, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        assert resolve_device("auto") == torch.device(expected)

    def test_error_reaches_the_user(self):
        with pytest.raises(ValueError, match="`device` must be"):
            make_embedder(device="gpu").fit(X, Y)


class TestSeeds:
    def test_inside_and_outside(self):
        before = torch.get_rng_state()
        with seeded(3, CPU):
            drawn = torch.rand(5)
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(
            drawn, torch.rand(5, generator=torch.Generator().manual_seed(3))
        )

    def test_outside_after_an_error(self):
        before = torch.get_rng_state()

        def fail():
            with seeded(3, CPU):
                torch.rand(5)
                raise RuntimeError("inside")

        with pytest.raises(RuntimeError, match="inside"):
            fail()
        assert torch.equal(torch.get_rng_state(), before)

    def test_generators_of_other_devices_are_left_alone(self, monkeypatch):
        def fail(seed):
            raise AssertionError("a generator of another device was seeded")

        monkeypatch.setattr(torch.cuda, "manual_seed_all", fail)
        monkeypatch.setattr(torch.mps, "manual_seed", fail)
        with seeded(3, CPU):
            assert torch.initial_seed() == 3

    @pytest.mark.parametrize("fails", [True, False])
    def test_mps(self, fails, monkeypatch):
        generator = torch.Generator().manual_seed(7)
        monkeypatch.setattr(torch.mps, "manual_seed", generator.manual_seed)
        monkeypatch.setattr(torch.mps, "get_rng_state", generator.get_state)
        monkeypatch.setattr(torch.mps, "set_rng_state", generator.set_state)
        before = generator.get_state()

        def work():
            with seeded(3, torch.device("mps")):
                assert generator.initial_seed() == 3
                torch.rand(5, generator=generator)
                if fails:
                    raise RuntimeError("inside")

        with pytest.raises(RuntimeError, match="inside") if fails else nullcontext():
            work()
        assert torch.equal(generator.get_state(), before)

    @pytest.mark.parametrize("random_state", [0, None, np.random.RandomState(0)])
    def test_fit_leaves_the_global_generators_alone(self, random_state):
        kind, keys, *position = np.random.get_state()  # noqa: NPY002
        before = torch.get_rng_state()
        embedder = make_embedder(random_state=random_state, early_stopping=True)
        if (
            random_state is not None
        ):  # None means numpy's global generator, as everywhere in scikit-learn
            embedder.fit(X, Y).partial_fit(X, Y).transform(X)
            after_kind, after_keys, *after_position = np.random.get_state()  # noqa: NPY002
            assert (kind, position) == (after_kind, after_position)
            assert np.array_equal(keys, after_keys)
        else:
            embedder.fit(X, Y).transform(X)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.slow
    @pytest.mark.parametrize("n_threads", [None, 2])
    def test_fits_in_two_threads_equal_fits_one_after_the_other(self, n_threads):
        def embeddings(seed):
            return (
                make_embedder(random_state=seed, n_threads=n_threads)
                .fit(X, Y)
                .transform(X)
            )

        before = torch.get_num_threads()
        expected = [embeddings(seed) for seed in (0, 1)]
        found = [None, None]

        def work(seed):
            found[seed] = embeddings(seed)

        workers = [threading.Thread(target=work, args=(seed,)) for seed in (0, 1)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert np.array_equal(found[0], expected[0])
        assert np.array_equal(found[1], expected[1])
        assert not np.array_equal(found[0], found[1])
        assert torch.get_num_threads() == before


class TestThreads:
    def test_inside_and_outside(self):
        before = torch.get_num_threads()
        with threads(3):
            assert torch.get_num_threads() == 3
            with threads(1):
                assert torch.get_num_threads() == 1
            with threads(None):
                assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == before

    @pytest.mark.parametrize("n_threads", [1, 2])
    def test_training_and_embedding_use_them(self, n_threads):
        seen = []

        class Spy(nn.Module):
            def forward(self, x):
                seen.append(torch.get_num_threads())
                return x[:, :WIDTH] * self.scale

            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.ones(WIDTH))

        before = torch.get_num_threads()
        embedder = make_embedder(tower=Spy(), n_threads=n_threads).fit(X, Y)
        assert seen
        assert set(seen) == {n_threads}
        seen.clear()
        embedder.transform(X)
        assert set(seen) == {n_threads}
        assert torch.get_num_threads() == before
