"""What evaluations found: kept in their runs, and read back as tables.

Logged to the run itself: `accuracy_by_scale` (percent; the step is the object's side in pixels, so that its chart
is the generalization figure), scalars for the rest, and arrays as `evaluation/*.npz`. The tag `evaluated` says what
is there.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.plots import IndexMaps
from benchmark.predictions import Predictions
from benchmark.results.frames import CELL, SCALE_COLUMNS, aggregate_scales
from benchmark.store.entries import final_metrics, scale_metrics
from benchmark.store.reading import Fields
from benchmark.system.files import write_npz
from benchmark.training.records import PREDICTIONS

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.results.metrics import Findings
    from benchmark.store import Store
    from benchmark.studies import Study

BY_SCALE = "accuracy_by_scale"
FOLDER = "evaluation"
EVALUATED = "evaluated"


def keep(store: Store, run_id: str, findings: Findings, parts: Iterable[str]) -> None:
    """Log findings into their run; arrays first, so that a run with the tag has all of it."""
    with tempfile.TemporaryDirectory(prefix="siconvnet-") as folder:
        for name, arrays in findings.arrays.items():
            path = Path(folder) / f"{name}.npz"
            write_npz(path, arrays)
            store.client.log_artifact(run_id, str(path), FOLDER)
    now = time.time()
    metrics = [*scale_metrics(BY_SCALE, findings.by_scale, now), *final_metrics(findings.scalars, now)]
    store.client.log_batch(run_id, metrics=metrics)
    done = {*parts} | done_parts(store, run_id)
    store.client.set_tag(run_id, EVALUATED, ",".join(sorted(done)))


def done_parts(store: Store, run_id: str) -> set[str]:
    """Which parts a run's tag says are there."""
    return _parts(store.client.get_run(run_id).data.tags)


def _parts(tags: Mapping[str, str]) -> set[str]:
    return set(tags.get(EVALUATED, "").split(",")) - {""}


def read_predictions(store: Store, run_id: str) -> Predictions:
    """The predictions that a finished run stored.

    Raises:
        SiconvnetError: the run has none.
    """
    with store.artifact(run_id, PREDICTIONS) as path, np.load(path) as arrays:
        return Predictions.from_arrays(arrays)


def accuracy_by_scale(store: Store, runs: pd.DataFrame) -> pd.DataFrame:
    """One row a run and scale (model, dataset, evaluation, run_id, scale, accuracy) of the runs that were evaluated."""
    import pandas as pd

    rows = []
    found = _accuracies_by_scale(store, runs)
    for run in runs.to_dict("records"):
        latest = found.get(run["run_id"], {})
        cell = {key: run[key] for key in (*CELL, "run_id")}
        rows += [{**cell, "scale": scale, "accuracy": value} for scale, value in sorted(latest.items())]
    return pd.DataFrame(rows, columns=[*CELL, "run_id", "scale", "accuracy"])


def read_scales(store: Store, runs: pd.DataFrame) -> pd.DataFrame:
    """The scale frame of our evaluated runs; empty if none is."""
    import pandas as pd

    table = accuracy_by_scale(store, runs)
    return aggregate_scales(table, source="ours") if len(table) else pd.DataFrame(columns=list(SCALE_COLUMNS))


def read_equivariance(store: Store, runs: pd.DataFrame) -> pd.DataFrame:
    """model, dataset, evaluation, seed, test_acc, error (stage 2, outside the training range) of evaluated runs."""
    name = "equivariance_stage2"
    found = store.read(run_ids=set(runs["run_id"]), metrics=[name], fields=Fields((), (name,), ()))
    measured = {run.run_id: run.metrics[name] for run in found}
    errors = [measured.get(run_id) for run_id in runs["run_id"]]
    table = runs.assign(error=errors).astype({"error": float})
    # A dead stage has no error that a logarithmic axis could show.
    return table[table["error"] > 0].reset_index(drop=True)


def read_indices(store: Store, runs: pd.DataFrame) -> list[IndexMaps]:
    """Of every cell the run of the best test accuracy that has index maps."""
    found: dict[tuple, IndexMaps] = {}
    tags = store.read(run_ids=set(runs["run_id"]), fields=Fields((), (), (EVALUATED,)))
    with_maps = {run.run_id for run in tags if "indices" in _parts(run.tags)}
    for run in runs.sort_values("test_acc", ascending=False, kind="stable").to_dict("records"):
        key = tuple(run[column] for column in CELL)
        if key not in found and run["run_id"] in with_maps:
            maps = _index_maps(store, run)
            if maps is not None:
                found[key] = maps
    return [found[key] for key in sorted(found)]


def _index_maps(store: Store, run: Mapping[str, Any]) -> IndexMaps | None:
    if not any(item.path == f"{FOLDER}/indices.npz" for item in store.client.list_artifacts(run["run_id"], FOLDER)):
        return None
    with store.artifact(run["run_id"], f"{FOLDER}/indices.npz") as path, np.load(path) as arrays:
        last = max(name for name in arrays if name.startswith("pool") and "_" not in name)
        kernels = arrays[f"{last}_kernels"]
        if not len(kernels):
            return None
        return IndexMaps(
            model=run["model"],
            dataset=run["dataset"],
            evaluation=int(run["evaluation"]),
            seed=int(run["seed"]),
            indices=arrays[f"{last}_object"],
            scales=np.unique(arrays["scales"]),
            kernel_size=int(kernels[0]),
            largest_kernel=int(kernels[-1]),
            icon=int(arrays["object"]),
        )


def errors_by_size(store: Store, study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """For each evaluated run its fields, and its error in percent at each object size (`error_8` and so on)."""
    import pandas as pd

    rows = []
    found = _accuracies_by_scale(store, runs)
    for run in runs.to_dict("records"):
        if latest := found.get(run["run_id"]):
            errors = {f"error_{size}": 100 - value for size, value in sorted(latest.items())}
            rows.append({**{name: run[name] for name in study.fields}, "run_id": run["run_id"], **errors})
    return pd.DataFrame(rows)


def _accuracies_by_scale(store: Store, runs: pd.DataFrame) -> dict[str, dict[int, float]]:
    """Of each evaluated run its accuracy in percent at each object size."""
    wanted = set(runs["run_id"])
    found = store.read(run_ids=wanted, metrics=[BY_SCALE], fields=Fields((), (BY_SCALE,), ()), histories=[BY_SCALE])
    return {run.run_id: run.histories[BY_SCALE] for run in found}
