"""What the axes of X mean: the forms that would be trained on as something else."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning

from siamese_sklearn._arrays import shape_of
from siamese_sklearn._checks import warn
from siamese_sklearn._labels import distinct_same, label_objects
from siamese_sklearn.towers._cnn import has_channels_last
from siamese_sklearn.towers._resolve import TowerLike, is_cnn
from siamese_sklearn.towers._spec import TowerSpec

__all__ = ["check_axes", "is_picture", "warn_if_constant"]

_SIDES = {2: "Pairs(left, right)", 3: "Triplets(anchor, positive, negative)"}
_ROWS_AT_ONCE = 256
_LONGEST, _SHORTEST = 4, 5  # sides of a picture: at most 4:1, at least 5 pixels


def check_axes(X: Any, y: Any, tower: TowerLike | tuple[TowerLike, TowerLike]) -> None:
    """Raise or warn if rows seem to be pairs, or images with their channels last.

    Parameters
    ----------
    X : rows as they came
    y : their labels as they came, or None
    tower : the parameter
        A module, or a callable that makes one, decides itself what its axes mean.

    Raises
    ------
    ValueError
        If `X` holds pairs or triplets in the form of another library: a list of sides,
        or an array of shape (n, 2, d) whose labels say "same" and "different".

    Warns
    -----
    UserWarning
        If images (n, C, H, W) seem to have shape (n, H, W, C).
    """
    if isinstance(X, list | tuple) and len(X) in _SIDES:
        _refuse_list_of_sides(X, y)
    towers = tower if isinstance(tower, tuple) else (tower,)
    if not all(isinstance(each, str | TowerSpec) for each in towers):
        return
    shape = shape_of(X)
    if len(shape) == 3 and shape[1] == 2 and y is not None and _says_same(y):
        raise ValueError(
            f"`X` has shape (n, 2, {shape[2]}) and `y` has two values that say which "
            "rows are the same: these seem to be pairs. Pass Pairs(X[:, 0], X[:, 1]), "
            "and `y` of 1 (same) and 0 (different). If each row is one sample, pass "
            "X.reshape(len(X), -1), or X[:, None] as images of 2 rows."
        )
    if len(shape) == 3 and shape[1] == 3 and y is None:
        raise ValueError(
            f"`X` has shape (n, 3, {shape[2]}) and `y` is None: these seem to be "
            "triplets. Pass Triplets(X[:, 0], X[:, 1], X[:, 2]), or the class of each "
            "row as `y`."
        )
    if len(shape) == 4 and any(is_cnn(each, shape[1:]) for each in towers):
        _warn_of_channels(shape[1:])


def warn_if_constant(sides: tuple[Any, ...]) -> None:
    """Warn if all rows of each side are equal, so that nothing can be learned.

    Parameters
    ----------
    sides : tuple of arrays, memmaps or CSR matrices
    """
    if all(_is_constant(side) for side in sides):
        warn(
            "All rows of `X` are equal, so no class can be told from another, and the "
            "embeddings collapse to a point. Check how `X` was made.",
            ConvergenceWarning,
        )


def _is_constant(rows: Any) -> bool:
    first = _dense(rows[:1])
    starts = range(0, rows.shape[0], _ROWS_AT_ONCE)
    # stops at the first difference, in nearly all data among the first rows
    return all((_dense(rows[i : i + _ROWS_AT_ONCE]) == first).all() for i in starts)


def _dense(rows: Any) -> Any:
    return rows.toarray() if issparse(rows) else rows


def is_picture(row_shape: tuple[int, ...]) -> bool:
    """Whether a row can be rotated: not if it is a series, (channels, time)."""
    short, long = min(row_shape[-2:]), max(row_shape[-2:])
    return len(row_shape) > 1 and short >= _SHORTEST and long <= _LONGEST * short


def _refuse_list_of_sides(X: Any, y: Any) -> None:
    shapes = [shape_of(side) for side in X]
    n_rows = {shape[0] for shape in shapes if len(shape) > 1}
    n_labels = None if y is None else len(np.atleast_1d(label_objects(y)))
    if (
        all(len(shape) > 1 for shape in shapes)
        and len(n_rows) == 1
        and n_labels in (None, *n_rows)
        and n_labels != len(X)
    ):
        raise ValueError(
            f"`X` is a {type(X).__name__} of {len(X)} arrays of shape {shapes[0]}: "
            f"these seem to be the sides of pairs or triplets. Pass {_SIDES[len(X)]}."
        )


def _says_same(y: Any) -> bool:
    kinds = set(distinct_same(label_objects(y).ravel()))
    return len(kinds) == 2 and (kinds == {0, 1} or kinds <= {1, "-1", "-1.0"})


def _warn_of_channels(row_shape: tuple[int, ...]) -> None:
    channels, height, width = row_shape
    if has_channels_last(row_shape):
        return  # the tower raises
    is_square = channels == height != width and channels >= _SHORTEST
    if is_square or width < min(channels, height):
        warn(
            f"`X` has images of shape {row_shape}, read as {channels} channels of "
            f"{height} x {width} pixels. If the channels come last, move them: "
            "numpy.moveaxis(X, -1, 1)."
        )
