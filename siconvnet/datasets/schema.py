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
=========  ================================================  ===============================================
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from siconvnet.errors import DatasetError, InvalidArgument, SiconvnetError

SPLITS = ("train", "valid", "test")
SCALES = tuple(range(64, 16, -1))
CANVAS = 64


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
    with _archive(path) as archive:
        shape = _check_images(path, archive)
        metadata = _read(path, archive, "metadata", (6, 2), "U")
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
    with _archive(path) as archive:
        shape = _check_images(path, archive)
        grid = shape[:4]
        labels = _read(path, archive, "lbls", grid, "iu").astype(np.int64)
        scales = _read(path, archive, "scls", grid, "iu").astype(np.int64)
        positions = _read(path, archive, "psts", (*grid, 2), "iu").astype(np.int64)
        metadata = _read(path, archive, "metadata", (6, 2), "U")
        names = _read(path, archive, "lbldata", grid[2:3], "U")
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
        class_names=tuple(names.tolist()),
        metadata=_as_dict(metadata),
        num_channels=3 if len(shape) == 7 else 1,
    )


def read_images(path: Path) -> npt.NDArray[np.uint8]:
    """Read the images: (3, 48, n, m, 64, 64) or (3, 48, n, m, 64, 64, 3) uint8.

    Raises:
        DatasetError: the file is missing, unreadable, damaged, or its `imgs` is not of the format.
    """
    with _archive(path) as archive:
        return _read(path, archive, "imgs", _check_images(path, archive), "u")


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
    with _archive(path) as archive:
        shape = _check_images(path, archive)
        if places and not (min(places) >= 0 and max(places) < math.prod(shape[:4])):
            raise InvalidArgument(f"places must be within 0 and {math.prod(shape[:4]) - 1}.")
        if _array_header(path, archive, "imgs")[2]:
            images = _read(path, archive, "imgs", shape, "u").reshape(-1, *shape[4:])
            return [images[place] for place in places]
        size, found = math.prod(shape[4:]), {}
        with _member(path, archive, "imgs") as stream:
            start = archive.getinfo("imgs.npy").file_size - math.prod(shape)
            for place in sorted(set(places)):  # a compressed stream is read forwards
                stream.seek(start + place * size)
                found[place] = np.frombuffer(stream.read(size), np.uint8).reshape(shape[4:])
    return [found[place] for place in places]


def _as_dict(metadata: npt.NDArray) -> dict[str, str]:
    return {str(key): str(value) for key, value in metadata}


def _check_images(path: Path, archive: zipfile.ZipFile) -> tuple[int, ...]:
    shape, dtype, _ = _array_header(path, archive, "imgs")
    gray = (len(SPLITS), len(SCALES), *shape[2:4], CANVAS, CANVAS)
    if shape not in (gray, (*gray, 3)) or 0 in shape:
        raise DatasetError(
            f"{path}: imgs has shape {shape}, expected (3, 48, classes, instances, 64, 64), "
            "or the same with 3 colour channels last."
        )
    if dtype != np.uint8:
        raise DatasetError(f"{path}: imgs has type {dtype}, expected uint8.")
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


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except SiconvnetError:  # also a ValueError, in part
        raise
    except FileNotFoundError:
        raise DatasetError(f"there is no file {path}; expected a STIR data file (.npz).") from None
    # Before OSError and ValueError below: which of the two a damaged file raises depends on where it is damaged.
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        raise DatasetError(f"{path} is no intact .npz file ({_one_line(error)}).") from error
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or _one_line(error)}.") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


@contextmanager
def _member(path: Path, archive: zipfile.ZipFile, key: str) -> Iterator[IO[bytes]]:
    if f"{key}.npy" not in archive.namelist():
        raise DatasetError(f"{path} has no array {key!r}; a STIR file holds imgs, lbls, scls, psts, metadata, lbldata.")
    with archive.open(f"{key}.npy") as stream:
        yield stream


def _array_header(path: Path, archive: zipfile.ZipFile, key: str) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, type, and whether the array is stored in Fortran's order."""
    with _member(path, archive, key) as stream:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise DatasetError(f"{path}: {key} is stored in .npy version {version}, expected 1.0 or 2.0.")
        shape, fortran, dtype = read(stream)
        if dtype.hasobject:
            raise DatasetError(f"{path}: {key} holds Python objects, which are never loaded; expected an array.")
        # Compared before anything of that size is allocated.
        if archive.getinfo(f"{key}.npy").file_size - stream.tell() != math.prod(shape) * dtype.itemsize:
            raise DatasetError(f"{path}: {key} is cut short; get or build the file again.")
    return shape, dtype, fortran


def _read(path: Path, archive: zipfile.ZipFile, key: str, expected: tuple[int, ...], kinds: str) -> npt.NDArray:
    shape, dtype, _ = _array_header(path, archive, key)
    if shape != expected:
        raise DatasetError(f"{path}: {key} has shape {shape}, expected {expected}.")
    if dtype.kind not in kinds:
        wanted = "text" if kinds == "U" else "integers"
        raise DatasetError(f"{path}: {key} has type {dtype}, expected {wanted}.")
    with _member(path, archive, key) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
