"""What STIR Traffic Sign and STIR Aerial Object have in common: the largest objects of photos in zip archives."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from siconvnet.datasets.schema import SCALES, SPLITS
from siconvnet.errors import DatasetError

from .assembly import Plan, Recipe
from .canvas import Box, Fit, has_surroundings
from .left_out import LeftOut
from .photos import Unusable, ZipPhoto, open_archive, read_member
from .selection import Candidate, Slot
from .texts import read_bytes
from .walking import walk

NUM_INSTANCES = 25
NUM_OBJECTS = NUM_INSTANCES * len(SPLITS)


class Marked(NamedTuple):
    """An object of the source that the recipe accepts.

    Attributes:
        label: its class.
        rank: its size in pixels; the largest are taken.
        candidate: where it is.
    """

    label: str
    rank: int
    candidate: Candidate


@dataclass
class Draft:
    """A plan, and what else is known when it is made.

    Attributes:
        plan: what goes where.
        spares: by class, the next objects should a photo be damaged.
        notes: what its maker should know, a sentence each.
    """

    plan: Plan
    spares: Mapping[str, list[Candidate]]
    notes: list[str] = field(default_factory=list)

    def spare(self, slot: Slot) -> Candidate | None:
        spares = self.spares[self.plan.class_names[slot.label]]
        return spares.pop(0) if spares else None


def draft(objects: Iterable[Marked], *, fit: Fit, metadata: Mapping[str, str], left_out: LeftOut) -> Draft:
    """Choose by the published rule: of each class the 75 largest, dealt out to train, valid and test in turn.

    A class takes part if it has 75 objects of 64 pixels. Of objects of equal size, the one that the source lists
    first counts as the larger.

    Args:
        objects: of 64 pixels or more, in the order of the source.
        fit: see `canvas.windows`.
        metadata: for the file.
        left_out: what was left out before; for the notes.

    Raises:
        DatasetError: no class has 75 objects.
    """
    by_class: dict[str, list[Marked]] = {}
    for item in objects:
        by_class.setdefault(item.label, []).append(item)
    names: list[str] = []
    slots: dict[Slot, Candidate] = {}
    spares: dict[str, list[Candidate]] = {}
    for name, items in sorted(by_class.items()):
        items.sort(key=lambda item: -item.rank)  # stable
        if len(items) < NUM_OBJECTS:
            continue
        spares[name] = [item.candidate for item in items[NUM_OBJECTS:]]
        for place, item in enumerate(items[:NUM_OBJECTS]):
            slots[Slot(place % len(SPLITS), len(names), place // len(SPLITS))] = item.candidate
        names.append(name)
    if not names:
        most = max(map(len, by_class.values()), default=0)
        raise DatasetError(
            f"no class has {NUM_OBJECTS} objects of {SCALES[0]} pixels, the most that one has is {most}"
            + (f"; left out: {left_out.with_examples()}." if left_out else ".")
        )
    notes = _notes(slots)
    words = [f"Left out: {left_out}."] if left_out else []
    metadata = {**metadata, "description": " ".join([metadata["description"], *notes, *words])}
    if left_out:
        notes.append(f"Left out: {left_out.with_examples()}.")
    recipe = Recipe("crop", 3, fit=fit, reduce=False)
    return Draft(Plan(names, NUM_INSTANCES, slots, recipe, metadata, oblong=fit == "longer"), spares, notes)


def _notes(slots: Mapping[Slot, Candidate]) -> list[str]:
    homes: dict[str, set[int]] = {}
    for slot, candidate in slots.items():
        homes.setdefault(candidate.photo.key, set()).add(slot.split)
    shared = sum(len(splits) > 1 for splits in homes.values())
    if not shared:
        return []
    return [f"{shared} of the {len(homes)} photos have objects in more than one split, as the recipe has it."]


def fits(box: Box, size: tuple[int, int], fit: Fit) -> None:
    """Check that an object can be cut out at every scale.

    Raises:
        Unusable: it leaves its photo, or there is too little around it.
    """
    if min(box) < 0 or box.left + box.width > size[0] or box.top + box.height > size[1]:
        raise Unusable("outside their photo")
    if not has_surroundings(size, box, fit):
        raise Unusable("with too little around them")


def find_archives(folder: Path) -> list[Path]:
    """All zip archives in a folder and below, sorted.

    Raises:
        DatasetError: one of them is damaged: to go on without it would give another dataset.
    """
    archives = sorted(path for path in walk(folder) if path.suffix == ".zip" and path.is_file())
    for path in archives:
        try:
            open_archive(path)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise DatasetError(f"{path} is no intact zip archive ({error}); download it again.") from error
    return archives


def find_photos(archives: Sequence[Path], suffix: str) -> dict[str, ZipPhoto]:
    """The photos ``images/KEY.suffix`` in these archives, by key."""
    pattern = re.compile(r"(?:.*/)?images/([A-Za-z0-9_-]+)" + re.escape(suffix))
    photos = {}
    for path in archives:
        for member in open_archive(path).namelist():
            if (match := pattern.fullmatch(member)) and ".." not in member:
                photos[match[1]] = ZipPhoto(path, member)
    return photos


@dataclass(frozen=True)
class Texts:
    """Small files of annotations, by name: in a folder, or in a zip archive under `prefix`."""

    root: Path
    prefix: str = ""

    def read(self, name: str, limit: int = 2**24) -> bytes:
        """The content of a file.

        Raises:
            Unusable: it is missing, unreadable or too large.
        """
        if self.root.suffix == ".zip":
            return read_member(open_archive(self.root), self.prefix + name, limit)
        try:
            return read_bytes(self.root / name, limit)
        except FileNotFoundError:
            raise Unusable("missing") from None
        except OSError as error:
            raise Unusable("unreadable") from error
