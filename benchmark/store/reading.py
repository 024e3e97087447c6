"""Reading runs in batches: a handful of queries on a database, pages of a thousand runs on a server.

MLflow's own search takes seconds for a thousand runs; tables are made of ten thousand. Databases are therefore read
directly, with nothing but SELECT, and without loading MLflow.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.store import sqlite
from benchmark.store.addresses import sqlite_file
from benchmark.store.client import pages
from siconvnet.safe_text import printable

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: A function that answers a SELECT, with values for its `:names`, with rows.
Select = Callable[[str, Mapping[str, Any]], Sequence[Sequence[Any]]]
#: Run ids that one query names; databases limit it.
_MANY = 500


@dataclass(frozen=True)
class StoredRun:
    """A run as the store has it.

    Attributes:
        status: MLflow's: FINISHED, FAILED, KILLED or RUNNING.
        start, end: seconds since 1970; `end` is None while it runs.
        metrics: the latest value of each.
        histories: of the metrics that were asked for, the latest value at each step.
    """

    run_id: str
    status: str
    start: float
    end: float | None
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    histories: dict[str, dict[int, float]] = field(default_factory=dict)

    @property
    def run_time(self) -> float | None:
        """Seconds of the whole run: as it measured them, else between its start and its end."""
        between = None if self.end is None else self.end - self.start
        return self.metrics.get("run_time", between)


@dataclass(frozen=True)
class Fields:
    """Which entries of runs are read; None stands for all."""

    params: Collection[str] | None = None
    metrics: Collection[str] | None = None
    tags: Collection[str] | None = None


EVERYTHING = Fields()
NOTHING = Fields((), (), ())


@dataclass(frozen=True)
class Query:
    """Which runs are read: those for which all of this holds.

    Attributes:
        experiments: patterns of SQL's LIKE for the names of experiments, one of which must match.
        statuses: one of which a run must have; empty: any.
        params, tags: values that a run must have.
        metrics: which a run must have.
        run_ids: one of which it must be; None: any.
    """

    experiments: Sequence[str]
    statuses: Collection[str] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Collection[str] = ()
    run_ids: Collection[str] | None = None


def from_database(uri: str, query: Query, fields: Fields, histories: Collection[str]) -> list[StoredRun]:
    """The runs of a database that a query matches."""
    with _connection(uri) as (select, key):
        where, values = _conditions(query, key)
        rows = select(
            "SELECT r.run_uuid, r.status, r.start_time, r.end_time FROM runs r "
            f"JOIN experiments e ON e.experiment_id = r.experiment_id WHERE {where}",
            values,
        )
        runs = {
            run: StoredRun(run, status, start / 1000, end / 1000 if end else None)
            for run, status, start, end in rows
            if query.run_ids is None or run in query.run_ids
        }
        _read_entries(select, key, runs, fields)
        _read_histories(select, key, runs, histories)
    return _latest_first(runs.values())


def from_server(client: MlflowClient, query: Query, fields: Fields, histories: Collection[str]) -> list[StoredRun]:
    """The runs of a server that a query matches."""
    runs = []
    for run in _searched(client, query):
        found = StoredRun(
            run.info.run_id,
            run.info.status,
            run.info.start_time / 1000,
            run.info.end_time / 1000 if run.info.end_time else None,
            _texts(run.data.params, fields.params),
            _some(run.data.metrics, fields.metrics),
            _texts(run.data.tags, fields.tags),
        )
        for name in histories:
            if name in run.data.metrics:
                points = client.get_metric_history(run.info.run_id, name)
                in_order = sorted(points, key=lambda point: point.timestamp)
                found.histories[name] = {point.step: point.value for point in in_order}
        runs.append(found)
    return _latest_first(runs)


def _latest_first(runs: Iterable[StoredRun]) -> list[StoredRun]:
    return sorted(runs, key=lambda run: (-(run.end or 0), -run.start, run.run_id))


@contextlib.contextmanager
def _connection(uri: str) -> Iterator[tuple[Select, str]]:
    """A function that answers queries, all from one state of the database, and how the column `key` is written."""
    if file := sqlite_file(uri):
        with sqlite.connection(file) as database:
            database.execute("BEGIN")
            yield lambda query, values: database.execute(query, values).fetchall(), '"key"'
        return
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    try:
        with engine.connect() as connection:
            key = engine.dialect.identifier_preparer.quote("key")
            yield lambda query, values: connection.execute(sqlalchemy.text(query), dict(values)).fetchall(), key
    finally:
        engine.dispose()


def _conditions(query: Query, key: str) -> tuple[str, dict[str, Any]]:
    """The WHERE of a query on `runs r JOIN experiments e`, and the values of its names."""
    conditions = ["r.lifecycle_stage = 'active'"]
    values: dict[str, Any] = {}

    def name(value: Any) -> str:
        values[f"v{len(values)}"] = value
        return f":v{len(values) - 1}"

    conditions.append(f"({' OR '.join(f'e.name LIKE {name(pattern)}' for pattern in query.experiments)})")
    if query.statuses:
        conditions.append(f"r.status IN ({', '.join(map(name, query.statuses))})")
    for table, wanted in (("params", query.params), ("tags", query.tags)):
        for entry, value in wanted.items():
            held = f"SELECT run_uuid FROM {table} WHERE {key} = {name(entry)} AND value = {name(value)}"
            conditions.append(f"r.run_uuid IN ({held})")
    for entry in query.metrics:
        conditions.append(f"r.run_uuid IN (SELECT run_uuid FROM latest_metrics WHERE {key} = {name(entry)})")
    return " AND ".join(conditions), values


def _read_entries(select: Select, key: str, runs: Mapping[str, StoredRun], fields: Fields) -> None:
    params, tags = ({run: getattr(stored, name) for run, stored in runs.items()} for name in ("params", "tags"))
    for table, entries, names in (("params", params, fields.params), ("tags", tags, fields.tags)):
        for where, values in _batches(key, list(runs), names):
            for run, name, value in select(f"SELECT run_uuid, {key}, value FROM {table} WHERE {where}", values):
                entries[run][name] = printable(value, lines=True)
    for where, values in _batches(key, list(runs), fields.metrics):
        query = f"SELECT run_uuid, {key}, value, is_nan FROM latest_metrics WHERE {where}"
        for run, name, value, is_nan in select(query, values):
            runs[run].metrics[name] = math.nan if is_nan else value


def _read_histories(select: Select, key: str, runs: Mapping[str, StoredRun], names: Collection[str]) -> None:
    few = len(runs) <= _MANY
    for name in names if runs else ():
        # Of many runs it is quicker to read all points of a metric, which the index of MLflow's table holds in order.
        where, values = next(_batches(key, list(runs), [name])) if few else (f"{key} = :name", {"name": name})
        points: dict[str, dict[int, float]] = {}
        # In the order of time: a repeated evaluation adds to the history.
        query = f"SELECT run_uuid, step, value, is_nan FROM metrics WHERE {where} ORDER BY timestamp"
        for run, step, value, is_nan in select(query, values):
            points.setdefault(run, {})[step] = math.nan if is_nan else value
        for run in points.keys() & runs.keys():
            runs[run].histories[name] = points[run]


def _batches(key: str, runs: Sequence[str], names: Collection[str] | None) -> Iterator[tuple[str, dict[str, str]]]:
    """Conditions that together name the entries of some runs, and their values."""
    if names is not None and not names:
        return
    keys, named = _listed("k", names or ())
    for first in range(0, len(runs), _MANY):
        listed, values = _listed("r", runs[first : first + _MANY])
        where = f"run_uuid IN ({listed})"
        yield where if names is None else f"{where} AND {key} IN ({keys})", {**values, **named}


def _listed(letter: str, items: Collection[str]) -> tuple[str, dict[str, str]]:
    """Names for a list in a query, and their values."""
    values = {f"{letter}{number}": item for number, item in enumerate(items)}
    return ", ".join(f":{name}" for name in values), values


def _searched(client: MlflowClient, query: Query) -> Iterator[Any]:
    # MLflow's filters know no "or".
    experiments = [
        experiment.experiment_id
        for pattern in query.experiments
        for experiment in pages(client.search_experiments, filter_string=f"name LIKE '{pattern}'")
    ]
    for run in (
        pages(client.search_runs, experiment_ids=experiments, filter_string=_filter(query)) if experiments else ()
    ):
        data = run.data
        if (
            (not query.statuses or run.info.status in query.statuses)
            and (query.run_ids is None or run.info.run_id in query.run_ids)
            and query.params.items() <= data.params.items()
            and {*query.metrics} <= data.metrics.keys()
        ):
            yield run


def _filter(query: Query) -> str:
    """What of a query the server is asked to look for; the rest is looked for in what it sends."""
    held = [f"tags.`{name}` = '{value}'" for name, value in query.tags.items()]
    if len(query.statuses) == 1:
        held += [f"attributes.status = '{status}'" for status in query.statuses]
    return " and ".join(held)


def _texts(values: Mapping[str, str], names: Collection[str] | None) -> dict[str, str]:
    """What anyone may have written into a store, as it can be shown."""
    return {name: printable(value, lines=True) for name, value in _some(values, names).items()}


def _some(values: Mapping[str, Any], names: Collection[str] | None) -> dict[str, Any]:
    return dict(values) if names is None else {name: values[name] for name in names if name in values}
