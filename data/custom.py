"""A STIR file of one's own images: which objects, drawn how, and what the file says of itself."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from siconvnet.datasets.catalog import CATALOG, NAME, data_dir, is_registered
from siconvnet.datasets.schema import SCALES
from siconvnet.errors import InvalidArgument, UnknownName

from . import boxes, folders, torchvision_sets
from .assembly import Plan, Recipe, assemble
from .canvas import has_surroundings, square_around
from .parallel import default_jobs
from .photos import GRAY_MODES, Unusable, opened, oriented_size
from .selection import Candidate, Chooser, Slot, in_words, shuffled

Background = Literal["crop", "black", "mean"]
_OTHERS = ("mnist_digits", "signs_source", "stl10", "mnist_range")
BACKGROUNDS: tuple[Background, ...] = ("crop", "black", "mean")


@dataclass(frozen=True)
class Options:
    """What a user may choose.

    Attributes:
        images: the folder of pictures; of the data, for a torchvision dataset.
        annotations: boxes in them, see `boxes.scan`; None if every picture is one object.
        torchvision: a class of ``torchvision.datasets`` in place of both.
        download: let torchvision download what is missing.
        classes: how many, those with the most objects; None for all.
        instances: objects per class and split.
        background: see `assembly.Recipe`; None for "crop" with annotations and "black" without.
        channels: 1 or 3; None for colour if any picture is in colour.
        seed: of the choice of objects and of their places.
        allow_upscaling: also take objects that are smaller than the largest scale.
        licence: of the images, as the file will state it.
    """

    images: Path | None = None
    annotations: Path | None = None
    torchvision: str | None = None
    download: bool = False
    classes: int | None = None
    instances: int = 25
    background: Background | None = None
    channels: int | None = None
    seed: int = 42
    allow_upscaling: bool = False
    licence: str = "not stated"

    def validate(self) -> Options:
        """These options, checked.

        Raises:
            InvalidArgument: a value that is not accepted, or two that exclude each other.
        """
        if self.images is None and self.torchvision is None:
            raise InvalidArgument("no images were named; give --images FOLDER or --torchvision NAME.")
        if self.torchvision and self.annotations:
            raise InvalidArgument("--torchvision and --annotations exclude each other.")
        if self.background not in (None, *BACKGROUNDS):
            raise UnknownName("background", self.background, BACKGROUNDS)
        if self.background == "crop" and not self.annotations:
            raise InvalidArgument(
                "--background crop keeps what is around an object, and so needs --annotations; for pictures that are "
                "all object: black or mean."
            )
        if self.classes is not None and self.classes < 2:
            raise InvalidArgument(f"--classes must be 2 or more, got {self.classes}.")
        if not 1 <= self.instances <= 100_000:
            raise InvalidArgument(f"--instances must be within 1 and 100000, got {self.instances}.")
        if self.channels not in (None, 1, 3):
            raise InvalidArgument(f"--channels must be 1 (gray) or 3 (colour), got {self.channels}.")
        if not 0 <= self.seed < 2**32:
            raise InvalidArgument(f"--seed must be within 0 and {2**32 - 1}, got {self.seed}.")
        return self


@dataclass
class Built:
    """What came of a build.

    Attributes:
        path: the file.
        notes: what its maker should know, a sentence each.
    """

    path: Path
    notes: list[str] = field(default_factory=list)


def custom_path(name: str) -> Path:
    """Where the file of a dataset of that name belongs.

    Raises:
        InvalidArgument: the name is taken by a built-in dataset or that of another package, or cannot be one.
    """
    plain = name.lower().replace("-", "_")  # where file names differ by case alone, one would replace the other
    if plain in (*CATALOG, *_OTHERS) or plain.startswith("mnist_scale"):
        raise InvalidArgument(f"{name!r} is the name of a built-in dataset; choose another for your own images.")
    if is_registered(name):
        raise InvalidArgument(f"{name!r} is a dataset of an installed package; choose another for your own images.")
    if not NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r} is no name for a dataset: up to 64 letters, digits, - and _, the first a letter or digit."
        )
    return data_dir() / f"{name}.npz"


def build(name: str, path: Path, options: Options, *, jobs: int | None = None, progress: bool = False) -> Built:
    """Make the file.

    Args:
        name: of the dataset.
        path: of the file; held by `files.exclusive`.
        options: validated.
        jobs: processes to use; one for each processor if not given.
        progress: show a progress bar.

    Raises:
        UnknownName, InvalidArgument: torchvision has no such dataset.
        DatasetError: unreadable annotations, too few objects, or the file cannot be written.
    """
    pools, skipped = _scan(options)
    names = _choose_classes(pools, options.classes)
    background: Background = options.background or ("crop" if options.annotations else "black")
    inspector = _Inspector(background, options.allow_upscaling)
    chooser = Chooser({label: shuffled(pools[label], options.seed) for label in names}, inspector.admit, skipped)
    slots = chooser.fill(names, options.instances)
    if options.annotations:
        slots = {slot: inspector.squared(candidate) for slot, candidate in slots.items()}
    gray = [inspector.gray[candidate.photo.key] for candidate in slots.values()]
    channels = options.channels or (1 if all(gray) else 3)
    small = sum(inspector.sides[candidate.photo.key, candidate.box] < SCALES[0] for candidate in slots.values())
    notes = []
    if small:
        notes.append(f"{small} of the {len(slots)} objects are smaller than {SCALES[0]} pixels and are upscaled.")
    if channels == 3 and any(gray):
        notes.append(f"{sum(gray)} of the {len(slots)} objects are gray and are written as colour.")
    if channels == 1 and not all(gray):
        notes.append(f"{len(gray) - sum(gray)} of the {len(slots)} objects are in colour and are written as gray.")
    recipe = Recipe(background, channels, options.seed)
    plan = Plan(names, options.instances, slots, recipe, _metadata(name, options, background, notes))

    def spare(slot: Slot) -> Candidate | None:
        candidate = chooser.take(names[slot.label], slot.split)
        return inspector.squared(candidate) if candidate and options.annotations else candidate

    replaced = assemble(path, plan, spare=spare, jobs=jobs or default_jobs(), progress=progress, title=name)
    left_out = chooser.skipped + replaced
    if left_out:
        notes.append(f"Left out: {in_words(left_out)}.")
    return Built(path, notes)


def _scan(options: Options) -> tuple[dict[str, list[Candidate]], Counter[str]]:
    if options.torchvision:
        root = options.images or data_dir() / "torchvision"
        return torchvision_sets.scan(options.torchvision, root, download=options.download), Counter()
    assert options.images is not None
    if options.annotations:
        return boxes.scan(options.images, options.annotations)
    return folders.scan(options.images), Counter()


def _choose_classes(pools: Mapping[str, list[Candidate]], number: int | None) -> list[str]:
    if number is None:
        return sorted(pools)
    if number > len(pools):
        raise InvalidArgument(f"--classes {number}: there are only {len(pools)} classes.")
    return sorted(sorted(pools, key=lambda name: (-len(pools[name]), name))[:number])


def _metadata(name: str, options: Options, background: str, notes: list[str]) -> dict[str, str]:
    if options.torchvision:
        source = f"torchvision's {options.torchvision}"
    else:
        source = f"the pictures in {_base(options.images)!r}"
    if options.annotations:
        source += f" and the boxes of {_base(options.annotations)!r}"
    surroundings = {
        "crop": "with their true surroundings",
        "black": "on black",
        "mean": "on their mean colour",
    }[background]
    description = (
        f"Objects of 17 to 64 pixels at random places of a 64 x 64 canvas, {surroundings}. Made of {source}; seed "
        f"{options.seed}."
    )
    return {
        "title": name,
        "description": " ".join([description, *notes]),
        "author": "not stated",
        "license": options.licence,
        "version": "1.0.0",
        "date": datetime.date.today().strftime("%d %B %Y"),
    }


def _base(path: Path | None) -> str:
    """The name of a file or folder without the way there, which is nobody's business who is given the file."""
    return path.resolve().name if path else ""


class _Inspector:
    """Looks into the header of each picture once, and says whether an object in it can be used."""

    def __init__(self, background: Background, allow_upscaling: bool):
        self.background, self.allow_upscaling = background, allow_upscaling
        self.gray: dict[str, bool] = {}
        self.sides: dict[tuple[str, object], int] = {}
        self._sizes: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {}
        self._problems: dict[str, str] = {}

    def admit(self, candidate: Candidate) -> None:
        """Raises `Unusable` if the object is too small, or its surroundings do not suffice."""
        size = self._size(candidate)
        side = candidate.box.side if candidate.box else min(size)
        if side < SCALES[0] and not self.allow_upscaling:
            raise Unusable(f"smaller than {SCALES[0]} pixels (--allow-upscaling takes them)")
        self.sides[candidate.photo.key, candidate.box] = side
        if candidate.box is None:
            return
        square = square_around(candidate.box, size)
        if square is None:
            raise Unusable("longer than their photo is wide")
        self.sides[candidate.photo.key, square] = side
        if self.background == "crop" and not has_surroundings(size, square, "stretch"):
            raise Unusable("with too little around them (--background black or mean takes them)")

    def squared(self, candidate: Candidate) -> Candidate:
        """The same object in the square around it."""
        assert candidate.box is not None
        size = self._size(candidate)
        return Candidate(candidate.photo, square_around(candidate.box, size), candidate.size, candidate.splits)

    def _size(self, candidate: Candidate) -> tuple[int, int]:
        key = candidate.photo.key
        if key in self._problems:
            raise Unusable(self._problems[key])
        if key not in self._sizes:
            try:
                with opened(candidate.photo) as image:
                    self._sizes[key] = image.size, oriented_size(image)
                    self.gray[key] = image.mode in GRAY_MODES
            except Unusable as reason:
                self._problems[key] = str(reason)
                raise
        stored, oriented = self._sizes[key]
        if candidate.size is not None and candidate.size not in (stored, oriented):
            raise Unusable("of another size than its annotations say")
        return candidate.size or oriented
