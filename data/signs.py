"""Synthetic signs: a colour dataset for machines that the licensed photos cannot come to. Nothing is published on it.

Each of the 1,200 objects is one picture of a traffic sign on a texture, with its own light and blur, from which all of
its canvases are cut as those of STIR Traffic Sign are: position, scale and surroundings behave as in a photo. Every
split draws its textures from its own third of each photograph.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from siconvnet.datasets.schema import SPLITS
from siconvnet.errors import InvalidArgument

from . import signs_source
from .assembly import Plan, Recipe
from .canvas import Box
from .crops import NUM_INSTANCES, Draft
from .selection import Candidate, Slot

if TYPE_CHECKING:
    from PIL import Image

SEED = 42
SIDE = 96
"""Of a sign in its picture, pixels."""
PICTURE = 400
"""Side of a picture: at scale 17, the canvas is 3.8 times as wide as the sign."""
METADATA = {
    "title": "Synthetic Signs",
    "description": "Synthetic: 16 traffic signs of 17 to 64 pixels, drawn over photographed textures with random light "
    "and blur, at random places of a 64 x 64 canvas. Made for machines without the licensed photos of STIR Traffic "
    "Sign; no results are published on it.",
    "author": "Signs: Mapillary. Textures: the photographers of scikit-image's samples.",
    "license": "MIT (signs: @rapideditor/mapillary_sprite_source 1.8.0); textures without copyright restrictions",
    "version": "1.0.0",
    "date": "21 November 2026",
}


@dataclass(frozen=True)
class SyntheticPhoto:
    """The picture of one object, drawn when it is read."""

    slot: Slot

    @property
    def key(self) -> str:
        return f"sign {tuple(self.slot)}"

    def stamp(self) -> str:
        state = signs_source.EMBEDDED_FILE.stat()
        return f"{state.st_size} {state.st_mtime_ns}"

    def read(self) -> Image.Image:
        return compose(self.slot)[0]


def plan(source: Path | None) -> Draft:
    """Which picture goes where: each has a slot of its own.

    Raises:
        InvalidArgument: a source was given.
        DatasetError: the signs that ship with the package cannot be read.
    """
    if source is not None:
        raise InvalidArgument("signs is made from the signs in the package; to replace those, build signs_source.")
    names = _source()[2]
    grid = (len(SPLITS), len(names), NUM_INSTANCES)
    slots = {}
    for index in np.ndindex(grid):
        slot = Slot(*map(int, index))
        slots[slot] = Candidate(SyntheticPhoto(slot), compose_box(slot))
    spares: dict[str, list[Candidate]] = {name: [] for name in names}
    return Draft(Plan(names, NUM_INSTANCES, slots, Recipe("crop", 3, SEED, reduce=False), METADATA), spares)


def compose_box(slot: Slot) -> Box:
    """Where the sign is in its picture."""
    generator = np.random.RandomState([SEED, 1, *slot])
    left, top = generator.randint(PICTURE // 4, PICTURE * 3 // 4 - SIDE + 1, 2)
    return Box(int(left), int(top), SIDE, SIDE)


def compose(slot: Slot) -> tuple[Image.Image, Box]:
    """The picture of one object: (400, 400), and where the sign is in it.

    Whole numbers are all that is drawn, and light is a product of them, so that every machine draws the same picture.
    """
    from PIL import Image, ImageFilter

    signs, textures, _ = _source()
    box, generator = compose_box(slot), np.random.RandomState([SEED, 2, *slot])
    picture = _background(textures[generator.randint(len(textures))], slot.split, generator)
    sign = Image.fromarray(signs[slot.label]).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    picture.paste(sign, (box.left, box.top), sign)
    lit = _light(np.asarray(picture), generator)
    blurred = Image.fromarray(lit).filter(ImageFilter.GaussianBlur(int(generator.randint(0, 7)) / 4))
    noise = generator.randint(-5, 6, (PICTURE, PICTURE, 1))
    return Image.fromarray(np.clip(np.asarray(blurred) + noise, 0, 255).astype(np.uint8)), box


def _background(texture: npt.NDArray[np.uint8], split: int, generator: np.random.RandomState) -> Image.Image:
    """A piece of this split's third of a texture, enlarged to the picture; turned and mirrored at random."""
    from PIL import Image

    third = len(texture) // len(SPLITS)
    side = int(generator.randint(third * 3 // 4, third + 1))
    left = split * third + int(generator.randint(0, third - side + 1))
    top = int(generator.randint(0, len(texture) - side + 1))
    piece = np.rot90(texture[top : top + side, left : left + side], int(generator.randint(4)))
    if generator.randint(2):
        piece = piece[:, ::-1]
    return Image.fromarray(np.ascontiguousarray(piece)).resize((PICTURE, PICTURE), Image.Resampling.BICUBIC)


def _light(pixels: npt.NDArray[np.uint8], generator: np.random.RandomState) -> npt.NDArray[np.uint8]:
    """Brightness of 45 to 115 %, a slope of up to 25 % across the picture, and a tint of up to 12 % per channel."""
    level = int(generator.randint(45, 116))
    across, down = (int(value) for value in generator.randint(-25, 26, 2))
    tint = generator.randint(88, 113, 3)
    steps = np.arange(PICTURE) - PICTURE // 2
    percent = level * PICTURE + (across * steps[None, :] + down * steps[:, None])
    lit = pixels.astype(np.int64) * percent[..., None] * tint // (PICTURE * 100 * 100)
    return np.clip(lit, 0, 255).astype(np.uint8)


@functools.cache
def _source() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], list[str]]:
    return signs_source.load()
