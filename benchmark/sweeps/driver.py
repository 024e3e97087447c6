"""The driver of a sweep: hands runs to an executor, brings what comes back to the store, and knows what is left.

It alone talks to the store. Whatever ends it, the same sweep started again continues: finished runs are in the
store or wait as records, and the others stand at their checkpoints.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmark.events import Ended, Started
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.store.orphans import repair
from benchmark.store.run_states import RunState, states_of
from benchmark.sweeps import grid
from benchmark.sweeps.board import Board
from benchmark.sweeps.delivery import Delivery
from benchmark.sweeps.executors.base import BUSY, DIED, FAILED, FINISHED, HALTED, NO_ROOM, UNFIT, Executor, Outcome
from benchmark.sweeps.grid import Grid, Plan
from benchmark.training.records import RecordError, find_finished, write
from benchmark.training.work_folder import Workplace
from siconvnet.errors import SiconvnetError

#: How often a run is begun anew whose worker died under it before it came any further than the time before.
RESTARTS = 2
#: Seconds within which the record of a run that is said to be finished is to be seen here.
_LATE = 10.0


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
    _solo: set[str] = field(default_factory=set)
    _deaths: dict[str, _Deaths] = field(default_factory=dict)
    _failures: dict[str, Outcome] = field(default_factory=dict)
    _states: list[RunState] = field(default_factory=list)
    _known: Plan | None = None
    _changed: bool = False
    _waits: bool = False
    _unfit: Counter[str] = field(default_factory=Counter)
    _begun: float = 0.0

    def __post_init__(self) -> None:
        self._delivery = Delivery(self.store, self.place, self.board.say)

    def run(self) -> Plan:
        """Go on until every run of the grids is finished or failed.

        Raises:
            SweepError: runs failed, or their records could not be handed over; the message counts them.
            KeyboardInterrupt: the sweep was interrupted; everything is where the next one finds it.
        """
        self._begun = time.time()
        try:
            self._delivery.deliver()
            for run in repair(self.store, states_of(self.store)):
                self.board.say(f"marked as killed: run {run.run_id}, whose process on {run.host} is gone")
            self._states = states_of(self.store)
            self.executor.settle(run.spec_hash for run in self._states if run.status == "FINISHED")
            plan = self._plan()
            self.board.start(plan, self._wanted(plan), self._states, self.executor.slots)
            while self._refill() or self._running:
                self._step()
            self._delivery.deliver(patient=True)
            return self._verdict()
        finally:
            self.executor.close()
            self.board.stop()

    def _plan(self) -> Plan:
        return grid.plan(self.grids, self._states)

    def _wanted(self, plan: Plan) -> list[RunSpec]:
        """What is not done yet, in hand or not: what is missing, and what failed in an earlier pass if that is asked
        for."""
        again = [spec for spec in plan.of(grid.FAILED) if spec.hash not in self._failures] if self.retry_failed else []
        return plan.of(grid.MISSING) + again

    def _refill(self) -> bool:
        """Whether there is anything to begin, asking the plan anew where rates are chosen on the way."""
        # Only a rate that is yet to be chosen can add runs to those that were there from the start.
        new = self._known is None or (self._changed and self._known.waiting)
        if new and not (self._queue or self._alone or self._later):
            self._known = plan = self._plan()
            self._changed = False
            wanted = self._wanted(plan)
            self.board.planned(plan, wanted)
            self._queue.extend(spec for spec in wanted if spec.hash not in self._tried)
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
            self._wait_for_others()
        if not self._running or any(outcome.kind != BUSY for outcome in outcomes):
            for spec in self._later:
                self._put_back(spec)
            self._later.clear()
        if outcomes or self._delivery.silence:
            self._delivery.deliver()
        self.board.tick()

    def _next(self) -> RunSpec | None:
        if self._running.keys() & self._solo:
            return None
        if self._queue:
            return self._queue.popleft()
        return self._alone.popleft() if self._alone and not self._running else None

    def _put_back(self, spec: RunSpec) -> None:
        (self._alone if spec.hash in self._solo else self._queue).append(spec)

    def _wait_for_others(self) -> None:
        if not self._waits:
            self._waits = True
            held = [state for spec in self._later if (state := self.place.told(spec.hash))]
            whose = ", ".join(sorted({f"process {state['pid']} on {state['host']}" for state in held}))
            self.board.say(
                f"waiting for {len(self._later)} runs that others have in hand{f' ({whose})' if whose else ''}; "
                "what they finish, or leave, is taken up here"
            )
        time.sleep(0.5)

    def _there(self, spec: RunSpec) -> bool:
        """Whether another driver has finished it, or has seen it fail since this one began by the clocks of both."""
        run = self._delivery.ask(lambda: self.store.find_ended(spec, self._begun))
        if run is None:
            return False
        failed = run.status == "FAILED"
        outcome = Outcome(
            spec,
            FAILED if failed else FINISHED,
            reason=run.tags.get("reason", ""),
            lines=run.tags.get("last_lines", ""),
            host=run.tags.get("host", ""),
            metrics=run.metrics,
        )
        self.executor.settle([spec.hash])
        self._end(outcome)
        return True

    def _take(self, outcome: Outcome) -> None:
        spec = outcome.spec
        if outcome.kind == NO_ROOM:
            raise SweepError(f"{outcome.reason} Make room; the same command goes on where this one stopped.")
        if outcome.kind == BUSY:
            self._later.append(spec)
            self.board.put_back(spec)
            return
        if outcome.kind == UNFIT:
            self._put_elsewhere(outcome)
            return
        if outcome.kind == FINISHED and not self._left_record(spec):
            outcome = Outcome(spec, DIED, "its record is gone, or cannot be read", host=outcome.host)
        if outcome.kind == DIED and self._there(spec):
            return  # another driver was quicker
        if outcome.kind in (DIED, HALTED) and self._again(outcome):
            return
        if outcome.out_of_memory and spec.hash not in self._solo:
            self._set_apart(spec)
            self.board.again(outcome, "alone, out of memory")
            return
        if outcome.kind != FINISHED:
            outcome = dataclasses.replace(outcome, kind=FAILED)
            self._keep_failure(outcome)
        self._end(outcome)

    def _left_record(self, spec: RunSpec) -> bool:
        """Whether a run that is said to be finished left its record here, or another driver has brought that home.

        What another machine wrote may be late. While the store does not answer nobody knows what is there: the run is
        believed then, and asked for at the end.
        """
        end = time.monotonic() + _LATE
        while not find_finished(self.place.records, spec.hash):
            if self._delivery.ask(lambda: self.store.find_finished(spec)) or self._delivery.silence:
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.5)
        return True

    def _put_elsewhere(self, outcome: Outcome) -> None:
        """A machine can do no runs: another one may, if there is any.

        Raises:
            SweepError: it has been tried often enough.
        """
        self._unfit[outcome.host] += 1
        if self._unfit[outcome.host] > RESTARTS:
            raise SweepError(
                f"{outcome.host} can do no runs: {outcome.reason}. Mend it, or leave it out; the same command goes on "
                "where this one stopped."
            )
        self._put_back(outcome.spec)
        self.board.again(outcome, "elsewhere, if there is another machine")

    def _again(self, outcome: Outcome) -> bool:
        """Begin a run anew that stopped on the way, unless it did so too often without coming any further."""
        spec = outcome.spec
        self.place.tidy(spec.hash)
        deaths, stand = self._deaths.setdefault(spec.hash, _Deaths()), self.place.stand(spec.hash)
        deaths.count, deaths.stand = (deaths.count if stand <= deaths.stand else 0) + 1, stand
        if deaths.count > RESTARTS:
            return False
        # The first time it was perhaps somebody's mistake; after that memory is the likely reason.
        if spec.hash in self._solo or (outcome.kind == DIED and deaths.count > 1):
            self._set_apart(spec)
            how = "alone on a new worker"
        else:
            (self._queue.append if outcome.kind == HALTED else self._queue.appendleft)(spec)
            how = "on a new worker"
        if outcome.kind == HALTED:
            self.board.put_back(spec)
        else:
            self.board.again(outcome, how)
        return True

    def _set_apart(self, spec: RunSpec) -> None:
        """From now on it has the machine to itself."""
        self._solo.add(spec.hash)
        self._alone.append(spec)

    def _keep_failure(self, outcome: Outcome) -> None:
        """Keep a failure as a record, as any other result."""
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

    def _end(self, outcome: Outcome) -> None:
        """It finished or failed, here or elsewhere: what the next plan and a person are to know."""
        spec, now = outcome.spec, time.time()
        if outcome.kind == FAILED:
            self._failures[spec.hash] = outcome
        status = "FAILED" if outcome.kind == FAILED else "FINISHED"
        best = outcome.metrics.get("best_acc")
        self._states.insert(0, RunState("", status, now, now, spec.hash, reason=outcome.reason, best_acc=best))
        self._changed = True
        self.board.ended(outcome)

    def _verdict(self) -> Plan:
        silence = self._delivery.silence
        if not silence:
            # What the store holds is what counts, and not what was heard of.
            self._states = states_of(self.store)
        plan = self._plan()
        self.board.finish(plan, list(self._failures.values()))
        if silence:
            waiting = len(self.place.waiting())
            raise SweepError(
                f"{silence} {waiting} runs wait; the same command, or benchmark ingest {self.place.records}, logs them."
            )
        if missing := len(plan.of(grid.MISSING)):
            raise SweepError(f"{missing} of {plan.total} runs are not in the store; {self._way_out()}")
        failed = len(plan.of(grid.FAILED))
        if failed or plan.waiting:
            more = f", and {plan.waits} wait for a rate whose selection lacks runs" if plan.waiting else ""
            raise SweepError(f"{failed} of {plan.total} runs failed{more}; --retry-failed tries them again.")
        return plan

    def _way_out(self) -> str:
        """What to do about runs that are not in the store."""
        if not self._delivery.refused:
            return "the same command runs them."
        return (
            f"records that could not be logged are left in {self.place.records}; the lines above say why. Once that is "
            "mended, the same command, or benchmark ingest, logs them."
        )
