"""YOLO's text files: one for each photo, with a line ``class x y width height`` for each object, in parts of the photo.

A line may also be a polygon, ``class x1 y1 x2 y2 x3 y3 ...``; the object is then the box around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from siconvnet.errors import DatasetError

from .annotations import inside, no_photos, whole_pixels
from .canvas import Box
from .left_out import LeftOut
from .photos import FilePhoto, Unusable, opened, oriented_size
from .selection import Candidate, Frame
from .texts import read_text
from .walking import is_picture, walk

NAME_FILES = ("classes.txt", "obj.names")
MAX_BYTES = 2**20
"""Of a file of class names."""


def read(images: Path, labels: Path, frame: Frame | None, left_out: LeftOut) -> Iterator[tuple[str, Candidate]]:
    """Yield class and place of every object that can be used; the others are added to `left_out`.

    Args:
        images: the folder of the photos.
        labels: the folder of the text files, each named as its photo but for the suffix. The names of the classes are
            in ``classes.txt``, ``obj.names`` or a ``.yaml`` there or one folder up.
        frame: as in `boxes.scan`; None for boxes of the photo as it is displayed.
        left_out: is added to.

    Raises:
        DatasetError: none of the photos is there, or a file of class names cannot be read.
    """
    names = read_names(labels)
    photos = {path.relative_to(images).with_suffix(""): path for path in walk(images) if is_picture(path)}
    files = [path for path in walk(labels) if path.suffix == ".txt" and path.name not in NAME_FILES]
    keys = {path: path.relative_to(labels).with_suffix("") for path in files}
    if keys and photos.keys().isdisjoint(keys.values()):
        raise no_photos(images, labels, f"{next(iter(keys.values()))}.jpg")
    for path, key in keys.items():
        try:
            lines = read_text(path).splitlines()
            if not any(map(str.strip, lines)):
                continue
            if key not in photos:
                raise Unusable("missing")
            photo = FilePhoto(photos[key])
            with opened(photo) as image:
                size = image.size if frame == "stored" else oriented_size(image)
        except (Unusable, OSError) as error:
            left_out.add(error if isinstance(error, Unusable) else "unreadable", str(path))
            continue
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    name, box = parse_line(line, names, size)
                    yield name, Candidate(photo, box, frame=frame)
                except Unusable as reason:
                    left_out.add(reason, f"{path}:{number}")


def parse_line(line: str, names: Mapping[int, str], size: tuple[int, int]) -> tuple[str, Box]:
    """The class and the box of one line.

    Args:
        line: numbers with spaces between them.
        names: of the classes; empty for "class 0" and so on.
        size: width and height of the photo.

    Raises:
        Unusable: it is not such a line, its class has no name, or the box is outside the photo.
    """
    if "," in line:
        raise Unusable("with commas in their numbers (write 0.5 0.25)")
    try:
        label, *numbers = map(float, line.split())
    except ValueError:
        raise Unusable("with something other than numbers") from None
    if not (label >= 0 and label.is_integer()):
        raise Unusable("of a class that is not 0, 1, 2, ...")
    if names and label not in names:
        raise Unusable("of a class without a name")
    if len(numbers) == 4:
        x, y, width, height = numbers
        sides = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:
        sides = (min(numbers[0::2]), min(numbers[1::2]), max(numbers[0::2]), max(numbers[1::2]))
    else:
        raise Unusable("with neither the four numbers of a box nor the pairs of a polygon")
    box = whole_pixels(*(side * length for side, length in zip(sides, size * 2, strict=True)))
    return names[int(label)] if names else f"class {int(label)}", inside(box, size)


def read_names(labels: Path) -> dict[int, str]:
    """The names of the classes by their numbers, from the first file that has them; none if there is no such file.

    Raises:
        DatasetError: there are files, and the names cannot be had from any.
    """
    problem = ""
    for folder in (labels, labels.parent):
        files = [folder / name for name in NAME_FILES if (folder / name).exists()]
        for path in [*files, *sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])]:
            try:
                text = read_text(path, MAX_BYTES)
                names = _of_lines(text) if path.name in NAME_FILES else _of_yaml(text)
            except (Unusable, OSError, yaml.YAMLError, RecursionError) as error:
                reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
                problem = problem or f"cannot read the names of the classes from {path}: {reason}."
                continue
            if names:
                return names
    if problem:
        raise DatasetError(problem)
    return {}


def _of_lines(text: str) -> dict[int, str]:
    return dict(enumerate(map(str.strip, text.strip().splitlines())))


def _of_yaml(text: str) -> dict[int, str]:
    content = yaml.load(text, _PlainLoader)
    names = content.get("names") if isinstance(content, dict) else None
    if names is None:
        return {}
    if isinstance(names, list):
        names = {str(number): name for number, name in enumerate(names)}
    if not isinstance(names, dict):
        raise Unusable("`names` must be a list, or numbers with a name each")
    for number, name in names.items():
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise Unusable(f"`names` has the key {number!r}; expected the numbers of the classes, as in 0: cat")
        if not isinstance(name, str):
            raise Unusable(f"`names` has no text for class {number}")
    return {int(number): name for number, name in names.items()}


class _PlainLoader(yaml.BaseLoader):
    """Reads every scalar as text, so that a class may be called `no`; refuses aliases, as they can stand for GB."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise Unusable("aliases (*name) are not accepted")
        return super().compose_node(parent, index)
