"""A new SQLite store is complete or absent, whatever ends the process that makes it."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.store import Store, TrackingError
from benchmark.store.sqlite import check_tables, check_version

CREATE = "import sys; from benchmark.store import Store; Store(sys.argv[1])"
#: What MLflow does by itself, in the place where the store is to be.
DIRECTLY = "import sys; from mlflow import MlflowClient; MlflowClient(f'sqlite:///{sys.argv[1]}').search_experiments()"


def kill_while_it_is_made(code: str, file: Path, how: signal.Signals, seconds: float) -> None:
    """Start to make a store and end the process so long after the first table is written."""
    process = subprocess.Popen([sys.executable, "-c", code, str(file)], stderr=subprocess.DEVNULL)
    while process.poll() is None and not any(path.stat().st_size for path in written(file)):
        time.sleep(0.005)
    time.sleep(seconds)
    process.send_signal(how)
    process.wait(timeout=60)


def written(file: Path) -> list[Path]:
    return [path for path in (file, file.with_name(f".{file.name}.new") / file.name) if path.is_file()]


def half_made(path: Path) -> None:
    """What an earlier version left whose creation was interrupted: the first tables, and not yet any experiment."""
    import sqlalchemy
    from mlflow.store.tracking.dbmodels.initial_models import Base

    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    engine.dispose()


def test_killed_creations_leave_nothing_that_is_in_the_way(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    chance = random.Random()
    for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        kill_while_it_is_made(CREATE, file, how, chance.uniform(0, 0.6))
        if file.exists():  # it was quicker
            check_tables(file)
            check_version(file)
    assert Store(str(file)).client.search_experiments()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_without_the_rename_a_store_is_left_half_made(tmp_path: Path) -> None:
    for attempt in range(10):
        file = tmp_path / f"{attempt}.db"
        kill_while_it_is_made(DIRECTLY, file, signal.SIGKILL, 0.1 * attempt)
        try:
            Store(str(file))
        except TrackingError as error:
            assert "its creation was interrupted" in str(error)
            file.unlink()
            assert Store(str(file)).client.search_experiments()
            return
    pytest.fail("MLflow was never interrupted")


@pytest.mark.parametrize("create", [True, False])
def test_half_made_store_is_named_with_the_way_out(tmp_path: Path, create: bool) -> None:
    file = tmp_path / "mlflow.db"
    half_made(file)
    with pytest.raises(TrackingError, match=r"incomplete: its creation was interrupted.*delete this file"):
        Store(str(file), create=create)


@pytest.mark.parametrize("create", [True, False])
def test_very_old_store_with_experiments_is_not_called_half_made(tmp_path: Path, create: bool) -> None:
    file = tmp_path / "mlflow.db"
    half_made(file)
    with sqlite3.connect(file) as database:
        database.execute("INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (0, 'mine', 'active')")
    with pytest.raises(TrackingError, match="older MLflow"):
        Store(str(file), create=create)


def test_empty_file_becomes_a_store_and_its_journal_is_not_played_into_it(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    file.touch()
    journal = tmp_path / "mlflow.db-journal"
    journal.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\0" * 4096)
    assert Store(str(file)).client.search_experiments()
    assert not journal.exists()


@pytest.mark.parametrize("create", [True, False])
def test_database_of_another_program_is_refused_and_untouched(tmp_path: Path, create: bool) -> None:
    file = tmp_path / "bookmarks.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")
    before = file.read_bytes()
    with pytest.raises(TrackingError, match="database of another program"):
        Store(str(file), create=create)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("cc1f77228345", "older MLflow.*mlflow db upgrade sqlite:///"),
        ("ffffffffffff", "newer MLflow.*pip install --upgrade mlflow"),
    ],
)
def test_store_of_another_mlflow_says_what_to_do(database: Path, revision: str, said: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
    before = database.read_bytes()
    with pytest.raises(TrackingError, match=said):
        Store(str(database))
    assert database.read_bytes() == before


def test_older_store_that_mlflow_would_upgrade_in_place_is_left_alone(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'cc1f77228345'")
        connection.execute("DROP TABLE job_locks")  # MLflow upgrades where a table is missing
    before = database.read_bytes()
    with pytest.raises(TrackingError, match="older MLflow"):
        Store(str(database))
    assert database.read_bytes() == before
