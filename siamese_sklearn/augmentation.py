"""Random image augmentation, for the parameter `augment` of the estimators."""

from __future__ import annotations

import math

import torch
from sklearn.base import BaseEstimator
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from siamese_sklearn._checks import check_boolean, check_number
from siamese_sklearn._documentation import DocumentationLink

__all__ = ["ImageAugmenter"]


class ImageAugmenter(DocumentationLink, BaseEstimator):
    """Randomly rotate, scale, shift, shear, stretch, flip, relight and erase images.

    Use it when there are few images per class. It teaches the network that these
    changes do not matter, which the network would otherwise have to learn from
    examples; the fewer images there are, the more this helps.

    Augmentation runs only in training, one batch at a time, on the device of the
    network. Except for `flip` and `erase`, amounts are drawn uniformly between minus
    and plus the parameter. The draws are from torch's default generator, which `fit`
    seeds.

    Parameters
    ----------
    rotation : float, default=10.0
        In degrees.
    scale : float, default=0.1
        As a fraction of the size, below 1.
    shift : float, default=0.08
        As a fraction of the sides of the image, below 1. The uncovered area repeats the
        border.
    shear : float, default=5.0
        In degrees, below 45.
    stretch : float, default=0.0
        Independent change of width and height, as a fraction, below 1. It imitates how
        nodding and turning change a face.
    flip : bool, default=False
        Flip each image horizontally with probability 1/2. Suits faces, but not digits
        and letters.
    contrast : float, default=0.0
        As a fraction of the contrast of the image, below 1.
    brightness : float, default=0.0
        In standard deviations of the image.
    erase : float, default=0.0
        Sides of a randomly placed rectangle, as a fraction of the sides of the image,
        below 1. The rectangle is filled with the mean of the image (Zhong et al. 2020),
        which keeps the network from relying on a single detail.

    References
    ----------
    Zhong, Zheng, Kang, Li & Yang, "Random Erasing Data Augmentation", AAAI 2020.

    Examples
    --------
    >>> import torch
    >>> from siamese_sklearn import SiameseEmbedder
    >>> from siamese_sklearn.augmentation import ImageAugmenter
    >>> ImageAugmenter(rotation=15)(torch.rand(5, 28, 28)).shape
    torch.Size([5, 28, 28])
    >>> SiameseEmbedder(augment=ImageAugmenter(flip=True)).get_params()["augment__flip"]
    True
    """

    def __init__(
        self,
        rotation: float = 10.0,
        *,
        scale: float = 0.1,
        shift: float = 0.08,
        shear: float = 5.0,
        stretch: float = 0.0,
        flip: bool = False,
        contrast: float = 0.0,
        brightness: float = 0.0,
        erase: float = 0.0,
    ) -> None:
        self.rotation = rotation
        self.scale = scale
        self.shift = shift
        self.shear = shear
        self.stretch = stretch
        self.flip = flip
        self.contrast = contrast
        self.brightness = brightness
        self.erase = erase

    def __call__(self, images: Tensor) -> Tensor:
        """Augment a batch.

        Parameters
        ----------
        images : Tensor of shape (B, H, W) or (B, C, H, W)

        Returns
        -------
        Tensor of the same shape

        Raises
        ------
        ValueError, TypeError
            If `images` does not have such a shape, or a parameter is out of range.
        """
        self._check(images)
        planes = images.reshape(len(images), -1, *images.shape[-2:])  # (B, C, H, W)
        grid = affine_grid(
            self._matrices(planes), list(planes.shape), align_corners=False
        )
        moved = grid_sample(planes, grid, padding_mode="border", align_corners=False)
        return self._erased(self._relit(moved)).reshape(images.shape)

    def _matrices(self, images: Tensor) -> Tensor:
        """Affine maps (B, 2, 3) from the augmented images to the originals."""
        n = len(images)
        angle = math.radians(self.rotation) * _uniform(n, images)
        shear = torch.tan(math.radians(self.shear) * _uniform(n, images))
        size = 1 + self.scale * _uniform(n, images)
        # The grid runs from -1 to 1 along both axes, whatever the shape of the image.
        across, down = (2 * self.shift * _uniform(n, images) for _ in range(2))
        mirror = (
            1 - 2 * (torch.rand(n, device=images.device) < 0.5).to(images)
            if self.flip
            else 1.0
        )
        cosine, sine = size * angle.cos(), size * angle.sin()
        aspect = images.shape[2] / images.shape[3]
        first = torch.stack([mirror * cosine, aspect * (shear - sine), across], dim=1)
        second = torch.stack([mirror * sine / aspect, cosine, down], dim=1)
        matrices = torch.stack([first, second], dim=1)
        if self.stretch == 0:
            return matrices
        return matrices * (1 + self.stretch * _uniform(2 * n, images).reshape(n, 2, 1))

    def _relit(self, images: Tensor) -> Tensor:
        if self.contrast == 0 and self.brightness == 0:
            return images
        n = len(images)
        mean = images.mean((1, 2, 3), keepdim=True)
        spread = images.std((1, 2, 3), keepdim=True)
        gain, lift = (
            1 + self.contrast * _uniform(n, images),
            self.brightness * _uniform(n, images),
        )
        return (
            (images - mean) * gain.reshape(-1, 1, 1, 1)
            + mean
            + lift.reshape(-1, 1, 1, 1) * spread
        )

    def _erased(self, images: Tensor) -> Tensor:
        if self.erase == 0:
            return images
        inside = torch.ones((), dtype=torch.bool, device=images.device)
        for axis in (2, 3):
            size = images.shape[axis]
            length = round(self.erase * size)
            start = (
                torch.rand(len(images), device=images.device) * (size - length + 1)
            ).long()
            # (B, size)
            offset = torch.arange(size, device=images.device) - start[:, None]
            along = (offset >= 0) & (offset < length)
            inside = inside & along.reshape(
                len(images), 1, *((size, 1) if axis == 2 else (1, size))
            )
        return torch.where(inside, images.mean((1, 2, 3), keepdim=True), images)

    def _check(self, images: Tensor) -> None:
        if images.ndim not in (3, 4):
            raise ValueError(
                "`augment` is an ImageAugmenter, which takes images, X of shape "
                "(n, H, W) or (n, C, H, W); got a batch of shape "
                f"{tuple(images.shape)}. Reshape X, or pass a function that augments "
                "rows of this shape."
            )
        name = type(self).__name__
        check_number(f"{name}.rotation", self.rotation, low=0)
        check_number(f"{name}.scale", self.scale, low=0, high=1, high_open=True)
        check_number(f"{name}.shift", self.shift, low=0, high=1, high_open=True)
        check_number(f"{name}.shear", self.shear, low=0, high=45, high_open=True)
        check_number(f"{name}.stretch", self.stretch, low=0, high=1, high_open=True)
        check_boolean(f"{name}.flip", self.flip)
        check_number(f"{name}.contrast", self.contrast, low=0, high=1, high_open=True)
        check_number(f"{name}.brightness", self.brightness, low=0)
        check_number(f"{name}.erase", self.erase, low=0, high=1, high_open=True)


def _uniform(n: int, like: Tensor) -> Tensor:
    """Draw n numbers uniformly between -1 and 1."""
    return 2 * torch.rand(n, device=like.device, dtype=like.dtype) - 1
