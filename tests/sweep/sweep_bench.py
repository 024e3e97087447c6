"""A store, a work folder, and the command line on them, each command in a process of its own."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.cli import main
from benchmark.store.run_states import RunState, read_states
from benchmark.training.work_folder import Workplace

SCRIPT = Path(sys.executable).parent / "benchmark"


def with_options(line: Sequence[str], more: Sequence[str]) -> list[str]:
    """The line with further options, each in place of one of its name that has a value."""
    given = list(line)
    for option in more:
        if option.startswith("--") and option in given:
            place = given.index(option)
            del given[place : place + 2]
    return [*given, *more]


class Bench:
    """A store, a work folder, and the command line on them, each sweep in a process of its own."""

    def __init__(self, folder: Path, icons: Path, store: Path):
        self.folder, self.icons = folder, icons
        self.database = Path(shutil.copy(store, folder / "mlflow.db"))
        self.uri = str(self.database)
        self.place = Workplace(folder / "work")
        self.started: list[subprocess.Popen[str]] = []

    def line(self, *more: str, seeds: str = "1-3", epochs: str = "1") -> list[str]:
        """The sweep of the tests: the standard model on two icons."""
        grid = ["--models", "standard", "--datasets", str(self.icons), "--evaluations", "2", "--kernel-sizes", "3"]
        line = ["sweep", *grid, "--seeds", seeds, "--epochs", epochs, "--patience", epochs, *self.where()]
        return with_options(line, more)

    def where(self) -> list[str]:
        return ["--tracking-uri", self.uri, "--work-dir", str(self.place.root)]

    def start(self, line: list[str], **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [SCRIPT, *line],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """What a started command leaves."""
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def run(self, line: list[str]) -> tuple[int, str, str]:
        """The command in this process, which has loaded everything; its workers are processes all the same."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            here = Path.cwd()
            os.chdir(self.folder)
            try:
                code = main(line)
            finally:
                os.chdir(here)
        return code, out.getvalue(), err.getvalue()

    def runs(self, status: str = "FINISHED") -> list[RunState]:
        return [run for run in read_states(self.uri) if run.status == status]

    def seeds(self, status: str = "FINISHED") -> list[int]:
        return sorted(int(run.seed) for run in self.runs(status))

    def halves(self) -> list[Path]:
        """What a process that was killed while writing leaves."""
        return [*self.place.root.rglob(".partial-*"), *self.place.root.rglob("*.part")]

    def wait_for(self, what: Callable[[], object], seconds: float = 180) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.1)

    def epochs(self) -> dict[int, int]:
        """Process id of each worker -> the epoch it has done."""
        return {int(s["pid"]): int(s.get("epoch", 0)) for s in self.place.running().values() if "pid" in s}
