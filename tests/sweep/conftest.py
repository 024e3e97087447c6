"""Small real data, a store and a folder of their own for the tests of sweeps."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmark.states import RunState, read_states
from benchmark.workplace import Workplace
from siconvnet.datasets import dataset_path

SCRIPT = Path(sys.executable).parent / "benchmark"


@pytest.fixture(scope="session")
def icons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first two icons of the real emoji file: 32 training images."""
    path = tmp_path_factory.mktemp("icons") / "icons.npz"
    with np.load(dataset_path("emoji")) as full:
        arrays = {key: full[key] for key in full.files}
    for key in ("imgs", "lbls", "scls", "psts"):
        arrays[key] = arrays[key][:, :, :2]
    arrays["lbldata"] = arrays["lbldata"][:2]
    np.savez_compressed(path, **arrays)
    return path


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def fresh_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs, to be copied: making one takes seconds."""
    from benchmark.tracking import Store

    path = tmp_path_factory.mktemp("fresh") / "mlflow.db"
    Store(str(path))
    return path


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
        return ["sweep", *grid, "--seeds", seeds, "--epochs", epochs, "--patience", epochs, *self.where(), *more]

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

    def run(self, line: list[str], **environment: str) -> tuple[int, str, str]:
        process = self.start(line, **environment)
        out, err = process.communicate(timeout=180)
        return process.returncode, out, err

    def runs(self, status: str = "FINISHED") -> list[RunState]:
        return [run for run in read_states(self.uri) if run.status == status]

    def seeds(self, status: str = "FINISHED") -> list[int]:
        return sorted(int(run.seed) for run in self.runs(status))

    def halves(self) -> list[Path]:
        """What a process that was killed while writing leaves."""
        return [*self.place.root.rglob(".partial-*"), *self.place.root.rglob("*.part")]

    def wait_for(self, what: Callable[[], object], seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.02)

    def epochs(self) -> dict[int, int]:
        """Process id of each worker -> the epoch it has done."""
        return {int(s["pid"]): int(s.get("epoch", 0)) for s in self.place.running().values() if "pid" in s}


@pytest.fixture
def bench(tmp_path: Path, icons: Path, fresh_store: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, icons, fresh_store)
    yield made
    for process in made.started:
        if process.poll() is None:
            # The workers of a driver are in its session.
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
