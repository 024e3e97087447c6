"""What a store says of its runs, in one look and without MLflow where the store is a database.

MLflow's own search takes seconds for a thousand runs; a sweep asks for ten thousand. So databases are read
directly, with MLflow's tables and nothing but SELECT, and servers through `benchmark.store`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.store import TrackingError, resolve_uri, shown
from benchmark.studies import STUDIES
from benchmark.training.divergence import DIVERGED

_TAGS = ("spec_hash", "record_id", "host", "reason", "last_lines", "pid", "process_start")
_PARAMS = ("model", "data", "evaluation", "lr", "seed", "max_epochs")
_METRICS = ("best_acc", "epochs", "run_time")


@dataclass(frozen=True)
class RunState:
    """One run of the store.

    Attributes:
        status: of MLflow: FINISHED, FAILED, KILLED or RUNNING.
        start, end: seconds since 1970; `end` is None while it runs.
        best_acc: best validation accuracy in percent, of a finished run.
        epochs: how many it had, of a finished run.
        run_time: seconds, of a finished run.
        reason, last_lines: of a failed run, why it failed and the last lines it wrote.
    """

    run_id: str
    status: str
    start: float
    end: float | None
    spec_hash: str = ""
    record_id: str = ""
    host: str = ""
    pid: str = ""
    process_start: str = ""
    reason: str = ""
    last_lines: str = ""
    model: str = ""
    dataset: str = ""
    evaluation: str = ""
    lr: str = ""
    seed: str = ""
    max_epochs: str = ""
    best_acc: float | None = None
    epochs: float | None = None
    run_time: float | None = None

    @property
    def diverged(self) -> bool:
        return self.status == "FAILED" and self.reason.startswith(DIVERGED)


def read_states(uri: str | None = None) -> list[RunState]:
    """All runs of this benchmark in a store, latest first. A store that is not there yet has none.

    Raises:
        TrackingError: it does not answer, or is none.
    """
    uri = resolve_uri(uri)
    if uri.startswith("http"):
        return list(_from_server(uri))
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:") and not path.exists():
        return []
    return _from_database(uri)


def _from_database(uri: str) -> list[RunState]:
    try:
        with _connection(uri) as select:
            ours = " OR ".join(f"e.name LIKE '{name}'" for study in STUDIES.values() for name in study.experiments)
            runs = select(
                "SELECT r.run_uuid, r.status, r.start_time, r.end_time FROM runs r "
                "JOIN experiments e ON e.experiment_id = r.experiment_id "
                f"WHERE r.lifecycle_stage = 'active' AND ({ours}) "
                "ORDER BY r.end_time DESC"
            )
            found: dict[str, dict[str, Any]] = {
                run: {"run_id": run, "status": status, "start": start / 1000, "end": end / 1000 if end else None}
                for run, status, start, end in runs
            }
            for table, keys in (("tags", _TAGS), ("params", _PARAMS), ("latest_metrics", _METRICS)):
                listed = ", ".join(f"'{key}'" for key in keys)
                query = f"SELECT run_uuid, {_KEY[uri[:5]]}, value FROM {table} WHERE {_KEY[uri[:5]]} IN ({listed})"
                for run, key, value in select(query):
                    if run in found:
                        found[run]["dataset" if key == "data" else key] = value
    except TrackingError:
        raise
    except Exception as error:
        line = " ".join(str(error).partition("\n")[0].split())[:300]
        raise TrackingError(f"the MLflow store {shown(uri)} failed: {line}") from error
    return [RunState(**values) for values in found.values()]


class _Quoted(dict[str, str]):
    """The column `key` is a word of MySQL's."""

    def __missing__(self, scheme: str) -> str:
        return "`key`" if scheme == "mysql" else '"key"'


_KEY = _Quoted()


@contextlib.contextmanager
def _connection(uri: str) -> Iterator[Any]:
    """A function that answers a SELECT with its rows."""
    if uri.startswith("sqlite:///"):
        import sqlite3
        from urllib.parse import quote

        path = quote(str(Path(uri.removeprefix("sqlite:///")).absolute()))
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as database:
            yield lambda query: database.execute(query).fetchall()
        return
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    try:
        with engine.connect() as connection:
            yield lambda query: connection.execute(sqlalchemy.text(query)).fetchall()
    finally:
        engine.dispose()


def _from_server(uri: str) -> Iterator[RunState]:
    from benchmark.store import Store

    for run in Store(uri).all_runs():
        tags, params, metrics = run.data.tags, run.data.params, run.data.metrics
        values: dict[str, Any] = {
            "run_id": run.info.run_id,
            "status": run.info.status,
            "start": run.info.start_time / 1000,
            "end": run.info.end_time / 1000 if run.info.end_time else None,
            "dataset": params.get("data", ""),
            **{key: tags.get(key, "") for key in _TAGS},
            **{key: params.get(key, "") for key in _PARAMS if key != "data"},
            **{key: metrics.get(key) for key in _METRICS},
        }
        yield RunState(**values)
