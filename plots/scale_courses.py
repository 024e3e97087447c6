"""Internal scales and their range against the epoch, and what learned scales are worth at other sizes of the object."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.plots import style
from benchmark.plots.scale_looks import (
    PIXELS,
    STARTS,
    data_range,
    label,
    log2_axis,
    panel_order,
    scale_look,
    start,
    title,
)
from benchmark.protocol import BANDS, SCENARIOS
from benchmark.results.scale_runs import scale_columns

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHES: tuple[Any, ...] = (
    "-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (9, 2)), (0, (5, 1.5, 1, 1.5, 1, 1.5)),
)  # fmt: skip
"""As many as a study repeats its runs."""


@style.styled
def courses(table: pd.DataFrame, source: str) -> Figure:
    """A row a setting: ISR (left) and internal scales (right) by epoch, a line a run; its dash is its seed's.

    Args:
        table: runs of one study, as `benchmark.results.scale_runs.read` gives them.
        source: how the title names where they are from.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    groups = list(_groups(table))
    figure = Figure(figsize=(style.WIDTH, 0.9 + 2.1 * len(groups)), layout="constrained")
    axes = figure.subplots(len(groups), 2, squeeze=False)
    seeds = sorted(table["seed"].unique())
    dashes = {seed: _DASHES[number % len(_DASHES)] for number, seed in enumerate(seeds)}
    for (left, right), (heading, rows) in zip(axes, groups, strict=True):
        looks = _looks(rows)
        for _, run in rows.groupby("run_id", sort=False):
            ordered = run.sort_values("epoch")
            first = ordered.iloc[0].to_dict()
            line = {"color": looks[_key(rows, first)][1], "ls": dashes[first["seed"]], "lw": 1.0}
            scales = ordered[scale_columns(ordered)].dropna(axis=1, how="all").to_numpy(dtype=float)
            kept = ordered["kept"].to_numpy(dtype=bool)
            for axis, values in ((left, scales[:, -1:] / scales[:, :1]), (right, scales)):
                axis.plot(ordered["epoch"], values, **line)
                axis.plot(ordered["epoch"][kept], values[kept], ls="", marker="o", ms=3, color=line["color"])
        _frame(left, right, heading, rows)
        handles = [Line2D([], [], color=colour, label=name) for name, colour in looks.values()]
        left.legend(handles=handles, loc="best", fontsize=6.5, handlelength=1.2)
    named = [Line2D([], [], color="black", ls=dashes[seed], label=f"seed {seed}") for seed in seeds[: len(_DASHES)]]
    named.append(Line2D([], [], color="black", ls="", marker="o", ms=3, label="the weights that were tested"))
    figure.legend(handles=named, loc="outside lower center", ncols=len(named))
    figure.suptitle(f"{source}: internal scales through training", fontsize=9)
    return figure


def learning(table: pd.DataFrame) -> pd.DataFrame:
    """The runs whose scales are learned: fixed ones have no course."""
    return table[table["scale_parameterisation"].notna() & (table["scale_parameterisation"] != "fixed")]


def _groups(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Panels: each setting, its parameterisations apart from its other starts."""
    panels = learning(table).groupby(["dataset", "section", "note", "own_start"], sort=False)
    ordered = sorted(panels, key=lambda panel: panel_order(panel[1].iloc[0].to_dict(), apart=not panel[0][-1]))
    for (*_, note, own), rows in ordered:
        words = [title(rows.iloc[0].to_dict()), *([] if own else ["other starts"]), *([note] if note else [])]
        yield "; ".join(words), rows


def _key(rows: pd.DataFrame, run: dict[str, Any]) -> tuple[Any, ...]:
    begun = (run["sigma"], run["isr"]) if not rows["own_start"].iloc[0] else ()
    return (run["scale_parameterisation"], bool(run["learn_sigma"]), *begun)


def _looks(rows: pd.DataFrame) -> dict[tuple[Any, ...], tuple[str, str]]:
    """Of each kind of run in a panel its name and colour."""
    found: dict[tuple[Any, ...], tuple[str, str]] = {}
    kinds = {_key(rows, run): run for run in rows.drop_duplicates("run_id").to_dict("records")}
    for number, (key, run) in enumerate(sorted(kinds.items())):
        if rows["own_start"].iloc[0]:
            found[key] = (label(run), scale_look(run).colour)
        else:
            found[key] = (f"{label(run)} from {start(run)}", STARTS[number % len(STARTS)])
    return found


def _frame(left: Axes, right: Axes, heading: str, rows: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator

    left.set_title(heading, loc="left", fontsize=8)
    sizes = data_range(rows.iloc[0].to_dict())
    if sizes and sizes[0] < sizes[1]:
        left.axhline(sizes[1] / sizes[0], color=style.MISSING, lw=0.8, ls=(0, (2, 2)))
        left.annotate("range of the data", (0.99, sizes[1] / sizes[0]), xycoords=("axes fraction", "data"), ha="right",
                      va="bottom", fontsize=6.5, color=style.MISSING)  # fmt: skip
        right.axhspan(PIXELS * sizes[0], PIXELS * sizes[1], color=style.SHADE, lw=0, zorder=0)
    left.set_ylabel("ISR, largest / smallest")
    right.set_ylabel("Internal scales [pixels]")
    for axis in (left, right):
        low, high = axis.get_ylim()
        low, high = max(low, 0.25) / 1.1, high * 1.1
        log2_axis(axis, low, high, vertical=True, between=axis is left or high < 6 * low)
        axis.set_xlim(rows["epoch"].min() - 0.5, rows["epoch"].max() + 0.5)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.grid(True, axis="y")
        axis.set_xlabel("Epoch")


@style.styled
def extrapolation(table: pd.DataFrame, source: str) -> Figure:
    """STIR: accuracy by band of object sizes, a row a data set and a column a scenario, the band of training shaded.

    Of each cell the learning rate that validation chose; runs that leave the protocol only where there are no others.
    A small dot is a run, a large one their mean.

    Args:
        table: runs of STIR, as `benchmark.results.scale_runs.read` gives them.
        source: how the title names where they are from.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from benchmark.results.selection import learning_rates

    ended = table[table["kept"].astype(bool)]
    told = ""
    if (ended["note"] == "").any():
        ended = ended[ended["note"] == ""]
    else:
        told = f"\n{'; '.join(sorted(set(ended['note'])))}"
    ended = ended.assign(variant=[_variant(run)[0] for run in ended.to_dict("records")])
    cell = ["variant", "dataset", "evaluation"]
    ended = ended.merge(learning_rates(ended, cell), on=[*cell, "lr"], how="inner")
    datasets = style.ordered_datasets(ended["dataset"])
    evaluations = [number for number in SCENARIOS if (ended["evaluation"] == number).any()]
    looks = dict(sorted(_variant(run) for run in ended.to_dict("records")))
    figure = Figure(figsize=(style.WIDTH, 1.0 + 1.9 * len(datasets)), layout="constrained")
    axes = figure.subplots(len(datasets), len(evaluations), sharex=True, sharey=True, squeeze=False)
    for row, dataset in enumerate(datasets):
        for axis, evaluation in zip(axes[row], evaluations, strict=True):
            cell = ended[(ended["dataset"] == dataset) & (ended["evaluation"] == evaluation)]
            _bands(axis, cell, looks, evaluation)
            if row == 0:
                axis.set_title(style.scenario_label(evaluation))
        axes[row, 0].set_ylabel(f"{style.dataset_look(dataset).label}\ntest accuracy [%]")
    handles = [Line2D([], [], color=look.colour, marker=look.marker, ms=4, label=name) for name, look in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    for axis in axes[-1]:
        axis.set_xlabel("Object size [pixels]")
    seeds = style.seeds_label(ended.groupby(["variant", "dataset", "evaluation"]).size())
    figure.suptitle(f"{source}: learned scales at sizes that training (shaded) did not show, {seeds}{told}", fontsize=9)
    return figure


def _variant(run: dict[str, Any]) -> tuple[str, style.Look]:
    """What is compared with what, and its look."""
    look = style.model_look(run["model"])
    if not isinstance(run["scale_parameterisation"], str):
        return look.label, dataclasses.replace(look, colour="black")
    words = " from ".join(filter(None, [label(run), start(run)]))
    return f"{look.label}: {words}", scale_look(run)


def _bands(axis: Axes, cell: pd.DataFrame, looks: Mapping[str, style.Look], evaluation: int) -> None:
    for place, band in enumerate(BANDS):
        if SCENARIOS[evaluation].saw(band):
            axis.axvspan(place - 0.5, place + 0.5, color=style.SHADE, lw=0, zorder=0)
    names = [f"acc_{band.first}_{band.last}" for band in BANDS]
    for number, (variant, look) in enumerate(looks.items()):
        rows = cell[cell["variant"] == variant]
        if rows.empty:
            continue
        x = np.arange(len(BANDS)) + 0.5 * (number - (len(looks) - 1) / 2) / len(looks)
        values = rows[names].to_numpy(dtype=float)
        axis.plot(x, values.T, ls="", marker=".", ms=3, color=look.colour, alpha=0.5)
        axis.plot(x, values.mean(0), marker=look.marker, ms=4.5, color=look.colour, lw=1.0)
    axis.set_xticks(range(len(BANDS)), [band.label for band in BANDS])
    axis.set_xlim(-0.5, len(BANDS) - 0.5)
    axis.set_ylim(-2, 102)
    axis.grid(True, axis="y")
