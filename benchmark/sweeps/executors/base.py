"""What all executors have in common: a run to do, what became of it, and the interface between them and the driver."""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.spec import RunSpec
from benchmark.system.environment import cpu_count

if TYPE_CHECKING:
    from benchmark.events import Ended

#: What became of a run. BUSY: another process has it in hand. HALTED: stopped on the way, to be continued.
#: NO_ROOM: the folder of the sweep takes no more. DIED: the process that had it is gone. UNFIT: the machine can do no
#: runs.
KINDS = FINISHED, FAILED, BUSY, HALTED, NO_ROOM, DIED, UNFIT = (
    "finished", "failed", "busy", "halted", "no room", "died", "unfit",
)  # fmt: skip

#: Bytes that a worker may need; where memory is short there are fewer workers than processors.
_MEMORY = 2 * 2**30


@dataclass(frozen=True)
class Settings:
    """What a worker has to know besides the run.

    Attributes:
        root: the folder of the sweep (`benchmark.training.work_folder.Workplace`).
        device: auto, cpu, cuda or cuda:N.
        threads: of PyTorch; 0 leaves them as they are.
        checkpoint_seconds: see `benchmark.training.checkpoints.Checkpoint`.
    """

    root: Path
    device: str = "auto"
    threads: int = 0
    checkpoint_seconds: float = 30.0


@dataclass(frozen=True)
class Progress:
    """An epoch of a run that goes on; `best_acc` is None in a study without a validation split."""

    spec: RunSpec
    epoch: int
    best_acc: float | None
    patience_left: int
    worker: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of one run.

    Attributes:
        reason: one line, unless it finished.
        lines: the last lines that it wrote, or of its traceback.
        out_of_memory: it may go through when it has the machine to itself.
        metrics: of a finished run.
        ended: of a run that failed after it had started.
    """

    spec: RunSpec
    kind: str
    reason: str = ""
    lines: str = ""
    host: str = ""
    out_of_memory: bool = False
    metrics: dict[str, float] = field(default_factory=dict)
    ended: Ended | None = None


class Executor(abc.ABC):
    """Runs specs somewhere. Only the driver uses it, from one thread.

    Attributes:
        slots: how many runs it takes at once.
        name: for a person.
    """

    slots: int
    name: str

    def __init__(self, settings: Settings, notify: Callable[[Progress], None]):
        self.settings, self.notify = settings, notify

    @abc.abstractmethod
    def submit(self, spec: RunSpec) -> None:
        """Take a run; there must be a free slot."""

    @abc.abstractmethod
    def wait(self, seconds: float) -> list[Outcome]:
        """What has ended, waiting for it for at most about `seconds`; progress goes to `notify`."""

    def settle(self, spec_hashes: Iterable[str]) -> None:  # noqa: B027  most keep nothing
        """These runs are in the store: forget what an earlier driver has kept of them."""

    @abc.abstractmethod
    def close(self) -> None:
        """End, at once, what runs on this machine."""


def default_workers(gpus: int) -> int:
    """A process a GPU, or else a processor, as far as memory reaches."""
    if gpus:
        return gpus
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return cpu_count()
    return max(1, min(cpu_count(), memory // _MEMORY))
