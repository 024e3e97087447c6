"""SQLite stores: made whole or not at all, and looked at before MLflow touches them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from benchmark.store.errors import TrackingError
from benchmark.store.schema import Version, advice, compare
from siconvnet.whole_files import sync

#: What SQLite keeps beside a database while it is written.
_COMPANIONS = ("-journal", "-wal", "-shm")
#: The tables that runs are read from; MLflow has had them in every version.
_TABLES = {"experiments", "runs", "params", "metrics", "latest_metrics", "tags"}


@contextlib.contextmanager
def connection(file: Path, *, write: bool = False) -> Iterator[sqlite3.Connection]:
    """An SQLite file that exists, closed after the block."""
    mode = "rw" if write else "ro"
    with contextlib.closing(sqlite3.connect(f"file:{quote(str(file))}?mode={mode}", uri=True, timeout=20)) as opened:
        yield opened


def make(file: Path) -> None:
    """Make a store unless there is one.

    Its tables are made in a hidden folder, and the file is then moved to its place: whatever ends this process, the
    store is complete or absent.
    """
    if _is_absent(file):
        with _alone(file):
            if _is_absent(file):
                _make(file)


def check_tables(file: Path) -> None:
    """Make sure that a file holds the tables that runs are read from.

    Raises:
        TrackingError: it is the remainder of an interrupted creation, or a database of another program.
    """
    tables = _tables(file)
    if tables >= _TABLES:
        return
    if tables and not tables & {*_TABLES, "alembic_version"}:
        raise TrackingError(f"{file} is the database of another program; give the path of a store.")
    if "experiments" in tables and _has_experiments(file):
        raise TrackingError(f"the store {file} cannot be used: {advice(Version.OLDER, f'sqlite:///{file}')}")
    raise _half_made(file)


def check_version(file: Path) -> None:
    """Make sure that a store has the tables of the MLflow that is installed.

    MLflow by itself would upgrade some older stores in place and in many steps; interrupted, that leaves a store that
    no version can open.

    Raises:
        TrackingError: it is of another version, or the remainder of an interrupted creation.
    """
    with connection(file) as database:
        named = "alembic_version" in _tables(file)
        (revision,) = (named and database.execute("SELECT version_num FROM alembic_version").fetchone()) or ("",)
    version = compare(revision)
    if version is Version.OLDER and not _has_experiments(file):
        # MLflow's last step is the default experiment.
        raise _half_made(file)
    if version is not Version.SAME:
        raise TrackingError(f"the store {file} cannot be used: {advice(version, f'sqlite:///{file}')}")


def check_writable(file: Path) -> None:
    """Write to a store and take it back, as MLflow would otherwise try to for minutes."""
    with connection(file, write=True) as database:
        database.isolation_level = None
        database.execute("BEGIN IMMEDIATE")
        # Only the first change of a page opens the journal beside the file.
        (number,) = database.execute("PRAGMA user_version").fetchone()
        database.execute(f"PRAGMA user_version = {number}")
        database.execute("ROLLBACK")


def _is_absent(file: Path) -> bool:
    """Whether there is nothing to keep; an empty file is what SQLite leaves that was ended before its first write."""
    return not file.exists() or file.stat().st_size == 0


def _tables(file: Path) -> set[str]:
    with connection(file) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _has_experiments(file: Path) -> bool:
    with connection(file) as database:
        return database.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is not None


def _half_made(file: Path) -> TrackingError:
    return TrackingError(
        f"the store {file} is incomplete: its creation was interrupted before it held any run; delete this file, and "
        "the next benchmark run or benchmark sweep makes it again."
    )


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One process at a time; the lock is the kernel's, so it goes with the process that holds it."""
    from filelock import FileLock

    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock", timeout=120):
        yield


def _make(file: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # The name is always the same, so that what a killed process left is found and removed.
    hidden = file.with_name(f".{file.name}.new")
    shutil.rmtree(hidden, ignore_errors=True)
    hidden.mkdir()
    try:
        SqlAlchemyStore(f"sqlite:///{hidden / file.name}", (file.parent / "artifacts").as_uri()).engine.dispose()
        with (hidden / file.name).open("rb+") as whole:
            os.fsync(whole.fileno())
        # A journal of the empty file that may lie here would be played into the new one.
        for companion in _COMPANIONS:
            Path(f"{file}{companion}").unlink(missing_ok=True)
        (hidden / file.name).replace(file)
        sync(file.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
