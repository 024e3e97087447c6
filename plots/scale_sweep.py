"""The sweep over fixed internal scale ranges that learning is compared with, and what the tolerance model says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.plots import style
from benchmark.plots.scale_looks import OURS, PANEL, PUBLISHED, data_range, log2_axis, panel_order, title
from benchmark.studies.tolerance import fit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_RANGES = ("#009e73", "#d55e00", "#0072b2", "#cc79a7", "#e69f00", "#56b4e9")


@style.styled
def sweep(ours: pd.DataFrame, theirs: pd.DataFrame) -> Figure:
    """Error against the fixed ISR, a panel a range of sizes, with the ISR that was learned and the tolerance model's.

    Args:
        ours, theirs: as `benchmark.results.scale_runs.outcomes` and `published_outcomes` give them.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    toys = [table[table["study"] == "mnist-range"] for table in (theirs, ours)]
    fixed = [table[table["scale_parameterisation"] == "fixed"] for table in toys]
    learned = [table[(table["scale_parameterisation"] == "isr") & table["own_start"].astype(bool)] for table in toys]
    headings: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for table in (*fixed, *learned):
        for row in table.to_dict("records"):
            headings.setdefault(tuple(row[name] for name in PANEL), row)
    shown = [key for key in headings if any((_at(table, key)).any() for table in fixed)]
    shown.sort(key=lambda key: panel_order(headings[key]))
    rows = math.ceil(len(shown) / 3)
    figure = Figure(figsize=(style.WIDTH, 0.9 + 2.0 * rows), layout="constrained")
    axes = figure.subplots(rows, 3, sharex=True, squeeze=False).ravel()
    models = dict(zip(shown, _models([data_range(headings[key]) for key in shown]), strict=True))
    for number, (axis, key) in enumerate(zip(axes, shown, strict=False)):
        colour = _RANGES[number % len(_RANGES)]
        for table, ends, source in zip(fixed, learned, (PUBLISHED, OURS), strict=True):
            line = table[_at(table, key)].sort_values("isr")
            face = "white" if source == PUBLISHED else colour
            spread = line["test_err_std"].astype(float).fillna(0)
            axis.errorbar(line["isr"], line["test_err_mean"], yerr=spread, color=colour, marker="o", mfc=face, ms=3.5,
                          lw=1.0, elinewidth=0.6, ls="-" if source == PUBLISHED else "--")  # fmt: skip
            for end in ends[_at(ends, key)].to_dict("records"):
                if end.get("scale_1_mean") == end.get("scale_1_mean"):
                    axis.plot(end["scale_3_mean"] / end["scale_1_mean"], end["test_err_mean"], marker="*", ms=10,
                              mec=colour, mfc=face, ls="", zorder=4)  # fmt: skip
        if models[key]:
            axis.axvline(models[key], color=style.MISSING, lw=0.9, ls=(0, (2, 2)), zorder=0)
        axis.set_title(title(headings[key]), fontsize=8)
        axis.set_xlabel("Internal scale range, ISR")
        log2_axis(axis, 1.35, 8.6)
        axis.grid(True, axis="y")
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    axes[0].set_ylabel("Test error [%]")
    handles = [
        Line2D([], [], color="black", marker="o", mfc="white", ms=4, label="fixed ISR, published"),
        Line2D([], [], color="black", marker="*", mfc="white", ls="", ms=9, label="learned ISR, published"),
        Line2D([], [], color=style.MISSING, ls=(0, (2, 2)), label="ISR of the tolerance model"),
    ]
    if len(ours):
        handles += [Line2D([], [], color="black", marker="o", ls="--", ms=4, label="ours (filled)")]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    figure.suptitle("Fixed internal scale ranges, and the learned one: mean ± one standard deviation", fontsize=9)
    return figure


def _models(ranges: list[tuple[float, float] | None]) -> list[float | None]:
    known = [found for found in ranges if found and found[0] < found[1]]
    isrs = dict(zip(known, fit(known), strict=True)) if known else {}
    return [isrs[found].isr if found in isrs else None for found in ranges]


def _at(table: pd.DataFrame, key: tuple[str, ...]) -> pd.Series:
    return (table[list(PANEL)] == list(key)).all(axis=1)
