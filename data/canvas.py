"""From one object of a picture to its canvases: one for each scale, at a random place. Pure functions of pixels.

Two ways: `cut_out` takes the object out of its picture and puts it on a plain canvas; `cut_window` resizes the whole
picture until the object has the wanted side and cuts a canvas around it, so that its surroundings are the true ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from siconvnet.datasets.schema import CANVAS, SCALES

if TYPE_CHECKING:
    from PIL import Image

WORKING_SIDE = 256
"""Larger objects are resized to this first: four times the largest scale is enough for what comes out of it."""

Fit = Literal["stretch", "longer"]


class Box(NamedTuple):
    """An object in a picture, in whole pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def side(self) -> int:
        """The longer side."""
        return max(self.width, self.height)


class Window(NamedTuple):
    """Where the canvas may lie in the resized picture, along one axis.

    Attributes:
        length: of the resized picture.
        start: of the object in it.
        low, high: first and last place where the canvas may begin; none if `high` < `low`.
    """

    length: int
    start: int
    low: int
    high: int


def square_around(box: Box, size: tuple[int, int]) -> Box | None:
    """The square of the box's longer side, centred on it and moved into the picture; None if it does not fit."""
    side = box.side
    if side > min(size):
        return None
    left = min(max(box.left - (side - box.width) // 2, 0), size[0] - side)
    top = min(max(box.top - (side - box.height) // 2, 0), size[1] - side)
    return Box(left, top, side, side)


def centre_square(size: tuple[int, int]) -> Box:
    """The largest square in the middle of a picture."""
    side = min(size)
    return Box((size[0] - side) // 2, (size[1] - side) // 2, side, side)


def windows(size: tuple[int, int], box: Box, scale: int, fit: Fit) -> tuple[Window, Window]:
    """Where the canvas may lie, horizontally and vertically, such that it holds the object and stays in the picture.

    Args:
        size: of the picture.
        box: the object in it.
        scale: the side that it gets.
        fit: "stretch" makes both of its sides `scale` long (published for traffic signs), "longer" the longer one
            (published for aerial objects).
    """
    sides = (box.width, box.height) if fit == "stretch" else (box.side, box.side)
    axes = []
    for length, start, extent, side in zip(size, box[:2], box[2:], sides, strict=True):
        factor = scale / side
        new = round(length * factor)
        first = round(start * factor)
        last = first + scale if fit == "stretch" else round((start + extent) * factor)
        if last > new:  # both were rounded; by one pixel at most
            first, last = first - (last - new), new
        axes.append(Window(new, first, max(0, last - CANVAS), min(new - CANVAS, first)))
    return axes[0], axes[1]


def has_surroundings(size: tuple[int, int], box: Box, fit: Fit, scales: Sequence[int] = SCALES) -> bool:
    """Whether the picture goes far enough around the object to fill the canvas at every scale."""
    return all(axis.low <= axis.high for scale in scales for axis in windows(size, box, scale, fit))


def cut_window(
    image: Image.Image, box: Box, fit: Fit, generator: np.random.RandomState
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Cut a canvas around the object at each scale, its surroundings as they are in the picture.

    The result is that of resizing the whole picture (Lanczos) and cropping it, without computing the rest.

    Args:
        image: of mode L or RGB.
        box: the object; see `has_surroundings`.
        fit: see `windows`.
        generator: draws the places, for each scale from 64 down to 17 the horizontal, then the vertical one.

    Returns:
        canvases (48, 64, 64) or (48, 64, 64, 3), and the object's left and top distance in each, (48, 2).
    """
    from PIL import Image

    canvases, positions = [], np.empty((len(SCALES), 2), np.int64)
    for row, scale in enumerate(SCALES):
        axes = windows(image.size, box, scale, fit)
        corner = [int(generator.randint(axis.low, axis.high + 1)) for axis in axes]
        left, top = (place * length / axis.length for place, length, axis in zip(corner, image.size, axes, strict=True))
        right, bottom = (
            min((place + CANVAS) * length / axis.length, length)
            for place, length, axis in zip(corner, image.size, axes, strict=True)
        )
        canvas = image.resize((CANVAS, CANVAS), Image.Resampling.LANCZOS, box=(left, top, right, bottom))
        canvases.append(np.asarray(canvas))
        positions[row] = [axis.start - place for axis, place in zip(axes, corner, strict=True)]
    return np.stack(canvases), positions


def cut_out(
    part: Image.Image, generator: np.random.RandomState, *, mean: bool = False
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Put an object that fills its picture on a plain canvas at each scale (Lanczos).

    Args:
        part: the object, of mode L or RGB; made square if it is not.
        generator: draws the places, for each scale from 64 down to 17 the horizontal, then the vertical one.
        mean: fill the canvas with the object's mean colour, not with black.

    Returns:
        as `cut_window`.
    """
    from PIL import Image

    if max(part.size) > WORKING_SIDE:
        part = part.resize((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    pixels = np.asarray(part)
    canvases = np.zeros((len(SCALES), CANVAS, CANVAS, *pixels.shape[2:]), np.uint8)
    if mean:
        canvases[:] = np.rint(pixels.mean(axis=(0, 1)))
    positions = np.empty((len(SCALES), 2), np.int64)
    for row, scale in enumerate(SCALES):
        left, top = positions[row] = generator.randint(0, CANVAS - scale + 1, 2)
        canvases[row, top : top + scale, left : left + scale] = part.resize((scale, scale), Image.Resampling.LANCZOS)
    return canvases, positions


def shrink(image: Image.Image, box: Box) -> tuple[Image.Image, Box]:
    """The picture made so small that the object, a square, has `WORKING_SIDE`; as it is if that is no reduction."""
    from PIL import Image

    if box.side <= WORKING_SIDE:
        return image, box
    factor = WORKING_SIDE / box.side
    size = (max(round(image.width * factor), WORKING_SIDE), max(round(image.height * factor), WORKING_SIDE))
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    left, top = (min(round(place * factor), length - WORKING_SIDE) for place, length in zip(box[:2], size, strict=True))
    return small, Box(left, top, WORKING_SIDE, WORKING_SIDE)
