"""What the readers of annotations share: boxes in whole pixels, inside their photos, and the files of these."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

from siconvnet.errors import DatasetError

from .canvas import Box
from .photos import Unusable


def whole_pixels(left: float, top: float, right: float, bottom: float) -> Box:
    """The smallest box of whole pixels that holds this one.

    Raises:
        Unusable: it is not finite, or holds no pixel.
    """
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise Unusable("with a broken box")
    x, y = math.floor(left), math.floor(top)
    box = Box(x, y, math.ceil(right) - x, math.ceil(bottom) - y)
    if box.width < 1 or box.height < 1:
        raise Unusable("with a broken box")
    return box


def inside(box: Box, size: tuple[int, int]) -> Box:
    """The box, if it is inside its photo; a rounding error of one pixel is forgiven.

    Raises:
        Unusable: it is not.
    """
    left, top = max(box.left, 0), max(box.top, 0)
    right, bottom = min(box.left + box.width, size[0]), min(box.top + box.height, size[1])
    cut = Box(left, top, right - left, bottom - top)
    if min(cut.width, cut.height) < 1 or any(abs(new - old) > 1 for new, old in zip(cut, box, strict=True)):
        raise Unusable("outside their photo")
    return cut


def below(folder: Path, name: str) -> Path:
    """The file in a folder that annotations call `name`: with either slash, or by its absolute path.

    Raises:
        Unusable: the name leads out of the folder.
    """
    top = Path(os.path.abspath(folder))  # noqa: PTH100  (`resolve` would follow links, which may lead elsewhere)
    for spelled in (name, name.replace("\\", "/")):
        path = Path(os.path.normpath(top / spelled))
        if not path.is_relative_to(top):
            raise Unusable("with a file name that leads elsewhere")
        if path.exists():
            break
    return path


def require_photos(images: Path, files: Iterable[str], annotations: Path) -> None:
    """Refuse annotations of which no photo is there: a few may be missing, but this is another folder.

    Raises:
        DatasetError: the message gives one that was looked for.
    """
    first = ""
    for name in files:
        first = first or name
        try:
            if below(images, name).is_file():
                return
        except (Unusable, OSError, ValueError):
            continue
    if first:
        raise no_photos(images, annotations, first)


def no_photos(images: Path, annotations: Path, example: str) -> DatasetError:
    """The error for annotations of photos that are somewhere else."""
    return DatasetError(
        f"{images} holds none of the photos that {annotations} is about, such as {example}; --images names their "
        "folder."
    )
