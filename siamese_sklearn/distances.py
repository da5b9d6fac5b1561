"""Distances between embeddings, each one object with all of its properties.

A `Distance` computes the distances between two sets of rows, row by row (`paired`) and
all against all (`pairwise`). Both are differentiable wherever training needs it:
identical rows have a gradient of zero, never NaN, and near-duplicates keep their exact
distance, which a plain matrix product loses to rounding.

Estimators, losses and metrics accept the name of a distance in `DISTANCES`. Adding a
distance takes a class and an entry there.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from siamese_sklearn._checks import check_option
from siamese_sklearn._typing import FloatArray

__all__ = [
    "DISTANCES",
    "Distance",
    "RankedByEuclidean",
    "normalize",
    "paired",
    "pairwise",
]

# A squared distance below this fraction of the sum of the two squared norms has lost 10
# of float32's 24 bits to cancellation.
_CANCELLATION = 1e-3
# Numbers held at a time while such distances are recomputed from differences.
_REFINED_AT_ONCE = 2**22


@dataclass(frozen=True)
class Distance(ABC):
    """A distance between embeddings.

    Attributes
    ----------
    name : str
        Its name in `DISTANCES`.
    sklearn_metric : str
        Its name as a ``metric`` of scikit-learn.
    highest : float
        Largest distance that any two rows can have.
    """

    name: ClassVar[str]
    sklearn_metric: ClassVar[str]
    highest: ClassVar[float] = math.inf

    @abstractmethod
    def paired(self, left: Tensor, right: Tensor) -> Tensor:
        """Distance between row i of `left` and row i of `right`.

        Parameters
        ----------
        left, right : Tensor of shape (n, d), float32 or wider

        Returns
        -------
        Tensor of shape (n,)
        """

    @abstractmethod
    def pairwise(self, left: Tensor, right: Tensor | None = None) -> Tensor:
        """Distance between every row of `left` and every row of `right`.

        Parameters
        ----------
        left : Tensor of shape (n, d), float32 or wider
        right : Tensor of shape (m, d), default=None
            None means `left`.

        Returns
        -------
        Tensor of shape (n, m)
        """

    @abstractmethod
    def farthest(self, n_components: int) -> float:
        """Largest distance between two unit-norm embeddings.

        Parameters
        ----------
        n_components : int
            Width of the embeddings.

        Returns
        -------
        float
        """

    @property
    def unsquared(self) -> Distance:
        """The distance that this one is the square of, or this one itself."""
        return self


class RankedByEuclidean(Distance):
    """A distance that ranks rows as the Euclidean distance of their images does.

    Searches rely on this: they find Euclidean neighbors fast and convert the distances.
    """

    @abstractmethod
    def image(self, rows: Tensor) -> Tensor:
        """Map rows to images whose Euclidean distances rank as this distance does.

        Parameters
        ----------
        rows : Tensor of shape (n, d)

        Returns
        -------
        Tensor of shape (n, d)
            `rows` itself if no mapping is needed.
        """

    @abstractmethod
    def from_euclidean(self, length: FloatArray) -> FloatArray:
        """Convert Euclidean distances between images to this distance.

        Parameters
        ----------
        length : float32 array

        Returns
        -------
        float32 array, of the same shape
        """


class Euclidean(RankedByEuclidean):
    """Norm of the difference of two rows."""

    name = "euclidean"
    sklearn_metric = "euclidean"

    def paired(self, left: Tensor, right: Tensor) -> Tensor:
        return _sqrt((left - right).square().sum(dim=-1))

    def pairwise(self, left: Tensor, right: Tensor | None = None) -> Tensor:
        return _norms(left, right, root=True)

    def farthest(self, n_components: int) -> float:
        return 2.0

    def image(self, rows: Tensor) -> Tensor:
        return rows

    def from_euclidean(self, length: FloatArray) -> FloatArray:
        return length


class SquaredEuclidean(RankedByEuclidean):
    """Square of the Euclidean distance."""

    name = "sqeuclidean"
    sklearn_metric = "sqeuclidean"

    def paired(self, left: Tensor, right: Tensor) -> Tensor:
        return (left - right).square().sum(dim=-1)

    def pairwise(self, left: Tensor, right: Tensor | None = None) -> Tensor:
        return _norms(left, right, root=False)

    def farthest(self, n_components: int) -> float:
        return 4.0

    def image(self, rows: Tensor) -> Tensor:
        return rows

    def from_euclidean(self, length: FloatArray) -> FloatArray:
        return np.square(length)

    @property
    def unsquared(self) -> Distance:
        return Euclidean()


class Manhattan(Distance):
    """Sum of the absolute differences of the components."""

    name = "manhattan"
    sklearn_metric = "manhattan"

    def paired(self, left: Tensor, right: Tensor) -> Tensor:
        return (left - right).abs().sum(dim=-1)

    def pairwise(self, left: Tensor, right: Tensor | None = None) -> Tensor:
        return torch.cdist(left, left if right is None else right, p=1.0)

    def farthest(self, n_components: int) -> float:
        return 2 * math.sqrt(n_components)


class Cosine(RankedByEuclidean):
    """1 - cos; a zero row, which has no direction, is 1/2 away from nonzero rows."""

    name = "cosine"
    sklearn_metric = "cosine"
    highest = 2.0

    def paired(self, left: Tensor, right: Tensor) -> Tensor:
        # 1 - cos, but exact near 0.
        return 0.5 * (normalize(left) - normalize(right)).square().sum(dim=-1)

    def pairwise(self, left: Tensor, right: Tensor | None = None) -> Tensor:
        right = None if right is None else normalize(right)
        # |a - b|^2 = 2 - 2 cos on the unit sphere.
        return 0.5 * _norms(normalize(left), right, root=False)

    def farthest(self, n_components: int) -> float:
        return 2.0

    def image(self, rows: Tensor) -> Tensor:
        return normalize(rows)

    def from_euclidean(self, length: FloatArray) -> FloatArray:
        return np.float32(0.5) * np.square(length)


DISTANCES: dict[str, Distance] = {
    distance.name: distance
    for distance in (Euclidean(), SquaredEuclidean(), Manhattan(), Cosine())
}


def as_distance(distance: str | Distance, name: str = "distance") -> Distance:
    """Look up a distance by name, or raise a ValueError that names the parameter."""
    return (
        distance
        if isinstance(distance, Distance)
        else DISTANCES[check_option(name, distance, DISTANCES)]
    )


def paired(
    left: Tensor, right: Tensor, distance: str | Distance = "euclidean"
) -> Tensor:
    """Distance between row i of `left` and row i of `right`.

    Parameters
    ----------
    left, right : Tensor of shape (n, d)
        Half precision is converted to float32.
    distance : str or Distance, default="euclidean"
        A name in `DISTANCES`, or a distance.

    Returns
    -------
    Tensor of shape (n,)

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> import torch
    >>> paired(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
    tensor([5.])
    """
    return as_distance(distance).paired(at_least_float32(left), at_least_float32(right))


def pairwise(
    left: Tensor, right: Tensor | None = None, distance: str | Distance = "euclidean"
) -> Tensor:
    """Distance between every row of `left` and every row of `right`.

    Parameters
    ----------
    left : Tensor of shape (n, d)
        Half precision is converted to float32.
    right : Tensor of shape (m, d), default=None
        None means `left`.
    distance : str or Distance, default="euclidean"
        A name in `DISTANCES`, or a distance.

    Returns
    -------
    Tensor of shape (n, m)

    Raises
    ------
    ValueError
        If the name is unknown.

    Notes
    -----
    Squared Euclidean distances are computed with one matrix product of the centered
    rows. Those that cancellation would spoil (near-duplicates) are recomputed from
    differences, and so is their part of the gradient.

    Examples
    --------
    >>> import torch
    >>> pairwise(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[0., 5.],
            [5., 0.]])
    """
    right = None if right is None else at_least_float32(right)
    return as_distance(distance).pairwise(at_least_float32(left), right)


def at_least_float32(rows: Tensor) -> Tensor:
    """Convert half precision to float32; return other tensors unchanged.

    Parameters
    ----------
    rows : Tensor

    Returns
    -------
    Tensor

    Examples
    --------
    >>> import torch
    >>> at_least_float32(torch.ones(1, dtype=torch.bfloat16))
    tensor([1.])
    >>> at_least_float32(torch.ones(1, dtype=torch.float64))
    tensor([1.], dtype=torch.float64)
    """
    return rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows


def normalize(embeddings: Tensor) -> Tensor:
    """Scale each row to unit Euclidean norm.

    A zero row stays zero and has a finite gradient.

    Parameters
    ----------
    embeddings : Tensor of shape (n, d)

    Returns
    -------
    Tensor of shape (n, d)

    Examples
    --------
    >>> import torch
    >>> normalize(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    unit: Tensor = _Normalize.apply(embeddings)  # type: ignore[no-untyped-call]
    return unit


def _norms(left: Tensor, right: Tensor | None, *, root: bool) -> Tensor:
    """Squared Euclidean distances, or with `root` their square roots."""
    # Distances need the full precision of their inputs.
    with torch.autocast(left.device.type, enabled=False):
        if right is None:
            norms: Tensor = _SelfEuclidean.apply(left, root)  # type: ignore[no-untyped-call]
        else:
            norms = _Euclidean.apply(left, right, root)  # type: ignore[no-untyped-call]
    return norms


def _slices(pairs: Tensor, n_columns: int) -> Iterator[slice]:
    step = max(_REFINED_AT_ONCE // max(n_columns, 1), 1)
    return (slice(start, start + step) for start in range(0, len(pairs), step))


def _squared_distances(
    left: Tensor, right: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Squared distances (n, m), and row and column of those computed from differences.

    The others come from a matrix product. Rows are first centered at the mean of
    `left`, which preserves distances and reduces cancellation. Without `right`, the
    diagonal is zero and not among the pairs returned.
    """
    center = left.mean(0)
    a = left - center
    b = a if right is None else right - center
    norm_a, norm_b = a.square().sum(1)[:, None], b.square().sum(1)
    square = ((-2.0 * a) @ b.T).add_(norm_a).add_(norm_b)  # (n, m)
    if right is None:
        square.fill_diagonal_(torch.inf)
    row, column = _cancelled(square, norm_a, norm_b)
    other = left if right is None else right
    for part in _slices(row, left.shape[1]):
        i, j = row[part], column[part]
        square[i, j] = (left[i] - other[j]).square().sum(1)
    return square.fill_diagonal_(0.0) if right is None else square, row, column


def _cancelled(square: Tensor, norm_a: Tensor, norm_b: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of the squared distances that lost digits to cancellation.

    These include the distances between equal rows.
    """
    if square.numel() and square.amin() > _CANCELLATION * (
        norm_a.amax() + norm_b.amax()
    ):
        # A fast check, which is enough for most batches.
        empty = torch.empty(0, dtype=torch.long, device=square.device)
        return empty, empty
    row, column = (square <= _CANCELLATION * (norm_a + norm_b)).nonzero(as_tuple=True)
    return row, column


def _gradient(
    grad: Tensor, left: Tensor, right: Tensor, row: Tensor, column: Tensor
) -> Tensor:
    """Compute sum_j grad_ij (left_i - right_j), (n, d).

    It comes from a matrix product, except for the pairs (row, column), which are
    computed from differences: the gradient of a root grows as 1 / D, so that the
    rounding error of a product would swamp the gradient of near-duplicates.
    """
    near = grad[row, column] if len(row) else None
    if near is not None:
        grad = grad.index_put((row, column), grad.new_zeros(()))
    center = left.mean(0)
    a = left - center
    b = a if right is left else right - center
    total = torch.addmm(a * grad.sum(1)[:, None], grad, b, alpha=-1.0)
    if near is None:
        return total
    for part in _slices(row, left.shape[1]):
        i, j = row[part], column[part]
        total.index_add_(0, i, near[part, None] * (left[i] - right[j]))
    return total


def _divisor(root: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Replace zero roots, which occur only at the pairs (row, column), by infinity."""
    if not len(row):
        return root
    near = root[row, column]
    return root.index_put((row, column), torch.where(near > 0, near, torch.inf))


def _sqrt(square: Tensor) -> Tensor:
    root: Tensor = _SafeSqrt.apply(square)  # type: ignore[no-untyped-call]
    return root


def _unit(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Unit-norm rows (n, d) and the scale factor of each (n, 1); 1 for a zero row."""
    # Dividing by the largest entry first keeps the squares of tiny entries (1e-30) from
    # underflowing.
    peak = rows.detach().abs().amax(dim=-1, keepdim=True)
    peak = torch.where(peak > 0, peak, 1.0)
    scaled = rows / peak
    square = scaled.square().sum(dim=-1, keepdim=True)
    factor = torch.where(square > 0, square, 1.0).rsqrt()
    return scaled * factor, factor / peak


class _Normalize(torch.autograd.Function):
    """Unit-norm rows; the gradient takes one step where autograd would take nine."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        unit, factor = _unit(rows)
        ctx.save_for_backward(rows, unit, factor)
        return unit

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        rows, unit, factor = ctx.saved_tensors
        if torch.is_grad_enabled():  # for second derivatives, both depend on the rows
            unit, factor = _unit(rows)
        gradient: Tensor = (
            grad - unit * (grad * unit).sum(dim=-1, keepdim=True)
        ) * factor
        return gradient


class _SafeSqrt(torch.autograd.Function):
    """Square root with a gradient of zero at zero, instead of infinity."""

    @staticmethod
    def forward(ctx: Any, square: Tensor) -> Tensor:
        root = square.sqrt()
        ctx.save_for_backward(root)
        return root

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        return 0.5 * grad / torch.where(root > 0, root, torch.inf)


class _Euclidean(torch.autograd.Function):
    """Euclidean distances between two sets of rows, squared or not."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, root: bool) -> Tensor:
        norms, row, column = _squared_distances(left, right)
        norms = norms.sqrt_() if root else norms
        ctx.save_for_backward(left, right, row, column, norms if root else None)
        return norms

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        left, right, row, column, root = ctx.saved_tensors
        grad = 2.0 * grad if root is None else grad / _divisor(root, row, column)
        return (
            _gradient(grad, left, right, row, column),
            _gradient(grad.T, right, left, column, row),
            None,
        )


class _SelfEuclidean(torch.autograd.Function):
    """Euclidean distances within one set of rows, with one matrix product per pass."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, root: bool) -> Tensor:
        norms, row, column = _squared_distances(rows, None)
        norms = norms.sqrt_() if root else norms
        ctx.save_for_backward(rows, row, column, norms if root else None)
        return norms

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        rows, row, column, root = ctx.saved_tensors
        grad = grad + grad.T  # D_ij and D_ji are the same distance
        if root is None:
            grad = grad.mul_(2.0)
        else:
            # Second derivatives would be 0 / 0 on the diagonal.
            if torch.is_grad_enabled():
                root = root.diagonal_scatter(root.new_full((len(root),), torch.inf))
            grad = grad.div_(_divisor(root, row, column))
        return _gradient(grad.fill_diagonal_(0.0), rows, rows, row, column), None
