"""The MNIST-Scale reader: what it gives and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from siconvnet.datasets.mnist_scale import MEAN, SPLIT_SIZES, STD, load_mnist_scale, mnist_scale_path
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    content = {}
    for split, size in SPLIT_SIZES.items():
        content[f"{split}_imgs"] = np.full((size, 28, 28), len(split), np.uint8)
        content[f"{split}_lbls"] = generator.integers(0, 10, size)
        content[f"{split}_scls"] = generator.uniform(0.3, 1, size)
    return content


def write(arrays: dict[str, np.ndarray], tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    np.savez(mnist_scale_path(3), **arrays)


def test_reads_three_splits(arrays, tmp_path, monkeypatch):
    write(arrays, tmp_path, monkeypatch)
    data = load_mnist_scale(3)
    for split, size in SPLIT_SIZES.items():
        part = data.split(split)
        np.testing.assert_array_equal(part.images, arrays[f"{split}_imgs"])
        np.testing.assert_array_equal(part.labels, arrays[f"{split}_lbls"])
        np.testing.assert_array_equal(part.scales, arrays[f"{split}_scls"])
        normalized = part.normalized()
        assert normalized.shape == (size, 1, 28, 28) and normalized.dtype == np.float32
        np.testing.assert_allclose(normalized[0, 0, 0, 0], (len(split) / 255 - MEAN) / STD, rtol=1e-6)
    with pytest.raises(UnknownName, match="split"):
        data.split("valid")


def test_a_missing_file_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match="benchmark data build mnist-scale --seed 3"):
        load_mnist_scale(3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_imgs": None}, "has no array 'val_imgs'"),
        ({"test_lbls": np.zeros(3, np.int64)}, r"test_lbls has shape \(3,\)"),
        ({"train_imgs": np.zeros((10_000, 28, 28))}, "float64"),
        ({"val_lbls": np.full(2_000, 10)}, "outside"),
    ],
)
def test_refuses_other_content(arrays, tmp_path, monkeypatch, change, message):
    write({k: v for k, v in (arrays | change).items() if v is not None}, tmp_path, monkeypatch)
    with pytest.raises(DatasetError, match=message):
        load_mnist_scale(3)


def test_refuses_a_truncated_file(arrays, tmp_path, monkeypatch):
    write(arrays, tmp_path, monkeypatch)
    path = mnist_scale_path(3)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DatasetError, match="build it again"):
        load_mnist_scale(3)


def test_there_are_six_realizations():
    for wrong in (6, -1, 1.0, True, "1"):
        with pytest.raises(InvalidArgument, match=r"0\.\.5"):
            load_mnist_scale(wrong)
    assert mnist_scale_path(np.int64(5)).name == "mnist_scale_5.npz"
