"""Whether a data file is the one that the results stand on: its format, and the checksums of its arrays."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siconvnet.datasets import SPLITS, StirDataset, load_dataset
from siconvnet.datasets.schema import stream_images
from siconvnet.errors import DatasetError

# Of the files as this package builds them: Debian 12, cairo 1.16, CairoSVG 2.9, scikit-image 0.26.
CHECKSUMS: dict[str, dict[str, str]] = {
    "emoji": {
        "imgs": "1877d706cfa8b2df76d55fe948c1e943",
        "psts": "ced24cb22a71ae904c93795ea844b1f7",
    },
    "mnist": {
        "imgs": "3e64196fb68032041bd97087ca3d9cbf",
        "psts": "91a3f63d46971bd92f720ea7be9134b3",
    },
    "mnist_digits": {
        "imgs": "fd29ca6f8f8ec5b9e47d4ebada0f8ea4",
        "index": "884942a66c56dd980405215296ec6cfd",
        "brightest": "9f7e78f9fe8415b986fd19680c801292",
    },
    "signs": {
        "imgs": "62397a7e50c07279ec4d778f5db6da2c",
        "psts": "b4cb038d4d3cfdf4d91228ac1db1168e",
    },
    "signs_source": {
        "signs": "ff4a67b49e49c8bfd95556eae7f5728c",
        "textures": "028a59ef26a1536308b73811fdc8f368",
    },
}


@dataclass(frozen=True)
class Check:
    """One array's checksum: what it should be, and what it is."""

    key: str
    expected: str
    found: str

    @property
    def ok(self) -> bool:
        return self.expected == self.found


@dataclass(frozen=True)
class Report:
    """What was found out about one file whose format is right.

    Attributes:
        path: the file.
        name: the dataset that it was compared with.
        content: classes, instances, channels and images, in words.
        checks: one for each array of known checksum; empty for a file of unknown content.
    """

    path: Path
    name: str
    content: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def checksum(array: npt.NDArray) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of the array's C-contiguous bytes.

    Integers other than uint8 count as little-endian int64, so that a file written on a machine of another integer
    size has the same checksum.
    """
    plain = array if array.dtype == np.uint8 else array.astype("<i8")
    return hashlib.sha256(np.ascontiguousarray(plain).data).hexdigest()[:32]


def compare(arrays: Mapping[str, npt.NDArray], expected: Mapping[str, str]) -> tuple[Check, ...]:
    """Compare arrays with their expected checksums."""
    return _checks({key: checksum(arrays[key]) for key in expected}, expected)


def _checks(found: Mapping[str, str], expected: Mapping[str, str]) -> tuple[Check, ...]:
    return tuple(Check(key, digest, found[key]) for key, digest in expected.items())


def _checksum_of_images(path: Path) -> str:
    """`checksum` of the images of a file, of which there may be more than fit in memory.

    Raises:
        DatasetError: the pixels are damaged.
    """
    digest = hashlib.sha256()
    for _, images in stream_images(path):
        digest.update(images.data)
    return digest.hexdigest()[:32]


def _check_labels(dataset: StirDataset) -> None:
    """Refuse labels that nothing can be learned from.

    Raises:
        DatasetError: there is one class, an object changes its class with its size, or a split lacks a class.
    """
    labels = dataset.header.labels
    if dataset.num_classes < 2:
        raise DatasetError(f"{dataset.path} holds one class; a model needs two or more to tell apart.")
    if (changes := (labels != labels[:, :1]).any(axis=1)).any():
        split, place, instance = (int(i) for i in np.argwhere(changes)[0])
        raise DatasetError(
            f"{dataset.path}: lbls gives {changes.sum()} of {changes.size} objects another class at another size, the "
            f"first in split {SPLITS[split]!r} at index ({place}, {instance}); expected one class for each."
        )
    for part, found in zip(SPLITS, labels[:, 0], strict=True):
        if missing := set(range(dataset.num_classes)) - set(np.unique(found).tolist()):
            raise DatasetError(f"{dataset.path}: lbls has no objects of class {min(missing)} in split {part!r}.")


def verify(name_or_path: str | os.PathLike[str]) -> Report:
    """Check a file's format and, where they are known, its checksums.

    Args:
        name_or_path: a dataset's name, or a file; a file is compared with the dataset whose name it bears.

    Raises:
        UnknownName: neither a known name nor a path.
        DatasetError: the file is missing, unreadable or not of the format, or nothing can be learned from its labels.
    """
    dataset = load_dataset(name_or_path)
    _check_labels(dataset)
    numbers = {
        f"classes (chance {100 / dataset.num_classes:.1f}%)": dataset.num_classes,
        "instances": dataset.num_instances,
        "channels": dataset.num_channels,
        "images": dataset.header.labels.size,
    }
    content = ", ".join(f"{word}: {count:,}" for word, count in numbers.items())
    # Read in any case: only then is it known that the pixels are not damaged.
    found = {"imgs": _checksum_of_images(dataset.path), "psts": checksum(dataset.header.positions)}
    return Report(dataset.path, dataset.name, content, _checks(found, CHECKSUMS.get(dataset.name, {})))
