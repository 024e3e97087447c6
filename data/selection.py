"""Which objects of a source go where: m for each class and split, and no source picture in two splits."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from siconvnet.datasets.schema import SPLITS
from siconvnet.errors import DatasetError

from .canvas import Box
from .left_out import LeftOut
from .photos import FilePhoto, Photo, Unusable, VisionPhoto, opened

ANY_SPLIT = tuple(range(len(SPLITS)))
Frame = Literal["stored", "displayed"]
"""Which pixels of a photo a box counts: as the file stores them, or turned as its EXIF orientation says."""
FRAMES: tuple[Frame, ...] = ("displayed", "stored")


class Slot(NamedTuple):
    """A place in the file: all scales of one object."""

    split: int
    label: int
    instance: int


@dataclass(frozen=True)
class Candidate:
    """An object of a source.

    Attributes:
        photo: the picture that it is in.
        box: where in it; None for the square in its middle.
        size: width and height of the picture as the annotations give them, which it then must have.
        frame: which pixels `box` and `size` count; None where that has to be found out.
        splits: the splits that it may go to; the source has a test set of its own, say.
    """

    photo: Photo
    box: Box | None = None
    size: tuple[int, int] | None = None
    frame: Frame | None = None
    splits: tuple[int, ...] = ANY_SPLIT

    def frames(self, stored: tuple[int, int], displayed: tuple[int, int]) -> list[Frame]:
        """The frames that agree with what the annotations say, "displayed" first.

        Args:
            stored: width and height of the picture as its file stores it.
            displayed: the same as it is meant to be seen.

        Raises:
            Unusable: none does.
        """
        sizes = {"displayed": displayed, "stored": stored}
        found = [frame for frame in FRAMES if self.frame in (None, frame) and self.size in (None, sizes[frame])]
        if not found:
            raise Unusable("of another size than its annotations say")
        return found


@dataclass
class Chooser:
    """Hands out candidates class by class, each once, and remembers which split each picture went to.

    Args:
        pools: class name -> its candidates, in the order of preference.
        admit: looks at one candidate before it is handed out; raises `Unusable` to have it skipped.

    Attributes:
        left_out: the candidates that were.
    """

    pools: Mapping[str, Sequence[Candidate]]
    admit: Callable[[Candidate], None]
    left_out: LeftOut = field(default_factory=LeftOut)

    def __post_init__(self) -> None:
        self._fresh: dict[tuple[str, tuple[int, ...]], deque[Candidate]] = {}
        self._waiting: dict[tuple[str, int], deque[Candidate]] = {}
        self._split_of: dict[str, int] = {}
        self._objects: set[tuple[str, Box | None]] = set()
        self._content = _Content()
        for name, pool in self.pools.items():
            for candidate in pool:
                self._fresh.setdefault((name, candidate.splits), deque()).append(candidate)

    def take(self, name: str, split: int) -> Candidate | None:
        """The next candidate of a class for a split; None if there is none left."""
        if waiting := self._waiting.get((name, split)):
            return waiting.popleft()
        for (owner, splits), fresh in self._fresh.items():
            if owner != name or split not in splits:
                continue
            while fresh:
                candidate = fresh.popleft()
                try:
                    self.admit(candidate)
                    picture = self._content.identity(candidate.photo)
                except Unusable as reason:
                    self.left_out.add(reason, candidate.photo.key)
                    continue
                if (picture, candidate.box) in self._objects:
                    self.left_out.add("the same object again", candidate.photo.key)
                    continue
                self._objects.add((picture, candidate.box))
                home = self._split_of.setdefault(picture, split)
                if home == split:
                    return candidate
                self._waiting.setdefault((name, home), deque()).append(candidate)
        return None

    def fill(self, names: Sequence[str], instances: int) -> dict[Slot, Candidate]:
        """Candidates for every slot of these classes, the scarcest class first as it has the least choice.

        Raises:
            DatasetError: a class has too few; the message says how many are missing in which, and what would do.
        """
        slots, missing = self._try(names, instances)
        if missing:
            lacking = {name: len(places) for name, places in missing.items()}
            raise too_few(lacking, instances, self.left_out, self._advice(names, instances, missing))
        return slots

    def _try(self, names: Sequence[str], instances: int) -> tuple[dict[Slot, Candidate], dict[str, list[int]]]:
        """The slots that can be filled, and of each class with too few the instances that lack one."""
        slots: dict[Slot, Candidate] = {}
        missing: dict[str, list[int]] = {}
        for name in sorted(names, key=lambda name: (len(self.pools[name]), name)):
            for instance in range(instances):
                for split in ANY_SPLIT:
                    candidate = self.take(name, split)
                    if candidate is None:
                        missing.setdefault(name, []).append(instance)
                    else:
                        slots[Slot(split, names.index(name), instance)] = candidate
        return slots, missing

    def _advice(self, names: Sequence[str], instances: int, missing: Mapping[str, list[int]]) -> list[str]:
        """Options that were tried and do."""
        advice = []
        fewer = min(places[0] for places in missing.values())
        while fewer and not self._suffice(names, fewer):
            fewer -= 1
        if fewer:
            advice.append(f"--instances {fewer}")
        ranked = largest(self.pools, len(names))
        kept = next(place for place, name in enumerate(ranked) if name in missing)
        if kept >= 2 and self._suffice(ranked[:kept], instances):
            advice.append(f"--classes {kept}")
        return advice

    def _suffice(self, names: Sequence[str], instances: int) -> bool:
        fresh = Chooser(self.pools, self.admit)
        fresh._content = self._content
        return not fresh._try(names, instances)[1]


def largest(pools: Mapping[str, Sequence[Candidate]], number: int) -> list[str]:
    """The names of the classes with the most candidates, the largest first."""
    return sorted(pools, key=lambda name: (-len(pools[name]), name))[:number]


def too_few(missing: Mapping[str, int], instances: int, left_out: LeftOut, advice: Sequence[str]) -> DatasetError:
    """The error for classes with too few objects.

    Args:
        missing: class -> how many it lacks.
        instances: objects per class and split.
        left_out: what could not be used.
        advice: options with which it would do.
    """
    listed = [f"{name!r} lacks {count}" for name, count in sorted(missing.items(), key=lambda item: -item[1])]
    others = len(listed) - 5
    more = f" and {others} more {'class' if others == 1 else 'classes'}" if others > 0 else ""
    needed = instances * len(SPLITS)
    return DatasetError(
        f"too few objects: of the {needed} needed for each class ({len(SPLITS)} splits x {instances}), "
        f"{', '.join(listed[:5])}{more}"
        + (f"; left out: {left_out.with_examples()}" if left_out else "")
        + (f"; add pictures, or try {' or '.join(advice)}." if advice else "; add pictures.")
    )


def shuffled(pool: Sequence[Candidate], seed: int) -> list[Candidate]:
    """The candidates in a random order that depends on their number and the seed alone."""
    order = np.random.RandomState(seed).permutation(len(pool))
    return [pool[i] for i in order]


class _Content:
    """Tells pictures apart by what is in them: a copy under another name is the same picture."""

    def __init__(self) -> None:
        self._first: dict[int, FilePhoto] = {}
        self._digests: dict[Photo, str] = {}

    def identity(self, photo: Photo) -> str:
        if isinstance(photo, VisionPhoto):
            return self._pixels(photo)
        if not isinstance(photo, FilePhoto):
            return photo.key
        # Files of different sizes differ; only those of equal size are read.
        first = self._first.setdefault(photo.path.stat().st_size, photo)
        return photo.key if first == photo else self._named(first, photo)

    def _named(self, first: FilePhoto, photo: FilePhoto) -> str:
        digests = {self._digest(first): first.key}
        return digests.get(self._digest(photo), self._digest(photo))

    def _pixels(self, photo: VisionPhoto) -> str:
        if photo not in self._digests:
            with opened(photo) as image:
                digest = hashlib.blake2b(f"{image.mode} {image.size}".encode(), digest_size=16)
                digest.update(image.tobytes())
            self._digests[photo] = digest.hexdigest()
        return self._digests[photo]

    def _digest(self, photo: FilePhoto) -> str:
        if photo not in self._digests:
            self._digests[photo] = hashlib.blake2b(photo.path.read_bytes(), digest_size=16).hexdigest()
        return self._digests[photo]
