"""MLflow as the store: real SQLite stores, real processes."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main
from benchmark.events import EPOCH_METRICS, Ended, Result, Started
from benchmark.results.selection import is_short
from benchmark.results.sources import MLFLOW, Source
from benchmark.spec import RunSpec
from benchmark.store import LiveRun, Store, TrackingError, experiment_name
from benchmark.store.ingestion import ingest
from benchmark.store.run_states import read_states
from benchmark.studies.stir import STIR
from benchmark.training import records
from benchmark.training.divergence import TrainingError
from benchmark.training.execution import execute

RACE = """
import sys
from benchmark.store import Store, sqlite
if "unlocked" in sys.argv:
    import contextlib
    sqlite._alone = lambda file: file.parent.mkdir(exist_ok=True) or contextlib.nullcontext()
Store(sys.argv[1])._experiment("stir/emoji/Mid2Rest")
"""


@pytest.fixture(scope="module")
def result(few_icons: Path) -> Result:
    return execute(RunSpec("standard", str(few_icons), evaluation=2, kernel_size=3, max_epochs=2), device="cpu")


@pytest.fixture
def store(database: Path) -> Store:
    return Store(str(database))


@pytest.mark.parametrize(
    "spec",
    [
        RunSpec("standard", "emoji", evaluation=2),
        RunSpec("cnn_28", "mnist-scale"),
        RunSpec("scale_probe", "mnist-range"),
        RunSpec("wrn_16_8", "stl10"),
    ],
    ids=lambda spec: spec.dataset,
)
def test_every_study_finds_its_runs(store: Store, spec: RunSpec) -> None:
    custom = dataclasses.replace(spec, max_epochs=1)
    for number, made in enumerate((spec, custom)):
        store.start(Started(f"{number}", made, 1.0, 10, {}))
    assert experiment_name(custom) == f"{experiment_name(spec)}/custom"
    assert len(read_states(store.uri)) == len(store.read()) == 2
    assert len(store.read([spec.study], statuses=["RUNNING"])) == 2


def race(database: Path, *arguments: str) -> list[subprocess.Popen[bytes]]:
    """Four processes that open the same new store at once."""
    line = [sys.executable, "-c", RACE, str(database), *arguments]
    processes = [subprocess.Popen(line, stderr=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        process.communicate(timeout=120)
    return processes


def test_four_processes_open_a_new_store_at_once(tmp_path: Path) -> None:
    assert [process.returncode for process in race(tmp_path / "new" / "mlflow.db")] == [0] * 4


def test_without_the_lock_they_fall_over_each_other(tmp_path: Path) -> None:
    # Chance decides, so this may take a few races; it shows that the test above can fail.
    failed = any(
        process.returncode
        for attempt in range(5)
        for process in race(tmp_path / str(attempt) / "mlflow.db", "unlocked")
    )
    assert failed or pytest.skip("this machine never raced")


def test_live_run_is_logged_under_the_originals_names(spec: RunSpec, store: Store) -> None:
    live = LiveRun(store)
    result = execute(spec, device="cpu", observers=[live])
    assert live.run_id is not None
    run = store.client.get_run(live.run_id)
    assert run.info.status == "FINISHED"
    assert {"model", "data", "evaluation", "kernel_size", "interpolation", "lr", "seed"} <= run.data.params.keys()
    assert (run.data.params["data"], run.data.params["lr"]) == (spec.dataset_key, "0.001")
    names = "train_loss train_acc train_time val_loss val_acc avg_time best_acc test_loss test_acc"
    assert set(names.split()) <= run.data.metrics.keys()
    assert run.data.metrics["test_acc"] == result.metrics["test_acc"]
    history = store.client.get_metric_history(live.run_id, "val_loss")
    assert [(m.step, m.value) for m in history] == [(e.number, e.val_loss) for e in result.history]
    assert run.data.tags["spec_hash"] == spec.hash
    assert run.data.tags["mlflow.runName"] == spec.name
    with store.artifact(live.run_id, records.PREDICTIONS) as path, np.load(path) as arrays:
        assert len(arrays["predicted"]) == len(result.predictions.predicted)
    with store.artifact(live.run_id, records.WEIGHTS) as path:
        assert path.stat().st_size > 1000
    with store.artifact(live.run_id, records.ENVIRONMENT) as path:
        assert path.is_file()
    assert not path.exists(), "a copy is there no longer than it is needed"
    with pytest.raises(TrackingError), store.artifact(live.run_id, "nothing.npz"):
        pass
    assert (Path(store.uri.removeprefix("sqlite:///")).parent / "artifacts").is_dir()
    found = store.find_finished(spec)
    assert found is not None
    assert found.run_id == live.run_id
    assert store.find_finished(dataclasses.replace(spec, seed=2)) is None


def test_one_call_an_epoch(spec: RunSpec, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    log_batch = store.client.log_batch

    def counting(run_id: str, metrics: tuple[object, ...] = (), **rest: object) -> None:
        calls.append(len(metrics))
        log_batch(run_id, metrics=metrics, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(store.client, "log_batch", counting)
    execute(spec, device="cpu", observers=[LiveRun(store)])
    assert calls[:4] == [0, 5, 5, 5]  # parameters, then three epochs
    assert len(calls) == 5


def test_failed_run_says_why(spec: RunSpec, store: Store) -> None:
    live = LiveRun(store)
    spec = dataclasses.replace(spec, lr=1e30)
    with pytest.raises(TrainingError):
        execute(spec, device="cpu", observers=[live])
    assert live.run_id is not None
    run = store.client.get_run(live.run_id)
    assert run.info.status == "FAILED"
    assert "loss became" in run.data.tags["reason"]
    assert store.find_finished(spec) is None


def test_a_run_that_was_taken_for_dead_and_finishes_is_finished(result: Result, store: Store) -> None:
    live = LiveRun(store)
    live.started(result.started)
    assert live.run_id
    store.kill(live.run_id, "its process is gone")
    live.finished(result)
    run = store.client.get_run(live.run_id)
    assert (live.error, run.info.status, run.data.tags.get("reason")) == (None, "FINISHED", None)


def test_store_that_breaks_on_the_way_does_not_cost_the_run(spec: RunSpec, store: Store) -> None:
    class Thief(LiveRun):
        def epoch(self, epoch: object) -> None:
            database = Path(self.store.uri.removeprefix("sqlite:///"))
            database.write_bytes(b"not a database any more" * 1000)
            super().epoch(epoch)  # type: ignore[arg-type]

    live = Thief(store)
    result = execute(spec, device="cpu", observers=[live])
    assert result.metrics["epochs"] == 3
    assert live.error is not None
    assert "not a database" in str(live.error)


def test_records_are_logged_once_and_removed(result: Result, store: Store, tmp_path: Path) -> None:
    root = tmp_path / "records"
    folder = records.write(result, root)
    copy = shutil.copytree(folder, tmp_path / "kept" / folder.name)
    first = list(ingest(root, store))
    assert first[0].run_id is not None
    assert not folder.exists()
    assert records.find(root) == []
    again = list(ingest(copy.parent, store))
    assert again[0].record is not None
    assert again[0].run_id is None
    run = store.client.get_run(first[0].run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test_acc"] == result.metrics["test_acc"]
    assert len(store.client.get_metric_history(first[0].run_id, "train_loss")) == 2
    assert len(store.read([STIR])) == 1


def test_live_and_ingested_runs_look_the_same(result: Result, tmp_path: Path, empty_store: Path) -> None:
    runs = []
    for way in ("live", "ingested"):
        path = tmp_path / way / "mlflow.db"
        path.parent.mkdir()
        store = Store(str(shutil.copy(empty_store, path)))
        if way == "live":
            live = LiveRun(store)
            live.started(result.started)
            for epoch in result.history:
                live.epoch(epoch)
            live.finished(result)
        else:
            records.write(result, tmp_path / "records")
            list(ingest(tmp_path / "records", store))
        (run,) = store.read([STIR], histories=EPOCH_METRICS)
        names = sorted(file.path for file in store.client.list_artifacts(run.run_id))
        runs.append((dataclasses.replace(run, run_id=""), names))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("repaired", [False, True])
def test_half_logged_record_is_logged_anew(result: Result, store: Store, tmp_path: Path, repaired: bool) -> None:
    # The one who logged it died in the middle: its run is still RUNNING, or was marked KILLED before the record came.
    half = store.start(result.started)
    if repaired:
        store.end(half, Ended(result.started, "KILLED", "its process is gone", (), 2.0))
    records.write(result, tmp_path / "records")
    (outcome,) = ingest(tmp_path / "records", store)
    assert outcome.run_id not in (None, half)
    assert [run.run_id for run in store.read([STIR])] == [outcome.run_id]
    assert store.client.get_run(half).info.lifecycle_stage == "deleted"


def test_half_logged_record_goes_where_its_run_was_finished_elsewhere(
    result: Result, store: Store, tmp_path: Path
) -> None:
    half = store.start(result.started)
    elsewhere = dataclasses.replace(result, started=dataclasses.replace(result.started, id="1" * 32))
    for number, one in enumerate((elsewhere, result)):
        records.write(one, tmp_path / str(number))
        list(ingest(tmp_path / str(number), store, once=True))
    assert [run.tags["record_id"] for run in store.read()] == ["1" * 32]
    assert store.client.get_run(half).info.lifecycle_stage == "deleted"


def test_record_that_is_being_logged_belongs_to_who_logs_it(
    result: Result, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = {**result.started.environment, "host": "node7", "pid": 7, "process_start": "7"}
    records.write(
        dataclasses.replace(result, started=dataclasses.replace(result.started, environment=trainer)), tmp_path
    )
    held: list[dict[str, str]] = []
    log_artifact = store.client.log_artifact

    def looking(run_id: str, path: str) -> None:
        held.append(store.client.get_run(run_id).data.tags)
        log_artifact(run_id, path)

    set_terminated = store.client.set_terminated

    def at_the_end(run_id: str, *how: object) -> None:
        held.append(store.client.get_run(run_id).data.tags)
        set_terminated(run_id, *how)

    monkeypatch.setattr(store.client, "log_artifact", looking)
    monkeypatch.setattr(store.client, "set_terminated", at_the_end)
    (outcome,) = ingest(tmp_path, store)
    assert outcome.run_id
    assert {(tags["host"], tags["pid"]) for tags in held} == {(socket.gethostname(), str(os.getpid()))}
    tags = store.client.get_run(outcome.run_id).data.tags
    assert (tags["host"], tags["pid"], tags["process_start"]) == ("node7", "7", "7")


def test_what_was_checked_is_what_is_logged(
    result: Result, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that somebody exchanges for a link between the check and the copy gives nothing else away."""
    (secret := tmp_path / "secret").write_text("a private key", encoding="utf-8")
    folder = records.write(result, tmp_path / "records")
    weights = (folder / records.WEIGHTS).read_bytes()
    read = records.read

    def read_and_exchange(place: Path) -> records.Record:
        record = read(place)
        (folder / records.WEIGHTS).unlink()
        (folder / records.WEIGHTS).symlink_to(secret)
        return record

    monkeypatch.setattr(records, "read", read_and_exchange)
    (outcome,) = ingest(tmp_path / "records", store)
    assert outcome.run_id
    with store.artifact(outcome.run_id, records.WEIGHTS) as path:
        assert path.read_bytes() == weights


def test_failure_counts_as_an_end_from_a_moment_on(result: Result, store: Store) -> None:
    spec = result.started.spec
    failed = store.start(result.started)
    store.end(failed, Ended(result.started, "FAILED", "boom", (), 100.0))
    assert store.find_ended(spec, since=101.0) is None
    assert (run := store.find_ended(spec, since=99.0)) and run.run_id == failed
    finished = store.start(dataclasses.replace(result.started, id="1" * 32))
    store.finish(finished, dataclasses.replace(result, end_time=50.0))
    assert (run := store.find_ended(spec, since=99.0)) and run.run_id == finished


def test_two_ingests_at_a_time_log_each_record_once(
    result: Result, store: Store, tmp_path: Path, few_icons: Path
) -> None:
    root = tmp_path / "records"
    for seed in range(6):
        spec = RunSpec("standard", str(few_icons), evaluation=2, kernel_size=3, seed=seed)
        started = dataclasses.replace(result.started, id=f"{seed:032x}", spec=spec)
        records.write(dataclasses.replace(result, started=started), root)
    code = "import sys; from benchmark.cli import main; sys.exit(main(sys.argv[1:]))"
    line = [sys.executable, "-c", code, "ingest", str(root), "--tracking-uri", store.uri]
    processes = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(output.count(": finished, run ") for output in outputs) == 6
    assert len(store.read([STIR])) == 6
    assert records.find(root) == []


def test_broken_record_stays_and_the_others_go_on(result: Result, store: Store, tmp_path: Path) -> None:
    root = tmp_path / "records"
    records.write(result, root)
    broken = root / "0000-broken"
    broken.mkdir()
    (broken / records.RECORD).write_text("{}")
    outcomes = list(ingest(root, store))
    assert [bool(outcome.error) for outcome in outcomes] == [True, False]
    assert records.find(root) == [broken]


def test_ingest_removes_what_it_has_logged_and_nothing_else(result: Result, store: Store, tmp_path: Path) -> None:
    # A folder of records that is one itself, beside files of somebody's: a slip of cp, or an archive.
    root = tmp_path / "records"
    inner = records.write(result, root)
    other = dataclasses.replace(result, started=dataclasses.replace(result.started, id="2" * 32))
    outer = records.write(other, tmp_path)
    for path in outer.iterdir():
        shutil.move(path, root)
    (root / "thesis.txt").write_text("years of work")
    (root / "photos").mkdir()
    (root / "photos" / "one.png").write_bytes(b"1")
    outcomes = list(ingest(f"{root}/", store))
    assert [outcome.folder for outcome in outcomes] == [root, inner]
    assert all(outcome.run_id for outcome in outcomes)
    left = {str(path.relative_to(root)) for path in root.rglob("*") if path.name != ".ingest.lock"}
    assert left == {"thesis.txt", "photos", "photos/one.png"}


def test_record_that_is_the_current_folder_is_ingested(
    result: Result, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = records.write(result, tmp_path / "records")
    monkeypatch.chdir(folder)
    assert main(["ingest", ".", "--tracking-uri", str(database)]) == 0
    assert "1 logged" in capsys.readouterr().out
    assert not folder.exists()


def test_second_run_of_one_spec_is_said_and_takes_no_place(
    result: Result, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = store.start(result.started)
    store.finish(mine, result)
    later = dataclasses.replace(result.started, id="3" * 32)
    records.write(dataclasses.replace(result, started=later, end_time=result.end_time + 1000), tmp_path / "records")
    assert main(["ingest", str(tmp_path / "records"), "--tracking-uri", store.uri]) == 0
    assert f"a second run of the same settings; run {mine} stays the one that counts" in capsys.readouterr().out
    finished = store.read([STIR], statuses=["FINISHED"])
    assert len(finished) == 2
    assert finished[0].run_id != mine  # the latest, which used to count
    assert Source(STIR, [MLFLOW], store.uri).runs["run_id"].tolist() == [mine]
    assert (found := store.find_finished(result.started.spec)) and found.run_id == mine
    store.client.delete_run(mine)
    assert Source(STIR, [MLFLOW], store.uri).runs["run_id"].tolist() == [finished[0].run_id]


def test_removal_that_was_cut_short_is_finished_by_the_next(result: Result, store: Store, tmp_path: Path) -> None:
    folder = records.write(result, tmp_path)
    (folder / records.RECORD).rename(folder / records.LOGGED)
    assert list(ingest(tmp_path, store, keep=True)) == []
    assert folder.exists()
    assert list(ingest(tmp_path, store)) == []
    assert not folder.exists()


def test_record_in_a_folder_that_is_a_link_is_refused(result: Result, store: Store, tmp_path: Path) -> None:
    elsewhere = records.write(result, tmp_path / "elsewhere")
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "link").symlink_to(elsewhere)
    (outcome,) = ingest(tmp_path / "records", store)
    assert "symbolic link" in outcome.error
    assert sorted(path.name for path in elsewhere.iterdir()) == sorted(records.FILES)


def test_runs_come_back_as_one_table(result: Result, store: Store, tmp_path: Path) -> None:
    assert Source(STIR, [MLFLOW], store.uri).runs.empty
    base = RunSpec("standard", "emoji", evaluation=2)
    specs = {
        "old": base,
        "new": base,
        "other": dataclasses.replace(base, seed=2, lr=0.01),
        "short": dataclasses.replace(base, max_epochs=2),
    }
    for index, spec in enumerate(specs.values()):
        started = dataclasses.replace(result.started, id=f"{index:032x}", spec=spec)
        live = LiveRun(store)
        live.started(started)
        live.finished(dataclasses.replace(result, started=started, end_time=result.end_time + index))
    every = Source(STIR, [MLFLOW], store.uri).runs
    assert is_short(every).tolist() == [True, False, False]  # the latest come first
    # The repeated run counts once.
    frame = every[~is_short(every)]
    assert sorted(frame["seed"]) == [1, 2]
    assert set(frame["source"]) == {"ours"}
    assert frame.loc[frame["seed"] == 2, "lr"].item() == 0.01
    assert frame["test_acc"].tolist() == [result.metrics["test_acc"]] * 2
    assert (frame["parameters"] == result.started.parameters).all()


def test_experiments_answer_one_question_each() -> None:
    spec = RunSpec("standard", "emoji", evaluation=2)
    assert experiment_name(spec) == "stir/emoji/Mid2Rest"
    assert experiment_name(dataclasses.replace(spec, max_epochs=2)) == "stir/emoji/Mid2Rest/custom"


def test_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("not a database" * 100)
    with pytest.raises(TrackingError, match="not a database") as caught:
        Store(str(path))
    assert "\n" not in str(caught.value)


def test_server_that_is_not_there(python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    code = "import sys; from benchmark.cli import main; sys.exit(main(sys.argv[1:]))"
    line = ["run", "-m", "standard", "-d", "emoji", "-e", "2", "--tracking-uri", "http://127.0.0.1:9"]
    done = python(code, *line, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "http://127.0.0.1:9" in done.stderr


def test_description_of_the_machine_is_json(result: Result) -> None:
    import json

    started: Started = result.started
    assert json.loads(json.dumps(started.environment)) == started.environment
    assert started.environment["packages"]["torch"]
    assert started.environment["device"] == "cpu"
