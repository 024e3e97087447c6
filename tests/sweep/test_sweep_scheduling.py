"""What the driver does with what becomes of runs: an executor that follows a script instead of training."""

from __future__ import annotations

import io
import itertools
import os
import re
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from sweep_bench import Bench

from benchmark.events import Epoch, Result, Started
from benchmark.predictions import Predictions
from benchmark.spec import RunSpec
from benchmark.store import Store, TrackingError, entries, experiment_name
from benchmark.store.ingestion import ingest
from benchmark.store.run_states import RunState
from benchmark.sweeps import grid
from benchmark.sweeps.board import Board
from benchmark.sweeps.delivery import Delivery
from benchmark.sweeps.driver import Driver, SweepError
from benchmark.sweeps.executors.base import DIED, FAILED, FINISHED, HALTED, UNFIT, Executor, Outcome, Settings
from benchmark.sweeps.grid import Grid, Plan
from benchmark.training.records import Record, write
from benchmark.training.work_folder import Workplace

Script = Callable[[RunSpec], Iterator[Outcome]]
NO_RECORD = "no record"


def leave_record(place: Workplace, outcome: Outcome) -> None:
    """What a worker leaves of a finished run: of two objects of each size one is recognised."""
    now = time.time()
    started = Started(uuid.uuid4().hex, outcome.spec, now, 1, {"host": socket.gethostname(), "pid": os.getpid()})
    count = int(outcome.metrics.get("epochs", 1))
    history = tuple(
        Epoch(number, 1.0, 50.0, 1.0, 1.0, 50.0, 50.0, count - number, now) for number in range(1, count + 1)
    )
    sizes = np.repeat(np.arange(17, 65), 2)
    right = np.arange(len(sizes)) % 2
    predictions = Predictions(right, np.zeros_like(right), sizes, np.zeros(len(sizes), dtype=np.float32))
    metrics = {"test_acc": 50.0, **outcome.metrics}
    write(Result(started, metrics, history, predictions, {"weight": torch.zeros(1)}, now), place.records)


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
        outcome = next(self.outcomes[self.running.pop(0).hash])
        if outcome.kind == FINISHED and outcome.lines != NO_RECORD:
            leave_record(Workplace(self.settings.root), outcome)
        return [outcome]

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
    retry_failed: bool = False,
    output: io.StringIO | None = None,
    grids: Sequence[Grid] = (),
) -> Scripted:
    bench.place.prepare()
    executor = Scripted(bench.place, script, slots)
    grids = grids or [grid_of(seeds, lrs, select_over)]
    board = Board(Console(file=output or io.StringIO(), width=1000))
    Driver(grids, Store(bench.uri), bench.place, executor, board, retry_failed).run()
    return executor


def done(spec: RunSpec) -> Outcome:
    return Outcome(
        spec, FINISHED, metrics={"best_acc": 50.0, "run_time": 10.0, "test_acc": 50.0, "epochs": 10, "avg_time": 1.0}
    )


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
    (spec,) = grid.expand(grid_of((1,)))
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

    genuine = grid.plan
    monkeypatch.setattr(grid, "plan", plan)
    executor = drive(bench, lambda spec: iter([done(spec)]), seeds=(1, 2, 3, 4, 5))
    # To begin and to end with.
    assert (len(executor.together), len(made)) == (5, 2)
    made.clear()
    executor = drive(
        bench, lambda spec: itertools.repeat(done(spec)), seeds=(6, 7, 8), lrs=(0.5, 0.25), select_over=(6, 7)
    )
    assert (len(executor.together), len(made)) == (5, 3)
    assert not made[-1].waiting


def test_a_run_that_diverges_leaves_its_cell_to_the_other_rate_in_the_same_pass(bench: Bench) -> None:
    def script(spec: RunSpec) -> Iterator[Outcome]:
        if spec.lr == 0.5 and spec.seed == 1:
            yield Outcome(spec, FAILED, "diverged: the training loss became nan in epoch 1", host="here")
        while True:
            yield done(spec)

    with pytest.raises(SweepError, match=r"^1 of 6 runs failed; --retry-failed"):
        drive(bench, script, seeds=(1, 2, 3, 4), lrs=(0.5, 0.25), select_over=(1, 2))
    assert sorted((run.lr, run.seed) for run in bench.runs()) == [
        ("0.25", "1"),
        ("0.25", "2"),
        ("0.25", "3"),
        ("0.25", "4"),
        ("0.5", "2"),
    ]


@pytest.mark.parametrize("halted_first", [True, False])
def test_out_of_memory_and_an_interruption_have_nothing_to_do_with_each_other(bench: Bench, halted_first: bool) -> None:
    def script(spec: RunSpec) -> Iterator[Outcome]:
        if spec.seed == 1:
            stopped = Outcome(spec, HALTED, "preempted")
            full = Outcome(spec, FAILED, "no memory", out_of_memory=True)
            yield from (stopped, full) if halted_first else (full, stopped)
        while True:
            yield done(spec)

    executor = drive(bench, script, seeds=(1, 2, 3, 4, 5, 6), slots=2)
    assert bench.seeds() == [1, 2, 3, 4, 5, 6]
    # Once out of memory it has the machine to itself, whatever happens to it there.
    beside = [running for running in executor.together if 1 in running]
    assert beside[-1] == (1,) and (beside[1] == (1,)) != halted_first


def test_out_of_memory_alone_is_a_failure(bench: Bench) -> None:
    def script(spec: RunSpec) -> Iterator[Outcome]:
        while True:
            yield Outcome(spec, FAILED, "no memory", host="here", out_of_memory=True)

    with pytest.raises(SweepError, match="1 of 1 runs failed"):
        drive(bench, script)
    assert len(bench.runs("FAILED")) == 1


@pytest.mark.parametrize("retry_failed", [True, False])
def test_what_another_driver_has_seen_fail_is_not_tried_again(bench: Bench, retry_failed: bool) -> None:
    began: list[int | None] = []

    def failing(spec: RunSpec) -> Iterator[Outcome]:
        began.append(spec.seed)
        while True:
            yield Outcome(spec, FAILED, "boom", host="here")

    def meanwhile(spec: RunSpec) -> Iterator[Outcome]:
        with pytest.raises(SweepError, match="3 of 3 runs failed"):
            drive(bench, failing, seeds=(1, 2, 3))
        yield from failing(spec)

    output = io.StringIO()
    with pytest.raises(SweepError, match="3 of 3 runs failed"):
        drive(bench, meanwhile, seeds=(1, 2, 3), retry_failed=retry_failed, output=output)
    # The first was under way already when the other one began.
    assert sorted(bench.seeds("FAILED")) == [1, 1, 2, 3]
    assert output.getvalue().count("failed: standard s") == 3


def test_what_is_called_finished_and_left_no_record_is_run_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.sweeps.delivery._LATE", 0.0)

    def script(spec: RunSpec) -> Iterator[Outcome]:
        yield Outcome(spec, FINISHED, lines=NO_RECORD, host="here", metrics={"best_acc": 50.0})
        yield done(spec)

    output = io.StringIO()
    assert len(drive(bench, script, output=output).together) == 2
    assert "its record is gone, or cannot be read; once more on a new worker" in output.getvalue()
    assert bench.seeds() == [1]


def test_a_record_that_is_late_is_waited_for(bench: Bench) -> None:
    def script(spec: RunSpec) -> Iterator[Outcome]:
        threading.Timer(1.0, leave_record, (bench.place, done(spec))).start()
        yield Outcome(spec, FINISHED, lines=NO_RECORD, metrics={"best_acc": 50.0})

    assert len(drive(bench, script).together) == 1
    assert bench.seeds() == [1]


def test_a_run_that_another_driver_took_home_is_not_begun_again(bench: Bench) -> None:
    def script(spec: RunSpec) -> Iterator[Outcome]:
        leave_record(bench.place, done(spec))
        list(ingest(bench.place.records, Store(bench.uri), once=True))
        yield Outcome(spec, DIED, "job 7 is gone without a result")

    output = io.StringIO()
    assert len(drive(bench, script, output=output).together) == 1
    assert bench.seeds() == [1] and "once more" not in output.getvalue()


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_machine_that_can_do_no_runs_costs_them_nothing(bench: Bench, elsewhere: bool) -> None:
    def script(spec: RunSpec) -> Iterator[Outcome]:
        for _ in range(2 if elsewhere else 9):
            yield Outcome(spec, UNFIT, "PyTorch cannot be loaded: no libcudart", host="node7")
        yield done(spec)

    if elsewhere:
        assert len(drive(bench, script).together) == 3
    else:
        with pytest.raises(
            SweepError, match=r"^node7 cannot do any runs: PyTorch cannot be loaded: no libcudart. Repair it"
        ):
            drive(bench, script, seeds=(1, 2, 3))
    assert bench.seeds() == ([1] if elsewhere else []) and bench.runs("FAILED") == []


def test_a_record_that_another_driver_has_handed_over_is_none_that_is_gone(bench: Bench) -> None:
    def script(spec: RunSpec) -> Iterator[Outcome]:
        leave_record(bench.place, done(spec))
        list(ingest(bench.place.records, Store(bench.uri), once=True))
        yield Outcome(spec, FINISHED, lines=NO_RECORD, metrics={"best_acc": 50.0})

    assert len(drive(bench, script).together) == 1
    assert bench.seeds() == [1]


def test_runs_that_are_not_in_the_store_at_the_end_are_told(bench: Bench) -> None:
    def script(spec: RunSpec) -> Iterator[Outcome]:
        yield done(spec)

    class Emptied(Store):
        """Somebody deletes the first run of the sweep while it goes on."""

        def log_record(self, record: Record, *, once: bool = False, **options: object) -> str | None:
            logged = super().log_record(record, once=once)
            if record.spec.seed == 1 and logged:
                self.client.delete_run(logged)
            return logged

    bench.place.prepare()
    driver = Driver(
        [grid_of((1, 2))],
        Emptied(bench.uri),
        bench.place,
        Scripted(bench.place, script),
        Board(Console(file=io.StringIO())),
    )
    with pytest.raises(SweepError, match="1 of 2 runs are not in the store; the same command runs them"):
        driver.run()


def test_what_is_tried_again_counts_as_work_that_is_left(bench: Bench) -> None:
    def script(spec: RunSpec) -> Iterator[Outcome]:
        yield Outcome(spec, FAILED, "boom", host="here") if spec.seed != 4 else done(spec)

    with pytest.raises(SweepError):
        drive(bench, script, seeds=(1, 2, 3, 4))
    output = io.StringIO()
    drive(bench, lambda spec: iter([done(spec)]), seeds=(1, 2, 3, 4, 5), retry_failed=True, output=output)
    told = output.getvalue()
    assert "5 runs: 1 done before, 3 failed before and tried again" in told
    assert [line.split("]")[0] for line in told.splitlines() if line.startswith("[")] == [
        "[2/5",
        "[3/5",
        "[4/5",
        "[5/5",
    ]
    lefts = [float(found) for found in re.findall(r"; ([\d.]+) s left", told)]
    assert lefts == [30.0, 20.0, 10.0, 0.0]


def test_waiting_for_others_is_said_once(bench: Bench) -> None:
    (spec,) = grid.expand(grid_of((1,)))
    bench.place.prepare()
    held, output = threading.Event(), io.StringIO()

    def hold() -> None:
        with bench.place.claim(spec.hash):
            bench.place.say(spec.hash, epoch=3)
            held.set()
            time.sleep(2)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    drive(bench, lambda spec: iter([done(spec)]), output=output)
    holder.join()
    who = f"process {os.getpid()} on {socket.gethostname()}"
    assert output.getvalue().count(f"waiting for 1 runs that others have in hand ({who})") == 1
    assert bench.seeds() == [1]


def test_a_record_that_the_store_refuses_holds_up_no_other(bench: Bench) -> None:
    deleted = Store(bench.uri)
    spec = grid.expand(grid_of((1,)))[0]
    name = experiment_name(spec)
    deleted.client.delete_experiment(deleted.client.create_experiment(name))
    other = Grid("stir", {**grid_of((1, 2)).axes, "evaluations": (3,)})
    output = io.StringIO()
    with pytest.raises(SweepError, match="1 of 3 runs are not in the store; records that could not be logged are left"):
        drive(bench, lambda spec: iter([done(spec)]), output=output, grids=[grid_of((1,)), other])
    assert sorted((run.evaluation, run.seed) for run in bench.runs()) == [("3", "1"), ("3", "2")]
    (folder,) = bench.place.waiting()
    told = output.getvalue()
    assert told.count(f"not logged, and left in {bench.place.records}: {folder.name}: experiment {name!r}") == 1
    assert "wait in" not in told
    deleted.client.restore_experiment(Store(bench.uri).client.get_experiment_by_name(name).experiment_id)
    drive(bench, lambda spec: iter([Outcome(spec, FINISHED, lines=NO_RECORD)]), grids=[grid_of((1,)), other])
    assert len(bench.runs()) == 3 and bench.place.waiting() == []


def test_what_mlflow_refuses_leaves_no_run_that_seems_to_go_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.place.prepare()
    (spec,) = grid.expand(grid_of((1,)))
    leave_record(bench.place, done(spec))
    # A name that a later version of MLflow may no longer accept.
    final = entries.final_metrics
    monkeypatch.setattr(
        "benchmark.store.store.final_metrics", lambda metrics, time: final({**metrics, "k=3": 1.0}, time)
    )
    (outcome,) = ingest(bench.place.records, Store(bench.uri))
    assert "refuses this: Invalid value" in outcome.error and outcome.folder.is_dir()
    with sqlite3.connect(bench.database) as database:
        assert database.execute("SELECT status, lifecycle_stage FROM runs").fetchall() == [("KILLED", "deleted")]


def test_a_store_that_is_slow_to_fail_is_asked_less_often(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.sweeps.delivery._PAUSE", 0.1)
    bench.place.prepare()
    (spec,) = grid.expand(grid_of((1,)))
    leave_record(bench.place, done(spec))

    class Slow(Store):
        def find_ended(self, *_: object) -> None:
            time.sleep(0.5)
            raise TrackingError("no answer.")

    told: list[str] = []
    delivery = Delivery(Slow(bench.uri), bench.place, told.append)
    assert delivery.find_ended(spec) is None
    began = time.monotonic()
    while delivery.silence:
        delivery.deliver()
        time.sleep(0.05)
    assert time.monotonic() - began > 1.9
    assert told == [f"no answer. Finished runs wait in {bench.place.records}.", "the store answers again"]
    assert bench.seeds() == [1]
