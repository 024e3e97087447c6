"""What a person sees of a run while it goes on: one live line in a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmark.events import Ended, Epoch, Observer, Result, Started

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


#: Seconds between two lines about a test that takes long.
_TEST_PAUSE = 60.0


def duration(seconds: float) -> str:
    """`3.2 s`, `4:05 min` or `1:02:30 h`: with the unit, so that none is taken for a time of day."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"


def scale_range(epoch: Epoch) -> str:
    """The smallest and the largest internal scale, where one set of scales is learned."""
    scales = [value for name, value in epoch.own.items() if name.startswith("scale_")]
    return f"scales {scales[0]:.2f} to {scales[-1]:.2f}  " if scales else ""


class Watch(Observer):
    """What both kinds of progress know: the last epoch, the epochs that are left and their time."""

    def __init__(self, console: Console):
        self.console = console
        self.max_epochs = 0
        self.patience: int | None = None
        self.best: Epoch | None = None
        self._begin = 0.0
        self._before: int | None = 0

    def started(self, started: Started) -> None:
        self.max_epochs, self.patience = started.spec.max_epochs, started.spec.patience
        self._before = None
        self._begin = time.perf_counter()

    def left(self, epoch: Epoch) -> str:
        """How long the run still takes: at least until patience ends, at most until the last epoch."""
        if self._before is None:
            self._before = epoch.number - 1  # of a run that went on from a checkpoint
        each = (time.perf_counter() - self._begin) / (epoch.number - self._before)
        most = self.max_epochs - epoch.number
        least = min(epoch.patience_left, most)
        if least in (0, most):
            return duration(each * least)
        return f"{duration(each * least)} to {duration(each * most)}"


class PlainProgress(Watch):
    """One line an epoch, for files and pipes."""

    _tested_since = _told = 0.0

    def started(self, started: Started) -> None:
        super().started(started)
        spec, where = started.spec, started.environment
        self._print(
            f"{spec.model} on {spec.dataset} {spec.setting}, seed {spec.seed}, lr {spec.lr:g}: "
            f"{started.parameters:,} parameters on {where['device_name']} (threads: {where['threads']})"
        )

    def epoch(self, epoch: Epoch) -> None:
        valid = ""
        if epoch.val_acc is not None:
            valid = f"val {epoch.val_loss:.4f} {epoch.val_acc:6.2f}%  best {epoch.best_acc:6.2f}%  "
        self._print(
            f"epoch {epoch.number:3d}/{self.max_epochs}  "
            f"train {epoch.train_loss:.4f} {epoch.train_acc:6.2f}%  {valid}{scale_range(epoch)}"
            f"{'' if self.patience is None else f'patience {epoch.patience_left:2d}  '}"
            f"{epoch.train_time:.2f} s  left {self.left(epoch)}"
        )

    def test_step(self, done: int, total: int) -> None:
        """A line at the start, and one each time that a minute has passed."""
        now = time.perf_counter()
        if done == 1:
            self._tested_since = self._told = now
            self._print(f"testing on {total:,} batches")
        elif now - self._told >= _TEST_PAUSE and done < total:
            self._told = now
            left = (now - self._tested_since) / (done - 1) * (total - done)
            self._print(f"tested {done:,} of {total:,} batches  left {duration(left)}")

    def _print(self, line: str) -> None:
        # A pipe has no width to wrap at, and whoever reads it wants the line now.
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)
        self.console.file.flush()


class LiveProgress(Watch):
    """One line that is redrawn, with a bar for the epoch in work; it goes when the run ends."""

    def __init__(self, console: Console):
        super().__init__(console)
        self._bar: Progress | None = None
        self._tested_since = 0.0

    def started(self, started: Started) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        super().started(started)
        spec, where = started.spec, started.environment
        self.console.print(
            f"[bold]{spec.model}[/] on [bold]{spec.dataset}[/] {spec.setting}, seed {spec.seed}, "
            f"lr {spec.lr:g}  [dim]{started.parameters:,} parameters, {where['device_name']}[/]",
            highlight=False,
        )
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[stage]}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[figures]}"),
            console=self.console,
            transient=True,
        )
        self._task = self._bar.add_task("run", total=1, stage=self._stage(1), figures="")
        self._bar.start()

    def step(self, done: int, total: int) -> None:
        if self._bar:
            self._bar.update(self._task, completed=done, total=total)

    def epoch(self, epoch: Epoch) -> None:
        if not self._bar:
            return
        scores = f"  acc [bold]{epoch.train_acc:.1f}[/]"
        if epoch.val_acc is not None:
            scores = (
                f" [dim]val[/] {epoch.val_loss:.3f}  "
                f"val acc [bold]{epoch.val_acc:.1f}[/] [dim]best[/] {epoch.best_acc:.1f}"
            )
        patience = self._patience(epoch)
        figures = f"loss {epoch.train_loss:.3f}{scores}  {scale_range(epoch)}[dim]{patience}[/]ETA {self.left(epoch)}"
        following = min(epoch.number + 1, self.max_epochs)
        self._bar.update(self._task, completed=0, stage=self._stage(following), figures=figures)

    def _stage(self, epoch: int) -> str:
        return f"epoch [bold]{epoch}[/]/{self.max_epochs}"

    def test_step(self, done: int, total: int) -> None:
        if not self._bar:
            return
        if done == 1:
            self._tested_since = time.perf_counter()
        left = (time.perf_counter() - self._tested_since) / max(1, done - 1) * (total - done)
        figures = f"ETA {duration(left)}" if done > 1 else ""
        self._bar.update(self._task, completed=done, total=total, stage="testing", figures=figures)

    def _patience(self, epoch: Epoch) -> str:
        if self.patience is None:
            return ""
        bars = "▰" * epoch.patience_left + "▱" * (self.patience - epoch.patience_left)
        return f"patience {bars if self.patience <= 10 else f'{epoch.patience_left}/{self.patience}'}  "

    def finished(self, result: Result) -> None:
        self._stop()

    def ended(self, ended: Ended) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def follow(console: Console) -> Watch:
    """Live progress in a terminal, plain lines elsewhere."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
