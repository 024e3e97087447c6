"""Test accuracy at every object size, with the sizes seen in training shaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from benchmark.plots import style
from benchmark.protocol import SCENARIOS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmark.plots import Drawn, Tables


def draw(tables: Tables) -> Drawn:
    """The grid of all datasets, and one figure a dataset with the spread over seeds.

    Raises:
        NothingToDraw: there is no accuracy by scale.
    """
    if tables.scales is None or tables.scales.empty:
        raise style.NothingToDraw("no accuracy by scale; measure it with `benchmark evaluate`")
    behind = tables.background.scales if tables.background else None
    figures = {"generalization": grid(tables.scales, tables.source, tables.chance, behind)}
    for dataset in style.ordered_datasets(tables.scales["dataset"]):
        figures[f"generalization-{dataset}"] = methods(tables.scales, dataset, tables.source, tables.chance, behind)
    return figures


@style.styled
def grid(
    scales: pd.DataFrame, source: str, chance: Mapping[str, float] | None = None, behind: pd.DataFrame | None = None
) -> Figure:
    """Mean accuracy by scale, datasets (rows) by scenarios (columns), one line a method.

    Args:
        scales: model, dataset, evaluation, scale (pixels), accuracy_mean, accuracy_std (percent), runs.
        source: how the title names where they are from.
        chance: data set -> the accuracy of a guess, where it is to be shown.
        behind: published lines to draw behind, pale; columns as `scales`.
    """
    from matplotlib.figure import Figure

    models = style.ordered_models(scales["model"])
    pale = _of_places(behind, scales)
    datasets = style.ordered_datasets(scales["dataset"])
    figure = Figure(figsize=(style.WIDTH, 1.1 + 1.6 * len(datasets)), layout="constrained")
    axes = figure.subplots(len(datasets), len(SCENARIOS), sharex=True, sharey=True, squeeze=False)
    for row, dataset in enumerate(datasets):
        for axis, evaluation in zip(axes[row], SCENARIOS, strict=True):
            _panel(axis, evaluation)
            if row == 0:
                axis.set_title(style.scenario_label(evaluation))
            cell = scales[(scales["dataset"] == dataset) & (scales["evaluation"] == evaluation)]
            if cell.empty:
                style.mark_missing(axis)
            style.mark_chance(axis, chance or {}, dataset)
            for _, line in pale[(pale["dataset"] == dataset) & (pale["evaluation"] == evaluation)].groupby("model"):
                colour = style.pale(style.model_look(line["model"].iloc[0]).colour)
                axis.plot(line["scale"], line["accuracy_mean"], color=colour, lw=0.7, zorder=1)
            for model in style.ordered_models(cell["model"]):
                look, line = style.model_look(model), cell[cell["model"] == model].sort_values("scale")
                axis.plot(line["scale"], line["accuracy_mean"], color=look.colour, ls=look.dash, lw=1.0)
        counts = scales.loc[scales["dataset"] == dataset, "runs"]
        label = f"{style.dataset_look(dataset).label}\n{style.seeds_label(counts)}"
        axes[row, 0].set_ylabel(label, fontweight="bold")
    for axis in axes[-1]:
        axis.set_xlabel("Object size [px]")
    figure.supylabel("Mean test accuracy [%]", fontsize=8)
    figure.legend(handles=_handles([*models, *pale["model"]]), loc="outside lower center", ncols=6, columnspacing=1.2)
    figure.suptitle(
        f"{source}: accuracy by object size, training range shaded{_told(chance, datasets, pale)}", fontsize=9
    )
    return figure


@style.styled
def methods(
    scales: pd.DataFrame,
    dataset: str,
    source: str,
    chance: Mapping[str, float] | None = None,
    behind: pd.DataFrame | None = None,
) -> Figure:
    """One dataset: a row a method, a column a scenario, the mean in a band of one standard deviation,
    Standard dotted.

    Args:
        scales, source, chance, behind: as for `grid`.
        dataset: which rows of `scales` to show.
    """
    from matplotlib.figure import Figure

    chosen = scales[scales["dataset"] == dataset]
    models = style.ordered_models(chosen["model"])
    pale = _of_places(behind, chosen)
    figure = Figure(figsize=(style.WIDTH, 1.0 + 0.8 * len(models)), layout="constrained")
    axes = figure.subplots(len(models), len(SCENARIOS), sharex=True, sharey=True, squeeze=False)
    for column, evaluation in enumerate(SCENARIOS):
        rows = chosen[chosen["evaluation"] == evaluation]
        base = rows[rows["model"] == "standard"].sort_values("scale")
        axes[0, column].set_title(style.scenario_label(evaluation))
        for axis, model in zip(axes[:, column], models, strict=True):
            _panel(axis, evaluation)
            line = rows[rows["model"] == model].sort_values("scale")
            if line.empty:
                style.mark_missing(axis)
                continue
            if model != "standard":
                axis.plot(base["scale"], base["accuracy_mean"], color="#777777", lw=0.9, ls=(0, (1, 1)))
            style.mark_chance(axis, chance or {}, dataset)
            published = pale[(pale["evaluation"] == evaluation) & (pale["model"] == model)].sort_values("scale")
            colour = style.model_look(model).colour
            axis.plot(published["scale"], published["accuracy_mean"], color=style.pale(colour), lw=1.1, zorder=1)
            _band(axis, line, colour)
    for axis, model in zip(axes[:, 0], models, strict=True):
        label = style.model_look(model).label
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontweight="bold")
    standard = "; dotted: Standard" if "standard" in models and len(models) > 1 else ""
    told = _told(chance, [dataset], pale[pale["model"].isin(models)])
    figure.supxlabel(f"Object size [pixels], training range shaded{standard}{told}", fontsize=8)
    figure.supylabel("Test accuracy [%]", fontsize=8)
    seeds = style.seeds_label(chosen["runs"])
    title = f"{source}: {style.dataset_look(dataset).label}, mean ± one standard deviation over {seeds}"
    figure.suptitle(title, fontsize=9)
    return figure


def _of_places(behind: pd.DataFrame | None, scales: pd.DataFrame) -> pd.DataFrame:
    """The published lines of the data sets and scenarios that are drawn."""
    if behind is None:
        return scales.iloc[:0]
    there = set(zip(scales["dataset"], scales["evaluation"], strict=True))
    return behind[[place in there for place in zip(behind["dataset"], behind["evaluation"], strict=True)]]


def _told(chance: Mapping[str, float] | None, datasets: Iterable[str], pale: pd.DataFrame) -> str:
    """What else lines stand for."""
    dashed = "; dashed: chance" if (chance or {}).keys() & set(datasets) else ""
    return dashed + ("; pale: published" if len(pale) else "")


def _band(axis: Axes, line: pd.DataFrame, colour: str) -> None:
    # One run has no deviation: its band is empty, not broken.
    spread = line["accuracy_std"].fillna(0.0)
    low = (line["accuracy_mean"] - spread).clip(lower=0)
    high = (line["accuracy_mean"] + spread).clip(upper=100)
    axis.fill_between(line["scale"], low, high, color=colour, alpha=0.3, lw=0)
    axis.plot(line["scale"], line["accuracy_mean"], color=colour, lw=1.3)


def _panel(axis: Axes, evaluation: int) -> None:
    seen = style.training_range(evaluation)
    if seen:
        axis.axvspan(seen[0] - 0.5, seen[1] + 0.5, color=style.SHADE, lw=0, zorder=0)
    axis.set_xlim(16.5, 64.5)
    axis.set_ylim(-2, 102)
    axis.set_xticks([17, 33, 49, 64])
    axis.grid(True, axis="y")


def _handles(models: list[str]) -> list:
    from matplotlib.lines import Line2D

    looks = map(style.model_look, style.ordered_models(models))
    return [Line2D([], [], color=look.colour, ls=look.dash, label=look.label) for look in looks]
