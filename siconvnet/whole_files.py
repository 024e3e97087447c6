"""Writing a file whole or not at all, however many processes and threads write it, and whatever ends them.

Everything that writes a file for a person to keep goes through `replacing`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

SUFFIX = ".part"
"""How the hidden name ends under which a file is written."""


@contextlib.contextmanager
def replacing(path: Path, check: Callable[[Path], object] = lambda written: None) -> Iterator[IO[bytes]]:
    """A stream that becomes the file `path` at the end of the block, on the disk; or nothing, if the block raises.

    A symbolic link stays, and what it leads to is replaced, on its own disk. What is not a regular file, a device or a
    pipe, stays as well: it is written into at the end of the block. A file that is replaced keeps its permissions.

    Args:
        path: the file; its folder is made.
        check: looks at what was written before it is put in place; raises to have it thrown away.

    Raises:
        OSError: the file cannot be written; what was there before is untouched, and nothing is left behind.
    """
    mode = _mode(path)
    if mode is not None and (not stat.S_ISREG(mode) or _is_open_file(path)):
        with _writing_into(path, mode, check) as stream:
            yield stream
        return
    path = link_target(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{SUFFIX}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        check(temporary)
        if mode is not None:
            temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(path)
        sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def link_target(path: Path) -> Path:
    """The file that `path` leads to if it is a symbolic link, there or not; else `path` itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _mode(path: Path) -> int | None:
    """What kind of file is there, and its permissions; None if there is none."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _is_open_file(path: Path) -> bool:
    """Whether `path` is a name of something that a process has open, as `/dev/stdout` is."""
    leads_to = path.readlink().as_posix() if path.is_symlink() else ""
    return leads_to.startswith("/proc/") or os.path.realpath(path.parent).startswith("/proc/")


@contextlib.contextmanager
def _writing_into(path: Path, mode: int, check: Callable[[Path], object]) -> Iterator[IO[bytes]]:
    """A stream whose content is written into what is there, all of it after the block."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with tempfile.TemporaryDirectory(prefix="siconvnet-") as folder:
        written = Path(folder) / path.name
        with written.open("wb") as stream:
            yield stream
        check(written)
        # Appended: of a shell's `>> file`, what was there before stays.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        with written.open("rb") as source, os.fdopen(descriptor, "wb") as target:
            shutil.copyfileobj(source, target)


def sync(folder: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
