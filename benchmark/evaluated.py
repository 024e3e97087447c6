"""Metrics of finished runs: computed from the run's weights, kept in the run, and read back as tables.

Logged to the run itself: `accuracy_by_scale` (percent; the step is the object's side in pixels, so that its chart
is the generalization figure), scalars for the rest, and arrays as `evaluation/*.npz`. The tag `evaluated` says what
is there.
"""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from benchmark.evaluation import Predictions
from benchmark.files import write_npz
from benchmark.frames import CELL, SCALE_COLUMNS, SCALES, aggregate_scales
from benchmark.plots import IndexMaps
from benchmark.protocol import find_scenario
from benchmark.studies import STIR, Study, scale_fields
from benchmark.tracking.entries import model_of
from siconvnet.errors import SiconvnetError, UnknownName
from siconvnet.metrics import NotMeasurable

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from benchmark.leaderboard import Cell
    from benchmark.tracking import Store
    from siconvnet.datasets import StirDataset

BY_SCALE = "accuracy_by_scale"
FOLDER = "evaluation"
WEIGHTS = "model.safetensors"
PARTS = ("generalization", "equivariance", "indices")
OBJECT = 33
"""Whose index maps are kept whole: the icon of the paper's figure, or the last object of a smaller dataset."""


@dataclass
class Findings:
    """What one run's evaluation found.

    Attributes:
        scalars: metric name -> value; percent for accuracies.
        by_scale: object's side in pixels -> accuracy in percent.
        arrays: artifact name -> arrays.
        reasons: part -> why it could not be measured.
    """

    scalars: dict[str, float] = field(default_factory=dict)
    by_scale: dict[int, float] = field(default_factory=dict)
    arrays: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def evaluate(
    model: nn.Module,
    name: str,
    dataset: StirDataset,
    evaluation: int,
    *,
    parts: Iterable[str] = PARTS,
    published_input_range: bool = False,
    predictions: Predictions | None = None,
) -> Findings:
    """Every metric of a trained model that it has the maps for.

    Args:
        model: with its weights, on its device.
        name: what the model is registered as, or a variant of it (`benchmark.studies.scale_fields`).
        evaluation: the scenario that it was trained for.
        parts: of `PARTS`.
        published_input_range: see `siconvnet.metrics.equivariance`.
        predictions: of the whole test split, where they are known already; else they are made.

    Raises:
        UnknownName: no such part.
    """
    from siconvnet.models import model_info

    findings, info = Findings(), model_info(scale_fields.of_variant(name)[0])
    for part in parts:
        if part not in PARTS:
            raise UnknownName("part", part, PARTS)
        try:
            if part == "generalization":
                _generalization(findings, predictions or _predictions(model, dataset), evaluation)
            elif part == "equivariance":
                _equivariance(findings, model, dataset, evaluation, info.stages, published_input_range)
            else:
                _indices(findings, model, dataset, info.scale_pools)
        except NotMeasurable as reason:
            findings.reasons[part] = str(reason)
    return findings


def _predictions(model: nn.Module, dataset: StirDataset) -> Predictions:
    from siconvnet.metrics.generalization import predict

    subset = dataset.select("test", SCALES)
    predicted = predict(model, subset.images)
    return Predictions(predicted, subset.labels, subset.scales, np.zeros(len(predicted), dtype=np.float32))


def read_predictions(store: Store, run_id: str) -> Predictions:
    """The predictions that a finished run stored.

    Raises:
        SiconvnetError: the run has none.
    """
    with store.artifact(run_id, "predictions.npz") as path, np.load(path) as arrays:
        return Predictions.from_arrays(arrays)


def _generalization(findings: Findings, predictions: Predictions, evaluation: int) -> None:
    from siconvnet.metrics.generalization import accuracy_by_scale, scale_consistency

    findings.by_scale = accuracy_by_scale(predictions.predicted, predictions.labels, predictions.scales)
    seen = find_scenario(evaluation).train_scales
    unseen = [value for scale, value in findings.by_scale.items() if scale not in seen]
    if unseen:
        findings.scalars["unseen_acc"] = float(np.mean(unseen))
    findings.scalars["scale_consistency"] = 100 * scale_consistency(predictions.predicted, predictions.scales)


def _equivariance(
    findings: Findings,
    model: nn.Module,
    dataset: StirDataset,
    evaluation: int,
    stages: tuple[str, ...],
    published_input_range: bool,
) -> None:
    from siconvnet.metrics.equivariance import PUBLISHED_PAIRS, equivariance_errors, pairs_outside

    errors = equivariance_errors(model, dataset, stages, published_input_range=published_input_range)
    suffix = "_255" if published_input_range else ""
    outside = pairs_outside(find_scenario(evaluation).train_scales)
    for number, values in enumerate(errors.values(), 1):
        for name, pairs in (("", outside), ("_published_pairs", PUBLISHED_PAIRS[evaluation])):
            mean = _mean(values[..., list(pairs)])
            if np.isfinite(mean):
                findings.scalars[f"equivariance_stage{number}{name}{suffix}"] = mean
    findings.arrays[f"errors{suffix}"] = {f"stage{number}": v for number, v in enumerate(errors.values(), 1)}


def _indices(findings: Findings, model: nn.Module, dataset: StirDataset, pools: tuple[str, ...]) -> None:
    from siconvnet.metrics.indices import most_frequent, pearson_r, per_channel, scale_indices, selection_consistency

    subset = dataset.select("test", SCALES)
    objects = dataset.num_classes * dataset.num_instances
    shown = min(OBJECT, objects - 1)
    means: dict[str, list[np.ndarray]] = {pool: [] for pool in pools}
    winners: dict[str, list[np.ndarray]] = {pool: [] for pool in pools}
    kept: dict[str, list[np.ndarray]] = {pool: [] for pool in pools}
    first = 0
    for batch in scale_indices(model, subset.images, pools):
        rows = np.arange(first, first + len(batch[pools[0]]))
        for pool, found in batch.items():
            means[pool].append(per_channel(found))
            winners[pool].append(most_frequent(found))
            kept[pool].append(found[rows % objects == shown])
        first += len(rows)
    arrays: dict[str, np.ndarray] = {"scales": subset.scales, "object": np.array(shown)}
    for number, pool in enumerate(pools, 1):
        winner = np.concatenate(winners[pool])
        r = pearson_r(np.concatenate(means[pool]), subset.scales)
        arrays |= {f"pool{number}": winner, f"pool{number}_object": np.concatenate(kept[pool])}
        arrays[f"pool{number}_r"] = r
        arrays[f"pool{number}_kernels"] = _kernel_sizes(dict(model.named_modules())[pool])
        if np.isfinite(_mean(r)):
            findings.scalars[f"index_r_stage{number}"] = _mean(r)
        findings.scalars[f"kernel_consistency_stage{number}"] = 100 * selection_consistency(winner, subset.scales)
    findings.arrays["indices"] = arrays


def _kernel_sizes(module: Any) -> np.ndarray:
    """Sides in pixels of the kernels that the indices stand for; empty where they stand for something else."""
    size, count = getattr(module, "kernel_size", None), getattr(module, "num_scales", None)
    return np.array([size + 2 * i for i in range(count)] if size and count else [], dtype=np.int64)


def _mean(values: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing known at all is NaN, and no news
        return float(np.nanmean(values))


def load_model(place: Store | Path, run: Mapping[str, Any], dataset: StirDataset, device: str = "cpu") -> nn.Module:
    """The trained model of a row of the run frame.

    Args:
        place: the store that has its weights, or a folder with `RUN/artifacts/model.safetensors` or `model.pt`.

    Raises:
        SiconvnetError: the run has no weights, or they are of another version of the model.
    """
    from siconvnet.models import create_model

    name, fields = scale_fields.of_variant(run["model"])
    model = create_model(
        name,
        num_channels=dataset.num_channels,
        num_classes=dataset.num_classes,
        kernel_size=int(run["kernel_size"]),
        interpolation=run["interpolation"],
        **fields,
    )
    if isinstance(place, Path):
        at_hand: AbstractContextManager[Path] = contextlib.nullcontext(_in_folder(place, run["run_id"]))
    else:
        at_hand = place.artifact(run["run_id"], WEIGHTS)
    try:
        with at_hand as path:
            model.load_state_dict(_weights(path))
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise SiconvnetError(f"the weights of run {run['run_id']} are not of this {run['model']}: {first}") from None
    return model.to(device).eval()


def _in_folder(folder: Path, run_id: str) -> Path:
    candidates = [folder / run_id / "artifacts" / name for name in (WEIGHTS, "model.pt")]
    found = [path for path in candidates if path.is_file()]
    if not found:
        raise SiconvnetError(f"no weights of run {run_id}: neither {candidates[0]} nor {candidates[1].name} is there.")
    return found[0]


def _weights(path: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        return load_file(path)
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def keep(store: Store, run_id: str, findings: Findings, parts: Iterable[str]) -> None:
    """Log findings into their run; arrays first, so that a run with the tag has all of it."""
    with tempfile.TemporaryDirectory(prefix="siconvnet-") as folder:
        for name, arrays in findings.arrays.items():
            path = Path(folder) / f"{name}.npz"
            write_npz(path, arrays)
            store.client.log_artifact(run_id, str(path), FOLDER)
    for scale, value in findings.by_scale.items():
        store.client.log_metric(run_id, BY_SCALE, value, step=scale)
    for name, value in findings.scalars.items():
        store.client.log_metric(run_id, name, value)
    done = {*parts} | done_parts(store, run_id)
    store.client.set_tag(run_id, "evaluated", ",".join(sorted(done)))


def done_parts(store: Store, run_id: str) -> set[str]:
    """Which parts a run's tag says are there."""
    tag = store.client.get_run(run_id).data.tags.get("evaluated", "")
    return set(tag.split(",")) - {""}


def accuracy_by_scale(store: Store, runs: pd.DataFrame) -> pd.DataFrame:
    """One row a run and scale (model, dataset, evaluation, run_id, scale, accuracy) of the runs that were evaluated."""
    import pandas as pd

    rows = []
    for run in runs.to_dict("records"):
        latest = _accuracy_by_scale(store, run["run_id"])
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
    errors = [store.client.get_run(run_id).data.metrics.get("equivariance_stage2") for run_id in runs["run_id"]]
    table = runs.assign(error=errors).astype({"error": float})
    # A dead stage has no error that a logarithmic axis could show.
    return table[table["error"] > 0].reset_index(drop=True)


def read_indices(store: Store, runs: pd.DataFrame) -> list[IndexMaps]:
    """Of every cell the run of the best test accuracy that has index maps."""
    found: dict[tuple, IndexMaps] = {}
    for run in runs.sort_values("test_acc", ascending=False, kind="stable").to_dict("records"):
        key = tuple(run[column] for column in CELL)
        if key not in found and "indices" in done_parts(store, run["run_id"]):
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


def failures(store: Store) -> dict[Cell, str]:
    """Cells of STIR in which a run was started and did not finish -> the latest one's reason."""
    reasons: dict[Cell, str] = {}
    for run in store.runs_of(STIR, "!= 'FINISHED'"):
        params = run.data.params
        if {"data", "evaluation", "model"} <= set(params):
            cell = (params["data"], int(params["evaluation"]), model_of(params))
            status = run.info.status.lower()
            reasons.setdefault(cell, f"{status}: {run.data.tags.get('reason', 'no reason given')}")
    return reasons


def by_size(predictions: Predictions, bands: int = 3) -> Findings:
    """The accuracy by object size where the test images are of many sizes, and the error of each third of the sizes."""
    findings = Findings()
    sizes = np.unique(predictions.scales)
    if len(sizes) < bands:
        findings.reasons["generalization"] = "the test images are all of one size"
        return findings
    findings.by_scale = {int(size): predictions.accuracy([size]) for size in sizes}
    for band in np.array_split(sizes, bands):
        findings.scalars[f"err_{band[0]}_{band[-1]}"] = 100 - predictions.accuracy(band)
    return findings


def errors_by_size(store: Store, study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """For each evaluated run its fields, and its error in percent at each object size (`error_8` and so on)."""
    import pandas as pd

    rows = []
    for run in runs.to_dict("records"):
        if latest := _accuracy_by_scale(store, run["run_id"]):
            errors = {f"error_{size}": 100 - value for size, value in sorted(latest.items())}
            rows.append({**{name: run[name] for name in study.fields}, "run_id": run["run_id"], **errors})
    return pd.DataFrame(rows)


def _accuracy_by_scale(store: Store, run_id: str) -> dict[int, float]:
    history = store.client.get_metric_history(run_id, BY_SCALE)
    # A repeated evaluation adds to the history; the latest value of each scale counts.
    return {point.step: point.value for point in sorted(history, key=lambda point: point.timestamp)}
