"""Reading ``.npz`` files that strangers made: nothing is believed, unpickled or allocated before it was checked."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from siconvnet.errors import DatasetError, SiconvnetError
from siconvnet.regular_files import open_regular

MAX_HEADER = 10_000
"""Bytes of what is before an array's data, as NumPy accepts them."""
MAX_TEXT = 2**24
"""Bytes of an array of text: names and remarks. More is a bomb, which a few compressed kilobytes can hold."""
_READERS = {
    (1, 0): (2, np.lib.format.read_array_header_1_0),
    (2, 0): (4, np.lib.format.read_array_header_2_0),
}
"""Version of the ``.npy`` format -> bytes of the header's length, and what reads the header."""


class ArrayHeader(NamedTuple):
    """What an array is, before it is read.

    Attributes:
        shape, dtype: of the array.
        fortran_order: whether its first axis is the one that runs fastest.
        offset: bytes before its data.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool
    offset: int


class Npz:
    """An open file. Every method raises `DatasetError`, with one line that names the file, where it is damaged."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, holds: str):
        self._path, self._archive, self._holds = path, archive, holds
        self._names = frozenset(archive.namelist())

    def __contains__(self, key: str) -> bool:
        return f"{key}.npy" in self._names

    @contextmanager
    def stream(self, key: str) -> Iterator[IO[bytes]]:
        """The bytes of an array, its header included."""
        if key not in self:
            raise DatasetError(f"{self._path} has no array {key!r}; {self._holds}.")
        with _decoding(self._path), self._archive.open(f"{key}.npy") as stream:
            yield stream

    def header(self, key: str) -> ArrayHeader:
        """Shape and type of an array; its size is what the file holds of it."""
        with self.stream(key) as stream:
            version = np.lib.format.read_magic(stream)
            if version not in _READERS:
                raise DatasetError(f"{self._path}: {key} is stored in .npy version {version}, expected 1.0 or 2.0.")
            width, read = _READERS[version]
            if int.from_bytes(stream.read(width), "little") > MAX_HEADER:
                raise DatasetError(f"{self._path}: {key} has a header of more than {MAX_HEADER} bytes.")
            stream.seek(np.lib.format.MAGIC_LEN)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of headers that Python 2 wrote, and of odd escapes in them
                shape, fortran_order, dtype = read(stream)
            offset = stream.tell()
        if dtype.hasobject:
            raise DatasetError(f"{self._path}: {key} holds Python objects, which are never loaded; expected an array.")
        if self._archive.getinfo(f"{key}.npy").file_size - offset != math.prod(shape) * dtype.itemsize:
            raise DatasetError(f"{self._path}: {key} is cut short; get or build the file again.")
        return ArrayHeader(shape, dtype, fortran_order, offset)

    def read(self, key: str, expected: tuple[int, ...], kinds: str | type[np.generic]) -> npt.NDArray:
        """Read an array.

        Args:
            key: of the array.
            expected: its shape.
            kinds: its type, or some: as letters of `numpy.dtype.kind`, "U" for text, "iu" for integers.
        """
        shape, dtype, _, _ = self.header(key)
        if shape != expected:
            raise DatasetError(f"{self._path}: {key} has shape {shape}, expected {expected}.")
        if not (dtype.kind in kinds if isinstance(kinds, str) else dtype == kinds):
            wanted = {"U": "text", "iu": "integers"}[kinds] if isinstance(kinds, str) else np.dtype(kinds)
            raise DatasetError(f"{self._path}: {key} has type {dtype}, expected {wanted}.")
        if dtype.kind == "U" and (size := math.prod(shape) * dtype.itemsize) > MAX_TEXT:
            raise DatasetError(f"{self._path}: {key} holds {size:,} bytes of text, expected at most {MAX_TEXT:,}.")
        with self.stream(key) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)


@contextmanager
def open_npz(path: Path, *, what: str = "an .npz file", holds: str = "it is not such a file") -> Iterator[Npz]:
    """Open a file to read its arrays one by one.

    Args:
        path: the file.
        what: it should be, for the message where there is none.
        holds: what such a file has in it, for the message where an array is missing.

    Raises:
        DatasetError: the file is missing, unreadable, not a regular file, or not an ``.npz``.
    """
    try:
        stream = open_regular(path)
    except FileNotFoundError:
        raise DatasetError(f"there is no file {path}; expected {what}.") from None
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or _one_line(error)}.") from error
    with stream:
        with _decoding(path):
            archive = zipfile.ZipFile(stream)
        with archive:
            yield Npz(path, archive, holds)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    try:
        yield
    except SiconvnetError:
        raise
    except MemoryError as error:
        raise DatasetError(f"{path} cannot be read: its arrays do not fit into memory.") from error
    except Exception as error:  # on damaged data zipfile, its decompressors and NumPy raise twenty kinds
        raise DatasetError(f"{path} is not an intact .npz file ({_one_line(error)}).") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
