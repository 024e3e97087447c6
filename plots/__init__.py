"""Figures, one a file: pure functions from data frames and arrays to matplotlib figures.

A file's `draw(tables)` gives its figures by name (and tables as text by file name), or raises
`NothingToDraw` with the reason where the source has no such data. Neither torch nor MLflow is imported
here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from siconvnet.errors import UnknownName
from siconvnet.registry import load_target

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from benchmark.plots.bases import ComparedBasis

    Drawn = Mapping[str, Figure | str]


@dataclass(frozen=True)
class IndexMaps:
    """Which scale won in a run's last scale pooling, for the images of one object at all scales.

    Attributes:
        indices: ``[S, C]`` (one index a channel) or ``[S, C, H, W]`` (one a pixel), images by ascending
        scale. scales: ``[S]``, the object's side in pixels. kernel_size: side of the smallest kernel; index
        i stands for kernel_size + 2 i. largest_kernel: side of the largest kernel of that layer. icon:
        which object of the test split this is, by its place.
    """

    model: str
    dataset: str
    evaluation: int
    seed: int
    indices: np.ndarray
    scales: np.ndarray
    kernel_size: int
    largest_kernel: int
    icon: int


@dataclass(frozen=True)
class Tables:
    """What a source holds; None for what it cannot have.

    Attributes:
        source: how titles name it.
        runs: as `benchmark.results.runs.table`, one setting a cell; `model` tells apart what figures show apart.
        scales: columns of `benchmark.results.sizes.SCALE_COLUMNS`.
        equivariance: model, dataset, evaluation, seed, test_acc, error; one row a run.
        indices: of the runs to look into.
        speed: columns of `results/measured/speed-*.csv`.
        comparison: as `benchmark.results.comparison.compare`.
        learned: runs with learned scales, from `benchmark.results.scale_runs.read`; empty: the published ones alone.
        bases: as `benchmark.studies.compared_bases.compared` gives them.
        labels: how methods ask to be called, by `model`.
        chance: data set -> the accuracy of a guess in percent, where figures are to show it.
        background: what the same figures show behind this, pale.
    """

    source: str
    runs: pd.DataFrame | None = None
    scales: pd.DataFrame | None = None
    equivariance: pd.DataFrame | None = None
    indices: Sequence[IndexMaps] | None = None
    speed: pd.DataFrame | None = None
    comparison: pd.DataFrame | None = None
    learned: pd.DataFrame | None = None
    bases: Sequence[ComparedBasis] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    chance: Mapping[str, float] = field(default_factory=dict)
    background: Tables | None = None


_NAMES = (
    "hyperparam",
    "generalization",
    "timing",
    "equivariance",
    "indices",
    "speed",
    "comparison",
    "scales",
    "bases",
)
FIGURES: Mapping[str, str] = {name: f"benchmark.plots.{name}:draw" for name in _NAMES}


def draw(name: str, tables: Tables) -> Drawn:
    """The figures of one file of this package, by name.

    Raises:
        UnknownName: there is no such file.
        NothingToDraw: the tables hold nothing for it.
    """
    if name not in FIGURES:
        raise UnknownName("figure", name, FIGURES)
    from benchmark.plots.style import labelled

    with labelled(tables.labels):
        return cast("Callable[[Tables], Any]", load_target(FIGURES[name]))(tables)
