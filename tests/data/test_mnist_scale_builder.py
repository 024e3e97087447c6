"""MNIST-Scale is the published one: on the digits that ship with the package, and on all of them where they are.

The full test wants the folder of MNIST's four IDX files in the environment variable MNIST_IDX.
`mnist_labels.npz` beside this file holds the 70,000 labels of MNIST, training set first.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main
from benchmark.data import mnist_digits
from benchmark.data.mnist_scale import (
    CHECKSUMS,
    IDX_FILES,
    PNG_MD5,
    build,
    check,
    draw_factors,
    png_md5,
    prepare,
    read_mnist,
    shrink,
    split_digits,
)
from benchmark.data.verification import checksum
from siconvnet.datasets.mnist_scale import SPLIT_SIZES, load_mnist_scale
from siconvnet.errors import DatasetError, InvalidArgument

# SHA-256 of the shipped digits as they appear in the published realizations: split after split, in the order there.
SHIPPED = (
    "faeff6c13651dbff43e95a29847f3451a777f8feb31b45505db352271c821282",
    "608e3f17f8d9cb0fbf5f6d41114329016237724b8679c2746392d070329ed12d",
    "e9501db584993aedde3daeea91986d2b1dde66080d9b36a1c9d32f51d416c87a",
    "3765c955658c8c7e6fca0e83c2372a8f53618b704d019f59ad23536d2424ffe7",
    "730f42cc03563df62f8f9b057602127c98a92486624c242750e8d969ecf420cb",
    "763381878108c3a6891a0baa3c630b5452927faeca7989a34c1bbc9183c69edd",
)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    with np.load(Path(__file__).parent / "mnist_labels.npz") as file:
        return file["labels"]


@pytest.fixture(scope="module")
def idx_folder() -> Path:
    folder = os.environ.get("MNIST_IDX")
    if not folder:
        pytest.skip("MNIST_IDX names no folder of MNIST's IDX files")
    return Path(folder)


def shipped_digits() -> dict[int, np.ndarray]:
    with np.load(mnist_digits.EMBEDDED_FILE) as file:
        images, places = file["imgs"], file["index"]
    places = places + np.array([0, 0, 60_000])[:, None, None]
    return dict(zip(places.ravel().tolist(), images.reshape(-1, 28, 28), strict=True))


@pytest.mark.parametrize("realization", range(6))
def test_splits_are_the_published_ones(labels, realization):
    for split, places in zip(SPLIT_SIZES, split_digits(labels, realization), strict=True):
        assert len(places) == SPLIT_SIZES[split]
        assert checksum(labels[places].astype(np.int64)) == CHECKSUMS[realization][f"{split}_lbls"]


@pytest.mark.parametrize("realization", range(6))
def test_shipped_digits_come_out_as_published(labels, realization):
    digits = shipped_digits()
    order = np.concatenate(split_digits(labels, realization))
    factors = draw_factors(len(order), realization)
    digest = hashlib.sha256()
    for place, factor in zip(order.tolist(), factors, strict=True):
        if place in digits:
            digest.update(shrink(digits[place], factor).tobytes())
    assert digest.hexdigest() == SHIPPED[realization]


def test_splits_are_disjoint_and_keep_the_shares(labels):
    train, test, val = split_digits(labels, 0)
    assert len(np.unique(np.concatenate([train, test, val]))) == 62_000
    shares = np.bincount(labels) / len(labels)
    for places in (train, test, val):
        np.testing.assert_allclose(np.bincount(labels[places]) / len(places), shares, atol=1e-3)


def test_factors_are_uniform():
    factors = draw_factors(62_000, 0)
    assert 0.3 <= factors.min() < 0.301 and 0.999 < factors.max() <= 1
    assert factors.mean() == pytest.approx(0.65, abs=0.005)


def test_a_factor_of_one_changes_nothing_and_a_half_halves():
    digit = next(iter(shipped_digits().values()))
    np.testing.assert_array_equal(shrink(digit, 1.0), digit)
    half = shrink(digit, 0.5)
    assert half.sum() == pytest.approx(digit.sum() / 4, rel=0.1)


def test_the_check_sees_one_pixel(labels):
    train, test, val = split_digits(labels, 0)
    arrays = {f"{s}_lbls": labels[p].astype(np.int64) for s, p in zip(SPLIT_SIZES, (train, test, val), strict=True)}
    arrays |= {f"{s}_imgs": np.zeros((n, 28, 28), np.uint8) for s, n in SPLIT_SIZES.items()}
    with pytest.raises(DatasetError, match="train_imgs"):
        check(arrays, 0)


def test_png_check_sees_one_pixel_and_the_order():
    arrays = {}
    for split in SPLIT_SIZES:
        arrays[f"{split}_imgs"] = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
        arrays[f"{split}_lbls"] = np.array([1, 0, 1])
    before = png_md5(arrays)
    swapped = arrays | {"val_lbls": np.array([0, 1, 1])}
    arrays["val_imgs"][2, 0, 0] ^= 1
    assert len({before, png_md5(arrays), png_md5(swapped)}) == 3


def write_idx(folder: Path, name: str, array: np.ndarray) -> None:
    header = np.array([0x0800 + array.ndim, *array.shape], ">u4").tobytes()
    (folder / f"{name}.gz").write_bytes(gzip.compress(header + array.tobytes()))


def test_other_digits_are_refused(tmp_path):
    for name, (num_dims, _) in IDX_FILES.items():
        write_idx(tmp_path, name, np.zeros((2, 28, 28)[:num_dims], np.uint8))
    with pytest.raises(DatasetError, match="train-images-idx3-ubyte is not MNIST's: its content has SHA-256"):
        read_mnist(tmp_path)
    with pytest.raises(DatasetError, match="holds no train-images"):
        read_mnist(tmp_path / "nowhere")


@pytest.mark.parametrize("realization", [-1, 6, 0.5, True])
def test_there_are_six_realizations(realization, tmp_path):
    with pytest.raises(InvalidArgument, match=r"0\.\.5"):
        build(tmp_path, realization=realization)


def test_prepare_builds_once(idx_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    path = prepare(0, source=idx_folder)
    assert [p.name for p in tmp_path.iterdir()] == ["mnist_scale_0.npz"]
    assert prepare(0, source=tmp_path / "nowhere") == path
    content = path.read_bytes()
    path.write_bytes(content[:-1000])
    with pytest.raises(DatasetError, match="holds no train-images"):
        prepare(0, source=tmp_path / "nowhere")
    path.write_bytes(content)
    data = load_mnist_scale(0)
    arrays = {}
    for split in SPLIT_SIZES:
        part = data.split(split)
        arrays |= {f"{split}_imgs": part.images, f"{split}_lbls": part.labels}
    check(arrays, 0)
    assert png_md5(arrays) == PNG_MD5[0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--seed", "6"), InvalidArgument, r"0\.\.5"),
        (("--realization", "-1"), InvalidArgument, r"0\.\.5"),
        (("--classes", "3"), InvalidArgument, "takes no --classes"),
        (("--output", "x.npz"), InvalidArgument, "takes no --output"),
        (("--seed", "0"), DatasetError, "holds no train-images"),
    ],
)
def test_command_refuses(arguments, error, message, tmp_path, monkeypatch):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path / "data"))
    with pytest.raises(error, match=message):
        main(["data", "build", "mnist-scale", "--source", str(tmp_path), *arguments, "--debug"])


def test_command_builds_what_was_published(idx_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    assert main(["data", "build", "mnist-scale", "--seed", "1", "--source", str(idx_folder)]) == 0
    path = tmp_path / "mnist_scale_1.npz"
    assert capsys.readouterr().out == f"mnist-scale, realization 1: {path} (as published)\n"
    assert path.exists()


@pytest.mark.slow
@pytest.mark.parametrize("realization", range(6))
def test_png_files_are_the_published_ones(idx_folder, realization):
    arrays = build(idx_folder, realization=realization)
    check(arrays, realization)
    assert png_md5(arrays) == PNG_MD5[realization]
