"""The driver of a sweep: hands runs to an executor, brings what comes back to the store, and knows what is left.

It alone talks to the store. Whatever ends it, the same sweep started again continues: finished runs are in the
store or wait as records, and the others stand at their checkpoints.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.store.orphans import repair
from benchmark.store.run_states import states_of
from benchmark.sweeps import grid
from benchmark.sweeps.agenda import Agenda
from benchmark.sweeps.board import Board
from benchmark.sweeps.delivery import Delivery
from benchmark.sweeps.executors.base import BUSY, DIED, FAILED, FINISHED, HALTED, NO_ROOM, UNFIT, Executor, Outcome
from benchmark.sweeps.grid import Grid, Plan
from benchmark.sweeps.lifecycle import RESTARTS, Event, Run, Runs, State, judge
from benchmark.training.work_folder import Workplace
from siconvnet.errors import SiconvnetError


class SweepError(SiconvnetError):
    """A sweep that did not get through, and what to do."""


class Driver:
    """One pass over a sweep.

    Args:
        retry_failed: run again what failed in an earlier pass.

    Attributes:
        agenda: what there is to do; known once the pass has begun.
        runs: where each run is.
        failures: what failed in this pass.
        unfit: how often each machine could not do a run.
    """

    agenda: Agenda

    def __init__(
        self,
        grids: Sequence[Grid],
        store: Store,
        place: Workplace,
        executor: Executor,
        board: Board,
        retry_failed: bool = False,
    ):
        self.grids, self.store, self.place = grids, store, place
        self.executor, self.board, self.retry_failed = executor, board, retry_failed
        self.delivery = Delivery(store, place, board.say)
        self.runs = Runs()
        self.failures: list[Outcome] = []
        self.unfit: Counter[str] = Counter()

    def run(self) -> Plan:
        """Go on until every run of the grids is finished or failed.

        Raises:
            SweepError: runs failed, or their records could not be handed over; the message counts them.
            KeyboardInterrupt: the sweep was interrupted; everything is where the next one finds it.
        """
        try:
            self._begin()
            while self._look_ahead() or self.runs.open:
                self._hand_out()
                self._take_back()
                self.board.tick()
            self.delivery.deliver(patient=True)
            return self._conclude()
        finally:
            self.executor.close()
            self.board.stop()

    def _begin(self) -> None:
        """Bring home what earlier passes left, and find out what there is to do."""
        self.delivery.deliver()
        for orphan in repair(self.store, states_of(self.store)):
            self.board.say(f"marked as killed: run {orphan.run_id}, whose process on {orphan.host} is gone")
        self.agenda = Agenda(self.grids, states_of(self.store))
        self.executor.settle(run.spec_hash for run in self.agenda.states if run.status == "FINISHED")
        wanted = self._wanted()
        self.board.start(self.agenda.plan, wanted, self.agenda.states, self.executor.slots)
        self.runs.add(wanted)

    def _look_ahead(self) -> bool:
        """Take up runs whose rate can be chosen by now, once nothing else is left to start; whether there are any."""
        if self.runs.count(State.READY) or self.runs.count(State.HELD) or not self.agenda.revise():
            return False
        wanted = self._wanted()
        self.board.planned(self.agenda.plan, wanted)
        return self.runs.add(wanted)

    def _wanted(self) -> list[RunSpec]:
        """The runs that this pass is to bring to their end, those in hand included."""
        failed = self.agenda.plan.of(grid.FAILED) if self.retry_failed else []
        again = [spec for spec in failed if self.runs.state(spec.hash) != State.FAILED]
        return self.agenda.plan.of(grid.MISSING) + again

    def _hand_out(self) -> None:
        """Start as many runs as there are free slots."""
        while run := self.runs.next(self.executor.slots):
            if self.place.held(run.spec.hash):
                self.runs.move(run, Event.TAKE)
            elif not self._ended_elsewhere(run):
                self.runs.move(run, Event.START)
                self.board.began(run.spec)
                self.executor.submit(run.spec)

    def _take_back(self) -> None:
        """Deal with what ends, and with what others may have finished or left."""
        outcomes = self.executor.wait(1.0)
        for outcome in outcomes:
            self._take(outcome)
        idle = not self.runs.count(State.RUNNING)
        held = self.runs.of(State.HELD)
        if held and idle and not self.runs.count(State.READY):
            self.board.waits(len(held), [told for run in held if (told := self.place.told(run.spec.hash))])
            time.sleep(0.5)
        if idle or any(outcome.kind != BUSY for outcome in outcomes):
            for run in held:
                self.runs.move(run, Event.RELEASE)
        if outcomes or self.delivery.silence:
            self.delivery.deliver()

    def _take(self, outcome: Outcome) -> None:
        """Deal with one run that the executor gives back.

        Raises:
            SweepError: the sweep cannot go on.
        """
        spec = outcome.spec
        run = self.runs.get(State.RUNNING, spec.hash)
        if outcome.kind == NO_ROOM:
            raise SweepError(f"{outcome.reason} Make room; the same command goes on where this one stopped.")
        if outcome.kind == UNFIT:
            self._count_unfit(outcome)
        if outcome.kind == FINISHED and not self.delivery.has_result(spec):
            outcome = Outcome(spec, DIED, "its record is gone, or cannot be read", host=outcome.host)
        if outcome.kind == DIED and self._ended_elsewhere(run):
            return  # another driver was quicker
        if outcome.kind in (DIED, HALTED):
            self.place.tidy(spec.hash)
        verdict = judge(run, outcome, self.place.stand(spec.hash))
        if verdict.event == Event.FAIL:
            outcome = self.delivery.keep_failure(outcome)
        if verdict.event in (Event.FINISH, Event.FAIL):
            self._end(run, outcome)
            return
        self.runs.move(verdict.run, verdict.event, first=verdict.first)
        if verdict.how:
            self.board.again(outcome, verdict.how)
        else:
            self.board.put_back(spec)

    def _count_unfit(self, outcome: Outcome) -> None:
        """Count how often a machine could not do a run; another may, if there is any.

        Raises:
            SweepError: this one was tried often enough.
        """
        self.unfit[outcome.host] += 1
        if self.unfit[outcome.host] > RESTARTS:
            raise SweepError(
                f"{outcome.host} cannot do any runs: {outcome.reason}. Repair it, or leave it out; the same command "
                "goes on where this one stopped."
            )

    def _ended_elsewhere(self, run: Run) -> bool:
        """Whether another driver has finished a run, or has seen it fail since this pass began."""
        outcome = self.delivery.find_ended(run.spec)
        if outcome is None:
            return False
        self.executor.settle([run.spec.hash])
        self._end(run, outcome)
        return True

    def _end(self, run: Run, outcome: Outcome) -> None:
        """Take down that a run finished or failed, here or elsewhere."""
        failed = outcome.kind == FAILED
        self.runs.move(run, Event.FAIL if failed else Event.FINISH)
        if failed:
            self.failures.append(outcome)
        self.agenda.note(outcome)
        self.board.ended(outcome)

    def _conclude(self) -> Plan:
        """Compare the sweep with what the store holds in the end.

        Raises:
            SweepError: runs failed, or are not in the store.
        """
        silence = self.delivery.silence
        # What the store holds is what counts, not what was heard of, as long as it can be asked.
        plan = Agenda(self.grids, self.agenda.states if silence else states_of(self.store)).plan
        self.board.finish(plan, self.failures)
        if silence:
            waiting = len(self.place.waiting())
            raise SweepError(
                f"{silence} {waiting} runs wait; the same command, or benchmark ingest {self.place.records}, logs them."
            )
        if missing := len(plan.of(grid.MISSING)):
            raise SweepError(f"{missing} of {plan.total} runs are not in the store; {self.delivery.way_out()}")
        failed = len(plan.of(grid.FAILED))
        if failed or plan.waiting:
            more = f", and {plan.waits} wait for a rate whose selection lacks runs" if plan.waiting else ""
            raise SweepError(f"{failed} of {plan.total} runs failed{more}; --retry-failed tries them again.")
        return plan
