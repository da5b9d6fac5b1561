"""Values that go through JSON and arrays come back equal and of the same type."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from siamese_sklearn.losses import LOSSES
from siamese_sklearn.persistence._values import Decoder, Encoder, NotStorableError
from siamese_sklearn.towers import TOWERS, CNNTower


def there_and_back(value):
    encoder = Encoder()
    text = json.dumps(encoder.encode(value, "value"), allow_nan=False)
    return Decoder(encoder.arrays).decode(json.loads(text))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.just("$"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=30)
@given(value=PLAIN)
def test_plain_values(value):
    back = there_and_back(value)
    assert repr(back) == repr(
        value
    )  # tells 1 from True and from 1.0, and -0.0 from 0.0


@pytest.mark.parametrize(
    "value",
    [
        np.float64(0.1),
        np.float32(0.1),
        np.float32(np.inf),
        np.int64(2**62 + 1),
        np.uint64(2**64 - 1),
        np.bool_(True),
        np.str_("ä"),
        np.datetime64("2020-02-02"),
        np.complex128(1j),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scalars(value):
    back = there_and_back(value)
    assert back == value
    assert back.dtype == value.dtype
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1, 2], [3, 4]], order="F", dtype=np.uint8),
        np.empty((0, 3), dtype=np.float32),
        np.array(["a", "bcd"]),
        np.array([2**63, "a", None, 0.5, (1, 2)], dtype=object),
        np.array([["a"], ["b"]], dtype=object),
        np.array(5.0),
    ],
    ids=str,
)
def test_arrays(array):
    back = there_and_back(array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tolist() == array.tolist()


def test_an_array_is_stored_once():
    array = np.arange(3)
    encoder = Encoder()
    encoder.encode({"a": array, "b": array, "c": array.copy()}, "x")
    assert list(encoder.arrays) == ["x.a", "x.c"]


def test_names_of_arrays_are_safe_names_of_files():
    encoder = Encoder()
    encoder.encode({"../a": np.arange(2), "..\\a": np.arange(3)}, "x")
    assert list(encoder.arrays) == ["x..._a", "x..._a_"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_tensors(dtype):
    tensor = torch.arange(6).to(dtype).reshape(2, 3) / 7 * 7
    back = there_and_back(tensor)
    assert back.dtype == tensor.dtype
    assert torch.equal(back, tensor)


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_rows_of_either_type(make):
    rows = make(np.float32([[0, 1], [2, 0]]))
    back = there_and_back(rows)
    assert type(back) is type(rows)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back.toarray(), rows.toarray())


def test_sparse_rows_with_wrong_columns_are_refused():
    rows = sparse.csr_matrix(np.eye(3))
    encoder = Encoder()
    stored = encoder.encode(rows, "rows")
    encoder.arrays["rows.1"] = np.array([0, 1, 99], dtype=np.int32)
    with pytest.raises(ValueError, match="indices"):
        Decoder(encoder.arrays).decode(stored)


@pytest.mark.parametrize("spec", [*LOSSES.values(), *TOWERS.values()])
def test_specs(spec):
    back = there_and_back(spec())
    assert type(back) is spec
    assert repr(back.get_params()) == repr(spec().get_params())


def test_parameters_of_specs():
    back = there_and_back(CNNTower([4, 8], dropout=0.5))
    assert back.get_params() == CNNTower([4, 8], dropout=0.5).get_params()


def test_optimizers_and_devices():
    assert there_and_back(torch.optim.Adagrad) is torch.optim.Adagrad
    assert there_and_back(torch.device("cuda:1")) == torch.device("cuda:1")


class OwnTower(CNNTower):
    pass


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({1, 2}, r"a builtins\.set"),
        ([OwnTower()], r"a test_stored_values\.OwnTower"),
        ({"a": len}, r"builtins\.len"),
        (OwnTower, r"test_stored_values\.OwnTower"),
        (np.zeros(2, dtype="i4,i4"), "an array of dtype"),
    ],
    ids=["set", "own class", "function", "class", "structured"],
)
def test_other_types_are_an_error(value, named):
    with pytest.raises(NotStorableError, match=named):
        there_and_back(value)
