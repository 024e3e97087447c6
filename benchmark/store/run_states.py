"""What a sweep has to know of the runs of a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmark.store.addresses import resolve_uri, sqlite_file
from benchmark.store.reading import Fields, StoredRun
from benchmark.store.store import Store
from benchmark.training.divergence import DIVERGED

_FIELDS = Fields(
    params=("model", "data", "evaluation", "lr", "seed", "max_epochs"),
    metrics=("best_acc", "epochs", "run_time"),
    tags=("spec_hash", "record_id", "host", "reason", "last_lines", "pid", "process_start", "process_space"),
)


@dataclass(frozen=True)
class RunState:
    """One run of the store.

    Attributes:
        status: of MLflow: FINISHED, FAILED, KILLED or RUNNING.
        start, end: seconds since 1970; `end` is None while it runs.
        best_acc: best validation accuracy in percent, of a finished run.
        epochs: how many it had, of a finished run.
        run_time: seconds, of a finished run.
        reason, last_lines: of a failed run, why it failed and the last lines it wrote.
    """

    run_id: str
    status: str
    start: float
    end: float | None
    spec_hash: str = ""
    record_id: str = ""
    host: str = ""
    pid: str = ""
    process_start: str = ""
    process_space: str = ""
    reason: str = ""
    last_lines: str = ""
    model: str = ""
    dataset: str = ""
    evaluation: str = ""
    lr: str = ""
    seed: str = ""
    max_epochs: str = ""
    best_acc: float | None = None
    epochs: float | None = None
    run_time: float | None = None

    @property
    def diverged(self) -> bool:
        return self.status == "FAILED" and self.reason.startswith(DIVERGED)


def read_states(uri: str | None = None) -> list[RunState]:
    """All runs of this benchmark in a store, latest first. A store that is not there yet has none.

    Raises:
        TrackingError: it does not answer, or is none.
    """
    uri = resolve_uri(uri)
    if (file := sqlite_file(uri)) and not file.exists():
        return []
    return states_of(Store(uri, create=False))


def states_of(store: Store) -> list[RunState]:
    """All runs of this benchmark in a store, latest first."""
    return [_state(run) for run in store.read(fields=_FIELDS)]


def _state(run: StoredRun) -> RunState:
    params = {"dataset" if name == "data" else name: value for name, value in run.params.items()}
    values: dict[str, Any] = {**run.tags, **params, **run.metrics}
    return RunState(run.run_id, run.status, run.start, run.end, **values)
