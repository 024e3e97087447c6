"""The equivariance error of feature maps, on images in 0..1 as in training, or in 0..255 as in the published code."""

from __future__ import annotations

import functools
import math

from benchmark.results.metrics import register
from benchmark.results.metrics.base import Figure, Findings, Metric, Trained, nanmean


def measure(run: Trained, *, published_input_range: bool = False) -> Findings:
    """The mean error of each stage outside the training range, and over the pairs of sizes that were published."""
    from siconvnet.metrics.equivariance import PUBLISHED_PAIRS, equivariance_errors, pairs_outside

    found = Findings()
    errors = equivariance_errors(
        run.model,
        run.objects,
        run.info.stages,
        published_input_range=published_input_range,
        on_step=functools.partial(run.on_step, "equivariance"),
    )
    suffix = "_255" if published_input_range else ""
    evaluation = run.spec.settings.evaluation
    outside = pairs_outside(run.seen or ())
    for number, values in enumerate(errors.values(), 1):
        for name, pairs in (("", outside), ("_published_pairs", PUBLISHED_PAIRS[evaluation])):
            mean = nanmean(values[..., list(pairs)])
            if math.isfinite(mean):
                found.scalars[f"equivariance_stage{number}{name}{suffix}"] = mean
    found.arrays[f"errors{suffix}"] = {f"stage{number}": v for number, v in enumerate(errors.values(), 1)}
    return found


_NEEDS = frozenset({"model", "objects"})
METRIC = register(
    Metric(
        "equivariance",
        "equivariance error of feature maps",
        (Figure("equivariance_stage*", "equivariance error", "", more_is_better=False, bounded=False),),
        needs=_NEEDS,
        measure=measure,
    )
)
IN_PUBLISHED_RANGE = register(
    Metric(
        "equivariance_255",
        "equivariance error on images in 0..255",
        (Figure("equivariance_stage*_255", "equivariance error", "", more_is_better=False, bounded=False),),
        needs=_NEEDS,
        measure=functools.partial(measure, published_input_range=True),
        variant_of="equivariance",
    )
)
