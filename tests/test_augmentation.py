"""Random distortions of images: what each parameter does, by itself and to the
pixel.
"""

import math

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from seeds import torch_seed
from siamese_sklearn import CNNTower, SiameseEmbedder, SiamesePairClassifier, make_pairs
from siamese_sklearn.augmentation import ImageAugmenter

STILL = {"rotation": 0.0, "scale": 0.0, "shift": 0.0, "shear": 0.0}


def still(**parameters):
    return ImageAugmenter(**{**STILL, **parameters})


def seeded(augment, images, seed=0):
    with torch_seed(seed):
        return augment(images)


def spots(n=200, size=21, x=3, y=0):
    """Images of one bright spot, `x` right of the middle and `y` below it."""
    images = torch.zeros(n, size, size)
    images[:, size // 2 + y, size // 2 + x] = 1.0
    return images


def centers(images):
    """Center of brightness of each image, from the middle, in pixels: (right, down)."""
    places = torch.arange(images.shape[-1], dtype=images.dtype) - images.shape[-1] // 2
    total = images.sum((1, 2))
    return (images.sum(1) @ places) / total, (images.sum(2) @ places) / total


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 8, 5), (3, 2, 8, 8), (1, 3, 5, 8)])
def test_nothing_moves_without_distortions(shape):
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(still()(images), images, atol=1e-5, rtol=0)


def test_the_default_keeps_shape_and_leaves_its_input_alone():
    images = torch.rand(4, 3, 12, 9)
    before = images.clone()
    moved = seeded(ImageAugmenter(flip=True, contrast=0.3, brightness=0.3), images)
    assert moved.shape == images.shape
    assert torch.equal(images, before)
    assert not torch.allclose(moved, images, atol=0.05)


def test_shift_moves_by_at_most_its_share_of_the_sides():
    right, down = centers(seeded(still(shift=0.2), spots(x=0)))
    for moved in (right, down):  # uniform between -4.2 and 4.2 pixels of 21
        assert moved.abs().max() <= 4.2 + 0.05
        assert moved.abs().max() > 3.9
        assert abs(moved.mean()) < 0.6  # the standard error is 0.17
    assert abs(np.corrcoef(right, down)[0, 1]) < 0.3


def test_rotation_turns_by_at_most_its_degrees():
    right, down = centers(seeded(still(rotation=30.0), spots(x=6)))
    angle = torch.rad2deg(torch.atan2(down, right))
    assert angle.abs().max() <= 30 + 2
    assert angle.min() < -25
    assert angle.max() > 25
    torch.testing.assert_close(
        torch.hypot(right, down), torch.full((200,), 6.0), atol=0.4, rtol=0
    )


def test_rotation_of_an_oblong_image_keeps_distances():
    images = torch.zeros(200, 21, 63)
    images[:, 10, 37] = 1.0  # 6 right of the middle
    places = [torch.arange(size) - size // 2 for size in (63, 21)]
    moved = seeded(still(rotation=30.0), images)
    right, down = (
        (moved.sum(axis) @ place.float()) / moved.sum((1, 2))
        for axis, place in zip((1, 2), places, strict=True)
    )
    assert torch.rad2deg(torch.atan2(down, right)).abs().max() > 25
    torch.testing.assert_close(
        torch.hypot(right, down), torch.full((200,), 6.0), atol=0.4, rtol=0
    )


def test_scale_changes_distances_from_the_middle():
    right, down = centers(seeded(still(scale=0.25), spots(x=6)))
    assert down.abs().max() < 0.05
    assert 6 / 1.25 - 0.3 <= right.min() < 5.2
    assert 7.2 < right.max() <= 6 / 0.75 + 0.3


def test_shear_moves_rows_against_each_other():
    right, down = centers(seeded(still(shear=20.0), spots(x=0, y=6)))
    most = 6 * math.tan(math.radians(20))
    assert down.sub(6).abs().max() < 0.05
    assert most - 0.4 < right.abs().max() <= most + 0.2


def test_stretch_changes_width_and_height_each_by_itself():
    right, down = centers(seeded(still(stretch=0.25), spots(x=6, y=6)))
    for moved in (right, down):
        assert 6 / 1.25 - 0.3 <= moved.min() < 5.2
        assert 7.2 < moved.max() <= 6 / 0.75 + 0.3
    assert abs(np.corrcoef(right, down)[0, 1]) < 0.3


def test_flip_mirrors_half_of_the_images():
    right, down = centers(seeded(still(flip=True), spots(x=5)))
    assert down.abs().max() < 1e-4
    torch.testing.assert_close(right.abs(), torch.full((200,), 5.0), atol=1e-3, rtol=0)
    assert 70 <= int((right < 0).sum()) <= 130  # 100 expected, standard deviation 7


def test_light_is_affine_in_each_image():
    images = torch.rand(50, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    lit = seeded(still(contrast=0.4, brightness=0.5), images)
    mean, spread = images.mean((1, 2, 3)), images.std((1, 2, 3))
    gain = lit.std((1, 2, 3)) / spread
    lift = (lit.mean((1, 2, 3)) - mean) / spread
    assert 0.6 - 1e-4 <= gain.min() < 0.7 < 1.3 < gain.max() <= 1.4 + 1e-4
    assert -0.5 - 1e-4 <= lift.min() < -0.4 < 0.4 < lift.max() <= 0.5 + 1e-4
    expected = (images - mean[:, None, None, None]) * gain[:, None, None, None]
    expected = expected + (mean + lift * spread)[:, None, None, None]
    torch.testing.assert_close(lit, expected, atol=1e-4, rtol=0)


def test_a_rectangle_is_painted_with_the_mean():
    noise = torch.rand(3000, 1, 10, 20, generator=torch.Generator().manual_seed(0))
    images = (noise < 0.5).float()  # black and white: no pixel is near the mean
    painted = seeded(still(erase=0.3), images)
    untouched = (painted - images).abs() < 0.1
    assert (
        (~untouched).sum((1, 2, 3)) == 3 * 6
    ).all()  # 0.3 of 10 rows and of 20 columns
    rows, columns = (~untouched).any(3).sum((1, 2)), (~untouched).any(2).sum((1, 2))
    assert (rows == 3).all()
    assert (columns == 6).all()
    mean = images.mean((1, 2, 3), keepdim=True).expand_as(images)
    torch.testing.assert_close(painted[~untouched], mean[~untouched], atol=1e-5, rtol=0)
    assert (~untouched).any(0).all()  # every place; a corner once in 8 * 15 images


def test_draws_come_from_the_default_generator():
    images = torch.rand(4, 8, 8)
    one, same, other = (seeded(ImageAugmenter(), images, seed) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("rotation", -1),
        ("scale", 1),
        ("shift", 1.0),
        ("shear", 45),
        ("contrast", 1),
        ("brightness", -0.1),
        ("erase", 1.0),
        ("brightness", math.nan),
        ("stretch", 1.0),
    ],
)
def test_a_parameter_out_of_range_is_an_error_that_names_it(parameter, value):
    with pytest.raises(
        ValueError, match=rf"`ImageAugmenter\.{parameter}` must be .*; got {value}"
    ):
        ImageAugmenter(**{parameter: value})(torch.rand(2, 4, 4))


def test_flat_rows_are_an_error_that_says_what_to_do(iris):
    X, y = iris
    with pytest.raises(
        ValueError,
        match=r"takes images, X of shape .*; got a batch of shape .*Reshape X",
    ):
        SiameseEmbedder(augment=ImageAugmenter(), device="cpu").fit(X, y)


@pytest.mark.slow
def test_it_is_cloned_and_searched(digits):
    X, y = digits
    embedder = SiameseEmbedder(
        augment=ImageAugmenter(20), max_epochs=1, device="cpu", random_state=0
    )
    assert clone(embedder).augment.get_params() == embedder.augment.get_params()
    search = GridSearchCV(embedder, {"augment__rotation": [0.0, 10.0]}, cv=2).fit(X, y)
    assert search.best_params_["augment__rotation"] in (0.0, 10.0)


def learned(X, y, kind=SiameseEmbedder, **parameters):
    """Weights after one epoch."""
    settings = {"n_components": 4, "max_epochs": 1, "device": "cpu", "random_state": 0}
    model = kind(**settings | parameters).fit(X, y)
    return (
        torch.cat([value.ravel() for value in model.net_.module_.parameters()])
        .detach()
        .numpy()
    )


class TestAuto:
    """The default augments images that the built-in CNN gets, and nothing else."""

    def check(self, augmented, X, y, **parameters):
        auto, plain = (
            learned(X, y, augment=augment, **parameters) for augment in ("auto", None)
        )
        assert np.array_equal(auto, plain) != augmented
        if augmented:
            np.testing.assert_array_equal(
                auto, learned(X, y, augment=ImageAugmenter(), **parameters)
            )

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("tower", "augmented"),
        [
            ("auto", True),
            ("cnn", True),
            (CNNTower(channels=(8,)), True),
            ("mlp", False),
            (
                lambda shape, n_components: CNNTower(channels=(8,)).build(
                    shape, n_components
                ),
                False,
            ),
        ],
        ids=["auto", "name", "spec", "mlp", "own"],
    )
    def test_of_the_towers(self, digits, tower, augmented):
        self.check(augmented, *digits, tower=tower)

    @pytest.mark.slow
    def test_of_color_images(self, digits):
        X, y = digits
        self.check(True, np.stack([X, X, X], axis=1), y)

    def test_not_of_flat_rows(self, digits):
        X, y = digits
        self.check(False, X.reshape(len(X), -1), y)

    def test_not_of_given_pairs(self, digits):
        self.check(False, *make_pairs(*digits, n_pairs=60, random_state=0))

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("parameters", "augmented"),
        [
            ({"architecture": "two_channel"}, True),
            ({"architecture": "pseudo_siamese"}, True),
            ({"architecture": "pseudo_siamese", "tower": ("cnn", "mlp")}, False),
        ],
        ids=["two_channel", "two towers", "one is none for images"],
    )
    def test_of_the_architectures(self, digits, parameters, augmented):
        self.check(augmented, *digits, kind=SiamesePairClassifier, **parameters)
