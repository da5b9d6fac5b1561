"""Training: rows as batches, devices, seeds and threads, what is watched, and what is left in the end."""

import copy
import gc
import itertools
import math
import pickle
import re
import threading
import weakref
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping, LRScheduler
from skorch.exceptions import DeviceWarning
from torch import nn

from siamese_sklearn import ContrastiveLoss, MLPTower, SiameseEmbedder, TripletLoss
from siamese_sklearn._net import (
    Rows,
    TrainingRun,
    Watch,
    build_net,
    check_net_params,
    cross_scores,
    embed,
    embedding_distance,
    resolve_device,
    score_codes,
    scores_by_distance,
    seeded,
    set_learning_rate,
    threads,
    train,
)
from siamese_sklearn._net._build import OPTIMIZERS, Criterion, check_optimizer
from siamese_sklearn.heads import HEADS, DistanceHead
from siamese_sklearn.losses import LOSSES, BinaryCrossEntropyLoss, HammingTripletLoss, HingeLoss
from siamese_sklearn.sampling import BalancedBatches, PairedBatches, ShuffledBatches
from siamese_sklearn.towers import PseudoSiameseNetwork, SiameseNetwork, TwoChannelNetwork

CPU = torch.device("cpu")
WIDTH = 3
Y = np.arange(48) % 3
X = (np.random.default_rng(0).normal(size=(48, 4)) + Y[:, None]).astype(np.float32)
X.flags.writeable = False


def small_tower(noise=0.0):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MLPTower(hidden_layer_sizes=(8,), noise=noise).build((4,), WIDTH)


def make_net(loss=None, tower=None, normalize=True, network=None, **changes):
    settings = {
        "optimizer": "adamw",
        "lr": 1e-2,
        "weight_decay": 0.0,
        "max_epochs": 5,
        "callbacks": None,
        "net_params": None,
        "device": CPU,
    }
    loss = TripletLoss().build(3, WIDTH) if loss is None else loss
    if network is None:
        network = SiameseNetwork(small_tower() if tower is None else tower, WIDTH, normalize=normalize)
    return build_net(network, loss, **settings | changes)


def make_run(n_epochs, batch_size=16, x=X, y=Y, **changes):
    return TrainingRun(
        rows=Rows(x, device=CPU),
        target=torch.from_numpy(y),
        kept=np.arange(len(y)),
        batches=BalancedBatches(y, batch_size),
        rng=np.random.default_rng(0),
        n_epochs=n_epochs,
        **changes,
    )


def embeddings_of(net):
    return embed(net, Rows(X, device=CPU))


def state_of(net):
    return {name: value.clone() for name, value in net.module_.state_dict().items()}


def same_state(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def make_embedder(**changes):
    settings = {"n_components": WIDTH, "max_epochs": 3, "batch_size": 16, "random_state": 0}
    return SiameseEmbedder(**settings | changes)


def memory_map(table, folder):
    path = folder / "rows.bin"
    table.tofile(path)
    return np.memmap(path, dtype=table.dtype, mode="r", shape=table.shape)


def read_only(table):
    table = table.copy()
    table.flags.writeable = False
    return table


NUMBERS = np.random.default_rng(1).integers(0, 200, size=(30, 6))
KINDS = {
    "float32": lambda _: NUMBERS.astype(np.float32),
    "read-only": lambda _: read_only(NUMBERS.astype(np.float32)),
    "images": lambda _: NUMBERS.reshape(30, 2, 3).astype(np.float32),
    "memmap uint8": lambda folder: memory_map(NUMBERS.astype(np.uint8), folder),
    "memmap float64": lambda folder: memory_map(NUMBERS.astype(np.float64), folder),
    "memmap float32": lambda folder: memory_map(NUMBERS.astype(np.float32), folder),
    "memmap images": lambda folder: memory_map(NUMBERS.reshape(30, 2, 3).astype(np.uint8), folder),
    "csr array": lambda _: sparse.csr_array(NUMBERS.astype(np.float32)),
    "csr matrix": lambda _: sparse.csr_matrix(NUMBERS.astype(np.float64)),
}


class TestRows:
    @pytest.fixture(params=KINDS)
    def given(self, request, tmp_path):
        return KINDS[request.param](tmp_path)

    @pytest.mark.parametrize(
        "index", [slice(0, 7), slice(25, 40), slice(None), np.array([3, 3, 29, 0]), np.array([5])], ids=str
    )
    def test_take(self, given, index):
        batch = Rows(given, device=CPU).take(index)
        assert batch.dtype == torch.float32
        expected = NUMBERS[index].reshape(-1, *given.shape[1:])
        assert np.array_equal(batch.numpy(), expected)

    def test_a_batch_is_a_copy(self, given):
        index, rows = np.array([3, 29, 0]), Rows(given, device=CPU)
        rows.take(index).fill_(-1.0)
        assert np.array_equal(rows.take(index).numpy(), NUMBERS[index].reshape(-1, *given.shape[1:]))

    def test_length_and_shape(self, given):
        rows = Rows(given, device=CPU)
        assert len(rows) == 30
        assert rows.row_shape == given.shape[1:]

    def test_slices_cover_all_rows_in_order(self, given):
        rows = Rows(given, device=CPU)
        whole = torch.cat([rows.take(part) for part in rows.slices()])
        assert np.array_equal(whole.numpy().reshape(30, 6), NUMBERS)

    def test_sides(self, given):
        rows = Rows(given, NUMBERS[::-1].astype(np.float32), device=CPU)
        left, right = rows.take(np.array([0, 4]))
        assert np.array_equal(left.numpy().reshape(2, 6), NUMBERS[[0, 4]])
        assert np.array_equal(right.numpy(), NUMBERS[[29, 25]])
        assert all(map(torch.equal, rows.sides(slice(2)), rows.take(slice(2))))


def trained(module):
    """What `embed` looks at of a net: the network, and a loss."""
    return SimpleNamespace(module_=module, criterion_=SimpleNamespace(loss=TripletLoss().build(2, WIDTH)))


class TestEmbed:
    @pytest.mark.parametrize("n_rows", [1, 2048, 2049, 5000])
    def test_slices_are_put_together(self, n_rows):
        x = np.random.default_rng(2).normal(size=(n_rows, 4)).astype(np.float32)
        module = SiameseNetwork(small_tower(), WIDTH, normalize=True).eval()
        with torch.no_grad():
            whole = module(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(embed(trained(module), Rows(x, device=CPU)), whole, atol=1e-6)

    @pytest.mark.parametrize(
        ("shape", "sizes"),
        [((1, 4), [64]), ((64, 4), [64]), ((65, 4), [128]), ((2049, 4), [2048, 64]), ((5, 2, 2), [5])],
    )
    def test_flat_rows_pass_in_whole_groups(self, shape, sizes):
        """So that what a row is beside does not change how its matrix products are rounded."""
        seen = []

        class Tower(nn.Module):
            def forward(self, x):
                seen.append(len(x))
                return x.flatten(1)

        x = np.random.default_rng(2).normal(size=shape).astype(np.float32)
        network = SiameseNetwork(Tower(), 4, normalize=False)
        found = embed(trained(network), Rows(x, device=CPU))
        assert seen == sizes
        np.testing.assert_array_equal(found, x.reshape(len(x), 4))

    def test_evaluation_mode(self):
        module = SiameseNetwork(small_tower(noise=1.0), WIDTH, normalize=True).train()
        rows = Rows(X, device=CPU)
        assert np.array_equal(embed(trained(module), rows), embed(trained(module), rows))

    @pytest.mark.parametrize(
        ("distance", "expected"),
        [
            ("euclidean", "euclidean"),
            ("sqeuclidean", "euclidean"),
            ("manhattan", "manhattan"),
            ("cosine", "cosine"),
        ],
    )
    def test_distance(self, distance, expected):
        assert embedding_distance(make_net(TripletLoss(distance=distance).build(3, WIDTH))) == expected

    def test_distance_of_a_loss_that_names_none(self):
        assert embedding_distance(make_net(nn.CosineEmbeddingLoss())) == "euclidean"


def two_towers():
    """A network whose towers differ."""
    left, right = small_tower(), small_tower()
    with torch.no_grad():
        right[-1].weight.neg_()
    return PseudoSiameseNetwork(left, right, WIDTH, normalize=True, may_write=False)


def two_channels(d=4):
    """A network of two channels, of rows of d numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TwoChannelNetwork(nn.Sequential(nn.Linear(2 * d, 5), nn.Tanh(), nn.Linear(5, 1)))


def randomised(loss):
    """A loss whose weights are of both signs, as after training."""
    with torch.no_grad():
        for number, weight in enumerate(loss.parameters()):
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)))
    return loss


class DropoutHead(nn.Module):
    """A head from elsewhere, not symmetric, without weights, and not the same twice in training."""

    def forward(self, left, right):
        return nn.functional.dropout(left - 2 * right, training=self.training).sum(1)


def naive_distance(name, u, v):
    """Distance of two rows, number by number."""
    if name == "manhattan":
        return sum(abs(a - b) for a, b in zip(u, v, strict=True))
    if name == "cosine":
        norms = sum(a * a for a in u) ** 0.5 * sum(b * b for b in v) ** 0.5
        return 1 - sum(a * b for a, b in zip(u, v, strict=True)) / norms
    return sum((a - b) ** 2 for a, b in zip(u, v, strict=True)) ** 0.5


DISTANCE_LOSSES = {
    "euclidean": TripletLoss(distance="euclidean"),
    "sqeuclidean": TripletLoss(distance="sqeuclidean"),
    "manhattan": ContrastiveLoss(distance="manhattan"),
    "cosine": ContrastiveLoss(distance="cosine"),
    "module": nn.CosineEmbeddingLoss(),  # names no distance: Euclidean
    "distance head": BinaryCrossEntropyLoss("distance"),
}
HEAD_LOSSES = {
    "difference": BinaryCrossEntropyLoss("difference"),
    "product": HingeLoss(head="product"),
    "from elsewhere": BinaryCrossEntropyLoss(DropoutHead()),
}
SCORED = [*DISTANCE_LOSSES, *HEAD_LOSSES, "two channels"]


def scoring_net(name):
    if name == "two channels":
        return make_net(BinaryCrossEntropyLoss().build(3, WIDTH), network=two_channels(WIDTH))
    loss = (DISTANCE_LOSSES | HEAD_LOSSES)[name]
    return make_net(loss if isinstance(loss, nn.Module) else randomised(loss.build(3, WIDTH)))


def naive_score(name, net, u, v):
    """Score of one code with another."""
    if name in DISTANCE_LOSSES:
        return -naive_distance(name, u.tolist(), v.tolist())
    first, second = torch.from_numpy(u)[None], torch.from_numpy(v)[None]
    with torch.no_grad():
        if name in HEAD_LOSSES:
            return net.criterion_.loss.head.eval()(first, second).item()
        orders = [torch.cat([first, second], dim=1), torch.cat([second, first], dim=1)]
        return sum(net.module_.tower(both).item() for both in orders) / 2


class CountedRows(Rows):
    """Remembers how many rows were taken at once."""

    def __init__(self, side):
        super().__init__(side, device=CPU)
        self.taken = []

    def sides(self, index):
        found = super().sides(index)
        self.taken.append(len(found[0]))
        return found


class TestScores:
    LEFT = np.random.default_rng(3).normal(size=(5, WIDTH)).astype(np.float32)
    RIGHT = np.random.default_rng(4).normal(size=(7, WIDTH)).astype(np.float32)

    @pytest.mark.parametrize("name", SCORED)
    def test_pairs_of_codes(self, name):
        net, rng = scoring_net(name), np.random.default_rng(5)
        row, column = rng.integers(5, size=23), rng.integers(7, size=23)
        found = score_codes(net, Rows(self.LEFT, device=CPU), Rows(self.RIGHT, device=CPU), row, column)
        assert (found.shape, found.dtype) == ((23,), np.float32)
        expected = [
            naive_score(name, net, self.LEFT[i], self.RIGHT[j]) for i, j in zip(row, column, strict=True)
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("name", SCORED)
    def test_all_with_all(self, name):
        net = scoring_net(name)
        found = cross_scores(net, Rows(self.LEFT, device=CPU), Rows(self.RIGHT, device=CPU))
        assert (found.shape, found.dtype) == ((5, 7), np.float32)
        expected = [[naive_score(name, net, u, v) for v in self.RIGHT] for u in self.LEFT]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("name", SCORED)
    @pytest.mark.parametrize(("left_at_once", "right_at_once"), [(1, 3), (4, 2), (9, 9)])
    def test_slices_are_put_together(self, name, left_at_once, right_at_once):
        net, left, right = scoring_net(name), CountedRows(self.LEFT), CountedRows(self.RIGHT)
        row, column = np.divmod(np.arange(35), 7)
        whole, table = score_codes(net, left, right, row, column), cross_scores(net, left, right)
        left.rows_at_once, right.rows_at_once = left_at_once, right_at_once
        left.taken.clear()
        np.testing.assert_allclose(score_codes(net, left, right, row, column), whole, rtol=1e-5, atol=1e-6)
        assert max(left.taken) == min(left_at_once, right_at_once)
        np.testing.assert_allclose(cross_scores(net, left, right), table, rtol=1e-5, atol=1e-6)

    def test_no_pairs(self):
        rows, none = Rows(self.LEFT, device=CPU), np.empty(0, dtype=np.int64)
        assert score_codes(scoring_net("euclidean"), rows, rows, none, none).shape == (0,)

    @pytest.mark.parametrize("name", SCORED)
    def test_evaluation_mode(self, name):
        net, rows, index = scoring_net(name), Rows(self.LEFT, device=CPU), np.arange(5)
        expected, table = (
            score_codes(net, rows, rows, index, index[::-1].copy()),
            cross_scores(net, rows, rows),
        )
        for _ in range(2):
            net.module_.train()
            net.criterion_.train()
            assert np.array_equal(score_codes(net, rows, rows, index, index[::-1].copy()), expected)
            net.module_.train()
            net.criterion_.train()
            assert np.array_equal(cross_scores(net, rows, rows), table)

    @pytest.mark.parametrize("name", SCORED)
    def test_which_are_distances(self, name):
        assert scores_by_distance(scoring_net(name)) is (name in DISTANCE_LOSSES)

    def test_distance_head_of_the_user_keeps_its_distance(self):
        loss = BinaryCrossEntropyLoss(DistanceHead(WIDTH, "manhattan")).build(3, WIDTH)
        net, rows = make_net(loss), Rows(self.LEFT, device=CPU)
        assert scores_by_distance(net)
        assert embedding_distance(net) == "manhattan"
        expected = [
            [-naive_distance("manhattan", u.tolist(), v.tolist()) for v in self.LEFT] for u in self.LEFT
        ]
        np.testing.assert_allclose(cross_scores(net, rows, rows), expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("kind", ["images", "csr array", "memmap uint8"])
    def test_two_channels_take_all_kinds_of_rows(self, kind, tmp_path):
        given = KINDS[kind](tmp_path)
        network = TwoChannelNetwork(nn.Sequential(nn.Flatten(), two_channels(6).tower))
        net, rows = make_net(BinaryCrossEntropyLoss().build(3, 6), network=network), Rows(given, device=CPU)
        left, right = np.array([3, 3, 29, 0]), np.array([0, 3, 7, 3])
        x = torch.from_numpy(NUMBERS.astype(np.float32))
        with torch.no_grad():
            tower = network.tower[1]
            first, second = tower(torch.cat([x[left], x[right]], 1)), tower(torch.cat([x[right], x[left]], 1))
        found = score_codes(net, rows, rows, left, right)
        np.testing.assert_allclose(found, ((first + second) / 2)[:, 0].numpy(), rtol=1e-5, atol=1e-6)
        assert cross_scores(net, rows, rows)[29, 7] == pytest.approx(found[2], rel=1e-5)


class TestBits:
    """Losses on binary codes: what is embedded are the bits."""

    def net(self, **changes):
        return make_net(HammingTripletLoss().build(3, WIDTH), **changes)

    def test_bits_are_the_signs_of_the_embedding(self):
        net, plain = self.net(), make_net()
        bits, embeddings = embeddings_of(net), embeddings_of(plain)
        assert bits.dtype == np.float32
        assert np.array_equal(bits, [[1.0 if number > 0 else 0.0 for number in row] for row in embeddings])
        assert 0 < bits.mean() < 1

    def test_scores_are_minus_the_number_of_bits_that_differ(self):
        net = self.net()
        bits = embeddings_of(net)
        rows = Rows(bits, device=CPU)
        expected = [[-sum(a != b for a, b in zip(u, v, strict=True)) for v in bits] for u in bits]
        assert embedding_distance(net) == "manhattan"
        assert scores_by_distance(net)
        assert np.array_equal(cross_scores(net, rows, rows), expected)
        row, column = np.divmod(np.arange(48 * 48), 48)
        assert np.array_equal(score_codes(net, rows, rows, row, column), np.ravel(expected))

    def test_of_the_side(self):
        net = self.net(network=two_towers())
        for side in (0, 1):
            with torch.no_grad():
                z = net.module_.towers[side].eval()(torch.from_numpy(X.copy())).numpy()
            assert np.array_equal(embed(net, Rows(X, device=CPU), side), z > 0)

    def test_training_sees_the_embeddings_themselves(self):
        outputs = []

        class Record(Callback):
            def on_batch_end(self, net, y_pred, **kwargs):
                outputs.append(y_pred.detach())

        net = self.net(callbacks=[Record()])
        train(net, make_run(1))
        assert all(torch.allclose(z.norm(dim=1), torch.ones(len(z))) for z in outputs)


class TestDevice:
    @pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
    def test_cpu(self, device):
        assert resolve_device(device) == CPU

    @pytest.mark.parametrize(
        "device", ["gpu", "", "cuda:x", "cuda:-1", "cpu cuda", None, 1.5, ["cpu"], "meta", "xpu"]
    )
    def test_unknown(self, device):
        with pytest.raises(ValueError, match=r'`device` must be "auto", "cpu", "cuda", .*; got '):
            resolve_device(device)

    @pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps"])
    def test_not_there(self, device, monkeypatch):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        text = f"`device` is '{device}', but PyTorch sees 0 such device.* here. Use device=\"auto\""
        with pytest.raises(ValueError, match=text):
            resolve_device(device)

    def test_number_too_high(self):
        with pytest.raises(ValueError, match=r"`device` is 'cuda:99', but PyTorch sees \d+ such device"):
            resolve_device("cuda:99")

    @pytest.mark.parametrize(
        ("cuda", "mps", "expected"),
        [(True, True, "cuda:1"), (True, False, "cuda:1"), (False, True, "mps"), (False, False, "cpu")],
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
        assert torch.equal(drawn, torch.rand(5, generator=torch.Generator().manual_seed(3)))

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
        if random_state is not None:  # None means numpy's global generator, as everywhere in scikit-learn
            embedder.fit(X, Y).partial_fit(X, Y).transform(X)
            after_kind, after_keys, *after_position = np.random.get_state()  # noqa: NPY002
            assert (kind, position) == (after_kind, after_position)
            assert np.array_equal(keys, after_keys)
        else:
            embedder.fit(X, Y).transform(X)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("n_threads", [None, 2])
    def test_fits_in_two_threads_equal_fits_one_after_the_other(self, n_threads):
        def embeddings(seed):
            return make_embedder(random_state=seed, n_threads=n_threads).fit(X, Y).transform(X)

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


def naive_active_triplets(z, labels, margin):
    """Triplets of a batch that the margin does not yet solve, by loops, in squared Euclidean distance."""
    distance = ((z[:, None] - z[None]) ** 2).sum(-1)
    n = range(len(z))
    return sum(
        distance[a, p] - distance[a, q] + margin > 0
        for a in n
        for p in n
        for q in n
        if a != p and labels[a] == labels[p] != labels[q]
    )


class TestHistory:
    def test_active_triplets_and_spread_by_hand(self):
        batches = []

        class Record(Callback):
            def on_epoch_begin(self, net, **kwargs):
                batches.clear()

            def on_batch_end(self, net, batch, y_pred, **kwargs):
                batches.append((y_pred.detach().double().numpy().copy(), batch[1].numpy().copy()))

            def on_epoch_end(self, net, **kwargs):
                active = [naive_active_triplets(*batch, margin=0.2) for batch in batches]
                net.history.record("by_hand", np.mean(active))
                z, _ = batches[-1]
                net.history.record("spread_by_hand", 1 - (z.mean(0) ** 2).sum() / (z**2).sum(1).mean())

        net = make_net(callbacks=[Record()])
        train(net, make_run(4))
        assert len(net.history) == 4
        assert net.history[:, "n_active"] == net.history[:, "by_hand"]
        assert max(net.history[:, "n_active"]) > 0
        np.testing.assert_allclose(net.history[:, "spread"], net.history[:, "spread_by_hand"], rtol=1e-6)

    @pytest.mark.parametrize("name", LOSSES)
    def test_every_loss_tells_how_many_were_active(self, name):
        embedder = make_embedder(loss=name).fit(X, Y)
        assert len(embedder.history_[:, "n_active"]) == 3

    def test_a_module_as_loss_need_not_tell(self):
        class Own(nn.Module):
            def forward(self, embeddings, labels):
                return embeddings.square().mean()

        embedder = make_embedder(loss=Own(), normalize=False).fit(X, Y)
        assert "n_active" not in embedder.history_[0]
        assert len(embedder.history_[:, "train_loss"]) == 3

    def test_loss_is_the_mean_over_batches_weighted_by_their_rows(self):
        net = make_net()
        train(net, make_run(1))
        (epoch,) = net.history
        loss = [batch["train_loss"] for batch in epoch["batches"]]
        size = [batch["train_batch_size"] for batch in epoch["batches"]]
        assert len(loss) == 3
        assert epoch["train_loss"] == pytest.approx(np.average(loss, weights=size))
        assert sum(size) == 48


class NaNAfter(nn.Module):
    """A loss that is fine for some batches, and then is not."""

    def __init__(self, n_good, value=float("nan")):
        super().__init__()
        self.n_left = n_good
        self.value = value

    def forward(self, embeddings, labels):
        self.n_left -= 1
        loss = (embeddings[labels == 0] - embeddings[labels == 0].mean(0)).square().mean()
        return loss if self.n_left >= 0 else loss * self.value


class TestMonitor:
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    @pytest.mark.parametrize("n_good", [3, 5])  # batches; an epoch has three
    def test_loss_that_is_not_finite(self, n_good, value):
        after_epoch = []

        class Record(Callback):
            def on_epoch_end(self, net, **kwargs):
                after_epoch.append(state_of(net))

        net = make_net(NaNAfter(n_good, value), callbacks=[Record()])
        with pytest.warns(ConvergenceWarning, match="The loss became NaN or infinite; .* Lower `lr`"):
            train(net, make_run(4))
        assert len(net.history) == len(after_epoch) == 1
        assert same_state(state_of(net), after_epoch[0])

    def test_training_goes_on_from_there(self):
        net = make_net(NaNAfter(4))
        with pytest.warns(ConvergenceWarning, match="The loss became NaN"):
            train(net, make_run(4))
        before = state_of(net)
        net.criterion_.loss.n_left = 100
        train(net, make_run(2))
        assert len(net.history) == 3
        assert np.isfinite(embeddings_of(net)).all()
        assert not same_state(state_of(net), before)

    def test_loss_that_never_was_finite_leaves_the_first_weights(self):
        net = make_net(NaNAfter(0))
        before = state_of(net)
        with pytest.warns(ConvergenceWarning, match="The loss became NaN"):
            train(net, make_run(4))
        assert len(net.history) == 0
        assert same_state(state_of(net), before)

    @pytest.mark.parametrize("early_stopping", [True, False])
    def test_last_step_that_spoils_the_weights(self, early_stopping):
        # One batch: its loss is finite, and nothing but the embeddings tells of the step after it.
        embedder = make_embedder(
            lr=1e38, optimizer="sgd", max_epochs=1, batch_size=48, early_stopping=early_stopping
        )
        with pytest.warns(ConvergenceWarning, match="The embeddings became NaN or infinite"):
            embedder.fit(X, Y)
        assert np.isfinite(embedder.transform(X)).all()
        assert embedder.n_iter_ == len(embedder.history_) == 0

    def test_warning_points_at_the_call_of_fit(self):
        with pytest.warns(ConvergenceWarning, match="The loss became NaN") as caught:
            make_embedder(loss=NaNAfter(0)).fit(X, Y)
        assert caught[0].filename == __file__

    def test_collapse(self):
        class Constant(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.tensor(1e-4))

            def forward(self, x):
                return 1 + self.scale * x[:, :WIDTH]

        net = make_net(tower=Constant(), lr=1e-9)
        remedy = re.escape(
            'Use mining="all" (or loss="triplet" with mining="semihard"), '
            "a lower `lr`, or a larger `batch_size`."
        )
        with pytest.warns(ConvergenceWarning, match=f"collapsed towards one point .*{remedy}"):
            train(net, make_run(2))
        assert len(net.history) == 2
        assert net.history[-1]["spread"] < 1e-6

    @pytest.mark.parametrize("remedy", [{"mining": "all"}, {"loss": "triplet", "mining": "semihard"}])
    def test_remedies_against_collapse_can_be_taken(self, remedy):
        assert make_embedder(**remedy).fit(X, Y).n_iter_ == 3

    @pytest.mark.parametrize("normalize", [True, False])
    def test_spread_is_1_all_around_and_0_at_one_point(self, normalize):
        class Own(nn.Module):
            """Opposite points for the rows of each batch, or the same point; trained by nothing."""

            def __init__(self, opposite):
                super().__init__()
                self.opposite = opposite
                self.weight = nn.Parameter(torch.zeros(1))

            def forward(self, x):
                sign = torch.ones(len(x), 1)
                if self.opposite:
                    sign[::2] = -1
                return 5 * sign * torch.ones(WIDTH) + self.weight

        net = make_net(tower=Own(True), normalize=normalize, lr=1e-12, weight_decay=0.0)
        train(net, make_run(1))
        assert net.history[-1]["spread"] == pytest.approx(1)
        net = make_net(tower=Own(False), normalize=normalize, lr=1e-12)
        with pytest.warns(ConvergenceWarning, match="collapsed"):
            train(net, make_run(1))
        assert net.history[-1]["spread"] == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize(("n_epochs", "flushed"), [(100, True), (99, False)])
    def test_denormal_state_of_the_optimizer_is_zeroed_every_100_steps(self, n_epochs, flushed):
        class Decayed(Callback):
            def on_batch_begin(self, net, **kwargs):
                for state in net.optimizer_.state.values():
                    state["exp_avg_sq"].fill_(1e-35)

        x = X.copy()
        x[:, 0] = 0  # no gradient reaches the weights of this column
        net = make_net(callbacks=[Decayed()], lr=1e-6)
        train(net, make_run(n_epochs, batch_size=48, x=x))
        weight = next(net.module_.parameters())
        state = net.optimizer_.state[weight]["exp_avg_sq"]
        assert weight.shape == (8, 4)
        assert (state[:, 0] == 0).all() == flushed
        assert (state[:, 1:] > 1e-30).any()


class TestRetrievalStopping:
    def scripted(self, scores, states):
        remaining = iter(scores)

        def measure(net):
            states.append(state_of(net))
            return next(remaining)

        return measure

    @pytest.mark.parametrize(
        ("scores", "patience", "n_epochs", "best"),
        [
            ([0.1, 0.5, 0.3, 0.2, 0.9], 2, 4, 1),
            ([0.1, 0.5, 0.3, 0.2, 0.9], 3, 5, 4),
            ([0.5, 0.5, 0.5, 0.5, 0.5], 2, 3, 0),  # equal is no rise
            ([0.1, 0.2, 0.3, 0.4, 0.5], 1, 5, 4),
            ([0.1, 0.0, 0.3, 0.4, 0.5], 1, 2, 0),
        ],
    )
    def test_stops_and_restores(self, scores, patience, n_epochs, best):
        states = []
        net = make_net()
        train(net, make_run(5, watch=Watch(self.scripted(scores, states), patience)))
        assert len(net.history) == len(states) == n_epochs
        assert same_state(state_of(net), states[best])
        assert net.history[:, "valid_score"] == scores[:n_epochs]
        assert all(not same_state(states[i], states[i + 1]) for i in range(n_epochs - 1))
        assert [i for i, row in enumerate(net.history) if row["valid_score_best"]][-1] == best

    @pytest.mark.parametrize(("loss_rises", "n_epochs"), [(True, 6), (False, 3)])
    def test_training_loss_does_not_matter(self, loss_rises, n_epochs):
        class Scripted(nn.Module):
            """Its value goes its way whatever the embeddings."""

            def __init__(self):
                super().__init__()
                self.step = 0

            def forward(self, embeddings, labels):
                self.step += 1 if loss_rises else -1
                return embeddings.sum() * 1e-6 + self.step

        scores = (
            np.arange(6) if loss_rises else -np.arange(6)
        )  # the measure rises with the loss, or falls with it
        net = make_net(Scripted())
        train(net, make_run(6, watch=Watch(self.scripted(scores.tolist(), []), patience=2)))
        losses = net.history[:, "train_loss"]
        assert len(losses) == n_epochs
        assert (np.diff(losses) > 0).all() == loss_rises

    def test_patience_starts_anew_with_each_call(self):
        net = make_net()
        for _ in range(2):
            train(net, make_run(9, watch=Watch(self.scripted([0.5, 0.1, 0.1, 0.1], []), patience=3)))
        assert len(net.history) == 4 + 3  # the second call measures once before its first epoch

    @pytest.mark.parametrize(
        ("scores", "n_epochs", "best"),
        [
            ([0.5, 0.4, 0.3], 2, 0),  # only worse: the weights of before
            ([0.5, 0.5, 0.5], 2, 0),
            ([0.5, 0.4, 0.6, 0.1, 0.1], 4, 2),
        ],
    )
    def test_a_later_call_has_to_beat_the_weights_it_starts_from(self, scores, n_epochs, best):
        states = []
        net = make_net()
        train(net, make_run(2))
        before = state_of(net)
        train(net, make_run(9, watch=Watch(self.scripted(scores, states), patience=2)))
        assert same_state(states[0], before)
        assert same_state(state_of(net), states[best])
        assert net.history[2:, "valid_score"] == scores[1:]
        assert len(net.history) == 2 + n_epochs
        found = [i for i, row in enumerate(net.history[2:], 1) if row["valid_score_best"]]
        assert found == [best] * (best > 0)

    def test_without_a_watch_nothing_is_measured(self):
        net = make_net()
        train(net, make_run(2))
        assert "valid_score" not in net.history[-1]


class TestProgress:
    def test_bar(self, capsys):
        make_embedder(verbose=1, early_stopping=True).fit(X, Y)
        out, err = capsys.readouterr()
        assert out == ""
        assert "epoch 3/3: 100%" in err
        assert "train_loss=" in err
        assert "valid_score=" in err
        assert "batch/s" in err

    def test_figures_are_those_of_the_history(self, capsys):
        embedder = make_embedder(verbose=1).fit(X, Y)
        assert f"train_loss={embedder.history_[-1]['train_loss']:.4g}" in capsys.readouterr().err

    def test_loss_of_the_batch_is_shown_every_20_batches(self):
        shown, losses = [], []

        class Record(Callback):
            def on_batch_end(self, net, **kwargs):
                shown.append(dict(net.callbacks_)["progress"].bar_.postfix)
                losses.append(f"train_loss={net.history[-1]['batches'][-1]['train_loss']:.4g}")

        net = make_net(callbacks=[Record()])
        x, y = np.tile(X, (7, 1)), np.tile(Y, 7)
        train(net, make_run(2, x=x, y=y, watch=Watch(lambda net: 0.25, 5), verbose=1))
        assert len(losses) == 2 * 21
        assert not any(shown[:19])
        assert shown[19] == shown[20] == losses[19]
        assert set(shown[21:40]) == {f"train_loss={net.history[0]['train_loss']:.4g}, valid_score=0.25"}
        assert shown[40] == shown[41] == f"{losses[40]}, valid_score=0.25"

    def test_silent(self, capsys):
        make_embedder(verbose=0, early_stopping=True).fit(X, Y).partial_fit(X, Y).transform(X)
        assert capsys.readouterr() == ("", "")

    def test_bar_of_a_later_call_counts_its_own_epochs(self, capsys):
        embedder = make_embedder(verbose=1).fit(X, Y)
        capsys.readouterr()
        embedder.partial_fit(X, Y)
        assert "epoch 1/1: 100%" in capsys.readouterr().err

    @pytest.mark.parametrize("failing", [True, False])
    def test_bar_is_closed_in_the_end(self, failing, capsys):
        def augment(batch):
            if failing:
                raise RuntimeError("boom")
            return batch

        net = make_net()
        try:
            train(net, make_run(2, augment=augment, verbose=1))
        except RuntimeError:
            assert failing
        assert dict(net.callbacks_)["progress"].bar_ is None
        assert pickle.loads(pickle.dumps(net)).module_ is not None
        assert "epoch" in capsys.readouterr().err


class StopAt(Callback):
    """Presses Ctrl-C in the given epoch, at the end of the given batch."""

    def __init__(self, epoch, batch):
        self.epoch = epoch
        self.batch = batch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch and len(net.history[-1]["batches"]) == self.batch:
            raise KeyboardInterrupt


class TestInterrupt:
    @pytest.mark.parametrize("batch", [1, 2, 3])
    def test_what_was_learned_is_kept(self, batch):
        after_epoch = []

        class Record(Callback):
            def on_epoch_end(self, net, **kwargs):
                after_epoch.append(state_of(net))

        embedder = make_embedder(max_epochs=9, callbacks=[Record(), StopAt(epoch=3, batch=batch)])
        with pytest.warns(ConvergenceWarning, match="interrupted in epoch 3; the model keeps") as caught:
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

        net = make_net()
        with pytest.warns(ConvergenceWarning, match="interrupted in epoch 3"):
            train(net, make_run(9, watch=Watch(measure, 5)))
        assert net.history[:, "valid_score"] == [1, 2]

    def test_early_stopping_of_skorch_is_no_interrupt(self):
        # It stops by the same exception, at the end of an epoch; the suite turns warnings into errors.
        stop = EarlyStopping(monitor="train_loss", patience=2, threshold=1e9, threshold_mode="abs")
        embedder = make_embedder(max_epochs=9, callbacks=[stop]).fit(X, Y)
        assert embedder.n_iter_ < 9
        assert "spread" in embedder.history_[-1]


class TestFailure:
    def fitted(self):
        """A model of two epochs, and the switch that makes its augmentation fail in a later call."""
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
            max_epochs=2, augment=Augment(), warm_start=True, early_stopping=True, verbose=1
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
        torch.testing.assert_close(embedder.net_.optimizer_.state_dict(), moments, rtol=0, atol=0)
        assert embedder.n_iter_ == len(embedder.history_) == 2

    def test_next_call_is_that_of_a_model_that_never_failed(self):
        (failed, switch), (other, _) = self.fitted(), self.fitted()
        switch["fails_after"] = 4
        with pytest.raises(RuntimeError, match="boom"):
            failed.fit(X, Y)
        switch["fails_after"] = None
        assert np.array_equal(failed.fit(X, Y).transform(X), other.fit(X, Y).transform(X))

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
        embedder = make_embedder(max_epochs=2, loss=NaNAfter(6), warm_start=True).fit(X, Y)
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
            ValueError, match=rf"`augment` must return a float tensor .*\(\d+, 4\); got .*{came}"
        ):
            make_embedder(augment=augment).fit(X, Y)

    def test_augment_in_double_precision_is_brought_back(self):
        outputs = [make_embedder(augment=f).fit(X, Y).transform(X) for f in (torch.Tensor.double, None)]
        assert np.array_equal(*outputs)


class TestNothingIsHeld:
    @pytest.mark.parametrize("early_stopping", [True, False])
    def test_data_are_freed_after_fit(self, early_stopping):
        x = np.array(X)
        embedder = make_embedder(early_stopping=early_stopping).fit(x, Y)
        alive = weakref.ref(x)
        del x
        gc.collect()
        assert alive() is None
        assert embedder.transform(X).shape == (48, WIDTH)

    @pytest.mark.parametrize("early_stopping", [True, False])
    def test_pickle_has_the_size_of_the_model(self, early_stopping):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(5000, 50)).astype(np.float32), np.arange(5000) % 5
        embedder = make_embedder(
            tower=MLPTower((32,)), max_epochs=1, batch_size=1000, early_stopping=early_stopping
        ).fit(x, y)
        n_weights = sum(p.numel() for p in embedder.net_.module_.parameters())
        n_bytes = 4 * n_weights * 3  # a weight and its two moments, once
        overhead = 20_000
        assert x.nbytes > 10 * (n_bytes + overhead)
        assert n_bytes < len(pickle.dumps(embedder)) < n_bytes + overhead


class TestNetParams:
    def test_pass_through(self):
        net = make_net(net_params={"optimizer__betas": (0.5, 0.6), "callbacks__train_loss__name": "x"})
        assert net.optimizer_.param_groups[0]["betas"] == (0.5, 0.6)
        assert dict(net.callbacks_)["train_loss"].name == "x"

    def test_ours_can_be_overruled_where_that_makes_sense(self):
        assert make_net(net_params={"optimizer__fused": False}).optimizer_.param_groups[0]["fused"] is False

    @pytest.mark.parametrize(
        "net_params",
        [
            {"no_such_thing": 1},
            {"optimizer__no_such_thing": 1},
            {"callbacks__no_such__thing": 1},
            {"iterator": 3},
        ],
    )
    def test_unknown_keys(self, net_params):
        with pytest.raises((ValueError, TypeError), match=r"`net_params`.*(no_such|iterator)"):
            make_net(net_params=net_params)

    @pytest.mark.parametrize(
        ("key", "ours"),
        [
            *[
                ("module", "tower"),
                ("criterion", "loss"),
                ("train_split", "early_stopping"),
                ("device", "device"),
            ],
            *[
                ("lr", "lr"),
                ("max_epochs", "max_epochs"),
                ("batch_size", "batch_size"),
                ("verbose", "verbose"),
            ],
            *[("callbacks", "callbacks"), ("optimizer", "optimizer"), ("warm_start", "warm_start")],
        ],
    )
    def test_keys_that_are_parameters_of_the_estimator(self, key, ours):
        with pytest.raises(ValueError, match=f"`net_params` must not set '{key}'; set `{ours}`"):
            make_net(net_params={key: 1})

    @pytest.mark.parametrize(
        ("key", "ours"),
        [
            ("module__n_components", "tower"),
            ("criterion__loss", "loss"),
            ("dataset__length", "X"),
            ("iterator_train__shuffle", "batch_size"),
            ("iterator_valid", "early_stopping"),
            ("iterator_valid__batch_size", "early_stopping"),
            ("train_split__cv", "early_stopping"),
            ("optimizer__lr", "lr"),
            ("optimizer__weight_decay", "weight_decay"),
        ],
    )
    def test_keys_with_a_prefix_that_set_what_is_ours(self, key, ours):
        with pytest.raises(ValueError, match=f"`net_params` must not set '{key}'; set `{ours}`"):
            check_net_params({"optimizer__eps": 1e-6, key: 1})

    def test_none_is_empty(self):
        assert check_net_params(None) == {}

    def test_key_that_is_no_string(self):
        with pytest.raises(TypeError, match="look at `net_params`"):
            make_net(net_params={1: 2})

    def test_foreach_takes_the_place_of_fused(self):
        net = make_net(net_params={"optimizer__foreach": True})
        (group,) = net.optimizer_.param_groups
        assert group["foreach"] is True
        assert not group["fused"]
        train(net, make_run(1))
        assert len(net.history) == 1

    def test_what_torch_refuses_when_it_runs(self):
        with pytest.raises(ValueError, match=r"look at `net_params`.*fused.*foreach") as caught:
            make_net(net_params={"optimizer__foreach": True, "optimizer__fused": True})
        assert isinstance(caught.value.__cause__, RuntimeError)

    @pytest.mark.parametrize("net_params", [3, [("lr", 1)], "lr"])
    def test_no_dict(self, net_params):
        with pytest.raises(TypeError, match=r"`net_params` must be a dict .* got "):
            make_net(net_params=net_params)

    def test_given_dict_stays_as_it_is(self):
        net_params = {"optimizer__betas": (0.5, 0.6)}
        make_embedder(net_params=net_params).fit(X, Y)
        assert net_params == {"optimizer__betas": (0.5, 0.6)}


class TestOptimizer:
    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_by_name(self, name):
        net = make_net(optimizer=name, lr=0.02, weight_decay=0.03)
        assert type(net.optimizer_) is OPTIMIZERS[name]
        (group,) = net.optimizer_.param_groups
        assert (group["lr"], group["weight_decay"], group["fused"]) == (0.02, 0.03, True)

    @pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.RMSprop, torch.optim.NAdam])
    def test_by_class(self, kind):
        net = make_net(optimizer=kind, lr=0.02, weight_decay=0.03)
        assert type(net.optimizer_) is kind
        assert net.optimizer_.param_groups[0]["weight_decay"] == 0.03

    def test_class_without_weight_decay(self):
        net = make_net(optimizer=torch.optim.LBFGS, weight_decay=0.03)
        before = state_of(net)
        train(net, make_run(1))
        assert not same_state(state_of(net), before)

    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_all_lower_the_loss(self, name):
        loss = ContrastiveLoss().build(3, WIDTH)
        net = make_net(loss, optimizer=name, lr=0.1 if name == "sgd" else 0.01)
        train(net, make_run(10))
        assert net.history[-1]["train_loss"] < 0.8 * net.history[0]["train_loss"]

    @pytest.mark.parametrize(
        ("optimizer", "error", "text"),
        [
            (
                "adamv",
                ValueError,
                r"`optimizer` must be one of 'adamw', 'adam', 'sgd'; got 'adamv'. Did you mean 'adam",
            ),
            ("Adam", ValueError, r"`optimizer` must be .* got 'Adam'. Did you mean 'adam'\?"),
            (
                nn.Linear,
                TypeError,
                "`optimizer` must be .* or a subclass of torch.optim.Optimizer; got <class",
            ),
            (None, TypeError, "`optimizer` must be .* got None"),
        ],
    )
    def test_unknown(self, optimizer, error, text):
        for check in (check_optimizer, lambda optimizer: make_net(optimizer=optimizer)):
            with pytest.raises(error, match=text):
                check(optimizer)

    @pytest.mark.parametrize("optimizer", ["sgd", torch.optim.SGD])
    def test_known(self, optimizer):
        assert check_optimizer(optimizer) is torch.optim.SGD

    def test_loss_with_weights_of_its_own_is_trained(self):
        class Proxies(nn.Module):
            def __init__(self):
                super().__init__()
                self.proxies = nn.Parameter(torch.eye(3))

            def forward(self, embeddings, labels):
                return nn.functional.cross_entropy(embeddings @ self.proxies.T, labels)

        loss = Proxies()
        train(make_net(loss), make_run(1))
        assert not torch.equal(loss.proxies, torch.eye(3))


class TestSetLearningRate:
    def figures(self, net, *names):
        return [tuple(group.get(name) for name in names) for group in net.optimizer_.param_groups]

    def by_group(self):
        groups = [("*bias", {"weight_decay": 0.0, "lr": 0.5})]
        return make_net(lr=0.02, weight_decay=0.03, net_params={"optimizer__param_groups": groups})

    @pytest.mark.parametrize("loaded", [True, False])
    def test_changed_values_reach_all_groups(self, loaded):
        net = self.by_group()
        net = pickle.loads(pickle.dumps(net)) if loaded else net
        set_learning_rate(net, 0.2, 0.3)
        assert net.lr == 0.2
        assert self.figures(net, "lr", "weight_decay") == [(0.2, 0.3)] * 2

    @pytest.mark.parametrize("loaded", [True, False])
    def test_values_as_before_change_nothing(self, loaded):
        net = self.by_group()
        net = pickle.loads(pickle.dumps(net)) if loaded else net
        before = copy.deepcopy(net.optimizer_.state_dict())
        set_learning_rate(net, 0.02, 0.03)
        assert net.optimizer_.state_dict() == before
        assert self.figures(net, "lr", "weight_decay") == [(0.5, 0.0), (0.02, 0.03)]

    def test_one_changes_without_the_other(self):
        net = self.by_group()
        set_learning_rate(net, 0.02, 0.3)
        assert self.figures(net, "lr", "weight_decay") == [(0.5, 0.3), (0.02, 0.3)]
        set_learning_rate(net, 0.2, 0.3)
        assert self.figures(net, "lr", "weight_decay") == [(0.2, 0.3)] * 2
        set_learning_rate(net, 0.2, 0.03)
        assert self.figures(net, "lr", "weight_decay") == [(0.2, 0.03)] * 2

    def test_optimizer_without_weight_decay(self):
        net = make_net(optimizer=torch.optim.LBFGS, lr=0.02, weight_decay=0.03)
        set_learning_rate(net, 0.2, 0.3)
        assert self.figures(net, "lr", "weight_decay") == [(0.2, None)]

    def test_scheduler_goes_on_from_the_changed_rate(self):
        halved = LRScheduler(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 0.5**epoch)
        net = make_net(callbacks=[halved], lr=0.08)
        train(net, make_run(2))
        assert self.figures(net, "lr") == [(0.02,)]
        set_learning_rate(net, 0.08, 0.0)
        assert self.figures(net, "lr") == [(0.02,)]
        set_learning_rate(net, 0.8, 0.0)
        train(net, make_run(1))
        assert self.figures(net, "lr") == [(0.8 * 0.5**3,)]


WITH_WEIGHTS = [name for name in LOSSES if list(LOSSES[name]().build(3, WIDTH).parameters())]


class TestLossOfItsOwnRate:
    """The weights of a loss have a parameter group: a learning rate of their own, and no decay."""

    def groups(self, net):
        """Learning rate, decay and numbers of parameters: those of the loss, and the others."""
        own = {id(parameter) for parameter in net.criterion_.parameters()}
        found = {True: [], False: []}
        for group in net.optimizer_.param_groups:
            kinds = {id(parameter) in own for parameter in group["params"]}
            assert len(kinds) == 1
            found[kinds.pop()].append((group["lr"], group["weight_decay"], len(group["params"])))
        return found[True], found[False]

    def net(self, name, **changes):
        return make_net(LOSSES[name]().build(3, WIDTH), lr=0.02, weight_decay=0.03, **changes)

    def test_some_losses_have_weights_and_some_have_none(self):
        assert {"binary_cross_entropy", "hinge"} < set(WITH_WEIGHTS) < set(LOSSES)

    @pytest.mark.parametrize("name", LOSSES)
    def test_groups(self, name):
        net = self.net(name)
        loss = net.criterion_.loss
        n_tower, n_own = len(list(net.module_.parameters())), len(list(loss.parameters()))
        own = [(loss.lr, 0.0, n_own)] if name in WITH_WEIGHTS else []
        assert self.groups(net) == (own, [(0.02, 0.03, n_tower)])
        assert (loss.lr is not None) == (name in WITH_WEIGHTS)

    @pytest.mark.parametrize("head", HEADS)
    def test_rate_of_the_spec(self, head):
        net = make_net(BinaryCrossEntropyLoss(head, weights_lr=0.7).build(3, WIDTH), lr=0.02)
        ((rate, decay, _),), _ = self.groups(net)
        assert (rate, decay) == (0.7, 0.0)

    @pytest.mark.parametrize("name", WITH_WEIGHTS)
    @pytest.mark.parametrize("loaded", [False, True])
    def test_changed_values_leave_it_alone(self, name, loaded):
        net = self.net(name)
        train(net, make_run(1))
        net = pickle.loads(pickle.dumps(net)) if loaded else net
        own, others = self.groups(net)
        set_learning_rate(net, 0.2, 0.3)
        assert self.groups(net) == (own, [(0.2, 0.3, number) for _, _, number in others])
        train(net, make_run(1))
        assert self.groups(net)[0] == own

    def test_beside_groups_of_the_user(self):
        params = {"optimizer__param_groups": [("tower.*bias", {"lr": 0.5})]}
        net = self.net("hinge", net_params=params)
        own, others = self.groups(net)
        assert own == [(net.criterion_.loss.lr, 0.0, 2)]
        assert sorted(rate for rate, _, _ in others) == [0.02, 0.5]
        assert len(params["optimizer__param_groups"]) == 1

    def test_head_without_weights(self):
        net = make_net(BinaryCrossEntropyLoss(DropoutHead()).build(3, WIDTH))
        train(net, make_run(1))
        set_learning_rate(net, 0.5, 0.0)
        assert len(net.history) == 1

    def test_one_step_of_sgd_by_hand(self):
        """The head moves by its own rate times the gradient, without decay; the tower by the other rate."""
        loss = HingeLoss(weights_lr=0.125).build(3, WIDTH)
        net = make_net(loss, optimizer="sgd", lr=1e-6, weight_decay=0.5)
        before, tower = copy.deepcopy(loss), state_of(net)
        run = make_run(1, batch_size=48)
        x, y = next(copy.deepcopy(run).epoch())
        z = net.module_.train()(x)
        before(z.detach(), y).backward()
        train(net, run)
        for old, new in zip(before.parameters(), loss.parameters(), strict=True):
            assert old.grad.abs() > 0
            torch.testing.assert_close(new, old - 0.125 * old.grad)
        assert all(torch.allclose(value, tower[name], atol=1e-3) for name, value in state_of(net).items())

    def test_scheduler_works_on_it_too(self):
        halved = LRScheduler(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 0.5**epoch)
        net = make_net(HingeLoss(weights_lr=0.8).build(3, WIDTH), callbacks=[halved], lr=0.08)
        train(net, make_run(2))
        set_learning_rate(net, 0.4, 0.0)
        train(net, make_run(1))
        own, others = self.groups(net)
        assert own[0][0] == pytest.approx(0.8 * 0.5**3)
        assert others[0][0] == pytest.approx(0.4 * 0.5**3)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def naive_contrastive(z, labels, margin=0.5):
    """Mean over same pairs plus mean over different ones within the margin, by two loops."""
    same, different = [], []
    for i, j in itertools.permutations(range(len(z)), 2):
        distance = naive_distance("euclidean", z[i].tolist(), z[j].tolist())
        if labels[i] == labels[j]:
            same.append(distance**2 / 2)
        elif distance < margin:
            different.append((margin - distance) ** 2 / 2)
    return mean(same) + mean(different)


class TestCriterion:
    Z = 0.3 * torch.randn(12, WIDTH, generator=torch.Generator().manual_seed(0))
    LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
    SAME = torch.tensor([1, 0, 0, 1, 0, 1])

    def test_logits(self):
        logits = [0.5, -1.0, 2.0, -0.25, 0.0, 3.0]
        same = [logit for logit, kind in zip(logits, self.SAME, strict=True) if kind]
        different = [logit for logit, kind in zip(logits, self.SAME, strict=True) if not kind]
        expected = {
            BinaryCrossEntropyLoss(): (lambda o: math.log1p(math.exp(-o)), lambda o: math.log1p(math.exp(o))),
            HingeLoss(margin=1.5): (lambda o: max(1.5 - o, 0.0), lambda o: max(1.5 + o, 0.0)),
        }
        for spec, (of_same, of_different) in expected.items():
            criterion = Criterion(spec.build(2, WIDTH))
            value = criterion(torch.tensor(logits), self.SAME)
            assert value.item() == pytest.approx(
                mean(map(of_same, same)) + mean(map(of_different, different))
            )
            assert criterion.n_active.item() == 6

    def test_rows(self):
        criterion = Criterion(ContrastiveLoss(margin=0.5).build(3, WIDTH))
        expected = naive_contrastive(self.Z[:6], self.LABELS)
        assert criterion(self.Z[:6], self.LABELS).item() == pytest.approx(expected, rel=1e-5)

    def test_rows_that_passed_two_towers_have_two_embeddings_of_one_class(self):
        criterion = Criterion(ContrastiveLoss(margin=0.5).build(3, WIDTH))
        expected = naive_contrastive(self.Z, [*self.LABELS, *self.LABELS])
        assert criterion(self.Z, self.LABELS).item() == pytest.approx(expected, rel=1e-5)

    def test_pairs(self):
        left, right = self.Z.chunk(2)
        distance = [
            naive_distance("euclidean", u.tolist(), v.tolist()) for u, v in zip(left, right, strict=True)
        ]
        of_same = mean(d**2 / 2 for d, same in zip(distance, self.SAME, strict=True) if same)
        within = [d for d, same in zip(distance, self.SAME, strict=True) if not same and d < 2.0]
        criterion = Criterion(ContrastiveLoss(margin=2.0).build(3, WIDTH))
        expected = of_same + mean((2.0 - d) ** 2 / 2 for d in within)
        assert criterion((left, right), self.SAME).item() == pytest.approx(expected, rel=1e-5)

    def test_triplets(self):
        sides = self.Z.chunk(3)
        cost = [
            naive_distance("euclidean", a.tolist(), p.tolist())
            - naive_distance("euclidean", a.tolist(), n.tolist())
            for a, p, n in zip(*sides, strict=True)
        ]
        criterion = Criterion(TripletLoss(margin=0.4, distance="euclidean").build(3, WIDTH))
        expected = mean(c + 0.4 for c in cost if c + 0.4 > 0)
        assert criterion(sides, torch.zeros(4)).item() == pytest.approx(expected, rel=1e-5)

    def test_loss_that_does_not_tell_how_many_were_active(self):
        assert Criterion(nn.CosineEmbeddingLoss()).n_active is None


class TestCallbacks:
    def test_max_epochs_can_be_read(self):
        seen = []

        class Record(Callback):
            def on_train_begin(self, net, **kwargs):
                seen.append(net.max_epochs)

        make_embedder(max_epochs=2, callbacks=[Record()]).fit(X, Y)
        assert seen == [2]

    def test_given_ones_are_copied(self):
        class Count(Callback):
            n_batches = 0

            def on_batch_end(self, net, **kwargs):
                self.n_batches += 1

        given = Count()
        embedder = make_embedder(callbacks=[given, ("named", Count())]).fit(X, Y)
        assert given.n_batches == 0
        trained = dict(embedder.net_.callbacks_)
        assert trained["Count"].n_batches == trained["named"].n_batches == 9

    def test_callbacks_of_skorch_do_their_work(self):
        norms = []

        class Record(Callback):
            def on_grad_computed(self, net, **kwargs):
                norms[-1].append(sum(p.grad.square().sum() for p in net.module_.parameters()).sqrt().item())

        for clipping in ([], [GradientNormClipping(1e-3)]):
            norms.append([])
            train(make_net(callbacks=[*clipping, Record()]), make_run(1))
        free, clipped = norms
        assert len(free) == len(clipped) == 3
        assert min(free) > 2e-3
        assert max(clipped) < 1.001e-3

    def test_name_that_is_taken(self):
        with pytest.raises(ValueError, match=r"look at `net_params`, `callbacks` and `optimizer`: .*monitor"):
            make_net(callbacks=[("monitor", Callback())])


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
        # skorch moves what is under this key to a device that exists; a tensor anywhere else would not load.
        embedder = make_embedder(early_stopping=True, callbacks=[EarlyStopping(monitor="train_loss")]).fit(
            X, Y
        )
        state = embedder.net_.__getstate__()
        moved = state.pop("__cuda_dependent_attributes__")
        assert b"_rebuild_tensor" in moved
        assert b"_rebuild_tensor" not in pickle.dumps(state)
        others = {name: value for name, value in vars(embedder).items() if name != "net_"}
        assert b"_rebuild_tensor" not in pickle.dumps(others)

    def test_loaded_net_goes_on_as_the_saved_one_would(self):
        saved = make_embedder(warm_start=True).fit(X, Y)
        loaded = pickle.loads(pickle.dumps(saved))
        assert loaded.net_.module is loaded.net_.module_
        assert loaded.net_.criterion is loaded.net_.criterion_
        assert np.array_equal(loaded.fit(X, Y).transform(X), saved.fit(X, Y).transform(X))
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
        # Batches of 16 in training mode; a look at 8 rows, and the embedding of all, in evaluation mode.
        epoch = [(True, True)] * 3 + [(False, False)]
        assert [*epoch, *epoch, (True, False), *epoch] == modes


def test_batches_of_given_pairs_pass_through_training():
    pairs = Rows(X, X[::-1].copy(), device=CPU)
    same = torch.from_numpy((Y[::-1] == Y).astype(np.int64))
    seen = []

    def augment(side):
        seen.append(side.shape)
        return side

    net = make_net()
    kept = np.arange(45)
    run = TrainingRun(pairs, same, kept, ShuffledBatches(45, 20), np.random.default_rng(0), 2, augment)
    train(net, run)
    assert len(net.history) == 2
    assert seen == [(15, 4)] * 12  # two sides, three batches, two epochs
    assert len(run) == 45


def test_only_the_kept_rows_are_trained_on():
    x = X.copy()
    x[:, 0] = np.arange(48)
    seen = []

    def augment(batch):
        seen.extend(batch[:, 0].tolist())
        return batch

    run = make_run(1, x=x, augment=augment)
    run.kept = np.arange(5, 41)
    run.batches = BalancedBatches(Y[5:41], 16)
    targets = torch.cat([target for _, target in run.epoch()])
    assert sorted(seen) == list(range(5, 41))
    assert targets.tolist() == [Y[int(row)] for row in seen]


def numbered():
    """The rows with their numbers in the first column."""
    x = X.copy()
    x[:, 0] = np.arange(48)
    return x


class TestBatchesOfPairs:
    """Pairs of labelled rows, made in the batch."""

    def run(self, n_epochs=1, kept=None, x=X, **changes):
        kept = np.arange(48) if kept is None else kept
        run = make_run(n_epochs, x=x, **changes)
        run.kept, run.batches = kept, PairedBatches(Y[kept], 16)
        return run

    def test_sides_and_target_follow_the_row_numbers(self):
        kept = np.random.default_rng(0).permutation(48)[:37]
        run, laid_out = self.run(kept=kept, x=numbered()), PairedBatches(Y[kept], 16)
        batches = list(run.epoch())
        positions = list(laid_out.epoch(np.random.default_rng(0)))
        assert len(batches) == len(positions) == laid_out.n_batches
        for ((left, right), same), (i, j) in zip(batches, positions, strict=True):
            assert left.numpy().tolist() == [numbered()[kept[row]].tolist() for row in i]
            assert right.numpy().tolist() == [numbered()[kept[row]].tolist() for row in j]
            assert same.tolist() == [int(Y[kept[a]] == Y[kept[b]]) for a, b in zip(i, j, strict=True)]
            assert same.dtype == torch.int64

    def test_each_side_is_augmented_by_itself(self):
        seen = []

        def augment(side):
            seen.append(side[:, 0].tolist())
            return side + 100

        batches = list(self.run(x=numbered(), augment=augment).epoch())
        sides = [side for batch, _ in batches for side in batch]
        assert [(side[:, 0] - 100).tolist() for side in sides] == seen
        lefts = [row for rows in seen[::2] for row in rows]
        assert sorted(lefts) == list(range(48))

    def test_a_batch_is_a_copy(self):
        x = X.copy()
        for (left, right), _ in self.run(x=x).epoch():
            left.fill_(-1.0)
            right.fill_(-1.0)
        assert np.array_equal(x, X)

    @pytest.mark.parametrize("spec", [BinaryCrossEntropyLoss(), HingeLoss()], ids=repr)
    def test_two_channels_learn_from_them(self, spec):
        net = make_net(spec.build(3, WIDTH), network=two_channels(), lr=0.05)
        with seeded(0, CPU):  # the order of the two sides is random
            train(net, self.run(25))
        history = net.history[:, "train_loss"]
        assert np.mean(history[-5:]) < 0.8 * np.mean(history[:5])
        assert len(net.history[-1]["batches"]) == PairedBatches(Y, 16).n_batches
        rows = Rows(X, device=CPU)
        row, column = np.divmod(np.arange(48 * 48), 48)
        score = score_codes(net, rows, rows, row, column)
        assert score[Y[row] == Y[column]].mean() > score[Y[row] != Y[column]].mean()

    @pytest.mark.parametrize("network", [two_towers, lambda: SiameseNetwork(small_tower(), WIDTH)])
    def test_networks_with_embeddings_learn_from_them_too(self, network):
        net = make_net(ContrastiveLoss(margin=1.0).build(3, WIDTH), network=network())
        train(net, self.run(10))
        assert net.history[-1]["train_loss"] < 0.8 * net.history[0]["train_loss"]


def test_two_towers_learn_from_rows():
    net = make_net(ContrastiveLoss(margin=1.0).build(3, WIDTH), network=two_towers())
    before = [copy.deepcopy(tower.state_dict()) for tower in net.module_.towers]
    train(net, make_run(10))
    assert net.history[-1]["train_loss"] < 0.8 * net.history[0]["train_loss"]
    for tower, old in zip(net.module_.towers, before, strict=True):
        assert not same_state(tower.state_dict(), old)


class TestEmbedOfASide:
    @pytest.mark.parametrize("side", [0, 1])
    def test_two_towers(self, side):
        net, rows = make_net(network=two_towers()), Rows(X, device=CPU)
        with torch.no_grad():
            z = net.module_.towers[side].eval()(torch.from_numpy(X.copy()))
        expected = (z / z.norm(dim=1, keepdim=True)).numpy()
        np.testing.assert_allclose(embed(net, rows, side), expected, rtol=1e-5, atol=1e-6)
        rows.rows_at_once = 7
        np.testing.assert_allclose(embed(net, rows, side), expected, rtol=1e-5, atol=1e-6)

    def test_one_tower_has_no_sides(self):
        net, rows = make_net(), Rows(X, device=CPU)
        assert np.array_equal(embed(net, rows, 0), embed(net, rows, 1))
        assert not np.allclose(embed(make_net(network=two_towers()), rows, 1), embed(net, rows, 1))
