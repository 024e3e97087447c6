"""What a person sees of a run while it goes on: one live line in a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from benchmark.events import Ended, Epoch, Observer, Result, Started

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


#: Seconds between two lines about a pass over batches that takes long.
_PAUSE = 60.0
#: The time of a pass without gradients as a share of that of training on the same images: a backward pass computes
#: about twice as much as a forward pass.
_FORWARD = 1 / 3


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


class Passage:
    """A pass over batches as it goes on: how long it still takes, and when that is worth another line."""

    def __init__(self) -> None:
        self._since = self._told = 0.0

    def left(self, done: int, total: int) -> str:
        """How long the pass still takes after `done` of its batches; empty after the first, which starts the clock."""
        now = time.perf_counter()
        if done == 1:
            self._since = self._told = now
            return ""
        return duration((now - self._since) / (done - 1) * (total - done))

    def line(self, verb: str, done: int, total: int) -> str:
        """`tested 31 of 100 batches  left 2:18 min`, once a minute; else empty."""
        left, now = self.left(done, total), time.perf_counter()
        if done == total or now - self._told < _PAUSE:
            return ""
        self._told = now
        return f"{verb} {done:,} of {total:,} batches  left {left}"


class Watch(Observer):
    """What both kinds of progress know: the last epoch, the epochs that are left and their time."""

    def __init__(self, console: Console):
        self.console = console
        self.max_epochs = 0
        self.patience: int | None = None
        self.best: Epoch | None = None
        self.passage = Passage()
        self._images: dict[str, int] = {}
        self._begin = self._trained = 0.0
        self._before: int | None = 0

    def started(self, started: Started) -> None:
        self.max_epochs, self.patience = started.spec.max_epochs, started.spec.patience
        self._images = started.images
        self._before = None
        self._begin = time.perf_counter()

    def left(self, epoch: Epoch) -> str:
        """How long the run still takes, its test included: at least until patience ends, at most until the last epoch.

        To be called once an epoch.
        """
        if self._before is None:
            self._before = epoch.number - 1  # of a run that went on from a checkpoint
        self._trained += epoch.train_time
        count = epoch.number - self._before
        each = (time.perf_counter() - self._begin) / count
        test = self._test_time(self._trained / count, each)
        most = self.max_epochs - epoch.number
        least = min(epoch.patience_left, most)
        if least in (0, most):
            return duration(each * least + test)
        return f"{duration(each * least + test)} to {duration(each * most + test)}"

    def _test_time(self, training: float, epoch: float) -> float:
        """Seconds that the test will take, by those of an epoch and of its training part; 0 if nothing is known."""
        images = self._images
        if valid := images.get("valid"):
            return max(0.0, epoch - training) * images["test"] / valid
        return training * _FORWARD * images["test"] / images["train"] if images.get("train") else 0.0


class PlainProgress(Watch):
    """One line an epoch, for files and pipes."""

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

    def valid_step(self, done: int, total: int) -> None:
        """A line each time that a minute has passed."""
        self._pass("validated", done, total)

    def test_step(self, done: int, total: int) -> None:
        """A line at the start, and one each time that a minute has passed."""
        if done == 1:
            self._print(f"testing on {total:,} batches")
        self._pass("tested", done, total)

    def _pass(self, verb: str, done: int, total: int) -> None:
        if line := self.passage.line(verb, done, total):
            self._print(line)

    def _print(self, line: str) -> None:
        # A pipe has no width to wrap at, and whoever reads it wants the line now.
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)
        self.console.file.flush()


class LiveProgress(Watch):
    """One line that is redrawn, with a bar for the epoch in work; it goes when the run ends."""

    def __init__(self, console: Console):
        super().__init__(console)
        self._bar: Progress | None = None

    def started(self, started: Started) -> None:
        super().started(started)
        spec, where = started.spec, started.environment
        self.console.print(
            f"[bold]{spec.model}[/] on [bold]{spec.dataset}[/] {spec.setting}, seed {spec.seed}, "
            f"lr {spec.lr:g}  [dim]{started.parameters:,} parameters, {where['device_name']}[/]",
            highlight=False,
        )
        self._bar = _bar(self.console)
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

    def valid_step(self, done: int, total: int) -> None:
        if self._bar:
            self._bar.update(self._task, completed=done, total=total, stage="validating")

    def test_step(self, done: int, total: int) -> None:
        if self._bar:
            left = self.passage.left(done, total)
            figures = f"ETA {left}" if left else ""
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


#: Called after each batch with what is being done, how many batches are done and how many there are.
PassCallback = Callable[[str, int, int], None]


@contextlib.contextmanager
def follow_passes(console: Console, name: str) -> Iterator[PassCallback]:
    """Show passes of `name` over batches, one after another: a bar in a terminal, a line a minute elsewhere."""
    passage = Passage()
    if not console.is_terminal:

        def tell(what: str, done: int, total: int) -> None:
            if line := passage.line(f"{name}: {what}", done, total):
                console.print(line, soft_wrap=True, highlight=False, markup=False)

        yield tell
        return
    from rich.markup import escape

    with _bar(console) as bar:
        task = bar.add_task("pass", total=1, stage="", figures="", visible=False)

        def draw(what: str, done: int, total: int) -> None:
            left = passage.left(done, total)
            stage, figures = escape(f"{name}: {what}"), f"ETA {left}" if left else ""
            bar.update(task, completed=done, total=total, stage=stage, figures=figures, visible=True)

        yield draw


def _bar(console: Console) -> Progress:
    """A line that is redrawn, and goes when it is stopped."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[stage]}"),
        BarColumn(bar_width=12),
        TextColumn("{task.fields[figures]}"),
        console=console,
        transient=True,
    )
