"""The one table of runs that leaderboards, comparisons, figures and exports read, and the CSV files of it.

A row is a run of one study. Its columns are

* the fields of the study's specs, typed as in `RunSpec`; `dataset` holds the key that results know a dataset by;
* `FACTS` about the run;
* every figure that was logged, by the name it is logged under;
* `section`, `entry` and `changes`: in which table the run belongs, what its row is called there, and what of it leaves
  the protocol, as pairs (field, words). They are for people; programs tell runs apart by the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.spec import RunSpec
from benchmark.studies import Study, study_of
from benchmark.studies.settings import settings_of
from siconvnet.errors import InvalidArgument, SiconvnetError

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.store.reading import StoredRun

FIGURES = ("test_acc", "test_err", "best_acc", "avg_time", "run_time")
"""The figures whose columns are there even if no run has them."""
FACTS = ("parameters", "version", "label", "source", "run_id", "spec_hash", "status", "reason", "evaluated")
"""Trained parameters; of a model given by its file, the version of that file and the label that its class declares; who
trained it ("ours" or "published"); MLflow's id, the hash of its spec, its status, why it did not finish, and
which metrics were measured of it."""
WORDS = ("section", "entry", "changes")
FINISHED = "FINISHED"
_NUMERIC: Mapping[type, str] = {int: "Int64", float: "float64"}


class TableError(SiconvnetError):
    """A table that cannot be read, or lacks what a table of its kind must have."""


def field_value(value: Any) -> Any:
    """A field in a cell of a table as a spec holds it: None where it is left open, and Python's own numbers."""
    if _is_missing(value):
        return None
    return value.item() if hasattr(value, "item") else value


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # the NA of pandas answers no comparison
        return True


def table(study: Study, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The table of some runs.

    Args:
        rows: values by the names of the columns; fields and figures may still be the text that a file keeps.

    Raises:
        InvalidArgument: a field holds what no run can have.
        ValueError: a number is none.
    """
    import pandas as pd

    describe = _describer(study)
    found = [describe(row) for row in rows]
    logged = dict.fromkeys(name for row in found for name in row)
    fixed = [*study.fields, *FACTS, *WORDS]
    figures = [*FIGURES, *sorted(name for name in logged if name not in {*fixed, *FIGURES})]
    frame = pd.DataFrame(found, columns=[*fixed, *figures], dtype=object)
    known = settings_of(study.settings)
    kinds = {name: _NUMERIC[setting.kind] for name, setting in known.items() if setting.kind in _NUMERIC}
    frame = frame.astype({**kinds, **dict.fromkeys(figures, "float64"), "parameters": "Int64"})
    texts = frame.select_dtypes("object").columns
    frame[texts] = frame[texts].astype(object).where(frame[texts].notna(), None)
    return frame


def _describer(study: Study) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A function that completes a row; what runs share that differ in their seed alone is found out once."""
    shared: dict[tuple[Any, ...], dict[str, Any]] = {}

    def describe(row: Mapping[str, Any]) -> dict[str, Any]:
        values = {name: study.read(name, row[name]) for name in study.fields if not _is_missing(row.get(name))}
        key = tuple(values.get(name) for name in study.fields if name != "seed")
        if key not in shared:
            spec: RunSpec[Any] = RunSpec(**values)
            words = {"section": study.section(spec), "entry": study.entry(spec)}
            fields = spec.fields
            shared[key] = {**fields, **words, "changes": tuple(spec.departures.items())}
        figures = {
            name: None if value in (None, "") else float(value)
            for name, value in row.items()
            if name not in {*study.fields, *FACTS, *WORDS}
        }
        accuracy = figures.get("test_acc")
        if study.figure == "test_err" and figures.get("test_err") is None and accuracy is not None:
            figures["test_err"] = 100 - accuracy
        facts = {"source": "ours", "status": FINISHED} | {n: row[n] for n in FACTS if not _is_missing(row.get(n))}
        seed = {"seed": values["seed"]} if "seed" in values else {}
        return {**figures, **shared[key], **seed, **facts}

    return describe


def spec_of(study: Study, row: Mapping[str, Any]) -> RunSpec[Any]:
    """The spec of a row of the table, its dataset by the key that results know."""
    return RunSpec(**{name: field_value(row[name]) for name in study.fields})


def finished(runs: pd.DataFrame) -> pd.DataFrame:
    """The finished runs; of several runs of one spec the first."""
    ended = runs[runs["status"] == FINISHED]
    again = ended["spec_hash"].notna() & ended["spec_hash"].duplicated()
    return ended[~again].reset_index(drop=True)


#: What the export of a figure is called besides: the original's timing table reads `train_time`.
_ALSO = {"avg_time": "metrics.train_time"}
#: The columns of `results/published/stir_runs.csv`.
_LONG_NAMES = {
    "learning_rate": "lr",
    "test_accuracy": "test_acc",
    "best_validation_accuracy": "best_acc",
    "mean_epoch_seconds": "avg_time",
    "run_seconds": "run_time",
}


def rename_published(frame: pd.DataFrame) -> pd.DataFrame:
    """A table with the columns of `results/published/stir_runs.csv` by our names; another one as it is."""
    return frame.rename(columns=_LONG_NAMES)


def _params(study: Study) -> dict[str, str]:
    return {name: f"params.{'data' if name == 'dataset' else name}" for name in (*study.fields, "parameters")}


def to_export(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """Runs as MLflow and the original's scripts name them: `params.*` and `metrics.*`, the dataset as `params.data`.

    Accuracies stay in percent. Fields that no run has set, and figures that no run has logged, are left out.
    """
    params = _params(study)
    fixed = {*study.fields, *FACTS, *WORDS}
    figures = [name for name in runs.columns if name not in fixed and runs[name].notna().any()]
    kept = [name for name in params if name in study.identity or runs[name].notna().any()]
    exported = runs[["run_id", "status", *figures, *kept]].rename(
        columns={**{name: f"metrics.{name}" for name in figures}, **params}
    )
    for name, other in _ALSO.items():
        if name in figures:
            exported[other] = runs[name]
    for name in ("version", "label"):
        if runs[name].notna().any():
            exported[f"tags.model_{name}"] = runs[name]
    return exported


def read_runs(study: Study, path: Path | str) -> pd.DataFrame:
    """The finished runs of a study in a CSV file: an export, a table of our own, or one like the published runs.

    Raises:
        TableError: the file cannot be read, is no such table, or holds no finished run of the study.
    """
    frame, origin = read_csv(path), Path(path).name
    exported = {written: name for name, written in _params(study).items()}
    is_export = any(name.startswith("params.") for name in frame.columns)
    needed = [written for written, name in exported.items() if name in study.identity] if is_export else study.identity
    needed = [name for name in needed if name.rpartition(".")[2] not in study.selected_at]
    if not is_export:
        frame = rename_published(frame)
    if missing := [name for name in needed if name not in frame.columns]:
        raise TableError(
            f"{origin}: no column {', '.join(missing)}; needed are {', '.join(needed)}, as benchmark export "
            f"-d {study.list_datasets()[0]} writes them."
        )
    if is_export:
        frame = _of_export(frame, exported)
    if "status" in frame:
        frame = frame[frame["status"] == FINISHED]
    frame = frame[[study_of(str(name)) is study for name in frame["dataset"]]]
    try:
        runs = table(study, frame.astype(object).where(frame.notna(), None).to_dict("records"))
    except (ValueError, TypeError, InvalidArgument) as error:
        raise TableError(f"{origin}: {error}") from None
    if runs.empty:
        raise TableError(f"{origin} holds no finished run of {study.title}.")
    return _accurate(runs, origin, drop=is_export)


def _of_export(frame: pd.DataFrame, exported: Mapping[str, str]) -> pd.DataFrame:
    """The columns of an export by our names; those that stand for another one, and unknown parameters, are dropped."""
    import pandas as pd

    names = {**exported, **{n: n.removeprefix("metrics.") for n in frame.columns if n.startswith("metrics.")}}
    names |= {"tags.model_version": "version", "tags.model_label": "label"}
    kept = [name for name in frame.columns if name in names or name in ("run_id", "status")]
    found = frame[[name for name in kept if name not in _ALSO.values()]].rename(columns=names)
    if {"start_time", "end_time"} <= set(frame.columns) and "run_time" not in found:
        took = pd.to_datetime(frame["end_time"]) - pd.to_datetime(frame["start_time"])
        found["run_time"] = took.dt.total_seconds()
    return _with_named_scales(found)


def _with_named_scales(frame: pd.DataFrame) -> pd.DataFrame:
    """Exports of version 0.1 say how scales were learned within the name of the model, as in "ses_learned [isr=2]"."""
    import pandas as pd

    from benchmark.studies.scale_fields import of_variant

    named = frame["model"].astype(str).str.contains(" [", regex=False)
    if not named.any():
        return frame
    rows = frame.to_dict("records")
    for row in rows:
        row["model"], fields = of_variant(str(row["model"]))
        row.update(fields)
    return pd.DataFrame(rows)


def _accurate(runs: pd.DataFrame, origin: str, *, drop: bool) -> pd.DataFrame:
    """Runs with an accuracy in 0..100. An export lists everything that was ever started; another file must not."""
    valid = runs["test_acc"].between(0.0, 100.0) | runs["test_err"].between(0.0, 100.0)
    if not valid.all() and not drop:
        count = int((~valid).sum())
        raise TableError(f"{origin}: {count} of {len(runs)} runs have no test accuracy in 0..100; leave them out.")
    if not valid.any():
        raise TableError(f"{origin} holds no finished run.")
    return runs[valid].reset_index(drop=True)


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


def rows_of(study: Study, stored: Iterable[StoredRun]) -> Iterable[dict[str, Any]]:
    """Runs as a store gives them, as rows for `table`."""
    for run in stored:
        yield {
            **{name: value for name, value in run.metrics.items() if name not in study.fields},
            **{name: run.params.get(name) for name in (*study.fields, "parameters")},
            "run_time": run.run_time,
            "dataset": run.params.get("data"),
            "run_id": run.run_id,
            "status": run.status,
            "version": run.tags.get("model_version"),
            "label": run.tags.get("model_label"),
            **{name: run.tags.get(name) for name in ("reason", "spec_hash", "evaluated")},
        }


def concatenated(study: Study, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Several tables as one."""
    import pandas as pd

    whole = [frame for frame in frames if len(frame)]
    if not whole:
        return frames[0] if frames else table(study, [])
    return pd.concat(whole, ignore_index=True) if len(whole) > 1 else whole[0]
