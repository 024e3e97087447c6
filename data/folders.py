"""A folder of pictures sorted into a folder for each class, with or without split folders above those."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from siconvnet.errors import DatasetError

from .left_out import LeftOut
from .photos import SUFFIXES, FilePhoto
from .selection import ANY_SPLIT, Candidate
from .texts import utf8_name
from .walking import is_picture, walk

SPLIT_FOLDERS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}
OTHER_PICTURES = frozenset(
    {".arw", ".avif", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jp2", ".jxl", ".nef", ".psd", ".svg", ".tga"}
)
"""Pictures of kinds that are not read, so that their loss is told; other files are passed over."""


def scan(folder: Path) -> tuple[dict[str, list[Candidate]], LeftOut, list[str]]:
    """Read the pictures of each class, in the order of their paths.

    `folder` holds a folder for each class (``FOLDER/cat/*.jpg``, at any depth below), or split folders that do
    (``FOLDER/train/cat/*.jpg``). Of the latter, the test folder alone goes into the test split, so that a set that
    others test on stays apart; a missing split is taken from the training folder, or where only train and val are
    there, val is the test set.

    Returns:
        the pictures by class, what was left out, and notes on folders without pictures.

    Raises:
        DatasetError: no pictures, fewer than two classes, or split folders beside others that hold pictures.
    """
    pools: dict[str, list[Candidate]] = {}
    left_out, tops = LeftOut(), _tops(folder)
    empty = [] if tops == [(folder, ANY_SPLIT)] else [child for child in _folders(folder) if not _has_pictures(child)]
    for top, splits in tops:
        for class_folder in _folders(top):
            paths = []
            for path in walk(class_folder):
                if is_picture(path):
                    paths.append(path)
                elif path.suffix.lower() in OTHER_PICTURES:
                    left_out.add(f"of a kind that is not read ({path.suffix.lower()})", str(path))
            if paths:
                pool = pools.setdefault(utf8_name(class_folder.name), [])
                pool.extend(Candidate(FilePhoto(path), splits=splits) for path in paths)
            else:
                empty.append(class_folder)
        for path in top.iterdir():
            if is_picture(path) and not path.name.startswith("."):
                left_out.add("in no folder of a class", str(path))
    notes = _on_empty(empty, folder)
    if len(pools) < 2:
        raise DatasetError(
            f"{folder} holds pictures of {len(pools)} classes; expected a folder for each of two or more classes, such "
            f"as {folder.name}/cat/1.jpg (types: {' '.join(sorted(SUFFIXES))}). {' '.join(notes)}".strip()
        )
    return dict(sorted(pools.items())), left_out, notes


def _tops(folder: Path) -> list[tuple[Path, tuple[int, ...]]]:
    """The folders that hold those of the classes, and the splits that the pictures of each go to."""
    filled = [child for child in _folders(folder) if _has_pictures(child)]
    splits = [child for child in filled if child.name.lower() in SPLIT_FOLDERS]
    others = [child.name for child in filled if child not in splits]
    if len(splits) < 2:
        if splits and not others and sum(map(_has_pictures, _folders(splits[0]))) > 1:
            raise DatasetError(f"{folder} holds {splits[0].name} alone; name that: --images {splits[0]}")
        return [(folder, ANY_SPLIT)]
    names = ", ".join(child.name for child in splits)
    if others:
        raise DatasetError(
            f"{folder} holds folders of splits ({names}) and others with pictures ({', '.join(others[:5])}), so that "
            "it is not clear which are classes; move either elsewhere."
        )
    named = {SPLIT_FOLDERS[child.name.lower()]: child for child in splits}
    if len(named) < len(splits) or 0 not in named:
        raise DatasetError(
            f"{folder} holds the folders {names}; expected train, valid and test, or train and one of the others."
        )
    if 2 not in named:
        named[2] = named.pop(1)
    homes = {0: (0,) if 1 in named else (0, 1), 1: (1,), 2: (2,)}
    return [(child, homes[split]) for split, child in sorted(named.items())]


def _on_empty(empty: list[Path], folder: Path) -> list[str]:
    if not empty:
        return []
    told = []
    for child in empty[:5]:
        kinds = Counter(path.suffix.lower() or "without suffix" for path in walk(child))
        content = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(3)) or "empty"
        told.append(f"{utf8_name(str(child.relative_to(folder)))} ({content})")
    more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
    return [f"Without pictures, and so left out: {', '.join(told)}{more}."]


def _has_pictures(folder: Path) -> bool:
    return any(map(is_picture, walk(folder)))


def _folders(folder: Path) -> list[Path]:
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        raise DatasetError(f"cannot read {folder}: {error.strerror}.") from error
    return [child for child in children if child.is_dir() and not child.name.startswith(".")]
