"""Record folders: whole or not there, checked when read, and without MLflow."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from benchmark.events import Result
from benchmark.predictions import Predictions
from benchmark.spec import RunSpec
from benchmark.training import records
from benchmark.training.divergence import TrainingError
from benchmark.training.execution import execute
from benchmark.training.records import RecordError, RecordWriter


@pytest.fixture(scope="module")
def result(few_icons: Path) -> Result:
    return execute(RunSpec("standard", str(few_icons), evaluation=2, kernel_size=3, max_epochs=2), device="cpu")


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


Damage = Callable[[Path], None]


def edit(*where: str | int, to: object) -> Damage:
    """Write another value somewhere into `record.json`, as somebody would who knows of the checksums."""

    def apply(folder: Path) -> None:
        path = folder / records.RECORD
        values = place = json.loads(path.read_text())
        for key in where[:-1]:
            place = place[key]
        place[where[-1]] = to
        path.write_text(json.dumps(values))
        records.seal(folder)

    return apply


def put(name: str, content: bytes, *, sealed: bool = True) -> Damage:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes(content)
        if sealed:
            records.seal(folder)

    return apply


def halve(name: str) -> Damage:
    return lambda folder: put(name, (folder / name).read_bytes()[: (folder / name).stat().st_size // 2])(folder)


def flip_a_bit(name: str) -> Damage:
    def apply(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        put(name, bytes(content), sealed=False)(folder)

    return apply


def drop(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def link(name: str) -> Damage:
    """Put a link to a secret in the place of a file."""

    def apply(folder: Path) -> None:
        secret = folder.parent / "secret"
        (folder / name).rename(secret)
        (folder / name).symlink_to(secret)

    return apply


def pipe(name: str) -> Damage:
    def apply(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return apply


def swap_predictions(folder: Path) -> None:
    with np.load(folder / records.PREDICTIONS) as file:
        arrays = dict(file)
    arrays["predicted"] = arrays["labels"]
    np.savez(folder / records.PREDICTIONS, **arrays)
    records.seal(folder)


DAMAGES: list[tuple[Damage, str]] = [
    (put(records.RECORD, b"{"), "Invalid JSON"),
    (put(records.RECORD, b"[" * 100_000), "recursion limit"),
    (put(records.RECORD, b"7"), "Input should be an object"),
    (edit("format", to=3), "record format 3; this version reads 1 and 2"),
    (edit("status", to="DONE"), "status: Input should be 'FINISHED'"),
    (edit("id", to="' or 1=1"), "id: String should match"),
    (edit("history", to=[{"number": 1}]), "history.0.time: Field required"),
    (edit("history", to=[]), "must have a history"),
    (edit("history", 1, "number", to=7), "numbered 1, 2, 3"),
    (edit("history", 0, "train_loss", to="low"), "history.0.train_loss: Input should be a valid number"),
    (edit("history", 0, "train_acc", to=250), "less than or equal to 100"),
    (edit("history", 0, "own", to="none"), "history.0.own: Input should be an object"),
    (edit("history", 0, "own", to={"scales_k=3_isr": 1.0}), "as MLflow takes them"),
    (edit("metrics", to=None), "metrics: Input should be an object"),
    (edit("metrics", to={}), "must have a test_acc"),
    (edit("metrics", "test_acc", to="high"), "metrics.test_acc: Input should be a valid number"),
    (edit("metrics", "test_acc", to=float("nan")), "metrics.test_acc: Input should be a finite number"),
    (edit("metrics", "test_acc", to=10**400), "metrics.test_acc: Input should be a finite number"),
    (edit("metrics", "test_acc", to=250.0), "test_acc must be within 0 and 100, not 250"),
    (edit("metrics", "test_acc", to=99.9), "test_acc is 99.9, and its predictions come to"),
    (edit("metrics", "best_acc", to=99.9), "not the best val_acc"),
    (edit("metrics", "run_time", to=-3.0), "run_time must not be negative"),
    (edit("metrics", "../x", to=1.0), "as MLflow takes them"),
    (edit("end_time", to=4e9), "end_time: Value error, is not a time|end_time: is not a time"),
    (edit("end_time", to=1e9), "end_time is before start_time"),
    (edit("reason", to=["x"]), "reason: Input should be a valid string"),
    (edit("spec", to={"model": "standard"}), "a run needs dataset"),
    (edit("spec", "evaluation", to=7), "unknown evaluation '7'"),
    (edit("spec", "interpolation", to="magic"), "unknown interpolation 'magic'"),
    (edit("spec", "sigma", to=float("inf")), "sigma inf is not accepted"),
    (edit("spec", "seed", to=2), "spec_hash is not that of its spec"),
    (edit("spec", "model", to="standard\x1b[31m"), "model must be printable text"),
    (edit("spec_hash", to="0" * 64), "spec_hash is not that of its spec"),
    (edit("model_key", to="hermite"), "model_key is not of the model 'standard'"),
    (edit("model_key", to=None), "model_key is missing"),
    (edit("dataset_key", to="emoji"), "dataset_key is not of the data set"),
    (put(records.ENVIRONMENT, b'{"git": 7}'), "environment.json: git"),
    (put(records.ENVIRONMENT, b"\xff"), "environment.json: Invalid JSON"),
    (put(records.WEIGHTS, b""), "model.safetensors is damaged"),
    (put(records.WEIGHTS, save({"w": torch.zeros(1)})), "holds 1 numbers, fewer than the"),
    (put(records.PREDICTIONS, b"PK"), "predictions.npz is damaged"),
    (swap_predictions, "test_loss|test_acc is"),
    *(
        (halve(name), f"{name}.* damaged|Invalid JSON")
        for name in (records.RECORD, records.WEIGHTS, records.PREDICTIONS)
    ),
    *((flip_a_bit(name), "damaged|Invalid") for name in (records.ENVIRONMENT, records.WEIGHTS, records.PREDICTIONS)),
    *((drop(name), f"{name} is missing") for name in records.FILES),
    *((link(name), f"{name} must be a regular file") for name in records.FILES),
    *((pipe(name), f"{name} must be a regular file") for name in records.FILES),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damage_is_named(damage: Damage, message: str, result: Result, tmp_path: Path) -> None:
    folder = records.write(result, tmp_path)
    records.read(folder)
    damage(folder)
    with pytest.raises(RecordError, match=message) as caught:
        records.read(folder)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{folder.name}: ")


def test_record_of_format_1_is_read(result: Result, tmp_path: Path) -> None:
    folder = records.write(result, tmp_path)
    values = json.loads((folder / records.RECORD).read_text())
    del values["model_key"]
    (folder / records.RECORD).write_text(json.dumps({**values, "format": 1}))
    (folder / records.SUMS).unlink()
    assert records.read(folder).metrics == result.metrics


def test_checksums_are_those_of_sha256sum(result: Result, tmp_path: Path) -> None:
    folder = records.write(result, tmp_path)
    check = ["sha256sum", "--check", "--strict", records.SUMS]
    done = subprocess.run(check, cwd=folder, capture_output=True, text=True, check=True)
    assert sorted(line.partition(":")[0] for line in done.stdout.splitlines()) == sorted(
        {*records.FILES} - {records.SUMS}
    )


def test_reading_a_record_imports_nothing(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "innocent"
    package.mkdir()
    (package / "__init__.py").write_text("import pathlib; pathlib.Path(__file__).with_name('ran').touch()\n")
    (package / "sub.py").write_text("class Net: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    spec = dataclasses.replace(result.started.spec, model="innocent.sub:Net")
    assert spec.model_key.startswith("innocent.sub:Net-")
    folder = records.write(
        dataclasses.replace(result, started=dataclasses.replace(result.started, spec=spec)), tmp_path / "records"
    )
    record = records.read(folder)
    assert record.spec == spec
    assert (record.spec.name, record.spec.hash) == ("innocent.sub:Net s1 kernel_size=3 max_epochs=2", spec.hash)
    assert not (package / "ran").exists()
    # The trap works: whoever imports the model, imports the package.
    importlib.import_module("innocent.sub")
    assert (package / "ran").exists()


def test_removal_takes_the_files_of_the_record_and_no_others(result: Result, tmp_path: Path) -> None:
    folder = records.write(result, tmp_path)
    (folder / "notes.txt").write_text("mine")
    (folder / "plots").mkdir()
    records.remove(folder)
    assert {path.name for path in folder.iterdir()} == {"notes.txt", "plots"}
    assert records.find(tmp_path) == records.find_removed(tmp_path) == []
    alone = records.write(result, tmp_path)
    shutil.rmtree(folder / "plots")
    assert alone == folder
    (folder / "notes.txt").unlink()
    records.remove(alone)
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_left_half_written_is_not_in_the_way(result: Result, tmp_path: Path) -> None:
    folder = records.write(result, tmp_path)
    shutil.rmtree(folder)
    (tmp_path / f"{records.PARTIAL}{folder.name}").write_text("no folder, and not to be removed")
    assert records.write(result, tmp_path) == folder
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
