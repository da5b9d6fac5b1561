"""What the user may give as a tower, and what is said of what does not fit."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from seeds import torch_seed
from siamese_sklearn import CNNTower, MLPTower, SiameseEmbedder
from siamese_sklearn.towers import TOWERS
from siamese_sklearn.towers._resolve import make_tower


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same_weights(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) for name in one
    )


def top_level_tower(input_shape, n_components):
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), n_components))


class TestMakeTower:
    @pytest.mark.parametrize(
        ("shape", "image"),
        [((4,), False), ((4, 4), True), ((3, 4, 4), True), ((2, 3, 4, 4), False)],
    )
    def test_auto(self, shape, image):
        tower = make_tower("auto", rows(2, *shape), 3)
        assert any(isinstance(layer, nn.Conv2d) for layer in tower.modules()) == image

    def test_mlp_takes_images_too(self):
        tower = make_tower("mlp", rows(2, 4, 4), 3)
        assert not any(isinstance(layer, nn.Conv2d) for layer in tower.modules())

    @pytest.mark.parametrize("name", TOWERS)
    def test_names_are_specs_with_their_defaults(self, name):
        with torch_seed():
            named = make_tower(name, rows(2, 4, 4), 3)
            torch.manual_seed(0)
            built = TOWERS[name]().build((4, 4), 3)
        assert same_weights(weights(named), weights(built))

    def test_spec(self):
        tower = make_tower(MLPTower(hidden_layer_sizes=(7,)), rows(2, 4), 3)
        assert [
            layer.out_features for layer in tower if isinstance(layer, nn.Linear)
        ] == [7, 3]

    def test_callable_gets_shape_and_width(self):
        called = []

        def tower(input_shape, n_components):
            called.append((input_shape, n_components))
            return top_level_tower(input_shape, n_components)

        assert make_tower(tower, rows(2, 4, 5), 3)(rows(6, 4, 5)).shape == (6, 3)
        assert called == [((4, 5), 3)]

    def test_module_is_copied(self):
        given = nn.Linear(4, 3)
        tower = make_tower(given, rows(2, 4), 3)
        assert tower is not given
        assert same_weights(weights(tower), weights(given))
        assert tower.weight.data_ptr() != given.weight.data_ptr()

    def test_trial_changes_neither_batch_statistics_nor_mode(self):
        given = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))
        for training in (True, False):
            tower = make_tower(given.train(training), rows(2, 4), 3)
            assert tower.training == training
            assert tower[0].num_batches_tracked == 0

    def test_trial_does_not_change_the_rows(self):
        X = rows(2, 4)
        before = X.clone()
        make_tower(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3)), X, 3)
        assert torch.equal(X, before)

    @pytest.mark.parametrize("kind", ["module", "callable"])
    def test_layers_of_the_user_are_never_trained(self, iris, kind):
        X, y = iris
        own = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))
        before = weights(own)
        tower = own if kind == "module" else lambda input_shape, n_components: own
        embedder = SiameseEmbedder(
            n_components=3, tower=tower, max_epochs=2, random_state=0
        )
        first = embedder.fit(X, y).transform(X)
        assert same_weights(weights(own), before)
        assert not same_weights(weights(embedder.net_.module_.tower), before)
        assert np.array_equal(embedder.fit(X, y).transform(X), first)

    def test_tower_that_writes_into_its_input_leaves_the_data_alone(self, iris):
        X, y = iris[0] - 3, iris[1]
        before = X.copy()
        tower = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3))
        embedder = SiameseEmbedder(
            n_components=3, tower=tower, max_epochs=1, early_stopping=True
        )
        embedder.fit(X, y).transform(X)
        assert np.array_equal(X, before)


class NoTensor(nn.Module):
    def forward(self, x):
        return [x, x]


class TestErrors:
    @pytest.mark.parametrize(
        ("tower", "shape", "error", "text"),
        [
            (
                "mpl",
                (4,),
                ValueError,
                r"`tower` must be one of 'auto', 'mlp', 'cnn'; got 'mpl'. Did you "
                r"mean 'mlp'\?",
            ),
            (
                MLPTower,
                (4,),
                TypeError,
                r"^`tower` is the class MLPTower; pass an instance, MLPTower\(\)\.$",
            ),
            (
                nn.Linear,
                (4,),
                TypeError,
                r"^`tower` is the class Linear; pass an instance, Linear\(\.\.\.\)\.$",
            ),
            (dict, (4,), TypeError, "`tower` must be .* got <class 'dict'>"),
            (
                3,
                (4,),
                TypeError,
                r"`tower` must be one of 'auto', 'mlp', 'cnn', a spec such as "
                r"MLPTower\(\), .*; got 3",
            ),
            (None, (4,), TypeError, "`tower` must be .* got None"),
            (
                lambda s, n: "linear",
                (4,),
                TypeError,
                "`tower`, if it is a callable, must return a torch.nn.Module; got str",
            ),
            (
                lambda s, n: None,
                (4,),
                TypeError,
                "`tower`, if it is a callable, must return .*Module; got NoneType",
            ),
            (
                "cnn",
                (4,),
                ValueError,
                r"takes images, X of shape \(n, H, W\) or \(n, C, H, W\); got rows of "
                r"shape \(4,\)",
            ),
            (
                "cnn",
                (2, 3, 4, 4),
                ValueError,
                r"takes images, .* got rows of shape \(2, 3, 4, 4\).*Reshape X",
            ),
            (
                "cnn",
                (28, 28, 3),
                ValueError,
                r"channels first, .*\(28, 28, 3\), which seem .*channels last\. Move .*"
                r"moveaxis",
            ),
            (
                nn.Linear(5, 3),
                (4,),
                ValueError,
                r"`tower` failed on rows of shape \(4,\) \(a batch of shape "
                r"\(2, 4\)\): mat1",
            ),
            (
                nn.Linear(4, 7),
                (4,),
                ValueError,
                r"embeddings of shape \(2, 3\); got \(2, 7\). Set `n_components`",
            ),
            (
                nn.Identity(),
                (4, 3),
                ValueError,
                r"embeddings of shape \(2, 3\); got \(2, 4, 3\)",
            ),
            (
                nn.Flatten(0),
                (3,),
                ValueError,
                r"embeddings of shape \(2, 3\); got \(6,\)",
            ),
            (NoTensor(), (3,), ValueError, r"embeddings of shape \(2, 3\); got list"),
        ],
    )
    def test_tower(self, tower, shape, error, text):
        with pytest.raises(error, match=text):
            make_tower(tower, rows(2, *shape), 3)

    def test_few_pixels_and_many_channels_are_no_channels_last_image(self):
        assert make_tower("cnn", rows(2, 16, 3, 3), 4)(rows(2, 16, 3, 3)).shape == (
            2,
            4,
        )

    @pytest.mark.parametrize(
        ("spec", "error", "text"),
        [
            (
                MLPTower(hidden_layer_sizes=8),
                TypeError,
                r"`MLPTower.hidden_layer_sizes` must be a sequence .* got 8",
            ),
            (
                MLPTower(hidden_layer_sizes=(8, 0)),
                ValueError,
                "`MLPTower.hidden_layer_sizes` must be .* got 0",
            ),
            (
                MLPTower(hidden_layer_sizes=(8, 2.5)),
                TypeError,
                "`MLPTower.hidden_layer_sizes` must be .* got 2.5",
            ),
            (
                MLPTower(activation="rulu"),
                ValueError,
                r"`MLPTower.activation` must be .* Did you mean 'relu'\?",
            ),
            (
                MLPTower(dropout=1.0),
                ValueError,
                "`MLPTower.dropout` must be .* got 1.0",
            ),
            (
                MLPTower(dropout=-0.1),
                ValueError,
                "`MLPTower.dropout` must be .* got -0.1",
            ),
            (
                MLPTower(dropout="much"),
                TypeError,
                "`MLPTower.dropout` must be .* got 'much'",
            ),
            (MLPTower(noise=-1), ValueError, "`MLPTower.noise` must be .* got -1"),
            (
                MLPTower(noise=math.nan),
                ValueError,
                "`MLPTower.noise` must be .* got nan",
            ),
            (
                MLPTower(clip=0),
                ValueError,
                "`MLPTower.clip` must be .* or infinity; got 0",
            ),
            (MLPTower(clip=math.nan), ValueError, "`MLPTower.clip` must be .* got nan"),
            (MLPTower(clip=None), TypeError, "`MLPTower.clip` must be .* got None"),
            (
                CNNTower(channels=()),
                TypeError,
                r"`CNNTower.channels` must be a sequence .* got \(\)",
            ),
            (
                CNNTower(channels=32),
                TypeError,
                "`CNNTower.channels` must be a sequence .* got 32",
            ),
            (
                CNNTower(channels=(8, -1)),
                ValueError,
                "`CNNTower.channels` must be .* got -1",
            ),
            (
                CNNTower(activation="x"),
                ValueError,
                "`CNNTower.activation` must be .* got 'x'",
            ),
            (CNNTower(dropout=2), ValueError, "`CNNTower.dropout` must be .* got 2"),
        ],
        ids=repr,
    )
    def test_parameters_of_specs(self, spec, error, text):
        with pytest.raises(error, match=text):
            spec.build((8, 8), 2)

    def test_errors_reach_the_user_of_the_embedder(self, iris):
        X, y = iris
        with pytest.raises(ValueError, match="`tower` is a CNN, which takes images"):
            SiameseEmbedder(tower="cnn").fit(X, y)
        with pytest.raises(
            ValueError, match=r"embeddings of shape \(2, 5\); got \(2, 3\)"
        ):
            SiameseEmbedder(n_components=5, tower=nn.Linear(4, 3)).fit(X, y)
