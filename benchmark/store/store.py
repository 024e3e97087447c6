"""A connection to an MLflow store."""

from __future__ import annotations

import contextlib
import functools
import itertools
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from benchmark.events import Ended, Epoch, Result, Started
from benchmark.spec import RunSpec
from benchmark.store import sqlite
from benchmark.store.addresses import resolve_uri, shown, sqlite_file
from benchmark.store.client import Client, pages, quieten, soon
from benchmark.store.entries import (
    epoch_metrics,
    experiment_name,
    final_metrics,
    milliseconds,
    params_of,
    run_row,
    study_row,
    tags_of,
    tags_of_end,
    tags_of_process,
)
from benchmark.store.errors import TrackingError, answering
from benchmark.studies import STIR, STUDIES, Study
from benchmark.system.environment import process
from benchmark.training.records import Record, write_artifacts

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

#: MLflow takes no more metrics than this in one call.
_BATCH = 1000


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
        with answering(self.uri), soon():
            if self.file:
                sqlite.make(self.file)
                sqlite.check_tables(self.file)
                sqlite.check_version(self.file)
                sqlite.check_writable(self.file)
            client = cast("MlflowClient", Client(MlflowClient(tracking_uri=self.uri), self.uri))
            client.search_experiments(max_results=1)
        return client

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
            self._terminate(run_id, "FINISHED", result.end_time)

    def end(self, run_id: str, ended: Ended) -> None:
        """Mark a run FAILED or KILLED, with the reason as a tag."""
        self.client.set_tag(run_id, "reason", ended.reason)
        self._terminate(run_id, ended.status, ended.end_time)

    def log_record(self, record: Record, *, once: bool = False) -> str | None:
        """Log a record, once: its run id, or None if the store has it already.

        A run of the same id that never got to its end is replaced: its writer died, and it may have been marked KILLED
        since.

        Args:
            once: a finished run of the same spec, whoever made it, counts as the store having it.
        """
        for run in self._search(record, f"tags.record_id = '{record.id}'"):
            if run.info.status == record.status:
                return None
            self.client.delete_run(run.info.run_id)
        if once and self._finished_of(record):
            return None
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
        self.client.log_batch(run_id, tags=tags_of_end(record.environment, record.reason))
        self._terminate(run_id, record.status, record.end_time)
        # Not earlier: of a run that is RUNNING and whose process is gone `repair` would make an end.
        self.client.log_batch(run_id, tags=tags_of_process(record.environment))
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
        """All finished runs of STIR, one a row, in the columns of `benchmark.results.frames.RUN_COLUMNS`.

        Of several runs of one spec the latest counts. Runs with another batch size, number of epochs or
        patience than the paper's are left out unless `shortened`: no column would tell them apart.
        """
        import pandas as pd

        from benchmark.results.frames import RUN_COLUMNS, tidy_runs

        rows: dict[str, dict[str, Any]] = {}
        for run in self.runs_of(STIR):
            tags = run.data.tags
            if shortened or tags.get("protocol") != "shortened":
                rows.setdefault(tags.get("spec_hash", run.info.run_id), {**run_row(run), "source": source})
        frame = pd.DataFrame(list(rows.values()), columns=list(RUN_COLUMNS))
        return tidy_runs(frame, source=source, origin=shown(self.uri))

    def study_runs(self, study: Study) -> pd.DataFrame:
        """All finished runs of a study, of any length of training, in the columns of `benchmark.results.runs`.

        Of several runs of one spec the latest counts.
        """
        from benchmark.results import runs

        rows: dict[str, dict[str, Any]] = {}
        for run in self.runs_of(study):
            rows.setdefault(run.data.tags.get("spec_hash", run.info.run_id), study_row(run))
        return runs.frame(study, rows.values())

    def find_ended(self, spec: RunSpec, since: float) -> Run | None:
        """The latest finished run of a spec, or else the latest that failed after `since` (seconds since 1970)."""
        runs = self._search(spec, f"tags.spec_hash = '{spec.hash}'")
        finished = (run for run in runs if run.info.status == "FINISHED")
        failed = (r for r in runs if r.info.status == "FAILED" and (r.info.end_time or 0) >= milliseconds(since))
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

    def runs_of(self, study: Study, status: str = "= 'FINISHED'", *, where: str = "") -> Iterator[Run]:
        """The runs of a study, latest first; finished ones, or those whose status is as given (`!= 'FINISHED'`).

        Args:
            where: what must hold besides, as MLflow writes it (`params.model = 'hermite'`).
        """
        return self._runs_where(" and ".join(filter(None, [f"attributes.status {status}", where])), [study])

    def _runs_where(self, query: str, studies: Iterable[Study]) -> Iterator[Run]:
        # MLflow's filters know no "or".
        experiments = [
            experiment.experiment_id
            for study in studies
            for name in study.experiments
            for experiment in pages(self.client.search_experiments, filter_string=f"name LIKE '{name}'")
        ]
        if experiments:
            yield from pages(
                self.client.search_runs,
                experiment_ids=experiments,
                filter_string=query,
                order_by=["end_time DESC"],
            )

    def _terminate(self, run_id: str, status: str, end_time: float) -> None:
        self.client.set_terminated(run_id, status, milliseconds(end_time))
