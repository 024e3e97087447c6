"""STIR Aerial Object from the raw archives of DOTA v1.5.

The published file was made with places that nobody can draw again (no seed was set), so that this gives the published
objects of the published images, elsewhere on the canvas.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from siconvnet.datasets.schema import SCALES
from siconvnet.errors import DatasetError

from .canvas import Box
from .crops import Draft, Marked, Texts, draft, find_archives, find_photos, fits
from .left_out import LeftOut
from .photos import Unusable, ZipPhoto, open_archive, opened
from .selection import Candidate

LABEL_ARCHIVES = ("DOTA-v1.5_train.zip", "DOTA-v1.5_val.zip")
SOURCE = "GoogleEarth"
MAX_ANGLE = 3.0
"""Degrees by which the first edge of an object may deviate from the horizontal."""
MIN_RATIO = 5
"""Sides of the image by the longer side of the object, at least: the published rule wants more than 4, and divides
integers."""
METADATA = {
    "title": "Scaled and Translated Image Recognition (STIR) Aerial Object",
    "description": "Aerial objects of 17 to 64 pixels at random places of a 64 x 64 canvas, in their surroundings; "
    "the scale is the longer side. Built anew from the images by the recipe of the published file (Zenodo record "
    "6578038); the places differ.",
    "author": "Images: Google Earth, by way of DOTA. Recipe: Thomas R. Altstidl.",
    "license": "CC BY-NC-SA 4.0, modified from Dataset for Object Detection in Aerial Images - "
    "https://captain-whu.github.io/DOTA/dataset.html",
    "version": "1.0.0",
    "date": "31 August 2022",
}


def plan(source: Path | None) -> Draft:
    """Read the labels and choose the objects.

    Args:
        source: the folder of the downloads: ``DOTA-v1.5_train.zip``, ``DOTA-v1.5_val.zip`` and the zip archives of
            the images, at any depth.

    Raises:
        DatasetError: the labels are missing, an archive is damaged, or too few objects are left.
    """
    if source is None:
        raise DatasetError("aerial is made of the raw images; name the folder of the downloads: --source DIR")
    archives = find_archives(source)
    by_name = {path.name: path for path in archives}
    if missing := [name for name in LABEL_ARCHIVES if name not in by_name]:
        raise DatasetError(f"{source} holds no {missing[0]}, the archive of label files.")
    photos = find_photos(archives, ".png")
    left_out = LeftOut()
    objects = (item for name in LABEL_ARCHIVES for item in _objects(Texts(by_name[name]), photos, left_out))
    return draft(objects, fit="longer", metadata=METADATA, left_out=left_out)


def _objects(texts: Texts, photos: dict[str, ZipPhoto], left_out: LeftOut) -> Iterator[Marked]:
    for member in open_archive(texts.root).namelist():
        key = PurePosixPath(member)
        if key.suffix != ".txt":
            continue
        try:
            origin, *rows = texts.read(member).decode("utf-8", "replace").splitlines() or [""]
            if origin.partition(":")[2].strip() != SOURCE:
                continue
            lines = [row.split() for row in rows[1:] if row.strip()]
            if not lines:
                continue
            if key.stem not in photos:
                raise Unusable("missing")
            photo = photos[key.stem]
            size = _size_in_colour(photo)
        except Unusable as reason:
            left_out.add(reason, member)
            continue
        for fields in lines:
            try:
                if size and (item := _object(fields, size, photo)):
                    yield item
            except Unusable as reason:
                left_out.add(reason, member)
            except (ValueError, IndexError, OverflowError):
                left_out.add("with a broken annotation", member)


def _size_in_colour(photo: ZipPhoto) -> tuple[int, int] | None:
    """Width and height, from the header; None for an image that is not in colour."""
    with opened(photo) as image:
        return image.size if image.mode == "RGB" else None


def _object(fields: list[str], size: tuple[int, int], photo: ZipPhoto) -> Marked | None:
    """The object, or None if the recipe does not ask for it."""
    values = [int(float(value)) for value in fields[:8]]
    label = fields[8]
    xs, ys = values[0::2], values[1::2]
    box = Box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
    if abs(math.degrees(math.atan2(ys[1] - ys[0], xs[1] - xs[0]))) >= MAX_ANGLE or box.side < SCALES[0]:
        return None
    if min(size) // box.side < MIN_RATIO:
        return None
    if min(box.width, box.height) < 1:
        raise Unusable("with a broken box")
    fits(box, size, "longer")
    return Marked(label, box.side, Candidate(photo, box, size))
