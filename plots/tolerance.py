"""The tolerance model: how strongly each internal scale is used for objects of each size, fitted to the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.plots import style
from benchmark.plots.scale_looks import PIXELS, log2_axis, title
from benchmark.studies.scale_ranges import parse_range
from benchmark.studies.tolerance import fit, shares, softened, strengths

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

_SCALES = ("#56b4e9", "#0072b2", "#332288")


@style.styled
def draw(theirs: pd.DataFrame) -> Figure:
    """For each published range of sizes: the model's strengths over the data (above), and each scale's share (below).

    Args:
        theirs: as `benchmark.results.scale_runs.published_outcomes` gives it; the scales that were learned are marked.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    toy = theirs[(theirs["study"] == "mnist-range") & (theirs["scale_parameterisation"] == "isr")]
    learned = toy[toy["own_start"].astype(bool)].to_dict("records")
    ranges = [parse_range(row["scale_range"]) for row in learned]
    fits = fit(ranges)
    sizes = np.geomspace(0.5, 16, 600)
    figure = Figure(figsize=(style.WIDTH, 3.9), layout="constrained")
    axes = figure.subplots(2, len(ranges), sharex=True, sharey="row", squeeze=False, height_ratios=(1.6, 1))
    for (above, below), row, found, (low, high) in zip(axes.T, learned, fits, ranges, strict=True):
        answers = strengths(sizes, found.scales, found.width)
        together = answers.sum(0)
        # The density has the area of the curve above it, as the fit compares them.
        density = softened("loguniform", low, high, sizes)
        above.fill_between(sizes, density * together.sum() / density.sum(), color=style.SHADE, lw=0)
        above.plot(sizes, together, color="black", lw=1.4)
        below.stackplot(sizes, shares(sizes, found.scales, found.width), colors=_SCALES, alpha=0.85, lw=0)
        for number, (colour, answer) in enumerate(zip(_SCALES, answers, strict=True), start=1):
            above.plot(sizes, answer, color=colour, lw=1.0)
            above.plot(row[f"scale_{number}_mean"] / PIXELS, 0.06, marker="*", ms=9, color=colour, mec="white", mew=0.4)
        above.set_title(f"{title(row)}: ISR {found.isr:.2f}", fontsize=8)
        for edge in (low, high):
            below.axvline(edge, color="white", lw=0.9, ls=(0, (2, 2)))
        log2_axis(above, 0.5, 16)
        log2_axis(below, 0.5, 16)
        above.set_ylim(0, None)
        below.set_ylim(0, 1)
        below.set_xlabel("Size of the object (1: as drawn)")
    axes[0, 0].set_ylabel("Strength")
    axes[1, 0].set_ylabel("Share of the answer")
    handles: list[Artist] = [
        Line2D([], [], color=colour, label=f"scale {number}") for number, colour in enumerate(_SCALES, start=1)
    ]
    handles += [
        Line2D([], [], color="black", label="together"),
        Patch(color=style.SHADE, label="sizes of the objects, softened ends"),
        Line2D([], [], color="black", marker="*", ls="", ms=8, label=f"learned (published), 1 at {PIXELS:g} pixels"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    figure.suptitle(f"Tolerance model of the internal scales, width {fits[0].width:.2f} octaves", fontsize=9)
    return figure
