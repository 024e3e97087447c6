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
from benchmark.store.entries import final_metrics, scale_metrics
from benchmark.store.reading import NOTHING
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
_CELL = ("model", "dataset", "evaluation")


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
    return parts_of(store.client.get_run(run_id).data.tags.get(EVALUATED))


def parts_of(tag: str | None) -> set[str]:
    """The parts that a tag `evaluated` names."""
    return set((tag or "").split(",")) - {""}


def read_predictions(store: Store, run_id: str) -> Predictions:
    """The predictions that a finished run stored.

    Raises:
        SiconvnetError: the run has none.
    """
    with store.artifact(run_id, PREDICTIONS) as path, np.load(path) as arrays:
        return Predictions.from_arrays(arrays)


def accuracy_by_size(store: Store, study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """One row a run and size (the columns of `runs`, scale, accuracy) of the runs that were evaluated."""
    import pandas as pd

    stored = store.read([study], run_ids=set(runs["run_id"]), fields=NOTHING, histories=[BY_SCALE])
    points = [
        (run.run_id, size, value) for run in stored for size, value in sorted(run.histories.get(BY_SCALE, {}).items())
    ]
    return runs.merge(pd.DataFrame(points, columns=["run_id", "scale", "accuracy"]), on="run_id")


def read_indices(store: Store, runs: pd.DataFrame) -> list[IndexMaps]:
    """Of every cell the run of the best test accuracy that has index maps."""
    found: dict[tuple, IndexMaps] = {}
    for run in runs.sort_values("test_acc", ascending=False, kind="stable").to_dict("records"):
        key = tuple(run[column] for column in _CELL)
        if key not in found and "indices" in parts_of(run.get(EVALUATED)):
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
