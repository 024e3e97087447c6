"""STIR MNIST: 72,000 images of 1,500 handwritten digits at every scale."""

from __future__ import annotations

from pathlib import Path

import numpy.typing as npt

from siconvnet.errors import InvalidArgument

from . import mnist_digits
from .layout import draw_positions, stir_arrays
from .mnist_development import develop_all

METADATA = {
    "title": "Scaled and Translated Image Recognition (STIR) MNIST",
    "description": "10 digits of 17 to 64 pixels at random places of a 64 x 64 canvas, white on black. Built anew "
    "from the digits by the recipe of the published file (Zenodo record 6578038).",
    "author": "Digits: Y. LeCun, C. Cortes, C. J. C. Burges. Recipe: Thomas R. Altstidl.",
    "license": "CC BY-SA 3.0, modified from MNIST - http://yann.lecun.com/exdb/mnist/",
    "version": "1.0.0",
    "date": "24 May 2022",
}


def build(source: Path | None = None, *, jobs: int = 1, progress: bool = False) -> dict[str, npt.NDArray]:
    """Make the dataset from the digits in this package.

    Args:
        source: not accepted; the digits have a builder of their own, ``mnist_digits``.
        jobs: processes to use.
        progress: show a progress bar.

    Returns:
        the arrays of a STIR file.

    Raises:
        InvalidArgument: a source was given.
        DatasetError: the digits cannot be read, or a worker process died.
    """
    if source is not None:
        raise InvalidArgument("mnist is made from the digits in the package; to replace those, build mnist_digits.")
    digits, brightest = mnist_digits.load()
    images = develop_all(digits, brightest, jobs=jobs, progress=progress)
    positions = draw_positions(10, mnist_digits.NUM_INSTANCES)
    return stir_arrays(images, positions, [str(digit) for digit in range(10)], METADATA)
