"""The steerable bases that DISCO was compared with: classification error against equivariance error, and the functions.

The first is the figure of Sosnovik, Moskalev, Smeulders, "DISCO: accurate Discrete Scale Convolutions", BMVC 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmark.plots import style
from benchmark.plots.style import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmark.plots import Drawn, Tables


@dataclass(frozen=True)
class BasisError:
    """A test error on MNIST-Scale in percent. `runs` is how many runs it is the mean of; None where it is published."""

    source: str
    mean: float
    std: float | None
    runs: int | None


@dataclass(frozen=True)
class ComparedBasis:
    """A basis, and the errors of the network that is built of it.

    Attributes:
        model: the network; `label` its basis in words.
        augment: whether these errors are of augmented training.
        functions: [num_funcs, num_scales, size, size].
        equivariance_error: of the basis, the mean over all pairs of its scales.
        published_equivariance_error: what was published for it, measured in a way of its own.
    """

    model: str
    label: str
    augment: bool
    scales: tuple[float, ...]
    functions: npt.NDArray[np.float64]
    equivariance_error: float
    published_equivariance_error: float | None
    errors: tuple[BasisError, ...]


LOOKS: Mapping[str, Look] = {
    "DISCO": Look("DISCO", "#003c67", ">"),
    "Hermite": Look("Hermite", "#0072b2", "<"),
    "B-spline": Look("B-spline", "#d55e00", "s"),
    "Fourier-Bessel": Look("Fourier-Bessel", "#009e73", "o"),
    "LR harmonics": Look("LR harmonics", "#882255", "D"),
}
"""By the label of the networks."""
DIVERGING = "RdBu_r"
COLUMNS = 17
"""Functions of a basis in the figure of functions, evenly over their numbers."""
GAP = 2
"""Pixels between two functions."""


def draw(tables: Tables) -> Drawn:
    """The comparison and the functions.

    Raises:
        NothingToDraw: the source has no such comparison.
    """
    if not tables.bases:
        raise style.NothingToDraw("no comparison of bases; --source published has the published one")
    shown = [basis for basis in tables.bases if basis.augment]
    return {"bases": comparison(tables.bases), "bases-functions": functions(shown)}


@style.styled
def comparison(bases: Sequence[ComparedBasis]) -> Figure:
    """Test error against equivariance error: left as published, right with that of the basis itself.

    Args:
        bases: those with a published equivariance error, and perhaps others.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(style.WIDTH, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    left.margins(y=0.12)
    for basis in bases:
        for error in basis.errors:
            _point(right, basis, error, basis.equivariance_error)
            if error.runs is None and basis.published_equivariance_error is not None:
                _point(left, basis, error, basis.published_equivariance_error)
    left.set_xscale("log")
    low, high = left.get_xlim()
    left.set_xlim(low / 1.2, high * 1.2)
    style.plain_log_ticks(left, *left.get_xlim())
    left.set_ylabel("Test error [%]")
    left.set_title("As published, read off a plot")
    right.set_title("Same test errors, equivariance error computed here")
    for axis in (left, right):
        axis.grid(True)
        axis.set_xlabel("Equivariance error of the basis (logarithmic)")
    figure.suptitle("MNIST-Scale, images doubled and rescaled at random: test error by basis", fontsize=9)
    figure.legend(handles=_handles(bases), loc="outside lower center", ncols=8, columnspacing=1.2, handletextpad=0.3)
    return figure


def _point(axis: Axes, basis: ComparedBasis, error: BasisError, x: float) -> None:
    look = LOOKS[basis.label]
    face = "white" if error.runs is None else look.colour if basis.augment else style.pale(look.colour)
    drawn = {"fmt": look.marker, "color": look.colour, "mfc": face, "ms": 6, "mew": 1.3, "zorder": 3}
    axis.errorbar(x, error.mean, error.std, elinewidth=0.9, capsize=2, **drawn)


def _handles(bases: Sequence[ComparedBasis]) -> list:
    from matplotlib.lines import Line2D

    def handle(marker: str, colour: str, face: object, label: str) -> Line2D:
        return Line2D([], [], ls="", marker=marker, color=colour, mfc=face, mew=1.3, ms=5, label=label)

    looks = dict.fromkeys(LOOKS[basis.label] for basis in bases)
    handles = [handle(look.marker, look.colour, "white", look.label) for look in looks]
    for augment, face, name in (
        (True, style.MISSING, "ours"),
        (False, style.pale(style.MISSING), "ours, not rescaled"),
    ):
        counts = [error.runs for basis in bases if basis.augment == augment for error in basis.errors if error.runs]
        if counts:
            handles.append(handle("o", style.MISSING, face, f"{name}, {style.seeds_label(counts)}"))
    return handles


@style.styled
def functions(bases: Sequence[ComparedBasis]) -> Figure:
    """Some functions of each basis (columns) at all its scales (rows), each between its own extremes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(style.WIDTH, 0.35 + 1.78 * len(bases)), layout="constrained")
    axes = figure.subplots(len(bases), 1, squeeze=False)[:, 0]
    for axis, basis in zip(axes, bases, strict=True):
        _mosaic(axis, basis)
    figure.suptitle("Functions of each basis (columns) at its scales s (rows)", fontsize=9)
    return figure


def _mosaic(axis: Axes, basis: ComparedBasis) -> None:
    count, num_scales, size, _ = basis.functions.shape
    chosen = np.linspace(0, count - 1, min(COLUMNS, count)).round().astype(int)
    axis.imshow(tiles(basis.functions[chosen]), cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
    rows = np.arange(num_scales) * (size + GAP) + (size - 1) / 2
    axis.set_yticks(rows, [f"s = {scale:g}" for scale in basis.scales])
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_title(f"{basis.label}: {len(chosen)} of {count} functions", loc="left")


def tiles(functions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """One picture of many functions, each divided by its largest magnitude; NaN between them.

    Args:
        functions: shape (columns, rows, size, size).

    Returns:
        Shape (rows * (size + GAP) - GAP, columns * (size + GAP) - GAP).
    """
    columns, rows, size, _ = functions.shape
    largest = np.abs(functions).max((2, 3), keepdims=True)
    scaled = np.divide(functions, largest, out=np.zeros_like(functions), where=largest > 0)
    padded = np.pad(scaled, [(0, 0), (0, 0), (0, GAP), (0, GAP)], constant_values=np.nan)
    return padded.transpose(1, 2, 0, 3).reshape(rows * (size + GAP), columns * (size + GAP))[:-GAP, :-GAP]
