"""Small real data, a store and a folder of their own for the tests of sweeps."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sweep_bench import Bench

from siconvnet.datasets import dataset_path


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
    from benchmark.store import Store

    path = tmp_path_factory.mktemp("fresh") / "mlflow.db"
    Store(str(path))
    return path


@pytest.fixture
def bench(tmp_path: Path, icons: Path, fresh_store: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, icons, fresh_store)
    yield made
    for process in made.started:
        if process.poll() is None:
            # The workers of a driver are in its session.
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
