"""The figures that the papers published; those of STIR (arXiv 2211.10288) as the same tidy frames as our own runs.

The tables ship with the package (`benchmark.tables`, in the repository `results/published/`); their README
names source, licence and known oddities. `cell` reads its table without pandas, so that a command line may
ask at once.
"""

from __future__ import annotations

import csv
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.studies.base import PublishedFigure

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


@dataclass(frozen=True)
class PublishedError:
    """A published test error, of a study that reports errors.

    Attributes:
        source: who published it, short enough for the heading of a column.
        settings: further fields of the `RunSpec` that it is of, and their values.
        mean, std: over the realizations or seeds, in percent; `std` is None where it was not given.
        runs: how many these are; None where it was not given.
        equivariance_error: of the network's basis, where it was given.
    """

    source: str
    model: str
    settings: tuple[tuple[str, object], ...]
    mean: float
    std: float | None
    runs: int | None
    equivariance_error: float | None

    @property
    def augment(self) -> bool:
        return bool(dict(self.settings).get("augment"))


def errors(study: str, model: str, augment: bool) -> tuple[PublishedError, ...]:
    """What was published for a network of a study, the original paper first; empty where nothing was."""
    return tuple(error for error in all_errors(study) if (error.model, error.augment) == (model, augment))


@functools.cache
def all_errors(study: str) -> tuple[PublishedError, ...]:
    """All published errors of a study; empty where it has no such table.

    The table has the columns source, model, test_error_mean, perhaps test_error_std, runs and equivariance_error, and
    otherwise fields of a `RunSpec`.
    """
    from benchmark.studies import find_study

    table = resources.files("benchmark.tables").joinpath(f"{study.replace('-', '_')}_errors.csv")
    if not table.is_file():
        return ()
    figures = ("source", "model", "test_error_mean", "test_error_std", "runs", "equivariance_error")

    def number(text: str | None) -> float | None:
        return float(text) if text else None

    with table.open(encoding="utf-8") as file:
        return tuple(
            PublishedError(
                source=row["source"],
                model=row["model"],
                settings=tuple(
                    (name, find_study(study).read(name, text)) for name, text in row.items() if name not in figures
                ),
                mean=float(row["test_error_mean"]),
                std=number(row.get("test_error_std")),
                runs=int(row["runs"]) if row.get("runs") else None,
                equivariance_error=number(row.get("equivariance_error")),
            )
            for row in csv.DictReader(file)
        )


@functools.cache
def learned_scales() -> Mapping[tuple[object, ...], Mapping[str, float]]:
    """The internal scales that networks were published to have learned from where the model's own start.

    Returns:
        (study, scale_range, augment, scale_parameterisation, learn_sigma) -> mean and standard deviation in pixels of
        each scale, `scale_1_mean`, `scale_1_std`, `scale_2_mean` and so on.
    """
    from benchmark.studies import find_study

    fields = ("scale_range", "augment", "scale_parameterisation", "learn_sigma")
    found: dict[tuple[object, ...], dict[str, float]] = {}
    with resources.files("benchmark.tables").joinpath("learned_scales.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            study = find_study(row["study"])
            key = (row["study"], *(study.read(name, row[name]) if name in study.fields else None for name in fields))
            for part in ("mean", "std"):
                found.setdefault(key, {})[f"scale_{row['index']}_{part}"] = float(row[f"scale_{part}"])
    return found


def cell(model: str, dataset: str, evaluation: int) -> PublishedCell | None:
    """The published figures of one cell, or None where the paper has none."""
    return _cells().get((model, dataset, int(evaluation)))


def accuracies(cell: PublishedCell) -> list[float]:
    """The test accuracy of each run that a cell is the mean of, in percent, in the order of seeds."""
    with resources.files("benchmark.tables").joinpath("stir_runs.csv").open(encoding="utf-8") as file:
        return [
            float(row["test_accuracy"])
            for row in csv.DictReader(file)
            if (row["model"], row["dataset"], int(row["evaluation"])) == (cell.model, cell.dataset, cell.evaluation)
            and float(row["learning_rate"]) == cell.lr
        ]


@functools.cache
def runs() -> pd.DataFrame:
    """All 5,500 published runs of STIR, as `benchmark.results.runs.table`."""
    from benchmark.results.runs import rename_published, table
    from benchmark.studies.stir import STIR

    rows = rename_published(_read("stir_runs.csv"))
    return table(STIR, rows.assign(source=SOURCE).to_dict("records"))


def stir_figures(metric: str) -> list[PublishedFigure]:
    """What was published of a metric of STIR, a model, data set and scenario each; empty where nothing was."""
    from benchmark.spec import RunSpec
    from benchmark.studies.base import PublishedFigure

    if metric == "unseen_acc":
        return _unseen()
    table = runs()
    if metric not in table or table[metric].isna().all():
        return []
    found = table.groupby(["model", "dataset", "evaluation", "lr"])[metric].agg(["mean", "std", "count", "median"])
    seconds = table.groupby(["model", "dataset", "evaluation", "lr"])["avg_time"].mean()
    return [
        PublishedFigure(
            SOURCE,
            RunSpec(model, dataset, evaluation=int(evaluation), lr=lr),
            *(float(row["mean"]), float(row["std"]), int(row["count"]), float(row["median"])),
            seconds_per_epoch=float(seconds[model, dataset, evaluation, lr]),
        )
        for (model, dataset, evaluation, lr), row in found.iterrows()
    ]


def _unseen() -> list[PublishedFigure]:
    """The mean accuracy over the object sizes that training did not show."""
    from benchmark.protocol import SCENARIOS
    from benchmark.spec import RunSpec
    from benchmark.studies.base import PublishedFigure

    scales = generalization()
    seen = {number: scenario.train_scales for number, scenario in SCENARIOS.items()}
    places = zip(scales["scale"], scales["evaluation"], strict=True)
    unseen = scales[[size not in seen[evaluation] for size, evaluation in places]]
    means = unseen.groupby(["model", "dataset", "evaluation"])["accuracy_mean"].mean()
    return [
        PublishedFigure(
            SOURCE,
            RunSpec(model, dataset, evaluation=int(evaluation), lr=found.lr),
            *(float(mean), math.nan, found.runs),
        )
        for (model, dataset, evaluation), mean in means.items()
        if (found := cell(model, dataset, evaluation)) is not None
    ]


def summary() -> pd.DataFrame:
    """One row a cell, with the columns of `stir_summary.csv`; accuracies in percent."""
    return _read("stir_summary.csv")


def generalization() -> pd.DataFrame:
    """Accuracy a scale, in the columns of `benchmark.results.sizes.SCALE_COLUMNS`; in percent."""
    from benchmark.results.sizes import SCALE_COLUMNS

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
