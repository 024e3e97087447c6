"""What a person sees of a sweep: bars in a terminal, plain lines elsewhere, and always a log file."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import sweep
from benchmark.executors.base import FINISHED, Outcome, Progress
from benchmark.progress import duration
from benchmark.spec import RunSpec
from benchmark.states import RunState
from benchmark.sweep import Plan

if TYPE_CHECKING:
    from rich.console import Console


class Estimate:
    """Seconds that runs take, from those that are done: of the same model and dataset, of the model, of all."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], tuple[float, int]] = {}

    def add(self, model: str, dataset: str, seconds: float | None) -> None:
        if seconds is not None:
            for key in ((model, dataset), (model,), ()):
                total, count = self._sums.get(key, (0.0, 0))
                self._sums[key] = (total + seconds, count + 1)

    def of(self, model: str, dataset: str) -> float | None:
        """None as long as nothing is known of any run."""
        for key in ((model, dataset), (model,), ()):
            if key in self._sums:
                total, count = self._sums[key]
                return total / count
        return None

    def left(self, missing: Mapping[tuple[str, str], int], slots: int) -> float | None:
        """Seconds for so many runs a (model, dataset), `slots` at a time; None if nothing is known yet."""
        total = 0.0
        for (model, dataset), count in missing.items():
            each = self.of(model, dataset)
            if each is None:
                return None
            total += count * each
        return total / max(1, slots)


def count(plan: Plan, state: str = sweep.MISSING) -> Counter[tuple[str, str]]:
    """Runs of a plan a (model, dataset), those that wait for a rate among the missing."""
    found = Counter((spec.model, spec.dataset_key) for spec in plan.of(state))
    if state == sweep.MISSING:
        for cell, runs in plan.waiting.items():
            found[cell.model, cell.dataset] += runs
    return found


class Board:
    """Plain lines; the base of the live one.

    Args:
        log: every line goes there as well.
    """

    def __init__(self, console: Console, log: Path | None = None):
        self.console, self.log = console, log
        self.estimate = Estimate()
        self.done = self.failed = self.total = 0
        self.slots = 1
        self._missing: set[str] = set()
        self._left: Counter[tuple[str, str]] = Counter()

    def start(self, plan: Plan, states: Sequence[RunState], slots: int) -> None:
        self.slots = slots
        for state in states:
            if state.status == "FINISHED":
                self.estimate.add(state.model, state.dataset, state.run_time)
        self.planned(plan)
        for skip in plan.skipped:
            self.say(f"skipped: {skip}")
        waiting = sum(plan.waiting.values())
        waits = f", of which {waiting} wait for the choice of their rate" if waiting else ""
        self.say(f"{self.total} runs{waits}: {self.done} done before, {self.failed} failed before")

    def planned(self, plan: Plan) -> None:
        """The plan was made anew."""
        self.total = plan.total
        self.done, self.failed = len(plan.of(sweep.FINISHED)), len(plan.of(sweep.FAILED))
        self._missing, self._left = {spec.hash for spec in plan.of(sweep.MISSING)}, count(plan)

    def began(self, spec: RunSpec) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def put_back(self, spec: RunSpec) -> None:
        """It is somebody else's, or stopped on the way."""

    def again(self, outcome: Outcome, how: str) -> None:
        self.put_back(outcome.spec)
        self.say(f"{label(outcome.spec)}: {outcome.reason}; once more {how}")

    def ended(self, outcome: Outcome) -> None:
        spec = outcome.spec
        if spec.hash in self._missing:
            self._missing.remove(spec.hash)
            self._left[spec.model, spec.dataset_key] -= 1
        else:
            self.failed -= 1  # it had failed before
        if outcome.kind == FINISHED:
            self.done += 1
            self.estimate.add(spec.model, spec.dataset_key, outcome.metrics.get("run_time"))
            took = duration(outcome.metrics.get("run_time", 0.0))
            told = f"test accuracy {outcome.metrics.get('test_acc', float('nan')):.2f} % in {took}"
        else:
            self.failed += 1
            told = f"failed on {outcome.host or 'an unknown machine'}: {outcome.reason}"
        self.say(f"[{self.done + self.failed}/{self.total}] {label(spec)}: {told}; {self.outlook()}")

    def outlook(self) -> str:
        """`3 failed, 1:20:00 left`."""
        left = self.estimate.left(self._left, self.slots)
        failed = f"{self.failed} failed, " if self.failed else ""
        return failed + ("time left unknown" if left is None else f"{duration(left)} left")

    def tick(self) -> None: ...

    def finish(self, plan: Plan, failures: Sequence[Outcome]) -> None:
        self.planned(plan)
        for outcome in failures:
            self.say(f"failed: {label(outcome.spec)} on {outcome.host}: {outcome.reason}")
            for line in outcome.lines.splitlines():
                self.say(f"    {line}")
        self.say(f"{self.done} of {self.total} runs done, {self.failed} failed")

    def stop(self) -> None: ...

    def say(self, line: str) -> None:
        """One line for a person, also kept in the log."""
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)
        with contextlib.suppress(OSError, ValueError):
            self.console.file.flush()
        if self.log:
            with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}\n")


class LiveBoard(Board):
    """A bar for the sweep and a line for each run in work."""

    def start(self, plan: Plan, states: Sequence[RunState], slots: int) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[told]}"),
            console=self.console,
            transient=True,
        )
        self._lines: dict[str, object] = {}
        self._all = self._bars.add_task("[bold]sweep[/]", total=1, told="")
        super().start(plan, states, slots)
        self._bars.start()

    def began(self, spec: RunSpec) -> None:
        self._lines[spec.hash] = self._bars.add_task(label(spec), total=spec.max_epochs, told="")

    def progress(self, progress: Progress) -> None:
        if progress.spec.hash in self._lines:
            best = "" if progress.best_acc is None else f"best {progress.best_acc:.1f} %  "
            told = f"{best}patience {progress.patience_left}  [dim]{progress.worker}[/]"
            self._bars.update(self._lines[progress.spec.hash], completed=progress.epoch, told=told)  # type: ignore[arg-type]

    def put_back(self, spec: RunSpec) -> None:
        line = self._lines.pop(spec.hash, None)
        if line is not None:
            self._bars.remove_task(line)  # type: ignore[arg-type]

    def ended(self, outcome: Outcome) -> None:
        self.put_back(outcome.spec)
        super().ended(outcome)

    def tick(self) -> None:
        self._bars.update(self._all, total=max(1, self.total), completed=self.done + self.failed, told=self.outlook())

    def stop(self) -> None:
        if hasattr(self, "_bars"):
            self._bars.stop()


def label(spec: RunSpec) -> str:
    """What tells a run of a sweep from the others."""
    return f"{spec.name} on {spec.dataset_key} {spec.setting}"


def board(console: Console, log: Path | None = None) -> Board:
    """Bars in a terminal, plain lines elsewhere."""
    return (LiveBoard if console.is_terminal else Board)(console, log)
