"""Finished runs of one study, one a row: the fields of its specs, what was measured, and the CSV file of both.

STIR has tables of its own (`benchmark.results.frames`), which its authors' scripts read; this is for every other study.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from benchmark.results.frames import TableError, read_csv
from benchmark.spec import RunSpec
from benchmark.studies import Study
from siconvnet.errors import InvalidArgument

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("test_err", "test_acc", "best_acc", "avg_time", "run_time")
FACTS = ("parameters", "run_id")


def columns(study: Study) -> list[str]:
    return [*study.fields, *METRICS, *FACTS]


def frame(study: Study, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A table in the `columns` of a study; the fields keep their Python values.

    Args:
        rows: values by the names of the columns; fields may still be the text that a store keeps.
    """
    import pandas as pd

    found = []
    for row in rows:
        values = {name: study.read(name, row.get(name)) for name in study.fields}
        measured = {name: _number(row.get(name)) for name in (*METRICS, "parameters")}
        if measured["test_err"] is None and measured["test_acc"] is not None:
            measured["test_err"] = 100 - measured["test_acc"]
        found.append({**values, **measured, "run_id": row.get("run_id")})
    table = pd.DataFrame(found, columns=columns(study), dtype=object)
    table[[*METRICS, "parameters"]] = table[[*METRICS, "parameters"]].astype(float)
    return table


def spec_of(study: Study, row: Mapping[str, Any]) -> RunSpec:
    """The spec of a row of the table."""
    return RunSpec(**{name: row[name] for name in study.fields})


def to_export(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """As MLflow exports runs: `params.*` and `metrics.*`, the data set as `params.data`. All rows are finished runs."""
    names = {name: f"params.{'data' if name == 'dataset' else name}" for name in (*study.fields, "parameters")}
    table = runs.rename(columns={**names, **{name: f"metrics.{name}" for name in METRICS}})
    order = ["run_id", *names.values(), *(f"metrics.{name}" for name in METRICS)]
    table = table[order].astype({"params.parameters": "Int64"})
    table.insert(1, "status", "FINISHED")
    return table


def read_export(study: Study, path: str) -> pd.DataFrame:
    """The runs of a study in a file that `to_export` made.

    Raises:
        TableError: it cannot be read, is no such file, or holds no run of the study.
    """
    table = read_csv(path).astype(object)
    needed = ["params.data", *(f"params.{name}" for name in study.identity if name != "dataset")]
    if missing := [name for name in needed if name not in table]:
        raise TableError(f"{path}: no column {', '.join(missing)}; make it with benchmark export -d {study.name}.")
    table = table[table["params.data"].isin(study.list_datasets())]
    if "status" in table:
        table = table[table["status"] == "FINISHED"]
    if table.empty:
        raise TableError(f"{path} holds no finished run of {study.title}.")
    names = {f"params.{'data' if name == 'dataset' else name}": name for name in (*study.fields, "parameters")}
    renamed = table.rename(columns={**names, **{f"metrics.{name}": name for name in METRICS}})
    rows = renamed.where(renamed.notna(), None).to_dict("records")
    try:
        # As text: a column of whole numbers with a gap has been read as fractions.
        return frame(
            study, [{key: None if value is None else str(value) for key, value in row.items()} for row in rows]
        )
    except (ValueError, InvalidArgument) as error:
        raise TableError(f"{path}: {error}") from None


def _number(value: Any) -> float | None:
    return None if value in (None, "") else float(value)
