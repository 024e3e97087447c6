"""Finding the source file of a module without importing anything."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path


def find_source(module: str) -> Path | None:
    """The file that ``import module`` would read, or None if there is no such file.

    `importlib.util.find_spec` imports the packages that a module is in, and so runs their code; this only looks.
    """
    path: Sequence[str] | None = None
    found: ModuleSpec | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        found = _find(name, path)
        if found is None:
            return None
        # A package that is loaded may have added to the folders in which its modules are looked for.
        loaded = getattr(sys.modules.get(name), "__path__", None)
        path = list(loaded or found.submodule_search_locations or ())
    source = Path(found.origin) if found and found.origin else None
    return source if source and source.is_file() else None


def _find(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    if path is None:
        try:
            return importlib.util.find_spec(name)  # of a name without dots it imports nothing
        except (ImportError, ValueError):
            return None
    finders = [finder.find_spec for finder in sys.meta_path if hasattr(finder, "find_spec")]
    return next(filter(None, (find(name, path) for find in finders)), None)
