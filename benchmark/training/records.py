"""Record folders: one finished run, self-contained, for machines that cannot or should not reach MLflow.

A record is `<hash>-<id>/` with `record.json`, `environment.json` and, of a run that finished,
`model.safetensors` and `predictions.npz`; `SHA256SUMS`, as `sha256sum --check` reads it, covers them all. It appears
at once or not at all: everything is written into a hidden folder beside it, flushed to the disk and then renamed.
`benchmark ingest` moves records to MLflow. A record is checked as a whole before anything of it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import shutil
import stat
import tempfile
import uuid
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.events import Ended, Observer, Result, Started
from benchmark.predictions import Predictions
from benchmark.spec import RunSpec, is_key_of
from benchmark.training import record_schema
from benchmark.training.record_schema import Description
from siconvnet.errors import SiconvnetError
from siconvnet.regular_files import open_regular
from siconvnet.safe_text import printable
from siconvnet.whole_files import sync

#: What is written. Format 1, without checksums and the model's key, is still read.
FORMAT = 2
RECORD, ENVIRONMENT, WEIGHTS, PREDICTIONS = "record.json", "environment.json", "model.safetensors", "predictions.npz"
SUMS = "SHA256SUMS"
#: All that a record of a finished run is made of.
FILES = (RECORD, ENVIRONMENT, WEIGHTS, PREDICTIONS, SUMS)
#: What `record.json` is renamed to once the record is in a store, while its files are removed.
LOGGED = "logged.json"
#: Folders that begin like this are being written; nobody reads them.
PARTIAL = ".partial-"
#: The most bytes that are read of a file of text, and of an array once it is unpacked.
_TEXT_LIMIT, _ARRAY_LIMIT = 64 * 2**20, 512 * 2**20


class RecordError(SiconvnetError):
    """A record folder that cannot be written or is not what it should be; its line holds nothing but text."""

    def __init__(self, line: str):
        super().__init__(printable(line))


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
        """The files that a store keeps: the environment, and of a finished run weights and predictions."""
        names = (WEIGHTS, PREDICTIONS, ENVIRONMENT) if self.status == "FINISHED" else (ENVIRONMENT,)
        return [self.folder / name for name in names]


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
        seal(folder)
    return final


def seal(folder: Path) -> None:
    """Write the checksums of a record's files, in the form of `sha256sum`."""
    names = [name for name in FILES if name != SUMS and (folder / name).is_file()]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    write_bytes(folder / SUMS, "".join(lines).encode("ascii"))


def remove(folder: Path) -> None:
    """Remove the files that a record is made of, and the folder if it holds nothing else.

    The first step makes the folder cease to be a record, so what is left of a removal that was cut short is never
    taken for one; `find_removed` finds it.

    Raises:
        RecordError: a file cannot be removed.
    """
    try:
        with contextlib.suppress(FileNotFoundError):
            (folder / RECORD).rename(folder / LOGGED)
        for name in (*FILES, LOGGED):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise RecordError(f"{folder.name}: cannot remove it: {error.strerror or error}.") from None
    with contextlib.suppress(OSError):  # it holds files of others, or is somebody's current folder
        folder.rmdir()


@contextlib.contextmanager
def laid(final: Path) -> Iterator[Path]:
    """A hidden folder to write a record into, which is `final` after the block: whole, on the disk, or not at all.

    One that is there already stays.

    Raises:
        RecordError: it cannot be written; nothing is left behind.
    """
    # A name of its own: what another process left, or is writing, is never in the way.
    hidden = final.with_name(f"{PARTIAL}{final.name}-{uuid.uuid4().hex[:8]}")
    try:
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
    """The complete record folders in `root`, by name; `root` itself comes first if it is one.

    Raises:
        RecordError: there is no such folder.
    """
    return _with_file(root, RECORD)


def find_removed(root: Path | str) -> list[Path]:
    """The folders in `root`, or `root` itself, of records that are in a store and were not removed to the end.

    Raises:
        RecordError: there is no such folder.
    """
    return _with_file(root, LOGGED)


def _with_file(root: Path | str, name: str) -> list[Path]:
    root = Path(root).absolute()
    if not root.is_dir():
        raise RecordError(f"no folder {str(root)!r}; give the one that --records wrote into.")
    folders = [root, *sorted(folder for folder in root.iterdir() if not folder.name.startswith("."))]
    return [folder for folder in folders if (folder / name).is_file() and not (folder / name).is_symlink()]


def find_finished(root: Path | str, spec_hash: str) -> Record | None:
    """The record under `root` of a finished run of this spec, if there is one that this version can read."""
    for folder in sorted(Path(root).glob(f"{spec_hash[:16]}-*")):
        # Another process may hand it over and remove it at any moment.
        with contextlib.suppress(RecordError):
            record = read(folder)
            if (record.status, record.spec_hash) == ("FINISHED", spec_hash):
                return record
    return None


@contextlib.contextmanager
def private_copy(folder: Path) -> Iterator[Path]:
    """A copy of a record in a folder that only this user can write, for the block.

    What is read from it is what is taken over from it, whatever becomes of the record meanwhile.

    Raises:
        RecordError: a file of the record is not a regular file, or cannot be copied.
    """
    with tempfile.TemporaryDirectory(prefix="siconvnet-") as place:
        copy = Path(place) / folder.name
        try:
            _refuse_link(folder)
            copy.mkdir()
            for name in FILES:
                if os.path.lexists(folder / name):  # of one that is missing, `read` says so
                    with _opened(folder / name) as source, (copy / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
        except RecordError as error:
            raise RecordError(f"{folder.name}: {error}") from None
        yield copy


def read(folder: Path | str) -> Record:
    """Read a record and check all of it: kinds, names and ranges, checksums, weights, and whether its figures are
    those of its predictions. Nothing is imported that the record names.

    Raises:
        RecordError: it is not a record, of a newer format, or broken; the message says where.
    """
    folder = Path(folder)
    try:
        return _read(folder)
    except SiconvnetError as error:
        raise RecordError(f"{folder.name}: {error}") from None


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():
        raise RecordError("it is a symbolic link; give the folder that it leads to.")


def _read(folder: Path) -> Record:
    _refuse_link(folder)
    content = _content(folder / RECORD)
    with _within(RECORD):
        found = record_schema.format_of(content)
        if found not in (1, FORMAT):
            raise RecordError(f"record format {str(found)[:20]}; this version reads 1 and {FORMAT}.")
        said = record_schema.parse(Description, content)
        spec = RunSpec.from_dict(said.spec)
        _check_hash(spec, said)
    environment = _content(folder / ENVIRONMENT)
    with _within(ENVIRONMENT):
        described = record_schema.parse(record_schema.Environment, environment)
    if said.format > 1:
        _check_sums(folder)
    if said.status == "FINISHED":
        _check_weights(folder / WEIGHTS, said.parameters)
        _check_figures(said.metrics, spec, folder / PREDICTIONS)
    return Record(
        folder,
        said.id,
        spec,
        said.spec_hash,
        said.dataset_key,
        said.status,
        said.reason,
        said.start_time,
        said.end_time,
        said.parameters,
        said.metrics,
        [epoch.model_dump() for epoch in said.history],
        described.model_dump(exclude_unset=True),
    )


@contextlib.contextmanager
def _within(name: str) -> Iterator[None]:
    """Name the file that an error is about."""
    try:
        yield
    except RecordError:
        raise
    except SiconvnetError as error:
        raise RecordError(f"{name}: {error}") from None


def _check_hash(spec: RunSpec, said: Description) -> None:
    """Refuse a hash that is not of the spec, under which the run would stand for another one."""
    if not is_key_of(said.dataset_key, spec.dataset):
        raise RecordError(f"dataset_key is not of the data set {spec.dataset!r}.")
    model_key = said.model_key
    if model_key is None:
        if said.format > 1:
            raise RecordError(f"{RECORD}: model_key is missing.")
        if ":" in spec.model:  # format 1 does not say of which source
            return
        model_key = spec.model
    if not (is_key_of(model_key, spec.model) if ":" in spec.model else model_key == spec.model):
        raise RecordError(f"model_key is not of the model {spec.model!r}.")
    if spec.hash_with(model_key, said.dataset_key) != said.spec_hash:
        raise RecordError("spec_hash is not that of its spec.")


def _check_sums(folder: Path) -> None:
    """Compare the files with their checksums."""
    lines = _content(folder / SUMS).decode("utf-8", "replace").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in FILES:
        if name == SUMS or (name not in sums and not (folder / name).exists()):
            continue
        with _opened(folder / name) as file:
            if sums.get(name) != hashlib.file_digest(file, "sha256").hexdigest():
                raise RecordError(f"{name} is damaged: it does not have the checksum in {SUMS}.")


def _check_weights(path: Path, parameters: int) -> None:
    """Refuse what is not a file of weights, or holds fewer numbers than were trained."""
    from safetensors import safe_open

    with _opened(path):
        pass  # refuses a link, which the following would go after
    try:
        with safe_open(path, "numpy") as file:
            count = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except Exception as error:  # of many kinds, as the damage
        raise RecordError(f"{path.name} is damaged: {_one_line(error)}.") from None
    if count < parameters:
        raise RecordError(f"{path.name} holds {count:,} numbers, fewer than the {parameters:,} that were trained.")


def _check_figures(metrics: dict[str, float], spec: RunSpec, path: Path) -> None:
    """Refuse figures that are not those of the predictions."""
    content = _content(path, _ARRAY_LIMIT)
    try:
        predictions = Predictions.from_arrays(_arrays(content))
        predictions.check()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a mean over no images; its nan is equal to nothing
            computed = spec.study.summarise(spec, predictions)
    except Exception as error:
        raise RecordError(f"{path.name} is damaged: {_one_line(error)}.") from None
    for name, value in computed.items():
        if name in metrics and not math.isclose(metrics[name], value, rel_tol=1e-5, abs_tol=1e-6):
            raise RecordError(f"{name} is {metrics[name]:g}, and its predictions come to {value:g}.")


def _arrays(content: bytes) -> dict[str, Any]:
    """The arrays of an ``.npz``, none of them larger than the limit."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            if member.file_size > _ARRAY_LIMIT:
                raise RecordError(f"{member.filename[:100]!r} unpacks to {member.file_size:,} bytes")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("predicted", "labels", "scales", "losses")}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__


def _description(run: Result | Ended) -> dict[str, Any]:
    started = run.started
    return {
        "format": FORMAT,
        "id": started.id,
        "spec": started.spec.to_dict(),
        # Said here because the machine that reads the record may lack the files that they come from.
        "spec_hash": started.spec.hash,
        "model_key": started.spec.model_key,
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


def _content(path: Path, limit: int = _TEXT_LIMIT) -> bytes:
    """What a file of a record holds; not more than `limit` bytes are ever read."""
    with _opened(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise RecordError(f"{path.name} is larger than {limit:,} bytes.")
    return content


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    """A file of a record, to be read. Links are not followed: what they lead to is not the record's to give away.

    Raises:
        RecordError: it is missing, cannot be read, or is not a regular file.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise RecordError(f"{path.name} must be a regular file.")
        stream = open_regular(path)
    except FileNotFoundError:
        raise RecordError(f"{path.name} is missing.") from None
    except OSError as error:
        raise RecordError(f"cannot read {path.name}: {error.strerror or error}.") from None
    with stream as file:
        try:
            yield file
        except OSError as error:
            raise RecordError(f"cannot read {path.name}: {error.strerror or error}.") from None
