"""Test accuracy of every method: means as a dot plot, and the spread over seeds as box plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark.plots import style
from benchmark.protocol import SCENARIOS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmark.plots import Drawn, Tables

TOP = 3
"""How many of a dataset's best methods have a filled marker."""


def draw(tables: Tables) -> Drawn:
    """Both figures of a run frame.

    Raises:
        NothingToDraw: there are no runs.
    """
    if tables.runs is None or tables.runs.empty:
        raise style.NothingToDraw("no finished runs; train some with `benchmark run` or `benchmark sweep`")
    return {
        "hyperparam-dots": dots(tables.runs, tables.source, tables.chance),
        "hyperparam-boxes": boxes(tables.runs, tables.source, tables.chance),
    }


@style.styled
def dots(runs: pd.DataFrame, source: str, chance: Mapping[str, float] | None = None) -> Figure:
    """Mean accuracy by method, one panel a scenario, one marker a dataset; a cross at the left edge is a
    missing cell.

    Args:
        runs: model, dataset, evaluation, test_acc (percent), one row a run.
        source: how the title names where they are from.
        chance: data set -> the accuracy of a guess, where it is to be shown.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    chance = chance or {}
    models = style.ordered_models(runs["model"])
    datasets = style.ordered_datasets(runs["dataset"])
    cells = runs.groupby(["evaluation", "dataset", "model"])["test_acc"].agg(["mean", "count"])
    figure = Figure(figsize=(style.WIDTH, 1.3 + 0.2 * len(models)), layout="constrained")
    axes = figure.subplots(1, len(SCENARIOS), sharey=True, squeeze=False)[0]
    for axis, evaluation in zip(axes, SCENARIOS, strict=True):
        axis.set_title(style.scenario_label(evaluation))
        axis.set_xlabel("Accuracy [%]")
        axis.set_xlim(-4, 104)
        axis.set_ylim(len(models) - 0.4, -0.6)
        axis.set_yticks(range(len(models)), [style.model_look(model).label for model in models])
        axis.tick_params(axis="y", length=0)
        axis.grid(True)
        for place, dataset in enumerate(datasets):
            # The markers of one row are set a little apart, or equal means would hide one another.
            lift = 0.34 * (place - (len(datasets) - 1) / 2) / max(len(datasets) - 1, 1)
            means = {m: cells["mean"].get((evaluation, dataset, m)) for m in models}
            _dots_of(axis, means, models, style.dataset_look(dataset), lift)
            if dataset in chance:
                axis.axvline(chance[dataset], color=style.dataset_look(dataset).colour, ls="--", lw=0.7, zorder=1)
    handles = [
        Line2D([], [], ls="", marker=look.marker, mfc="none", mec=look.colour, label=look.label)
        for look in map(style.dataset_look, datasets)
    ]
    handles.append(Line2D([], [], ls="", marker="o", color="#555555", label=f"filled: best {TOP} of a dataset"))
    if "standard" in models:
        handles.append(Line2D([], [], ls=":", color="#555555", label="Standard's mean"))
    if chance.keys() & set(datasets):
        handles.append(Line2D([], [], ls="--", color="#555555", lw=0.7, label="chance"))
    if len(cells) < len(models) * len(datasets) * len(SCENARIOS):
        handles.append(Line2D([], [], ls="", marker="x", color="#555555", label="no runs"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.0)
    figure.suptitle(f"{source}: mean test accuracy, {style.seeds_label(cells['count'])} a cell", fontsize=9)
    return figure


def _dots_of(axis: Axes, means: dict, models: list[str], look: style.Look, lift: float) -> None:
    known = {model: mean for model, mean in means.items() if mean is not None}
    best = sorted(known, key=lambda model: -known[model])[:TOP]
    if "standard" in known:
        axis.axvline(known["standard"], color=look.colour, ls=":", lw=0.9, zorder=1)
    for row, model in enumerate(models):
        if model in known:
            axis.plot(
                known[model],
                row + lift,
                marker=look.marker,
                ms=4,
                mec=look.colour,
                mfc=look.colour if model in best else "white",
                mew=0.9,
                zorder=3,
            )
        else:
            axis.plot(-1, row + lift, marker="x", ms=3, color=look.colour, zorder=3)


@style.styled
def boxes(runs: pd.DataFrame, source: str, chance: Mapping[str, float] | None = None) -> Figure:
    """Accuracy over seeds, a grid of datasets (rows) and scenarios (columns), one box a method.

    A box spans the quartiles, its line is the median, whiskers reach to the last run within 1.5 quartile
    ranges; the other runs are points.
    """
    from matplotlib.figure import Figure

    models = style.ordered_models(runs["model"])
    datasets = style.ordered_datasets(runs["dataset"])
    size = (style.WIDTH, 0.9 + len(datasets) * (0.35 + 0.13 * len(models)))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(datasets), len(SCENARIOS), sharex=True, sharey=True, squeeze=False)
    cells = {key: group["test_acc"].to_numpy() for key, group in runs.groupby(["dataset", "evaluation", "model"])}
    for row, dataset in enumerate(datasets):
        for axis, evaluation in zip(axes[row], SCENARIOS, strict=True):
            axis.set_xlim(-2, 102)
            axis.set_ylim(len(models) - 0.4, -0.6)
            axis.set_yticks(range(len(models)), [style.model_look(model).label for model in models])
            axis.tick_params(axis="y", length=0)
            axis.grid(True, axis="x")
            if row == 0:
                axis.set_title(style.scenario_label(evaluation))
            style.mark_chance(axis, chance or {}, dataset, along="x")
            for place, model in enumerate(models):
                _box(axis, cells.get((dataset, evaluation, model)), place, style.model_look(model).colour)
        counts = [len(values) for (name, _, _), values in cells.items() if name == dataset]
        label = f"{style.dataset_look(dataset).label}\n{style.seeds_label(counts)}"
        axes[row, 0].set_ylabel(label, fontweight="bold")
    dashed = ", dashed: chance" if (chance or {}).keys() & set(datasets) else ""
    figure.supxlabel(f"Test accuracy [%]{dashed}", fontsize=8)
    figure.suptitle(f"{source}: test accuracy over seeds", fontsize=9)
    return figure


def _box(axis: Axes, values: npt.NDArray[np.float64] | None, place: int, colour: str) -> None:
    if values is None:
        axis.text(50, place, "no runs", color=style.MISSING, ha="center", va="center", style="italic", fontsize=6)
        return
    line = {"color": colour, "linewidth": 0.8}
    axis.boxplot(
        [values],
        positions=[place],
        orientation="horizontal",
        widths=0.62,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": "white", "edgecolor": colour, "linewidth": 0.8},
        whiskerprops=line,
        capprops=line,
        medianprops={"color": colour, "linewidth": 1.8},
        flierprops={"marker": ".", "markersize": 2.5, "markerfacecolor": colour, "markeredgecolor": "none"},
    )
