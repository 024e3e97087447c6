"""A single run, held as a worker of a sweep holds its own: claimed, and kept at a checkpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from benchmark.events import Epoch, Observer, Started
from benchmark.spec import RunSpec
from benchmark.system.interrupts import uninterrupted
from benchmark.training.checkpoints import Checkpoint
from benchmark.training.divergence import TrainingError
from benchmark.training.work_folder import Workplace
from siconvnet.errors import SiconvnetError


class InHand(SiconvnetError):
    """Another process trains this run."""


class Held(Observer):
    """A run in hand: lets others see how far it is, and says where it went on.

    Attributes:
        checkpoint: of the run.
    """

    def __init__(self, place: Workplace, checkpoint: Checkpoint, say: Callable[[str], None]):
        self.place, self.checkpoint, self.say = place, checkpoint, say
        self.spec = checkpoint.spec

    def started(self, started: Started) -> None:
        self.place.say(self.spec.hash, epoch=0, of=self.spec.max_epochs, started=started.time)
        if self.checkpoint.note:
            self.say(self.checkpoint.note)

    def epoch(self, epoch: Epoch) -> None:
        best, left = epoch.best_acc, epoch.patience_left
        self.place.say(self.spec.hash, epoch=epoch.number, of=self.spec.max_epochs, best_acc=best, patience_left=left)


@contextlib.contextmanager
def hold(
    spec: RunSpec, place: Workplace, *, seconds: float, anew: bool = False, say: Callable[[str], None]
) -> Iterator[Held]:
    """Hold a run for the block. What ends the block early leaves the run at its checkpoint; else that goes.

    Args:
        seconds: between checkpoints.
        anew: forget where it stood.
        say: told, in one line, where the run goes on, or where it stopped.

    Raises:
        InHand: another process has it.
        RecordError: the place cannot be written, or knows no locks.
    """
    place.prepare()
    with place.claim(spec.hash) as mine:
        if not mine:
            state = place.running().get(spec.hash[:16], {})
            where = f", process {state['pid']} on {state['host']}" if state else ""
            raise InHand(f"another process trains this run{where}; wait for it, or end it and repeat the command.")
        checkpoint = Checkpoint(place.checkpoint(spec.hash), spec, seconds=seconds)
        if anew:
            checkpoint.remove()
        try:
            yield Held(place, checkpoint, say)
        except TrainingError:
            checkpoint.remove()  # it would only fail again
            raise
        except BaseException:
            with uninterrupted(), contextlib.suppress(OSError, RuntimeError):
                checkpoint.save()
            if checkpoint.path.is_file():
                how = " without --force" if anew else ""
                say(f"the run is kept where it stood; the same command{how} goes on there")
            raise
        checkpoint.remove()
