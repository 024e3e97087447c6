"""What the driver does with what becomes of runs: an executor that follows a script instead of training."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console
from sweep_bench import Bench

from benchmark import sweep
from benchmark.board import Board
from benchmark.driver import Driver, SweepError
from benchmark.executors.base import DIED, FAILED, FINISHED, HALTED, Executor, Outcome, Settings
from benchmark.spec import RunSpec
from benchmark.states import RunState
from benchmark.sweep import Grid, Plan
from benchmark.tracking import Store
from benchmark.workplace import Workplace

Script = Callable[[RunSpec], Iterator[Outcome]]


class Scripted(Executor):
    """Each run ends as the script says, one after another; `together` is what ran beside each."""

    name = "by a script"

    def __init__(self, place: Workplace, script: Script, slots: int = 1):
        super().__init__(Settings(place.root), lambda progress: None)
        self.script, self.slots = script, slots
        self.outcomes: dict[str, Iterator[Outcome]] = {}
        self.running: list[RunSpec] = []
        self.together: list[tuple[int | None, ...]] = []

    def submit(self, spec: RunSpec) -> None:
        self.outcomes.setdefault(spec.hash, self.script(spec))
        self.running.append(spec)

    def wait(self, seconds: float) -> list[Outcome]:
        if not self.running:
            return []
        self.together.append(tuple(spec.seed for spec in self.running))
        return [next(self.outcomes[self.running.pop(0).hash])]

    def close(self) -> None: ...


def grid_of(seeds: tuple[int, ...], lrs: tuple[float, ...] = (0.5,), select_over: tuple[int, ...] = ()) -> Grid:
    axes = {"datasets": ("emoji",), "evaluations": (2,), "models": ("standard",), "lrs": lrs, "seeds": seeds}
    return Grid("stir", axes, select_over)


def drive(
    bench: Bench,
    script: Script,
    *,
    seeds: tuple[int, ...] = (1,),
    slots: int = 1,
    lrs: tuple[float, ...] = (0.5,),
    select_over: tuple[int, ...] = (),
) -> Scripted:
    executor = Scripted(bench.place, script, slots)
    grids = [grid_of(seeds, lrs, select_over)]
    board = Board(Console(file=io.StringIO()))
    Driver(grids, Store(bench.uri), bench.place, executor, board).run()
    return executor


def done(spec: RunSpec) -> Outcome:
    return Outcome(spec, FINISHED, metrics={"best_acc": 50.0, "run_time": 1.0, "test_acc": 50.0})


@pytest.mark.parametrize("kind", [DIED, HALTED])
@pytest.mark.parametrize("further", [True, False], ids=["further each time", "in vain"])
def test_run_that_comes_further_each_time_is_begun_as_often_as_it_takes(bench: Bench, kind: str, further: bool) -> None:
    def script(spec: RunSpec) -> Iterator[Outcome]:
        path: Path = bench.place.checkpoint(spec.hash)
        path.parent.mkdir(exist_ok=True)
        for number in range(8):
            if further:
                path.write_text(str(number))
            yield Outcome(spec, kind, "gone")
        yield done(spec)

    if further:
        assert len(drive(bench, script).together) == 9
        assert bench.runs("FAILED") == []
    else:
        with pytest.raises(SweepError, match="1 of 1 runs failed"):
            drive(bench, script)
        assert [run.reason for run in bench.runs("FAILED")] == ["gone"]


def test_run_that_ran_out_of_memory_has_the_machine_to_itself(bench: Bench) -> None:
    def script(spec: RunSpec) -> Iterator[Outcome]:
        if spec.seed == 1:
            yield Outcome(spec, FAILED, "no memory", out_of_memory=True)
        yield done(spec)

    executor = drive(bench, script, seeds=(1, 2, 3, 4), slots=2)
    assert [beside for beside in executor.together if 1 in beside] == [(1, 2), (1,)]
    assert sum(len(beside) == 2 for beside in executor.together) == 3


def test_run_that_another_process_has_in_hand_waits(bench: Bench) -> None:
    (spec,) = sweep.expand(grid_of((1,)))
    bench.place.prepare()
    free = threading.Event()

    def hold() -> None:
        with bench.place.claim(spec.hash):
            held.set()
            free.wait(30)

    held = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    order: list[int | None] = []

    def script(spec: RunSpec) -> Iterator[Outcome]:
        order.append(spec.seed)
        if spec.seed == 3:
            free.set()
            holder.join()
        yield done(spec)

    drive(bench, script, seeds=(1, 2, 3))
    assert order == [2, 3, 1]


def test_plan_is_made_anew_only_where_a_rate_is_chosen(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Plan] = []

    def plan(grids: Sequence[Grid], states: Sequence[RunState]) -> Plan:
        made.append(genuine(grids, states))
        return made[-1]

    genuine = sweep.plan
    monkeypatch.setattr(sweep, "plan", plan)
    executor = drive(bench, lambda spec: iter([done(spec)]), seeds=(1, 2, 3, 4, 5))
    # To show, to begin, to end with.
    assert (len(executor.together), len(made)) == (5, 3)
    made.clear()
    executor = drive(
        bench, lambda spec: itertools.repeat(done(spec)), seeds=(6, 7, 8), lrs=(0.5, 0.25), select_over=(6, 7)
    )
    assert (len(executor.together), len(made)) == (5, 4)
    assert not made[-1].waiting
