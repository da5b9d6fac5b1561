"""Containers of other libraries: which become arrays, and which are refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from siamese_sklearn import Pairs, SiameseEmbedder
from siamese_sklearn._arrays import as_rows, to_numpy

rng = np.random.default_rng(0)
GRAY = rng.integers(0, 255, (12, 8, 8), dtype=np.uint8)
COLORS = rng.integers(0, 255, (12, 9, 8, 3), dtype=np.uint8)
ROWS = rng.normal(size=(12, 4)).astype(np.float32)
Y = np.arange(12) % 3


def pictures(arrays):
    image = pytest.importorskip("PIL.Image")
    return [image.fromarray(array) for array in arrays]


TENSORS = {
    "float": torch.from_numpy(ROWS),
    "with a gradient": torch.tensor(ROWS, requires_grad=True),
    "sparse": torch.from_numpy(ROWS).to_sparse(),
}


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_tensors(tensor):
    np.testing.assert_array_equal(to_numpy(tensor), ROWS)
    np.testing.assert_array_equal(as_rows(tensor), ROWS)
    np.testing.assert_array_equal(Pairs(tensor, tensor).left, ROWS)


def test_brain_floats_are_exact():
    tensor = torch.from_numpy(ROWS).bfloat16()
    np.testing.assert_array_equal(to_numpy(tensor), tensor.float().numpy())


def test_a_tensor_shares_its_memory():
    tensor = torch.from_numpy(ROWS.copy())
    assert np.shares_memory(as_rows(tensor), tensor.numpy())


COLUMNS = {
    "a list of tensors": list(torch.from_numpy(ROWS)),
    "a series of arrays": pd.Series(list(ROWS)),
    "a series of lists": pd.Series(ROWS.tolist()),
    "an array of objects": pd.Series(list(ROWS)).to_numpy(),
}


@pytest.mark.parametrize("rows", COLUMNS.values(), ids=COLUMNS)
def test_columns_of_rows_are_stacked(rows):
    np.testing.assert_array_equal(as_rows(rows).astype(np.float32), ROWS)


def test_pictures_become_images_with_channels_first():
    np.testing.assert_array_equal(as_rows(pictures(GRAY)), GRAY)
    wanted = np.moveaxis(COLORS, -1, 1)
    np.testing.assert_array_equal(as_rows(pictures(COLORS)), wanted)
    np.testing.assert_array_equal(as_rows(pd.Series(pictures(COLORS))), wanted)
    pairs = Pairs(pictures(COLORS), tuple(pictures(COLORS)))
    np.testing.assert_array_equal(pairs.right, wanted)


def test_a_palette_becomes_colors():
    (image,) = pictures(COLORS[:1] // 64 * 64)
    wanted = np.moveaxis(np.asarray(image.quantize().convert("RGB")), -1, 0)
    np.testing.assert_array_equal(as_rows([image.quantize()])[0], wanted)


def test_pictures_fit_as_their_array_does():
    model = SiameseEmbedder(2, max_epochs=1, random_state=0, device="cpu")
    wanted = model.fit(GRAY, Y).transform(GRAY)
    model.fit(pictures(GRAY), Y)
    assert (model.n_features_in_, model.input_shape_) == (8, (8, 8))
    np.testing.assert_array_equal(model.transform(pictures(GRAY)), wanted)


def test_other_lists_and_arrays_stay_as_they_are():
    for rows in (ROWS, ROWS.tolist(), list(ROWS), [], ["a"], pd.DataFrame(ROWS), 3.0):
        assert as_rows(rows) is rows


def structured():
    return pd.DataFrame(ROWS, columns=list("abcd")).to_records(index=False)


DATASET = TensorDataset(torch.from_numpy(ROWS), torch.from_numpy(Y))
REFUSED = {
    "dataset": (DATASET, TypeError, r"is a TensorDataset, a Dataset.*X, y = map"),
    "loader": (DataLoader(DATASET), TypeError, r"is a DataLoader, .* pass arrays"),
    "dates": (ROWS.astype("M8[D]"), TypeError, r"must be numeric; got datetime64\[D\]"),
    "structured": (structured(), TypeError, r"structured array; pass pandas.DataFrame"),
    "masked": (
        np.ma.masked_equal(ROWS, ROWS[0, 0]),
        ValueError,
        r"masked array with 1 masked values; fill",
    ),
    "tensors of two shapes": (
        [torch.ones(3), torch.ones(4)],
        ValueError,
        r"rows of one shape; got \(3,\) in row 0 and \(4,\) in row 1\. Resize",
    ),
}


@pytest.mark.parametrize(("rows", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_array_is_refused_with_the_remedy(rows, error, message):
    with pytest.raises(error, match=f"`X` .*{message}"):
        SiameseEmbedder(device="cpu").fit(rows, Y[: len(rows)])
    with pytest.raises(error, match=f"`right` .*{message}"):
        Pairs(ROWS, rows)


def test_pictures_of_two_sizes_are_refused():
    both = [*pictures(GRAY[:1]), *pictures(GRAY[:1, :4])]
    with pytest.raises(ValueError, match=r"\(8, 8\) in row 0 and \(4, 8\) in row 1"):
        as_rows(both)


def test_a_masked_array_without_masked_values_is_taken():
    rows = np.ma.masked_array(ROWS, np.zeros(ROWS.shape, bool))
    assert as_rows(rows) is rows


def test_lazy_frames_are_refused():
    polars = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"got LazyFrame.*: pass X\.collect\(\)"):
        as_rows(polars.DataFrame(ROWS).lazy())


def test_a_column_of_arrow():
    arrow = pytest.importorskip("pyarrow")
    assert to_numpy(arrow.array([2**60 + 1, None])).tolist() == [2**60 + 1, None]
    table = arrow.table({"a": [1.5, 2.5], "b": [3.0, 4.0]})
    np.testing.assert_array_equal(to_numpy(table), [[1.5, 3.0], [2.5, 4.0]])
