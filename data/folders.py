"""A folder of pictures sorted into a folder for each class, with or without split folders above those."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from siconvnet.errors import DatasetError

from .photos import SUFFIXES, FilePhoto
from .selection import ANY_SPLIT, Candidate

SPLIT_FOLDERS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}


def scan(folder: Path) -> dict[str, list[Candidate]]:
    """The pictures of each class, in the order of their paths.

    `folder` holds a folder for each class (``FOLDER/cat/*.jpg``, at any depth below), or split folders that do
    (``FOLDER/train/cat/*.jpg``). Of the latter, the test folder alone goes into the test split, so that a set that
    others test on stays apart; a missing split is taken from the training folder, or where only train and val are
    there, val is the test set.

    Raises:
        DatasetError: no pictures, or fewer than two classes.
    """
    pools: dict[str, list[Candidate]] = {}
    for top, splits in _tops(folder):
        for class_folder in _folders(top):
            photos = [Candidate(FilePhoto(path), splits=splits) for path in _pictures(class_folder)]
            if photos:
                pools.setdefault(class_folder.name, []).extend(photos)
    if len(pools) < 2:
        raise DatasetError(
            f"{folder} holds pictures of {len(pools)} classes; expected a folder for each of two or more classes, such "
            f"as {folder.name}/cat/1.jpg (types: {' '.join(sorted(SUFFIXES))})."
        )
    return dict(sorted(pools.items()))


def _tops(folder: Path) -> list[tuple[Path, tuple[int, ...]]]:
    named = {SPLIT_FOLDERS.get(child.name.lower()): child for child in _folders(folder)}
    if None in named or 0 not in named or len(named) < 2:
        return [(folder, ANY_SPLIT)]
    if 2 not in named:
        named[2] = named.pop(1)
    homes = {0: (0,) if 1 in named else (0, 1), 1: (1,), 2: (2,)}
    return [(child, homes[split]) for split, child in sorted(named.items()) if split is not None]


def _folders(folder: Path) -> list[Path]:
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        raise DatasetError(f"cannot read {folder}: {error.strerror}.") from error
    return [child for child in children if child.is_dir() and not child.name.startswith(".")]


def _pictures(folder: Path) -> Iterator[Path]:
    for parent, children, names in os.walk(folder):
        children.sort()
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith("."):  # noqa: PTH122
                yield Path(parent, name)
