"""A STIR file of one's own images: which objects, drawn how, and what the file says of itself."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from siconvnet.datasets.catalog import CATALOG, NAME, data_dir, is_registered, own_dir
from siconvnet.datasets.schema import SCALES
from siconvnet.errors import InvalidArgument, UnknownName

from . import boxes, folders, torchvision_sets
from .assembly import Plan, Recipe, assemble
from .canvas import has_surroundings, square_around
from .left_out import LeftOut
from .parallel import default_jobs
from .photos import GRAY_MODES, Photo, Unusable, opened, orientation, oriented_size
from .selection import FRAMES, Candidate, Chooser, Frame, Slot, largest, shuffled
from .texts import utf8_name

Background = Literal["crop", "black", "mean"]
_OTHERS = ("mnist_digits", "signs_source", "stl10", "mnist_range")
BACKGROUNDS: tuple[Background, ...] = ("crop", "black", "mean")


@dataclass(frozen=True)
class Options:
    """What a user may choose.

    Attributes:
        images: the folder of pictures; of the data, for a torchvision dataset.
        annotations: boxes in them, see `boxes.scan`; None if every picture is one object.
        boxes: which pixels the boxes count; None where the photos' sizes are to tell.
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
    boxes: Frame | None = None
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
        if self.boxes not in (None, *FRAMES):
            raise UnknownName("convention of boxes", self.boxes, FRAMES)
        if self.boxes and not self.annotations:
            raise InvalidArgument("--boxes says what the boxes of --annotations count, and needs those.")
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
    return own_dir() / f"{name}.npz"


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
    pools, left_out, notes = _scan(options)
    names = _choose_classes(pools, options.classes)
    background: Background = options.background or ("crop" if options.annotations else "black")
    inspector = _Inspector(background, options.allow_upscaling, [c for pool in pools.values() for c in pool])
    chooser = Chooser({label: shuffled(pools[label], options.seed) for label in names}, inspector.admit, left_out)
    slots = chooser.fill(names, options.instances)
    assumed = sum(inspector.has_assumed_frame(candidate) for candidate in slots.values())
    if options.annotations:
        slots = {slot: inspector.squared(candidate) for slot, candidate in slots.items()}
    gray = [inspector.is_gray(candidate) for candidate in slots.values()]
    channels = options.channels or (1 if all(gray) else 3)
    small = sum(inspector.sides[candidate.photo.key, candidate.box] < SCALES[0] for candidate in slots.values())
    if assumed:
        notes.append(
            f"{assumed} of the {len(slots)} objects are in photos that EXIF turns or mirrors; nothing tells whether "
            "their boxes count pixels as displayed or as stored; taken as displayed (--boxes stored if they are not)."
        )
    if small:
        notes.append(f"{small} of the {len(slots)} objects are smaller than {SCALES[0]} pixels and are upscaled.")
    if channels == 3 and any(gray):
        notes.append(f"{sum(gray)} of the {len(slots)} objects are gray and are written as colour.")
    if channels == 1 and not all(gray):
        notes.append(f"{len(gray) - sum(gray)} of the {len(slots)} objects are in colour and are written as gray.")
    recipe = Recipe(background, channels, options.seed)
    metadata = _metadata(name, options, background, notes)
    plan = Plan(names, options.instances, slots, recipe, metadata, own=True)

    def spare(slot: Slot) -> Candidate | None:
        candidate = chooser.take(names[slot.label], slot.split)
        return inspector.squared(candidate) if candidate and options.annotations else candidate

    replaced = assemble(path, plan, spare=spare, jobs=jobs or default_jobs(), progress=progress, title=name)
    left_out.update(replaced)
    if left_out:
        notes.append(f"Left out: {left_out.with_examples()}.")
    return Built(path, notes)


def _scan(options: Options) -> tuple[dict[str, list[Candidate]], LeftOut, list[str]]:
    if options.torchvision:
        root = options.images or data_dir() / "torchvision"
        return *torchvision_sets.scan(options.torchvision, root, download=options.download), []
    assert options.images is not None
    if options.annotations:
        return *boxes.scan(options.images, options.annotations, options.boxes), []
    return folders.scan(options.images)


def _choose_classes(pools: Mapping[str, list[Candidate]], number: int | None) -> list[str]:
    if number is None:
        return sorted(pools)
    if number > len(pools):
        raise InvalidArgument(f"--classes {number}: there are only {len(pools)} classes.")
    return sorted(largest(pools, number))


def _metadata(name: str, options: Options, background: str, notes: list[str]) -> dict[str, str]:
    if options.torchvision:
        source = f"torchvision's {options.torchvision}"
    else:
        source = f"the pictures in '{_base(options.images)}'"
    if options.annotations:
        source += f" and the boxes of '{_base(options.annotations)}'"
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
    """The name of a file or folder without the path to it, which need not be known to whoever is given the file."""
    return utf8_name(path.resolve().name) if path else ""


@dataclass(frozen=True)
class _Look:
    """What a picture's header says.

    Attributes:
        stored, displayed: width and height before and after EXIF's orientation is applied.
        turned: whether that turns or mirrors it.
        gray: whether it has no colour.
    """

    stored: tuple[int, int]
    displayed: tuple[int, int]
    turned: bool
    gray: bool


class _Inspector:
    """Looks into the header of each picture once, and says whether an object in it can be used."""

    def __init__(self, background: Background, allow_upscaling: bool, everything: Iterable[Candidate]):
        self.background, self.allow_upscaling = background, allow_upscaling
        self.sides: dict[tuple[str, object], int] = {}
        self._everything = everything
        self._looks: dict[str, _Look | str] = {}

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
        """The same object in the square around it, its frame settled."""
        assert candidate.box is not None
        square = square_around(candidate.box, self._size(candidate))
        return replace(candidate, box=square, frame=self._frame(candidate))

    def is_gray(self, candidate: Candidate) -> bool:
        """Whether the picture has no colour."""
        return self._look(candidate.photo).gray

    def has_assumed_frame(self, candidate: Candidate) -> bool:
        """Whether the object would be elsewhere in the other frame, and nothing tells which is meant."""
        return self._is_ambiguous(candidate) and self._frame_elsewhere is None

    def _size(self, candidate: Candidate) -> tuple[int, int]:
        look, frame = self._look(candidate.photo), self._frame(candidate)
        return look.stored if frame == "stored" else look.displayed

    def _frame(self, candidate: Candidate) -> Frame:
        if self._is_ambiguous(candidate):
            return self._frame_elsewhere or "displayed"
        return self._frames(candidate)[0]

    def _frames(self, candidate: Candidate) -> list[Frame]:
        look = self._look(candidate.photo)
        return candidate.frames(look.stored, look.displayed)

    def _is_ambiguous(self, candidate: Candidate) -> bool:
        turned = candidate.box is not None and self._look(candidate.photo).turned
        return turned and len(self._frames(candidate)) > 1

    @functools.cached_property
    def _frame_elsewhere(self) -> Frame | None:
        """What the sizes of all photos tell that fit one frame alone; None if there are none, or they disagree."""
        told: set[Frame] = set()
        for candidate in {(c.photo.key, c.size): c for c in self._everything if c.size}.values():
            try:
                frames = self._frames(candidate)
            except Unusable:
                continue
            if len(frames) == 1:
                told.add(frames[0])
        return told.pop() if len(told) == 1 else None

    def _look(self, photo: Photo) -> _Look:
        if photo.key not in self._looks:
            try:
                with opened(photo) as image:
                    turned, gray = orientation(image) != 1, image.mode in GRAY_MODES
                    self._looks[photo.key] = _Look(image.size, oriented_size(image), turned, gray)
            except Unusable as reason:
                self._looks[photo.key] = str(reason)
        look = self._looks[photo.key]
        if isinstance(look, str):
            raise Unusable(look)
        return look
