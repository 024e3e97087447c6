"""Checksums of files."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path


@functools.lru_cache(maxsize=64)
def file_sha256(path: str) -> str:
    """SHA-256 of a file's bytes as 64 hex digits, computed once per process.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
