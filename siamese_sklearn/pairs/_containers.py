"""Pairs and Triplets: rows that belong together, side by side, indexed as one array."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from types import EllipsisType
from typing import Any, NoReturn, Self, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from siamese_sklearn._arrays import as_rows

__all__ = ["Pairs", "Side", "Sides", "Triplets", "as_side", "take_rows"]

# An array with at least one dimension, a memmap, a pandas or polars data frame or
# series, or a CSR matrix.
Side: TypeAlias = Any
RowKey: TypeAlias = slice | Sequence[int] | npt.NDArray[Any] | tuple[Any, EllipsisType]


def as_side(name: str, values: Any) -> Side:
    """Return a frame, series or memmap as is, other values as CSR matrix or array."""
    is_sparse: bool = sparse.issparse(values)
    if is_sparse:
        return values.tocsr()
    # a LazyFrame has no shape, so its rows cannot be indexed
    is_polars = type(values).__module__.split(".")[0] == "polars" and hasattr(
        values, "shape"
    )
    if is_polars or isinstance(values, pd.DataFrame | pd.Series | np.memmap):
        return values
    array = np.asarray(as_rows(values, name))
    if array.ndim == 0:
        raise TypeError(
            f"`{name}` must have rows (an array with at least one dimension, a data "
            f"frame, a sparse matrix); got {type(values).__name__}, which has none."
        )
    return array


def take_rows(side: Side, rows: slice | int | npt.NDArray[np.intp]) -> Any:
    """Rows of one side by position, whatever its index labels."""
    return side.iloc[rows] if isinstance(side, pd.DataFrame | pd.Series) else side[rows]


@dataclass(frozen=True, eq=False, repr=False)
class Sides:
    """Named sides with the same number of rows, indexed by row; base of `Pairs`."""

    def __post_init__(self) -> None:
        for name in self._names:
            object.__setattr__(self, name, as_side(name, getattr(self, name)))
        lengths = [side.shape[0] for side in self.sides]
        if len(set(lengths)) > 1:
            got = ", ".join(
                f"`{name}` has {length}"
                for name, length in zip(self._names, lengths, strict=True)
            )
            raise ValueError(
                f"The sides of {type(self).__name__} must have the same number of "
                f"rows; {got}."
            )

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(field.name for field in fields(self))

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides in order, as a tuple."""
        return tuple(getattr(self, name) for name in self._names)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and number of sides."""
        return len(self), len(self._names)

    @property
    def ndim(self) -> int:
        """Always 2: rows and sides."""
        return 2

    def map(self, function: Callable[[Side], Side]) -> Self:
        """Apply a function to each side.

        Parameters
        ----------
        function : callable
            Takes one side and returns its replacement.

        Returns
        -------
        sides : same type as self
            The results. They must have the same number of rows.
        """
        return type(self)(*(function(side) for side in self.sides))

    def __len__(self) -> int:
        return int(self.sides[0].shape[0])

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> tuple[Any, ...]: ...
    @overload
    def __getitem__(self, key: RowKey) -> Self: ...
    def __getitem__(self, key: Any) -> Any:
        name = type(self).__name__
        if isinstance(key, tuple):
            # scikit-learn indexes rows as X[rows, ...]
            if len(key) != 2 or key[1] is not Ellipsis:
                raise IndexError(
                    f"{name} are indexed by row only; their sides are "
                    f"{self._attributes}."
                )
            key = key[0]
        if isinstance(key, numbers.Integral):
            if not -len(self) <= int(key) < len(self):
                raise IndexError(
                    f"Row {key} is out of bounds: these {name} have {len(self)} rows."
                )
            return tuple(take_rows(side, int(key) % len(self)) for side in self.sides)
        if not isinstance(key, slice):
            # masks, lists and negative numbers become positions, for all kinds of sides
            key, given = np.arange(len(self))[key], key
            if key.ndim != 1:
                raise IndexError(
                    f"{name} must be indexed by a slice, a mask or a list of rows; "
                    f"got {given!r}."
                )
        return self.map(lambda side: take_rows(side, key))

    def __iter__(self) -> Iterator[NoReturn]:
        # without this, two rows would silently unpack as if they were the two sides
        raise TypeError(
            f"{type(self).__name__} cannot be iterated or unpacked; use "
            f"{self._attributes}."
        )

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be converted to one array: they have "
            f"{len(self._names)} sides, {self._attributes}. To apply a scikit-learn "
            "transformer to each side, wrap it: PairTransformer(StandardScaler())."
        )

    def __repr__(self) -> str:
        each = ", ".join(
            f"{name}: {type(side).__name__} {tuple(side.shape)}"
            for name, side in zip(self._names, self.sides, strict=True)
        )
        return f"<{type(self).__name__} of {len(self)} rows, {each}>"

    @property
    def _attributes(self) -> str:
        return ", ".join(f"`.{name}`" for name in self._names)


@dataclass(frozen=True, eq=False, repr=False)
class Pairs(Sides):
    """Pairs of rows: row i of `left` is compared with row i of `right`.

    Use it as `X` for verification ("are these two the same?"). It has the length, shape
    and row indexing that scikit-learn expects, so ``train_test_split``,
    ``cross_val_score``, ``GridSearchCV``, ``CalibratedClassifierCV`` and similar tools
    accept it. The two sides may differ in shape and type.

    Parameters
    ----------
    left, right : array-like, data frame, series or sparse matrix
        The two sides, each with n rows. Arrays, memory maps and pandas or polars
        containers are not copied. Sparse matrices are converted to CSR, and lists to
        arrays.

    Attributes
    ----------
    shape : tuple of int
        ``(n, 2)``.
    ndim : int
        Always 2.
    sides : tuple
        ``(left, right)``.

    Raises
    ------
    ValueError
        If the sides have different numbers of rows.
    TypeError
        If a side has no rows; also on iteration, unpacking and conversion to one array:
        use `left` and `right` instead.

    See Also
    --------
    Triplets : The same with three sides.
    make_pairs : Pairs from labeled rows.
    PairTransformer : One transformer for both sides.

    Notes
    -----
    A slice, a mask or an array of positions returns `Pairs`; a single position returns
    the tuple ``(left_row, right_row)``. Pairs compare by identity, and their sides
    cannot be reassigned.

    Examples
    --------
    >>> import numpy as np
    >>> from siamese_sklearn.pairs import Pairs
    >>> pairs = Pairs(np.arange(6).reshape(3, 2), ["a", "b", "c"])
    >>> pairs
    <Pairs of 3 rows, left: ndarray (3, 2), right: ndarray (3,)>
    >>> pairs[[0, 2]].right
    array(['a', 'c'], dtype='<U1')
    >>> left, right = pairs[1]
    >>> left
    array([2, 3])
    """

    left: Side
    right: Side


@dataclass(frozen=True, eq=False, repr=False)
class Triplets(Sides):
    """Triplets of rows: an anchor, one that is the same, and one that is different.

    Like `Pairs`, indexed by row and accepted by scikit-learn's model selection.

    Parameters
    ----------
    anchor, positive, negative : array-like, data frame, series or sparse matrix
        The three sides, each with n rows. Row i of `positive` is the same as row i of
        `anchor`; row i of `negative` is different.

    Attributes
    ----------
    shape : tuple of int
        ``(n, 3)``.
    ndim : int
        Always 2.
    sides : tuple
        ``(anchor, positive, negative)``.

    Raises
    ------
    ValueError
        If the sides have different numbers of rows.
    TypeError
        If a side has no rows; also on iteration, unpacking and conversion to one array.

    See Also
    --------
    Pairs : The same with two sides.
    make_triplets : Triplets from labeled rows.

    Examples
    --------
    >>> from siamese_sklearn.pairs import Triplets
    >>> triplets = Triplets([[0.0], [5.0]], [[0.1], [5.1]], [[5.0], [0.0]])
    >>> triplets.shape
    (2, 3)
    >>> triplets[:1].negative
    array([[5.]])
    """

    anchor: Side
    positive: Side
    negative: Side
