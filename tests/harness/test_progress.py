"""What is said of a run while it goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmark.events import Epoch
from benchmark.training.progress import Watch, duration


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
