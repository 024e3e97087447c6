"""Writing a data file whole or not at all, one writer at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy.typing as npt

from benchmark.system.files import write_npz
from siconvnet import whole_files
from siconvnet.errors import DatasetError

try:
    import fcntl
except ImportError:  # Windows: no lock. Two builders then do the same work, and the last one's file stays.
    fcntl = None  # type: ignore[assignment]


def save_arrays(
    path: Path, arrays: Mapping[str, npt.NDArray], check: Callable[[Path], object] = lambda written: None
) -> None:
    """Write a compressed ``.npz``. The same arrays give the same bytes.

    Args:
        check: as `replacing` does.

    Raises:
        DatasetError: the file cannot be written; what was there before is untouched.
        ValueError: an array holds Python objects.
    """
    with replacing(path, check) as stream:
        write_npz(stream, arrays)


@contextmanager
def replacing(path: Path, check: Callable[[Path], object] = lambda written: None) -> Iterator[IO[bytes]]:
    """As `siconvnet.whole_files.replacing`.

    Raises:
        DatasetError: the file cannot be written; what was there before is untouched.
    """
    try:
        with whole_files.replacing(path, check) as stream:
            yield stream
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror or error}.") from error


@contextmanager
def exclusive(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold the right to build `path`; the kernel gives it up when the process ends, however it ends.

    Creates the folder of `path`, and removes what a killed builder left in it.

    Args:
        path: the file to be built.
        waiting: called once if another process holds the right, before waiting for it.

    Raises:
        DatasetError: the folder cannot be created or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(path.with_name(f".{path.name}.lock"), waiting)
    except OSError as error:
        raise DatasetError(f"cannot write into {path.parent}: {error.strerror or error}.") from error
    if lock is None:
        yield
        return
    try:
        for leftover in path.parent.glob(f".{path.name}.*{whole_files.SUFFIX}"):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        path.with_name(f".{path.name}.lock").unlink(missing_ok=True)
        os.close(lock)


def _acquire(path: Path, waiting: Callable[[], object]) -> int | None:
    if fcntl is None:
        return None
    asked = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not asked:
                    asked = True
                    waiting()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The holder before us removed the file: what we locked is no longer what others will lock.
            if _same(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
