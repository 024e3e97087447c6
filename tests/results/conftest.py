"""A real store of small runs: of untrained models on four icons; only the training is left out."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.cli import main
from benchmark.events import Ended, Result, Started
from benchmark.predictions import Predictions, summarise
from benchmark.spec import RunSpec
from benchmark.store import Store
from siconvnet import create_model
from siconvnet.datasets import dataset_path, load_dataset
from siconvnet.metrics.generalization import predict


@pytest.fixture(scope="session")
def icons(tmp_path_factory) -> Path:
    """The first four icons of the real emoji file."""
    path = tmp_path_factory.mktemp("data") / "icons.npz"
    with np.load(dataset_path("emoji")) as full:
        arrays = {key: full[key] for key in full.files}
    for key in ("imgs", "lbls", "scls", "psts"):
        arrays[key] = arrays[key][:, :, :4]
    arrays["lbldata"] = arrays["lbldata"][:4]
    np.savez_compressed(path, **arrays)
    return path


def start(store: Store, spec: RunSpec, parameters: int = 10) -> tuple[str, Started]:
    started = Started(uuid.uuid4().hex, spec, time.time(), parameters, {"host": "test", "device_name": "cpu"})
    return store.start(started), started


def log_finished(store: Store, spec: RunSpec) -> str:
    """Log a finished run of an untrained model; its run id."""
    data = load_dataset(spec.dataset)
    torch.manual_seed(spec.seed)
    model = create_model(spec.model, num_channels=1, num_classes=data.num_classes)
    subset = data.select("test", range(17, 65))
    found = predict(model, subset.images)
    predictions = Predictions(found, subset.labels, subset.scales, np.zeros(len(found), dtype=np.float32))
    metrics = summarise(predictions, spec.settings.scenario) | {"best_acc": 50.0, "avg_time": 1.0, "run_time": 9.0}
    run_id, started = start(store, spec)
    store.finish(run_id, Result(started, metrics, (), predictions, model.state_dict(), time.time()))
    return run_id


@pytest.fixture(scope="session")
def empty(tmp_path_factory) -> Path:
    """A migrated store without runs, to be copied: the migration takes seconds."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    Store(str(path))
    return path


@pytest.fixture
def own(empty, tmp_path) -> str:
    """The path of a store of this test's own."""
    return str(shutil.copy(empty, tmp_path / "mlflow.db"))


@pytest.fixture(scope="session")
def database(tmp_path_factory, icons, empty) -> str:
    """Three runs of `standard`, one of `slice_pool` and one failed one of `xu` on four icons, evaluated."""
    path = str(shutil.copy(empty, tmp_path_factory.mktemp("store") / "mlflow.db"))
    store = Store(path)
    for seed in (1, 2, 3):
        log_finished(store, RunSpec("standard", str(icons), evaluation=2, seed=seed))
    log_finished(store, RunSpec("slice_pool", str(icons), evaluation=2))
    run_id, started = start(store, RunSpec("xu", str(icons), evaluation=2))
    store.end(run_id, Ended(started, "FAILED", "the loss is no number", (), time.time()))
    assert main(["evaluate", "--tracking-uri", path, "-d", str(icons)]) == 0
    return path


@pytest.fixture
def finish() -> Callable[[Store, RunSpec], str]:
    """Log a finished run; see `log_finished`."""
    return log_finished
