"""The part of an embedding that comes from the input: values worked out by hand, and
where the network puts it.
"""

import copy
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from siamese_sklearn import CNNTower, MLPTower
from siamese_sklearn.distances import normalize
from siamese_sklearn.towers import InputPath, SiameseNetwork
from siamese_sklearn.towers._architecture import make_network

seeds = st.integers(0, 1000)


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small_path(d=4, width=3, weight=0.3):
    return InputPath(rows(d, seed=1), rows(d, width - 1, seed=2), 0.7, weight)


def small_network(path, n_components=5):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tower = nn.Sequential(nn.Flatten(), nn.Linear(4, n_components - path.width))
    return SiameseNetwork(tower, n_components, input_path=path)


def squared_distances(x):
    return torch.cdist(x, x).square()


class TestValues:
    def test_by_hand(self):
        """Minus the mean: (3, 0, -1); mapped: (3 + 0 - 1, 0 + 0 - 2) = (2, -2); with
        the constant 1: (2, -2, 1), whose length is 3.
        """
        projection = torch.tensor([[1.0, 0.0], [5.0, 7.0], [1.0, 2.0]])
        path = InputPath(torch.tensor([1.0, 2.0, 3.0]), projection, 1.0)
        found = path(torch.tensor([[4.0, 2.0, 2.0]]))
        assert_close(found, torch.tensor([[2.0, -2.0, 1.0]]) / 3)
        assert path.width == 3

    def test_the_constant_keeps_the_length_of_a_row(self):
        """(1) and (3) point the same way; with a constant of sqrt(3), the first has an
        angle of 60 degrees to the axis of the constant, so a cosine of 1/2 with it.
        """
        path = InputPath(torch.zeros(1), torch.ones(1, 1), math.sqrt(3))
        near, far, zero = path(torch.tensor([[1.0], [3.0], [0.0]]))
        assert_close(near, torch.tensor([0.5, math.sqrt(3) / 2]))
        assert_close(far, torch.tensor([math.sqrt(3) / 2, 0.5]))
        assert_close(zero, torch.tensor([0.0, 1.0]))

    @pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 3, 2)], ids=str)
    def test_rows_are_flattened(self, shape):
        path, x = small_path(6), rows(5, 6)
        assert torch.equal(path(x.reshape(5, *shape)), path(x))

    def test_beside_by_hand(self):
        """The row is (0) + constant, so (0, 1); a quarter of the squared distance is
        its, so it is halved, and the learned part is times sqrt(3/4).
        """
        path = InputPath(torch.zeros(1), torch.ones(1, 1), 2.0, 0.25)
        found = path.beside(torch.tensor([[0.6, 0.8]]), torch.zeros(1, 1))
        share = math.sqrt(0.75)
        assert_close(found, torch.tensor([[0.0, 0.5, 0.6 * share, 0.8 * share]]))

    @pytest.mark.parametrize("weight", [0.0, 1.0])
    def test_all_or_nothing(self, weight):
        path, x, learned = small_path(weight=weight), rows(5, 4), rows(5, 2)
        parts = path.beside(learned, x).split([3, 2], dim=1)
        kept = path(x)
        assert_close(parts[0], weight * kept)
        assert_close(parts[1], (1 - weight) * learned)

    @settings(max_examples=50)
    @given(
        weight=st.floats(0, 1),
        d=st.integers(1, 6),
        width=st.integers(2, 5),
        n_learned=st.integers(1, 5),
        seed=seeds,
    )
    def test_squared_distances_are_weighted_means(
        self, weight, d, width, n_learned, seed
    ):
        path = InputPath(rows(d), rows(d, width - 1, seed=1), 0.5, weight).double()
        x = rows(6, d, seed=seed).double()
        learned = normalize(rows(6, n_learned, seed=seed + 1).double())
        joined = path.beside(learned, x)
        assert joined.shape == (6, width + n_learned)
        assert_close(joined.norm(dim=1), torch.ones(6).double())
        share = path.weight
        expected = share * squared_distances(path(x)) + (1 - share) * squared_distances(
            learned
        )
        assert_close(squared_distances(joined), expected, rtol=1e-9, atol=1e-9)


class TestInTheNetwork:
    def test_stands_before_the_tower_outside_of_training_only(self):
        path, x = small_path(), rows(6, 4)
        network = small_network(path)
        learned = normalize(network.tower(x))
        assert torch.equal(network.train()(x), learned)
        assert torch.equal(network.eval()(x), path.beside(learned, x))
        for found in network((x, x + 1)):
            assert found.shape == (6, 5)

    def test_gradients_in_training_are_those_without_it(self):
        x, loss_weights = rows(6, 4), rows(6, 2, seed=3)
        found = []
        for path in (small_path(), None):
            network = small_network(small_path()).train()
            network.input_path = path
            (network(x) * loss_weights).sum().backward()
            found.append([p.grad for p in network.parameters()])
        assert len(found[0]) == 2
        assert all(torch.equal(*grads) for grads in zip(*found, strict=True))
        assert all((grad != 0).any() for grad in found[0])

    def test_has_nothing_to_train(self):
        path = small_path()
        assert list(path.parameters()) == []
        assert set(path.state_dict()) == {"mean", "projection", "constant", "weight"}

    @pytest.mark.parametrize("tower", [MLPTower(hidden_layer_sizes=(4,)), "auto"])
    @pytest.mark.parametrize("shape", [(4,), (6, 5)], ids=str)
    def test_n_components_counts_both(self, tower, shape):
        if len(shape) > 1 and tower != "auto":
            tower = CNNTower(channels=(4,))
        x = rows(9, *shape)
        network = make_network(
            "siamese",
            tower,
            lambda: iter([(x,)]),
            8,
            normalize=True,
            input_path=small_path(math.prod(shape), width=3),
        )
        assert network.train()(x).shape == (9, 5)
        embeddings = network.eval()(x)
        assert embeddings.shape == (9, 8)
        assert network.n_components == 8
        assert_close(embeddings.norm(dim=1), torch.ones(9))

    def test_a_callable_is_asked_for_the_components_that_are_left(self):
        asked = []

        def tower(input_shape, n_components):
            asked.append((input_shape, n_components))
            return nn.Linear(*input_shape, n_components)

        make_network(
            "siamese",
            tower,
            lambda: iter([(rows(9, 4),)]),
            8,
            normalize=True,
            input_path=small_path(width=3),
        )
        assert asked == [((4,), 5)]

    def test_a_tower_that_writes_into_its_input(self):
        class Doubled(nn.Linear):
            def forward(self, x):
                return super().forward(x.mul_(2))

        x = rows(6, 4)
        before, path = x.clone(), small_path()
        network = SiameseNetwork(Doubled(4, 2), 5, input_path=path).eval()
        with torch.no_grad():
            found = network(x)
        assert torch.equal(x, before)
        assert torch.equal(found[:, :3], path.weight.sqrt() * path(before))


class TestStorage:
    @pytest.mark.parametrize(
        "copied",
        [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))],
        ids=["deepcopy", "pickle"],
    )
    def test_copies_embed_alike_and_share_nothing(self, copied):
        x, network = rows(6, 4), small_network(small_path()).eval()
        before = network(x)
        other = copied(network)
        assert torch.equal(other(x), before)
        assert other.input_path.width == 3
        other.input_path.weight.fill_(0.9)
        other.input_path.projection.zero_()
        assert torch.equal(network(x), before)

    def test_state_is_restored(self):
        x, one = rows(6, 4), small_network(small_path(weight=0.1)).eval()
        other = small_network(InputPath(torch.zeros(4), torch.zeros(4, 2), 1.0)).eval()
        assert not torch.allclose(other(x), one(x))
        other.load_state_dict(one.state_dict())
        assert torch.equal(other(x), one(x))

    def test_dtype_follows_the_network(self):
        network = small_network(small_path()).double().eval()
        assert network(rows(6, 4).double()).dtype == torch.float64
