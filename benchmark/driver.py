"""The driver of a sweep: hands runs to an executor, brings what comes back to the store, and knows what is left.

It alone talks to the store. Whatever ends it, the same sweep started again continues: finished runs are in the
store or wait as records, and the others stand at their checkpoints.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmark import sweep
from benchmark.board import Board
from benchmark.events import Ended, Started
from benchmark.executors.base import BUSY, DIED, FAILED, FINISHED, HALTED, NO_ROOM, Executor, Outcome
from benchmark.ingestion import Busy, ingest
from benchmark.records import RecordError, write
from benchmark.repair import repair
from benchmark.spec import RunSpec
from benchmark.states import RunState, read_states
from benchmark.sweep import Grid, Plan
from benchmark.tracking import Store, TrackingError
from benchmark.workplace import Workplace
from siconvnet.errors import SiconvnetError

#: How often a run is begun anew whose worker died under it before it came any further than the time before.
RESTARTS = 2
#: Seconds until a store that did not answer is asked again.
_PAUSE = 30.0


class SweepError(SiconvnetError):
    """A sweep that did not get through, and what to do."""


@dataclass
class _Deaths:
    """How often a run was begun in vain since it last came further, and when its checkpoint was written then."""

    count: int = 0
    stand: int = 0


@dataclass
class Driver:
    """One pass over a sweep.

    Args:
        uri: of the store, as `Store` takes it.
        retry_failed: run again what failed in an earlier pass.
    """

    grids: Sequence[Grid]
    store: Store
    place: Workplace
    executor: Executor
    board: Board
    retry_failed: bool = False

    _queue: deque[RunSpec] = field(default_factory=deque)
    _alone: deque[RunSpec] = field(default_factory=deque)
    _later: list[RunSpec] = field(default_factory=list)
    _running: dict[str, RunSpec] = field(default_factory=dict)
    _tried: set[str] = field(default_factory=set)
    _single: str = ""
    _deaths: dict[str, _Deaths] = field(default_factory=dict)
    _failures: list[Outcome] = field(default_factory=list)
    _states: list[RunState] = field(default_factory=list)
    _known: Plan | None = None
    _changed: bool = False
    _broken: set[str] = field(default_factory=set)
    _silent_until: float = 0.0
    _silence: str = ""

    def run(self) -> Plan:
        """Go on until every run of the grids is finished or failed.

        Raises:
            SweepError: runs failed, or their records could not be handed over; the message counts them.
            KeyboardInterrupt: the sweep was interrupted; everything is where the next one finds it.
        """
        try:
            self.place.prepare()
            self._deliver(patient=False)
            for run in repair(self.store, read_states(self.store.uri)):
                self.board.say(f"marked as killed: run {run.run_id}, whose process on {run.host} is gone")
            self._states = read_states(self.store.uri)
            self.board.start(self._plan(), self._states, self.executor.slots)
            while self._refill() or self._running:
                self._step()
            self._deliver(patient=True)
            return self._verdict()
        finally:
            self.executor.close()
            self.board.stop()

    def _plan(self) -> Plan:
        return sweep.plan(self.grids, self._states)

    def _refill(self) -> bool:
        """Whether there is anything to begin, asking the plan anew where rates are chosen on the way."""
        # Only a rate that is yet to be chosen can add runs to those that were there from the start.
        new = self._known is None or (self._changed and self._known.waiting)
        if new and not (self._queue or self._alone or self._later):
            self._known = plan = self._plan()
            self._changed = False
            self.board.planned(plan)
            wanted = plan.of(sweep.MISSING) + (plan.of(sweep.FAILED) if self.retry_failed else [])
            self._queue.extend(spec for spec in wanted if spec.hash not in self._tried | self._running.keys())
            self._tried.update(spec.hash for spec in self._queue)
        return bool(self._queue or self._alone or self._later)

    def _step(self) -> None:
        """Fill the free slots, then deal with what ends."""
        while len(self._running) < self.executor.slots and (spec := self._next()):
            if self.place.held(spec.hash):
                self._later.append(spec)
                continue
            if self._there(spec):
                continue
            self._running[spec.hash] = spec
            self.board.began(spec)
            self.executor.submit(spec)
        outcomes = self.executor.wait(1.0)
        for outcome in outcomes:
            del self._running[outcome.spec.hash]
            self._take(outcome)
        if self._later and not self._running and not self._queue:
            time.sleep(0.5)  # others have the rest in hand
        if not self._running or any(outcome.kind != BUSY for outcome in outcomes):
            self._queue.extend(self._later)
            self._later.clear()
        if outcomes or self._silence:
            self._deliver(patient=False)
        self.board.tick()

    def _next(self) -> RunSpec | None:
        if self._single in self._running:
            return None
        if self._queue:
            return self._queue.popleft()
        if self._alone and not self._running:
            self._single = self._alone[0].hash
            return self._alone.popleft()
        return None

    def _there(self, spec: RunSpec) -> bool:
        """Whether another driver has finished it since the plan was made."""
        with contextlib.suppress(TrackingError):
            if not self._silence and (run := self.store.find_finished(spec)):
                self._note(spec, "FINISHED", run.data.metrics)
                self.board.ended(Outcome(spec, FINISHED, metrics=run.data.metrics))
                return True
        return False

    def _take(self, outcome: Outcome) -> None:
        spec = outcome.spec
        if outcome.kind == NO_ROOM:
            raise SweepError(f"{outcome.reason} Make room; the same command goes on where this one stopped.")
        if outcome.kind == BUSY:
            self._later.append(spec)
            self.board.put_back(spec)
            return
        if outcome.kind in (DIED, HALTED) and self._again(outcome):
            return
        if outcome.out_of_memory and spec.hash not in self._deaths:
            self._deaths[spec.hash] = _Deaths(RESTARTS)
            self._alone.append(spec)
            self.board.again(outcome, "alone, out of memory")
            return
        if outcome.kind == FINISHED:
            self._note(spec, "FINISHED", outcome.metrics)
        else:
            self._fail(outcome)
        self.board.ended(outcome)

    def _again(self, outcome: Outcome) -> bool:
        """Begin a run anew that stopped on the way, unless it did so too often without coming any further."""
        spec = outcome.spec
        self.place.tidy(spec.hash)
        deaths, stand = self._deaths.setdefault(spec.hash, _Deaths()), self.place.stand(spec.hash)
        deaths.count, deaths.stand = (deaths.count if stand <= deaths.stand else 0) + 1, stand
        if deaths.count > RESTARTS:
            return False
        if outcome.kind == HALTED:
            self._queue.append(spec)
            self.board.put_back(spec)
        elif deaths.count == 1:
            # The first time it was perhaps somebody's mistake; after that memory is the likely reason.
            self._queue.appendleft(spec)
            self.board.again(outcome, "on a new worker")
        else:
            self._alone.append(spec)
            self.board.again(outcome, "alone on a new worker")
        return True

    def _fail(self, outcome: Outcome) -> None:
        """Keep a failure as a record, as any other result."""
        outcome = dataclasses.replace(outcome, kind=FAILED)
        self._failures.append(outcome)
        self._note(outcome.spec, "FAILED", {})
        now = time.time()
        ended = outcome.ended or Ended(
            Started(uuid.uuid4().hex, outcome.spec, now, 0, {"host": outcome.host}), "FAILED", outcome.reason, (), now
        )
        environment = {**ended.started.environment, "last_lines": outcome.lines}
        ended = dataclasses.replace(ended, started=dataclasses.replace(ended.started, environment=environment))
        try:
            write(ended, self.place.records)
        except RecordError as error:
            self.board.say(str(error))

    def _note(self, spec: RunSpec, status: str, metrics: dict[str, float]) -> None:
        now = time.time()
        state = RunState(
            "",
            status,
            now,
            now,
            spec.hash,
            model=spec.model,
            best_acc=metrics.get("best_acc"),
            run_time=metrics.get("run_time"),
        )
        self._states.insert(0, state)
        self._changed = True

    def _deliver(self, *, patient: bool) -> None:
        """Bring all records that wait to the store.

        Args:
            patient: ask a store that does not answer three times before giving up on it.
        """
        if self._silence and not patient and time.monotonic() < self._silent_until:
            return
        for attempt in range(3 if patient else 1):
            if attempt:
                time.sleep(2.0**attempt)
            try:
                for outcome in ingest(self.place.records, self.store, once=True, wait=600 if patient else 1):
                    if outcome.error and outcome.error not in self._broken:
                        self._broken.add(outcome.error)
                        self.board.say(f"broken record: {outcome.error}")
            except Busy as error:
                # Whoever it is logs ours as well; at the end it must be certain.
                self._silence = str(error) if patient else self._silence
                return
            except TrackingError as error:
                if not self._silence:
                    self.board.say(f"{error} Finished runs wait in {self.place.records}.")
                self._silence, self._silent_until = str(error), time.monotonic() + _PAUSE
            else:
                if self._silence:
                    self.board.say("the store answers again")
                self._silence = ""
                return

    def _verdict(self) -> Plan:
        plan = self._plan()
        self.board.finish(plan, self._failures)
        if self._silence:
            waiting = len(self.place.waiting())
            raise SweepError(
                f"{self._silence} {waiting} runs wait; the same command, or benchmark ingest {self.place.records}, "
                "logs them."
            )
        failed = len(plan.of(sweep.FAILED))
        if failed or plan.waiting:
            waits = sum(plan.waiting.values())
            more = f", and {waits} wait for a rate whose selection lacks runs" if waits else ""
            raise SweepError(f"{failed} of {plan.total} runs failed{more}; --retry-failed tries them again.")
        return plan
