"""From digits to the images of STIR MNIST: each at every scale, somewhere on the canvas, smoothed and sharpened again.

Each image is a pure function of one digit, a scale and a place, so that they are made in parallel.
"""

from __future__ import annotations

import itertools
from contextlib import closing

import numpy as np
import numpy.typing as npt

from siconvnet.datasets.schema import CANVAS, SCALES

from .layout import draw_positions
from .parallel import ordered_map


def develop_all(
    digits: npt.NDArray[np.uint8], brightest: npt.NDArray[np.uint8] | None, *, jobs: int, progress: bool
) -> npt.NDArray[np.uint8]:
    """All images, (3, 48, n, m, 64, 64), of digits (3, n, m, 28, 28), at the published places.

    Args:
        digits: 0..255.
        brightest: (3, 48, n, m); see `develop`.
        jobs: processes to use.
        progress: show a progress bar.
    """
    positions = draw_positions(*digits.shape[1:3])
    images = np.empty((*positions.shape[:-1], CANVAS, CANVAS), np.uint8)
    places = list(itertools.product(*map(range, digits.shape[:3])))
    tasks = [
        (digits[s, c, i], positions[s, :, c, i], None if brightest is None else brightest[s, :, c, i])
        for s, c, i in places
    ]
    unit = len(SCALES) if progress else None
    # Closed at once on Ctrl-C, so that the workers stop then and not when the traceback is collected.
    with closing(ordered_map(_all_scales, tasks, jobs=jobs, title="STIR MNIST", unit=unit)) as results:
        for (s, c, i), result in zip(places, results, strict=True):
            images[s, :, c, i] = result
    return images


def _all_scales(
    task: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.uint8] | None],
) -> npt.NDArray[np.uint8]:
    digit, positions, brightest = task
    return np.stack(
        [
            develop(digit, scale, positions[row], None if brightest is None else int(brightest[row]))
            for row, scale in enumerate(SCALES)
        ]
    )


def develop(
    digit: npt.NDArray[np.uint8], scale: int, position: npt.NDArray[np.int64], brightest: int | None = None
) -> npt.NDArray[np.uint8]:
    """One image: (28, 28) -> (64, 64), both 0..255.

    The digit is resized (cubic spline), put on the canvas, smoothed by a Gaussian of 7/8 pixel of the original's
    grid, and its contrast restored by 2/pi arctan(0.02 (v - 128)), stretched to 0..255 and cut to integers.

    The last step makes the brightest pixel 255 or 254, as r * 255 / r comes out a rounding error above or below
    255, and so depends on the last bit of arctan: NumPy's for AVX-512 and that of the C library do not always agree
    on it (19 of the 72,000 images; they agree on all other pixels). `brightest` fixes that pixel, so that every
    machine builds the same file.

    Args:
        digit: 0..255.
        scale: side of the digit on the canvas, pixels.
        position: its left and top distance, pixels.
        brightest: the level of the brightest pixel; as the arithmetic of this machine has it if not given.
    """
    from skimage.filters import gaussian
    from skimage.transform import resize

    left, top = position
    canvas = np.zeros((CANVAS, CANVAS))
    canvas[top : top + scale, left : left + scale] = resize(digit, (scale, scale), order=3, preserve_range=True)
    smooth = gaussian(canvas, sigma=7.0 / 8.0 * scale / 28.0)
    sharp = 2 / np.pi * np.arctan(0.02 * (smooth - 128))
    low, high = sharp.min(), sharp.max()
    image = (255.0 * (sharp - low) / (high - low)).astype(np.uint8)
    if brightest is not None:
        image[sharp == high] = brightest
    return image
