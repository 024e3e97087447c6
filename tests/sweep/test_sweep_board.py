"""What a person is told of a sweep: what is left, and for how long."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.cli.sweep import by_model
from benchmark.spec import RunSpec
from benchmark.store.run_states import RunState
from benchmark.sweeps.board import Board, LiveBoard, count, estimate, kind
from benchmark.sweeps.executors.base import FINISHED, Outcome
from benchmark.sweeps.grid import MISSING, plan
from benchmark.sweeps.suites import make_grid

PAPER = RunSpec("standard", "emoji", evaluation=2)
SMOKE = dataclasses.replace(PAPER, max_epochs=1)


def done(spec: RunSpec, epochs: int, seconds: float) -> RunState:
    return RunState(
        "r", "FINISHED", 0, 1, spec.hash, model=spec.model, dataset=spec.dataset_key, max_epochs=str(spec.max_epochs),
        epochs=epochs, run_time=seconds,
    )  # fmt: skip


def test_short_runs_do_not_stand_for_long_ones() -> None:
    known = estimate([done(SMOKE, 1, 3.0)])
    assert known.of(kind(SMOKE)) == 3
    assert known.of(kind(PAPER)) == 3 * 200
    known = estimate([done(SMOKE, 1, 3.0), done(PAPER, 50, 99.0)])
    assert known.of(kind(PAPER)) == 50 * (3 + 99) / (1 + 50)


def test_other_models_and_datasets_stand_in_until_there_are_own_runs() -> None:
    other = dataclasses.replace(PAPER, dataset="mnist")
    known = estimate([done(PAPER, 10, 20.0)])
    assert known.of(kind(other)) == known.of(("xu", "mnist", 200)) == 20
    assert estimate([done(other, 10, 40.0), done(PAPER, 10, 20.0)]).of(kind(other)) == 40
    assert estimate([]).of(kind(PAPER)) is None
    assert estimate([dataclasses.replace(done(PAPER, 10, 20.0), max_epochs="")]).of(kind(PAPER)) is None


@pytest.fixture
def waiting(icons: Path) -> dict[str, str]:
    """A grid on a data file whose rate is yet to be chosen."""
    rates = {"lrs": "1e-2,1e-3", "select_lr_over_seeds": "1-2", "seeds": "1-5"}
    return {"models": "standard", "datasets": str(icons), "evaluations": "2", "kernel_sizes": "3", **rates}


def test_data_file_has_one_line_for_all_its_runs(waiting: dict[str, str], icons: Path) -> None:
    key = RunSpec("standard", str(icons), evaluation=2).dataset_key
    made = plan([make_grid(waiting)], [])
    assert count(made) == {("standard", key, 200): 4 + 3}
    assert by_model(made) == [f"       7  standard on {key}"]


def test_runs_of_a_sweep_make_its_outlook(waiting: dict[str, str]) -> None:
    made = plan([make_grid(waiting)], [])
    board = Board(Console(file=io.StringIO()))
    board.start(made, made.of(MISSING), [], 2)
    assert board.outlook() == "time left unknown"
    spec = next(iter(made.specs.values()))
    board.ended(Outcome(spec, FINISHED, metrics={"epochs": 20, "run_time": 10.0, "test_acc": 50.0}))
    assert board.outlook() == "30 s left"


def test_bar_of_a_sweep_has_its_total_from_the_start(waiting: dict[str, str]) -> None:
    board = LiveBoard(Console(file=io.StringIO(), force_terminal=True))
    made = plan([make_grid(waiting)], [])
    board.start(made, made.of(MISSING), [], 1)
    bar = board._bars.tasks[0]
    board.stop()
    assert (bar.completed, bar.total) == (0, 7)
