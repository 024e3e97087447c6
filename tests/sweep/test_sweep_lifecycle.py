"""The state machine of a run: what may happen when, and what holds of a whole sweep whatever happens."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from benchmark.spec import RunSpec
from benchmark.sweeps.executors.base import BUSY, DIED, FAILED, FINISHED, HALTED, UNFIT, Outcome
from benchmark.sweeps.lifecycle import RESTARTS, TRANSITIONS, Event, Run, Runs, State, judge

SPEC = RunSpec("standard", "emoji", evaluation=2, lr=1e-3, seed=1)
SPECS = [SPEC.replace(seed=seed) for seed in range(10)]
ENDS = {State.FINISHED, State.FAILED}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_nothing_happens_that_the_table_does_not_list(state: State, event: Event) -> None:
    runs = Runs()
    runs.add([SPEC])
    run = dataclasses.replace(runs.of(State.READY)[0], state=state)
    runs._in[State.READY].clear()
    runs._in[state][SPEC.hash] = run
    if (state, event) in TRANSITIONS:
        assert runs.move(run, event).state == TRANSITIONS[state, event] == runs.state(SPEC.hash)
    else:
        with pytest.raises(KeyError):
            runs.move(run, event)
        assert runs.state(SPEC.hash) == state


def test_every_state_is_reached_and_every_run_can_end() -> None:
    reached = {State.READY}
    for _ in State:
        reached |= {to for (state, _), to in TRANSITIONS.items() if state in reached}
    assert reached == set(State)
    can_end = set(ENDS)
    for _ in State:
        can_end |= {state for (state, _), to in TRANSITIONS.items() if to in can_end}
    assert can_end == set(State)
    assert not {state for state, _ in TRANSITIONS} & ENDS


@pytest.mark.parametrize(
    ("run", "outcome", "event", "how"),
    [
        (Run(SPEC), Outcome(SPEC, FINISHED), Event.FINISH, ""),
        (Run(SPEC), Outcome(SPEC, FAILED), Event.FAIL, ""),
        (Run(SPEC), Outcome(SPEC, BUSY), Event.TAKE, ""),
        (Run(SPEC), Outcome(SPEC, UNFIT), Event.REPEAT, "elsewhere, if there is another machine"),
        (Run(SPEC), Outcome(SPEC, FAILED, out_of_memory=True), Event.REPEAT, "alone, out of memory"),
        (Run(SPEC, alone=True), Outcome(SPEC, FAILED, out_of_memory=True), Event.FAIL, ""),
        (Run(SPEC), Outcome(SPEC, DIED), Event.REPEAT, "on a new worker"),
        (Run(SPEC, deaths=1), Outcome(SPEC, DIED), Event.REPEAT, "alone on a new worker"),
        (Run(SPEC, deaths=2), Outcome(SPEC, DIED), Event.FAIL, ""),
        (Run(SPEC, deaths=2, checkpoint=-1), Outcome(SPEC, DIED), Event.REPEAT, "on a new worker"),
        (Run(SPEC, deaths=1), Outcome(SPEC, HALTED), Event.REPEAT, ""),
        (Run(SPEC, deaths=2), Outcome(SPEC, HALTED), Event.FAIL, ""),
    ],
)
def test_judgements(run: Run, outcome: Outcome, event: Event, how: str) -> None:
    verdict = judge(run, outcome)
    assert (verdict.event, verdict.how) == (event, how)
    assert verdict.first == (how == "on a new worker")


def test_a_run_that_needs_the_machine_to_itself_starts_last_and_has_it() -> None:
    runs = Runs()
    runs.add(SPECS[:3])
    needy = runs.move(runs.of(State.READY)[0], Event.START)
    needy = runs.move(dataclasses.replace(needy, alone=True), Event.REPEAT, first=True)
    others = []
    while (run := runs.next(4)) is not None:
        others.append(runs.move(run, Event.START))
    assert [run.spec for run in others] == SPECS[1:3]
    for run in others:
        runs.move(run, Event.FINISH)
    runs.add(SPECS[3:4])
    (late,) = [runs.move(run, Event.FINISH) for run in [runs.next(4)] if run]
    assert late.spec == SPECS[3]
    assert runs.next(4) == needy
    runs.move(needy, Event.START)
    runs.add(SPECS[4:5])
    assert runs.next(4) is None


class Sweep(RuleBasedStateMachine):
    """Any number of runs, of which anything may become at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.runs, self.slots = Runs(), 2
        self.added: set[str] = set()
        self.ended: dict[str, State] = {}
        self.deaths: dict[str, int] = {}
        self.checkpoints: dict[str, int] = {}

    @initialize(number=st.integers(1, 6))
    def begin(self, number: int) -> None:
        self.add(range(number))

    @rule(seeds=st.lists(st.integers(0, 9), max_size=3))
    def add(self, seeds: Iterable[int]) -> None:
        specs = [SPECS[seed] for seed in seeds]
        new = {spec.hash for spec in specs} - self.added
        assert self.runs.add(specs) == bool(new)
        self.added |= new

    @rule(slots=st.integers(1, 3))
    def resize(self, slots: int) -> None:
        """Clusters grow and shrink."""
        self.slots = slots

    @precondition(lambda self: self.runs.count(State.READY))
    @rule()
    def start(self) -> None:
        run, beside = self.runs.next(self.slots), self.runs.of(State.RUNNING)
        if run is None:
            full = len(beside) >= self.slots or any(other.alone for other in beside)
            assert full or (beside and all(other.alone for other in self.runs.of(State.READY)))
            return
        assert not beside or not (run.alone or any(other.alone for other in beside))
        assert len(beside) < self.slots
        assert self.runs.move(run, Event.START).state == State.RUNNING

    @precondition(lambda self: self.runs.count(State.RUNNING))
    @rule(
        which=st.integers(0, 2),
        kind=st.sampled_from([DIED, HALTED, FAILED, BUSY, UNFIT, FINISHED]),
        out_of_memory=st.booleans(),
        further=st.booleans(),
    )
    def end(self, which: int, kind: str, out_of_memory: bool, further: bool) -> None:
        running = self.runs.of(State.RUNNING)
        run = running[which % len(running)]
        key = run.spec.hash
        self.checkpoints[key] = self.checkpoints.get(key, 0) + further
        outcome = Outcome(run.spec, kind, out_of_memory=out_of_memory and kind == FAILED)
        verdict = judge(run, outcome, self.checkpoints[key])
        after = self.runs.move(verdict.run, verdict.event, first=verdict.first)
        if kind in (DIED, HALTED):
            progress = self.checkpoints[key] > run.checkpoint
            self.deaths[key] = 1 if progress else self.deaths.get(key, 0) + 1
            assert (after.state == State.FAILED) == (self.deaths[key] > RESTARTS)
        assert run.alone <= after.alone
        if verdict.first:
            assert self.runs.of(State.READY)[0] == after
        if after.state in ENDS:
            self.ended[key] = after.state

    @precondition(lambda self: self.runs.count(State.READY))
    @rule(event=st.sampled_from([Event.TAKE, Event.FINISH, Event.FAIL]))
    def find_elsewhere(self, event: Event) -> None:
        """The next run turns out to be another driver's."""
        if run := self.runs.next(self.slots):
            after = self.runs.move(run, event)
            if after.state in ENDS:
                self.ended[run.spec.hash] = after.state

    @precondition(lambda self: self.runs.count(State.HELD))
    @rule()
    def release(self) -> None:
        for run in self.runs.of(State.HELD):
            self.runs.move(run, Event.RELEASE)
        assert not self.runs.of(State.HELD)

    @invariant()
    def every_run_is_in_one_state(self) -> None:
        everywhere = [run.spec.hash for state in State for run in self.runs.of(state)]
        assert sorted(everywhere) == sorted(self.added)
        assert all(run.state == state for state in State for run in self.runs.of(state))

    @invariant()
    def what_ended_stays_so(self) -> None:
        assert {key: self.runs.state(key) for key in self.ended} == self.ended
        assert self.runs.open == (len(self.ended) < len(self.added))

    def teardown(self) -> None:
        """Whatever happened, the sweep comes to its end."""
        for _ in range(3 * len(self.added) + 1):
            self.release()
            for run in self.runs.of(State.RUNNING):
                self.runs.move(run, Event.FINISH)
            while run := self.runs.next(self.slots):
                self.runs.move(run, Event.START)
        assert not self.runs.open


Sweep.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
TestSweep = Sweep.TestCase
