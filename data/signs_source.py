"""What the dataset `signs` is made of: 16 traffic signs as pictures, and six photographs of textures.

Both ship with the package, so that building `signs` needs neither cairo nor a download; this builder makes that file
anew. Signs: Mapillary's sprite sources (npm package @rapideditor/mapillary_sprite_source 1.8.0, MIT). Textures: sample
photographs of scikit-image that are free of copyright restrictions.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siconvnet.datasets.catalog import EMBEDDED
from siconvnet.errors import DatasetError

from .emoji import rasterise

EMBEDDED_FILE = EMBEDDED / "signs_source.npz"
SIDE = 128
TEXTURE_SIDE = 384
SIGNS = (
    *("regulatory--stop--g1", "regulatory--yield--g1", "regulatory--no-entry--g1", "regulatory--priority-road--g1"),
    *("regulatory--maximum-speed-limit-30--g1", "regulatory--maximum-speed-limit-60--g1"),
    *("regulatory--keep-right--g1", "regulatory--roundabout--g1", "regulatory--no-parking--g1"),
    *("regulatory--no-stopping--g1", "regulatory--no-bicycles--g1", "information--parking--g1"),
    *("information--pedestrians-crossing--g1", "warning--curve-left--g1", "warning--curve-right--g1"),
    "warning--traffic-signals--g1",
)
TEXTURES = ("brick", "grass", "gravel", "coffee", "chelsea", "rocket")


def build(source: Path | None = None, *, jobs: int = 1, progress: bool = False) -> dict[str, npt.NDArray]:
    """Render the signs, and reduce the textures.

    Args:
        source: the folder of the unpacked npm package, or its ``package_signs``.
        jobs: not used.
        progress: not used.

    Returns:
        `signs` (16, 128, 128, 4) uint8, colour and coverage; `textures` (6, 384, 384, 3) uint8; `names` (16,).

    Raises:
        DatasetError: a sign is missing, or CairoSVG cannot be used.
    """
    del jobs, progress
    if source is None:
        raise DatasetError(
            "the signs come from the npm package @rapideditor/mapillary_sprite_source; name its folder: --source DIR"
        )
    nested = source / "package_signs"
    folder = nested if nested.is_dir() else source
    missing = [name for name in SIGNS if not (folder / f"{name}.svg").is_file()]
    if missing:
        raise DatasetError(f"{folder} lacks {len(missing)} of the {len(SIGNS)} signs ({missing[0]}.svg first).")
    signs = [_picture((folder / f"{name}.svg").read_bytes()) for name in SIGNS]
    return {
        "signs": np.stack(signs),
        "textures": np.stack([_texture(name) for name in TEXTURES]),
        "names": np.array([name.split("--")[1] for name in SIGNS]),
    }


def load() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], list[str]]:
    """Signs, textures and class names that ship with the package; see `build`.

    Raises:
        DatasetError: the file is not there or is damaged.
    """
    try:
        with np.load(EMBEDDED_FILE, allow_pickle=False) as file:
            return file["signs"], file["textures"], file["names"].tolist()
    except Exception as error:
        raise DatasetError(f"{EMBEDDED_FILE} is part of the package and cannot be read ({error}).") from error


def _picture(svg: bytes) -> npt.NDArray[np.uint8]:
    """The sign, as large as fits the square: what is transparent around it is cut off."""
    from PIL import Image

    image = Image.open(io.BytesIO(rasterise(svg, 4 * SIDE))).convert("RGBA")
    image = image.crop(image.getchannel("A").getbbox())
    side = max(image.size)
    square = Image.new("RGBA", (side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _texture(name: str) -> npt.NDArray[np.uint8]:
    from PIL import Image
    from skimage import data

    image = Image.fromarray(getattr(data, name)()).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((TEXTURE_SIDE, TEXTURE_SIDE), Image.Resampling.LANCZOS))
