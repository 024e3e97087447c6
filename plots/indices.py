"""Which kernel size won the second scale pooling, for one object at all its sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchmark.plots import Drawn, IndexMaps, Tables

SHOWN = (17, 33, 48, 64)
"""Object sizes of the maps of a pixel pooling."""
COLUMNS = 3
"""Groups of maps side by side."""


def draw(tables: Tables) -> Drawn:
    """One figure a run: channels by size where a whole slice wins, maps where every pixel has its own winner.

    Raises:
        NothingToDraw: no run has pooling indices.
    """
    if not tables.indices:
        raise style.NothingToDraw(
            "no pooling indices; measure them with `benchmark evaluate` on a model that pools scales"
        )
    figures = {}
    for run in tables.indices:
        name = f"indices-{run.model}-{run.dataset}-{style.scenario_label(run.evaluation)}"
        figures[name] = channels(run, tables.source) if run.indices.ndim == 2 else maps(run, tables.source)
    return figures


def channel_correlation(indices: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Pearson r of the winning index with the object's size, ``[S, C], [S] -> [C]``; 0 for a constant channel.

    Kernel size is kernel_size + 2 i, so that its r is that of the index.
    """
    centred = indices - indices.mean(axis=0)
    sizes = scales - scales.mean()
    norm = np.sqrt((centred**2).sum(axis=0) * (sizes**2).sum())
    return np.divide(sizes @ centred, norm, out=np.zeros(indices.shape[1]), where=norm > 0)


@style.styled
def channels(run: IndexMaps, source: str) -> Figure:
    """Kernel size by object size for every channel, channels ordered by Pearson r, the largest on top."""
    from matplotlib.figure import Figure

    r = channel_correlation(run.indices.astype(float), run.scales.astype(float))
    order = np.argsort(r, kind="stable")
    figure = Figure(figsize=(4.4, 3.6), layout="constrained")
    axis = figure.subplots()
    kernels = run.kernel_size + 2 * run.indices[:, order].T
    edges = (run.scales[0] - 0.5, run.scales[-1] + 0.5, -0.5, len(order) - 0.5)
    image = axis.imshow(
        kernels,
        aspect="auto",
        origin="lower",
        extent=edges,
        cmap=style.SEQUENTIAL,
        vmin=run.kernel_size,
        vmax=run.largest_kernel,
        interpolation="nearest",
    )
    # Lines between the rows: every channel is read by itself.
    axis.hlines(np.arange(0.5, len(order) - 1), *edges[:2], color="white", lw=0.8)
    seen = style.training_range(run.evaluation)
    if seen:
        for edge in (seen[0] - 0.5, seen[1] + 0.5):
            if edges[0] < edge < edges[1]:
                axis.axvline(edge, color="#d55e00", lw=1.2)
    places = np.linspace(0, len(order) - 1, 5).round().astype(int)
    axis.set_yticks(places, [f"{r[order[place]]:+.2f}" for place in places])
    axis.set_xticks([17, 33, 49, 64])
    axis.set_xlabel("Object size [px], training range between the lines")
    axis.set_ylabel("Channel of stage 2, ordered by Pearson r")
    axis.set_title(_title(run, source))
    figure.colorbar(image, ax=axis, label="Winning kernel size [px]", pad=0.02)
    return figure


@style.styled
def maps(run: IndexMaps, source: str) -> Figure:
    """The winning kernel size at each pixel of the map, by channel, for four sizes of the object."""
    from matplotlib.figure import Figure

    chosen = [int(np.argmin(np.abs(run.scales - size))) for size in SHOWN]
    count = run.indices.shape[1]
    rows = -(-count // COLUMNS)
    figure = Figure(figsize=(style.WIDTH, 1.0 + 0.56 * rows), layout="constrained")
    widths = ([1.0] * len(chosen) + [0.25]) * COLUMNS
    axes = figure.subplots(rows, len(widths), squeeze=False, width_ratios=widths)
    images = []
    for axis in axes.flat:
        axis.axis("off")
    for channel in range(count):
        row, group = divmod(channel, COLUMNS)
        for place, at in enumerate(chosen):
            axis = axes[row, group * (len(chosen) + 1) + place]
            image = axis.imshow(
                run.kernel_size + 2 * run.indices[at, channel].astype(int),
                cmap=style.SEQUENTIAL,
                vmin=run.kernel_size,
                vmax=run.largest_kernel,
                interpolation="nearest",
            )
            images.append(image)
            if row == 0:
                axis.set_title(f"{run.scales[at]} px", fontsize=7)
            if place == 0:
                axis.text(-0.12, 0.5, str(channel + 1), transform=axis.transAxes, ha="right", va="center", fontsize=7)
    bar = figure.colorbar(images[-1], ax=axes.ravel().tolist(), location="bottom", shrink=0.5, aspect=40, pad=0.015)
    bar.set_label("Winning kernel size [px]; the number of the channel of stage 2 stands at its left")
    figure.suptitle(_title(run, source), fontsize=9)
    return figure


def _title(run: IndexMaps, source: str) -> str:
    model, dataset = style.model_look(run.model).label, style.dataset_look(run.dataset).label
    scenario = style.scenario_label(run.evaluation)
    return f"{model}, {dataset}, {scenario}\n{source}, seed {run.seed}, object {run.icon}"
