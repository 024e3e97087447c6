"""What is said of a run while it goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmark.events import Epoch
from benchmark.spec import RunSpec
from benchmark.training.execution import execute
from benchmark.training.progress import LiveProgress, PlainProgress, Watch, duration


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (245, "4:05 min"), (3750, "1:02:30 h")]
)
def test_durations_have_their_unit(seconds: float, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("number", "patience_left", "told"),
    [
        (10, 3, "30 s to 31:40 min"),
        (199, 5, "10 s"),  # the last epoch comes first
        (200, 5, "0.0 s"),
        (40, 0, "0.0 s"),  # patience has ended: there are no further epochs
    ],
)
def test_time_that_is_left(monkeypatch: pytest.MonkeyPatch, number: int, patience_left: int, told: str) -> None:
    watch = Watch(Console(file=io.StringIO()))
    watch.max_epochs = 200
    monkeypatch.setattr("time.perf_counter", lambda: 10.0 * number)
    epoch = Epoch(number, 1.0, 50.0, 1.0, 1.0, 50.0, 50.0, patience_left, 0.0, {})
    assert watch.left(epoch) == told


def test_a_long_test_is_told_about(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    progress = PlainProgress(Console(file=told))
    for done in range(1, 101):
        monkeypatch.setattr("time.perf_counter", lambda done=done: 2.0 * done)
        progress.test_step(done, 100)
    assert told.getvalue().splitlines() == [
        "testing on 100 batches",
        "tested 31 of 100 batches  left 2:18 min",
        "tested 61 of 100 batches  left 1:18 min",
        "tested 91 of 100 batches  left 18 s",
    ]


def test_the_test_has_a_bar(spec: RunSpec) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    bars: list[str] = []

    class Looking(LiveProgress):
        def test_step(self, done: int, total: int) -> None:
            super().test_step(done, total)
            assert self._bar
            (task,) = self._bar.tasks
            bars.append(f"{task.fields['stage']} {task.completed:.0f} of {task.total:.0f}")

    execute(spec.replace(max_epochs=1), device="cpu", observers=[Looking(console)])
    assert bars[0] == f"testing 1 of {len(bars)}"
    assert bars[-1] == f"testing {len(bars)} of {len(bars)}"
