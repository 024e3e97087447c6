"""Predictions as they are stored: small, and the same numbers when they are read."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.predictions import Predictions


@pytest.mark.parametrize("largest", [0, 127, 255, 256, 300, 32_767, 32_768, 70_000, 2**40])
def test_no_number_wraps(largest):
    numbers = np.array([0, 17, largest])
    predictions = Predictions(numbers - 1, numbers, numbers, np.zeros(3, np.float32))
    read = Predictions.from_arrays(predictions.arrays())
    for name in ("predicted", "labels", "scales"):
        found = getattr(read, name)
        assert found.dtype == np.int64 and (found == getattr(predictions, name)).all(), name


def test_small_numbers_take_a_byte_each():
    numbers = np.array([0, 17, 64])
    arrays = Predictions(numbers, numbers, numbers, np.zeros(3)).arrays()
    assert {key: array.itemsize for key, array in arrays.items()} == {
        "predicted": 1, "labels": 1, "scales": 1, "losses": 4
    }  # fmt: skip


def test_predictions_of_earlier_versions_and_of_nothing():
    old = {"predicted": np.int16, "labels": np.int16, "scales": np.uint8, "losses": np.float32}
    read = Predictions.from_arrays({key: np.array([1, 64]).astype(kind) for key, kind in old.items()})
    assert read.scales.tolist() == [1, 64] and read.accuracy([64]) == 100
    empty = np.array([], np.int64)
    assert Predictions(empty, empty, empty, np.zeros(0)).arrays()["scales"].size == 0
