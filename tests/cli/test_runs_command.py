"""`benchmark runs`: what is listed, shown and deleted is what the store has."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.events import Started
from benchmark.spec import RunSpec
from benchmark.store import Store


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a finished, a failed and a running run."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    store = Store(str(path))
    for seed, status in enumerate(("FINISHED", "FAILED", None), 1):
        spec = RunSpec("standard", "emoji", evaluation=2, seed=seed)
        run = store.start(Started(f"{seed}", spec, 1.0, 10, {}))
        store.client.log_metric(run, "test_acc", 70.0 + seed)
        if status:
            store.client.set_terminated(run, status, 1000 * seed)
    return path


@pytest.fixture
def store(full: Path, tmp_path: Path) -> Store:
    return Store(str(shutil.copy(full, tmp_path / "mlflow.db")), create=False)


def called(capsys: pytest.CaptureFixture[str], store: Store, *words: str, code: int = 0) -> str:
    assert main(["runs", *words, "--tracking-uri", store.uri]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def test_runs_are_listed_the_latest_first(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    heading, *lines = called(capsys, store, "list").splitlines()
    assert heading.split() == ["run", "status", "ended", "name", "dataset", "test"]
    assert [line.split()[1] for line in lines] == ["running", "failed", "finished"]
    ids = {run.run_id[:8] for run in store.read()}
    assert {line.split()[0] for line in lines} == ids
    assert lines[2].endswith("emoji    71.00 %")
    (_, only) = called(capsys, store, "list", "--status", "failed").splitlines()
    assert "72.00" in only
    assert called(capsys, store, "list", "--limit", "1").splitlines()[-1] == "and 2 earlier ones (--limit)"
    assert called(capsys, store, "list", "--status", "killed").startswith("no killed runs in ")
    lines = called(capsys, store, "list", "--format", "latex", "--limit", "1").splitlines()
    assert lines[0] == r"\begin{tabular}{lllllr}" and lines[-1] == "% and 2 earlier ones (--limit)"
    assert called(capsys, store, "list", "--format", "csv").count("\n") == 4


def test_a_run_is_shown_by_the_beginning_of_its_id(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = store.read(statuses=["FINISHED"])
    told = called(capsys, store, "show", run.run_id[:8])
    assert told.startswith(f"run {run.run_id}: finished")
    for line in ("  kernel_size: 7", "  test_acc: 71", f"  spec_hash: {run.tags['spec_hash']}"):
        assert line in told.splitlines()


@pytest.mark.parametrize(("run_id", "said"), [("zzz", "there is no run 'zzz'"), ("", "there is no run ''")])
def test_an_unknown_run_is_named(store: Store, capsys: pytest.CaptureFixture[str], run_id: str, said: str) -> None:
    for command in ("show", "delete"):
        assert said in called(capsys, store, command, run_id, code=2)


def test_runs_are_deleted_after_a_question(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = store.read(statuses=["FINISHED"])
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    assert main(["runs", "delete", run.run_id, "--tracking-uri", store.uri]) != 0
    assert len(store.read()) == 3
    assert called(capsys, store, "delete", run.run_id[:10], "--yes").splitlines()[-1] == "deleted: 1"
    assert [left.status for left in store.read()] == ["FAILED", "RUNNING"]
    assert store.client.get_run(run.run_id).info.lifecycle_stage == "deleted"


def test_a_run_that_goes_on_is_not_deleted(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (running,) = store.read(statuses=["RUNNING"])
    (failed,) = store.read(statuses=["FAILED"])
    assert "still running" in called(capsys, store, "delete", failed.run_id, running.run_id, "--yes", code=2)
    assert len(store.read()) == 3


def test_status_points_at_single_runs(store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["status", "--tracking-uri", store.uri, "--work-dir", str(tmp_path / "work")]) == 1
    assert "benchmark runs list" in capsys.readouterr().err
