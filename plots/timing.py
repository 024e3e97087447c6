"""Seconds of one training epoch by method: bars, and the paper's table in LaTeX and Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.plots import style
from benchmark.results import tables

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from benchmark.plots import Drawn, Tables

EVALUATION = 2
"""The paper times Mid2Rest; the first three scenarios train on equally many images."""


def draw(given: Tables) -> Drawn:
    """The bars and both tables.

    Raises:
        NothingToDraw: no run of the scenario says how long its epochs took.
    """
    table = None if given.runs is None else mean_seconds(given.runs)
    if given.runs is None or table is None or table.empty:
        raise style.NothingToDraw(f"no run of {style.scenario_label(EVALUATION)} with a time an epoch (avg_time)")
    timed = given.runs[(given.runs["evaluation"] == EVALUATION) & given.runs["avg_time"].notna()]
    counts = timed.groupby(["dataset", "model"]).size()
    return {
        "timing": bars(table, given.source, style.seeds_label(counts)),
        "timing.md": markdown(table),
        "timing.tex": latex(table),
    }


def mean_seconds(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean seconds an epoch, methods (rows) by datasets (columns), both in the order of the figures; NaN if
    missing.

    Args:
        runs: model, dataset, evaluation, avg_time (seconds an epoch), one row a run.
    """
    timed = runs[(runs["evaluation"] == EVALUATION) & runs["avg_time"].notna()]
    table = timed.pivot_table(index="model", columns="dataset", values="avg_time", aggfunc="mean")
    return table.reindex(index=style.ordered_models(table.index), columns=style.ordered_datasets(table.columns))


@style.styled
def bars(seconds: pd.DataFrame, source: str, seeds: str) -> Figure:
    """One panel a dataset, one bar a method, on a common logarithmic axis; the number stands at the bar's end."""
    from matplotlib.figure import Figure

    models, datasets = list(seconds.index), list(seconds.columns)
    figure = Figure(figsize=(style.WIDTH, 1.0 + 0.17 * len(models)), layout="constrained")
    axes = figure.subplots(1, len(datasets), sharex=True, sharey=True, squeeze=False)[0]
    # Bars begin at a decade well below the shortest; on a logarithmic axis there is no zero to begin at.
    low, high = 10.0 ** np.floor(np.log10(seconds.min(axis=None) / 1.5)), seconds.max(axis=None) * 6
    for axis, dataset in zip(axes, datasets, strict=True):
        axis.set_title(style.dataset_look(dataset).label)
        axis.set_xscale("log")
        axis.set_xlim(low, high)
        style.plain_log_ticks(axis, low, high)
        axis.set_ylim(len(models) - 0.4, -0.6)
        axis.set_yticks(range(len(models)), [style.model_look(model).label for model in models])
        axis.tick_params(axis="y", length=0)
        axis.grid(True, axis="x")
        for row, model in enumerate(models):
            value = seconds.loc[model, dataset]
            if value != value:
                axis.text(low * 1.1, row, "no runs", va="center", color=style.MISSING, style="italic", fontsize=6.5)
                continue
            axis.barh(row, value, height=0.7, color=style.model_look(model).colour, lw=0)
            axis.text(value * 1.12, row, _number(value), va="center", fontsize=6.5)
    figure.supxlabel("Seconds per epoch (logarithmic)", fontsize=8)
    figure.suptitle(f"{source}: {style.scenario_label(EVALUATION)}, mean over {seeds}", fontsize=9)
    return figure


def markdown(seconds: pd.DataFrame) -> str:
    """The table for a README."""
    return tables.markdown(_section("model", seconds)) + "\n"


def latex(seconds: pd.DataFrame) -> str:
    """The table for a paper, with the rules of the booktabs package."""
    return tables.latex(_section("Model", seconds)) + "\n"


def _section(first: str, seconds: pd.DataFrame) -> tables.Section:
    """The table as text; `first` is the heading of the methods."""
    head = [first, *(style.dataset_look(dataset).label for dataset in seconds.columns)]
    rows = zip(seconds.index, seconds.to_numpy(), strict=True)
    return tables.Section("", [head, *([style.model_look(m).label, *map(_number, values)] for m, values in rows)])


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"
