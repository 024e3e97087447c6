"""Runs with learned scales: their internal scales epoch by epoch, and what they ended with beside the published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.protocol import BANDS
from benchmark.results.runs import FINISHED, TableError, read_csv
from benchmark.spec import RunSpec
from benchmark.store.reading import NOTHING
from benchmark.studies import Study, all_studies, scale_fields
from benchmark.studies.stir import STIR

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.store import Store
    from benchmark.store.reading import StoredRun

SETTING = ("scale_range", "distribution", "augment", "evaluation")
FINAL = ("test_err", "test_acc", "best_acc", *(f"acc_{band.first}_{band.last}" for band in BANDS))
COLUMNS = (
    "study",
    "section",
    "dataset",
    "model",
    *SETTING,
    *scale_fields.FIELDS,
    "own_start",
    "note",
    "lr",
    "seed",
    "run_id",
    *FINAL,
    "epoch",
    "kept",
)
"""What every such table has; beside them `scale_1`, `scale_2` and so on, in pixels. `section` says what is asked of the
model, `own_start` whether its scales start where the model's own do, `note` what leaves the protocol, and `kept` marks
the epoch whose weights were tested."""
OUTCOME = ("study", "section", "dataset", "model", *SETTING, *scale_fields.FIELDS, "own_start", "note")
_MARK = "scale_"
_REFERENCE = "hermite"
"""The model of STIR without learned scales that stands beside those with."""


def read(store: Store) -> pd.DataFrame:
    """The finished runs with internal scales, a row a run and epoch; of several runs of one spec the latest.

    Those of STIR come with the runs of `_REFERENCE`, which have no scales and a single row each.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for study in all_studies():
        if not set(scale_fields.FIELDS) <= set(study.fields):
            continue
        runs = store.read([study], statuses=[FINISHED], metrics=[f"{_MARK}1"])
        if runs and study is STIR:
            runs += store.read([study], statuses=[FINISHED], params={"model": _REFERENCE})
        latest = {run.tags.get("spec_hash", run.run_id): run for run in reversed(runs)}
        names = [*_scale_columns([run.metrics for run in runs]), "val_acc"]
        by_epoch = store.read([study], run_ids={run.run_id for run in runs}, fields=NOTHING, histories=names)
        histories = {run.run_id: run.histories for run in by_epoch}
        for run in latest.values():
            rows += _rows(study, run, histories[run.run_id])
    table = pd.DataFrame(rows, columns=[*COLUMNS, *_scale_columns(rows)])
    return table.sort_values(["study", "section", "model", "run_id", "epoch"], ignore_index=True)


def empty() -> pd.DataFrame:
    """The table without a row."""
    import pandas as pd

    return pd.DataFrame(columns=[*COLUMNS, f"{_MARK}1"])


def read_file(path: Path | str) -> pd.DataFrame:
    """The table in a CSV file.

    Raises:
        TableError: it cannot be read, or lacks a column.
    """
    import pandas as pd

    table = read_csv(path)
    missing = [name for name in (*COLUMNS, f"{_MARK}1") if name not in table]
    if missing:
        name = Path(path).name
        raise TableError(f"{name}: no column {', '.join(missing)}; `benchmark plot scales` writes such a table.")
    for name in ("own_start", "kept", "learn_sigma", "augment"):
        table[name] = table[name].map({True: True, False: False, "True": True, "False": False}).astype(object)
    table["note"] = table["note"].fillna("")
    texts = table.select_dtypes(exclude="number")
    return table.assign(**texts.astype(object).where(pd.notna(texts), None))


def is_table(columns: list[str]) -> bool:
    """Whether a CSV file with these columns is such a table."""
    return {"epoch", f"{_MARK}1"} <= set(columns)


def scale_columns(table: pd.DataFrame) -> list[str]:
    """The columns of the internal scales, smallest first."""
    return _scale_columns([dict.fromkeys(table.columns)])


def _scale_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    names = {name for row in rows for name in row if name.startswith(_MARK) and name.removeprefix(_MARK).isdigit()}
    return sorted(names, key=lambda name: int(name.removeprefix(_MARK)))


def outcomes(table: pd.DataFrame) -> pd.DataFrame:
    """What each kind of run ended with: the columns of `OUTCOME`, `runs`, and mean and std of error and scales.

    Args:
        table: as `read` gives it.
    """
    ended = table[table["kept"].astype(bool) & table["scale_parameterisation"].notna()]
    figures = ["test_err", *scale_columns(table)]
    numbers = ended.astype(dict.fromkeys(figures, float))
    grouped = numbers.groupby(list(OUTCOME), sort=False, dropna=False)
    found = grouped[figures].agg(["mean", "std"])
    found.columns = ["_".join(names) for names in found.columns]
    return found.assign(runs=grouped.size()).reset_index()


def published_outcomes() -> pd.DataFrame:
    """What was published of learned scales, in the columns of `outcomes` but `runs`."""
    import pandas as pd

    from benchmark.studies import published

    scales = published.learned_scales()
    rows: list[dict[str, Any]] = []
    for study in all_studies():
        for error in published.all_errors(study.name):
            values: dict[str, Any] = dict(error.settings)
            spec = RunSpec(error.model, study.name, **values)
            if not scale_fields.own_values(spec.model):
                continue
            facts = _facts(study, spec)
            row = {**facts, "test_err_mean": error.mean, "test_err_std": error.std}
            if facts["own_start"]:
                where = (getattr(spec.settings, name, None) for name in ("scale_range", "augment"))
                key = (study.name, *where, *(facts[name] for name in scale_fields.FIELDS[:2]))
                row |= scales.get(key, {})
            rows.append(row)
    return pd.DataFrame(rows)


def _facts(study: Study, spec: RunSpec) -> dict[str, Any]:
    """The columns of `OUTCOME`; what the spec leaves open is said too."""
    own = scale_fields.own_values(spec.model, spec.settings.scale_parameterisation)
    told = scale_fields.resolved(spec)
    return {
        "study": study.name,
        "section": study.section(spec) or study.setting(spec),
        "dataset": spec.dataset,
        "model": spec.model,
        **{name: getattr(spec.settings, name, None) for name in SETTING},
        **{name: told.get(name) for name in scale_fields.FIELDS},
        "own_start": all(told.get(name) == own.get(name) for name in ("sigma", "isr")),
        "note": "; ".join(spec.deviations),
    }


def _rows(study: Study, run: StoredRun, histories: Mapping[str, Mapping[int, float]]) -> Iterator[dict[str, Any]]:
    params: Mapping[str, Any] = {**run.params, "dataset": run.params.get("data")}
    spec: RunSpec[Any] = RunSpec(**{name: study.read(name, params.get(name)) for name in study.fields})
    fixed = {
        **_facts(study, spec),
        **{name: getattr(spec, name) for name in ("lr", "seed")},
        "run_id": run.run_id,
        **{name: run.metrics.get(name) for name in FINAL},
    }
    scales = {name: histories[name] for name in _scale_columns([run.metrics])}
    accuracies = histories.get("val_acc", {})
    kept = max(accuracies, key=lambda epoch: (accuracies[epoch], -epoch), default=None)
    for epoch in sorted(scales[f"{_MARK}1"]) if scales else [kept or 1]:
        values = {name: history.get(epoch) for name, history in scales.items()}
        yield {**fixed, **values, "epoch": epoch, "kept": epoch == kept}
