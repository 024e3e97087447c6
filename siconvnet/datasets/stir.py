"""The reader: a STIR file as splits and scales of float images with their labels and latents."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siconvnet.datasets import schema
from siconvnet.datasets.catalog import CATALOG, as_path, dataset_info, dataset_path, missing_file
from siconvnet.datasets.levels import IN_MEMORY, Levels, LevelsInMemory, LevelsOnDisk, image_folder
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName


@dataclass(frozen=True)
class StirSubset:
    """N images of one split, with what is known about each, all in one order.

    Attributes:
        images: (N, C, 64, 64) float32 in 0..1.
        labels: (N,) int64, class.
        scales: (N,) int64, side of the object in pixels.
        positions: (N, 2) int64, left and top distance of the object's box in pixels.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    scales: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Part:
    """What `select_levels` is to select: a split at some scales, shuffled or not; see `StirDataset.select`."""

    split: str
    scales: Sequence[int]
    shuffle: bool = False


@dataclass(frozen=True)
class LevelSubset:
    """N images of one split as gray levels, with what a run needs to know about each, all in one order.

    Attributes:
        levels: (N, C, 64, 64) uint8.
        labels: (N,) int64, class.
        scales: (N,) int64, side of the object in pixels.
    """

    levels: Levels
    labels: npt.NDArray[np.int64]
    scales: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


class StirDataset:
    """One STIR file. Opening it checks the format and reads all but the images; those are read when first needed.

    Args:
        path: the file.
        name: what to call it; the file's name without suffix if not given.
        oblong: the scale is the longer side of boxes that need not be squares (`schema.read_header`).

    Attributes:
        header: all labels, scales and positions, (3, 48, n, m, ...), and what the file says of itself.

    Raises:
        DatasetError: the file is missing, unreadable or not of the format.
    """

    SCALES = schema.SCALES

    def __init__(self, path: str | os.PathLike[str], *, name: str | None = None, oblong: bool = False):
        self.path = Path(path)
        self.name = name or self.path.stem
        self.header = schema.read_header(self.path, oblong=oblong)

    @property
    def num_classes(self) -> int:
        return self.header.labels.shape[2]

    @property
    def num_instances(self) -> int:
        """Objects per class and split."""
        return self.header.labels.shape[3]

    @property
    def num_channels(self) -> int:
        return self.header.num_channels

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.header.class_names

    @property
    def metadata(self) -> dict[str, str]:
        """Title, description, author, license, version and date, as the file states them."""
        return dict(self.header.metadata)

    @cached_property
    def images(self) -> npt.NDArray[np.uint8]:
        """All images as the file holds them: (3, 48, n, m, 64, 64) or (3, 48, n, m, 64, 64, 3)."""
        return schema.read_images(self.path)

    def select(self, split: str, scales: Iterable[int], shuffle: bool = False) -> StirSubset:
        """Images, labels and latents of one split at some scales.

        The order is scale (as given) x class x instance. With `shuffle` it is the order of the published
        training, in which every array was shuffled by ``RandomState(42).shuffle``: the same permutation for each,
        as it depends on the length alone.

        Args:
            split: "train", "valid" or "test".
            scales: sides of the objects in pixels, 17..64.
            shuffle: bring all arrays into the published training's order.

        Raises:
            UnknownName: no such split.
            InvalidArgument: no scale, or one that is no integer of 17..64.
            DatasetError: the file's images cannot be read.
        """
        s, rows, header = _split_number(split), scale_rows(scales), self.header
        images = self.images[s, rows].reshape(-1, schema.CANVAS, schema.CANVAS, self.num_channels)
        order = shuffled_order(len(images)) if shuffle else slice(None)
        channels_first = images[order].transpose(0, 3, 1, 2)
        return StirSubset(
            images=np.divide(channels_first, np.float32(255), dtype=np.float32, order="C"),
            labels=header.labels[s, rows].reshape(-1)[order],
            scales=header.scales[s, rows].reshape(-1)[order],
            positions=header.positions[s, rows].reshape(-1, 2)[order],
        )

    def __repr__(self) -> str:
        return (
            f"StirDataset({self.name!r}, {self.num_classes} classes x {self.num_instances} instances, "
            f"{self.num_channels} channel{'s' if self.num_channels > 1 else ''})"
        )


def select_levels(
    dataset: StirDataset, parts: Sequence[Part], *, in_memory: int = IN_MEMORY, folder: Path | None = None
) -> list[LevelSubset]:
    """What `StirDataset.select` gives, as gray levels, in one pass over the file.

    Nothing grows with the file but what is asked for, and that stays on disk where it is much.

    Args:
        parts: of the data set; their order within is that of `StirDataset.select`.
        in_memory: the most bytes that the images of all parts together may take in memory.
        folder: where they are unpacked if they take more; the user's cache folder if not given.

    Raises:
        UnknownName, InvalidArgument: as `StirDataset.select`.
        DatasetError: the images cannot be read, or the disk has no room for them.
    """
    header, each = dataset.header, dataset.num_classes * dataset.num_instances
    shape = (dataset.num_channels, schema.CANVAS, schema.CANVAS)
    rows = [(_split_number(part.split), scale_rows(part.scales)) for part in parts]
    sizes = [len(scales) * each for _, scales in rows]
    stored = sum(sizes) * math.prod(shape) > in_memory
    place = image_folder(sum(sizes) * math.prod(shape), folder) if stored else None
    found: list[LevelSubset] = []
    where: dict[int, list[tuple[Levels, npt.NDArray[np.int64]]]] = {}
    for part, (split, scales), size in zip(parts, rows, sizes, strict=True):
        levels: Levels = LevelsOnDisk((size, *shape), place) if place else LevelsInMemory((size, *shape))
        order = shuffled_order(size) if part.shuffle else np.arange(size)
        for index, targets in enumerate(np.argsort(order).reshape(len(scales), each)):
            where.setdefault(split * len(schema.SCALES) + scales[index], []).append((levels, targets))
        latents = (header.labels, header.scales)
        found.append(LevelSubset(levels, *(latent[split, scales].reshape(-1)[order] for latent in latents)))
    for first, images in schema.stream_images(dataset.path):
        for levels, targets in where.get(first // each, ()):
            chosen = targets[first % each : first % each + len(images)]
            levels.put(chosen, images.reshape(-1, schema.CANVAS, schema.CANVAS, shape[0]).transpose(0, 3, 1, 2))
    return found


def load_dataset(name_or_path: str | os.PathLike[str]) -> StirDataset:
    """Open a dataset of the catalogue, or any STIR file.

    Args:
        name_or_path: a name that `list_datasets` gives, or the path of an ``.npz`` file.

    Raises:
        UnknownName: neither a known name nor a path.
        DatasetError: the file is missing (the message says how to get it) or not of the format.
    """
    path = as_path(name_or_path)
    if path is not None:
        # A file of the catalogue is read by the same rules wherever it lies.
        info = CATALOG.get(path.stem)
        return StirDataset(path, oblong=info is not None and info.oblong)
    info = dataset_info(str(name_or_path))
    path = dataset_path(info.name)
    if not path.exists():
        raise missing_file(info.name)
    dataset = StirDataset(path, name=info.name, oblong=info.oblong)
    found = dataset.num_classes, dataset.num_instances, dataset.num_channels
    expected = info.num_classes, info.num_instances, info.num_channels
    if found != expected:
        raise DatasetError(
            f"{path} is not the dataset {info.name!r}: it has (classes, instances, channels) = {found}, "
            f"expected {expected}."
        )
    return dataset


def _split_number(split: str) -> int:
    if split not in schema.SPLITS:
        raise UnknownName("split", split, schema.SPLITS)
    return schema.SPLITS.index(split)


def scale_rows(scales: Iterable[int]) -> list[int]:
    """Indices along a file's scale axis, which begins at 64.

    Raises:
        InvalidArgument: no scale, or one that is no integer of 17..64.
    """
    if not isinstance(scales, Iterable):
        raise InvalidArgument(f"scales must be a list of integers of 17..64, got {scales!r}.")
    wanted = list(scales)
    try:
        rows = [schema.SCALES.index(operator.index(scale)) for scale in wanted]
    except (TypeError, ValueError):
        bad = [scale for scale in wanted if scale not in schema.SCALES or not hasattr(scale, "__index__")]
        raise InvalidArgument(f"scales must be integers of 17..64, got {bad[0]!r}.") from None
    if not rows:
        raise InvalidArgument("no scale was given; give one or more integers of 17..64.")
    return rows


def shuffled_order(length: int) -> npt.NDArray[np.int64]:
    """The order in which ``RandomState(42).shuffle`` leaves any array of this length."""
    order = np.arange(length)
    np.random.RandomState(42).shuffle(order)
    return order
