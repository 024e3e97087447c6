"""The tidy tables that leaderboards, comparisons, figures and exports read, and the CSV files behind them.

One row a run (`RUN_COLUMNS`) or one row a cell and scale (`SCALE_COLUMNS`). Accuracies are in percent,
times in seconds. Three kinds of run table are understood: our own, `stir_runs.csv` of `results/published`,
and the export of the original repository (`params.*` and `metrics.*`); two kinds of scale table: our own,
and the original's, one run a row with the columns s17 to s64 as fractions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.protocol import ALL_SCALES
from siconvnet.errors import SiconvnetError

if TYPE_CHECKING:
    import pandas as pd

CELL = ("model", "dataset", "evaluation")
RUN_COLUMNS = (
    *CELL,
    "kernel_size",
    "interpolation",
    "lr",
    "seed",
    "test_acc",
    "best_acc",
    "avg_time",
    "run_time",
    "parameters",
    "source",
    "run_id",
)
SCALE_COLUMNS = (*CELL, "scale", "accuracy_mean", "accuracy_std", "runs", "source")
#: What a run must say to be placed in a table; the other columns may be absent and are then empty.
REQUIRED = (*CELL, "lr", "seed", "test_acc")

_STIR_NAMES = {
    "learning_rate": "lr",
    "test_accuracy": "test_acc",
    "best_validation_accuracy": "best_acc",
    "mean_epoch_seconds": "avg_time",
    "run_seconds": "run_time",
}
#: The original's name of each of our columns, in the original's order.
EXPORT_NAMES: Mapping[str, str] = {
    "run_id": "run_id",
    "test_acc": "metrics.test_acc",
    "avg_time": "metrics.avg_time",
    "best_acc": "metrics.best_acc",
    "interpolation": "params.interpolation",
    "model": "params.model",
    "kernel_size": "params.kernel_size",
    "lr": "params.lr",
    "evaluation": "params.evaluation",
    "dataset": "params.data",
    "seed": "params.seed",
}
#: The setting of every published run: the paper's grid holds no other.
_PAPER_SETTING = {"kernel_size": 7, "interpolation": "bicubic"}


class TableError(SiconvnetError):
    """A table that cannot be read, or lacks what a table of its kind must have."""


def tidy_runs(frame: pd.DataFrame, *, source: str, origin: str = "the run table") -> pd.DataFrame:
    """`frame` with exactly `RUN_COLUMNS` and their types; runs without a finite test accuracy are dropped.

    Args:
        frame: at least the columns of `REQUIRED`.
        source: "ours" or "published", where the frame does not say.
        origin: what to call the table in an error.

    Raises:
        TableError: columns are missing, or a number is none.
    """
    import pandas as pd

    _require(frame, REQUIRED, origin)
    given = frame.assign(source=frame["source"].fillna(source) if "source" in frame else source)
    given = given.reindex(columns=list(RUN_COLUMNS))
    try:
        for column in ("evaluation", "seed", "kernel_size", "parameters"):
            given[column] = pd.to_numeric(given[column]).astype("Int64")
        for column in ("lr", "test_acc", "best_acc", "avg_time", "run_time"):
            given[column] = pd.to_numeric(given[column]).astype("float64")
    except (ValueError, TypeError) as error:
        raise TableError(f"{origin}: column {column!r} holds something that is no number ({error}).") from None
    for column in ("model", "dataset", "interpolation", "source", "run_id"):
        given[column] = given[column].astype("object").where(given[column].notna(), None)
    finite = given["test_acc"].between(0.0, 100.0)
    return given[finite].reset_index(drop=True)


def from_stir_runs(frame: pd.DataFrame, *, source: str, origin: str = "stir_runs.csv") -> pd.DataFrame:
    """The tidy frame of a table in the columns of `results/published/stir_runs.csv`."""
    return tidy_runs(frame.rename(columns=_STIR_NAMES).assign(**_PAPER_SETTING), source=source, origin=origin)


def from_export(frame: pd.DataFrame, *, source: str, origin: str = "the export") -> pd.DataFrame:
    """The tidy frame of the original's run export; runs that did not finish are dropped."""
    import pandas as pd

    _require(frame, [EXPORT_NAMES[column] for column in REQUIRED], origin)
    if "status" in frame:
        frame = frame[frame["status"] == "FINISHED"]
    ours = frame.rename(columns={theirs: own for own, theirs in EXPORT_NAMES.items()})
    if {"start_time", "end_time"} <= set(frame.columns):
        took = pd.to_datetime(frame["end_time"]) - pd.to_datetime(frame["start_time"])
        ours = ours.assign(run_time=took.dt.total_seconds())
    return tidy_runs(ours, source=source, origin=origin)


def to_export(runs: pd.DataFrame) -> pd.DataFrame:
    """The original's column names, so that its plot scripts read our runs.

    Accuracies stay in percent, as the original logs them. Every row is a finished run.
    """
    table = runs[list(EXPORT_NAMES)].rename(columns=dict(EXPORT_NAMES))
    table.insert(1, "status", "FINISHED")
    # The original's timing table reads `train_time`, the seconds of one epoch's training.
    table.insert(3, "metrics.train_time", runs["avg_time"])
    return table


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
    """The original's wide table from one row a run and scale.

    Args:
        per_run: columns model, dataset, evaluation, run_id, scale, accuracy (percent).
    """
    wide = per_run.pivot_table(index=[*CELL, "run_id"], columns="scale", values="accuracy", sort=True) / 100.0
    wide = wide.reindex(columns=list(ALL_SCALES))
    wide.columns = [f"s{scale}" for scale in ALL_SCALES]
    table = wide.reset_index().drop(columns="run_id")
    return table.rename(columns={"dataset": "data", "evaluation": "eval"})


def aggregate_scales(per_run: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """`SCALE_COLUMNS` from one row a run and scale (`accuracy` in percent); the std divides by n - 1."""
    grouped = per_run.groupby([*CELL, "scale"], sort=True)["accuracy"]
    table = grouped.agg(accuracy_mean="mean", accuracy_std="std", runs="count").reset_index()
    return table.assign(source=source)[list(SCALE_COLUMNS)]


def read_runs(path: Path | str) -> pd.DataFrame:
    """The tidy run frame of a CSV file in any of the three kinds of columns.

    Raises:
        TableError: the file cannot be read, is of none of the three kinds, or has a run without an accuracy.
    """
    frame, origin = read_csv(path), Path(path).name
    if "params.model" in frame.columns:
        # An export lists everything that was ever started; only what finished is a result.
        return _not_empty(from_export(frame, source="ours", origin=origin), origin)
    tidy = (
        from_stir_runs(frame, source="published", origin=origin)
        if "test_accuracy" in frame.columns
        else tidy_runs(frame, source="ours", origin=origin)
    )
    if len(tidy) < len(frame):
        count = len(frame) - len(tidy)
        raise TableError(f"{origin}: {count} of {len(frame)} runs have no test accuracy in 0..100; leave them out.")
    return _not_empty(tidy, origin)


def read_scales(path: Path | str) -> pd.DataFrame | None:
    """The tidy scale frame of a CSV file, or None where the file is no scale table."""
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


def _not_empty(runs: pd.DataFrame, origin: str) -> pd.DataFrame:
    if runs.empty:
        raise TableError(f"{origin} holds no finished run.")
    return runs


def read_csv(path: Path | str) -> pd.DataFrame:
    """A CSV file as it is.

    Raises:
        TableError: it cannot be read.
    """
    import pandas as pd

    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise TableError(f"no file {str(path)!r}; give `mlflow`, `published` or a CSV file of runs.") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise TableError(f"cannot read {str(path)!r} as CSV: {' '.join(str(error).split())}.") from None


def _require(frame: pd.DataFrame, columns: Sequence[str], origin: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise TableError(f"{origin}: no column {', '.join(missing)}; needed are {', '.join(columns)}.")
