"""One run after another in this process: for debugging, and where processes are not allowed."""

from __future__ import annotations

from benchmark.spec import RunSpec
from benchmark.sweeps.executors.base import HALTED, Executor, Outcome
from benchmark.sweeps.executors.worker import work


class InlineExecutor(Executor):
    """Executes a run when it is waited for. Ctrl-C arrives here as anywhere else in the process."""

    slots = 1
    name = "in this process"
    _next: RunSpec | None = None

    def submit(self, spec: RunSpec) -> None:
        self._next = spec

    def wait(self, seconds: float) -> list[Outcome]:
        if self._next is None:
            return []
        spec, self._next = self._next, None
        outcome = work(spec, self.settings, self.notify)
        if outcome.kind == HALTED:
            raise KeyboardInterrupt
        return [outcome]

    def close(self) -> None:
        self._next = None
