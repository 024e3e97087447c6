"""The paper's metrics of a trained model, and of any study's predictions the error by object size."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.predictions import Predictions
from benchmark.protocol import ALL_SCALES, find_scenario
from benchmark.studies import scale_fields
from siconvnet.errors import UnknownName
from siconvnet.metrics import NotMeasurable

if TYPE_CHECKING:
    from torch import nn

    from siconvnet.datasets import StirDataset

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

    subset = dataset.select("test", ALL_SCALES)
    predicted = predict(model, subset.images)
    return Predictions(predicted, subset.labels, subset.scales, np.zeros(len(predicted), dtype=np.float32))


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

    subset = dataset.select("test", ALL_SCALES)
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
