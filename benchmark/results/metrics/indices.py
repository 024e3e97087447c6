"""Which scale wins a pooling over scales: how it follows the object's size, and how consistently."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmark.protocol import ALL_SCALES
from benchmark.results.metrics import register
from benchmark.results.metrics.base import Figure, Findings, Metric, Trained, nanmean

OBJECT = 33
"""Whose index maps are kept whole: the icon of the paper's figure, or the last object of a smaller dataset."""

#: Images that go through the model at a time.
_BATCH = 16


def measure(run: Trained) -> Findings:
    """Correlation of the winning index with the size, consistency of the kernel, and the index maps of one object."""
    from siconvnet.metrics.indices import most_frequent, pearson_r, per_channel, scale_indices, selection_consistency

    found, model, data, pools = Findings(), run.model, run.objects, run.info.scale_pools
    subset = data.select("test", ALL_SCALES)
    objects = data.num_classes * data.num_instances
    shown = min(OBJECT, objects - 1)
    means: dict[str, list[np.ndarray]] = {pool: [] for pool in pools}
    winners: dict[str, list[np.ndarray]] = {pool: [] for pool in pools}
    kept: dict[str, list[np.ndarray]] = {pool: [] for pool in pools}
    first = 0
    for step, batch in enumerate(scale_indices(model, subset.images, pools, _BATCH), start=1):
        rows = np.arange(first, first + len(batch[pools[0]]))
        for pool, indices in batch.items():
            means[pool].append(per_channel(indices))
            winners[pool].append(most_frequent(indices))
            kept[pool].append(indices[rows % objects == shown])
        first += len(rows)
        run.on_step("indices", step, math.ceil(len(subset.images) / _BATCH))
    arrays: dict[str, np.ndarray] = {"scales": subset.scales, "object": np.array(shown)}
    for number, pool in enumerate(pools, 1):
        winner = np.concatenate(winners[pool])
        r = pearson_r(np.concatenate(means[pool]), subset.scales)
        arrays |= {f"pool{number}": winner, f"pool{number}_object": np.concatenate(kept[pool])}
        arrays[f"pool{number}_r"] = r
        arrays[f"pool{number}_kernels"] = _kernel_sizes(dict(model.named_modules())[pool])
        if math.isfinite(mean := nanmean(r)):
            found.scalars[f"index_r_stage{number}"] = mean
        found.scalars[f"kernel_consistency_stage{number}"] = 100 * selection_consistency(winner, subset.scales)
    found.arrays["indices"] = arrays
    return found


def _kernel_sizes(module: Any) -> np.ndarray:
    """Sides in pixels of the kernels that the indices stand for; empty where they stand for something else."""
    size, count = getattr(module, "kernel_size", None), getattr(module, "num_scales", None)
    return np.array([size + 2 * i for i in range(count)] if size and count else [], dtype=np.int64)


METRIC = register(
    Metric(
        "indices",
        "winning scales",
        (
            Figure("index_r_stage*", "correlation of the winning scale with the object's size", "", bounded=False),
            Figure("kernel_consistency_stage*", "kernel consistency"),
        ),
        needs=frozenset({"model", "objects"}),
        measure=measure,
    )
)
