"""Accuracy by object size, and what it comes to over the sizes that training did not show."""

from __future__ import annotations

import numpy as np

from benchmark.results.metrics import register
from benchmark.results.metrics.base import Figure, Findings, Metric, Trained
from siconvnet.metrics import NotMeasurable

THIRDS = 3


def measure(run: Trained) -> Findings:
    """Accuracy by size; over unseen sizes and consistent over sizes, or the error of each third of the sizes.

    Raises:
        NotMeasurable: the test images are all of one size.
    """
    from siconvnet.metrics.generalization import accuracy_by_scale, scale_consistency

    found, predictions = Findings(), run.predictions
    sizes = np.unique(predictions.scales)
    if len(sizes) < THIRDS:
        raise NotMeasurable("the test images are all of one size")
    found.by_scale = accuracy_by_scale(predictions.predicted, predictions.labels, predictions.scales)
    if run.seen is None:
        for third in np.array_split(sizes, THIRDS):
            found.scalars[f"err_{third[0]}_{third[-1]}"] = 100 - predictions.accuracy(third)
        return found
    unseen = [value for scale, value in found.by_scale.items() if scale not in run.seen]
    if unseen:
        found.scalars["unseen_acc"] = float(np.mean(unseen))
    found.scalars["scale_consistency"] = 100 * scale_consistency(predictions.predicted, predictions.scales)
    return found


METRIC = register(
    Metric(
        "generalization",
        "accuracy by object size",
        (
            Figure("unseen_acc", "accuracy at unseen sizes", guess="accuracy"),
            Figure("scale_consistency", "scale consistency"),
            Figure("err_*", "test error by object size", more_is_better=False, guess="error"),
        ),
        measure=measure,
    )
)
