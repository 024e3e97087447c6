"""Record folders: one finished run, self-contained, for machines that cannot or should not reach MLflow.

A record is `<hash>-<id>/` with `record.json`, `environment.json` and, of a run that finished,
`model.safetensors` and `predictions.npz`. It appears at once or not at all: everything is written into a
hidden folder beside it, flushed to the disk and then renamed. `benchmark ingest` moves records to MLflow.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.events import EPOCH_METRICS, Ended, Observer, Result, Started
from benchmark.spec import RunSpec
from siconvnet.errors import SiconvnetError
from siconvnet.whole_files import sync

FORMAT = 1
RECORD, ENVIRONMENT, WEIGHTS, PREDICTIONS = "record.json", "environment.json", "model.safetensors", "predictions.npz"
#: Folders that begin like this are being written or removed; nobody reads them.
PARTIAL = ".partial-"
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "format": int,
    "id": str,
    "spec": dict,
    "spec_hash": str,
    "dataset_key": str,
    "status": str,
    "reason": str,
    "start_time": (int, float),
    "end_time": (int, float),
    "parameters": int,
    "metrics": dict,
    "history": list,
}
_STATUSES = ("FINISHED", "FAILED", "KILLED")
_EPOCH_FIELDS = {"number", "time", *EPOCH_METRICS}


class RecordError(SiconvnetError):
    """A record folder that cannot be written or is not what it should be."""


@dataclass(frozen=True)
class Record:
    """A record as it was read; `folder` holds its artifacts."""

    folder: Path
    id: str
    spec: RunSpec
    spec_hash: str
    dataset_key: str
    status: str
    reason: str
    start_time: float
    end_time: float
    parameters: int
    metrics: dict[str, float]
    history: list[dict[str, float]]
    environment: dict[str, Any]

    @property
    def artifacts(self) -> list[Path]:
        """The files that a store keeps: weights, predictions, environment."""
        names = (WEIGHTS, PREDICTIONS, ENVIRONMENT)
        return [self.folder / name for name in names if (self.folder / name).is_file()]


class RecordWriter(Observer):
    """Writes each run that finished or failed into `root`; a killed one leaves nothing.

    Args:
        root: folder of records; made if it does not exist.

    Attributes:
        written: the record folders, in order.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)
        self.written: list[Path] = []

    def started(self, started: Started) -> None:
        # Hours of training must not end in a folder that could never be written.
        check_writable(self.root)

    def finished(self, result: Result) -> None:
        self.written.append(write(result, self.root))

    def ended(self, ended: Ended) -> None:
        if ended.status == "FAILED":
            self.written.append(write(ended, self.root))


def check_writable(root: Path) -> None:
    """Make `root` and prove that it takes files.

    Raises:
        RecordError: it does not.
    """
    probe = root / f"{PARTIAL}probe-{os.getpid()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0")
        probe.unlink()
    except OSError as error:
        raise RecordError(f"cannot write records into {str(root)!r}: {error.strerror or error}.") from error


def write(run: Result | Ended, root: Path) -> Path:
    """Write one run as a record folder under `root`, atomically; its path.

    Raises:
        RecordError: the folder cannot be written; nothing is left behind.
    """
    started = run.started
    final = root / f"{started.spec.hash[:16]}-{started.id}"
    with laid(final) as folder:
        write_artifacts(run, folder)
        _write_json(folder / RECORD, _description(run))
    return final


@contextlib.contextmanager
def laid(final: Path) -> Iterator[Path]:
    """A hidden folder to write a record into, which is `final` after the block: whole, on the disk, or not at all.

    One that is there already stays.

    Raises:
        RecordError: it cannot be written; nothing is left behind.
    """
    hidden = final.with_name(f"{PARTIAL}{final.name}")
    try:
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir(parents=True)
        yield hidden
        sync(hidden)
        if not final.exists():
            hidden.rename(final)
            sync(final.parent)
    except OSError as error:
        raise RecordError(f"cannot write the record {str(final)!r}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def write_artifacts(run: Result | Ended, folder: Path) -> None:
    """Write what a store keeps of a run beside its figures: environment, and if it finished weights and
    predictions."""
    _write_json(folder / ENVIRONMENT, run.started.environment)
    if isinstance(run, Result):
        from safetensors.torch import save

        metadata = {"spec": json.dumps(run.started.spec.to_dict(), sort_keys=True)}
        # Clones: safetensors refuses tensors that share memory, as tied weights do.
        weights = {name: value.contiguous().clone() for name, value in run.weights.items()}
        write_bytes(folder / WEIGHTS, save(weights, metadata=metadata))
        with (folder / PREDICTIONS).open("wb") as file:
            arrays: dict[str, Any] = dict(run.predictions.arrays())
            np.savez_compressed(file, **arrays)
            _flush(file)


def find(root: Path | str) -> list[Path]:
    """The complete record folders under `root`, by name; a folder that is a record gives itself.

    Raises:
        RecordError: there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise RecordError(f"no folder {str(root)!r}; give the one that --records wrote into.")
    if (root / RECORD).is_file():
        return [root]
    return sorted(f for f in root.iterdir() if not f.name.startswith(".") and (f / RECORD).is_file())


def find_finished(root: Path | str, spec_hash: str) -> Record | None:
    """The record under `root` of a finished run of this spec, if there is one that this version can read."""
    for folder in sorted(Path(root).glob(f"{spec_hash[:16]}-*")):
        # Another process may hand it over and remove it at any moment.
        with contextlib.suppress(RecordError):
            if (record := read(folder)).status == "FINISHED":
                return record
    return None


def read(folder: Path | str) -> Record:
    """Read and check a record folder.

    Raises:
        RecordError: it is none, of a newer format, or broken; the message says where.
    """
    folder = Path(folder)
    values = _read_json(folder / RECORD)
    if values.get("format") != FORMAT:
        raise RecordError(f"{folder.name}: record format {values.get('format')!r}; this version reads {FORMAT}.")
    for name, kind in _FIELDS.items():
        if not isinstance(values.get(name), kind):
            raise RecordError(f"{folder.name}: {RECORD} lacks a proper {name!r}.")
    if not re.fullmatch("[0-9a-f]{32}", values["id"]):
        raise RecordError(f"{folder.name}: {values['id']!r} is no record id.")
    if values["status"] not in _STATUSES:
        raise RecordError(f"{folder.name}: status {values['status']!r} is none of {', '.join(_STATUSES)}.")
    if not all(isinstance(epoch, dict) and epoch.keys() >= _EPOCH_FIELDS for epoch in values["history"]):
        raise RecordError(f"{folder.name}: an epoch of its history is incomplete.")
    for where, figures in (("metrics", values["metrics"]), *((f"epoch {e['number']}", e) for e in values["history"])):
        own = figures.get("own", {})
        for name, value in {**figures, **(own if isinstance(own, dict) else {"own figures": own}), "own": None}.items():
            if value is not None and not _is_number(value):
                raise RecordError(f"{folder.name}: {name} of its {where} is {value!r}, which is no number.")
    if values["status"] == "FINISHED" and "test_acc" not in values["metrics"]:
        raise RecordError(f"{folder.name}: a finished run without a test accuracy.")
    for name in (WEIGHTS, PREDICTIONS) if values["status"] == "FINISHED" else ():
        if not (folder / name).is_file():
            raise RecordError(f"{folder.name}: {name} is missing.")
    try:
        spec = RunSpec.from_dict(values["spec"])
    except SiconvnetError as error:
        raise RecordError(f"{folder.name}: {error}") from None
    known = {name: values[name] for name in _FIELDS if name not in ("format", "spec")}
    return Record(folder=folder, spec=spec, environment=_read_json(folder / ENVIRONMENT), **known)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _description(run: Result | Ended) -> dict[str, Any]:
    started = run.started
    return {
        "format": FORMAT,
        "id": started.id,
        "spec": started.spec.to_dict(),
        # Said here because the machine that reads the record may lack the data file that they come from.
        "spec_hash": started.spec.hash,
        "dataset_key": started.spec.dataset_key,
        "status": "FINISHED" if isinstance(run, Result) else run.status,
        "reason": "" if isinstance(run, Result) else run.reason,
        "start_time": started.time,
        "end_time": run.end_time,
        "parameters": started.parameters,
        "metrics": run.metrics if isinstance(run, Result) else {},
        "history": [asdict(epoch) for epoch in run.history],
    }


def _write_json(path: Path, values: Any) -> None:
    text = json.dumps(values, indent=1, sort_keys=True, allow_nan=False)
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file and see it on the disk."""
    with path.open("wb") as file:
        file.write(content)
        _flush(file)


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"{path.parent.name}: cannot read {path.name}: {error.strerror}.") from None
    except ValueError as error:
        raise RecordError(f"{path.parent.name}: {path.name} is no JSON ({error}).") from None
    if not isinstance(values, dict):
        raise RecordError(f"{path.parent.name}: {path.name} holds no object.")
    return values
