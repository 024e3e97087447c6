"""STL-10's official binary files: read as torchvision reads them, and refused with one line if anything is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from stl10_files import write_stl10

from siconvnet.datasets import stl10 as reader
from siconvnet.datasets.stl10 import CLASSES, find_stl10, load_stl10
from siconvnet.errors import DatasetError, UnknownName

SIZES = {"train": 12, "test": 20}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reader, "SPLIT_SIZES", SIZES)
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_images_and_labels_are_what_was_written(root: Path) -> None:
    content = write_stl10(root / "stl10_binary", SIZES)
    for split, (images, labels) in content.items():
        found = load_stl10(split)
        assert np.array_equal(found.images, images) and np.array_equal(found.labels, labels)
        assert found.images.dtype == np.uint8 and found.labels.dtype == np.int64
    assert isinstance(found.images, np.memmap), "not read before it is used"
    assert not found.images.flags.writeable
    normalized = found.normalized()
    assert normalized.dtype == np.float32
    expected = (found.images[3, 2, 10, 25] / 255 - reader.MEAN[2]) / reader.STD[2]
    assert normalized[3, 2, 10, 25] == pytest.approx(expected, rel=1e-6)


def test_torchvision_reads_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.system.vision import vision_module

    torchvision = vision_module("datasets")
    folder = root / "stl10_binary"
    write_stl10(folder, SIZES)
    (folder / "class_names.txt").write_text("\n".join(CLASSES))
    monkeypatch.setattr(torchvision.STL10, "_check_integrity", lambda self: True)
    for split in SIZES:
        theirs, ours = torchvision.STL10(str(root), split=split), load_stl10(split)
        assert tuple(theirs.classes) == CLASSES
        assert np.array_equal(theirs.data, ours.images) and np.array_equal(theirs.labels, ours.labels)


@pytest.mark.parametrize("place", ["stl10_binary", "stl10/stl10_binary", "stl10", "."])
def test_places(root: Path, place: str) -> None:
    write_stl10(root / place, SIZES)
    assert find_stl10() == root / place
    assert load_stl10("train", root / place).images.shape == (12, 3, 96, 96)


def test_the_published_sizes() -> None:
    assert reader.file_sizes() == {
        "train_X.bin": 138_240_000,
        "test_X.bin": 221_184_000,
        "train_y.bin": 5_000,
        "test_y.bin": 8_000,
    }
    assert (len(CLASSES), reader.IMAGE_BYTES) == (10, 27_648)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\1")


def label(value: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[3] = value
        path.write_bytes(content)

    return write


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        (
            "train_X.bin",
            truncate,
            r"train_X\.bin is truncated: 331,775 bytes in place of 331,776; type: benchmark data",
        ),
        ("test_X.bin", truncate, r"test_X\.bin is truncated"),
        ("train_y.bin", truncate, r"train_y\.bin is truncated: 11 bytes in place of 12"),
        ("test_X.bin", lengthen, r"test_X\.bin is no file of STL-10: 552,961 bytes in place of 552,960"),
        ("train_y.bin", lengthen, r"train_y\.bin is no file of STL-10"),
        ("train_X.bin", Path.unlink, r"train_X\.bin is missing beside the other files"),
        ("test_y.bin", Path.unlink, r"test_y\.bin is missing .* benchmark data fetch stl10 --force"),
        ("train_y.bin", label(0), r"train_y\.bin holds the label 0, which is outside 1\.\.10"),
        ("train_y.bin", label(11), r"train_y\.bin holds the label 11, which is outside 1\.\.10"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    root: Path, name: str, spoil: Callable[[Path], object], message: str
) -> None:
    write_stl10(root / "stl10_binary", SIZES)
    load_stl10("train")
    spoil(root / "stl10_binary" / name)
    with pytest.raises(DatasetError, match=message) as caught:
        load_stl10("train")
    assert "\n" not in str(caught.value)


def test_nothing_there(root: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"STL-10 is not there: .*type: benchmark data fetch stl10, or name"
    ) as caught:
        load_stl10("test")
    assert str(root / "stl10_binary") in str(caught.value) and "\n" not in str(caught.value)
    write_stl10(root / "stl10_binary", SIZES)
    shutil.rmtree(root / "stl10_binary")
    with pytest.raises(DatasetError, match="is not there"):
        find_stl10()


def test_unknown_split(root: Path) -> None:
    write_stl10(root, SIZES)
    with pytest.raises(UnknownName, match="Did you mean 'train'"):
        load_stl10("trian")


def test_images_become_a_tensor_without_strides(root: Path) -> None:
    write_stl10(root, SIZES)
    images = np.ascontiguousarray(load_stl10("train").images)
    assert torch.from_numpy(images).is_contiguous()
