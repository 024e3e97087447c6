"""Stores that do not answer, lose what they accepted, cannot be written or are damaged."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.exc

from benchmark.cli import main
from benchmark.events import Result
from benchmark.spec import RunSpec
from benchmark.store import LiveRun, Store, TrackingError, client
from benchmark.store.errors import answering
from benchmark.store.ingestion import ingest
from benchmark.training import records
from benchmark.training.execution import execute


@pytest.fixture(scope="module")
def result(few_icons: Path) -> Result:
    return execute(RunSpec("standard", str(few_icons), evaluation=2, kernel_size=3, max_epochs=1), device="cpu")


@pytest.fixture
def store(database: Path) -> Store:
    return Store(str(database))


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        for connection in held:
            connection.close()


def test_a_server_that_never_answers_is_given_up_soon(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*client._SOON, *client._USUAL):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(client._SOON, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    store = Store(silent_server, create=False)
    start = time.monotonic()
    with pytest.raises(TrackingError, match="failed"):
        store.read()
    assert time.monotonic() - start < 20, "two tries of a second each; the rest is loading MLflow"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


def test_questions_are_asked_with_less_patience_than_is_had_for_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, tuple[str | None, ...]] = {}

    class Fake:
        def __getattr__(self, name: str) -> Any:
            return lambda: seen.update({name: tuple(os.environ.get(variable) for variable in client._SOON)})

    for name in client._SOON:
        monkeypatch.delenv(name, raising=False)
    client.quieten()
    asked = client.Client(Fake(), "x.db")  # type: ignore[arg-type]
    asked.search_runs()
    asked.log_artifact()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    asked.get_run()
    assert seen == {"search_runs": ("1", "20"), "log_artifact": ("2", None), "get_run": ("1", "7")}


@pytest.mark.parametrize("lost", ["log_artifact", "log_batch", "set_terminated"])
def test_what_a_store_accepts_and_loses_stays_a_record(
    result: Result, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    folder = records.write(result, tmp_path / "records")
    with monkeypatch.context() as broken:
        broken.setattr(store.client, lost, lambda *_, **__: None)
        with pytest.raises(TrackingError, match=r"accepted run .* but did not keep"):
            list(ingest(folder.parent, store))
        assert folder.is_dir()
        if lost == "log_artifact":
            assert store.read(statuses=["FINISHED"]) == []
    (outcome,) = ingest(folder.parent, store)
    assert not folder.exists()
    assert [run.run_id for run in store.read(statuses=["FINISHED"])] == [outcome.run_id]


def test_a_live_run_notices_that_its_artifacts_are_lost(
    result: Result, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.client, "log_artifacts", lambda *_: None)
    live = LiveRun(store)
    live.started(dataclasses.replace(result.started, id="2" * 32))
    live.finished(result)
    assert "did not keep its" in str(live.error)
    assert store.read(statuses=["FINISHED"]) == []


def test_a_store_that_cannot_be_written_says_so_at_once(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a disk that is mounted for reading, which a test run by root can have by no permission.
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda name, **how: connect(name.replace("mode=rw", "mode=ro"), **how))
    start = time.monotonic()
    with pytest.raises(TrackingError, match="readonly database; it needs write permission"):
        Store(str(database))
    assert time.monotonic() - start < 20
    assert Store(str(database), create=False).read() == []


def test_the_databases_own_words_are_shown() -> None:
    inner = sqlalchemy.exc.OperationalError(
        "INSERT", {}, sqlite3.OperationalError("attempt to write a readonly database")
    )
    inner.add_detail("raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block")
    with pytest.raises(TrackingError) as caught, answering("x.db"):
        raise inner
    assert "autoflush" not in str(caught.value)
    assert "readonly database" in str(caught.value)


GRID = ["--models", "standard", "--datasets", "emoji", "--evaluations", "2"]


@pytest.mark.parametrize("command", [["leaderboard"], ["status", *GRID], ["export"]])
def test_a_damaged_database_is_one_line(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    damaged = Path(shutil.copy(database, tmp_path / "damaged.db"))
    content = bytearray(damaged.read_bytes())
    for start in range(100, len(content), 512):
        content[start : start + 256] = b"\xff\xfe" * 128
    damaged.write_bytes(content)
    assert main([*command, "--tracking-uri", str(damaged)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(damaged) in error


def test_text_that_is_no_text_is_called_damage() -> None:
    with pytest.raises(TrackingError, match="the database is damaged"), answering("x.db"):
        b"\xff".decode()
