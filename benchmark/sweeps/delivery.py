"""Between a sweep and its store: records are brought there, and an unreachable store does not block the sweep."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmark.events import Ended, Started
from benchmark.spec import RunSpec
from benchmark.store import Store, TrackingError
from benchmark.store.ingestion import Busy, ingest
from benchmark.sweeps.executors.base import FAILED, FINISHED, Outcome
from benchmark.training.records import RecordError, find_finished, write
from benchmark.training.work_folder import Workplace

#: Seconds until a store that did not answer is asked again, and how many times longer than the attempt they are at
#: least: a server that accepts connections and never answers must not take up the time of the sweep.
_PAUSE, _SHARE = 30.0, 4.0
#: Seconds within which the record of a run that is said to be finished must be seen here.
_LATE = 10.0

T = TypeVar("T")


class Delivery:
    """Hands records over, and asks the store in between.

    Args:
        say: told, in one line, when the store falls silent and when it answers again, and which records stay behind.

    Attributes:
        silence: why the store does not answer; empty while it does.
        refused: folder of a record -> why it cannot be logged. It is not tried again in this pass.
    """

    def __init__(self, store: Store, place: Workplace, say: Callable[[str], None]):
        self.store, self.place, self.say = store, place, say
        self.silence = ""
        self.refused: dict[Path, str] = {}
        self._begun = time.time()
        self._until = 0.0

    def find_ended(self, spec: RunSpec) -> Outcome | None:
        """What became of a run that another driver has finished, or has seen fail since this pass began.

        None as well while the store is silent. "Since" is by the clocks of both.
        """
        run = self._ask(lambda: self.store.find_ended(spec, self._begun))
        if run is None:
            return None
        kind = FAILED if run.status == "FAILED" else FINISHED
        reason, lines, host = (run.tags.get(name, "") for name in ("reason", "last_lines", "host"))
        return Outcome(spec, kind, reason, lines, host, metrics=run.metrics)

    def has_result(self, spec: RunSpec) -> bool:
        """Whether a run that is said to be finished left its record here, or another driver has brought that home.

        What another machine wrote may be late. While the store is silent nothing can be said of what it holds: the run
        is believed then, and asked for at the end.
        """
        end = time.monotonic() + _LATE
        while not find_finished(self.place.records, spec.hash):
            if self._ask(lambda: self.store.find_finished(spec)) or self.silence:
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.5)
        return True

    def keep_failure(self, outcome: Outcome) -> Outcome:
        """Keep a failure as a record, as any other result; the outcome as that of a failed run."""
        now = time.time()
        ended = outcome.ended or Ended(
            Started(uuid.uuid4().hex, outcome.spec, now, 0, {"host": outcome.host}), "FAILED", outcome.reason, (), now
        )
        environment = {**ended.started.environment, "last_lines": outcome.lines}
        ended = dataclasses.replace(ended, started=dataclasses.replace(ended.started, environment=environment))
        try:
            write(ended, self.place.records)
        except RecordError as error:
            self.say(str(error))
        return dataclasses.replace(outcome, kind=FAILED)

    def deliver(self, *, patient: bool = False) -> None:
        """Bring all records that wait to the store.

        Args:
            patient: ask a store that does not answer three times before giving up on it.
        """
        if self.silence and not patient and time.monotonic() < self._until:
            return
        for attempt in range(3 if patient else 1):
            if attempt:
                time.sleep(2.0**attempt)
            began = time.monotonic()
            try:
                self._hand_over(seconds=600 if patient else 1)
            except Busy as error:
                # The other process logs our records as well; at the end it must be certain.
                self.silence = str(error) if patient else self.silence
                return
            except TrackingError as error:
                self._fall_silent(error, began)
            else:
                if self.silence:
                    self.say("the store answers again")
                self.silence = ""
                return

    def way_out(self) -> str:
        """What to do about runs that are not in the store."""
        if not self.refused:
            return "the same command runs them."
        return (
            f"records that could not be logged are left in {self.place.records}; the lines above say why. Once that is "
            "mended, the same command, or benchmark ingest, logs them."
        )

    def _ask(self, question: Callable[[], T]) -> T | None:
        """What the store answers; None while it is silent."""
        if not self.silence:
            began = time.monotonic()
            try:
                return question()
            except TrackingError as error:
                self._fall_silent(error, began)
        return None

    def _hand_over(self, seconds: float) -> None:
        for outcome in ingest(self.place.records, self.store, once=True, wait=seconds, skip=self.refused):
            if outcome.error:
                self.refused[outcome.folder] = outcome.error
                self.say(f"not logged, and left in {self.place.records}: {outcome.error}")

    def _fall_silent(self, error: TrackingError, began: float) -> None:
        """Say so once, and leave the store alone for a while; `began` is when it was asked."""
        if not self.silence:
            self.say(f"{error} Finished runs wait in {self.place.records}.")
        now = time.monotonic()
        self.silence, self._until = str(error), now + max(_PAUSE, _SHARE * (now - began))
