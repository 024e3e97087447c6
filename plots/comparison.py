"""Our mean accuracies less the published ones, with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.plots import style
from benchmark.results.comparison import AGREES, DIFFERS, TOO_FEW

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmark.plots import Drawn, Tables

#: Verdicts are told apart by filling and shape, not by colour alone.
LOOKS = {
    AGREES: style.Look("agrees", "#0072b2", "o"),
    DIFFERS: style.Look("differs", "#d55e00", "D"),
    TOO_FEW: style.Look("too few runs", "#6b6b6b", "s"),
}


def draw(tables: Tables) -> Drawn:
    """One figure of all cells that ours and the published runs share.

    Raises:
        NothingToDraw: they share none.
    """
    if tables.comparison is None or tables.comparison.empty:
        raise style.NothingToDraw("no cell with both runs of ours and published ones")
    return {"comparison": forest(tables.comparison)}


@style.styled
def forest(comparison: pd.DataFrame, quantity: str = "Test accuracy") -> Figure:
    """A row a cell: the difference, its 95 % interval, and in gray one published standard deviation to either side.

    Args:
        comparison: as `benchmark.results.comparison.compare` gives it.
    """
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    place = {model: number for number, model in enumerate(style.ordered_models(comparison["model"]))}
    datasets = style.ordered_datasets(comparison["dataset"])
    rows = comparison.assign(
        dataset_place=comparison["dataset"].map({name: number for number, name in enumerate(datasets)}),
        model_place=comparison["model"].map(place),
    )
    # The table is in the order of its settings, whatever fields they are of.
    rows["section_place"] = rows.groupby("section", sort=False).ngroup()
    rows = rows.sort_values(["dataset_place", "section_place", "model_place"], kind="stable", ignore_index=True)
    sources = comparison["source"].nunique() > 1
    figure = Figure(figsize=(style.WIDTH, 1.4 + 0.19 * len(rows)), layout="constrained")
    axis = figure.subplots()
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_yticks(range(len(rows)), [_name(row, source=sources) for _, row in rows.iterrows()])
    axis.tick_params(axis="y", length=0)
    axis.grid(True, axis="x")
    axis.axvline(0, color="black", lw=0.8)
    for number, row in rows.iterrows():
        _interval(axis, row, int(str(number)))
    axis.set_xlabel(f"{quantity}, ours less published [percentage points]")
    handles: list[Artist] = [
        Line2D([], [], ls="-", marker=look.marker, color=look.colour, mfc=_face(verdict), ms=4, label=look.label)
        for verdict, look in LOOKS.items()
    ]
    handles.append(Patch(color=style.SHADE, label="± published standard deviation"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    figure.suptitle("Ours against published: difference of means, Welch's 95 % interval", fontsize=9)
    return figure


def _name(row: pd.Series, *, source: bool) -> str:
    dataset, model = style.dataset_look(row["dataset"]).label, style.model_look(row["model"]).label
    words = [dataset, row["section"], model, *([row["source"]] if source else [])]
    return f"{', '.join(filter(None, words))}, {row['ours_n']} / {row['published_n']} runs"


def _interval(axis: Axes, row: pd.Series, place: int) -> None:
    look = LOOKS[row["verdict"]]
    axis.barh(place, 2 * row["margin"], left=-row["margin"], height=0.8, color=style.SHADE, lw=0, zorder=1)
    axis.plot([row["low"], row["high"]], [place, place], color=look.colour, lw=1.3, zorder=2)
    face = _face(row["verdict"])
    axis.plot(row["difference"], place, marker=look.marker, ms=4.5, mec=look.colour, mfc=face, zorder=3)


def _face(verdict: str) -> str:
    return "white" if verdict == TOO_FEW else LOOKS[verdict].colour
