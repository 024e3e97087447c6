"""A store full of finished runs, for measurements. MLflow itself would take hours for so many."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from benchmark.events import EPOCH_METRICS
from benchmark.protocol import ALL_SCALES
from benchmark.spec import RunSpec
from benchmark.store import Store, experiment_name
from benchmark.store.entries import params_of, tags_of
from benchmark.store.evaluations import BY_SCALE, EVALUATED

EPOCHS = 20
#: Milliseconds that a run takes.
_TOOK = 60_000


def fill(database: Path, specs: Sequence[RunSpec]) -> None:
    """A store in which all these runs of STIR are finished and evaluated, with everything that such runs log."""
    client, chance = Store(str(database)).client, random.Random(0)
    experiments = {name: client.create_experiment(name) for name in {experiment_name(spec) for spec in specs}}
    with sqlite3.connect(database) as connection:
        for number, spec in enumerate(specs):
            run = f"{number:032x}"
            values = (run, spec.name, 0, _TOOK, experiments[experiment_name(spec)])
            connection.execute(
                "INSERT INTO runs (run_uuid, name, status, start_time, end_time, lifecycle_stage, experiment_id) "
                "VALUES (?, ?, 'FINISHED', ?, ?, 'active', ?)",
                values,
            )
            tags = {**tags_of(spec, {}), "spec_hash": spec.hash, "record_id": run, EVALUATED: "generalization"}
            connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(*tag, run) for tag in tags.items()])
            params = params_of(spec, spec.dataset_key, 100_000)
            connection.executemany(
                "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
                [(key, str(value), run) for key, value in params.items()],
            )
            _log(connection, run, _points(chance))


def _points(chance: random.Random) -> list[tuple[str, float, int]]:
    """Name, value and step of all that a run logs."""
    accuracy = chance.gauss(70, 5)
    at_end = {"test_acc": accuracy, "best_acc": accuracy, "avg_time": 2.0, "run_time": _TOOK / 1000, "epochs": EPOCHS}
    return [
        *((name, chance.random(), epoch) for epoch in range(1, EPOCHS + 1) for name in EPOCH_METRICS),
        *((name, float(value), 0) for name, value in at_end.items()),
        *((BY_SCALE, accuracy + chance.gauss(0, 1), scale) for scale in ALL_SCALES),
    ]


def _log(connection: sqlite3.Connection, run: str, points: Sequence[tuple[str, float, int]]) -> None:
    columns = "(key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, 0, ?, 0, ?)"
    rows = [(name, value, step, run) for name, value, step in points]
    connection.executemany(f"INSERT INTO metrics {columns}", rows)
    latest = {row[0]: row for row in rows}
    connection.executemany(f"INSERT INTO latest_metrics {columns}", latest.values())
