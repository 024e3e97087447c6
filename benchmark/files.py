"""Writing a text file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from siconvnet.errors import SiconvnetError


def write_text(path: Path, text: str) -> Path:
    """Write `text` under a temporary name in the same folder, then rename it.

    Raises:
        SiconvnetError: the folder cannot be made or written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    except OSError as error:
        raise SiconvnetError(f"cannot write {str(path)!r}: {error.strerror or error}.") from None
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)
    return path
