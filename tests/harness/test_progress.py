"""What is said of a run while it goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmark.events import Epoch, Observer, Started
from benchmark.spec import RunSpec
from benchmark.training.execution import execute
from benchmark.training.progress import LiveProgress, PlainProgress, Watch, duration, follow_passes


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


@pytest.mark.parametrize(
    ("images", "test"),
    [
        ({"train": 100, "valid": 50, "test": 200}, "28 s"),  # 7 s of validation
        ({"train": 100, "test": 200}, "2.0 s"),  # 3 s of training
        ({}, "0.0 s"),
    ],
)
def test_the_test_belongs_to_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch, spec: RunSpec, images: dict[str, int], test: str
) -> None:
    watch = Watch(Console(file=io.StringIO()))
    monkeypatch.setattr("time.perf_counter", lambda: 0.0)
    watch.started(Started("", spec, 0.0, 1, {}, images))
    monkeypatch.setattr("time.perf_counter", lambda: 10.0)
    assert watch.left(Epoch(1, 1.0, 50.0, 3.0, 1.0, 50.0, 50.0, 0, 0.0, {})) == test


def test_long_passes_are_told_about(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    with follow_passes(Console(file=told), "xu seed 1") as on_step:
        for part in ("equivariance", "indices"):
            for done in range(1, 41):
                monkeypatch.setattr("time.perf_counter", lambda done=done: 2.0 * done)
                on_step(part, done, 40)
    assert told.getvalue().splitlines() == [
        "xu seed 1: equivariance 31 of 40 batches  left 18 s",
        "xu seed 1: indices 31 of 40 batches  left 18 s",
    ]


def test_long_passes_have_a_bar() -> None:
    drawn = io.StringIO()
    with follow_passes(Console(file=drawn, force_terminal=True, width=120), "xu [fixed]") as on_step:
        for done in range(1, 4):
            on_step("indices", done, 3)
    assert "xu [fixed]: indices" in drawn.getvalue()


def test_validation_is_followed_too(spec: RunSpec) -> None:
    seen: list[tuple[str, int, int]] = []

    class Seeing(Observer):
        def started(self, started: Started) -> None:
            assert started.images == {"train": 64, "valid": 64, "test": 4 * 48}

        def valid_step(self, done: int, total: int) -> None:
            seen.append(("valid", done, total))

        def epoch(self, epoch: Epoch) -> None:
            seen.append(("epoch", epoch.number, 1))

    execute(spec.replace(max_epochs=1), device="cpu", observers=[Seeing()])
    assert seen == [*(("valid", done, 4) for done in range(1, 5)), ("epoch", 1, 1)]


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
