"""Logging a run while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.events import Ended, Epoch, Observer, Result, Started
from benchmark.store.errors import TrackingError
from benchmark.store.store import Store
from benchmark.system.interrupts import uninterrupted


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
        self._logged: set[int] = set()

    def started(self, started: Started) -> None:
        with uninterrupted():
            self.run_id = self.store.start(started)

    def epoch(self, epoch: Epoch) -> None:
        self._logged.add(epoch.number)
        self._try(lambda run_id: self.store.log_epoch(run_id, epoch))

    def finished(self, result: Result) -> None:
        self._complete(result.history)
        self._try(lambda run_id: self.store.finish(run_id, result))

    def ended(self, ended: Ended) -> None:
        self._complete(ended.history)
        self._try(lambda run_id: self.store.end(run_id, ended))

    def _complete(self, history: Sequence[Epoch]) -> None:
        """Log the epochs before a checkpoint that the run went on from."""
        for epoch in history:
            if epoch.number not in self._logged:
                self.epoch(epoch)

    def _try(self, log: Any) -> None:
        if self.run_id is not None and self.error is None:
            try:
                with uninterrupted():
                    log(self.run_id)
            except TrackingError as error:
                self.error = error
