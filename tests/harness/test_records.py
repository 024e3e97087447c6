"""Record folders: whole or not there, checked when read, and without MLflow."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from benchmark.events import Result
from benchmark.predictions import Predictions
from benchmark.spec import RunSpec
from benchmark.training import records
from benchmark.training.divergence import TrainingError
from benchmark.training.execution import execute
from benchmark.training.records import RecordError, RecordWriter


@pytest.fixture(scope="module")
def result(few_icons: Path) -> Result:
    return execute(RunSpec("standard", str(few_icons), 2, kernel_size=3, max_epochs=2), device="cpu")


def test_record_holds_the_whole_run(result: Result, tmp_path: Path) -> None:
    record = records.read(records.write(result, tmp_path))
    assert (record.status, record.spec, record.id) == ("FINISHED", result.started.spec, result.started.id)
    assert record.metrics == result.metrics
    assert [epoch["val_loss"] for epoch in record.history] == [epoch.val_loss for epoch in result.history]
    assert record.environment["packages"]["torch"]
    with np.load(record.folder / records.PREDICTIONS, allow_pickle=False) as arrays:
        again = Predictions.from_arrays(arrays)
    assert np.array_equal(again.predicted, result.predictions.predicted)
    with safe_open(record.folder / records.WEIGHTS, "pt") as file:
        assert all(file.get_tensor(name).equal(value) for name, value in result.weights.items())
        assert RunSpec.from_dict(json.loads(file.metadata()["spec"])) == record.spec
    assert [path.name for path in tmp_path.iterdir()] == [record.folder.name]
    assert records.find(tmp_path) == records.find(record.folder) == [record.folder]
    found = records.find_finished(tmp_path, record.spec.hash)
    assert found and (found.folder, found.metrics) == (record.folder, record.metrics)
    assert records.find_finished(tmp_path, "0" * 64) is None


def test_failed_run_leaves_a_record_with_its_reason(spec: RunSpec, tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    with pytest.raises(TrainingError):
        execute(dataclasses.replace(spec, lr=1e30), device="cpu", observers=[writer])
    record = records.read(writer.written[0])
    assert record.status == "FAILED"
    assert "loss became" in record.reason
    assert [path.name for path in record.artifacts] == [records.ENVIRONMENT]
    assert records.find_finished(tmp_path, record.spec_hash) is None


def test_half_written_record_is_never_seen(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        assert records.find(tmp_path) == []
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records, "sync", fail)
    with pytest.raises(RecordError, match="No space left"):
        records.write(result, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [100, 4_000])
def test_full_disk_leaves_nothing(
    limit: int, spec: RunSpec, tmp_path: Path, python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    # A limit on file sizes makes writes fail part of the way, at another file each time.
    code = """
import json, resource, sys
from benchmark.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(main(sys.argv[2:]))
"""
    root = tmp_path / "records"
    line = ["run", "-m", "standard", "-d", spec.dataset, "-e", "2", "--kernel-size", "3", "--epochs", "1"]
    done = python(code, str(limit), *line, "--records", str(root), "-q")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_folder_that_cannot_be_is_refused_before_training(spec: RunSpec, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    writer = RecordWriter(tmp_path / "file" / "records")
    with pytest.raises(RecordError, match="Not a directory"):
        execute(dataclasses.replace(spec, max_epochs=10**6), device="cpu", observers=[writer])


def break_json(folder: Path) -> None:
    (folder / records.RECORD).write_text("{")


def edit(**changes: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / records.RECORD
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return apply


def edit_epoch(**changes: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        first, *others = json.loads((folder / records.RECORD).read_text())["history"]
        edit(history=[{**first, **changes}, *others])(folder)

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_json, "no JSON"),
        (edit(format=2), "format 2"),
        (edit(status="DONE"), "'DONE'"),
        (edit(history=[{"number": 1}]), "epoch"),
        (edit(metrics={}), "test accuracy"),
        (edit(metrics=None), "'metrics'"),
        (edit(metrics={"test_acc": "high"}), "test_acc of its metrics is 'high', which is no number"),
        (edit(metrics={"test_acc": float("nan")}), "no number"),
        (edit_epoch(train_loss="low"), "train_loss of its epoch 1 is 'low'"),
        (edit_epoch(own="none"), "own figures of its epoch 1 is 'none'"),
        (edit_epoch(own={"isr": []}), r"isr of its epoch 1 is \[\]"),
        (edit(spec={"model": "standard"}), "dataset"),
        (edit(id="' or 1=1"), "no record id"),
        (lambda folder: (folder / records.WEIGHTS).unlink(), "missing"),
        (lambda folder: (folder / records.ENVIRONMENT).unlink(), "environment.json"),
    ],
)
def test_damage_is_named(damage: Callable[[Path], None], message: str, result: Result, tmp_path: Path) -> None:
    folder = records.write(result, tmp_path)
    records.read(folder)
    damage(folder)
    with pytest.raises(RecordError, match=message):
        records.read(folder)


def test_run_with_records_needs_no_mlflow(
    spec: RunSpec, tmp_path: Path, python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mlflow", "sqlalchemy", "alembic"):
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Absent())
from benchmark.cli import main
sys.exit(main(sys.argv[1:]))
"""
    line = ["run", "-m", "standard", "-d", spec.dataset, "-e", "2", "--kernel-size", "3", "--epochs", "1"]
    done = python(code, *line, "--records", str(tmp_path / "records"))
    assert done.returncode == 0, done.stderr
    assert len(records.find(tmp_path / "records")) == 1
    # The blocker blocks: the same run towards MLflow says what is missing.
    refused = python(code, *line)
    assert refused.returncode == 1
    assert "mlflow is not installed" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_copy_of_a_record_is_a_record(result: Result, tmp_path: Path) -> None:
    folder = records.write(result, tmp_path / "one")
    copy = Path(shutil.copytree(folder, tmp_path / "two" / folder.name))
    assert records.read(copy).metrics == result.metrics
