"""Flames in a rotary kiln, drawn by a formula, and the colours of their regions in numbers.

The images are synthetic. They show how a method is put together; how well it works in a plant, they cannot
say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

__all__ = ["STATES", "describe_regions", "flames", "redmean", "srgb_to_lab"]

Array = npt.NDArray[Any]

STATES = ("under-burnt", "normal", "over-burnt")

# Heat from 0 to 1, and the linear RGB it glows in: black, dark red, orange, yellow, yellowish white.
_HEAT = np.array([0.0, 0.15, 0.45, 0.75, 1.0])
_GLOW = np.array([[0.01, 0, 0], [0.12, 0.015, 0.003], [0.6, 0.15, 0.02], [1, 0.55, 0.15], [1, 0.9, 0.65]])
_DUST = np.array([0.25, 0.16, 0.1])


def flames(n_each: int, *, size: int = 40, random_state: int = 0) -> tuple[Array, Array]:
    """Draw images of a flame that comes in from the left, before the wall and above the bed of clinker.

    Every place has a heat, and every heat a colour. From one state to the next the wall becomes hotter (by
    0.03), the flame too (by 0.045) and the bed most (by 0.05), and the flame longer (by 0.03 of the image).
    Within a state each heat varies by about half of its step, and the length by twice its step. All else has
    nothing to do with the state and changes the image more: the exposure (by a factor of 1.6 either way), the
    white balance, dust, turbulence, the place, tilt and width of the flame, and the noise of the sensor.

    Parameters
    ----------
    n_each : int
        Images of each state.
    size : int, default=40
        Pixels on a side.
    random_state : int, default=0

    Returns
    -------
    images : array of shape (3 * n_each, size, size, 3)
        sRGB from 0 to 1.
    state : array of shape (3 * n_each,)
        Index in `STATES`; sorted.
    """
    rng = np.random.default_rng(random_state)
    state = np.repeat(np.arange(3), n_each)
    n, hotter = len(state), state - 1.0

    def each(mean: Any, deviation: float) -> Array:  # one number per image, (n, 1, 1)
        return (mean + deviation * rng.standard_normal(n))[:, None, None]

    y, x = np.meshgrid(*[np.linspace(0, 1, size)] * 2, indexing="ij")
    waves = gaussian_filter(rng.standard_normal((n, size, size)), (0, size / 12, size / 12))
    waves /= waves.std()
    axis = each(0.42, 0.04) + each(0, 0.06) * x + 0.03 * waves
    width = each(0.13, 0.012) * (0.5 + x)
    length = each(0.72 + 0.03 * hotter, 0.06)
    flame = np.exp(-(((y - axis) / width) ** 2)) / (1 + np.exp((x - length) / 0.06))
    wall_heat = 0.2 + each(0.03 * hotter, 0.015) + flame * each(0.6 + 0.015 * hotter, 0.015)
    bed = 1 / (1 + np.exp((each(0.76, 0.02) + 0.12 * (x - 0.5) - y) / 0.02))
    bed_heat = bed * (each(0.42 + 0.05 * hotter, 0.018) + 0.12 * flame)
    heat = np.maximum(wall_heat, bed_heat) + 0.03 * waves
    light = np.stack([np.interp(heat, _HEAT, channel) for channel in _GLOW.T], axis=-1)  # (n, size, size, 3)
    dust = each(0.18, 0.07).clip(0, 0.6)[..., None]
    exposure = np.exp(-0.2 + 0.45 * rng.standard_normal((n, 1)) + 0.08 * rng.standard_normal((n, 3)))
    light = (((1 - dust) * light + dust * _DUST) * exposure[:, None, None]).clip(0, 1)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (srgb + 0.02 * rng.standard_normal(srgb.shape)).clip(0, 1), state


def srgb_to_lab(srgb: Array) -> Array:
    """CIE 1976 L*a*b* of sRGB colours from 0 to 1, relative to the white of sRGB, D65.

    The curve and the matrix are those of IEC 61966-2-1:1999. Delta E 1976, the distance of two colours to the
    eye, is the Euclidean distance of the results.
    """
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / to_xyz.sum(axis=1)  # white is (1, 1, 1)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def redmean(one: Array, other: Array) -> Array:
    """Euclidean distance of sRGB colours from 0 to 1 with weights that depend on how red the two are.

    After Riemersma, "Colour metric" (CompuPhase): 2 + r for red, 4 for green and 3 - r for blue, where r is
    the mean of the two reds.
    """
    red = (one[..., 0] + other[..., 0]) / 2
    weights = np.stack([2 + red, np.full_like(red, 4), 3 - red], axis=-1)
    return np.sqrt((weights * (one - other) ** 2).sum(axis=-1))


def describe_regions(srgb: Array, region: Array) -> Array:
    """Describe each region of an image by its colours, its place, and its distance in colour from the others.

    Parameters
    ----------
    srgb : array of shape (H, W, 3)
    region : int array of shape (H, W)
        Which of the regions 0, ..., k - 1 a pixel belongs to; each has at least one.

    Returns
    -------
    features : array of shape (k, 9 + 2 * (k - 1))
        Mean and standard deviation of L*, a* and b*; share of the image; centre (down, across); Delta E 1976
        and `redmean` between its mean colour and that of each other region.
    """
    lab = srgb_to_lab(srgb)
    masks = [region == k for k in range(region.max() + 1)]
    rgb_mean, lab_mean = (np.array([colour[mask].mean(axis=0) for mask in masks]) for colour in (srgb, lab))
    features = []
    for k, mask in enumerate(masks):
        others = np.arange(len(masks)) != k
        delta_e = np.linalg.norm(lab_mean[k] - lab_mean[others], axis=1)
        weighted = redmean(rgb_mean[[k]], rgb_mean[others])
        centre = np.argwhere(mask).mean(axis=0) / region.shape
        features.append([*lab_mean[k], *lab[mask].std(axis=0), mask.mean(), *centre, *delta_e, *weighted])
    return np.array(features)
