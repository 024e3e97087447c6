"""Objects marked by boxes in large photos: COCO's JSON and YOLO's text files."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from siconvnet.errors import DatasetError

from .canvas import Box
from .photos import SUFFIXES, FilePhoto, Unusable, opened, oriented_size
from .selection import Candidate

MAX_TEXT = 2**31
"""Bytes of an annotation file: COCO's largest has half of that."""


def scan(images: Path, annotations: Path) -> tuple[dict[str, list[Candidate]], Counter[str]]:
    """The objects of each class.

    Args:
        images: the folder of the photos.
        annotations: a COCO file (``.json``), or a folder of YOLO files, one ``.txt`` for each photo of that name,
            with the class names in ``classes.txt``, ``obj.names`` or a ``.yaml`` there or one folder up.

    Returns:
        the objects by class, and how many were left out, by reason.

    Raises:
        DatasetError: the annotations cannot be read, or are neither.
    """
    skipped: Counter[str] = Counter()
    if annotations.is_dir():
        found = _yolo(images, annotations, skipped)
    elif annotations.suffix.lower() == ".json":
        found = _coco(images, _load_json(annotations), annotations, skipped)
    else:
        raise DatasetError(f"{annotations} is neither a COCO file (.json) nor a folder of YOLO files (.txt).")
    pools: dict[str, list[Candidate]] = {}
    for name, candidate in found:
        pools.setdefault(name, []).append(candidate)
    if len(pools) < 2:
        left_out = f" ({', '.join(f'{count} {reason}' for reason, count in skipped.items())})" if skipped else ""
        raise DatasetError(f"{annotations} marks objects of {len(pools)} classes{left_out}; two or more are needed.")
    return dict(sorted(pools.items())), skipped


def whole_pixels(left: float, top: float, right: float, bottom: float) -> Box:
    """The smallest box of whole pixels that holds this one."""
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise Unusable("with a broken box")
    x, y = math.floor(left), math.floor(top)
    box = Box(x, y, math.ceil(right) - x, math.ceil(bottom) - y)
    if box.width < 1 or box.height < 1:
        raise Unusable("with a broken box")
    return box


def inside(box: Box, size: tuple[int, int]) -> Box:
    """The box, if it is inside its photo; a rounding error of one pixel is forgiven."""
    left, top = max(box.left, 0), max(box.top, 0)
    right, bottom = min(box.left + box.width, size[0]), min(box.top + box.height, size[1])
    cut = Box(left, top, right - left, bottom - top)
    if min(cut.width, cut.height) < 1 or any(abs(new - old) > 1 for new, old in zip(cut, box, strict=True)):
        raise Unusable("outside their photo")
    return cut


def _coco(images: Path, content: Any, path: Path, skipped: Counter[str]) -> Iterator[tuple[str, Candidate]]:
    try:
        names = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
        photos = {entry["id"]: entry for entry in content["images"]}
        objects = list(content["annotations"])
        files = [str(entry.get("file_name", "")) for entry in photos.values()]
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} is no COCO file: it lacks {error}; expected images, annotations and categories."
        ) from error
    _require_photos(images, files, path)
    for entry in objects:
        try:
            if entry.get("iscrowd"):
                raise Unusable("crowds")
            photo = photos[entry["image_id"]]
            left, top, width, height = map(float, entry["bbox"])
            size = int(photo["width"]), int(photo["height"])
            box = inside(whole_pixels(left, top, left + width, top + height), size)
            candidate = Candidate(FilePhoto(_below(images, str(photo["file_name"]))), box, size)
            yield names[entry["category_id"]], candidate
        except Unusable as reason:
            skipped[str(reason)] += 1
        except (KeyError, TypeError, ValueError, AttributeError):
            skipped["with a broken annotation"] += 1


def _yolo(images: Path, labels: Path, skipped: Counter[str]) -> Iterator[tuple[str, Candidate]]:
    names = _yolo_names(labels)
    photos = {path.relative_to(images).with_suffix(""): path for path in sorted(images.rglob("*")) if _is_picture(path)}
    keys = {path: path.relative_to(labels).with_suffix("") for path in sorted(labels.rglob("*.txt"))}
    keys = {path: key for path, key in keys.items() if path.name != "classes.txt"}
    if keys and photos.keys().isdisjoint(keys.values()):
        raise _no_photos(images, labels, f"{next(iter(keys.values()))}.jpg")
    for path, key in keys.items():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            if not lines:
                continue
            if key not in photos:
                raise Unusable("missing")
            with opened(FilePhoto(photos[key])) as image:
                size = oriented_size(image)
        except (Unusable, OSError, UnicodeDecodeError) as error:
            skipped[str(error) if isinstance(error, Unusable) else "with a broken annotation"] += 1
            continue
        for line in filter(str.strip, lines):
            try:
                number, *numbers = line.split()
                x, y, width, height = (float(value) * length for value, length in zip(numbers, size * 2, strict=True))
                box = inside(whole_pixels(x - width / 2, y - height / 2, x + width / 2, y + height / 2), size)
                yield (
                    names[int(number)] if names else f"class {int(number)}",
                    Candidate(FilePhoto(photos[key]), box, size),
                )
            except Unusable as reason:
                skipped[str(reason)] += 1
            except (ValueError, IndexError, KeyError):
                skipped["with a broken annotation"] += 1


def _require_photos(images: Path, files: Iterable[str], annotations: Path) -> None:
    """Refuse annotations of which no photo is there: a few may be missing, but this is another folder.

    Raises:
        DatasetError: the message gives one that was looked for.
    """
    first = ""
    for name in files:
        first = first or name
        try:
            if _below(images, name).is_file():
                return
        except (Unusable, OSError, ValueError):
            continue
    if first:
        raise _no_photos(images, annotations, first)


def _no_photos(images: Path, annotations: Path, example: str) -> DatasetError:
    return DatasetError(
        f"{images} holds none of the photos that {annotations} is about, such as {example}; --images names their "
        "folder."
    )


def _yolo_names(labels: Path) -> list[str] | dict[int, str]:
    for folder in (labels, labels.parent):
        for name in ("classes.txt", "obj.names"):
            if (folder / name).is_file():
                return (folder / name).read_text(encoding="utf-8").splitlines()
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            try:
                names = yaml.safe_load(path.read_text(encoding="utf-8")).get("names")
            except (yaml.YAMLError, AttributeError, UnicodeDecodeError):
                continue
            if isinstance(names, list):
                return list(map(str, names))
            if isinstance(names, dict):
                return {int(key): str(value) for key, value in names.items()}
    return []


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _below(folder: Path, name: str) -> Path:
    """The file of that name in the folder; a name that leads out of it is refused."""
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts or "\\" in name:
        raise Unusable("with a file name that leads elsewhere")
    return path


def _load_json(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_TEXT:
            raise DatasetError(f"{path} has more than {MAX_TEXT // 2**20} MiB; no annotation file is that long.")
        with path.open(encoding="utf-8") as stream:
            return json.load(stream)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is no JSON file ({error}).") from error
