"""COCO's JSON: lists of images, categories and annotations that refer to each other by ids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from siconvnet.errors import DatasetError

from .annotations import below, inside, require_photos, whole_pixels
from .left_out import LeftOut
from .photos import FilePhoto, Unusable
from .selection import Candidate, Frame
from .texts import read_bytes

MAX_BYTES = 2**31
"""Of an annotation file: COCO's largest has half of that."""


def read(images: Path, path: Path, frame: Frame | None, left_out: LeftOut) -> Iterator[tuple[str, Candidate]]:
    """Yield class and place of every object that can be used; the others are added to `left_out`.

    Args:
        images: the folder of the photos.
        path: the file.
        frame: as in `boxes.scan`.
        left_out: is added to.

    Raises:
        DatasetError: it is not a COCO file, two of its entries have one id, or none of its photos is there.
    """
    content = _load(path)
    try:
        names = {key: str(entry["name"]) for key, entry in _by_id(content["categories"], "categories", path).items()}
        photos = _by_id(content["images"], "images", path)
        objects = list(content["annotations"])
        files = [str(entry.get("file_name", "")) for entry in photos.values()]
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} is not a COCO file: it lacks {error}; expected images, annotations and categories."
        ) from error
    require_photos(images, files, path)
    for place, entry in enumerate(objects):
        try:
            yield _object(entry, images, photos, names, frame)
        except Unusable as reason:
            left_out.add(reason, f"annotations[{place}] of {path.name}")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            left_out.add("with a broken annotation", f"annotations[{place}] of {path.name}")


def _object(
    entry: Any, images: Path, photos: dict[Any, Any], names: dict[Any, str], frame: Frame | None
) -> tuple[str, Candidate]:
    if entry.get("iscrowd"):
        raise Unusable("crowds")
    for key, known, noun in (("image_id", photos, "image"), ("category_id", names, "category")):
        if entry[key] not in known:
            raise Unusable(f"of an {noun} that is not listed" if noun == "image" else f"of a {noun} that is not listed")
    photo = photos[entry["image_id"]]
    if photo.get("width") is None or photo.get("height") is None:
        raise Unusable("in an image without width and height")
    if not photo.get("file_name"):
        raise Unusable("in an image without file_name")
    left, top, width, height = map(float, entry["bbox"])
    size = int(photo["width"]), int(photo["height"])
    box = inside(whole_pixels(left, top, left + width, top + height), size)
    return names[entry["category_id"]], Candidate(FilePhoto(below(images, str(photo["file_name"]))), box, size, frame)


def _by_id(entries: Iterable[Any], kind: str, path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for entry in entries:
        if (known := found.setdefault(entry["id"], entry)) != entry:
            label = "name" if kind == "categories" else "file_name"
            raise DatasetError(
                f"{path} has two {kind} with the id {entry['id']!r}, {known.get(label)!r} and {entry.get(label)!r}, so "
                "that annotations may mean either; give each an id of its own."
            )
    return found


def _load(path: Path) -> Any:
    try:
        return json.loads(read_bytes(path, MAX_BYTES))  # of bytes, json finds out the encoding
    except Unusable:
        raise DatasetError(f"{path} has more than {MAX_BYTES // 2**20} MiB; no annotation file is that long.") from None
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not a JSON file ({error}).") from error
