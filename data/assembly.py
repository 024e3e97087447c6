"""From chosen objects to a STIR file: drawn in parallel, collected on disk, resumed when interrupted, written whole.

The images of a large dataset do not fit into memory, and the order in which they are drawn (picture by picture) is not
the order in which the file holds them (split, scale, class, instance). So workers write each canvas to its place in a
scratch file beside the target, and the target is streamed from that. A journal says which objects are done.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt

from siconvnet.datasets.identity import BY_CONTENT
from siconvnet.datasets.schema import CANVAS, SCALES, SPLITS, read_header
from siconvnet.errors import DatasetError

from .canvas import Fit, centre_square, cut_out, cut_window, shrink
from .files import replacing
from .layout import stir_labels
from .left_out import LeftOut
from .parallel import ordered_map
from .photos import Photo, Unusable, opened, oriented_size, to_pixels
from .selection import Candidate, Slot, too_few

BLOCK = 2**22


@dataclass(frozen=True)
class Recipe:
    """How an object becomes its canvases; with the objects, all that the pixels depend on.

    Attributes:
        background: "crop" keeps the true surroundings, "black" and "mean" (the object's mean colour) replace them.
        num_channels: 1 or 3.
        seed: of the places.
        fit: how a box that is no square is scaled; see `canvas.windows`.
        reduce: resize objects of more than 256 pixels in two steps, which is faster and looks the same.
    """

    background: Literal["crop", "black", "mean"]
    num_channels: int
    seed: int = 42
    fit: Fit = "stretch"
    reduce: bool = True


@dataclass(frozen=True)
class Plan:
    """A file to be made: what goes into every slot, and what the file says of itself.

    Attributes:
        class_names: n names.
        instances: objects per class and split.
        slots: an object for each slot.
        recipe: how they are drawn.
        metadata: title, description, author, license, version, date; the last thing that is filled in.
        oblong: see `siconvnet.datasets.DatasetInfo`.
        own: the pictures are the user's own, so that any number of them will do, and the file is identified by its
            content; see `siconvnet.datasets.identity`.
    """

    class_names: Sequence[str]
    instances: int
    slots: Mapping[Slot, Candidate]
    recipe: Recipe
    metadata: Mapping[str, str]
    oblong: bool = False
    own: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of `imgs`."""
        grid = (len(SPLITS), len(SCALES), len(self.class_names), self.instances, CANVAS, CANVAS)
        return grid if self.recipe.num_channels == 1 else (*grid, 3)

    @property
    def digest(self) -> str:
        """Changes with anything that the pixels depend on, the source's files included."""
        text = hashlib.sha256(f"1 {self.recipe} {self.shape}".encode())
        stamps: dict[str, str] = {}
        for slot, candidate in sorted(self.slots.items()):
            key = candidate.photo.key
            stamps.setdefault(key, candidate.photo.stamp())
            text.update(
                f"{tuple(slot)} {key} {stamps[key]} {candidate.box} {candidate.frame}\n".encode(
                    errors="surrogateescape"
                )
            )
        return text.hexdigest()


@dataclass(frozen=True)
class Task:
    """One picture, and what is to be cut out of it."""

    candidates: tuple[tuple[Slot, Candidate], ...]
    recipe: Recipe
    shape: tuple[int, ...]
    images: Path


@dataclass(frozen=True)
class Drawn:
    """What a worker says of one object: the places and the checksum of its canvases, or why there are none."""

    slot: Slot
    positions: list[list[int]] = field(default_factory=list)
    crc: int = 0
    reason: str = ""


def assemble(
    path: Path,
    plan: Plan,
    *,
    spare: Callable[[Slot], Candidate | None] = lambda slot: None,
    jobs: int = 1,
    progress: bool = False,
    title: str = "",
) -> LeftOut:
    """Make the file. Interrupted, the same call goes on where it was.

    Args:
        path: the file; held by `files.exclusive`.
        plan: what it is made of.
        spare: another object for a slot whose picture turned out to be damaged.
        jobs: processes to use.
        progress: show a progress bar.
        title: of the bar.

    Returns:
        the objects that had to be replaced.

    Raises:
        DatasetError: damaged pictures have used up all spare objects, a worker died, or the disk is full.
    """
    replaced = LeftOut()
    lost: list[Slot] = []
    with _scratch(path, plan) as scratch:
        slots = dict(plan.slots)
        todo = {slot: candidate for slot, candidate in slots.items() if slot not in scratch.positions}
        while todo:
            failed = scratch.draw(todo, jobs=jobs, title=title if progress else None)
            for slot, reason in failed.items():
                replaced.add(reason, slots[slot].photo.key)
            todo = {}
            for slot in failed:
                if (replacement := spare(slot)) is None:
                    lost.append(slot)
                else:
                    todo[slot] = slots[slot] = replacement
        if lost:
            raise _too_few(plan, lost, replaced)
        _write(path, plan, scratch, replaced)
    return replaced


def _too_few(plan: Plan, lost: Sequence[Slot], left_out: LeftOut) -> DatasetError:
    missing = Counter(plan.class_names[slot.label] for slot in lost)
    fewer = plan.instances - max(Counter((slot.label, slot.split) for slot in lost).values())
    advice = [f"--instances {fewer}"] if plan.own and fewer else []
    return too_few(missing, plan.instances, left_out, advice)


def draw(task: Task) -> list[Drawn]:
    """Open one picture and draw the canvases of all its objects into the scratch file."""
    recipe, results = task.recipe, []
    photo = task.candidates[0][1].photo
    whole = all(candidate.box is None for _, candidate in task.candidates)
    try:
        with opened(photo) as image:
            turned = task.candidates[0][1].frames(image.size, oriented_size(image))[0] == "displayed"
            if whole and image.format == "JPEG" and recipe.reduce:
                image.draft(None, (1024, 1024))  # a quarter of the work, and still far above what is needed
            pixels = to_pixels(image, recipe.num_channels, orient=turned)
    except Unusable as reason:
        return [Drawn(slot, reason=str(reason)) for slot, _ in task.candidates]
    with task.images.open("r+b", buffering=0) as images:
        for slot, candidate in task.candidates:
            box = candidate.box or centre_square(pixels.size)
            generator = np.random.RandomState([recipe.seed, *slot])
            if recipe.background == "crop":
                picture, box = shrink(pixels, box) if recipe.reduce else (pixels, box)
                canvases, positions = cut_window(picture, box, recipe.fit, generator)
            else:
                part = pixels.crop((box.left, box.top, box.left + box.width, box.top + box.height))
                canvases, positions = cut_out(part, generator, mean=recipe.background == "mean")
            for offset, canvas in zip(_offsets(slot, task.shape), canvases, strict=True):
                images.seek(offset)
                images.write(canvas.tobytes())
            results.append(Drawn(slot, positions.tolist(), zlib.crc32(canvases.tobytes())))
    return results


def _offsets(slot: Slot, shape: tuple[int, ...]) -> list[int]:
    """Where in `imgs` the canvases of an object begin, in bytes."""
    grid, canvas = shape[:4], int(np.prod(shape[4:]))
    return [
        int(np.ravel_multi_index((slot.split, row, slot.label, slot.instance), grid)) * canvas for row in range(grid[1])
    ]


class _Scratch:
    """The images and the journal of a build that goes on."""

    def __init__(self, folder: Path, plan: Plan):
        self.images, self.plan = folder / "imgs.raw", plan
        self.positions: dict[Slot, list[list[int]]] = {}
        self._journal_path = folder / "journal.jsonl"
        self._journal: IO[str] | None = None

    def resume(self) -> None:
        """Take over what an interrupted build left, as far as the canvases are what its journal says."""
        if not self.images.exists():
            with self.images.open("wb") as stream:
                stream.truncate(int(np.prod(self.plan.shape)))
        if self._journal_path.exists():
            with self.images.open("rb") as images:
                for line in self._journal_path.read_text(encoding="utf-8").splitlines():
                    self._take_over(line, images)
        self._journal = self._journal_path.open("a", encoding="utf-8")

    def close(self) -> None:
        if self._journal:
            self._journal.close()

    def draw(self, todo: Mapping[Slot, Candidate], *, jobs: int, title: str | None) -> dict[Slot, str]:
        """Draw these objects; the reasons of those that could not be."""
        by_photo: dict[Photo, list[tuple[Slot, Candidate]]] = {}
        for slot, candidate in todo.items():
            by_photo.setdefault(candidate.photo, []).append((slot, candidate))
        tasks = [Task(tuple(part), self.plan.recipe, self.plan.shape, self.images) for part in by_photo.values()]
        weights = [len(task.candidates) * len(SCALES) for task in tasks]
        failed: dict[Slot, str] = {}
        unit = weights if title is not None else None
        with closing(ordered_map(draw, tasks, jobs=jobs, title=title or "", unit=unit)) as results:
            for result in results:
                for drawn in result:
                    if drawn.reason:
                        failed[drawn.slot] = drawn.reason
                    else:
                        self._note(drawn, todo[drawn.slot])
        return failed

    def _note(self, drawn: Drawn, candidate: Candidate) -> None:
        self.positions[drawn.slot] = drawn.positions
        line = [list(drawn.slot), candidate.photo.key, candidate.box, drawn.crc, drawn.positions]
        assert self._journal is not None
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()

    def _take_over(self, line: str, images: IO[bytes]) -> None:
        try:
            where, key, box, crc, positions = json.loads(line)
            slot = Slot(*where)
        except (ValueError, TypeError):
            return  # the line that was being written
        # A spare object of the interrupted build is drawn again: this one has yet to find out that it is needed.
        planned = self.plan.slots.get(slot)
        if planned is None or (planned.photo.key, planned.box and list(planned.box)) != (key, box):
            return
        found, size = 0, int(np.prod(self.plan.shape[4:]))
        for offset in _offsets(slot, self.plan.shape):
            images.seek(offset)
            found = zlib.crc32(images.read(size), found)
        if found == crc:
            self.positions[slot] = positions


@contextmanager
def _scratch(path: Path, plan: Plan) -> Iterator[_Scratch]:
    """The scratch folder: kept when interrupted, removed at the end, and when it is of another plan."""
    folder = path.with_name(f".{path.name}.partial-{plan.digest[:16]}")
    try:
        for other in path.parent.glob(f".{path.name}.partial-*"):
            if other != folder:
                shutil.rmtree(other)
        folder.mkdir(exist_ok=True)
        scratch = _Scratch(folder, plan)
        try:
            scratch.resume()
            yield scratch
        finally:
            scratch.close()
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror or error}.") from error
    shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, plan: Plan, scratch: _Scratch, replaced: LeftOut) -> None:
    """Stream the scratch file into a compressed ``.npz``, read it back as far as it is cheap, and put it in place."""
    grid = plan.shape[:4]
    positions = np.empty((*grid, 2), np.int64)
    for slot, places in scratch.positions.items():
        positions[slot.split, :, slot.label, slot.instance] = places
    metadata = dict(plan.metadata)
    if replaced:
        metadata["description"] += f" Replaced: {replaced}."
    small = {
        **stir_labels(grid),
        "psts": positions,
        "metadata": np.array(list(metadata.items())),
        "lbldata": np.array(list(plan.class_names)),
        **({"identity": np.array(BY_CONTENT)} if plan.own else {}),
    }
    with replacing(path, check=lambda file: read_header(file, oblong=plan.oblong)) as stream:
        _write_members(stream, scratch.images, plan.shape, small)


def _write_members(stream: IO[bytes], images: Path, shape: tuple[int, ...], small: Mapping[str, npt.NDArray]) -> None:
    # Level 1: half the time of the usual level, for a hundredth more of size on photographs.
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("imgs.npy", "w", force_zip64=True) as member, images.open("rb") as source:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            shutil.copyfileobj(source, member, BLOCK)
        for key, array in small.items():
            with archive.open(f"{key}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
