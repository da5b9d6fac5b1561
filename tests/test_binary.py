"""Bits of embeddings, packed bits, and their nearest neighbors."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.neighbors import KNeighborsClassifier

from siamese_sklearn import binary
from siamese_sklearn.binary import hamming_neighbors, pack_bits, to_bits


def random_bits(n, d, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (n, d))


def naive_neighbors(queries, references, k):
    """The k first (number of bits that differ, row) of each query, by loops."""
    found = []
    for query in queries.tolist():
        table = [
            (sum(a != b for a, b in zip(query, reference, strict=True)), row)
            for row, reference in enumerate(references.tolist())
        ]
        found.append(sorted(table)[:k])
    distances = [[distance for distance, _ in row] for row in found]
    return distances, [[index for _, index in row] for row in found]


# Bits


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_bit_is_one_above_zero(dtype):
    embeddings = np.array([[1e-7, -1e-7, 0.0], [-0.0, 3.0, -3.0]], dtype=dtype)
    bits = to_bits(embeddings)
    assert bits.dtype == np.uint8
    assert bits.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_bits_do_not_depend_on_the_length_of_an_embedding():
    embeddings = np.random.default_rng(0).normal(size=(5, 9))
    assert_array_equal(
        to_bits(embeddings),
        to_bits(embeddings / np.linalg.norm(embeddings, axis=1)[:, None]),
    )
    assert_array_equal(to_bits(-embeddings), 1 - to_bits(embeddings))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.bool_])
def test_knn_with_the_hamming_metric_takes_bits_of_any_type(dtype):
    """Queries that equal a row up to one bit, where rows differ in many: each finds its
    own.
    """
    rows = random_bits(10, 40)
    queries = rows.copy()
    queries[np.arange(10), np.arange(10)] ^= 1
    knn = KNeighborsClassifier(1, metric="hamming").fit(
        rows.astype(dtype), np.arange(10)
    )
    assert knn.predict(queries.astype(dtype)).tolist() == list(range(10))


# Packing


@given(n=st.integers(0, 5), d=st.integers(1, 70), seed=st.integers(0, 100))
def test_packed_bits_are_unpacked_to_the_same(n, d, seed):
    bits = random_bits(n, d, seed)
    packed = pack_bits(bits)
    assert packed.dtype == np.uint8
    assert packed.shape == (n, math.ceil(d / 8))
    assert_array_equal(np.unpackbits(packed, axis=1, count=d), bits)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_bits_of_any_type_are_packed_alike(dtype):
    """1 0 1 0 0 0 0 0 | 1 is 128 + 32, 128."""
    bits = np.array([[1, 0, 1, 0, 0, 0, 0, 0, 1]], dtype=dtype)
    assert pack_bits(bits).tolist() == [[160, 128]]


# Neighbors


@pytest.mark.parametrize(
    "has_count", [True, False], ids=["as installed", "before NumPy 2"]
)
@settings(max_examples=50)
@given(
    n=st.integers(0, 4),
    m=st.integers(1, 9),
    d=st.sampled_from([1, 3, 8, 17, 64, 65, 200]),
    k=st.integers(1, 9),
    held=st.sampled_from([1, 10, 2**20]),
    seed=st.integers(0, 1000),
)
def test_neighbors_are_those_of_the_loops(has_count, n, m, d, k, held, seed):
    """With few bits and many ties, which go to the first rows; in slices of one query
    and of more.
    """
    queries, references, k = (
        random_bits(n, d, seed),
        random_bits(m, d, seed + 1),
        min(k, m),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binary, "_HELD_AT_ONCE", held)
        if not has_count:
            patch.delattr(np, "bitwise_count", raising=False)
        distances, indices = hamming_neighbors(
            pack_bits(queries), pack_bits(references), k
        )
    assert distances.shape == indices.shape == (n, k)
    assert distances.dtype == indices.dtype == np.int64
    assert (distances.tolist(), indices.tolist()) == naive_neighbors(
        queries, references, k
    )


def test_codes_all_ones_differ_from_zeros_in_every_bit():
    """More than 255 bits, and more than a word."""
    ones, zeros = pack_bits(np.ones((1, 300))), pack_bits(np.zeros((2, 300)))
    distances, indices = hamming_neighbors(ones, zeros, 2)
    assert distances.tolist() == [[300, 300]]
    assert indices.tolist() == [[0, 1]]


@pytest.mark.slow
def test_distances_and_rows_that_need_64_bits_are_kept_apart():
    """33,000 rows of 65,536 bits: distance times rows exceeds 2**31."""
    n_bytes, n_rows = 2**13, 33_000
    references = np.zeros((n_rows, n_bytes), dtype=np.uint8)
    query = np.full((1, n_bytes), 255, dtype=np.uint8)
    references[-1, 0] = 128
    distances, indices = hamming_neighbors(query, references, 2)
    assert distances.tolist() == [[2**16 - 1, 2**16]]
    assert indices.tolist() == [[n_rows - 1, 0]]


# Errors


def test_embeddings_must_be_rows_of_finite_numbers():
    with pytest.raises(
        ValueError, match=r"^`embeddings` must have shape \(n, d\); got \(3,\)\.$"
    ):
        to_bits([1.0, 2.0, 3.0])
    with pytest.raises(
        ValueError,
        match=r"^`embeddings` must be finite; got 2 NaN or infinite values\.$",
    ):
        to_bits([[1.0, np.nan, np.inf]])


def test_bits_must_be_rows_of_zeros_and_ones():
    with pytest.raises(
        ValueError, match=r"^`bits` must have shape \(n, d\); got \(2,\)\.$"
    ):
        pack_bits([1, 0])
    with pytest.raises(
        ValueError,
        match=r"^`bits` must be 0 or 1; got 0\.5\. Convert embeddings .* `to_bits`\.$",
    ):
        pack_bits([[1.0, 0.5, -1.0]])


PACKED = np.zeros((3, 2), dtype=np.uint8)


@pytest.mark.parametrize(
    ("queries", "references", "k", "error", "text"),
    [
        (
            np.zeros((3, 2)),
            PACKED,
            1,
            TypeError,
            r"`queries` must be packed codes, .*; got float64 of shape \(3, 2\)",
        ),
        (
            PACKED,
            PACKED[0],
            1,
            TypeError,
            r"`references` must be packed codes, .*; got uint8 of shape \(2,\)",
        ),
        (
            PACKED,
            PACKED[:, :1],
            1,
            ValueError,
            "`queries` and `references` must be .* the same length; got 2 and 1 bytes",
        ),
        (
            PACKED,
            PACKED,
            4,
            ValueError,
            "`n_neighbors` must be at most the number of `references`, 3; got 4",
        ),
        (
            PACKED,
            PACKED,
            0,
            ValueError,
            "`n_neighbors` must be an integer of at least 1; got 0",
        ),
        (
            PACKED,
            PACKED,
            1.5,
            TypeError,
            r"`n_neighbors` must be an integer of at least 1; got 1\.5",
        ),
    ],
)
def test_what_cannot_be_searched_is_an_error(queries, references, k, error, text):
    with pytest.raises(error, match=f"^{text}"):
        hamming_neighbors(queries, references, k)
