"""An SQLite store: one process at a time while its tables are made, and no waiting for a hopeless file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(database: Path | None) -> Iterator[None]:
    """One process at a time, as far as an SQLite file is concerned: MLflow's migration bears no company.

    The lock is the kernel's, so it goes with the process that holds it, however that ends.
    """
    if database is None:
        yield
        return
    from filelock import FileLock

    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock", timeout=120):
        yield


def probe(database: Path | None) -> None:
    """Raise at once what MLflow would raise after trying a hopeless SQLite file for minutes."""
    import sqlite3
    from urllib.parse import quote

    if database is not None and database.exists():
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(database))}?mode=rw", uri=True, timeout=20)) as file:
            file.execute("BEGIN IMMEDIATE")
            file.execute("ROLLBACK")
