"""Source pictures: a file, a member of a zip archive, an entry of a torchvision dataset. Opened within limits.

Whatever is wrong with a picture is an `Unusable` with a reason short enough to be counted ("unreadable"), so that one
broken file among thousands never ends a build.
"""

from __future__ import annotations

import functools
import io
import stat
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES = 256 * 2**20
"""Of one encoded picture: above that it is no photo, or a zip bomb."""
MAX_PIXELS = 120_000_000
"""Of one picture, as its header declares them: 360 MB in colour."""
SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
GRAY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"})


class Unusable(Exception):
    """A picture or an object that is left out; the text is the reason, to be counted."""


class Photo(Protocol):
    """Where one picture is: small, hashable, and sent to worker processes in place of the pixels."""

    @property
    def key(self) -> str:
        """What tells it from every other picture of the source."""

    def stamp(self) -> str:
        """What changes when the picture does."""

    def read(self) -> Image.Image:
        """The picture, its header read and its pixels not yet."""


@dataclass(frozen=True)
class FilePhoto:
    """A picture file."""

    path: Path

    @property
    def key(self) -> str:
        return str(self.path)

    def stamp(self) -> str:
        state = self.path.stat()
        return f"{state.st_size} {state.st_mtime_ns}"

    def read(self) -> Image.Image:
        from PIL import Image

        status = self.path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unusable("not a regular file")  # to open a pipe would wait for ever
        if status.st_size > MAX_BYTES:
            raise Unusable("too large")
        return Image.open(self.path)


@dataclass(frozen=True)
class ZipPhoto:
    """A member of a zip archive, read in memory: nothing is ever unpacked, so no name in it can lead elsewhere."""

    archive: Path
    member: str

    @property
    def key(self) -> str:
        return f"{self.archive}:{self.member}"

    def stamp(self) -> str:
        entry = open_archive(self.archive).getinfo(self.member)
        return f"{entry.file_size} {entry.CRC}"

    def read(self) -> Image.Image:
        from PIL import Image

        return Image.open(io.BytesIO(read_member(open_archive(self.archive), self.member)))


@dataclass(frozen=True)
class VisionPhoto:
    """An entry of a torchvision dataset.

    Attributes:
        name: the dataset's class in ``torchvision.datasets``.
        root: the folder it is read from.
        arguments: what chooses the portion, such as ``(("train", True),)``.
        index: its place there.
    """

    name: str
    root: str
    arguments: tuple[tuple[str, Any], ...]
    index: int

    @property
    def key(self) -> str:
        portion = ", ".join(f"{key}={value}" for key, value in self.arguments)
        return f"{self.name}({portion})[{self.index}]"

    def stamp(self) -> str:
        return self.root

    def read(self) -> Image.Image:
        return open_vision(self.name, self.root, self.arguments)[self.index][0]


@functools.lru_cache(maxsize=64)
def open_archive(path: Path) -> zipfile.ZipFile:
    """The archive, opened once a process: its table of contents may have tens of thousands of lines."""
    return zipfile.ZipFile(path)


@functools.lru_cache(maxsize=4)
def open_vision(name: str, root: str, arguments: tuple[tuple[str, Any], ...]) -> Any:
    """The torchvision dataset, opened once a process."""
    from benchmark.system.vision import vision_module

    return getattr(vision_module("datasets"), name)(root, **dict(arguments))


def read_member(archive: zipfile.ZipFile, name: str, limit: int = MAX_BYTES) -> bytes:
    """A member's content; its declared size is checked first, and no more than that is ever unpacked.

    Raises:
        Unusable: it is not there, too large, encrypted or damaged.
    """
    try:
        entry = archive.getinfo(name)
        if entry.file_size > limit:
            raise Unusable("too large")
        return archive.read(entry)
    except KeyError:
        raise Unusable("missing") from None
    except Unusable:
        raise
    except Exception as error:  # zlib, lzma, struct and zipfile each raise their own on damaged data
        raise Unusable("unreadable") from error


@contextmanager
def opened(photo: Photo) -> Iterator[Image.Image]:
    """The picture, its header read and its size within limits.

    Raises:
        Unusable: it is missing, too large or unreadable; also if reading it inside the block fails.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow warns of what it takes for bombs; the limit here is checked below, by the same header.
            warnings.simplefilter("ignore")
            with photo.read() as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Unusable("too large")
                yield image
    except Unusable:
        raise
    except FileNotFoundError:
        raise Unusable("missing") from None
    except Image.DecompressionBombError:
        raise Unusable("too large") from None
    except Exception as error:  # Pillow's decoders raise a dozen kinds of error on damaged data
        raise Unusable("unreadable") from error


def orientation(image: Image.Image) -> int:
    """EXIF's number of how the picture is to be turned and mirrored, 1 to 8; 1 is as it is stored."""
    number = image.getexif().get(0x0112, 1)
    return number if number in range(1, 9) else 1


def oriented_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as the picture is meant to be seen; its header is enough."""
    return (image.height, image.width) if orientation(image) >= 5 else image.size


def to_pixels(image: Image.Image, num_channels: int, *, orient: bool = True) -> Image.Image:
    """The decoded picture in mode L or RGB.

    Transparency is taken as black behind the picture; 16 bits are reduced to 8.

    Args:
        image: of any mode.
        num_channels: 1 for gray, 3 for colour.
        orient: turn it as its EXIF orientation says.
    """
    from PIL import Image, ImageOps

    if orient and orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise Unusable("unreadable")  # floats have no agreed range
    if image.mode.startswith("I"):
        image = Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 257).astype(np.uint8))
    if image.mode in ("LA", "PA", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "RGBa"):
        image = image.convert("RGBA")
        image = Image.composite(image.convert("RGB"), Image.new("RGB", image.size), image.getchannel("A"))
    return image.convert("L" if num_channels == 1 else "RGB")
