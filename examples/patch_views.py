"""Patches of photographs for the gallery: places, and views of them under changes of viewpoint and light."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates, uniform_filter

__all__ = ["draw_views", "find_places"]

Array = npt.NDArray[Any]

SIZE = 32  # pixels on each side of a patch


def find_places(grey: Array, left: int, right: int) -> Array:
    """Row and column, (n, 2), of places between two columns of a photograph where grey values spread."""
    mean, square = uniform_filter(grey, SIZE), uniform_filter(grey**2, SIZE)
    rows, columns = np.mgrid[SIZE : len(grey) - SIZE : 12, left + SIZE : right - SIZE : 12].reshape(2, -1)
    spread = (square - mean**2)[rows, columns]
    return np.column_stack([rows, columns])[spread > 12**2]


def draw_views(grey: Array, places: Array, rng: np.random.Generator) -> Array:
    """A view of each place, (n, 32, 32): turned, zoomed, sheared, shifted, relit and noisy."""
    n = len(places)
    angle, shear = np.radians(rng.uniform(-25, 25, n)), rng.uniform(-0.2, 0.2, n)
    cosine, sine = 1.3 ** rng.uniform(-1, 1, n) * [np.cos(angle), np.sin(angle)]
    turn = np.stack([cosine, shear * cosine - sine, sine, shear * sine + cosine], axis=1)  # (n, 4)
    pixels = np.mgrid[:SIZE, :SIZE].reshape(2, -1) - (SIZE - 1) / 2
    centres = places + rng.uniform(-3, 3, (n, 2))
    points = turn.reshape(n, 2, 2) @ pixels + centres[:, :, None]  # (n, 2, SIZE**2)
    patches = map_coordinates(grey, np.moveaxis(points, 1, 0).reshape(2, -1), order=1, mode="mirror")
    patches = 1.5 ** rng.uniform(-1, 1, (n, 1)) * patches.reshape(n, -1) + rng.uniform(-40, 40, (n, 1))
    noisy = patches + rng.normal(0, 8, patches.shape)
    return noisy.reshape(n, SIZE, SIZE).astype(np.float32)
