"""STL-10: 96 x 96 colour photographs of ten kinds of things, 5,000 to learn from and 8,000 to be tested on.

Source: Coates, Ng, Lee, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", AISTATS 2011. The
official binary files are read as they are: `{split}_X.bin` holds the images one after another, each a red, a green and
a blue plane of bytes, column after column; `{split}_y.bin` holds a byte 1..10 an image. The 100,000 unlabelled images
are not used. Importing this module imports NumPy and nothing heavier.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siconvnet import normalisation
from siconvnet.datasets.catalog import data_dir
from siconvnet.errors import DatasetError, UnknownName

SIDE = 96
NUM_CHANNELS = 3
IMAGE_BYTES = NUM_CHANNELS * SIDE * SIDE
CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")

SPLIT_SIZES = {"train": 5_000, "test": 8_000}
"""Split -> images."""

MEAN, STD = normalisation.STL10
"""Of red, green and blue in 0..1, as published; what models are trained on is (pixel - MEAN) / STD."""

FOLDER = "stl10_binary"
"""What the archive and torchvision call the folder of the files."""

_AGAIN = "type: benchmark data fetch stl10 --force"


@dataclass(frozen=True)
class Stl10Split:
    """One split.

    Attributes:
        images: (N, 3, 96, 96) uint8, on disk until they are asked for.
        labels: (N,) int64, places in `CLASSES`.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def normalized(self) -> npt.NDArray[np.float32]:
        """The images as models take them: (N, 3, 96, 96) float32, (pixel / 255 - MEAN) / STD."""
        mean, std = (np.array(values, np.float32)[:, None, None] for values in (MEAN, STD))
        return (self.images.astype(np.float32) / np.float32(255) - mean) / std


def file_sizes() -> dict[str, int]:
    """Name -> bytes of each file."""
    images = {f"{split}_X.bin": size * IMAGE_BYTES for split, size in SPLIT_SIZES.items()}
    return {**images, **{f"{split}_y.bin": size for split, size in SPLIT_SIZES.items()}}


def stl10_places() -> tuple[Path, ...]:
    """The folders in which the files are looked for, in the data folder (`SICONVNET_DATA`) or beneath it."""
    root = data_dir()
    return root / FOLDER, root / "stl10" / FOLDER, root / "stl10", root


def find_stl10() -> Path:
    """The folder of the files: the first of `stl10_places` that holds any.

    Raises:
        DatasetError: there are none, or one of them is missing; the message says where and what to do.
    """
    places, names = stl10_places(), list(file_sizes())
    folder = next((place for place in places if any((place / name).is_file() for name in names)), None)
    if folder is None:
        raise DatasetError(
            f"STL-10 is not there: no {names[0]} in {', '.join(map(str, places))}; type: benchmark data fetch stl10, "
            "or name the folder of its files with --data-dir."
        )
    check_sizes(folder)
    return folder


def check_sizes(folder: Path) -> None:
    """Refuse a folder that lacks a file, or has one that is cut off or of something else.

    Raises:
        DatasetError: with the first such file.
    """
    for name, size in file_sizes().items():
        path = folder / name
        if not path.is_file():
            raise DatasetError(f"{path} is missing beside the other files of STL-10; to have them all, {_AGAIN}")
        if (found := path.stat().st_size) != size:
            what = "is truncated" if found < size else "is no file of STL-10"
            raise DatasetError(f"{path} {what}: {found:,} bytes in place of {size:,}; {_AGAIN}")


def load_stl10(split: str, folder: Path | None = None) -> Stl10Split:
    """Read a split; the images stay on disk until they are used.

    Args:
        split: "train" or "test".
        folder: where the files are; looked for if not given (see `find_stl10`).

    Raises:
        UnknownName: there is no such split.
        DatasetError: a file is missing, truncated, of another size, or holds labels outside 1..10.
    """
    if split not in SPLIT_SIZES:
        raise UnknownName("split", split, SPLIT_SIZES)
    if folder is None:
        folder = find_stl10()
    else:
        check_sizes(folder)
    try:
        columns = np.memmap(folder / f"{split}_X.bin", np.uint8, "r", shape=(SPLIT_SIZES[split], 3, SIDE, SIDE))
        labels = np.fromfile(folder / f"{split}_y.bin", np.uint8)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read as STL-10: {error.strerror or error}.") from error
    if labels.min() < 1 or labels.max() > len(CLASSES):
        wrong = labels[(labels < 1) | (labels > len(CLASSES))][0]
        raise DatasetError(
            f"{folder / f'{split}_y.bin'} holds the label {wrong}, which is outside 1..{len(CLASSES)}; {_AGAIN}"
        )
    return Stl10Split(columns.transpose(0, 1, 3, 2), labels.astype(np.int64) - 1)
