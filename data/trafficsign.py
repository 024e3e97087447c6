"""STIR Traffic Sign from the raw archives of the Mapillary Traffic Sign Dataset v2, fully annotated.

The published file was made with places that nobody can draw again (no seed was set), so that this gives the published
signs of the published photos, elsewhere on the canvas.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from siconvnet.datasets.schema import SCALES
from siconvnet.errors import DatasetError

from .annotations import whole_pixels
from .crops import Draft, Marked, Texts, draft, find_archives, find_photos, fits
from .left_out import LeftOut
from .photos import Unusable, ZipPhoto, open_archive
from .selection import Candidate

ROOT = "mtsd_v2_fully_annotated"
PARTS = ("train", "val")
KEY = re.compile(r"[A-Za-z0-9_-]+")
MAX_DIFFERENCE = 5
"""Signs whose sides differ by this many pixels or more are left out."""
METADATA = {
    "title": "Scaled and Translated Image Recognition (STIR) Traffic Sign",
    "description": "Traffic signs of 17 to 64 pixels at random places of a 64 x 64 canvas, in their surroundings. "
    "Built anew from the photos by the recipe of the published file (Zenodo record 6578038); the places differ.",
    "author": "Photos: Mapillary. Recipe: Thomas R. Altstidl.",
    "license": "CC BY-NC-SA 4.0, modified from Mapillary Traffic Sign Dataset - "
    "https://www.mapillary.com/dataset/trafficsign",
    "version": "1.0.0",
    "date": "24 May 2022",
}


def plan(source: Path | None) -> Draft:
    """Read the annotations and choose the signs.

    Args:
        source: the folder of the downloads: the zip archives of the photos, and ``mtsd_v2_fully_annotated``, as a
            folder or in its zip archive.

    Raises:
        DatasetError: the annotations are missing, an archive is damaged, or too few signs are left.
    """
    if source is None:
        raise DatasetError("trafficsign is made of the raw photos; name the folder of the downloads: --source DIR")
    archives = find_archives(source)
    texts = find_annotations(source, archives)
    left_out = LeftOut()
    signs = _signs(texts, find_photos(archives, ".jpg"), left_out)
    return draft(signs, fit="stretch", metadata=METADATA, left_out=left_out)


def find_annotations(source: Path, archives: list[Path]) -> Texts:
    """Where ``splits`` and ``annotations`` are."""
    for folder in (source / ROOT, source):
        if (folder / "splits" / "train.txt").is_file():
            return Texts(folder)
    for path in archives:
        for member in open_archive(path).namelist():
            if member.endswith(f"{ROOT}/splits/train.txt"):
                return Texts(path, member.removesuffix("splits/train.txt"))
    raise DatasetError(f"{source} holds no {ROOT}/splits/train.txt, as a file or in a zip archive.")


def _signs(texts: Texts, photos: dict[str, ZipPhoto], left_out: LeftOut) -> Iterator[Marked]:
    for part in PARTS:
        try:
            keys = texts.read(f"splits/{part}.txt").decode("utf-8", "replace").split()
        except Unusable as reason:
            raise DatasetError(f"{texts.root}: splits/{part}.txt is {reason}.") from None
        for key in keys:
            try:
                content = _annotation(texts, key)
                photo = _photo(photos, key)
            except Unusable as reason:
                left_out.add(reason, key)
                continue
            for entry in content["objects"]:
                try:
                    if sign := _sign(entry, content, photo):
                        yield sign
                except Unusable as reason:
                    left_out.add(reason, key)
                except (KeyError, TypeError, ValueError, AttributeError):
                    left_out.add("with a broken annotation", key)


def _annotation(texts: Texts, key: str) -> dict[str, Any]:
    if not KEY.fullmatch(key):
        raise Unusable("with a file name that leads elsewhere")
    try:
        content = json.loads(texts.read(f"annotations/{key}.json"))
    except (ValueError, RecursionError) as error:
        raise Unusable("with a broken annotation") from error
    if not (isinstance(content, dict) and isinstance(content.get("objects"), list)):
        raise Unusable("with a broken annotation")
    return content


def _photo(photos: dict[str, ZipPhoto], key: str) -> ZipPhoto:
    if key not in photos:
        raise Unusable("missing")
    return photos[key]


def _sign(entry: dict[str, Any], content: dict[str, Any], photo: ZipPhoto) -> Marked | None:
    """The sign, or None if the recipe does not ask for it."""
    if any(entry["properties"].values()) or entry["label"] == "other-sign":
        return None
    corners = entry["bbox"]
    if "cross_boundary" in corners:
        return None  # it goes on at the other end of a panorama
    box = whole_pixels(*(float(corners[side]) for side in ("xmin", "ymin", "xmax", "ymax")))
    rank = min(box.width, box.height)
    # The published rule counts smaller ones too, and then drops every class that would need one.
    if abs(box.width - box.height) >= MAX_DIFFERENCE or rank < SCALES[0]:
        return None
    size = int(content["width"]), int(content["height"])
    fits(box, size, "stretch")
    return Marked(str(entry["label"]), rank, Candidate(photo, box, size))
