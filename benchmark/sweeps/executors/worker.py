"""What a worker does with one run, wherever it is: claim it, train it, leave a record. It knows no MLflow."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.events import Ended, Epoch, Result, Started
from benchmark.spec import RunSpec
from benchmark.sweeps.executors.base import BUSY, FAILED, FINISHED, HALTED, NO_ROOM, UNFIT, Outcome, Progress, Settings
from benchmark.system.memory import out_of_memory
from benchmark.training.claims import Held
from benchmark.training.records import RecordError, check_writable, find_finished, write
from benchmark.training.work_folder import Workplace

if TYPE_CHECKING:
    from benchmark.training.checkpoints import Checkpoint

LINES = 12


def work(spec: RunSpec, settings: Settings, report: Callable[[Progress], None] | None = None) -> Outcome:
    """Do one run, or say why not. Raises nothing but what ends the process.

    Args:
        report: called after each epoch; a KeyboardInterrupt from it stops the run where it stands.
    """
    outcome = dataclasses.replace(_work(spec, settings, report), host=socket.gethostname())
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return outcome


def _work(spec: RunSpec, settings: Settings, report: Callable[[Progress], None] | None) -> Outcome:
    place = Workplace(settings.root)
    try:
        import torch  # noqa: F401
    except (OSError, ImportError) as error:
        return Outcome(spec, UNFIT, f"PyTorch cannot be loaded: {' '.join(str(error).split())}")
    try:
        with place.claim(spec.hash) as mine:
            if not mine:
                return Outcome(spec, BUSY, "another process has it in hand")
            if known := find_finished(place.records, spec.hash):
                return Outcome(spec, FINISHED, metrics=known.metrics)
            return _train(spec, settings, place, report)
    except OSError as error:
        return Outcome(spec, NO_ROOM, f"cannot write into {str(place.root)!r}: {error.strerror or error}")


def _train(spec: RunSpec, settings: Settings, place: Workplace, report: Callable[[Progress], None] | None) -> Outcome:
    from benchmark.training.checkpoints import Checkpoint
    from benchmark.training.execution import execute

    checkpoint = Checkpoint(place.checkpoint(spec.hash), spec, seconds=settings.checkpoint_seconds)
    watch = _Watch(place, checkpoint, report)
    try:
        prepare_process(settings)
        result = execute(spec, device=settings.device, observers=[watch], checkpoint=checkpoint)
    except KeyboardInterrupt:
        with contextlib.suppress(OSError, RuntimeError):
            checkpoint.save()
        return Outcome(spec, HALTED, "interrupted")
    except RecordError as error:
        with contextlib.suppress(OSError, RuntimeError):
            checkpoint.save()
        return Outcome(spec, NO_ROOM, str(error))
    except Exception as error:
        memory = out_of_memory(error)
        if not memory:
            checkpoint.remove()
        lines = "".join(traceback.format_exc()).strip().splitlines()[-LINES:]
        reason = watch.failure.reason if watch.failure else " ".join(str(error).split()) or type(error).__name__
        return Outcome(spec, FAILED, reason, "\n".join(lines), out_of_memory=memory, ended=watch.failure)
    checkpoint.remove()
    return Outcome(spec, FINISHED, metrics=result.metrics)


class _Watch(Held):
    """Writes the record of a run that finishes, keeps how one failed, and reports how far it is."""

    def __init__(self, place: Workplace, checkpoint: Checkpoint, report: Callable[[Progress], None] | None):
        super().__init__(place, checkpoint, lambda line: print(f"{checkpoint.spec.name}: {line}", file=sys.stderr))
        self.report = report
        self.failure: Ended | None = None

    def started(self, started: Started) -> None:
        # Hours of training must not end in a folder that could never be written.
        check_writable(self.place.records)
        super().started(started)

    def epoch(self, epoch: Epoch) -> None:
        super().epoch(epoch)
        if self.report:
            self.report(Progress(self.spec, epoch.number, epoch.best_acc, epoch.patience_left))

    def finished(self, result: Result) -> None:
        write(result, self.place.records)

    def ended(self, ended: Ended) -> None:
        self.failure = ended


def prepare_process(settings: Settings) -> None:
    """Threads, and modules of the current folder, for a process that was started for runs."""
    import torch

    if settings.threads and torch.get_num_threads() != settings.threads:
        torch.set_num_threads(settings.threads)
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)


def print_into(log: Path) -> None:
    """Send what this process prints, libraries included, into a new file.

    Raises:
        OSError: it cannot be made.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(descriptor, stream.fileno())
    if descriptor > 2:
        os.close(descriptor)


def last_lines(path: Path) -> str:
    """The end of a log file."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
        return "\n".join(file.read().decode("utf-8", "replace").strip().splitlines()[-LINES:])
    return ""
