"""The life of each run of a sweep, as a state machine: `TRANSITIONS` says what may happen to a run in which state.

Pure: no clock, no files, no store. `judge` turns what an executor says of a run into an event, `Runs` keeps every run
in one state, and the driver (`benchmark.sweeps.driver`) does what each event stands for.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from benchmark.spec import RunSpec
from benchmark.sweeps.executors.base import BUSY, DIED, FINISHED, HALTED, UNFIT, Outcome

#: How often a run whose worker died is started again before it counts as failed. Progress resets the count.
RESTARTS = 2


class State(enum.Enum):
    """Where a run is."""

    READY = "waits for a free slot"
    HELD = "another process has it in hand"
    RUNNING = "the executor has it"
    FINISHED = "its result is in the store, or on the way there"
    FAILED = "it failed, and is not tried again in this pass"


class Event(enum.Enum):
    """What happens to a run."""

    START = "it is handed to the executor"
    TAKE = "another process turns out to have it in hand"
    RELEASE = "that process may be done with it"
    REPEAT = "it stopped on the way, and is to be started again"
    FINISH = "it finished, here or elsewhere"
    FAIL = "it failed, here or elsewhere"


TRANSITIONS = {
    (State.READY, Event.START): State.RUNNING,
    (State.READY, Event.TAKE): State.HELD,
    (State.READY, Event.FINISH): State.FINISHED,
    (State.READY, Event.FAIL): State.FAILED,
    (State.HELD, Event.RELEASE): State.READY,
    (State.RUNNING, Event.TAKE): State.HELD,
    (State.RUNNING, Event.REPEAT): State.READY,
    (State.RUNNING, Event.FINISH): State.FINISHED,
    (State.RUNNING, Event.FAIL): State.FAILED,
}


@dataclass(frozen=True)
class Run:
    """A run and its history in this pass.

    Attributes:
        alone: whether nothing else may run beside it, because memory is, or may be, short.
        deaths: how often it stopped on the way since its last progress.
        checkpoint: when its checkpoint was written, as of its last death; a later one is progress.
    """

    spec: RunSpec
    state: State = State.READY
    alone: bool = False
    deaths: int = 0
    checkpoint: int = 0


@dataclass(frozen=True)
class Verdict:
    """What an outcome means for a run.

    Attributes:
        run: with its history brought up to date, in the state that it was in.
        how: for a person, in which way it is started again; empty where there is nothing to say.
        first: whether it goes before all others that are ready.
    """

    run: Run
    event: Event
    how: str = ""
    first: bool = False


def judge(run: Run, outcome: Outcome, checkpoint: int = 0) -> Verdict:
    """Decide what becomes of a running run.

    Args:
        checkpoint: when its checkpoint was written, in any unit that grows; 0 if there is none.
    """
    if outcome.kind == FINISHED:
        return Verdict(run, Event.FINISH)
    if outcome.kind == BUSY:
        return Verdict(run, Event.TAKE)
    if outcome.kind == UNFIT:
        return Verdict(run, Event.REPEAT, "elsewhere, if there is another machine")
    if outcome.kind in (DIED, HALTED):
        return _after_death(run, outcome, checkpoint)
    if outcome.out_of_memory and not run.alone:
        return Verdict(replace(run, alone=True), Event.REPEAT, "alone, out of memory")
    return Verdict(run, Event.FAIL)


def _after_death(run: Run, outcome: Outcome, checkpoint: int) -> Verdict:
    deaths = 1 if checkpoint > run.checkpoint else run.deaths + 1
    if deaths > RESTARTS:
        return Verdict(run, Event.FAIL)
    # The first time somebody may have killed it by mistake; after that memory is the likely reason.
    alone = run.alone or (outcome.kind == DIED and deaths > 1)
    run = replace(run, alone=alone, deaths=deaths, checkpoint=checkpoint)
    if outcome.kind == HALTED:
        return Verdict(run, Event.REPEAT)
    return Verdict(run, Event.REPEAT, f"{'alone ' if alone else ''}on a new worker", first=not alone)


class Runs:
    """All runs of a pass, each in one state; within a state in the order in which they came into it."""

    def __init__(self) -> None:
        self._in: dict[State, OrderedDict[str, Run]] = {state: OrderedDict() for state in State}

    def add(self, specs: Iterable[RunSpec]) -> bool:
        """Take up the runs that are not here yet as ready; whether there were any."""
        new = {spec.hash: Run(spec) for spec in specs if self.state(spec.hash) is None}
        self._in[State.READY].update(new)
        return bool(new)

    def state(self, spec_hash: str) -> State | None:
        """The state of a run; None if it was never added."""
        return next((state for state, runs in self._in.items() if spec_hash in runs), None)

    def of(self, state: State) -> list[Run]:
        """The runs in a state, in order."""
        return list(self._in[state].values())

    def count(self, state: State) -> int:
        """How many runs are in a state."""
        return len(self._in[state])

    def get(self, state: State, spec_hash: str) -> Run:
        """A run that is in this state.

        Raises:
            KeyError: it is not.
        """
        return self._in[state][spec_hash]

    @property
    def open(self) -> bool:
        """Whether there are runs that neither finished nor failed."""
        return any(self._in[state] for state in (State.READY, State.HELD, State.RUNNING))

    def next(self, slots: int) -> Run | None:
        """The run to start now, if any may: those that need the machine to themselves come last, one at a time."""
        running, ready = self._in[State.RUNNING], self._in[State.READY]
        if len(running) >= slots or any(run.alone for run in running.values()):
            return None
        beside_others = next((run for run in ready.values() if not run.alone), None)
        return beside_others or (None if running else next(iter(ready.values()), None))

    def move(self, run: Run, event: Event, *, first: bool = False) -> Run:
        """Let something happen to a run; the run in its new state.

        Args:
            run: with its history as it is to be from now on.
            first: whether it goes before all others in that state.

        Raises:
            KeyError: nothing of the kind can happen in the state that the run is in, or it is not in that state.
        """
        after = replace(run, state=TRANSITIONS[run.state, event])
        del self._in[run.state][run.spec.hash]
        self._in[after.state][run.spec.hash] = after
        if first:
            self._in[after.state].move_to_end(run.spec.hash, last=False)
        return after
