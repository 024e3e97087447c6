"""The figures that the STIR paper published (arXiv 2211.10288), as the same tidy frames as our own runs.

The tables ship with the package (`benchmark.tables`, in the repository `results/published/`); their README
names source, licence and known oddities. `cell` reads its table without pandas, so that a command line may
ask at once.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "published"


@dataclass(frozen=True)
class PublishedCell:
    """What was published for one (model, dataset, evaluation).

    Attributes:
        mean, std, median: of the test accuracy over the runs, in percent; `std` divides by n - 1.
        runs: how many runs (seeds) these are over.
        lr: the learning rate that was selected by validation accuracy.
        mean_epoch_seconds: seconds an epoch on one NVIDIA A100.
    """

    model: str
    dataset: str
    evaluation: int
    mean: float
    std: float
    median: float
    runs: int
    lr: float
    mean_epoch_seconds: float


def cell(model: str, dataset: str, evaluation: int) -> PublishedCell | None:
    """The published figures of one cell, or None where the paper has none."""
    return _cells().get((model, dataset, int(evaluation)))


def runs() -> pd.DataFrame:
    """All 5,500 published runs, one a row, in the columns of `benchmark.frames.RUN_COLUMNS`."""
    from benchmark.frames import from_stir_runs

    return from_stir_runs(_read("stir_runs.csv"), source=SOURCE)


def summary() -> pd.DataFrame:
    """One row a cell, with the columns of `stir_summary.csv`; accuracies in percent."""
    return _read("stir_summary.csv")


def generalization() -> pd.DataFrame:
    """Accuracy a scale, in the columns of `benchmark.frames.SCALE_COLUMNS`; in percent."""
    from benchmark.frames import SCALE_COLUMNS

    frame = _read("stir_generalization.csv").rename(
        columns={"test_accuracy_mean": "accuracy_mean", "test_accuracy_std": "accuracy_std"}
    )
    return frame.assign(source=SOURCE)[list(SCALE_COLUMNS)]


def _read(name: str) -> pd.DataFrame:
    import pandas as pd

    with resources.files("benchmark.tables").joinpath(name).open(encoding="utf-8") as file:
        return pd.read_csv(file)


@functools.cache
def _cells() -> Mapping[tuple[str, str, int], PublishedCell]:
    with resources.files("benchmark.tables").joinpath("stir_summary.csv").open(encoding="utf-8") as file:
        cells = [
            PublishedCell(
                model=row["model"],
                dataset=row["dataset"],
                evaluation=int(row["evaluation"]),
                mean=float(row["test_accuracy_mean"]),
                std=float(row["test_accuracy_std"]),
                median=float(row["test_accuracy_median"]),
                runs=int(row["runs"]),
                lr=float(row["learning_rate"]),
                mean_epoch_seconds=float(row["mean_epoch_seconds"]),
            )
            for row in csv.DictReader(file)
        ]
    return {(c.model, c.dataset, c.evaluation): c for c in cells}
