"""The STIR file format, and the one place that reads it: every array is checked before it is used.

A file is an uncompressed or compressed ``.npz``. With n classes, m instances, 48 scales s = 64, 63, ..., 17 and
three splits it holds

=========  ================================================  ===============================================
key        shape and type                                    meaning
=========  ================================================  ===============================================
imgs       (3, 48, n, m, 64, 64) or (..., 64, 64, 3) uint8   images, gray or colour
lbls       (3, 48, n, m) integer                             class, 0..n-1
scls       (3, 48, n, m) integer                             side s of the object in pixels
psts       (3, 48, n, m, 2) integer                          left and top distance of the object's box in pixels
metadata   (6, 2) text                                       title, description, author, license, version, date
lbldata    (n,) text                                         class names
identity   () text, optional                                 "content": see `siconvnet.datasets.identity`
=========  ================================================  ===============================================
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siconvnet.datasets.npz import Npz, open_npz
from siconvnet.errors import DatasetError, InvalidArgument
from siconvnet.safe_text import printable

SPLITS = ("train", "valid", "test")
SCALES = tuple(range(64, 16, -1))
CANVAS = 64
MAX_IMAGES = 2**27
"""Images in a file, half a terabyte: a file that claims more would take gigabytes for its labels alone."""
#: The most images that are read at a time where they are read in the order of the file.
_CHUNK = 4096


@dataclass(frozen=True)
class Header:
    """All of a STIR file but its images, checked.

    Attributes:
        labels: (3, 48, n, m) int64.
        scales: (3, 48, n, m) int64, pixels.
        positions: (3, 48, n, m, 2) int64, pixels from the left and from the top.
        class_names: n names.
        metadata: title, description, author, license, version, date.
        num_channels: 1 or 3.
    """

    labels: npt.NDArray[np.int64]
    scales: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    metadata: dict[str, str]
    num_channels: int


@dataclass(frozen=True)
class Summary:
    """What a list of datasets shows of a file.

    Attributes:
        num_classes: classes n.
        num_instances: objects m per class and split.
        num_channels: 1 or 3.
        metadata: title, description, author, license, version, date.
    """

    num_classes: int
    num_instances: int
    num_channels: int
    metadata: dict[str, str]


def read_summary(path: Path) -> Summary:
    """Read a file's size and what it says of itself, and nothing that grows with it.

    Raises:
        DatasetError: the file is missing, unreadable, no npz, or not of the format as far as it is read.
    """
    with _open(path) as file:
        shape = _check_images(path, file)
        metadata = file.read("metadata", (6, 2), "U")
    return Summary(shape[2], shape[3], 3 if len(shape) == 7 else 1, _as_dict(metadata))


def read_header(path: Path, *, oblong: bool = False) -> Header:
    """Read and check everything but the pixels; of `imgs` only shape and type are read.

    Args:
        path: the file.
        oblong: the scale is the longer side of a box whose shorter side is unknown, so that the box must fit the
            canvas along one axis only, and may be one pixel off there: published crops were rounded.

    Raises:
        DatasetError: the file is missing, unreadable, no npz, or not of the format; one line says what is wrong.
    """
    with _open(path) as file:
        shape = _check_images(path, file)
        grid = shape[:4]
        labels = file.read("lbls", grid, "iu").astype(np.int64)
        scales = file.read("scls", grid, "iu").astype(np.int64)
        positions = file.read("psts", (*grid, 2), "iu").astype(np.int64)
        metadata = file.read("metadata", (6, 2), "U")
        names = file.read("lbldata", grid[2:3], "U")
    if labels.min() < 0 or labels.max() >= grid[2]:
        found = f"{labels.min()}..{labels.max()}"
        raise DatasetError(f"{path}: lbls holds labels {found}, expected 0..{grid[2] - 1}.")
    if (scales != np.reshape(SCALES, (1, -1, 1, 1))).any():
        raise DatasetError(f"{path}: scls must be 64, 63, ..., 17 along its second axis, the same everywhere.")
    _check_boxes(path, scales, positions, oblong)
    return Header(
        labels=labels,
        scales=scales,
        positions=positions,
        class_names=tuple(map(printable, names.tolist())),
        metadata=_as_dict(metadata),
        num_channels=3 if len(shape) == 7 else 1,
    )


def read_images(path: Path) -> npt.NDArray[np.uint8]:
    """Read the images: (3, 48, n, m, 64, 64) or (3, 48, n, m, 64, 64, 3) uint8.

    Raises:
        DatasetError: the file is missing, unreadable, damaged, or its `imgs` is not of the format.
    """
    with _open(path) as file:
        return file.read("imgs", _check_images(path, file), np.uint8)


def read_canvases(path: Path, places: Sequence[int]) -> list[npt.NDArray[np.uint8]]:
    """Read some images, and no more than one at a time: (64, 64) or (64, 64, 3) each.

    In a file that holds its images in Fortran's order, where each is scattered over all of it, all are read.

    Args:
        path: the file.
        places: of the images, counted through the axes (3, 48, n, m); results are in this order.

    Raises:
        InvalidArgument: no such place.
        DatasetError: as `read_images`, but for damage behind the last of these places.
    """
    with _open(path) as file:
        shape = _check_images(path, file)
        if places and not (min(places) >= 0 and max(places) < math.prod(shape[:4])):
            raise InvalidArgument(f"places must be within 0 and {math.prod(shape[:4]) - 1}.")
        header = file.header("imgs")
        if header.fortran_order:
            images = file.read("imgs", shape, np.uint8).reshape(-1, *shape[4:])
            return [images[place] for place in places]
        size, found = math.prod(shape[4:]), {}
        with file.stream("imgs") as stream:
            for place in sorted(set(places)):  # a compressed stream is read forwards
                stream.seek(header.offset + place * size)
                found[place] = np.frombuffer(stream.read(size), np.uint8).reshape(shape[4:])
    return [found[place] for place in places]


def stream_images(path: Path) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """All images in the order of the file, axes (3, 48, n, m), a few at a time.

    Yields:
        the place of the first of them, counted through these axes, and (k, 64, 64) or (k, 64, 64, 3) uint8. No chunk
        has images of two scales.

    Raises:
        DatasetError: as `read_images`; damage shows where it is met.
    """
    with _open(path) as file:
        shape = _check_images(path, file)
        each, canvas, count = math.prod(shape[2:4]), math.prod(shape[4:]), math.prod(shape[:4])
        header = file.header("imgs")
        if header.fortran_order:  # each image is scattered over all of it
            images = file.read("imgs", shape, np.uint8).reshape(count, *shape[4:])
            yield from ((first, images[first : first + each]) for first in range(0, count, each))
            return
        with file.stream("imgs") as stream:
            stream.read(header.offset)
            for row in range(0, count, each):
                for first in range(row, row + each, _CHUNK):
                    number = min(_CHUNK, row + each - first)
                    chunk = np.frombuffer(stream.read(number * canvas), np.uint8)
                    yield first, chunk.reshape(number, *shape[4:])
            stream.read(1)  # what compares the checksum


def _as_dict(metadata: npt.NDArray) -> dict[str, str]:
    return {printable(key): printable(value) for key, value in metadata}


def _check_images(path: Path, file: Npz) -> tuple[int, ...]:
    shape, dtype, _, _ = file.header("imgs")
    gray = (len(SPLITS), len(SCALES), *shape[2:4], CANVAS, CANVAS)
    if shape not in (gray, (*gray, 3)) or 0 in shape:
        raise DatasetError(
            f"{path}: imgs has shape {shape}, expected (3, 48, classes, instances, 64, 64), "
            "or the same with 3 colour channels last."
        )
    if dtype != np.uint8:
        raise DatasetError(f"{path}: imgs has type {dtype}, expected uint8.")
    if (number := math.prod(shape[:4])) > MAX_IMAGES:
        raise DatasetError(f"{path}: imgs holds {number:,} images, expected at most {MAX_IMAGES:,}.")
    return shape


def _check_boxes(path: Path, scales: np.ndarray, positions: np.ndarray, oblong: bool) -> None:
    excess = positions + scales[..., None] - CANVAS
    outside = (excess.min(axis=-1) > 1) if oblong else (excess.max(axis=-1) > 0)
    outside |= (positions.min(axis=-1) < 0) | (positions.max(axis=-1) >= CANVAS)
    if outside.any():
        where = tuple(int(i) for i in np.argwhere(outside)[0])
        left, top = positions[where]
        raise DatasetError(
            f"{path}: psts puts {outside.sum()} of {outside.size} objects outside the 64 x 64 canvas, the first "
            f"at index {where}: side {scales[where]}, left {left}, top {top}."
        )


def _open(path: Path) -> AbstractContextManager[Npz]:
    holds = "a STIR file holds imgs, lbls, scls, psts, metadata, lbldata"
    return open_npz(path, what="a STIR data file (.npz)", holds=holds)
