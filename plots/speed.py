"""The plain computation of a method against the fast one: milliseconds a training step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.plots import style
from siconvnet.errors import InvalidArgument

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmark.plots import Drawn, Tables

KINDS = ("plain", "fast")
COLUMNS = (
    "model",
    "device",
    "batch_size",
    *(f"{kind}_ms_{part}" for kind in KINDS for part in ("median", "min", "max")),
    "ratio",
    "plain_peak_mib",
    "fast_peak_mib",
    "machine",
    "torch",
)


def draw(tables: Tables) -> Drawn:
    """One figure a machine and device.

    Raises:
        NothingToDraw: there are no timings.
        InvalidArgument: the table lacks columns.
    """
    if tables.speed is None or tables.speed.empty:
        raise style.NothingToDraw("no timings of plain against fast (results/measured/speed-*.csv)")
    missing = [column for column in COLUMNS if column not in tables.speed]
    if missing:
        raise InvalidArgument(f"the speed table has no column {', '.join(missing)}; needed are {', '.join(COLUMNS)}.")
    # A table may hold inference beside the training step; the figure is of the step.
    speed = tables.speed[tables.speed["pass"] == "step"] if "pass" in tables.speed else tables.speed
    groups = list(speed.groupby(["device", "machine"], sort=True))
    devices = [device for (device, _), _ in groups]
    figures = {}
    for number, ((device, machine), rows) in enumerate(groups):
        name = f"speed-{device}" if devices.count(device) == 1 else f"speed-{device}-{number + 1}"
        figures[name] = steps(rows, device, machine)
    return figures


@style.styled
def steps(speed: pd.DataFrame, device: str, machine: str) -> Figure:
    """A row a method and batch size: open marker plain, filled marker fast, a bar from the fastest to the slowest.

    Args:
        speed: the rows of one machine, in the columns of `COLUMNS`.
    """
    from matplotlib.figure import Figure

    order = {model: place for place, model in enumerate(style.ordered_models(speed["model"]))}
    rows = speed.assign(place=speed["model"].map(order)).sort_values(["place", "batch_size"], kind="stable")
    several = rows["batch_size"].nunique() > 1
    names = [style.model_look(model).label for model in rows["model"]]
    if several:
        names = [f"{name}, batch {size}" for name, size in zip(names, rows["batch_size"], strict=True)]
    figure = Figure(figsize=(5.4, 1.3 + 0.24 * len(rows)), layout="constrained")
    axis = figure.subplots()
    axis.set_xscale("log")
    axis.set_yticks(range(len(rows)), names)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.grid(True, axis="x")
    for place, (_, row) in enumerate(rows.iterrows()):
        _pair(axis, row, place)
    axis.set_xlabel("Milliseconds a training step (logarithmic); open: plain, filled: fast, bar: range")
    axis.margins(x=0.08)
    style.plain_log_ticks(axis, *axis.get_xlim())
    batch = "" if several else f", batch {rows['batch_size'].iloc[0]}"
    versions = ", ".join(sorted(map(str, rows["torch"].unique())))
    figure.suptitle(f"{device.upper()}{batch}, torch {versions}\n{machine}", fontsize=9)
    return figure


def _pair(axis: Axes, row: pd.Series, place: int) -> None:
    look = style.model_look(row["model"])
    known = [kind for kind in KINDS if row[f"{kind}_ms_median"] == row[f"{kind}_ms_median"]]
    if not known:
        axis.text(
            0.5,
            place,
            "not measured",
            transform=axis.get_yaxis_transform(),
            color=style.MISSING,
            style="italic",
            ha="center",
            va="center",
        )
    if len(known) == 2:
        axis.plot([row["plain_ms_median"], row["fast_ms_median"]], [place] * 2, color="#bbbbbb", lw=1, zorder=1)
        text = f"{row['ratio']:.1f}×"
        axis.annotate(text, (1.01, place), xycoords=axis.get_yaxis_transform(), va="center", fontsize=7)
    for kind in known:
        axis.plot([row[f"{kind}_ms_min"], row[f"{kind}_ms_max"]], [place] * 2, color=look.colour, lw=2.2, zorder=2)
        face = look.colour if kind == "fast" else "white"
        axis.plot(row[f"{kind}_ms_median"], place, "o", ms=5, mfc=face, mec=look.colour, zorder=3)
