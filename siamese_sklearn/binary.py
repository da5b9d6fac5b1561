"""Binary codes: bits of embeddings, packed bits, and search by Hamming distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from siamese_sklearn._arrays import to_numpy
from siamese_sklearn._checks import check_integer

__all__ = ["hamming_neighbors", "pack_bits", "to_bits"]

_HELD_AT_ONCE = 2**20  # distances in memory
_WORD = 8  # bytes


def to_bits(embeddings: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Convert embeddings to bits: 1 where a component is above zero, else 0.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)

    Returns
    -------
    array of shape (n, d), uint8

    Raises
    ------
    ValueError
        If `embeddings` does not have shape (n, d) or is not finite.

    See Also
    --------
    pack_bits : pack eight bits into a byte.

    References
    ----------
    Norouzi, Fleet & Salakhutdinov, "Hamming Distance Metric Learning", NeurIPS 2012.

    Examples
    --------
    >>> to_bits([[0.3, -0.2, 0.0, 5.0]])
    array([[1, 0, 0, 1]], dtype=uint8)
    """
    rows = _check_rows("embeddings", embeddings)
    if not np.isfinite(rows).all():
        n_wrong = int((~np.isfinite(rows)).sum())
        raise ValueError(
            f"`embeddings` must be finite; got {n_wrong} NaN or infinite values."
        )
    return (rows > 0).astype(np.uint8)


def pack_bits(bits: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Pack eight bits into a byte, the first bit highest, as ``numpy.packbits`` does.

    Parameters
    ----------
    bits : array-like of shape (n, d)
        Zeros and ones of any dtype.

    Returns
    -------
    array of shape (n, ceil(d / 8)), uint8
        The last byte of each row is padded with zeros, which do not change Hamming
        distances. ``numpy.unpackbits(packed, axis=1, count=d)`` restores the bits.

    Raises
    ------
    ValueError
        If `bits` does not have shape (n, d) or has values other than 0 and 1.

    Examples
    --------
    >>> pack_bits([[1, 0, 0, 0, 0, 0, 0, 1, 1]])
    array([[129, 128]], dtype=uint8)
    """
    rows = _check_rows("bits", bits)
    ones = rows == 1
    if not (ones | (rows == 0)).all():
        wrong = rows[~(ones | (rows == 0))][0]
        raise ValueError(
            f"`bits` must be 0 or 1; got {wrong}. Convert embeddings to bits with "
            "`to_bits`."
        )
    return np.packbits(ones, axis=1)


def hamming_neighbors(
    queries: npt.ArrayLike, references: npt.ArrayLike, n_neighbors: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find nearest packed codes by Hamming distance, the number of differing bits.

    The search compares each query with every reference, 64 bits at a time, whereas
    ``sklearn.neighbors.NearestNeighbors(metric="hamming")`` on unpacked bits compares
    one bit at a time.

    Parameters
    ----------
    queries : array-like of shape (n, n_bytes), uint8
    references : array-like of shape (m, n_bytes), uint8
        Packed codes, as returned by `pack_bits`.
    n_neighbors : int
        At most m.

    Returns
    -------
    distances : array of shape (n, n_neighbors), int64
        In ascending order.
    indices : array of shape (n, n_neighbors), int64
        Row numbers in `references`. Among equal distances, the lowest row comes first.

    Raises
    ------
    ValueError, TypeError
        If the codes are not packed, differ in length, or are fewer than `n_neighbors`.

    Examples
    --------
    >>> codes = pack_bits([[0, 0, 0], [0, 1, 1], [1, 1, 1]])
    >>> query = pack_bits([[1, 0, 1]])
    >>> distances, indices = hamming_neighbors(query, codes, n_neighbors=2)
    >>> distances
    array([[1, 2]])
    >>> indices
    array([[2, 0]])
    """
    left, right = _words("queries", queries), _words("references", references)
    _check_search(
        np.shape(queries)[1], np.shape(references)[1], n_neighbors, len(right)
    )
    m, largest = len(right), (64 * right.shape[1] + 1) * len(right)
    row: npt.NDArray[Any] = np.arange(
        m, dtype=np.int32 if largest < 2**31 else np.int64
    )
    nearest = np.empty((len(left), n_neighbors), dtype=np.int64)
    step = max(_HELD_AT_ONCE // m, 1)
    for start in range(0, len(left), step):
        distance = _differing_bits(left[start : start + step], right)  # (step, m)
        # Distance and row in one number, so that equal distances are ordered by row.
        key = distance.astype(row.dtype) * m + row
        nearest[start : start + step] = np.partition(key, n_neighbors - 1, axis=1)[
            :, :n_neighbors
        ]
    distances, indices = np.divmod(np.sort(nearest, axis=1), m)
    return distances, indices


def _check_search(
    query_bytes: int, reference_bytes: int, n_neighbors: int, n_references: int
) -> None:
    if query_bytes != reference_bytes:
        raise ValueError(
            "`queries` and `references` must be packed codes of the same length; got "
            f"{query_bytes} and {reference_bytes} bytes."
        )
    if check_integer("n_neighbors", n_neighbors, low=1) > n_references:
        raise ValueError(
            "`n_neighbors` must be at most the number of `references`, "
            f"{n_references}; got {n_neighbors}."
        )


def _differing_bits(
    left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int32]:
    """Hamming distances between all rows of `left` and all rows of `right`, (n, m)."""
    total = np.zeros((len(left), len(right)), dtype=np.int32)
    for word in range(left.shape[1]):
        total += _count_ones(left[:, word, None] ^ right[:, word])
    return total


def _count_ones(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Count the ones in each word."""
    if hasattr(np, "bitwise_count"):  # since NumPy 2.0
        return np.bitwise_count(words)
    ones_in_byte = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(
        1, dtype=np.uint8
    )
    ones_per_byte = ones_in_byte[words.view(np.uint8)].reshape(*words.shape, _WORD)
    ones: npt.NDArray[np.uint8] = ones_per_byte.sum(-1, dtype=np.uint8)
    return ones


def _words(name: str, packed: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """Packed codes as 64-bit words, padded with zeros."""
    rows = to_numpy(packed)
    if rows.ndim != 2 or rows.dtype != np.uint8:
        raise TypeError(
            f"`{name}` must be packed codes, uint8 of shape (n, n_bytes); got "
            f"{rows.dtype} of shape {rows.shape}. Pack bits with `pack_bits`."
        )
    missing = -rows.shape[1] % _WORD
    padded = np.pad(rows, ((0, 0), (0, missing))) if missing else rows
    return np.ascontiguousarray(padded).view(np.uint64)


def _check_rows(name: str, rows: npt.ArrayLike) -> npt.NDArray[Any]:
    checked = to_numpy(rows)
    if checked.ndim != 2:
        raise ValueError(f"`{name}` must have shape (n, d); got {checked.shape}.")
    return checked
