"""Convert rows to images that matplotlib can draw."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from siamese_sklearn._typing import Array

__all__ = ["as_images", "scaled"]


def as_images(
    name: str, X: npt.ArrayLike, image_shape: tuple[int, ...] | None
) -> Array:
    """Return images as matplotlib takes them: (n, H, W) or (n, H, W, 3)."""
    rows = np.asarray(X)
    if rows.ndim == 2 and image_shape is not None:
        if rows.shape[1] != np.prod(image_shape):
            raise ValueError(
                f"`image_shape` is {image_shape}, but the rows of `{name}` have "
                f"{rows.shape[1]} values."
            )
        rows = rows.reshape(len(rows), *image_shape)
    is_image = rows.ndim == 3 or (rows.ndim == 4 and rows.shape[1] in (1, 3))
    if rows.dtype.kind not in "biuf" or not is_image:
        hint = (
            " Pass `image_shape`, for example (8, 8), if the rows are flat images."
            if rows.ndim == 2
            else ""
        )
        raise ValueError(
            f"`{name}` must contain images of shape (n, H, W), (n, 1, H, W) or "
            f"(n, 3, H, W); got {rows.dtype} of shape {rows.shape}.{hint}"
        )
    if rows.ndim == 3:
        return rows
    return rows[:, 0] if rows.shape[1] == 1 else np.moveaxis(rows, 1, -1)


def scaled(queries: Array, neighbors: Array) -> tuple[Array, Array]:
    """Scale both to the range 0 to 1, together if they are images of the same shape."""
    ranges = [_range(queries), _range(neighbors)]
    if queries.shape[1:] == neighbors.shape[2:]:
        ranges = [(min(low for low, _ in ranges), max(high for _, high in ranges))] * 2
    first, second = (
        (images.astype(np.float64) - low) / ((high - low) or 1.0)
        for images, (low, high) in zip((queries, neighbors), ranges, strict=True)
    )
    return first, second


def _range(images: Array) -> tuple[float, float]:
    """Values that are drawn as black and as white."""
    if images.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(images.min()), float(images.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
