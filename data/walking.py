"""The files below a folder, in an order that does not depend on the file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .photos import SUFFIXES


def walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, those of a folder before those of its subfolders, each in order of name.

    Links to folders are followed, but no folder is entered twice, so that a link to a parent ends the walk there.
    Hidden files and folders are skipped.
    """
    entered = set()
    for parent, children, names in os.walk(folder, followlinks=True):
        status = os.stat(parent)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in entered:
            children.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        children[:] = sorted(name for name in children if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def is_picture(path: Path) -> bool:
    """Whether a file is named as a picture of a kind that is read."""
    return path.suffix.lower() in SUFFIXES
