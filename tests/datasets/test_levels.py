"""Gray levels in memory and on disk: the images that the reader gives, to the last bit, and room that is not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.studies.stir import Pictures
from siconvnet.datasets import StirDataset, schema
from siconvnet.datasets.levels import LevelsInMemory, LevelsOnDisk
from siconvnet.datasets.stir import Part, select_levels
from siconvnet.errors import DatasetError, UnknownName

Make = Callable[..., tuple[Path, dict[str, Any]]]
PARTS = [
    Part("train", range(33, 49), shuffle=True),
    Part("valid", [64, 17, 40]),
    Part("test", range(17, 65)),
    Part("train", [20], shuffle=True),
]


def fortran(arrays: dict[str, Any]) -> dict[str, Any]:
    return {**arrays, "imgs": np.asfortranarray(arrays["imgs"])}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", [LevelsInMemory, LevelsOnDisk])
@pytest.mark.parametrize("change", [dict, fortran])
def test_batches_are_those_of_the_reader_bit_for_bit(
    channels: int, kind: type, change: Callable[..., Any], stir_file: Make, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(schema, "_CHUNK", 3)
    path, _ = stir_file(channels, change)
    dataset = StirDataset(path)
    found = select_levels(dataset, PARTS, in_memory=2**30 if kind is LevelsInMemory else 0, folder=tmp_path)
    for part, subset in zip(PARTS, found, strict=True):
        expected = dataset.select(part.split, part.scales, shuffle=part.shuffle)
        assert isinstance(subset.levels, kind)
        assert np.array_equal(subset.labels, expected.labels)
        assert np.array_equal(subset.scales, expected.scales)
        pictures = Pictures(subset, torch.device("cpu"))
        batches = list(pictures.batches(5))
        images = torch.cat([images for images, _ in batches])
        assert torch.equal(images, torch.from_numpy(expected.images))
        assert torch.equal(torch.cat([labels for _, labels in batches]), torch.from_numpy(expected.labels))
        assert all(images.is_contiguous() for images, _ in batches)
        assert [len(images) for images, _ in batches[:-1]] == [5] * (len(batches) - 1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_every_level_is_the_same_number_on_a_gpu(stir_file: Make) -> None:
    dataset = StirDataset(stir_file()[0])
    (subset,) = select_levels(dataset, [Part("test", range(17, 65))])
    images = torch.cat([images for images, _ in Pictures(subset, torch.device("cuda")).batches(16)])
    assert torch.equal(images.cpu(), torch.from_numpy(dataset.select("test", range(17, 65)).images))


def test_nothing_is_left_on_the_disk(stir_file: Make, tmp_path: Path) -> None:
    path, _ = stir_file()
    folder = tmp_path / "cache"
    found = select_levels(StirDataset(path), PARTS, in_memory=0, folder=folder)
    assert found[0].levels.read(0, 1).shape == (1, 1, 64, 64)
    assert list(folder.iterdir()) == []


def test_damage_anywhere_in_the_images_is_found(stir_file: Make) -> None:
    path, _ = stir_file()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="not an intact"):
        select_levels(StirDataset(path), [Part("train", [64])])


def test_what_cannot_fit_is_said(stir_file: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = StirDataset(stir_file()[0])
    few = os.statvfs(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000, "total": few.f_blocks}))
    with pytest.raises(DatasetError, match=r"take 0.0 GB on disk while it goes on, and .* has 0.0 GB left; make room"):
        select_levels(dataset, PARTS, in_memory=0, folder=tmp_path)
    with pytest.raises(UnknownName):
        select_levels(dataset, [Part("trial", [64])])
