"""Equivariance error of the second stage against test accuracy, one point a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.plots import style
from benchmark.protocol import SCENARIOS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmark.plots import Drawn, Tables

PANEL = ("emoji", 2)
"""The dataset and scenario of the single panel: the paper's own choice."""
AXIS = "Equivariance error (logarithmic)"
_NARROWEST = 5
"""The least ratio of the ends of the axis."""


def draw(tables: Tables) -> Drawn:
    """The single panel (of the paper's cell, or of the first there is) and the grid.

    Raises:
        NothingToDraw: no run has an equivariance error.
    """
    frame = tables.equivariance
    if frame is None or frame.empty:
        raise style.NothingToDraw("no equivariance errors; measure them with `benchmark evaluate`")
    cells = [*frame.groupby(["dataset", "evaluation"]).groups]
    dataset, evaluation = PANEL if PANEL in cells else cells[0]
    return {
        "equivariance": panel(frame, dataset, evaluation, tables.source),
        "equivariance-grid": grid(frame, tables.source),
    }


@style.styled
def panel(frame: pd.DataFrame, dataset: str, evaluation: int, source: str) -> Figure:
    """One dataset and scenario.

    Args:
        frame: model, dataset, evaluation, test_acc (percent), error; one row a run.
        source: how the title names where they are from.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 3.2), layout="constrained")
    axis = figure.subplots()
    cell = frame[(frame["dataset"] == dataset) & (frame["evaluation"] == evaluation)]
    _points(axis, cell, size=14)
    _limits(axis, cell["error"])
    axis.set_xlabel(AXIS)
    axis.set_ylabel("Test accuracy [%]")
    seeds = style.seeds_label(cell.groupby("model").size())
    name = style.dataset_look(dataset).label
    axis.set_title(f"{name}, {style.scenario_label(evaluation)}\n{source}, {seeds}")
    figure.legend(handles=_handles(cell), loc="outside lower center", ncols=4, columnspacing=1.0)
    return figure


@style.styled
def grid(frame: pd.DataFrame, source: str) -> Figure:
    """All datasets (rows) and scenarios (columns); arguments as for `panel`."""
    from matplotlib.figure import Figure

    datasets = style.ordered_datasets(frame["dataset"])
    figure = Figure(figsize=(style.WIDTH, 1.1 + 1.5 * len(datasets)), layout="constrained")
    axes = figure.subplots(len(datasets), len(SCENARIOS), sharex=True, sharey="row", squeeze=False)
    for row, dataset in enumerate(datasets):
        rows = frame[frame["dataset"] == dataset]
        for axis, evaluation in zip(axes[row], SCENARIOS, strict=True):
            if row == 0:
                axis.set_title(style.scenario_label(evaluation))
            cell = rows[rows["evaluation"] == evaluation]
            _points(axis, cell, size=5)
            if cell.empty:
                style.mark_missing(axis)
        seeds = style.seeds_label(rows.groupby(["evaluation", "model"]).size())
        axes[row, 0].set_ylabel(f"{style.dataset_look(dataset).label}\n{seeds}", fontweight="bold")
    _limits(axes[0, 0], frame["error"])
    for axis in axes[-1]:
        axis.set_xlabel("Equivariance error")
    figure.supylabel("Test accuracy [%]", fontsize=8)
    figure.suptitle(f"{source}: error of stage 2 outside the training range against accuracy", fontsize=9)
    figure.legend(handles=_handles(frame), loc="outside lower center", ncols=6, columnspacing=1.2)
    return figure


def _points(axis: Axes, cell: pd.DataFrame, size: float) -> None:
    axis.grid(True)
    axis.set_xscale("log")
    for model in style.ordered_models(cell["model"]):
        look, rows = style.model_look(model), cell[cell["model"] == model]
        axis.scatter(rows["error"], rows["test_acc"], s=size, marker=look.marker, color=look.colour, lw=0, zorder=3)


def _limits(axis: Axes, errors: pd.Series) -> None:
    low, high = errors.min() * 0.9, errors.max() * 1.1
    # A few close points would spread over the whole axis, with ticks that differ in their last digit.
    margin = max(1.0, (_NARROWEST * low / high) ** 0.5)
    low, high = low / margin, high * margin
    axis.set_xlim(low, high)
    style.plain_log_ticks(axis, low, high)


def _handles(frame: pd.DataFrame) -> list:
    from matplotlib.lines import Line2D

    looks = map(style.model_look, style.ordered_models(frame["model"]))
    return [Line2D([], [], ls="", marker=k.marker, color=k.colour, ms=4.5, label=k.label) for k in looks]
