"""Small real data and places of their own for the tests of the harness."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.spec import RunSpec
from siconvnet.datasets import dataset_path


@pytest.fixture(scope="session")
def few_icons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first four icons of the real emoji file: 64 training images a scenario."""
    path = tmp_path_factory.mktemp("data") / "few.npz"
    with np.load(dataset_path("emoji")) as full:
        arrays = {key: full[key] for key in full.files}
    for key in ("imgs", "lbls", "scls", "psts"):
        arrays[key] = arrays[key][:, :, :4]
    arrays["lbldata"] = arrays["lbldata"][:4]
    np.savez_compressed(path, **arrays)
    return path


@pytest.fixture
def spec(few_icons: Path) -> RunSpec:
    """A run of seconds."""
    return RunSpec("standard", str(few_icons), evaluation=2, kernel_size=3, max_epochs=3)


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the store or the data folder of whoever runs it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite store without runs, to be copied: the migration takes seconds."""
    from benchmark.store import Store

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Store(str(path))
    return path


@pytest.fixture
def database(empty_store: Path, tmp_path: Path) -> Path:
    """The path of a store of this test's own."""
    return Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))


Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def python() -> Python:
    """Run code in a fresh interpreter."""

    def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            timeout=180,
            env={**os.environ, **environment},
        )

    return run
