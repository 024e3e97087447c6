"""Runs to a ranked table: per dataset, scenario and method what its seeds say, and what was published.

The 95 % interval is Student's, of the mean over seeds: with the three to six runs that a cell often has a bootstrap
interval holds the true mean in 77 to 85 of 100 cases, with two in 48. Which runs count is settled before, by
`benchmark.results.selection`, from validation alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.protocol import SCENARIOS
from benchmark.results.frames import CELL
from benchmark.system.files import csv_text
from siconvnet.errors import UnknownName
from siconvnet.safe_text import markdown_cell

if TYPE_CHECKING:
    from pandas import DataFrame

Cell = tuple[str, int, str]
NO_RUN = "no finished run"
WORDS = ("model", "note")
COLUMNS = (
    "dataset",
    "evaluation",
    "scenario",
    "rank",
    "model",
    "n",
    "mean",
    "std",
    "median",
    "ci_low",
    "ci_high",
    "lr",
    "parameters",
    "seconds_per_epoch",
    "unseen_scales",
    "published_mean",
    "published_std",
    "published_n",
    "note",
)


@dataclass(frozen=True)
class Metric:
    """What a table may be ranked by: a column of the run frame, whether more of it is better, and the most there is."""

    column: str
    title: str
    more_is_better: bool = True
    most: float = 100.0

    @property
    def is_time(self) -> bool:
        return math.isinf(self.most)


METRICS = {
    "test_acc": Metric("test_acc", "test accuracy [%]"),
    "best_acc": Metric("best_acc", "best validation accuracy [%]"),
    "avg_time": Metric("avg_time", "seconds per epoch", more_is_better=False, most=math.inf),
    "run_time": Metric("run_time", "seconds per run", more_is_better=False, most=math.inf),
}


def find_metric(name: str) -> Metric:
    """The metric of a name.

    Raises:
        UnknownName: there is none.
    """
    if name not in METRICS:
        raise UnknownName("metric", name, METRICS)
    return METRICS[name]


def mean_interval(values: Sequence[float] | np.ndarray, most: float = math.inf) -> tuple[float, float]:
    """Student's 95 % interval of the mean, as far as it lies in 0..most; NaN for fewer than two values."""
    from scipy.special import stdtrit

    # Sorted, so that the order in which a store lists runs changes nothing.
    sample = np.sort(np.asarray(values, dtype=float))
    if len(sample) < 2:
        return math.nan, math.nan
    half = stdtrit(len(sample) - 1, 0.975) * sample.std(ddof=1) / math.sqrt(len(sample))
    return float(max(sample.mean() - half, 0)), float(min(sample.mean() + half, most))


def leaderboard(
    runs: DataFrame,
    *,
    metric: str = "test_acc",
    scales: DataFrame | None = None,
    published: DataFrame | None = None,
    grid: Iterable[Cell] = (),
    reasons: Mapping[Cell, str] | None = None,
    failed: Mapping[tuple[Cell, float], int] | None = None,
) -> DataFrame:
    """The table, in the columns of `COLUMNS`, sorted by dataset, evaluation, rank and model.

    Args:
        runs: the run frame, one learning rate a cell (`benchmark.results.selection.selected`).
        metric: a key of `METRICS`.
        scales: the scale frame, for the mean over scales outside the training range.
        published: the published run frame, for the columns beside ours.
        grid: further cells (dataset, evaluation, model) that the table must have; those without runs have rank X.
        reasons: why a cell of the grid has none; `NO_RUN` otherwise.
        failed: how many runs of a cell at a learning rate have failed, which its mean leaves out.

    Raises:
        UnknownName: there is no such metric.
    """
    import pandas as pd

    chosen = find_metric(metric)
    rows = [_row(key, cell, chosen) for key, cell in runs.dropna(subset=[chosen.column]).groupby(list(CELL))]
    known = {(row["dataset"], row["evaluation"], row["model"]) for row in rows}
    ran = Counter(zip(runs["dataset"], runs["evaluation"], runs["model"], strict=True))
    for cell in sorted({*grid, *ran} - known):
        note = f"finished without {metric}: {ran[cell]}" if cell in ran else (reasons or {}).get(cell, NO_RUN)
        rows.append({**_named(cell), "n": 0, "rank": "X", "note": note})
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for place, row in table.iterrows():
        cell = row["dataset"], row["evaluation"], row["model"]
        if count := (failed or {}).get((cell, row["lr"]), 0):
            table.loc[place, "note"] = f"{count} failed"
    ranked = table["n"] > 0
    ranks = table[ranked].groupby(["dataset", "evaluation"])["mean"]
    table["rank"] = ranks.rank(method="min", ascending=not chosen.more_is_better).astype("Int64").astype(object)
    table.loc[~ranked, "rank"] = "X"
    _fill_unseen(table, scales)
    _fill_published(table, published, chosen)
    table["order"] = table["mean"] * (-1 if chosen.more_is_better else 1)
    table = table.sort_values(["dataset", "evaluation", "order", "model"], na_position="last", ignore_index=True)
    return table[list(COLUMNS)].astype({"parameters": "Int64", "published_n": "Int64"})


def _named(cell: Cell) -> dict[str, Any]:
    dataset, evaluation, model = cell
    scenario = SCENARIOS.get(evaluation)
    name = scenario.name if scenario else ""
    return {"dataset": dataset, "evaluation": evaluation, "scenario": name, "model": model}


def _row(key: tuple[str, str, int], runs: DataFrame, metric: Metric) -> dict[str, Any]:
    model, dataset, evaluation = key
    values = np.sort(runs[metric.column].to_numpy(dtype=float))
    low, high = mean_interval(values, metric.most)
    parameters = runs["parameters"].dropna()
    return {
        **_named((dataset, int(evaluation), model)),
        "n": len(values),
        "mean": values.mean(),
        "std": values.std(ddof=1) if len(values) > 1 else math.nan,
        "median": np.median(values),
        "ci_low": low,
        "ci_high": high,
        "lr": runs["lr"].iloc[0],
        "parameters": parameters.iloc[0] if len(parameters) else None,
        "seconds_per_epoch": np.sort(runs["avg_time"].to_numpy(dtype=float)).mean(),
        "note": "",
    }


def _fill_unseen(table: DataFrame, scales: DataFrame | None) -> None:
    table["unseen_scales"] = math.nan
    if scales is None or scales.empty:
        return
    means = {}
    for key, rows in scales.groupby(["dataset", "evaluation", "model"]):
        scenario = SCENARIOS.get(int(key[1]))
        unseen = rows[~rows["scale"].isin(scenario.train_scales)] if scenario else rows.iloc[:0]
        means[key] = unseen["accuracy_mean"].mean(), rows["runs"].min()
    keys = zip(table["dataset"], table["evaluation"], table["model"], strict=True)
    found = [means.get(key, (math.nan, 0)) for key in keys]
    # Beside n a mean over fewer runs would pass for one over all; sizes are known of the runs that were evaluated.
    table["unseen_scales"] = [
        mean if runs >= n else math.nan for (mean, runs), n in zip(found, table["n"], strict=True)
    ]


def _fill_published(table: DataFrame, published: DataFrame | None, metric: Metric) -> None:
    if published is None:
        return
    cells = published.groupby(["dataset", "evaluation", "model"])[metric.column].agg(["mean", "std", "count"])
    keys = list(zip(table["dataset"], table["evaluation"], table["model"], strict=True))
    found = cells.reindex(keys)
    for column, source in (("published_mean", "mean"), ("published_std", "std"), ("published_n", "count")):
        table[column] = found[source].to_numpy()


def to_csv(table: DataFrame) -> str:
    """Six decimals, an empty field for what is not known."""
    return csv_text(table, float_format="%.6f")


def to_markdown(table: DataFrame, metric: str = "test_acc") -> str:
    """One Markdown table for each dataset and scenario, with a line that says what the numbers are."""
    parts = [f"{title}\n\n{markdown_rows(rows)}" for title, rows in sections(table, metric)]
    return "\n".join([*parts, legend(table, metric)]) + "\n"


def sections(table: DataFrame, metric: str) -> Iterable[tuple[str, list[list[str]]]]:
    """For each dataset and scenario its title and its rows of text, the heading first; empty columns are left out."""
    heads = (
        "rank",
        "model",
        "n",
        "mean ± std",
        "95 %",
        "median",
        "lr",
        "parameters",
        "s/epoch",
        "unseen",
        "published",
        "note",
    )
    for (dataset, evaluation), rows in table.groupby(["dataset", "evaluation"], sort=True):
        scenario = SCENARIOS.get(int(evaluation))
        title = f"### {dataset}, {scenario.name if scenario else evaluation}: {find_metric(metric).title}"
        cells = [list(heads), *(_cells(row) for _, row in rows.iterrows())]
        empty = {head for place, head in enumerate(heads) if place > 3 and not any(line[place] for line in cells[1:])}
        if not _shows_unseen(table, metric):
            empty.add("unseen")
        kept = [place for place, head in enumerate(heads) if head not in empty]
        yield title, [[line[column] for column in kept] for line in cells]


def _shows_unseen(table: DataFrame, metric: str) -> bool:
    """Beside test accuracies it would repeat them: the scenarios test on unseen sizes alone, or have none."""
    return metric != "test_acc" and bool(table["unseen_scales"].notna().any())


def legend(table: DataFrame, metric: str) -> str:
    """What the numbers of a table are, in words."""
    words = (
        f"{find_metric(metric).title}: mean ± standard deviation (n - 1) over n seeds; 95 %: Student's interval of the "
        "mean."
    )
    if (table["rank"] == "X").any():
        words += " X: nothing ran, with the reason."
    if table.loc[table["n"] > 0, "note"].any():
        words += " failed: runs that the mean leaves out; benchmark status says why."
    if _shows_unseen(table, metric):
        words += " unseen: mean accuracy over the sizes outside the training range, where all n were evaluated."
    if table["published_mean"].notna().any():
        words += " published: arXiv 2211.10288"
        words += ", on an NVIDIA A100." if find_metric(metric).is_time else "."
    return words


def _cells(row: Any) -> list[str]:
    if row["rank"] == "X":
        found = ["X", row["model"], "0", row["note"], "", "", "", "", "", ""]
        return [*found, spread(row["published_mean"], row["published_std"], row["published_n"]), ""]
    return [
        str(row["rank"]),
        row["model"],
        str(row["n"]),
        spread(row["mean"], row["std"]),
        f"{number(row['ci_low'])} to {number(row['ci_high'])}" if _known(row["ci_low"]) else "",
        number(row["median"]),
        f"{row['lr']:g}" if _known(row["lr"]) else "",
        f"{int(row['parameters']):,}" if _known(row["parameters"]) else "",
        number(row["seconds_per_epoch"]),
        number(row["unseen_scales"]),
        spread(row["published_mean"], row["published_std"], row["published_n"]),
        row["note"],
    ]


def spread(mean: Any, std: Any, count: Any = None) -> str:
    """`2.08 ± 0.09 (6)`, as far as it is known."""
    if not _known(mean):
        return ""
    text = f"{number(mean)} ± {number(std)}" if _known(std) else number(mean)
    return f"{text} ({int(count)})" if count is not None and _known(count) else text


def number(value: Any) -> str:
    """Two decimals; empty if not known."""
    return f"{value:.2f}" if _known(value) else ""


def _known(value: Any) -> bool:
    import pandas as pd

    return not pd.isna(value)


def markdown_rows(rows: list[list[str]]) -> str:
    """A Markdown table, the heading first; the columns in `WORDS` hold text, the others numbers."""
    rule = ["---" if head in WORDS else "---:" for head in rows[0]]
    return "".join(f"| {' | '.join(map(markdown_cell, line))} |\n" for line in [rows[0], rule, *rows[1:]])
