"""What tells one data file from another, so that a run on it is found again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from siconvnet.datasets.npz import open_npz
from siconvnet.errors import DatasetError
from siconvnet.regular_files import open_regular

BY_CONTENT = "content"
"""The array `identity` of a file that is identified by its pictures, labels, sizes and places alone."""
_ARRAYS = ("imgs", "lbls", "scls", "psts")
_BLOCK = 2**22


def identify_file(path: Path) -> str:
    """The SHA-256 that stands for a data file, as 64 hex digits.

    If the file's array `identity` is "content", it is that of the pictures, labels, sizes and places, so that the same
    pictures built again, on another day or under another name, are the same dataset. Of every other file it is that of
    the bytes.

    Raises:
        DatasetError: the file cannot be read.
    """
    return (_of_arrays(path) if _is_by_content(path) else _of_bytes(path)).hexdigest()


def _is_by_content(path: Path) -> bool:
    try:
        with open_npz(path) as file:
            return "identity" in file and file.read("identity", (), "U").item() == BY_CONTENT
    except DatasetError:
        return False


def _of_arrays(path: Path) -> hashlib._Hash:
    """Of each array its name, its shape and its elements in C order, pixels as bytes and integers as int64."""
    digest = hashlib.sha256()
    with open_npz(path, what="a data file (.npz)") as file:
        for key in _ARRAYS:
            shape, dtype, fortran_order, offset = file.header(key)
            digest.update(f"{key} {shape}\n".encode())
            if key != "imgs" or dtype != np.uint8 or fortran_order:
                array = file.read(key, shape, np.uint8 if key == "imgs" else "iu")
                digest.update(np.ascontiguousarray(array, None if key == "imgs" else "<i8").data)
                continue
            with file.stream(key) as stream:  # of pixels there may be more than fit into memory
                stream.seek(offset)
                while block := stream.read(_BLOCK):
                    digest.update(block)
    return digest


def _of_bytes(path: Path) -> hashlib._Hash:
    try:
        with open_regular(path) as stream:
            return hashlib.file_digest(stream, "sha256")
    except OSError as error:
        raise DatasetError(f"cannot read the data file {str(path)!r}: {error.strerror}.") from None
