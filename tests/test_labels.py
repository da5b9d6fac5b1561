"""Labels of every kind and container: which type they get, and which are the same."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from siamese_sklearn._labels import (
    as_labels,
    check_same_kind,
    distinct_same,
    dtype_with,
    join_labels,
    label_keys,
    number_labels,
    right_answers,
)

BIG = 2**60
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
DAY = np.datetime64("2026-01-01")

# labels, the dtype wanted, and the values wanted (None: as in the labels)
KINDS = {
    **{dtype: (np.array([7, 5, 7], dtype=dtype), dtype, None) for dtype in INTEGERS},
    "list of ints": ([7, 5, 7], "int64", None),
    "large ints": ([BIG + 1, BIG + 2, -1], "int64", None),
    "ints beyond int64": ([2**63 + 1, 5, 0], "uint64", None),
    "ints of both signs beyond int64": ([2**63 + 1, -1, 0], "object", None),
    "ints beyond 64 bits": ([2**70, 2**70 + 1, -1], "object", None),
    "scalars of NumPy": ([np.uint64(BIG + 1), np.int8(-1)], "int64", None),
    "ints as objects": (np.array([BIG + 1, 3], dtype=object), "int64", None),
    "whole floats": (np.array([1.0, 2.0]), "float64", None),
    "ints and whole floats": ([1, 2.0], "float64", None),
    "large ints and whole floats": ([BIG + 1, 2.0], "int64", [BIG + 1, 2]),
    "booleans": ([True, False], "bool", None),
    "booleans as objects": (np.array([True, False], dtype=object), "bool", None),
    "strings": (["ann", "bo"], "<U3", None),
    "strings as objects": (np.array(["ann", "bo"], dtype=object), "object", None),
    "strings of NumPy": (["ann", np.str_("bo")], "<U3", None),
    "strings of variable width": (
        np.array(["ann", "bo"], dtype=np.dtypes.StringDType()),
        "object",
        None,
    ),
    "strings that end in zero": (["ann", "ann\0"], "object", None),
    "very long strings": (["x" * 2**21, "x" * 2**21 + "y", *"ab" * 50], "object", None),
    "dates": (
        np.array([DAY, DAY + 1]),
        "datetime64[us]",
        [datetime(2026, 1, 1), datetime(2026, 1, 2)],
    ),
    "a tuple": ((3, 4), "int64", None),
    "a range": (range(3), "int64", [0, 1, 2]),
    "a tensor": (torch.tensor([BIG + 1, 3]), "int64", None),
    "a tensor with a gradient": (torch.ones(2, requires_grad=True), "float32", None),
    "a list of tensors": ([torch.tensor(3), torch.tensor(4)], "int64", [3, 4]),
    **{
        name: (pd.Series([BIG + 1, BIG + 2], dtype=name), dtype, None)
        for name, dtype in [("Int64", "int64"), ("UInt64", "int64")]
    },
    "category of ints": (pd.Series([BIG + 1, 3]).astype("category"), "int64", None),
    "category of strings": (pd.Categorical(["b", "a"]), "object", ["b", "a"]),
    "boolean": (pd.Series([True, False], dtype="boolean"), "bool", None),
    "string": (pd.Series(["b", "a"], dtype="string"), "object", None),
    "an index": (pd.Index([3, 4]), "int64", None),
    "a nullable array": (pd.array([3, 4], dtype="Int64"), "int64", [3, 4]),
}

REFUSED = {
    "continuous": ([0.5, 1.0], "continuous"),
    "infinite": ([np.inf, 1.0], "continuous"),
    "bytes": ([b"ann", b"bo"], "bytes"),
    "bytes of NumPy": (np.array([b"ann", b"bo"]), "bytes"),
    "ints and strings": ([1, "a"], "mixed-integer"),
    "booleans and ints": ([True, 2], "mixed-integer"),
    "booleans and strings": ([True, "a"], "mixed"),
    "sets": ([{1}, {2}], "mixed"),
    "decimals": ([Decimal(1), Decimal(2)], "decimal"),
}
MISSING = {
    "None": ["a", None],
    "None in a list of ints": [1, None],
    "NaN": [1.0, np.nan],
    "NaN among objects": np.array(["a", np.nan], dtype=object),
    "NA": [1, pd.NA],
    "NaT": np.array([DAY, "NaT"], dtype="datetime64[D]"),
    "Int64": pd.Series([BIG, None], dtype="Int64"),
    "boolean": pd.Series([True, None], dtype="boolean"),
    "string": pd.Series(["a", None], dtype="string"),
    "category": pd.Series(["a", None], dtype="category"),
}


def of_polars(*values, dtype=None):
    return pytest.importorskip("polars").Series(values, dtype=dtype)


def of_arrow(dtype, *values):
    pytest.importorskip("pyarrow")
    return pd.Series(values, dtype=f"{dtype}[pyarrow]")


@pytest.mark.parametrize(("y", "dtype", "values"), KINDS.values(), ids=KINDS)
def test_every_kind_has_its_type_and_keeps_its_values(y, dtype, values):
    labels = as_labels(y)
    assert labels.dtype == dtype
    wanted = values or (y.tolist() if hasattr(y, "tolist") else list(y))
    assert labels.tolist() == wanted
    assert [type(value) for value in labels.tolist()] == [
        type(value) for value in np.array(wanted, dtype=labels.dtype).tolist()
    ]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [((BIG + 1, 3), "int64"), ((True, False), "bool"), (("b", "a"), "object")],
)
def test_columns_of_polars_and_arrow(values, dtype):
    arrow = {"int64": "int64", "bool": "bool", "object": "string"}[dtype]
    for y in (of_arrow(arrow, *values), of_polars(*values)):
        labels = as_labels(y)
        assert labels.tolist() == list(values)
        assert labels.dtype.kind in (np.dtype(dtype).kind, "U")


def test_columns_of_polars_of_128_bits():
    polars = pytest.importorskip("polars")
    if not hasattr(polars, "Int128"):
        pytest.skip("this version of polars has no integers of 128 bits")
    labels = as_labels(of_polars(2**70, 2**70 + 1, dtype=polars.Int128))
    assert labels.tolist() == [2**70, 2**70 + 1]


@pytest.mark.parametrize(("y", "kind"), REFUSED.values(), ids=REFUSED)
def test_what_names_no_classes_of_one_kind_is_refused(y, kind):
    message = rf"Unknown label type: {kind}.* `who` must contain class labels of one"
    with pytest.raises(ValueError, match=message):
        as_labels(y, "who")


@pytest.mark.parametrize("y", MISSING.values(), ids=MISSING)
def test_missing_labels_are_refused(y):
    with pytest.raises(ValueError, match="Input who contains NaN or None in 1 rows"):
        as_labels(y, "who")


def test_missing_labels_of_polars_and_arrow_are_refused():
    for y in (of_polars(BIG, None), of_polars("a", None), of_arrow("int64", BIG, None)):
        with pytest.raises(ValueError, match="contains NaN or None in 1 rows"):
            as_labels(y)


@given(st.lists(st.integers(-(2**70), 2**70), min_size=1))
def test_integers_of_any_size_keep_their_value(values):
    labels = as_labels(values)
    assert labels.tolist() == values
    assert np.unique(labels).tolist() == sorted(set(values))


typed = st.sampled_from([*INTEGERS, "float64", "object"])


@given(st.data())
def test_joined_numbers_keep_their_value(data):
    parts = []
    for dtype in data.draw(st.lists(typed, min_size=1, max_size=3)):
        kind = np.dtype(dtype).kind
        info = np.iinfo(dtype) if kind in "iu" else None
        low, high = (info.min, info.max) if info else (-(2**70), 2**70)
        numbers = data.draw(st.lists(st.integers(int(low), int(high)), max_size=4))
        parts.append(np.array(numbers, dtype=dtype))
    values = [int(value) for part in parts for value in part.tolist()]
    joined = join_labels(*parts)
    assert joined.tolist() == values
    classes = np.unique(joined)
    for part in parts:
        numbers = number_labels(part, classes)
        assert classes[numbers].tolist() == part.tolist()


def test_joined_integers_of_both_kinds_stay_integers():
    joined = join_labels(np.array([-1, BIG + 1]), np.array([BIG + 2], dtype="uint64"))
    assert (joined.dtype, joined.tolist()) == (np.int64, [-1, BIG + 1, BIG + 2])


@pytest.mark.parametrize(
    ("left", "right", "kinds"),
    [
        (["a"], [1], "strings and numbers"),
        ([True], [1], "booleans and numbers"),
        ([True], ["a"], "booleans and strings"),
        (np.array([DAY]), [1], "dates and numbers"),
    ],
)
def test_labels_of_two_kinds_are_refused(left, right, kinds):
    message = rf"These must be of the same kind; got .*, which are {kinds}\. Convert"
    with pytest.raises(ValueError, match=message):
        check_same_kind(as_labels(left), as_labels(right), "These")
    check_same_kind(as_labels(left), as_labels(right)[:0], "These")


def test_true_is_not_one():
    keys = label_keys(as_labels([True, False])) + label_keys(as_labels([1, 0]))
    assert len(set(keys)) == 4


@pytest.mark.parametrize(
    ("dtype", "label", "wanted"),
    [
        ("int64", -1, "int64"),
        ("uint8", -1, "int64"),
        ("uint64", -1, "object"),
        ("int64", 2**63, "object"),
        ("int64", "unknown", "object"),
        ("int64", True, "object"),
        ("bool", False, "bool"),
        ("float64", -1, "float64"),
        ("float64", BIG + 1, "object"),
        ("<U2", "unknown", "<U7"),
        ("object", "unknown", "object"),
    ],
)
def test_the_type_of_labels_and_one_more(dtype, label, wanted):
    assert dtype_with(np.dtype(dtype), label) == wanted


class TestRightAnswers:
    def test_of_large_integers_of_two_types(self):
        y = np.array([BIG + 1, BIG + 2], dtype="uint64")
        answer = np.array([BIG + 1, BIG + 1])
        assert right_answers(y, answer, answer).tolist() == [True, False]

    def test_of_two_kinds(self):
        answer = np.array([1, "unknown", 2], dtype=object)
        y, classes = [1, "unknown", "2"], np.array([1, 2])
        right = right_answers(y, answer, classes, may_mix=True)
        assert right.tolist() == [True, True, False]
        names = np.array(["ann", 0], dtype=object)
        right = right_answers(["ann", 0], names, names[:1], may_mix=True)
        assert right.tolist() == [True, True]

    def test_labels_of_another_kind_are_refused(self):
        with pytest.raises(ValueError, match="labels in `y` and `classes_` must be of"):
            right_answers(["1"], np.array([1]), np.array([1]))


def test_what_pairs_are_labeled_with():
    assert distinct_same(np.array([1.0, 0.0, 1.0])) == [1, 0]
    assert distinct_same(np.array([True, np.True_, 0], dtype=object)) == [1, 0]
    odd = np.array([None, {1}, 1, "1"], dtype=object)
    assert distinct_same(odd) == ["None", "{1}", 1, "'1'"]


@pytest.mark.parametrize(
    ("first", "second", "dtype"),
    [
        (np.uint64([1, 2]), np.int64([77]), "int64"),
        (np.int64([1, 2]), np.float64([11]), "int64"),
        (np.array([2**70, 1], dtype=object), np.float64([11]), "object"),
        (np.float64([1, 2]), np.int64([11]), "float64"),
    ],
)
def test_only_floats_joined_first_stay_floats(first, second, dtype):
    joined = join_labels(first, second)
    assert joined.dtype == dtype
    kind = float if dtype == "float64" else int
    assert [type(value) for value in joined.tolist()] == [kind] * 3
    assert joined.tolist() == [*first.tolist(), *second.tolist()]


@pytest.mark.parametrize("unit", ["D", "h", "s", "ms", "us", "ns"])
def test_dates_are_the_same_in_every_unit(unit):
    wanted = np.array([DAY, DAY + 1], dtype="datetime64[us]")
    dates = wanted.astype(f"datetime64[{unit}]")
    assert as_labels(dates).dtype == "datetime64[us]"
    assert right_answers(dates, wanted, wanted).tolist() == [True, True]
    assert label_keys(dates) == [datetime(2026, 1, 1), datetime(2026, 1, 2)]
    gaps = np.array([1, 2], dtype="timedelta64[D]").astype(f"timedelta64[{unit}]")
    assert as_labels(gaps).tolist() == [timedelta(1), timedelta(2)]


@pytest.mark.parametrize(
    "day",
    [DAY, np.datetime64(DAY, "ns"), pd.Timestamp(DAY), date(2026, 1, 1)],
    ids=["days", "ns", "pandas", "date"],
)
def test_a_date_of_every_type_has_one_key(day):
    keys = label_keys(np.array([day, 0], dtype=object))
    assert keys[0] == datetime(2026, 1, 1)
    assert hash(keys[0]) == hash(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, 1], dtype="datetime64[ns]"),
        np.array([0, 2**62], dtype="datetime64[D]"),
        np.array([1, 2], dtype="timedelta64[ns]"),
    ],
)
def test_dates_that_microseconds_lose_are_refused(labels):
    with pytest.raises(ValueError, match=r"microseconds do not hold exactly; got"):
        as_labels(labels)
