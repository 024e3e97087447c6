"""What a person sees of a sweep: bars in a terminal, plain lines elsewhere, and always a log file."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.spec import RunSpec
from benchmark.store.run_states import RunState
from benchmark.sweeps import grid
from benchmark.sweeps.executors.base import FINISHED, Outcome, Progress
from benchmark.sweeps.grid import Plan
from benchmark.training.progress import duration
from siconvnet.safe_text import printable

if TYPE_CHECKING:
    from rich.console import Console


#: What runs are alike in that take equally long: model, dataset, and how many epochs they may have.
Kind = tuple[str, str, int]


class Estimate:
    """Seconds that runs take, from those that are done: of the same model and dataset, of the model, of all.

    What an epoch took is asked of runs of any length, how many epochs there were only of those that might have as
    many; as long as there is none of these, all that there may be are counted.
    """

    def __init__(self) -> None:
        self._pace, self._epochs = _Means(), _Means()

    def add(self, kind: Kind, epochs: float | None, seconds: float | None) -> None:
        if epochs and seconds is not None:
            model, dataset, most = kind
            self._pace.add(((model, dataset), (model,), ()), seconds, epochs)
            self._epochs.add(((model, dataset, most), (model, most), (most,)), epochs, 1)

    def of(self, kind: Kind) -> float | None:
        """None as long as nothing is known of any run."""
        model, dataset, most = kind
        pace = self._pace.of(((model, dataset), (model,), ()))
        epochs = self._epochs.of(((model, dataset, most), (model, most), (most,)))
        return None if pace is None else pace * (most if epochs is None else epochs)

    def left(self, missing: Mapping[Kind, int], slots: int) -> float | None:
        """Seconds for so many runs a kind, `slots` at a time; None if nothing is known yet."""
        total = 0.0
        for kind, count in missing.items():
            each = self.of(kind)
            if each is None:
                return None
            total += count * each
        return total / max(1, slots)


class _Means:
    """Weighted means under several keys at once, from the narrowest to the widest."""

    def __init__(self) -> None:
        self._sums: dict[tuple[object, ...], tuple[float, float]] = {}

    def add(self, keys: Sequence[tuple[object, ...]], value: float, weight: float) -> None:
        for key in keys:
            total, weights = self._sums.get(key, (0.0, 0.0))
            self._sums[key] = (total + value, weights + weight)

    def of(self, keys: Sequence[tuple[object, ...]]) -> float | None:
        """Of the first key of which anything is known."""
        known = (self._sums[key] for key in keys if key in self._sums)
        return next((total / weights for total, weights in known), None)


def estimate(states: Sequence[RunState]) -> Estimate:
    """From the runs of a store that are finished."""
    found = Estimate()
    for run in states:
        # Runs of an earlier version may not say how long they were.
        if run.status == "FINISHED" and run.max_epochs:
            found.add((run.model, run.dataset, int(run.max_epochs)), run.epochs, run.run_time)
    return found


def count(plan: Plan) -> Counter[Kind]:
    """Runs a kind that a plan lacks, those that wait for a rate included."""
    return Counter(map(kind, plan.of(grid.MISSING))) + waiting(plan)


def waiting(plan: Plan) -> Counter[Kind]:
    """Runs a kind that wait for a rate."""
    found: Counter[Kind] = Counter()
    for spec, seeds in plan.waiting.items():
        found[kind(spec)] += len(seeds)
    return found


def kind(spec: RunSpec) -> Kind:
    return spec.model, spec.dataset_key, spec.max_epochs


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
        self._wanted: set[str] = set()
        self._left: Counter[Kind] = Counter()
        self._told_of_others = False

    def start(self, plan: Plan, wanted: Sequence[RunSpec], states: Sequence[RunState], slots: int) -> None:
        self.slots, self.estimate = slots, estimate(states)
        self.planned(plan, wanted)
        for skip in plan.skipped:
            self.say(f"skipped: {skip}")
        waits = f", of which {plan.waits} wait for the choice of their rate" if plan.waiting else ""
        failed = len(plan.of(grid.FAILED))
        again = " and tried again" if failed > self.failed else ""
        self.say(f"{self.total} runs{waits}: {self.done} done before, {failed} failed before{again}")

    def planned(self, plan: Plan, wanted: Sequence[RunSpec] = ()) -> None:
        """The plan was made anew; `wanted` of it is to be brought to its end in this pass."""
        self.total = plan.total
        self._wanted = {spec.hash for spec in wanted}
        self.done = len(plan.of(grid.FINISHED))
        self.failed = sum(spec.hash not in self._wanted for spec in plan.of(grid.FAILED))
        self._left = Counter(map(kind, wanted)) + waiting(plan)

    def began(self, spec: RunSpec) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def put_back(self, spec: RunSpec) -> None:
        """It is somebody else's, or stopped on the way."""

    def waits(self, count: int, holders: Sequence[Mapping[str, Any]]) -> None:
        """Nothing is left to do but runs that other processes have in hand. Said once.

        Args:
            holders: what these processes say of themselves (`Workplace.told`), as far as they do.
        """
        if self._told_of_others:
            return
        self._told_of_others = True
        whose = ", ".join(sorted({f"process {holder['pid']} on {holder['host']}" for holder in holders}))
        self.say(
            f"waiting for {count} runs that others have in hand{f' ({whose})' if whose else ''}; "
            "what they finish, or leave, is taken up here"
        )

    def again(self, outcome: Outcome, how: str) -> None:
        self.put_back(outcome.spec)
        self.say(f"{label(outcome.spec)}: {outcome.reason}; once more {how}")

    def ended(self, outcome: Outcome) -> None:
        spec = outcome.spec
        if spec.hash in self._wanted:
            self._wanted.remove(spec.hash)
            self._left[kind(spec)] -= 1
        if outcome.kind == FINISHED:
            self.done += 1
            self.estimate.add(kind(spec), outcome.metrics.get("epochs"), outcome.metrics.get("run_time"))
            took = duration(outcome.metrics.get("run_time", 0.0))
            told = f"test accuracy {outcome.metrics.get('test_acc', float('nan')):.2f} % in {took}"
            if "diverged_epoch" in outcome.metrics:
                told += f", diverged in epoch {outcome.metrics['diverged_epoch']:.0f}"
        else:
            self.failed += 1
            told = f"failed on {machine(outcome.host)}: {outcome.reason}"
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
            self.say(f"failed: {label(outcome.spec)} on {machine(outcome.host)}: {outcome.reason}")
            for line in outcome.lines.splitlines():
                self.say(f"    {line}")
        self.say(f"{self.done} of {self.total} runs done, {self.failed} failed")

    def stop(self) -> None: ...

    def say(self, line: str) -> None:
        """One line for a person, also kept in the log."""
        line = printable(line)
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)
        with contextlib.suppress(OSError, ValueError):
            self.console.file.flush()
        if self.log:
            with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}\n")


class LiveBoard(Board):
    """A bar for the sweep and a line for each run in work."""

    def start(self, plan: Plan, wanted: Sequence[RunSpec], states: Sequence[RunState], slots: int) -> None:
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
        self._all = self._bars.add_task("[bold]sweep[/]", told="")
        super().start(plan, wanted, states, slots)
        self.tick()
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


def machine(host: str) -> str:
    """A host, for a person."""
    return host or "an unknown machine"


def label(spec: RunSpec) -> str:
    """What tells a run of a sweep from the others."""
    return f"{spec.name} on {spec.dataset_key} {spec.setting}"


def board(console: Console, log: Path | None = None) -> Board:
    """Bars in a terminal, plain lines elsewhere."""
    return (LiveBoard if console.is_terminal else Board)(console, log)
