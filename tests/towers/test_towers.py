"""Towers: shapes, standardization, their specs and the network that shares one."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import clone
from torch import nn

from seeds import torch_seed
from siamese_sklearn import CNNTower, MLPTower, SiameseEmbedder
from siamese_sklearn.metrics import map_at_r
from siamese_sklearn.towers import TOWERS, SiameseNetwork, Standardize


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same_weights(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) for name in one
    )


class TestShapes:
    @pytest.mark.parametrize(
        "input_shape", [(1,), (7,), (28, 28), (3, 5, 6), (2, 3, 4, 5)]
    )
    @pytest.mark.parametrize("n_components", [1, 8])
    @pytest.mark.parametrize("hidden", [(), (16,), (16, 8)])
    def test_mlp(self, input_shape, n_components, hidden):
        tower = MLPTower(hidden_layer_sizes=hidden).build(input_shape, n_components)
        assert tower(rows(5, *input_shape)).shape == (5, n_components)

    @pytest.mark.parametrize(
        "input_shape",
        [
            (1, 1),
            (1, 9),
            (2, 2),
            (3, 3),
            (8, 8),
            (28, 28),
            (1, 1, 1),
            (3, 32, 20),
            (12, 5, 5),
            (1, 130, 97),
        ],
    )
    @pytest.mark.parametrize("n_components", [1, 8])
    def test_cnn(self, input_shape, n_components):
        tower = CNNTower(channels=(4, 4, 4)).build(input_shape, n_components)
        assert tower(rows(3, *input_shape)).shape == (3, n_components)

    def test_size_of_the_cnn_is_bounded_whatever_the_image(self):
        n_weights = {
            size: sum(p.numel() for p in CNNTower().build((size, size), 8).parameters())
            for size in (32, 64, 512)
        }
        assert n_weights[64] == n_weights[512] == n_weights[32]

    def test_number_of_mlp_weights(self):
        tower = MLPTower(hidden_layer_sizes=(5, 4)).build((3,), 2)
        assert sum(p.numel() for p in tower.parameters()) == (3 * 5 + 5) + (
            5 * 4 + 4
        ) + (4 * 2 + 2)

    def test_number_of_cnn_weights(self):
        tower = CNNTower(channels=(5, 7)).build((3, 8, 8), 2)
        # no bias; batch normalization has two numbers
        convolutions = 3 * 5 * 9 + 2 * 5 + 5 * 7 * 9 + 2 * 7
        linear = 7 * 2 * 2 * 2 + 2  # 8 x 8 is halved twice
        assert sum(p.numel() for p in tower.parameters()) == convolutions + linear

    def test_linear_mlp_is_a_linear_map_of_the_standard_scores(self):
        X = rows(20, 3)
        tower = MLPTower(hidden_layer_sizes=(), clip=math.inf, noise=0).build((3,), 2)
        tower[0].fit([X])
        by_hand = (X - X.mean(0)) / X.std(0, correction=0) @ tower[1].weight.T + tower[
            1
        ].bias
        torch.testing.assert_close(tower(X), by_hand)

    def test_cnn_runs_channels_last(self):
        tower = CNNTower(channels=(4, 8)).build((3, 8, 8), 2)
        seen = []
        tower[2].register_forward_hook(
            lambda module, inputs, output: seen.append((inputs[0], output))
        )
        tower(rows(5, 3, 8, 8))
        assert tower[2].weight.is_contiguous(memory_format=torch.channels_last)
        (before, after), *_ = seen
        assert before.is_contiguous(memory_format=torch.channels_last)
        assert after.is_contiguous(memory_format=torch.channels_last)

    def test_images_of_one_channel_are_the_same_with_and_without_its_axis(self):
        flat = CNNTower(channels=(4,)).build((8, 8), 2).eval()
        stacked = CNNTower(channels=(4,)).build((1, 8, 8), 2).eval()
        stacked.load_state_dict(flat.state_dict())
        X = rows(5, 8, 8)
        torch.testing.assert_close(flat(X), stacked(X[:, None]))

    @pytest.mark.parametrize(
        "spec", [MLPTower(dropout=0.5, noise=0), CNNTower(channels=(4,), dropout=0.5)]
    )
    def test_dropout_acts_in_training_only(self, spec):
        tower = spec.build((4, 4), 3)
        X = rows(6, 4, 4)
        assert not torch.equal(tower(X), tower(X))
        tower.eval()
        assert torch.equal(tower(X), tower(X))

    @pytest.mark.parametrize("spec", [MLPTower(), CNNTower()])
    def test_without_dropout_there_is_no_such_layer(self, spec):
        assert not any(
            isinstance(layer, nn.Dropout) for layer in spec.build((4, 4), 3).modules()
        )

    @pytest.mark.parametrize("spec", TOWERS.values())
    @pytest.mark.parametrize(
        ("name", "layer"),
        [("relu", nn.ReLU), ("gelu", nn.GELU), ("silu", nn.SiLU), ("tanh", nn.Tanh)],
    )
    def test_activation(self, spec, name, layer):
        tower = spec(activation=name).build((4, 4), 3)
        kinds = {type(module) for module in tower.modules()}
        assert layer in kinds
        assert not kinds & ({nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh} - {layer})


class TestStandardize:
    def test_columns(self):
        X = rows(50, 3) * torch.tensor([1.0, 100.0, 0.01]) + torch.tensor(
            [5.0, -3000.0, 0.0]
        )
        layer = Standardize((3,))
        layer.fit([X])
        table = X.numpy().astype(np.float64)
        expected = (table - table.mean(axis=0)) / table.std(axis=0)
        # float32 at 3000 +- 100
        np.testing.assert_allclose(layer(X), expected, atol=2e-3)
        np.testing.assert_allclose(layer.mean, table.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(
            1 / layer.inverse_scale, table.std(axis=0), rtol=1e-6
        )

    @pytest.mark.parametrize("with_axis", [True, False])
    def test_channels(self, with_axis):
        X = rows(20, 2, 5, 6) * torch.tensor([1.0, 9.0])[:, None, None] + 4
        given = X if with_axis else X[:, 0]
        layer = Standardize((2, 5, 6) if with_axis else (1, 5, 6))
        layer.fit([given])
        out = layer(given).numpy()
        assert out.shape == (20, 2 if with_axis else 1, 5, 6)
        for channel in range(out.shape[1]):
            values = X.numpy()[:, channel].astype(np.float64)
            expected = (values - values.mean()) / values.std()
            np.testing.assert_allclose(out[:, channel], expected, atol=1e-5)

    @pytest.mark.parametrize(
        "sizes", [[60], [30, 30], [1] * 60, [1, 59], [59, 1], [7, 20, 1, 32]]
    )
    @pytest.mark.parametrize("shape", [(3,), (2, 4, 5)])
    def test_statistics_are_those_of_all_rows_however_they_are_split(
        self, sizes, shape
    ):
        # In float32, a sum of squares at a mean of 1e4 would lose all digits of a
        # spread of 0.5.
        X = (
            0.5 * rows(60, *shape)
            + 1e4
            + torch.arange(shape[0]).reshape(-1, *(1 for _ in shape[1:]))
        )
        layer = Standardize(shape)
        # once through, as from a generator
        layer.fit(batch for batch in X.split(sizes))
        table = X.numpy().astype(np.float64)
        axes = (0, *range(2, table.ndim))
        np.testing.assert_allclose(layer.mean.ravel(), table.mean(axis=axes), rtol=1e-7)
        np.testing.assert_allclose(
            1 / layer.inverse_scale.ravel(), table.std(axis=axes), rtol=1e-6
        )

    @pytest.mark.slow
    @given(
        hnp.arrays(
            np.float32,
            st.tuples(st.integers(1, 12), st.just(2)),
            elements=st.floats(-100, 100, width=32),
        ),
        st.lists(st.integers(1, 11), unique=True),
    )
    def test_any_split_is_as_good_as_none(self, table, cuts):
        whole, parts = Standardize((2,)), Standardize((2,))
        whole.fit([torch.from_numpy(table)])
        parts.fit(
            torch.from_numpy(part)
            for part in np.split(table, sorted(cuts))
            if len(part)
        )
        np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-6, atol=1e-6)
        spread, level = table.std(axis=0, dtype=np.float64), np.abs(table).max(axis=0)
        # between, rounding decides what is constant
        precise = (spread > 1e-5 * level) | (spread == 0)
        np.testing.assert_allclose(
            parts.inverse_scale[precise], whole.inverse_scale[precise], rtol=1e-4
        )

    def test_constant_features_in_batches_are_centered_only(self):
        X = torch.tensor([[0.1, 1.0]]).repeat(11, 1)
        X[4, 1] = 3.0
        layer = Standardize((2,))
        layer.fit(X.split([1, 3, 7]))
        assert layer.inverse_scale[0] == 1.0
        assert layer.inverse_scale[1] != 1.0

    def test_constant_features_are_centered_only(self):
        X = torch.tensor([[3.0, 0.0, 1.0], [3.0, 0.0, 2.0]])
        layer = Standardize((3,))
        layer.fit([X])
        assert layer(X).tolist() == [[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]
        assert layer(torch.tensor([[5.0, -2.0, 1.5]])).tolist() == [[2.0, -2.0, 0.0]]

    def test_rounding_noise_counts_as_constant(self):
        X = torch.full((1000, 1), 1e6 / 3)
        X[0] = torch.nextafter(X[0], torch.tensor([1e9]))
        layer = Standardize((1,))
        layer.fit([X])
        assert layer.inverse_scale.item() == 1.0

    def test_denormal_features_stay_finite(self):
        X = torch.tensor([[1e-42], [3e-42]])
        layer = Standardize((1,))
        layer.fit([X])
        assert layer(torch.tensor([[0.0], [1.0]])).isfinite().all()

    def test_large_values_do_not_overflow_the_variance(self):
        X = torch.tensor([[1e30], [3e30]])
        layer = Standardize((1,))
        layer.fit([X])
        torch.testing.assert_close(layer(X), torch.tensor([[-1.0], [1.0]]))

    @pytest.mark.slow
    @given(
        hnp.arrays(
            np.float32,
            hnp.array_shapes(min_dims=2, max_dims=2),
            elements=st.floats(-1e6, 1e6, width=32),
        )
    )
    def test_scores_have_mean_0_and_spread_1_or_0(self, table):
        layer = Standardize((table.shape[1],))
        layer.fit([torch.from_numpy(table)])
        scores = layer(torch.from_numpy(table)).double().numpy()
        spread = table.astype(np.float64).std(axis=0)
        level = np.abs(table.astype(np.float64)).max(axis=0)
        # else float32 holds too few digits of the differences
        precise = spread > 1e-3 * level
        np.testing.assert_allclose(scores.mean(axis=0)[precise], 0, atol=1e-3)
        np.testing.assert_allclose(
            scores.std(axis=0)[precise & (spread > 1e-30)], 1, atol=1e-3
        )
        assert np.isfinite(scores).all()

    def test_clip(self):
        layer = Standardize((1,), clip=1.5)
        layer.fit([torch.tensor([[-1.0], [1.0]])])
        out = layer(torch.tensor([[-9.0], [-1.25], [0.5], [1.5], [1e30]]))
        assert out.ravel().tolist() == [-1.5, -1.25, 0.5, 1.5, 1.5]

    def test_default_clips_nothing(self):
        assert Standardize((1,))(torch.tensor([[1e30]])).item() == pytest.approx(1e30)

    def test_mlp_clips_where_it_is_told(self):
        narrow = MLPTower(clip=0.5, noise=0).build((1,), 2).eval()
        outputs = narrow(torch.tensor([[0.5], [0.6], [1e9]]))
        assert torch.equal(outputs[0], outputs[1])
        assert torch.equal(outputs[0], outputs[2])

    def test_noise_in_training_only(self):
        X = rows(20_000, 1)
        layer = Standardize((1,), noise=0.3)
        layer.eval()
        assert torch.equal(layer(X), X)
        layer.train()
        with torch_seed():
            difference = layer(X) - X
        # Standard errors: 0.3 / sqrt(2 n) = 0.0015 of the deviation, 0.3 / sqrt(n) =
        # 0.0021 of the mean.
        assert difference.std().item() == pytest.approx(0.3, abs=5 * 0.0015)
        assert difference.mean().item() == pytest.approx(0, abs=5 * 0.0021)

    def test_noise_follows_the_default_generator(self):
        X = rows(10, 2)
        layer = Standardize((2,), noise=0.3)
        outputs = []
        for seed in (0, 0, 1):
            with torch_seed(seed):
                outputs.append(layer(X))
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[0], outputs[2])

    def test_statistics_are_no_parameters_and_travel_with_the_weights(self):
        layer = Standardize((2,))
        assert list(layer.parameters()) == []
        layer.fit([rows(10, 2)])
        other = Standardize((2,))
        other.load_state_dict(layer.state_dict())
        assert torch.equal(layer(rows(3, 2)), other(rows(3, 2)))

    def test_fit_sets_the_statistics_of_the_training_data(self, iris):
        X, y = iris
        embedder = SiameseEmbedder(n_components=2, max_epochs=1, random_state=0).fit(
            X, y
        )
        layer = embedder.net_.module_.tower[0]
        np.testing.assert_allclose(
            layer.mean, X.mean(axis=0, dtype=np.float64), rtol=1e-5
        )
        np.testing.assert_allclose(
            1 / layer.inverse_scale, X.std(axis=0, dtype=np.float64), rtol=1e-5
        )

    def test_units_of_a_table_do_not_matter(self, iris):
        X, y = iris
        # powers of two: no rounding
        scale = np.array([1.0, 2.0**10, 2.0**-10, 4.0], dtype=np.float32)
        embeddings = [
            SiameseEmbedder(n_components=2, max_epochs=2, random_state=0)
            .fit(table, y)
            .transform(table)
            for table in (X, X * scale)
        ]
        np.testing.assert_allclose(*embeddings, atol=1e-4)


CHANGED = [
    MLPTower((8, 4), activation="tanh", dropout=0.1, clip=5.0, noise=0.0),
    CNNTower((8, 4), activation="tanh", dropout=0.1),
]


class TestSpecs:
    def test_all_are_here(self):
        assert {type(spec) for spec in CHANGED} == set(TOWERS.values())

    @pytest.mark.parametrize("spec", CHANGED, ids=repr)
    def test_clone_and_parameters(self, spec):
        copied = clone(spec)
        assert copied is not spec
        assert copied.get_params() == spec.get_params()
        assert (
            type(spec)().set_params(**spec.get_params()).get_params()
            == spec.get_params()
        )
        assert all(
            type(spec)().get_params()[name] != value
            for name, value in spec.get_params().items()
        )

    def test_repr(self):
        assert repr(MLPTower(dropout=0.1)) == "MLPTower(dropout=0.1)"
        assert repr(CNNTower((8,))) == "CNNTower(channels=(8,))"

    def test_parameters_are_reached_through_the_embedder(self):
        embedder = SiameseEmbedder(tower=MLPTower()).set_params(
            tower__hidden_layer_sizes=(9,)
        )
        assert embedder.tower.hidden_layer_sizes == (9,)
        assert clone(embedder).get_params()["tower__hidden_layer_sizes"] == (9,)

    def test_build_follows_the_default_generator(self):
        built = []
        for seed in (0, 0, 1):
            with torch_seed(seed):
                built.append(weights(MLPTower().build((4,), 2)))
        assert same_weights(built[0], built[1])
        assert not same_weights(built[0], built[2])


class TestSiameseNetwork:
    def test_sides_pass_the_tower_as_one_batch(self):
        network = SiameseNetwork(nn.Linear(4, 3), 3, normalize=True)
        sides = rows(5, 4, seed=1), rows(5, 4, seed=2), rows(5, 4, seed=3)
        for n_sides in (2, 3):
            embeddings = network(sides[:n_sides])
            assert isinstance(embeddings, tuple)
            assert [z.shape for z in embeddings] == [(5, 3)] * n_sides
            torch.testing.assert_close(
                torch.cat(embeddings), network(torch.cat(sides[:n_sides]))
            )

    def test_batch_statistics_are_those_of_both_sides(self):
        network = SiameseNetwork(nn.BatchNorm1d(2), 2, normalize=False)
        left, right = rows(8, 2), rows(8, 2, seed=1) + 10
        both = torch.cat([left, right])
        expected = (left - both.mean(0)) / torch.sqrt(both.var(0, correction=0) + 1e-5)
        torch.testing.assert_close(network((left, right))[0], expected)

    @pytest.mark.parametrize("n_components", [1, 8])
    def test_unit_norm(self, n_components):
        network = SiameseNetwork(
            nn.Linear(4, n_components), n_components, normalize=True
        )
        torch.testing.assert_close(network(rows(9, 4)).norm(dim=1), torch.ones(9))

    def test_norm_left_alone(self):
        tower = nn.Linear(4, 3)
        X = rows(9, 4)
        assert torch.equal(SiameseNetwork(tower, 3, normalize=False)(X), tower(X))


@pytest.mark.slow
def test_cnn_learns_faces(faces):
    X, y = faces
    train, test = np.arange(len(y)) % 10 < 7, np.arange(len(y)) % 10 >= 7
    embedder = SiameseEmbedder(
        n_components=16,
        tower=CNNTower(channels=(8, 16, 16)),
        max_epochs=8,
        lr=1e-3,
        n_threads=1,
        random_state=0,
    )
    embedder.fit(X[train], y[train])
    raw = map_at_r(X[test].reshape(test.sum(), -1).astype(np.float32), y[test])
    assert embedder.score(X[test], y[test]) > raw
