"""The store of results: the only file that imports MLflow.

A run is found again by the hash of its spec (tag `spec_hash`); finished means that MLflow says FINISHED.
Experiments are named `stir/emoji/Mid2Rest`, so that the compare view of one experiment sets the models of
one question side by side; runs that leave the paper's protocol go to `stir/emoji/Mid2Rest/custom`. Other studies name
theirs as `benchmark.studies` says (`mnist-scale/augmented`).
Parameters and metrics have the original's names.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from benchmark.events import EPOCH_METRICS, Ended, Epoch, Observer, Result, Started
from benchmark.interrupts import uninterrupted
from benchmark.records import Record, write_artifacts
from benchmark.spec import RunSpec
from benchmark.studies import STIR, STUDIES, Study
from siconvnet.errors import InvalidArgument, SiconvnetError

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

CUSTOM = "custom"
#: MLflow takes no more metrics than this in one call.
_BATCH = 1000
_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https")


class TrackingError(SiconvnetError):
    """A store that does not answer, cannot be written, or is of another MLflow version."""


def resolve_uri(given: str | None) -> str:
    """The store to use: the one given, else MLFLOW_TRACKING_URI, else `mlflow.db` in the user's data folder.

    A path ending in .db means an SQLite file.

    Raises:
        InvalidArgument: not the address of a store that MLflow keeps runs in.
    """
    uri = given or os.environ.get("MLFLOW_TRACKING_URI") or ""
    if not uri:
        import platformdirs

        uri = str(Path(platformdirs.user_data_dir("siconvnet", appauthor=False)) / "mlflow.db")
    scheme, separator, _ = uri.partition("://")
    if not separator and uri.endswith(".db"):
        return f"sqlite:///{Path(uri).expanduser().absolute()}"
    if not separator or scheme.partition("+")[0] not in _SCHEMES:
        raise InvalidArgument(
            f"tracking URI {uri!r} is not accepted; give a path ending in .db, sqlite:///FILE.db, "
            "http://HOST:PORT or the address of another database."
        )
    return uri


def shown(uri: str) -> str:
    """A store's address for a person: an SQLite store as its path, and without any password."""
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", uri.removeprefix("sqlite:///"))


def experiment_name(spec: RunSpec, dataset_key: str | None = None) -> str:
    """Where a run is logged, `stir/emoji/Mid2Rest`."""
    parts = spec.study.experiment(spec, dataset_key or spec.dataset_key)
    return "/".join([*parts, CUSTOM] if spec.deviations else parts)


class Store:
    """A connection to an MLflow store; a new SQLite store is made, its folder included.

    Args:
        uri: see `resolve_uri`.

    Raises:
        TrackingError: it cannot be reached, made or written.
    """

    def __init__(self, uri: str | None = None):
        self.uri = resolve_uri(uri)
        self._experiments: dict[str, str] = {}
        _quieten()
        try:
            from mlflow import MlflowClient
        except ModuleNotFoundError as error:
            raise TrackingError(
                "mlflow is not installed; install it, or keep runs in a folder with --records DIR."
            ) from error
        with _answering(self.uri), _alone(self._sqlite_file):
            _probe(self._sqlite_file)
            self.client = cast("MlflowClient", _Client(MlflowClient(tracking_uri=self.uri), self.uri))
            # The first question makes the tables of a new store, which must happen once, by one process.
            self.client.search_experiments(max_results=1)

    def start(self, started: Started) -> str:
        """Log a run as RUNNING; its MLflow run id."""
        return self._create(started.id, started.spec, started.time, started.parameters, started.environment)

    def log_epoch(self, run_id: str, epoch: Epoch) -> None:
        """One call for all figures of an epoch."""
        self.client.log_batch(run_id, metrics=_epoch_metrics([vars(epoch)]))

    def finish(self, run_id: str, result: Result) -> None:
        """Log final figures and artifacts; the run is FINISHED only after all of it is there."""
        with _answering(self.uri), tempfile.TemporaryDirectory(prefix="siconvnet-") as folder:
            write_artifacts(result, Path(folder))
            self.client.log_artifacts(run_id, folder)
            self.client.log_batch(run_id, metrics=_final_metrics(result.metrics, result.end_time))
            self._terminate(run_id, "FINISHED", result.end_time)

    def end(self, run_id: str, ended: Ended) -> None:
        """Mark a run FAILED or KILLED, with the reason as a tag."""
        self.client.set_tag(run_id, "reason", ended.reason)
        self._terminate(run_id, ended.status, ended.end_time)

    def log_record(self, record: Record, *, once: bool = False) -> str | None:
        """Log a record, once: its run id, or None if the store has it already.

        A run of the same id that never got to its end (its writer died) is replaced.

        Args:
            once: a finished run of the same spec, whoever made it, counts as the store having it.
        """
        if once and self._finished_of(record):
            return None
        for run in self._search(record, f"tags.record_id = '{record.id}'"):
            if run.info.status != "RUNNING":
                return None
            self.client.delete_run(run.info.run_id)
        run_id = self._create(
            record.id,
            record.spec,
            record.start_time,
            record.parameters,
            record.environment,
            spec_hash=record.spec_hash,
            dataset_key=record.dataset_key,
        )
        metrics = [*_epoch_metrics(record.history), *_final_metrics(record.metrics, record.end_time)]
        for first in range(0, len(metrics), _BATCH):
            self.client.log_batch(run_id, metrics=metrics[first : first + _BATCH])
        for artifact in record.artifacts:
            self.client.log_artifact(run_id, str(artifact))
        if record.reason:
            self.client.set_tag(run_id, "reason", record.reason)
        if lines := record.environment.get("last_lines"):
            self.client.set_tag(run_id, "last_lines", str(lines)[-4000:])
        self._terminate(run_id, record.status, record.end_time)
        return self._settled(record, run_id) if once else run_id

    def _finished_of(self, record: Record) -> list[str]:
        query = f"tags.spec_hash = '{record.spec_hash}' and attributes.status = 'FINISHED'"
        return [run.info.run_id for run in self._search(record, query)]

    def _settled(self, record: Record, run_id: str) -> str | None:
        """Of runs of one spec that two processes logged at the same moment, the first by id stays; both agree."""
        others = sorted(self._finished_of(record))[1:]
        for other in others:
            self.client.delete_run(other)
        return run_id if run_id not in others else None

    def find_finished(self, spec: RunSpec) -> Run | None:
        """The latest finished run of a spec."""
        found = self._search(spec, f"tags.spec_hash = '{spec.hash}' and attributes.status = 'FINISHED'")
        return found[0] if found else None

    def runs(self, *, source: str = "ours", shortened: bool = False) -> pd.DataFrame:
        """All finished runs of STIR, one a row, in the columns of `benchmark.frames.RUN_COLUMNS`.

        Of several runs of one spec the latest counts. Runs with another batch size, number of epochs or
        patience than the paper's are left out unless `shortened`: no column would tell them apart.
        """
        import pandas as pd

        from benchmark.frames import RUN_COLUMNS, tidy_runs

        rows: dict[str, dict[str, Any]] = {}
        for run in self.runs_of(STIR):
            tags = run.data.tags
            if shortened or tags.get("protocol") != "shortened":
                rows.setdefault(tags.get("spec_hash", run.info.run_id), {**_row(run), "source": source})
        frame = pd.DataFrame(list(rows.values()), columns=list(RUN_COLUMNS))
        return tidy_runs(frame, source=source, origin=shown(self.uri))

    def study_runs(self, study: Study) -> pd.DataFrame:
        """All finished runs of a study, of any length of training, in the columns of `benchmark.study_runs`.

        Of several runs of one spec the latest counts.
        """
        from benchmark import study_runs

        rows: dict[str, dict[str, Any]] = {}
        for run in self.runs_of(study):
            took = run.data.metrics.get("run_time", (run.info.end_time - run.info.start_time) / 1000)
            row = {**run.data.params, "dataset": run.data.params.get("data"), **run.data.metrics, "run_time": took}
            rows.setdefault(run.data.tags.get("spec_hash", run.info.run_id), {**row, "run_id": run.info.run_id})
        return study_runs.frame(study, rows.values())

    def artifact(self, run_id: str, name: str) -> Path:
        """The local path of an artifact (`model.safetensors`, `predictions.npz`, `environment.json`).

        Raises:
            TrackingError: the run has none of that name.
        """
        return Path(self.client.download_artifacts(run_id, name))

    def _create(
        self,
        record_id: str,
        spec: RunSpec,
        start_time: float,
        parameters: int,
        environment: Mapping[str, Any],
        *,
        spec_hash: str | None = None,
        dataset_key: str | None = None,
    ) -> str:
        from mlflow.entities import Param

        data = dataset_key or spec.dataset_key
        tags = {
            "mlflow.source.name": "benchmark run",
            "mlflow.source.type": "LOCAL",
            "spec_hash": spec_hash or spec.hash,
            "record_id": record_id,
            "protocol": _protocol(spec),
            "host": str(environment.get("host", "")),
            "device": str(environment.get("device_name", "")),
            "pid": str(environment.get("pid", "")),
        }
        with contextlib.suppress(Exception):  # no user name where the system has no entry for the user id
            tags["mlflow.user"] = getpass.getuser()
        if commit := (environment.get("git") or {}).get("commit"):
            tags["mlflow.source.git.commit"] = commit
        values = {**spec.to_dict(), "data": data, **spec.study.facts(spec)}
        values["parameters"] = parameters
        del values["dataset"]
        run = self.client.create_run(
            self._experiment(experiment_name(spec, data)),
            start_time=_milliseconds(start_time),
            run_name=spec.name,
            tags=tags,
        )
        params = [Param(key, str(value)) for key, value in values.items()]
        self.client.log_batch(run.info.run_id, params=params)
        return str(run.info.run_id)

    def _experiment(self, name: str) -> str:
        """The id of an experiment, made if need be; another process may make it first."""
        if name in self._experiments:
            return self._experiments[name]
        found = self.client.get_experiment_by_name(name)
        if found is None:
            location = (self._sqlite_file.parent / "artifacts").as_uri() if self._sqlite_file else None
            # Without this tag the UI opens on its pages for language models instead of on the runs.
            tags = {"mlflow.experimentKind": "custom_model_development"}
            with contextlib.suppress(TrackingError):
                self.client.create_experiment(name, artifact_location=location, tags=tags)
            found = self.client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            raise TrackingError(
                f"experiment {name!r} of {shown(self.uri)} is deleted; restore it: "
                f"mlflow experiments restore -x {found.experiment_id if found else '?'}."
            )
        self._experiments[name] = found.experiment_id
        return str(found.experiment_id)

    def _search(self, run: RunSpec | Record, query: str) -> list[Run]:
        name = experiment_name(run) if isinstance(run, RunSpec) else experiment_name(run.spec, run.dataset_key)
        found = self.client.get_experiment_by_name(name)
        if found is None:
            return []
        return list(self.client.search_runs([found.experiment_id], query, order_by=["end_time DESC"]))

    def kill(self, run_id: str, reason: str) -> None:
        """Mark a run KILLED whose process is gone."""
        self.client.set_tag(run_id, "reason", reason)
        self._terminate(run_id, "KILLED", time.time())

    def all_runs(self) -> Iterator[Run]:
        """All runs of all studies, of any status, latest first."""
        return self._runs_where("", STUDIES.values())

    def runs_of(self, study: Study, status: str = "= 'FINISHED'") -> Iterator[Run]:
        """The runs of a study, latest first; finished ones, or those whose status is as given (`!= 'FINISHED'`)."""
        return self._runs_where(f"attributes.status {status}", [study])

    def _runs_where(self, query: str, studies: Iterable[Study]) -> Iterator[Run]:
        # MLflow's filters know no "or".
        experiments = [
            experiment.experiment_id
            for study in studies
            for experiment in _pages(self.client.search_experiments, filter_string=f"name LIKE '{study.name}/%'")
        ]
        if experiments:
            yield from _pages(
                self.client.search_runs,
                experiment_ids=experiments,
                filter_string=query,
                order_by=["end_time DESC"],
            )

    def _terminate(self, run_id: str, status: str, end_time: float) -> None:
        self.client.set_terminated(run_id, status, _milliseconds(end_time))

    @property
    def _sqlite_file(self) -> Path | None:
        path = self.uri.removeprefix("sqlite:///")
        return Path(path).absolute() if path != self.uri and path else None


class _Client:
    """MLflow's client, with every failure of the store as one line."""

    def __init__(self, client: MlflowClient, uri: str):
        self._client, self._uri = client, uri

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        @functools.wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            with _answering(self._uri), uninterrupted():
                return method(*arguments, **named)

        return call


@contextlib.contextmanager
def _answering(uri: str) -> Iterator[None]:
    try:
        yield
    except SiconvnetError:
        raise
    except Exception as error:
        if not _from_store(error):
            raise
        raise TrackingError(f"the MLflow store {shown(uri)} failed: {_reason(error)}") from error


class LiveRun(Observer):
    """Logs a run while it goes on.

    A store that fails on the way must not cost the run: logging stops, and `error` says why. Whoever started
    the run then keeps the result elsewhere.

    Attributes:
        run_id: of MLflow, once the run has started.
    """

    def __init__(self, store: Store):
        self.store = store
        self.run_id: str | None = None
        self.error: TrackingError | None = None

    def started(self, started: Started) -> None:
        with uninterrupted():
            self.run_id = self.store.start(started)

    def epoch(self, epoch: Epoch) -> None:
        self._try(lambda run_id: self.store.log_epoch(run_id, epoch))

    def finished(self, result: Result) -> None:
        self._try(lambda run_id: self.store.finish(run_id, result))

    def ended(self, ended: Ended) -> None:
        self._try(lambda run_id: self.store.end(run_id, ended))

    def _try(self, log: Any) -> None:
        if self.run_id is not None and self.error is None:
            try:
                with uninterrupted():
                    log(self.run_id)
            except TrackingError as error:
                self.error = error


def _protocol(spec: RunSpec) -> str:
    """paper, custom (another kernel size, interpolation or rate) or shortened (another length of training)."""
    if spec.shortened:
        return "shortened"
    return CUSTOM if spec.deviations else "paper"


def _row(run: Run) -> dict[str, Any]:
    params, metrics = run.data.params, run.data.metrics
    took = metrics.get("run_time", (run.info.end_time - run.info.start_time) / 1000)
    row: dict[str, Any] = {
        key: params.get(key)
        for key in ("model", "evaluation", "kernel_size", "interpolation", "lr", "seed", "parameters")
    }
    measured = {key: metrics.get(key) for key in ("test_acc", "best_acc", "avg_time")}
    return {**row, **measured, "dataset": params.get("data"), "run_time": took, "run_id": run.info.run_id}


def _epoch_metrics(history: Sequence[Mapping[str, Any]]) -> list[Metric]:
    from mlflow.entities import Metric

    return [
        Metric(name, float(epoch[name]), _milliseconds(epoch["time"]), int(epoch["number"]))
        for epoch in history
        for name in EPOCH_METRICS
        if epoch[name] is not None
    ]


def _final_metrics(metrics: Mapping[str, float], end_time: float) -> list[Metric]:
    from mlflow.entities import Metric

    return [Metric(name, float(value), _milliseconds(end_time), 0) for name, value in metrics.items()]


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _pages(search: Any, **arguments: Any) -> Iterator[Any]:
    """All results of a paged search."""
    token = None
    while True:
        page = search(max_results=1000, page_token=token, **arguments)
        yield from page
        token = page.token
        if not token:
            return


@contextlib.contextmanager
def _alone(database: Path | None) -> Iterator[None]:
    """One process at a time, as far as an SQLite file is concerned: MLflow's migration bears no company.

    The lock is the kernel's, so it goes with the process that holds it, however that ends.
    """
    if database is None:
        yield
        return
    from filelock import FileLock

    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock", timeout=120):
        yield


def _probe(database: Path | None) -> None:
    """Raise at once what MLflow would raise after trying a hopeless SQLite file for minutes."""
    import sqlite3
    from urllib.parse import quote

    if database is not None and database.exists():
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(database))}?mode=rw", uri=True, timeout=20)) as file:
            file.execute("BEGIN IMMEDIATE")
            file.execute("ROLLBACK")


def _from_store(error: Exception) -> bool:
    import sqlite3

    import requests
    import sqlalchemy.exc
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException

    databases = (sqlite3.Error, sqlalchemy.exc.SQLAlchemyError, CommandError)
    kinds = (MlflowException, *databases, requests.RequestException, OSError)
    return isinstance(error, kinds)


def _reason(error: Exception) -> str:
    """The one line in an error of MLflow's that says what is wrong."""
    text = str(error.strerror or error) if isinstance(error, OSError) else str(error)
    if "out-of-date database schema" in text:
        return "it is of an older MLflow; make a copy of it, then upgrade it with `mlflow db upgrade URI`."
    if "Can't locate revision" in text:
        return "it is of a newer MLflow than the one installed; upgrade mlflow."
    line = " ".join(text.partition("[SQL:")[0].partition("\n")[0].split())
    return re.sub(r"^\((?:\w+\.)+(\w+)\) ", "", line)[:300] or type(error).__name__


def _quieten() -> None:
    """No telemetry, no log lines of the database migration, and no minutes of retries at a dead server."""
    os.environ.update({"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"})
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def serve(uri: str, host: str, port: int, ready: Callable[[], None]) -> None:
    """Run MLflow's server on a store until it is interrupted; call `ready` when it answers.

    Raises:
        TrackingError: it ended by itself.
    """
    import signal
    import subprocess
    import sys

    _quieten()
    # One worker and no job runner: the pages of one person on one machine.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    # Whichever way this process is asked to end, the server must not outlive it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None and not _listens(host, port):
            time.sleep(0.1)
        if process.poll() is None:
            ready()
        _, errors = process.communicate()
    except KeyboardInterrupt:
        return
    finally:
        process.terminate()
        process.communicate()
    if process.returncode:
        last = errors.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise TrackingError(f"the MLflow server ended: {last[0]}")


def _listens(host: str, port: int) -> bool:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex((host, port)) == 0
