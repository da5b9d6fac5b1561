"""Rows of every kind as batches."""

import numpy as np
import pytest
import torch

from nets import CPU, KINDS, NUMBERS
from siamese_sklearn._net import Rows


class TestRows:
    @pytest.fixture(params=KINDS)
    def given(self, request, tmp_path):
        return KINDS[request.param](tmp_path)

    @pytest.mark.parametrize(
        "index",
        [
            slice(0, 7),
            slice(25, 40),
            slice(None),
            np.array([3, 3, 29, 0]),
            np.array([5]),
        ],
        ids=str,
    )
    def test_take(self, given, index):
        batch = Rows(given, device=CPU).take(index)
        assert batch.dtype == torch.float32
        expected = NUMBERS[index].reshape(-1, *given.shape[1:])
        assert np.array_equal(batch.numpy(), expected)

    def test_a_batch_is_a_copy(self, given):
        index, rows = np.array([3, 29, 0]), Rows(given, device=CPU)
        rows.take(index).fill_(-1.0)
        assert np.array_equal(
            rows.take(index).numpy(), NUMBERS[index].reshape(-1, *given.shape[1:])
        )

    def test_length_and_shape(self, given):
        rows = Rows(given, device=CPU)
        assert len(rows) == 30
        assert rows.row_shape == given.shape[1:]

    def test_slices_cover_all_rows_in_order(self, given):
        rows = Rows(given, device=CPU)
        whole = torch.cat([rows.take(part) for part in rows.slices()])
        assert np.array_equal(whole.numpy().reshape(30, 6), NUMBERS)

    def test_sides(self, given):
        rows = Rows(given, NUMBERS[::-1].astype(np.float32), device=CPU)
        left, right = rows.take(np.array([0, 4]))
        assert np.array_equal(left.numpy().reshape(2, 6), NUMBERS[[0, 4]])
        assert np.array_equal(right.numpy(), NUMBERS[[29, 25]])
        assert all(map(torch.equal, rows.sides(slice(2)), rows.take(slice(2))))
