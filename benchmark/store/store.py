"""A connection to an MLflow store."""

from __future__ import annotations

import contextlib
import functools
import itertools
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from benchmark.events import Ended, Epoch, Result, Started
from benchmark.spec import RunSpec
from benchmark.store import sqlite
from benchmark.store.addresses import resolve_uri, shown, sqlite_file
from benchmark.store.client import Client, quieten
from benchmark.store.entries import (
    epoch_metrics,
    experiment_name,
    final_metrics,
    milliseconds,
    params_of,
    tags_of,
    tags_of_end,
    tags_of_process,
)
from benchmark.store.errors import Refused, TrackingError, answering
from benchmark.store.reading import EVERYTHING, NOTHING, Fields, Query, StoredRun, from_database, from_server
from benchmark.studies import Study, all_studies
from benchmark.system.environment import process
from benchmark.training.records import Record, write_artifacts

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: MLflow takes no more metrics than this in one call.
_BATCH = 1000


#: The tag of an ingested run that names the run of the same spec which was there before it.
REPEATS = "repeats"


class Store:
    """A connection to an MLflow store.

    Args:
        uri: see `resolve_uri`.
        create: whether runs are to be logged: a new SQLite store is made, its folder included, and whether it can be
            written is known at once. Without it nothing is made where a path is mistyped, and MLflow is loaded only
            when something asks for it.

    Raises:
        TrackingError: it is not there, cannot be reached, made or written, or is of another version of MLflow.
    """

    def __init__(self, uri: str | None = None, *, create: bool = True):
        self.uri = resolve_uri(uri)
        self.file = sqlite_file(self.uri)
        self._experiments: dict[str, str] = {}
        if create:
            _ = self.client
        elif self.file and not self.file.exists():
            raise TrackingError(
                f"there is no store at {shown(self.uri)}; check the path, or train with benchmark run, which makes one."
            )
        elif self.file:
            with answering(self.uri):
                sqlite.check_tables(self.file)

    @functools.cached_property
    def client(self) -> MlflowClient:
        """MLflow's client on this store."""
        quieten()
        try:
            from mlflow import MlflowClient
        except ModuleNotFoundError as error:
            raise TrackingError(
                "mlflow is not installed; install it, or keep runs in a folder with --records DIR."
            ) from error
        with answering(self.uri):
            if self.file:
                sqlite.make(self.file)
                sqlite.check_tables(self.file)
                sqlite.check_version(self.file)
                sqlite.check_writable(self.file)
            client = cast("MlflowClient", Client(MlflowClient(tracking_uri=self.uri), self.uri))
            client.search_experiments(max_results=1)
        return client

    def read(
        self,
        studies: Iterable[Study] = (),
        *,
        statuses: Collection[str] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Collection[str] = (),
        run_ids: Collection[str] | None = None,
        fields: Fields = EVERYTHING,
        histories: Collection[str] = (),
    ) -> list[StoredRun]:
        """All runs for which all of this holds, latest first, in a few queries however many there are.

        Args:
            studies: one of which a run must belong to; none stands for all.
            statuses: one of which it must have (FINISHED, FAILED, KILLED, RUNNING); none stands for any.
            params, tags: values that it must have.
            metrics: that it must have.
            run_ids: one of which it must be; None stands for any.
            fields: which of its entries are read; all by default.
            histories: metrics of which the value at every step is read, as `StoredRun.histories`; of the epochs of
                training, or, of `benchmark.store.evaluations.BY_SCALE`, of object sizes.

        Raises:
            TrackingError: the store fails.
        """
        names = [name for study in tuple(studies) or all_studies() for name in study.experiments]
        query = Query(names, statuses, params or {}, tags or {}, metrics, run_ids)
        if self.uri.startswith("http"):
            return from_server(self.client, query, fields, histories)
        with answering(self.uri):
            return from_database(self.uri, query, fields, histories)

    def start(self, started: Started) -> str:
        """Log a run as RUNNING; its MLflow run id."""
        return self._create(started.id, started.spec, started.time, started.parameters, started.environment)

    def log_epoch(self, run_id: str, epoch: Epoch) -> None:
        """One call for all figures of an epoch."""
        self.client.log_batch(run_id, metrics=epoch_metrics([vars(epoch)]))

    def finish(self, run_id: str, result: Result) -> None:
        """Log final figures and artifacts; the run is FINISHED only after all of it is there."""
        with answering(self.uri), tempfile.TemporaryDirectory(prefix="siconvnet-") as folder:
            write_artifacts(result, Path(folder))
            self.client.log_artifacts(run_id, folder)
            self.client.log_batch(run_id, metrics=final_metrics(result.metrics, result.end_time))
            self._check_kept(run_id, Path(folder).iterdir(), result.metrics)
            if "reason" in self.client.get_run(run_id).data.tags:  # it was taken for dead meanwhile
                self.client.delete_tag(run_id, "reason")
            self._terminate(run_id, "FINISHED", result.end_time)
            self._check_status(run_id, "FINISHED")

    def end(self, run_id: str, ended: Ended) -> None:
        """Mark a run FAILED or KILLED, with the reason as a tag."""
        self.client.set_tag(run_id, "reason", ended.reason)
        self._terminate(run_id, ended.status, ended.end_time)

    def log_record(self, record: Record, *, once: bool = False, repeats: str = "") -> str | None:
        """Log a record, once: its run id, or None if the store has it already.

        A run of the same id that never got to its end is replaced: its writer died, and it may have been marked KILLED
        since.

        Args:
            once: a finished run of the same spec, whoever made it, counts as the store having it.
            repeats: the run of the same spec that counts in tables as long as it is there; the tag `repeats` of the
                new one names it.

        Raises:
            Refused: the store does not accept this record; no run of it stays.
            TrackingError: the store fails.
        """
        if self._is_logged(record) or (once and self._finished_of(record)):
            return None
        try:
            run_id = self._log(record, repeats)
        except Refused:
            self._is_logged(record)
            raise
        return self._settled(record, run_id) if once else run_id

    def _is_logged(self, record: Record) -> bool:
        """Whether a run of this record is there; one that never got to its end is deleted."""
        for run in self.read(tags={"record_id": record.id}, fields=NOTHING):
            if run.status == record.status:
                return True
            # What is deleted can be restored, and must not look as if it still ran.
            self._terminate(run.run_id, "KILLED", time.time())
            self.client.delete_run(run.run_id)
        return False

    def _log(self, record: Record, repeats: str) -> str:
        run_id = self._create(
            record.id,
            record.spec,
            record.start_time,
            record.parameters,
            # Until all of it is there the run is this process's, of which `repair` can tell whether it lives.
            {**record.environment, **process()},
            spec_hash=record.spec_hash,
            dataset_key=record.dataset_key,
        )
        metrics = [*epoch_metrics(record.history), *final_metrics(record.metrics, record.end_time)]
        for first in range(0, len(metrics), _BATCH):
            self.client.log_batch(run_id, metrics=metrics[first : first + _BATCH])
        for artifact in record.artifacts:
            self.client.log_artifact(run_id, str(artifact))
        if repeats:
            self.client.set_tag(run_id, REPEATS, repeats)
        self.client.log_batch(run_id, tags=tags_of_end(record.environment, record.reason))
        self._check_kept(run_id, record.artifacts, record.metrics)
        self._terminate(run_id, record.status, record.end_time)
        # Not earlier: of a run that is RUNNING and whose process is gone `repair` would make an end.
        self.client.log_batch(run_id, tags=tags_of_process(record.environment))
        self._check_status(run_id, record.status)
        return run_id

    def _check_kept(self, run_id: str, files: Iterable[Path], metrics: Iterable[str]) -> None:
        """Make sure that a run has these files and metrics, before it is said to be over and its record is removed.

        A broken proxy answers that all is well, and drops what it was given.

        Raises:
            TrackingError: it lacks one, or has another file of that name.
        """
        kept = {item.path: item.file_size for item in self.client.list_artifacts(run_id)}
        data = self.client.get_run(run_id).data
        # Some stores do not say how long a file is.
        lost = [file.name for file in files if kept.get(file.name, -1) not in (None, file.stat().st_size)]
        lost += sorted({*metrics} - data.metrics.keys())
        lost += ["parameters"] * ("model" not in data.params)
        if lost:
            raise self._lost(run_id, ", ".join(lost))

    def _check_status(self, run_id: str, status: str) -> None:
        if self.client.get_run(run_id).info.status != status:
            raise self._lost(run_id, f"status {status}")

    def _lost(self, run_id: str, what: str) -> TrackingError:
        return TrackingError(
            f"the MLflow store {shown(self.uri)} accepted run {run_id} but did not keep its {what}; "
            "check the server, and the proxy before it."
        )

    def _finished_of(self, record: Record) -> list[str]:
        found = self.read(tags={"spec_hash": record.spec_hash}, statuses=["FINISHED"], fields=NOTHING)
        return [run.run_id for run in found]

    def _settled(self, record: Record, run_id: str) -> str | None:
        """Of runs of one spec that two processes logged at the same moment, the first by id stays; both agree."""
        others = sorted(self._finished_of(record))[1:]
        for other in others:
            self.client.delete_run(other)
        return run_id if run_id not in others else None

    def find_finished(self, spec: RunSpec) -> StoredRun | None:
        """The finished run of a spec that counts: the latest, but not one that was ingested beside another."""
        return self._counted(self.read([spec.study], tags={"spec_hash": spec.hash}, statuses=["FINISHED"]))

    def find_repeated(self, record: Record) -> StoredRun | None:
        """The finished run that counts of a record's spec, if it is not of this record."""
        found = self.read(tags={"spec_hash": record.spec_hash}, statuses=["FINISHED"])
        return self._counted([run for run in found if run.tags.get("record_id") != record.id])

    @staticmethod
    def _counted(runs: Iterable[StoredRun]) -> StoredRun | None:
        return next(iter(counting_first(runs)), None)

    def find_ended(self, spec: RunSpec, since: float) -> StoredRun | None:
        """The latest finished run of a spec, or else the latest that failed after `since` (seconds since 1970)."""
        runs = self.read([spec.study], tags={"spec_hash": spec.hash}, statuses=["FINISHED", "FAILED"])
        finished = (run for run in runs if run.status == "FINISHED")
        failed = (run for run in runs if run.status == "FAILED" and (run.end or 0) >= since)
        return next(itertools.chain(finished, failed), None)

    @contextlib.contextmanager
    def artifact(self, run_id: str, name: str) -> Iterator[Path]:
        """An artifact (`model.safetensors`, `predictions.npz`, `environment.json`) as a file, inside the block.

        Raises:
            TrackingError: the run has none of that name.
        """
        with tempfile.TemporaryDirectory(prefix="siconvnet-") as folder:
            yield Path(self.client.download_artifacts(run_id, name, folder))

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
        run = self.client.create_run(
            self._experiment(experiment_name(spec, data)),
            start_time=milliseconds(start_time),
            run_name=spec.name,
            tags={**tags_of(spec, environment), "spec_hash": spec_hash or spec.hash, "record_id": record_id},
        )
        params = [Param(key, str(value)) for key, value in params_of(spec, data, parameters).items()]
        self.client.log_batch(run.info.run_id, params=params)
        return str(run.info.run_id)

    def _experiment(self, name: str) -> str:
        """The id of an experiment, made if need be; another process may make it first."""
        if name in self._experiments:
            return self._experiments[name]
        found = self.client.get_experiment_by_name(name)
        if found is None:
            location = (self.file.parent / "artifacts").as_uri() if self.file else None
            # Without this tag the UI opens on its pages for language models instead of on the runs.
            tags = {"mlflow.experimentKind": "custom_model_development"}
            with contextlib.suppress(TrackingError):
                self.client.create_experiment(name, artifact_location=location, tags=tags)
            found = self.client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            raise Refused(
                f"experiment {name!r} of {shown(self.uri)} is deleted; restore it: "
                f"mlflow experiments restore -x {found.experiment_id if found else '?'}."
            )
        self._experiments[name] = found.experiment_id
        return str(found.experiment_id)

    def delete(self, run_id: str) -> None:
        """Delete a run; MLflow keeps it until `mlflow gc`, and can restore it."""
        self.client.delete_run(run_id)

    def kill(self, run_id: str, reason: str) -> None:
        """Mark a run KILLED whose process is gone."""
        self.client.set_tag(run_id, "reason", reason)
        self._terminate(run_id, "KILLED", time.time())

    def _terminate(self, run_id: str, status: str, end_time: float) -> None:
        self.client.set_terminated(run_id, status, milliseconds(end_time))


def counting_first(runs: Iterable[StoredRun]) -> list[StoredRun]:
    """Runs in their order, but last those that repeat another one: a record that comes later, from whomever, must not
    take the place of a run that is there."""
    return sorted(runs, key=lambda run: REPEATS in run.tags)
