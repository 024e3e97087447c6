"""Accuracy by the size of the object: the table that figures read, and the original's file of it.

One row for each model, data set, scenario and size (`SCALE_COLUMNS`), accuracies in percent. Two kinds of file are
understood: this table, and the original's, a run a row with the columns s17 to s64 as fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.protocol import ALL_SCALES
from benchmark.results.runs import TableError, read_csv

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.studies import Study

CELL = ("model", "dataset", "evaluation")
SCALE_COLUMNS = (*CELL, "scale", "accuracy_mean", "accuracy_std", "runs", "source")


def scales_from_wide(frame: pd.DataFrame, *, source: str, origin: str = "the scale table") -> pd.DataFrame:
    """`SCALE_COLUMNS` from the original's wide table: model, data, eval and the fractions s17 to s64."""
    _require(frame, ["model", "data", "eval", *(f"s{scale}" for scale in ALL_SCALES)], origin)
    ours = frame.rename(columns={"data": "dataset", "eval": "evaluation"})
    long = ours.melt(
        id_vars=list(CELL),
        value_vars=[f"s{scale}" for scale in ALL_SCALES],
        var_name="scale",
        value_name="accuracy",
    )
    long["scale"] = long["scale"].str[1:].astype(int)
    long["accuracy"] = 100.0 * long["accuracy"].astype(float)
    return aggregate_scales(long, source=source)


def scales_to_wide(per_run: pd.DataFrame) -> pd.DataFrame:
    """The original's wide table from one row a run and size; behind its columns the seed and the run.

    Args:
        per_run: columns model, dataset, evaluation, seed, run_id, scale, accuracy (percent).
    """
    index = [*CELL, "seed", "run_id"]
    wide = per_run.pivot_table(index=index, columns="scale", values="accuracy", sort=True) / 100.0
    wide = wide.reindex(columns=list(ALL_SCALES))
    wide.columns = [f"s{scale}" for scale in ALL_SCALES]
    table = wide.reset_index().rename(columns={"dataset": "data", "evaluation": "eval"})
    return table[["model", "data", "eval", *wide.columns, "seed", "run_id"]]


def errors_to_wide(study: Study, per_run: pd.DataFrame) -> pd.DataFrame:
    """The fields of each run, and its error in percent at each object size (`error_8` and so on).

    Args:
        per_run: runs as `benchmark.results.runs.table` has them, a row a size, with the columns scale and accuracy.
    """
    found = per_run.assign(error=100 - per_run["accuracy"])
    wide = found.pivot_table(index="run_id", columns="scale", values="error", sort=True)
    wide.columns = [f"error_{size}" for size in wide.columns]
    runs = per_run[[*study.fields, "run_id"]].drop_duplicates("run_id")
    return runs.merge(wide.reset_index(), on="run_id")


def aggregate_scales(per_run: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """`SCALE_COLUMNS` from one row a run and size (`accuracy` in percent); the std divides by n - 1."""
    grouped = per_run.groupby([*CELL, "scale"], sort=True)["accuracy"]
    table = grouped.agg(accuracy_mean="mean", accuracy_std="std", runs="count").reset_index()
    return table.assign(source=source)[list(SCALE_COLUMNS)]


def read_scales(path: Path | str) -> pd.DataFrame | None:
    """The table in a CSV file, or None where the file is no table of accuracy by size."""
    frame, origin = read_csv(path), Path(path).name
    if "s17" in frame.columns:
        return scales_from_wide(frame, source="ours", origin=origin)
    if "scale" not in frame.columns:
        return None
    frame = frame.rename(columns={"test_accuracy_mean": "accuracy_mean", "test_accuracy_std": "accuracy_std"})
    if "source" not in frame:
        frame = frame.assign(source="ours")
    _require(frame, SCALE_COLUMNS, origin)
    return frame[list(SCALE_COLUMNS)]


def _require(frame: pd.DataFrame, columns: Sequence[str], origin: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise TableError(f"{origin}: no column {', '.join(missing)}; needed are {', '.join(columns)}.")
