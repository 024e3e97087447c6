"""STIR Emoji: 36 faces of Font Awesome, white on black, rendered anew at every scale.

Rendering needs the extra ``emoji`` (CairoSVG, and the cairo library of the system). Few will want it: the file ships
with the package.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siconvnet.datasets.catalog import EMBEDDED
from siconvnet.datasets.schema import CANVAS, SCALES, SPLITS
from siconvnet.errors import DatasetError

from .layout import draw_positions, stir_arrays

ICONS = (
    *("tired", "surprise", "smile-wink", "smile-beam", "sad-tear", "sad-cry", "meh-rolling-eyes", "meh-blank"),
    *("laugh-wink", "laugh-squint", "laugh-beam", "laugh", "kiss-wink-heart", "kiss-beam", "kiss", "grin-wink"),
    *("grin-tongue-wink", "grin-tongue-squint", "grin-tongue", "grin-tears", "grin-stars", "grin-squint-tears"),
    *("grin-squint", "grin-hearts", "grin-beam-sweat", "grin-beam", "grin-alt", "grin", "grimace", "frown-open"),
    *("flushed", "dizzy", "angry", "smile", "meh", "frown"),
)
ARCHIVE = EMBEDDED / "emoji_icons.zip"
METADATA = {
    "title": "Scaled and Translated Image Recognition (STIR) Emoji",
    "description": "36 icons of 17 to 64 pixels at random places of a 64 x 64 canvas, white on black. Built anew "
    "from the icons by the recipe of the published file (Zenodo record 6578038).",
    "author": "Icons: Fonticons, Inc. (@fontawesome). Recipe: Thomas R. Altstidl.",
    "license": "CC BY 4.0, modified from Font Awesome Free 5.15.3 - https://fontawesome.com/license/free",
    "version": "1.0.0",
    "date": "24 May 2022",
}


def build(source: Path | None = None, *, jobs: int = 1, progress: bool = False) -> dict[str, npt.NDArray]:
    """Render the dataset; two seconds of work, so neither parallel nor with a progress bar.

    Args:
        source: a folder that holds the icons as ``NAME.svg``, itself or under ``svgs/regular`` as the npm package
            @fortawesome/fontawesome-free 5.15.3 does; the icons in this package if not given.
        jobs: not used.
        progress: not used.

    Returns:
        the arrays of a STIR file.

    Raises:
        DatasetError: an icon is missing, or CairoSVG cannot be used.
    """
    del jobs, progress
    positions = draw_positions(len(ICONS), 1)
    images = np.zeros((*positions.shape[:-1], CANVAS, CANVAS), np.uint8)
    for c, svg in enumerate(read_icons(source)):
        for row, scale in enumerate(SCALES):
            icon = render(svg, scale)
            for split in range(len(SPLITS)):
                left, top = positions[split, row, c, 0]
                images[split, row, c, 0, top : top + scale, left : left + scale] = icon
    return stir_arrays(images, positions, ICONS, METADATA)


def read_icons(source: Path | None = None) -> list[bytes]:
    """The SVG sources of `ICONS`, in their order.

    Raises:
        DatasetError: one of them is missing.
    """
    if source is None:
        try:
            with zipfile.ZipFile(ARCHIVE) as archive:
                return [archive.read(f"{name}.svg") for name in ICONS]
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise DatasetError(f"the icons in {ARCHIVE} cannot be read ({error}); give their folder.") from error
    nested = source / "svgs" / "regular"
    folder = nested if nested.is_dir() else source
    missing = [name for name in ICONS if not (folder / f"{name}.svg").is_file()]
    if missing:
        raise DatasetError(
            f"{folder} lacks {len(missing)} of the {len(ICONS)} icons ({missing[0]}.svg first); expected the folder "
            "of the npm package @fortawesome/fontawesome-free 5.15.3, or its svgs/regular."
        )
    return [(folder / f"{name}.svg").read_bytes() for name in ICONS]


def render(svg: bytes, scale: int) -> npt.NDArray[np.uint8]:
    """Coverage of one icon, scale x scale, 0..255: what a white icon on black looks like.

    Raises:
        DatasetError: CairoSVG, or the cairo library under it, is not installed.
    """
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(rasterise(svg, scale))).getchannel("A"))


def rasterise(svg: bytes, side: int) -> bytes:
    """A PNG of an icon in a square of `side` pixels.

    Raises:
        DatasetError: CairoSVG, or the cairo library under it, is not installed.
    """
    try:
        import cairosvg
    except (ImportError, OSError) as error:  # OSError: the Python package is there, the system's library is not
        raise DatasetError(
            "rendering the icons needs CairoSVG and the cairo library; type: pip install 'siconvnet[emoji]' "
            "(and install libcairo2 if it is missing)"
        ) from error
    png: bytes = cairosvg.svg2png(bytestring=svg, parent_width=side, parent_height=side)
    return png
