"""What learned scales end with, ours beside the published: the scales on the sizes of the objects, and the errors."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.plots import style
from benchmark.plots.scale_looks import (
    OURS,
    PANEL,
    PARAMETERISATIONS,
    PIXELS,
    PUBLISHED,
    densities,
    label,
    log2_axis,
    panel_order,
    start,
    title,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


Kind = tuple[str, Mapping[str, Any], str]
COLUMNS = 3


@style.styled
def finals(ours: pd.DataFrame, theirs: pd.DataFrame) -> Figure:
    """The scales at the end, a panel a setting over the density of the data's sizes and a row a parameterisation.

    Args:
        ours, theirs: as `benchmark.results.scale_runs.outcomes` and `published_outcomes` give them.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    panels = list(_panels(_learned(_drop_stir(ours)), _learned(theirs)))
    rows = math.ceil(len(panels) / COLUMNS)
    figure = Figure(figsize=(style.WIDTH, 0.9 + 2.3 * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel().tolist()
    for axis, (heading, kinds) in zip(axes, panels, strict=False):
        row = kinds[0][1]
        sizes = np.geomspace(0.1, 20, 1200)
        density = densities(row, sizes)
        names = list(dict.fromkeys(name for name, *_ in kinds))
        if density is not None:
            shape = density / density.max() * (len(names) + 0.3)
            axis.fill_between(PIXELS * sizes, len(names) - 0.4, len(names) - 0.4 - shape, color=style.SHADE, lw=0)
        for name, outcome, source in kinds:
            _scales(axis, outcome, names.index(name) + _shift(source, kinds), source)
        axis.set_title(heading, fontsize=8)
        axis.set_xlabel("Internal scales [pixels]")
        axis.set_ylim(len(names) - 0.4, -0.9)
        log2_axis(axis, 0.45, 20)
        top = axis.secondary_xaxis("top", functions=(lambda x: x / PIXELS, lambda x: x * PIXELS))
        log2_axis_of(top)
        axis.grid(True, axis="x")
    _name_rows(axes, panels)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    shade = Patch(color=style.SHADE, label=f"sizes of the objects (axis above; size 1 stands over {PIXELS:g} pixels)")
    figure.legend(handles=[*_handles(len(ours) > 0), shade], loc="outside lower center", ncols=3)
    figure.suptitle("Internal scales at the end of training: mean ± one standard deviation", fontsize=9)
    return figure


def _name_rows(axes: Sequence[Axes], panels: Sequence[tuple[str, Sequence[Kind]]]) -> None:
    """Name the rows of each panel; only those at the left where the panels beside them all have the same."""
    names = [_names(kinds) for _, kinds in panels]
    same = all(own == names[number - number % COLUMNS] for number, own in enumerate(names))
    for number, (axis, own) in enumerate(zip(axes, names, strict=False)):
        axis.set_yticks(range(len(own)), own if number % COLUMNS == 0 or not same else [""] * len(own))
        axis.tick_params(axis="y", length=0)


def _names(kinds: Sequence[Kind]) -> list[str]:
    return list(dict.fromkeys(name for name, *_ in kinds))


def log2_axis_of(axis: Any) -> None:
    """Plain numbers on an axis that follows another."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis.xaxis.set_major_locator(FixedLocator([2.0**power for power in range(-2, 4)]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.tick_params(labelsize=6.5, pad=1)


@style.styled
def errors(ours: pd.DataFrame, theirs: pd.DataFrame) -> Figure:
    """Test error by parameterisation, a panel a setting; on top the best of the fixed ranges, where there was a sweep.

    Args:
        ours, theirs: as for `finals`.
    """
    from matplotlib.figure import Figure

    panels = list(_panels(_compared(_drop_stir(ours)), _compared(theirs)))
    rows = math.ceil(len(panels) / COLUMNS)
    figure = Figure(figsize=(style.WIDTH, 0.8 + 1.8 * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel().tolist()
    for axis, (heading, kinds) in zip(axes, panels, strict=False):
        names = _names(kinds)
        for name, outcome, source in kinds:
            look = PARAMETERISATIONS[outcome["scale_parameterisation"]]
            face = "white" if source == PUBLISHED else look.colour
            height, spread = names.index(name) + _shift(source, kinds), _spread(outcome["test_err_std"])
            axis.errorbar(outcome["test_err_mean"], height, xerr=spread, color=look.colour, marker=look.marker,
                          mfc=face, ms=4.5, lw=1.0)  # fmt: skip
        axis.set_title(heading, fontsize=8)
        axis.set_xlabel("Test error [%]")
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.grid(True, axis="x")
    _name_rows(axes, panels)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.legend(handles=_handles(len(ours) > 0), loc="outside lower center", ncols=3)
    figure.suptitle("Test error by parameterisation of the internal scales: mean ± one standard deviation", fontsize=9)
    return figure


def _drop_stir(table: pd.DataFrame) -> pd.DataFrame:
    """STIR has a figure of its own: its sizes have no density, and its errors are accuracies elsewhere."""
    return table[table["study"] != "stir"]


def _learned(table: pd.DataFrame) -> pd.DataFrame:
    known = table["scale_1_mean"].notna() if "scale_1_mean" in table else False
    return table[(table["scale_parameterisation"] != "fixed") & known]


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    """The learned scales, and of the fixed ones the best in each setting."""
    import pandas as pd

    fixed = table[table["scale_parameterisation"] == "fixed"]
    best = fixed.sort_values("test_err_mean").drop_duplicates(list(PANEL))
    return pd.concat([best, table[table["scale_parameterisation"] != "fixed"]])


def _panels(ours: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[tuple[str, list[Kind]]]:
    """Of each setting its heading and what is there: name, outcome, and who has it; the published first."""
    found: dict[tuple[str, ...], list[Kind]] = {}
    for table, source in ((theirs, PUBLISHED), (ours, OURS)):
        for row in table.to_dict("records"):
            apart = row["scale_parameterisation"] != "fixed" and not row["own_start"]
            key = (*(row[name] for name in PANEL), "other starts" if apart else "")
            found.setdefault(key, []).append((_name(row), row, source))
    order = ["fixed", *PARAMETERISATIONS]
    for key in sorted(found, key=lambda key: panel_order(found[key][0][1], apart=bool(key[-1]))):
        kinds = sorted(found[key], key=lambda kind: order.index(kind[1]["scale_parameterisation"]))
        told = "; ".join(filter(None, key[-2:]))
        heading = "\n".join([title(kinds[0][1]), *textwrap.wrap(told, 42)])
        yield heading, kinds


def _name(row: Mapping[str, Any]) -> str:
    if row["scale_parameterisation"] == "fixed":
        return f"Fixed, ISR {row['isr']:g}"
    if row["own_start"]:
        return label(row)
    # Beside others that differ in their start alone, the usual parameterisation goes without saying.
    return start(row) if label(row) == PARAMETERISATIONS["isr"].label else f"{label(row)}, {start(row)}"


def _shift(source: str, kinds: Sequence[Kind]) -> float:
    """Published above, ours below, in a panel that has both."""
    if len({who for *_, who in kinds}) == 1:
        return 0.0
    return -0.13 if source == PUBLISHED else 0.13


def _scales(axis: Axes, outcome: Mapping[str, Any], place: float, source: str) -> None:
    look = PARAMETERISATIONS[outcome["scale_parameterisation"]]
    names = [name.removesuffix("_mean") for name in outcome if name.startswith("scale_") and name.endswith("_mean")]
    means = [outcome[f"{name}_mean"] for name in names]
    spreads = [_spread(outcome[f"{name}_std"]) for name in names]
    face = "white" if source == PUBLISHED else look.colour
    axis.errorbar(means, [place] * len(means), xerr=spreads, color=look.colour, marker=look.marker, mfc=face,
                  ms=4.5, lw=0, elinewidth=1.0)  # fmt: skip


def _spread(value: float | None) -> float:
    return 0.0 if value is None or value != value else float(value)


def _handles(ours: bool) -> list[Line2D]:
    from matplotlib.lines import Line2D

    found = [Line2D([], [], color="black", marker="o", mfc="white", ls="", ms=4.5, label="published")]
    return found + ([Line2D([], [], color="black", marker="o", ls="", ms=4.5, label="ours")] if ours else [])
