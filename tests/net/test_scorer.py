"""Embeddings of a net, and the scores of pairs of them, against naive forms."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse
from skorch.callbacks import Callback
from torch import nn

from nets import (
    CPU,
    KINDS,
    NUMBERS,
    WIDTH,
    DropoutHead,
    X,
    embeddings_of,
    make_net,
    make_run,
    naive_distance,
    small_tower,
    train,
    two_channels,
    two_towers,
)
from siamese_sklearn import ContrastiveLoss, TripletLoss
from siamese_sklearn._net import (
    DistanceScorer,
    Rows,
    _scorer,
    embed,
    embedding_distance,
    make_scorer,
)
from siamese_sklearn._net._scorer import HeadScorer, PairNetworkScorer
from siamese_sklearn.distances import DISTANCES
from siamese_sklearn.heads import DistanceHead
from siamese_sklearn.losses import BinaryCrossEntropyLoss, HammingTripletLoss, HingeLoss
from siamese_sklearn.towers import SiameseNetwork, TwoChannelNetwork


def trained(module):
    """What `embed` looks at of a net: the network, and a loss."""
    return SimpleNamespace(module_=module, criterion_=TripletLoss().build(2, WIDTH))


class TestEmbed:
    @pytest.mark.parametrize("n_rows", [1, 2048, 2049, 5000])
    def test_slices_are_put_together(self, n_rows):
        x = np.random.default_rng(2).normal(size=(n_rows, 4)).astype(np.float32)
        module = SiameseNetwork(small_tower(), WIDTH, normalize=True).eval()
        with torch.no_grad():
            whole = module(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(
            embed(trained(module), Rows(x, device=CPU)), whole, atol=1e-6
        )

    @pytest.mark.parametrize(
        ("shape", "sizes"),
        [
            ((1, 4), [64]),
            ((64, 4), [64]),
            ((65, 4), [128]),
            ((2049, 4), [2048, 64]),
            ((5, 2, 2), [5]),
        ],
    )
    def test_flat_rows_pass_in_whole_groups(self, shape, sizes):
        """So that what a row is beside does not change how its matrix products are
        rounded.
        """
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
        assert np.array_equal(
            embed(trained(module), rows), embed(trained(module), rows)
        )

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
        net = make_net(TripletLoss(distance=distance).build(3, WIDTH))
        assert embedding_distance(net) == DISTANCES[expected]

    def test_distance_of_a_loss_that_names_none(self):
        assert (
            embedding_distance(make_net(nn.CosineEmbeddingLoss()))
            == DISTANCES["euclidean"]
        )


def randomized(loss):
    """A loss whose weights are of both signs, as after training."""
    with torch.no_grad():
        for number, weight in enumerate(loss.parameters()):
            weight.copy_(
                torch.randn(
                    weight.shape, generator=torch.Generator().manual_seed(number)
                )
            )
    return loss


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
        return make_net(
            BinaryCrossEntropyLoss().build(3, WIDTH), network=two_channels(WIDTH)
        )
    loss = (DISTANCE_LOSSES | HEAD_LOSSES)[name]
    return make_net(
        loss if isinstance(loss, nn.Module) else randomized(loss.build(3, WIDTH))
    )


def naive_score(name, net, u, v):
    """Score of one code with another."""
    if name in DISTANCE_LOSSES:
        return -naive_distance(name, u.tolist(), v.tolist())
    first, second = torch.from_numpy(u)[None], torch.from_numpy(v)[None]
    with torch.no_grad():
        if name in HEAD_LOSSES:
            return net.criterion_.head.eval()(first, second).item()
        orders = [torch.cat([first, second], dim=1), torch.cat([second, first], dim=1)]
        return sum(net.module_.tower(both).item() for both in orders) / 2


class CountedRows(Rows):
    """Rows of which few are taken at once, and which remember of how many that is."""

    at_once, taken = 1, ()

    def __init__(self, *sides, device):
        super().__init__(*sides, device=device)
        self.rows_at_once = self.at_once

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
        found = make_scorer(net).pairs(self.LEFT, self.RIGHT, row, column)
        assert (found.shape, found.dtype) == ((23,), np.float32)
        expected = [
            naive_score(name, net, self.LEFT[i], self.RIGHT[j])
            for i, j in zip(row, column, strict=True)
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("name", SCORED)
    def test_all_with_all(self, name):
        net = scoring_net(name)
        found = make_scorer(net).cross(self.LEFT, self.RIGHT)
        assert (found.shape, found.dtype) == ((5, 7), np.float32)
        expected = [
            [naive_score(name, net, u, v) for v in self.RIGHT] for u in self.LEFT
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", SCORED)
    @pytest.mark.parametrize("at_once", [1, 3, 9])
    def test_slices_are_put_together(self, name, at_once, monkeypatch):
        scorer, (row, column) = (
            make_scorer(scoring_net(name)),
            np.divmod(np.arange(35), 7),
        )
        whole = scorer.pairs(self.LEFT, self.RIGHT, row, column)
        table = scorer.cross(self.LEFT, self.RIGHT)
        monkeypatch.setattr(_scorer, "Rows", CountedRows)
        monkeypatch.setattr(CountedRows, "at_once", at_once)
        monkeypatch.setattr(CountedRows, "taken", [])
        found = scorer.pairs(self.LEFT, self.RIGHT, row, column)
        assert max(CountedRows.taken) == at_once
        np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            scorer.cross(self.LEFT, self.RIGHT), table, rtol=1e-5, atol=1e-6
        )

    @pytest.mark.parametrize("room", [(1, 3), (4, 2)])
    def test_pairs_are_taken_by_the_side_that_has_less_room(self, room, monkeypatch):
        """As where one side is of images and the other of short rows."""
        scorer, rooms = make_scorer(scoring_net("euclidean")), iter(room)

        def rows(codes, device):
            made = CountedRows(codes, device=device)
            made.rows_at_once = next(rooms)
            return made

        monkeypatch.setattr(_scorer, "Rows", rows)
        monkeypatch.setattr(CountedRows, "taken", [])
        scorer.pairs(self.LEFT, self.RIGHT, *np.divmod(np.arange(35), 7))
        assert max(CountedRows.taken) == min(room)

    def test_no_pairs(self):
        none = np.empty(0, dtype=np.int64)
        assert make_scorer(scoring_net("euclidean")).pairs(
            self.LEFT, self.LEFT, none, none
        ).shape == (0,)

    @pytest.mark.parametrize("name", SCORED)
    def test_evaluation_mode(self, name):
        net, index = scoring_net(name), np.arange(5)
        scorer, pairs = (
            make_scorer(net),
            (self.LEFT, self.LEFT, index, index[::-1].copy()),
        )
        expected, table = scorer.pairs(*pairs), scorer.cross(self.LEFT, self.LEFT)
        for _ in range(2):
            net.module_.train()
            net.criterion_.train()
            assert np.array_equal(scorer.pairs(*pairs), expected)
            net.module_.train()
            net.criterion_.train()
            assert np.array_equal(scorer.cross(self.LEFT, self.LEFT), table)

    @pytest.mark.parametrize("name", SCORED)
    def test_which_are_distances(self, name):
        assert isinstance(make_scorer(scoring_net(name)), DistanceScorer) is (
            name in DISTANCE_LOSSES
        )

    def test_distance_head_of_the_user_keeps_its_distance(self):
        loss = BinaryCrossEntropyLoss(DistanceHead(WIDTH, "manhattan")).build(3, WIDTH)
        scorer = make_scorer(make_net(loss))
        assert isinstance(scorer, DistanceScorer)
        assert scorer.distance == DISTANCES["manhattan"]
        expected = [
            [-naive_distance("manhattan", u.tolist(), v.tolist()) for v in self.LEFT]
            for u in self.LEFT
        ]
        np.testing.assert_allclose(
            scorer.cross(self.LEFT, self.LEFT), expected, rtol=1e-5, atol=1e-6
        )

    @pytest.mark.parametrize("kind", ["images", "csr array", "memmap uint8"])
    def test_two_channels_take_all_kinds_of_rows(self, kind, tmp_path):
        given = KINDS[kind](tmp_path)
        network = TwoChannelNetwork(nn.Sequential(nn.Flatten(), two_channels(6).tower))
        scorer = make_scorer(
            make_net(BinaryCrossEntropyLoss().build(3, 6), network=network)
        )
        left, right = np.array([3, 3, 29, 0]), np.array([0, 3, 7, 3])
        x = torch.from_numpy(NUMBERS.astype(np.float32))
        with torch.no_grad():
            tower = network.tower[1]
            first, second = (
                tower(torch.cat([x[left], x[right]], 1)),
                tower(torch.cat([x[right], x[left]], 1)),
            )
        found = scorer.pairs(given, given, left, right)
        np.testing.assert_allclose(
            found, ((first + second) / 2)[:, 0].numpy(), rtol=1e-5, atol=1e-6
        )
        assert scorer.cross(given, given)[29, 7] == pytest.approx(found[2], rel=1e-5)


class TestScorer:
    """What a scorer says beside its scores."""

    X = np.random.default_rng(6).normal(size=(9, 4)).astype(np.float32)

    def scorer(self, name):
        """A scorer of rows of four numbers."""
        if name == "two channels":
            loss = BinaryCrossEntropyLoss().build(3, WIDTH)
            return make_scorer(make_net(loss, network=two_channels(4)))
        return make_scorer(scoring_net(name))

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("euclidean", DistanceScorer),
            ("module", DistanceScorer),
            ("distance head", DistanceScorer),
            ("difference", HeadScorer),
            ("from elsewhere", HeadScorer),
            ("two channels", PairNetworkScorer),
        ],
    )
    def test_is_one_of_three(self, name, kind):
        assert type(self.scorer(name)) is kind

    @pytest.mark.parametrize("name", SCORED)
    def test_codes_are_embeddings_or_the_rows(self, name):
        scorer = self.scorer(name)
        codes = scorer.codes(self.X, 0)
        if name == "two channels":
            assert codes is self.X
        else:
            np.testing.assert_array_equal(codes, embed(scorer.net, rows_of(self.X)))
            assert codes.shape == (9, WIDTH)

    @pytest.mark.parametrize("side", [0, 1])
    def test_codes_are_those_of_the_side(self, side):
        scorer = make_scorer(make_net(network=two_towers()))
        expected = embed(scorer.net, rows_of(self.X), side)
        np.testing.assert_array_equal(scorer.codes(self.X, side), expected)
        assert not np.allclose(scorer.codes(self.X, 1 - side), expected)

    @pytest.mark.parametrize("name", SCORED)
    def test_distances_fall_as_scores_rise(self, name):
        score = np.float32([-200.0, -3.0, -0.5, 0.0])
        if name not in DISTANCE_LOSSES:
            score = np.concatenate([score, np.float32([2.0, 200.0])])
        found = self.scorer(name).distance_of(score)
        if name in DISTANCE_LOSSES:
            expected = [-s for s in score.tolist()]
        else:  # minus the logarithm of the probability of "same", which underflows
            expected = [math.log1p(math.exp(-s)) for s in score.tolist()]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-30)
        assert (np.diff(found) < 0).all()

    @pytest.mark.parametrize("name", SCORED)
    def test_a_search_goes_by_the_distance_or_by_all_scores(self, name):
        scorer = self.scorer(name)
        if name in DISTANCE_LOSSES:
            assert scorer.searched_by == scorer.distance
        else:
            codes = scorer.codes(self.X, 0)
            table = scorer.searched_by(codes, codes)
            np.testing.assert_array_equal(table, scorer.cross(codes, codes))

    @pytest.mark.parametrize("name", SCORED)
    @pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
    def test_pairs_of_rows(self, name, kind):
        scorer, generator = self.scorer(name), np.random.default_rng(7)
        left, right = kind(self.X), kind(self.X[::-1].copy())
        pairs = generator.integers(9, size=(20, 2))
        found = scorer.rows(left, right, pairs)
        codes = scorer.codes(self.X, 0), scorer.codes(self.X[::-1].copy(), 1)
        expected = scorer.pairs(*codes, *pairs.T)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    def test_each_row_of_pairs_is_embedded_once(self, monkeypatch):
        scorer, embedded = self.scorer("euclidean"), []

        def count(net, rows, side=0):
            embedded.append((side, len(rows)))
            return embed(net, rows, side)

        monkeypatch.setattr(_scorer, "embed", count)
        pairs = np.array([[0, 3], [0, 4], [2, 3], [0, 3]])
        found = scorer.rows(self.X, self.X, pairs)
        assert embedded == [(0, 2), (1, 2)]
        assert found[0] == found[3]


def rows_of(x):
    return Rows(x, device=CPU)


class TestBits:
    """Losses on binary codes: what is embedded are the bits."""

    def net(self, **changes):
        return make_net(HammingTripletLoss().build(3, WIDTH), **changes)

    def test_bits_are_the_signs_of_the_embedding(self):
        net, plain = self.net(), make_net()
        bits, embeddings = embeddings_of(net), embeddings_of(plain)
        assert bits.dtype == np.float32
        assert np.array_equal(
            bits, [[1.0 if number > 0 else 0.0 for number in row] for row in embeddings]
        )
        assert 0 < bits.mean() < 1

    def test_scores_are_minus_the_number_of_bits_that_differ(self):
        net = self.net()
        bits, scorer = embeddings_of(net), make_scorer(net)
        expected = [
            [-sum(a != b for a, b in zip(u, v, strict=True)) for v in bits]
            for u in bits
        ]
        assert scorer.distance == DISTANCES["manhattan"]
        assert np.array_equal(scorer.cross(bits, bits), expected)
        row, column = np.divmod(np.arange(48 * 48), 48)
        assert np.array_equal(scorer.pairs(bits, bits, row, column), np.ravel(expected))

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


class TestEmbedOfASide:
    @pytest.mark.parametrize("side", [0, 1])
    def test_two_towers(self, side):
        net, rows = make_net(network=two_towers()), Rows(X, device=CPU)
        with torch.no_grad():
            z = net.module_.towers[side].eval()(torch.from_numpy(X.copy()))
        expected = (z / z.norm(dim=1, keepdim=True)).numpy()
        np.testing.assert_allclose(
            embed(net, rows, side), expected, rtol=1e-5, atol=1e-6
        )
        rows.rows_at_once = 7
        np.testing.assert_allclose(
            embed(net, rows, side), expected, rtol=1e-5, atol=1e-6
        )

    def test_one_tower_has_no_sides(self):
        net, rows = make_net(), Rows(X, device=CPU)
        assert np.array_equal(embed(net, rows, 0), embed(net, rows, 1))
        assert not np.allclose(
            embed(make_net(network=two_towers()), rows, 1), embed(net, rows, 1)
        )
