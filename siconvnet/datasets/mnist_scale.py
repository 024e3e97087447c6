"""MNIST-Scale: 28 x 28 digits at random sizes, six realizations of one random split.

Source: Sosnovik, Szmaja, Smeulders, "Scale-Equivariant Steerable Networks", ICLR 2020, section 6.1. One `.npz` file for
each realization holds, for each split (train, test, val), `{split}_imgs` (N, 28, 28) uint8, `{split}_lbls` (N,) int64
and `{split}_scls` (N,) float64. Importing this module imports NumPy and nothing heavier.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siconvnet import normalisation
from siconvnet.datasets.catalog import data_dir
from siconvnet.datasets.npz import Npz, open_npz
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName

NUM_REALIZATIONS = 6
IMAGE_SIZE = 28
NUM_CLASSES = 10

SPLIT_SIZES = {"train": 10_000, "test": 50_000, "val": 2_000}
"""Split -> images, in the order in which they are made."""

MEAN, STD = normalisation.MNIST_SCALE
"""Of the pixels in 0..1, as published; what models are trained on is (pixel - MEAN) / STD."""


@dataclass(frozen=True)
class MnistScaleSplit:
    """One split of one realization.

    Attributes:
        images: (N, 28, 28) uint8.
        labels: (N,) int64, the digit.
        scales: (N,) float64, the factor by which the digit was scaled, 0.3..1.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    scales: npt.NDArray[np.float64]

    def normalized(self) -> npt.NDArray[np.float32]:
        """The images as models take them: (N, 1, 28, 28) float32, (pixel / 255 - MEAN) / STD."""
        pixels = self.images[:, None].astype(np.float32) / np.float32(255)
        return (pixels - np.float32(MEAN)) / np.float32(STD)


@dataclass(frozen=True)
class MnistScale:
    """One realization: its three splits."""

    realization: int
    train: MnistScaleSplit
    test: MnistScaleSplit
    val: MnistScaleSplit

    def split(self, name: str) -> MnistScaleSplit:
        """The split called "train", "test" or "val".

        Raises:
            UnknownName: there is no such split.
        """
        if name not in SPLIT_SIZES:
            raise UnknownName("split", name, SPLIT_SIZES)
        return getattr(self, name)


def check_realization(realization: int) -> None:
    """Refuse a realization outside 0..5.

    Raises:
        InvalidArgument: there is no such realization.
    """
    if (
        isinstance(realization, bool)
        or not isinstance(realization, Integral)
        or realization not in range(NUM_REALIZATIONS)
    ):
        raise InvalidArgument(f"MNIST-Scale has the realizations 0..{NUM_REALIZATIONS - 1}, not {realization}.")


def mnist_scale_path(realization: int) -> Path:
    """Where the file of a realization is, or would be.

    Raises:
        InvalidArgument: there is no such realization.
    """
    check_realization(realization)
    return data_dir() / f"mnist_scale_{realization}.npz"


def load_mnist_scale(realization: int, path: Path | None = None) -> MnistScale:
    """Read a realization.

    Args:
        realization: 0..5.
        path: the file; its place in the data folder if not given.

    Raises:
        InvalidArgument: there is no such realization.
        DatasetError: the file is missing, damaged or not of this format.
    """
    file = path or mnist_scale_path(realization)
    check_realization(realization)
    if not file.exists():
        raise DatasetError(
            f"MNIST-Scale {realization} is not built yet ({file}); "
            f"type: benchmark data build mnist-scale --seed {realization}"
        )
    try:
        with open_npz(file, holds="a file of MNIST-Scale holds imgs, lbls and scls of train, test and val") as arrays:
            splits = {split: _read_split(file, arrays, split, size) for split, size in SPLIT_SIZES.items()}
    except DatasetError as error:
        raise DatasetError(f"{str(error).rstrip('.')}; build it again: benchmark data build mnist-scale.") from error
    return MnistScale(realization, **splits)


def _read_split(file: Path, arrays: Npz, split: str, size: int) -> MnistScaleSplit:
    images = arrays.read(f"{split}_imgs", (size, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    labels = arrays.read(f"{split}_lbls", (size,), np.int64)
    scales = arrays.read(f"{split}_scls", (size,), np.float64)
    if labels.min() < 0 or labels.max() >= NUM_CLASSES:
        raise DatasetError(f"{file}: {split}_lbls holds labels outside 0..{NUM_CLASSES - 1}.")
    return MnistScaleSplit(images, labels, scales)
