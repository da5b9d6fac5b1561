"""Binary codes: from embeddings to bits, eight bits to a byte, and the nearest codes by Hamming distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from siamese_sklearn._checks import check_integer

__all__ = ["hamming_neighbors", "pack_bits", "to_bits"]

_HELD_AT_ONCE = 2**20  # distances
_WORD = 8  # bytes


def to_bits(embeddings: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Bit of each component of an embedding: 1 where it is above zero, else 0.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)

    Returns
    -------
    array of shape (n, d), uint8

    Raises
    ------
    ValueError
        If `embeddings` are not of shape (n, d), or not finite.

    See Also
    --------
    pack_bits : eight of them to a byte.

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
            f"`embeddings` must be finite; {n_wrong} of their numbers are NaN or infinite."
        )
    return (rows > 0).astype(np.uint8)


def pack_bits(bits: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Pack bits eight to a byte, as ``numpy.packbits`` does, the first bit highest.

    Parameters
    ----------
    bits : array-like of shape (n, d)
        Of any type, 0 or 1 each.

    Returns
    -------
    array of shape (n, ceil(d / 8)), uint8
        The last byte of a row is filled up with zeros, which change no Hamming distance.
        ``numpy.unpackbits(packed, axis=1, count=d)`` gives the bits back.

    Raises
    ------
    ValueError
        If `bits` are not of shape (n, d), or not all 0 or 1.

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
            f"`bits` must be 0 or 1; got {wrong}. Make them of embeddings with `to_bits`."
        )
    return np.packbits(ones, axis=1)


def hamming_neighbors(
    queries: npt.ArrayLike, references: npt.ArrayLike, n_neighbors: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Nearest packed codes by Hamming distance, the number of bits that differ.

    It looks at every reference, 64 bits at a time, where
    ``sklearn.neighbors.NearestNeighbors(metric="hamming")`` on the unpacked bits takes each by itself.

    Parameters
    ----------
    queries : array-like of shape (n, n_bytes), uint8
    references : array-like of shape (m, n_bytes), uint8
        As from `pack_bits`.
    n_neighbors : int
        At most m.

    Returns
    -------
    distances : array of shape (n, n_neighbors), int64
        In ascending order.
    indices : array of shape (n, n_neighbors), int64
        Rows of `references`; at equal distances the first ones.

    Raises
    ------
    ValueError, TypeError
        If the codes are not packed, differ in length, or are fewer than `n_neighbors`.

    Examples
    --------
    >>> codes = pack_bits([[0, 0, 0], [0, 1, 1], [1, 1, 1]])
    >>> distances, indices = hamming_neighbors(pack_bits([[1, 0, 1]]), codes, n_neighbors=2)
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
        key = (
            distance.astype(row.dtype) * m + row
        )  # in one number, so that rows order equal distances
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
            "`queries` and `references` must be packed codes of one length; got "
            f"{query_bytes} and {reference_bytes} bytes."
        )
    if check_integer("n_neighbors", n_neighbors, low=1) > n_references:
        raise ValueError(
            f"`n_neighbors` must be at most the number of `references`, {n_references}; got {n_neighbors}."
        )


def _differing_bits(
    left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int32]:
    """Hamming distances of the rows of words `left` to all of `right`, (n, m)."""
    total = np.zeros((len(left), len(right)), dtype=np.int32)
    for word in range(left.shape[1]):
        total += _count_ones(left[:, word, None] ^ right[:, word])
    return total


def _count_ones(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Ones of each word."""
    if hasattr(np, "bitwise_count"):  # since NumPy 2.0
        return np.bitwise_count(words)
    in_byte = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(
        1, dtype=np.uint8
    )
    of_bytes = in_byte[words.view(np.uint8)].reshape(*words.shape, _WORD)
    ones: npt.NDArray[np.uint8] = of_bytes.sum(-1, dtype=np.uint8)
    return ones


def _words(name: str, packed: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """Packed codes as 64-bit words, filled up with zeros."""
    rows = np.asarray(packed)
    if rows.ndim != 2 or rows.dtype != np.uint8:
        raise TypeError(
            f"`{name}` must be packed codes, uint8 of shape (n, n_bytes); got {rows.dtype} of shape "
            f"{rows.shape}. Make them of bits with `pack_bits`."
        )
    missing = -rows.shape[1] % _WORD
    filled = np.pad(rows, ((0, 0), (0, missing))) if missing else rows
    return np.ascontiguousarray(filled).view(np.uint64)


def _check_rows(name: str, rows: npt.ArrayLike) -> npt.NDArray[Any]:
    checked = np.asarray(rows)
    if checked.ndim != 2:
        raise ValueError(f"`{name}` must have shape (n, d); got {checked.shape}.")
    return checked
