"""Reading runs in batches gives what MLflow's own client gives, run by run."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from benchmark.events import Started
from benchmark.spec import RunSpec
from benchmark.store import Store, reading
from benchmark.store.evaluations import BY_SCALE
from benchmark.store.reading import EVERYTHING, NOTHING, Fields, Query, from_server
from benchmark.studies import find_study

SPECS = [
    RunSpec("standard", "emoji", evaluation=2),
    RunSpec("hermite", "emoji", evaluation=2, seed=2),
    RunSpec("cnn_28", "mnist-scale"),
]


@pytest.fixture(scope="module")
def store(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three runs with repeated evaluations and a figure that is no number, and a deleted one."""
    from mlflow.entities import Metric

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    path.write_bytes(empty_store.read_bytes())
    store = Store(str(path))
    ids = [store.start(Started(f"{n}", spec, 1.0 + n, 10, {})) for n, spec in enumerate([*SPECS, SPECS[0]])]
    for number, run_id in enumerate(ids):
        points = [Metric(BY_SCALE, 10.0 * value + number, time, scale) for value, time, scale in
                  ((3, 2, 17), (1, 1, 17), (2, 1, 18))]  # fmt: skip
        store.client.log_batch(run_id, [*points, Metric("val_loss", math.nan, 1, 0), Metric("test_acc", 70.125, 1, 0)])
    store.client.set_terminated(ids[0], "FINISHED", 5000)
    store.client.set_terminated(ids[1], "FINISHED", 6000)
    store.client.delete_run(ids[3])
    return store


def comparable(runs: list[reading.StoredRun]) -> list[str]:
    """In a form in which not-a-numbers are equal."""
    return [repr(dataclasses.replace(run, params=dict(sorted(run.params.items())),
                                     tags=dict(sorted(run.tags.items())),
                                     metrics=dict(sorted(run.metrics.items())))) for run in runs]  # fmt: skip


@pytest.mark.parametrize("many", [500, 1])
@pytest.mark.parametrize(
    "query",
    [
        Query(["stir", "stir/%"]),
        Query(["stir/%", "mnist-scale/%"], ["FINISHED"]),
        Query(["stir/%", "mnist-scale/%"], ["FINISHED", "RUNNING"], {"model": "standard"}),
        Query(["%"], tags={"spec_hash": SPECS[1].hash}),
        Query(["%"], metrics=[BY_SCALE], run_ids=()),
        Query(["%"], metrics=["nothing"]),
    ],
)
def test_database_and_client_give_the_same(
    store: Store, query: Query, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MANY", many)
    for fields in (EVERYTHING, NOTHING, Fields(("model",), ("test_acc",), ("spec_hash", "nothing"))):
        direct = reading.from_database(store.uri, query, fields, [BY_SCALE])
        assert comparable(direct) == comparable(from_server(store.client, query, fields, [BY_SCALE]))


def test_runs_of_studies_latest_first_with_the_latest_evaluation(store: Store) -> None:
    assert len(store.read()) == 3
    runs = store.read([find_study("stir")], histories=[BY_SCALE])
    assert [run.params["model"] for run in runs] == ["hermite", "standard"]
    assert runs[1].histories == {BY_SCALE: {17: 30.0, 18: 20.0}}
    assert runs[1].metrics["test_acc"] == 70.125
    assert math.isnan(runs[1].metrics["val_loss"])
    assert (runs[1].start, runs[1].end, runs[1].run_time) == (1.0, 5.0, 4.0)
    (other,) = store.read([find_study("mnist-scale")])
    assert (other.status, other.end, other.run_time, other.histories) == ("RUNNING", None, None, {})


def test_reading_takes_a_few_queries_and_no_mlflow(store: Store, python) -> None:  # type: ignore[no-untyped-def]
    code = """
import sys
from benchmark.store import Store
from benchmark.store.evaluations import BY_SCALE
store = Store(sys.argv[1], create=False)
print(len(store.read(histories=[BY_SCALE])), "mlflow" in sys.modules)
"""
    assert python(code, store.uri).stdout.split() == ["3", "False"]


def test_reading_writes_nothing_beside_the_store(store: Store) -> None:
    assert store.file
    before = {path.name: path.stat().st_mtime_ns for path in store.file.parent.iterdir()}
    Store(store.uri, create=False).read()
    assert {path.name: path.stat().st_mtime_ns for path in store.file.parent.iterdir()} == before
