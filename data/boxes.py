"""Objects marked by boxes in large photos, in COCO's JSON or YOLO's text files."""

from __future__ import annotations

from pathlib import Path

from siconvnet.errors import DatasetError

from . import coco, yolo
from .left_out import LeftOut
from .selection import Candidate, Frame


def scan(images: Path, annotations: Path, frame: Frame | None = None) -> tuple[dict[str, list[Candidate]], LeftOut]:
    """Read the objects of each class.

    Args:
        images: the folder of the photos.
        annotations: a COCO file (``.json``, see `coco.read`), or a folder of YOLO files (see `yolo.read`).
        frame: which pixels the boxes count; None where the photos' sizes are to tell.

    Returns:
        the objects by class, and what was left out.

    Raises:
        DatasetError: the annotations cannot be read, or are neither.
    """
    left_out = LeftOut()
    if annotations.is_dir():
        found = yolo.read(images, annotations, frame, left_out)
    elif annotations.suffix.lower() == ".json":
        found = coco.read(images, annotations, frame, left_out)
    else:
        raise DatasetError(f"{annotations} is neither a COCO file (.json) nor a folder of YOLO files (.txt).")
    pools: dict[str, list[Candidate]] = {}
    for name, candidate in found:
        pools.setdefault(name, []).append(candidate)
    if len(pools) < 2:
        more = f" Left out: {left_out.with_examples()}." if left_out else ""
        raise DatasetError(f"{annotations} marks objects of {len(pools)} classes; two or more are needed.{more}")
    return dict(sorted(pools.items())), left_out
