"""Pairs and Triplets: rows that belong together, held side by side and indexed like one array."""

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

__all__ = ["Pairs", "Side", "Sides", "Triplets", "as_side", "take_rows"]

Side: TypeAlias = Any  # an array of any ndim >= 1, a memmap, a pandas or polars frame or series, a CSR matrix
RowKey: TypeAlias = slice | Sequence[int] | npt.NDArray[Any] | tuple[Any, EllipsisType]


def as_side(name: str, values: Any) -> Side:
    """Rows of one side: frames, series and memory maps as they are, sparse as CSR, all else as an array."""
    is_sparse: bool = sparse.issparse(values)
    if is_sparse:
        return values.tocsr()
    # a LazyFrame has no shape, hence no rows to take
    is_polars = type(values).__module__.split(".")[0] == "polars" and hasattr(
        values, "shape"
    )
    if is_polars or isinstance(values, pd.DataFrame | pd.Series | np.memmap):
        return values
    array = np.asarray(values)
    if array.ndim == 0:
        raise TypeError(
            f"`{name}` must have rows (an array of one dimension or more, a data frame, a sparse matrix); "
            f"got {type(values).__name__}, which has none."
        )
    return array


def take_rows(side: Side, rows: slice | int | npt.NDArray[np.intp]) -> Any:
    """Rows of one side by position, whatever its index labels are."""
    return side.iloc[rows] if isinstance(side, pd.DataFrame | pd.Series) else side[rows]


@dataclass(frozen=True, eq=False, repr=False)
class Sides:
    """Named sides with equally many rows, indexed by row: what `Pairs` and `Triplets` have in common."""

    def __post_init__(self) -> None:
        for name in self._names:
            object.__setattr__(self, name, as_side(name, getattr(self, name)))
        lengths = [side.shape[0] for side in self.sides]
        if len(set(lengths)) > 1:
            came = ", ".join(
                f"`{name}` has {length}"
                for name, length in zip(self._names, lengths, strict=True)
            )
            raise ValueError(
                f"The sides of {type(self).__name__} must have equally many rows; {came}."
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
        """Number of rows, number of sides."""
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
            Takes one side, returns the side that takes its place.

        Returns
        -------
        sides : same type as self
            The results, which must have equally many rows.
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
            if (
                len(key) != 2 or key[1] is not Ellipsis
            ):  # scikit-learn takes rows as X[rows, ...]
                raise IndexError(
                    f"{name} are indexed by row only; their sides are {self._attributes}."
                )
            key = key[0]
        if isinstance(key, numbers.Integral):
            if not -len(self) <= int(key) < len(self):
                raise IndexError(
                    f"Row {key} is out of bounds: these {name} have {len(self)} rows."
                )
            return tuple(take_rows(side, int(key) % len(self)) for side in self.sides)
        if not isinstance(key, slice):
            # for all kinds of sides alike: masks, lists and negative numbers become positions within bounds
            key, given = np.arange(len(self))[key], key
            if key.ndim != 1:
                raise IndexError(
                    f"{name} take a slice, a mask or a list of rows; got {given!r}."
                )
        return self.map(lambda side: take_rows(side, key))

    def __iter__(self) -> Iterator[NoReturn]:
        # without this, two rows would unpack silently as if they were the two sides
        raise TypeError(
            f"{type(self).__name__} cannot be iterated or unpacked; use {self._attributes}."
        )

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot become one array: they have {len(self._names)} sides, "
            f"{self._attributes}. To use a scikit-learn transformer on each side, wrap it, "
            "e.g. PairTransformer(StandardScaler())."
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
    """Pairs of things: row i of one side belongs with row i of the other.

    The `X` of verification ("are these two the same?"). It has the length, the shape and the indexing by row
    that scikit-learn asks of `X`, so that ``train_test_split``, ``cross_val_score``, ``GridSearchCV``,
    ``CalibratedClassifierCV`` and the like take it as it is. The sides may differ in shape and in type.

    Parameters
    ----------
    left, right : array-like of shape (n, ...), data frame, series or sparse matrix of n rows
        The two sides. Arrays, memory maps and pandas or polars containers are held without a copy, sparse
        matrices as CSR; lists become arrays.

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
        If a side has no rows, or on iteration, unpacking and conversion to one array: use `left` and `right`.

    See Also
    --------
    Triplets : The same with three sides.
    make_pairs : Pairs out of labelled rows.
    PairTransformer : One transformer for both sides.

    Notes
    -----
    A slice, mask or array of positions gives `Pairs`; one position gives the tuple ``(left_row, right_row)``.
    Pairs compare by identity, and their sides cannot be reassigned.

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
    """Triplets of things: an anchor, one that is the same, and one that is different.

    Indexed by row like `Pairs`, and taken by scikit-learn's model selection alike.

    Parameters
    ----------
    anchor, positive, negative : array-like of shape (n, ...), data frame, series or sparse matrix of n rows
        Row i of `positive` is the same as row i of `anchor`, row i of `negative` is not.

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
        If a side has no rows, or on iteration, unpacking and conversion to one array.

    See Also
    --------
    Pairs : The same with two sides.
    make_triplets : Triplets out of labelled rows.

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
