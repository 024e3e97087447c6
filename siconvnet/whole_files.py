"""Writing a file whole or not at all, however many processes and threads write it, and whatever ends them."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

SUFFIX = ".part"
"""How the hidden name ends under which a file is written."""


@contextlib.contextmanager
def replacing(path: Path, check: Callable[[Path], object] = lambda written: None) -> Iterator[IO[bytes]]:
    """A stream that becomes the file `path` at the end of the block, on the disk; or nothing, if the block raises.

    Args:
        path: the file; its folder is made.
        check: looks at what was written before it is put in place; raises to have it thrown away.

    Raises:
        OSError: the file cannot be written; what was there before is untouched, and nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{SUFFIX}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        check(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
