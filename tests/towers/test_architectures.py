"""Two towers, two channels: against the towers themselves, their symmetry, and the
scaling of their input.
"""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from seeds import torch_seed
from siamese_sklearn import CNNTower, MLPTower
from siamese_sklearn.distances import normalize
from siamese_sklearn.towers import (
    PseudoSiameseNetwork,
    SiameseNetwork,
    Standardize,
    TwoChannelNetwork,
)
from siamese_sklearn.towers._architecture import ARCHITECTURES, make_network
from siamese_sklearn.towers._siamese import stack_channels

ROW_SHAPES = [(3,), (4, 5), (2, 4, 5)]
SMALL = MLPTower(hidden_layer_sizes=(4,))

KINDS = {
    "siamese": SiameseNetwork,
    "pseudo_siamese": PseudoSiameseNetwork,
    "two_channel": TwoChannelNetwork,
}

seeds = st.integers(0, 1000)
each_shape = pytest.mark.parametrize("shape", ROW_SHAPES, ids=str)


@pytest.fixture(autouse=True)
def fixed_seed():
    """Layers that the tests make themselves draw their weights from torch's default
    generator.
    """
    with torch_seed():
        yield


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sides(n, shape, seed=0):
    """Left and right rows of different mean and spread, so that statistics tell them
    apart.
    """
    return rows(n, *shape, seed=seed) + 3, 5 * rows(n, *shape, seed=seed + 1) - 2


def flat_tower(width, n_components=1):
    """Linear tower with weights of its own for each number, so that no two orders give
    the same.
    """
    return nn.Sequential(nn.Flatten(), nn.Linear(width, n_components))


def slices_of(*data, size=7):
    """Callable that gives the data anew in slices of unequal size."""
    return lambda: (
        tuple(side[at : at + size] for side in data)
        for at in range(0, len(data[0]), size)
    )


def build(architecture, data, tower="auto", n_components=3, unit_norm=True):
    return make_network(
        architecture, tower, slices_of(*data), n_components, normalize=unit_norm
    )


def standardize_of(module):
    (layer,) = [layer for layer in module.modules() if isinstance(layer, Standardize)]
    return layer


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same_weights(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) for name in one
    )


class Negated(nn.Module):
    """Works in place on its input."""

    def __init__(self, n_components=3):
        super().__init__()
        self.n_components = n_components

    def forward(self, x):
        return x.neg_().flatten(1)[:, : self.n_components]


class TestPseudoSiamese:
    def network(self, left=None, right=None, unit_norm=False, may_write=True):
        left = nn.Linear(4, 3) if left is None else left
        right = nn.Linear(4, 3) if right is None else right
        return PseudoSiameseNetwork(
            left, right, 3, normalize=unit_norm, may_write=may_write
        )

    @pytest.mark.parametrize("unit_norm", [False, True])
    @pytest.mark.parametrize("training", [False, True])
    def test_each_side_passes_its_own_tower(self, unit_norm, training):
        left, right = nn.Linear(4, 3), flat_tower(10, 3)
        network = self.network(left, right, unit_norm).train(training)
        table, images = rows(6, 4), rows(6, 2, 5)
        expected = left(table), right(images)
        if unit_norm:
            expected = tuple(z / z.norm(dim=1, keepdim=True) for z in expected)
        found = network((table, images))
        assert isinstance(found, tuple)
        for side, (z, x) in enumerate(zip(found, (table, images), strict=True)):
            assert_close(z, expected[side])
            assert_close(network.embed(x, side), expected[side])
        assert_close(network.embed(table), expected[0])

    def test_rows_pass_both_towers_the_left_one_first(self):
        left, right = nn.Linear(4, 3), nn.Linear(4, 3)
        x = rows(5, 4)
        found = self.network(left, right)(x)
        assert found.shape == (10, 3)
        assert_close(found, torch.cat([left(x), right(x)]))
        assert not torch.allclose(found[:5], found[5:])

    def test_a_side_trains_its_own_tower_only(self):
        network = self.network()
        network((rows(5, 4), rows(5, 4, seed=1)))[1].square().sum().backward()
        left, right = network.towers
        assert left.weight.grad is None
        assert right.weight.grad.abs().sum() > 0

    def test_batch_statistics_are_those_of_the_side(self):
        network = self.network(nn.BatchNorm1d(3), nn.BatchNorm1d(3))
        pair = sides(8, (3,))
        for z, side in zip(network(pair), pair, strict=True):
            assert_close(
                z, (side - side.mean(0)) / torch.sqrt(side.var(0, correction=0) + 1e-5)
            )

    def test_embeds_after_pickling_and_copying(self):
        network, pair = self.network(unit_norm=True), (rows(5, 4), rows(5, 4, seed=1))
        for other in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
            assert all(map(torch.equal, other(pair), network(pair)))
            assert other.n_components == 3


@pytest.mark.parametrize("architecture", ["siamese", "pseudo_siamese"])
@pytest.mark.parametrize("side", [0, 1])
class TestTowersThatWrite:
    def build(self, architecture, may_write):
        options = {"normalize": False, "may_write": may_write}
        if architecture == "siamese":
            return SiameseNetwork(Negated(), 3, **options).eval()
        return PseudoSiameseNetwork(Negated(), Negated(), 3, **options).eval()

    def test_into_their_input_get_a_copy(self, architecture, side):
        network, x = self.build(architecture, may_write=True), rows(5, 3)
        assert torch.equal(network.embed(x, side), -rows(5, 3))
        assert torch.equal(x, rows(5, 3))
        network(x)
        network((x, x))
        assert torch.equal(x, rows(5, 3))

    def test_no_copy_is_made_for_others_or_in_training(self, architecture, side):
        for network in (
            self.build(architecture, False),
            self.build(architecture, True).train(),
        ):
            x = rows(5, 3)
            network.embed(x, side)
            assert torch.equal(x, -rows(5, 3))


def naive_stack(left, right):
    """Row by row, channel by channel."""
    if left.ndim == 2:
        return torch.stack(
            [torch.tensor([*a, *b]) for a, b in zip(left, right, strict=True)]
        )
    channels = []
    for a, b in zip(left, right, strict=True):
        images = [a, b] if a.ndim == 2 else [*a, *b]
        channels.append(torch.stack(images))
    return torch.stack(channels)


class TestStackChannels:
    @pytest.mark.parametrize(
        ("shape", "stacked"),
        [((3,), (6,)), ((4, 5), (2, 4, 5)), ((2, 4, 5), (4, 4, 5))],
        ids=str,
    )
    def test_left_before_right(self, shape, stacked):
        left, right = sides(6, shape)
        found = stack_channels(left, right)
        assert found.shape == (6, *stacked)
        assert torch.equal(found, naive_stack(left, right))

    @each_shape
    def test_is_a_copy(self, shape):
        left, right = sides(6, shape)
        before = left.clone(), right.clone()
        stack_channels(left, right).fill_(0.0)
        assert torch.equal(left, before[0])
        assert torch.equal(right, before[1])


class TestTwoChannel:
    def network(self, shape, training=False):
        return TwoChannelNetwork(flat_tower(2 * math.prod(shape))).train(training)

    def in_order(self, network, left, right):
        """Logits of pairs as they stand, one by one."""
        return torch.cat(
            [
                network.tower(naive_stack(a[None], b[None]))[0]
                for a, b in zip(left, right, strict=True)
            ]
        )

    @each_shape
    def test_mean_of_both_orders_in_evaluation(self, shape):
        network, (left, right) = self.network(shape), sides(6, shape)
        first, second = (
            self.in_order(network, left, right),
            self.in_order(network, right, left),
        )
        assert not torch.allclose(first, second)
        assert network((left, right)).shape == (6,)
        assert_close(network((left, right)), (first + second) / 2)

    @pytest.mark.slow
    @settings(max_examples=30)
    @given(
        shape=st.sampled_from(ROW_SHAPES),
        n=st.integers(1, 9),
        seed=seeds,
        builtin=st.booleans(),
    )
    def test_symmetric_in_evaluation(self, shape, n, seed, builtin):
        data = sides(n, shape, seed)
        tower = "auto" if builtin else flat_tower(2 * math.prod(shape))
        network = build("two_channel", sides(5, shape), tower).eval()
        left, right = data
        assert torch.equal(network((left, right)), network((right, left)))
        assert torch.equal(network(left), network((left, left)))

    def test_one_order_each_in_training_and_both_come(self):
        """Either order has chance 1/2: of 400 pairs 200 with a deviation of 10."""
        network = self.network((3,), training=True).double()
        left, right = (side.double() for side in sides(400, (3,)))
        first, second = (
            self.in_order(network, left, right),
            self.in_order(network, right, left),
        )
        torch.manual_seed(0)
        found, again = network((left, right)), network((left, right))
        torch.manual_seed(0)
        repeated = network((left, right))
        is_first, is_second = torch.isclose(found, first), torch.isclose(found, second)
        assert (is_first ^ is_second).all()
        assert abs(int(is_first.sum()) - 200) < 5 * 10
        assert not torch.equal(again, found)
        assert torch.equal(repeated, found)

    @each_shape
    def test_whole_rows_change_sides(self, shape):
        network = self.network(shape, training=True).double()
        left, right = (side.double() for side in sides(30, shape))
        orders = torch.stack(
            [self.in_order(network, left, right), self.in_order(network, right, left)]
        )
        assert torch.isclose(network((left, right)), orders).any(0).all()

    def test_a_tower_that_writes_into_its_input(self):
        network = TwoChannelNetwork(Negated(1)).eval()
        left, right = sides(4, (3,))
        before = left.clone(), right.clone()
        assert_close(network((left, right)), -(left[:, 0] + right[:, 0]) / 2)
        assert torch.equal(left, before[0])
        assert torch.equal(right, before[1])

    def test_gradients_reach_both_sides(self):
        left, right = (side.requires_grad_() for side in sides(4, (3,)))
        self.network((3,))((left, right)).sum().backward()
        assert torch.equal(left.grad, right.grad)
        assert (left.grad != 0).all()

    def test_has_no_embedding(self):
        network = self.network((3,))
        assert network.n_components == 0
        assert not hasattr(network, "embed")

    def test_scores_after_pickling_and_copying(self):
        network, pair = self.network((3,)), sides(5, (3,))
        for other in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
            assert torch.equal(other(pair), network(pair))


def check_statistics(layer, *stacks, axis=0):
    """Compare with mean and standard deviation of all rows of the stacks together, in
    float64.
    """
    together = np.concatenate([stack.double().numpy() for stack in stacks])
    mean, scale = together.mean(axis), together.std(axis)
    np.testing.assert_allclose(layer.mean.numpy().ravel(), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        1 / layer.inverse_scale.numpy().ravel(), scale, rtol=1e-5
    )


class TestStandardizeStatistics:
    def test_shared_tower_sees_all_sides(self):
        for data in (
            sides(20, (3,)),
            (*sides(20, (3,)), rows(20, 3, seed=5) - 9),
            (rows(20, 3),),
        ):
            check_statistics(standardize_of(build("siamese", data)), *data)

    def test_each_of_two_towers_sees_its_side(self):
        left, right = sides(20, (3,))
        towers = build("pseudo_siamese", (left, right)).towers
        for tower, side in zip(towers, (left, right), strict=True):
            check_statistics(standardize_of(tower), side)

    def test_both_towers_see_rows(self):
        x = rows(20, 3)
        for tower in build("pseudo_siamese", (x,)).towers:
            check_statistics(standardize_of(tower), x)

    @pytest.mark.slow
    @settings(max_examples=30)
    @given(
        n=st.integers(2, 20), d=st.integers(1, 4), seed=seeds, size=st.integers(1, 21)
    )
    def test_two_channels_see_pairs_in_both_orders(self, n, d, seed, size):
        left, right = sides(n, (d,), seed)
        network = make_network(
            "two_channel", SMALL, slices_of(left, right, size=size), 3, normalize=True
        )
        layer = standardize_of(network)
        check_statistics(layer, naive_stack(left, right), naive_stack(right, left))
        for statistic in (layer.mean, layer.inverse_scale):
            assert_close(statistic[:d], statistic[d:])
        check_statistics(
            standardize_of(build("siamese", (torch.cat([left, right]),), SMALL)),
            left,
            right,
        )

    @pytest.mark.parametrize("shape", [(6, 5), (2, 6, 5)], ids=str)
    def test_two_channels_of_images(self, shape):
        left, right = sides(20, shape)
        layer = standardize_of(
            build("two_channel", (left, right), CNNTower(channels=(4,)))
        )
        assert layer.mean.shape == (2 * math.prod(shape[:-2]), 1, 1)
        check_statistics(
            layer, naive_stack(left, right), naive_stack(right, left), axis=(0, 2, 3)
        )

    def test_rows_are_stacked_with_themselves(self):
        x = rows(20, 3)
        check_statistics(standardize_of(build("two_channel", (x,))), naive_stack(x, x))


class TestMakeNetwork:
    def test_all_are_here(self):
        assert set(ARCHITECTURES) == set(KINDS)

    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    @pytest.mark.parametrize("shape", [(3,), (6, 5), (2, 6, 5)], ids=str)
    @pytest.mark.parametrize("n_sides", [1, 2])
    def test_output(self, architecture, shape, n_sides):
        data = sides(9, shape)[:n_sides]
        network = build(architecture, data)
        assert type(network) is KINDS[architecture]
        assert any(isinstance(layer, nn.Conv2d) for layer in network.modules()) == (
            len(shape) > 1
        )
        output = network(data if n_sides == 2 else data[0])
        if architecture == "two_channel":
            assert output.shape == (9,)
        elif n_sides == 2:
            assert [z.shape for z in output] == [(9, 3)] * 2
        else:
            assert output.shape == (
                (18, 3) if architecture == "pseudo_siamese" else (9, 3)
            )

    @pytest.mark.parametrize("architecture", ["siamese", "pseudo_siamese"])
    @pytest.mark.parametrize("unit_norm", [False, True])
    @pytest.mark.parametrize("n_components", [1, 3])
    def test_unit_norm_but_on_a_line(self, architecture, unit_norm, n_components):
        x = rows(9, 4)
        network = build(architecture, (x,), SMALL, n_components, unit_norm).eval()
        norm = network.embed(x).norm(dim=1)
        assert torch.allclose(norm, torch.ones(9)) == (unit_norm and n_components > 1)
        assert network.n_components == n_components

    @pytest.mark.parametrize("tower", ["mlp", SMALL], ids=repr)
    def test_two_towers_of_one_spec_have_weights_of_their_own(self, tower):
        left, right = build("pseudo_siamese", (rows(9, 4),), tower).towers
        assert repr(left) == repr(right)
        pairs = list(zip(left.parameters(), right.parameters(), strict=True))
        assert not any(one.data_ptr() == other.data_ptr() for one, other in pairs)
        assert any(not torch.equal(one, other) for one, other in pairs)

    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_a_module_is_copied(self, architecture):
        tower = flat_tower(8 if architecture == "two_channel" else 4, 1)
        before = weights(tower)
        network = build(architecture, (rows(9, 4),), tower, n_components=1)
        towers = network.towers if architecture == "pseudo_siamese" else [network.tower]
        assert all(same_weights(weights(built), before) for built in towers)
        with torch.no_grad():
            for built in towers:
                built[1].weight += 1
                assert same_weights(weights(tower), before)
        if architecture == "pseudo_siamese":
            towers[0][1].weight.data.zero_()
            assert (towers[1][1].weight != 0).all()

    def test_different_towers_for_different_sides(self):
        images, table = rows(9, 2, 6, 5), rows(9, 4)
        network = build(
            "pseudo_siamese", (images, table), (CNNTower(channels=(4,)), SMALL)
        )
        assert [z.shape for z in network((images, table))] == [(9, 3)] * 2
        found = [
            any(isinstance(layer, nn.Conv2d) for layer in tower.modules())
            for tower in network.towers
        ]
        assert found == [True, False]

    def test_auto_looks_at_each_side(self):
        images, table = rows(9, 6, 5), rows(9, 4)
        assert [
            z.shape for z in build("pseudo_siamese", (images, table))((images, table))
        ] == [(9, 3)] * 2

    @pytest.mark.parametrize(
        ("architecture", "shape", "asked"),
        [
            ("siamese", (6, 5), [((6, 5), 3)]),
            ("pseudo_siamese", (6, 5), [((6, 5), 3)] * 2),
            ("two_channel", (4,), [((8,), 1)]),
            ("two_channel", (6, 5), [((2, 6, 5), 1)]),
            ("two_channel", (2, 6, 5), [((4, 6, 5), 1)]),
        ],
    )
    def test_what_a_callable_is_asked_for(self, architecture, shape, asked):
        calls = []

        def tower(input_shape, n_components):
            calls.append((input_shape, n_components))
            return flat_tower(math.prod(input_shape), n_components)

        build(architecture, sides(9, shape), tower)
        assert calls == asked

    @pytest.mark.parametrize("architecture", ["siamese", "pseudo_siamese"])
    def test_only_towers_from_elsewhere_may_write(self, architecture):
        towers = [
            ("auto", False),
            ("mlp", False),
            (SMALL, False),
            (nn.Linear(4, 3), True),
        ]
        towers.append(
            (
                lambda input_shape, n_components: nn.Linear(*input_shape, n_components),
                True,
            )
        )
        if architecture == "pseudo_siamese":
            towers += [(("mlp", SMALL), False), (("mlp", nn.Linear(4, 3)), True)]
        for tower, may_write in towers:
            assert build(architecture, (rows(9, 4),), tower).may_write is may_write

    @pytest.mark.parametrize(
        ("architecture", "tower", "message"),
        [
            (
                "siamese",
                ("mlp", "mlp"),
                r'only with architecture="pseudo_siamese"; got a tuple of 2 with '
                r"architecture='siamese'",
            ),
            (
                "two_channel",
                ("mlp", "mlp"),
                r"; got a tuple of 2 with architecture='two_channel'",
            ),
            (
                "pseudo_siamese",
                ("mlp",),
                r"`tower` must .* two, \(left, right\), .*; got a tuple of 1\.",
            ),
            (
                "pseudo_siamese",
                ("mlp",) * 3,
                r"`tower` must .* two, \(left, right\), .*; got a tuple of 3\.",
            ),
            (
                "pseudo_siamese",
                ("mlp", "mpl"),
                r"`tower` must be one of .*'mpl'. Did you mean 'mlp'",
            ),
            (
                "pseudo_siamese",
                (nn.Linear(4, 3), nn.Linear(5, 3)),
                r"`tower` failed on rows of shape \(4,\)",
            ),
            (
                "two_channel",
                nn.Linear(4, 1),
                r'`tower` failed on pairs, stacked by architecture="two_channel" into '
                r"rows of shape \(8,\) \(a batch of shape \(2, 8\)\): mat1",
            ),
            (
                "two_channel",
                nn.Linear(8, 3),
                r"`tower` must map .* to logits of shape \(2, 1\); got \(2, 3\)\. With "
                r'architecture="two_channel", it .* one number; change its last layer',
            ),
            (
                "siamese",
                nn.Linear(4, 2),
                r"`tower` must map .* to embeddings of shape \(2, 3\); got \(2, 2\)\. "
                r"Set `n_components` to .*, or change its last layer",
            ),
        ],
    )
    def test_towers_that_do_not_fit(self, architecture, tower, message):
        with pytest.raises(ValueError, match=message):
            build(architecture, sides(9, (4,)), tower)

    def test_one_tower_for_sides_of_different_shape(self):
        with pytest.raises(ValueError, match=r"`tower` failed on rows of shape \(5,\)"):
            build("pseudo_siamese", (rows(9, 4), rows(9, 5)), nn.Linear(4, 3))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_normalized_embeddings_come_from_the_towers(architecture):
    """The whole way through a built network, spelled out in terms of its towers."""
    left, right = sides(9, (4,))
    network = build(architecture, (left, right), SMALL).eval()
    found = network((left, right))
    if architecture == "two_channel":
        orders = [
            network.tower(torch.cat(order, dim=1))[:, 0]
            for order in ((left, right), (right, left))
        ]
        assert_close(found, sum(orders) / 2)
        return
    towers = [network.tower] * 2 if architecture == "siamese" else network.towers
    for z, tower, side in zip(found, towers, (left, right), strict=True):
        assert_close(z, normalize(tower(side)))
