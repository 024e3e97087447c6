"""What a sweep has to do, revised while its runs end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from benchmark.store.run_states import RunState
from benchmark.sweeps import grid
from benchmark.sweeps.executors.base import FAILED, Outcome
from benchmark.sweeps.grid import Grid, Plan


class Agenda:
    """The plan of a sweep, and what is known of its runs.

    Attributes:
        plan: as of the last revision.
        states: what the store said at the beginning, and what has ended since, latest first.
    """

    def __init__(self, grids: Sequence[Grid], states: Iterable[RunState]):
        self.grids, self.states = grids, list(states)
        self.plan: Plan = grid.plan(grids, self.states)
        self._outdated = False

    def note(self, outcome: Outcome) -> None:
        """Take down that a run finished or failed."""
        status, now = "FAILED" if outcome.kind == FAILED else "FINISHED", time.time()
        best, spec_hash = outcome.metrics.get("best_acc"), outcome.spec.hash
        self.states.insert(0, RunState("", status, now, now, spec_hash, reason=outcome.reason, best_acc=best))
        self._outdated = True

    def revise(self) -> bool:
        """Make the plan again if that may add runs: only a rate that is yet to be chosen can. Whether it was made."""
        if not (self._outdated and self.plan.waiting):
            return False
        self.plan, self._outdated = grid.plan(self.grids, self.states), False
        return True
