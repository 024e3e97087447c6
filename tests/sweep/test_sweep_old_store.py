"""Sweeps on what earlier versions left: stores of an older MLflow, runs, records and plans of an older benchmark."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sweep_bench import Bench

from benchmark.training.records import RECORD, find


def store_of(path: Path, steps: int) -> None:
    """A store as MLflow made it so many changes of its tables ago."""
    import sqlalchemy
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base

    path.unlink()
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    configuration = _get_alembic_config(f"sqlite:///{path}")
    revisions = [script.revision for script in ScriptDirectory.from_config(configuration).walk_revisions()]
    with engine.begin() as connection:
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, revisions[steps])
        connection.execute(
            sqlalchemy.text(
                "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (0, 'Default', 'active')"
            )
        )
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 40])
def test_store_of_an_older_mlflow(bench: Bench, steps: int) -> None:
    store_of(bench.database, steps)
    line = bench.line("--workers", "1", seeds="1-2")
    code, out, err = bench.run(line)
    # Nothing is begun before somebody has made a copy and upgraded it.
    assert (code, err.count("\n")) == (1, 1)
    assert "older MLflow" in err
    assert "mlflow db upgrade" in err
    assert "test accuracy" not in out
    _upgrade(bench.database)
    code, out, err = bench.run(line)
    assert (code, err) == (0, "")
    assert bench.seeds() == [1, 2]
    assert bench.place.waiting() == bench.halves() == bench.runs("RUNNING") == []


def _upgrade(path: Path) -> None:
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{path}"]
    subprocess.run(command, check=True, capture_output=True)


def test_runs_records_and_plans_of_an_older_benchmark(bench: Bench) -> None:
    run = ["run", "-m", "standard", "-d", str(bench.icons), "-e", "2", "--kernel-size", "3", "--epochs", "1"]
    for seed in (1, 2):
        more = ["--patience", "1", "--seed", str(seed), "--records", str(bench.place.records), "--quiet"]
        assert bench.run([*run, *more])[0] == 0
    first, second = find(bench.place.records)
    if json.loads((first / RECORD).read_text())["spec"]["seed"] != 1:
        first, second = second, first
    # A run that has no more tags than the first version gave it.
    assert bench.run(["ingest", str(first), "--tracking-uri", bench.uri])[0] == 0
    with sqlite3.connect(bench.database) as database:
        database.execute("DELETE FROM tags WHERE key NOT IN ('spec_hash', 'mlflow.runName')")
        database.execute("DELETE FROM params WHERE key = 'parameters'")
    # A record of another format, which nobody knows how to read any more.
    values = json.loads((second / RECORD).read_text())
    (second / RECORD).write_text(json.dumps({**values, "format": 0}))
    # What an earlier sweep was about, in words that have no meaning now.
    bench.place.prepare()
    bench.place.write_plan({"title": "old", "grids": [{"models": ["standard"]}], "slots": 2})
    code, out, err = bench.run(["status", *bench.where()])
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "no sweep is known" in err

    line = bench.line("--executor", "inline", seeds="1-2")
    code, out, err = bench.run(line)
    assert (code, err) == (0, "")
    assert "2 runs: 1 done before" in out
    assert out.count("not logged, and left in ") == 1
    assert "record format 0; this version reads 1" in out
    assert bench.seeds() == [1, 2]
    assert find(bench.place.records) == [second]
    assert bench.run(["status", *bench.where()])[0] == 0
    code, out, _ = bench.run(line)
    assert "2 runs: 2 done before" in out
    assert bench.seeds() == [1, 2]
