"""Text files that other programs wrote: in whatever encoding, within limits."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

from siconvnet.regular_files import open_regular

from .photos import Unusable

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks in the order in which they are looked for: that of UTF-32 begins as that of UTF-16 does."""


def read_bytes(path: Path, limit: int) -> bytes:
    """A regular file's content.

    Raises:
        Unusable: it is longer than `limit` bytes.
        OSError: it cannot be read.
    """
    with open_regular(path) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise Unusable("too large")
    return content


def read_text(path: Path, limit: int = 2**24) -> str:
    """A text file, decoded by its byte order mark; without one as UTF-8, or as Windows-1252 where it is not UTF-8.

    Raises:
        Unusable: it is longer than `limit` bytes, or no text.
        OSError: it cannot be read.
    """
    content = read_bytes(path, limit)
    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    for encoding in (marked,) if marked else ("utf-8", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Unusable("not a text file")


def utf8_name(name: str) -> str:
    """A file's name as text that can be stored: bytes that are not UTF-8 become ``\\xe4`` and the like."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
