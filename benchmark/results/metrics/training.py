"""The figures that training and its test log of every run."""

from __future__ import annotations

from benchmark.results.metrics import register
from benchmark.results.metrics.base import Figure, Metric

METRIC = register(
    Metric(
        "training",
        "what training and the test at its end log",
        (
            Figure("test_acc", "test accuracy", guess="accuracy"),
            Figure("test_err", "test error", more_is_better=False, guess="error"),
            Figure("best_acc", "best validation accuracy", guess="accuracy"),
            Figure("avg_time", "seconds per epoch", "", more_is_better=False, bounded=False),
            Figure("run_time", "seconds per run", "", more_is_better=False, bounded=False),
            Figure("test_loss", "test loss", "", more_is_better=False, bounded=False),
            Figure("epochs", "epochs", "", more_is_better=None, bounded=False),
            Figure("acc_*", "test accuracy by object size", guess="accuracy"),
        ),
    )
)
