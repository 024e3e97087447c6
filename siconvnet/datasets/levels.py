"""Images as gray levels, 8 bits each, in memory or on disk, from which a run takes one batch after another.

As float32 they would take four times the memory, and a large data set would not fit at all.
"""

from __future__ import annotations

import abc
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siconvnet.errors import DatasetError

IN_MEMORY = 2**30
"""Bytes of gray levels that a run keeps in memory; where it has more, they are unpacked to a file."""


class Levels(abc.ABC):
    """N images of C channels.

    Args:
        shape: (N, C, H, W).
    """

    def __init__(self, shape: tuple[int, int, int, int]):
        self.shape = shape

    def __len__(self) -> int:
        return self.shape[0]

    @abc.abstractmethod
    def put(self, places: npt.NDArray[np.int64], images: npt.NDArray[np.uint8]) -> None:
        """Store images [k, C, H, W], each at its place."""

    @abc.abstractmethod
    def read(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """The images from `start` to before `stop`: [stop - start, C, H, W]."""


class LevelsInMemory(Levels):
    """All in one array, `array`."""

    def __init__(self, shape: tuple[int, int, int, int]):
        super().__init__(shape)
        self.array = np.empty(shape, np.uint8)

    def put(self, places: npt.NDArray[np.int64], images: npt.NDArray[np.uint8]) -> None:
        self.array[places] = images

    def read(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        return self.array[start:stop]


class LevelsOnDisk(Levels):
    """In a file without a name, which goes when the process ends, however it ends.

    It is read rather than mapped into memory, where the system would count all of it as the process's.
    """

    def __init__(self, shape: tuple[int, int, int, int], folder: Path):
        super().__init__(shape)
        self._size = math.prod(shape[1:])
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed with its last user
        self._folder = folder

    def put(self, places: npt.NDArray[np.int64], images: npt.NDArray[np.uint8]) -> None:
        try:
            # Neighbours go in one call: the images of a split that is not shuffled are all neighbours.
            for run in np.split(np.arange(len(places)), np.flatnonzero(np.diff(places) != 1) + 1):
                self._file.seek(int(places[run[0]]) * self._size)
                content = np.ascontiguousarray(images[run[0] : run[-1] + 1]).data.cast("B")
                while content:
                    content = content[self._file.write(content) :]
        except OSError as error:
            raise DatasetError(f"cannot unpack images into {self._folder}: {error.strerror or error}.") from error

    def read(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        images = np.empty((stop - start, *self.shape[1:]), np.uint8)
        content = images.data.cast("B")
        self._file.seek(start * self._size)
        while content:
            count = self._file.readinto(content)
            if not count:
                raise DatasetError(f"the images that were unpacked into {self._folder} are cut short.")
            content = content[count:]
        return images


def image_folder(size: int, folder: Path | None = None) -> Path:
    """The folder into which `size` bytes of images are unpacked: the user's cache folder if none is given.

    Raises:
        DatasetError: it has no room for them, or cannot be made.
    """
    import platformdirs

    folder = folder or Path(platformdirs.user_cache_dir("siconvnet", appauthor=False))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise DatasetError(f"cannot unpack images into {folder}: {error.strerror or error}.") from error
    if free < size:
        raise DatasetError(
            f"the images of this run take {size / 1e9:.1f} GB on disk while it goes on, and {folder} has "
            f"{free / 1e9:.1f} GB left; make room, or name another disk with XDG_CACHE_HOME."
        )
    return folder
