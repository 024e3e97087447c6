"""Runs of a study that reports test errors to a ranked table: each method's error over its realizations, and beside it
what each source published.

A row is of one entry of the study (a network and a kind of training). Runs that leave the protocol have rows of their
own, without a rank and without published figures beside them: they do not compare.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.results.leaderboard import NO_RUN, markdown_rows, mean_interval, number, spread
from benchmark.results.runs import spec_of
from benchmark.spec import RunSpec
from benchmark.studies import Study, published
from siconvnet.errors import UnknownName

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "dataset",
    "section",
    "rank",
    "model",
    "n",
    "mean",
    "std",
    "best",
    "ci_low",
    "ci_high",
    "parameters",
    "seconds_per_epoch",
    "note",
)
METRICS = {
    "test_err": "test error [%]",
    "test_acc": "test accuracy [%]",
    "best_acc": "best validation accuracy [%]",
    "avg_time": "seconds per epoch",
    "run_time": "seconds per run",
}
TIMES = ("avg_time", "run_time")
_MORE_IS_BETTER = ("test_acc", "best_acc")


@dataclass(frozen=True)
class Entry:
    """A row: what runs of it share."""

    section: str
    model: str
    note: str = ""


def find_metric(name: str) -> str:
    """The title of a metric.

    Raises:
        UnknownName: there is none.
    """
    if name not in METRICS:
        raise UnknownName("metric", name, METRICS)
    return METRICS[name]


def entry_of(study: Study, spec: RunSpec) -> Entry:
    return Entry(study.section(spec), study.entry(spec), "; ".join(spec.deviations))


def sources(study: Study) -> list[str]:
    """Who published errors of a study, in the order of its table."""
    return list(dict.fromkeys(error.source for error in published.all_errors(study.name)))


def board(
    study: Study, runs: pd.DataFrame, *, metric: str = "test_err", models: Iterable[str] = (), every: bool = True
) -> pd.DataFrame:
    """The table, in the columns of `COLUMNS` and `<source>_mean` and `<source>_std` of each source.

    Sorted by section and rank; then what nothing ran of, and what leaves the protocol.

    Args:
        runs: in the columns of `benchmark.results.runs`.
        metric: a key of `METRICS`; published figures stand beside errors only.
        models: only these; all if empty.
        every: also what was published and not run.
    """
    import pandas as pd

    find_metric(metric)
    groups: dict[Entry, list[dict[str, Any]]] = {}
    specs: dict[Entry, RunSpec] = {}
    ran: Counter[Entry] = Counter()
    for row in runs.to_dict("records"):
        spec = spec_of(study, row)
        entry = entry_of(study, spec)
        specs.setdefault(entry, spec)
        ran[entry] += 1
        if row[metric] == row[metric]:
            groups.setdefault(entry, []).append(row)
    for spec in study.published_specs() if every else ():
        specs.setdefault(entry_of(study, spec), spec)
    listed = [entry for entry, spec in specs.items() if not models or spec.model in models]
    sign = -1 if metric in _MORE_IS_BETTER else 1
    rows = [_row(study, entry, specs[entry], groups.get(entry, []), metric) for entry in listed]
    for entry, row in zip(listed, rows, strict=True):
        if ran[entry] and not row["n"]:
            row["note"] = f"finished without {metric}: {ran[entry]}"
    # Sections in the order in which they were published.
    known = list(dict.fromkeys(study.section(spec) for spec in study.published_specs()))
    order = list(dict.fromkeys([*known, *sorted(row["section"] for row in rows)]))
    rows.sort(key=lambda row: (order.index(row["section"]), *_place(row, sign)))
    _rank(rows)
    names = [f"{_slug(source)}_{part}" for source in sources(study) for part in ("mean", "std")]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *names])
    return table.astype({"n": "int64", "parameters": "Int64"})


def _row(study: Study, entry: Entry, spec: RunSpec, runs: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    values = np.sort(np.array([run[metric] for run in runs], dtype=float))
    low, high = mean_interval(values, math.inf if metric in TIMES else 100)
    parameters = next((run["parameters"] for run in runs if run["parameters"] == run["parameters"]), None)
    times = [run["avg_time"] for run in runs if run["avg_time"] == run["avg_time"]]
    row = {
        "dataset": spec.dataset,
        "section": entry.section,
        "model": entry.model,
        "n": len(runs),
        "mean": values.mean() if len(values) else math.nan,
        "std": values.std(ddof=1) if len(values) > 1 else math.nan,
        "best": (values.max() if metric in _MORE_IS_BETTER else values.min()) if len(values) else math.nan,
        "ci_low": low,
        "ci_high": high,
        "parameters": parameters,
        "seconds_per_epoch": np.mean(times) if times else math.nan,
        "note": entry.note if runs else NO_RUN,
    }
    for error in study.published(spec) if metric == "test_err" and not entry.note else ():
        row[f"{_slug(error.source)}_mean"] = error.mean
        row[f"{_slug(error.source)}_std"] = math.nan if error.std is None else error.std
    return row


def _place(row: dict[str, Any], sign: int) -> tuple[float, float, str]:
    kind = 1 if not row["n"] else 2 if row["note"] else 0
    published = next((row[name] for name in row if name.endswith("_mean")), math.inf)
    return kind, sign * row["mean"] if row["n"] else published, row["model"]


def _rank(rows: list[dict[str, Any]]) -> None:
    """Number the rows of each section that compare, equals alike."""
    seen: dict[str, list[float]] = {}
    for row in rows:
        if not row["n"]:
            row["rank"] = "X"
        elif row["note"]:
            row["rank"] = ""
        else:
            before = seen.setdefault(row["section"], [])
            before.append(row["mean"])
            row["rank"] = before.index(row["mean"]) + 1


def _slug(source: str) -> str:
    return source.lower().replace(" ", "_")


def to_markdown(study: Study, table: pd.DataFrame, metric: str) -> str:
    """One Markdown table a section, and a line that says what the numbers are."""
    parts = [f"{title}\n\n{markdown_rows(rows)}" for title, rows in sections(study, table, metric)]
    return "\n".join([*parts, legend(study, table, metric)]) + "\n"


def sections(study: Study, table: pd.DataFrame, metric: str) -> Iterable[tuple[str, list[list[str]]]]:
    """For each section its title and its rows of text, the heading first; empty columns are left out."""
    for section, rows in table.groupby("section", sort=False):
        title = ", ".join(part for part in (study.title, str(section)) if part)
        heads = ["rank", "model", "n", "mean ± std", "95 %", "best", "parameters", "s/epoch", *sources(study), "note"]
        cells = [heads, *(_cells(study, row) for row in rows.to_dict("records"))]
        kept = [column for column in range(len(heads)) if column < 4 or any(line[column] for line in cells[1:])]
        if not table["n"].any():  # published figures alone
            kept = [column for column in kept if column not in (0, 2, 3)]
        yield f"### {title}: {find_metric(metric)}", [[line[column] for column in kept] for line in cells]


def _cells(study: Study, row: dict[str, Any]) -> list[str]:
    theirs = [spread(row[f"{_slug(source)}_mean"], row[f"{_slug(source)}_std"]) for source in sources(study)]
    if not row["n"]:
        return ["X", row["model"], "0", row["note"], "", "", "", "", *theirs, ""]
    return [
        str(row["rank"]),
        row["model"],
        str(row["n"]),
        spread(row["mean"], row["std"]),
        f"{number(row['ci_low'])} to {number(row['ci_high'])}" if row["ci_low"] == row["ci_low"] else "",
        number(row["best"]) if row["n"] > 1 else "",
        f"{int(row['parameters']):,}" if row["parameters"] == row["parameters"] else "",
        number(row["seconds_per_epoch"]),
        *theirs,
        row["note"],
    ]


def legend(study: Study, table: pd.DataFrame, metric: str) -> str:
    """What the numbers of a table are, in words."""
    if not table["n"].any():
        return f"{find_metric(metric)} ± standard deviation over realizations, as far as published."
    words = (
        f"{find_metric(metric)}: mean ± standard deviation (n - 1) over n runs, a realization or seed each; 95 %: "
        "Student's interval of the mean; X: nothing ran."
    )
    if not table.loc[table["n"] > 0, "note"].any():
        return words
    return f"{words} Rows with a note leave the protocol and are not ranked."
