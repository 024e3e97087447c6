"""What the figures of learned scales have in common: names, looks, and object sizes on the axis of internal scales."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from benchmark.plots.style import Look, pale
from benchmark.protocol import MNIST_SCALE
from benchmark.studies import object_scales
from benchmark.studies.scale_ranges import parse_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

PARAMETERISATIONS: Mapping[str, Look] = {
    "isr": Look("ISR", "#0072b2", "o"),
    "isr_leaky": Look("ISR, leaky", "#56b4e9", "v"),
    "spacing": Look("Spacing", "#d55e00", "s"),
    "spacing_linear": Look("Spacing, linear", "#e69f00", "P"),
    "direct": Look("Direct", "#009e73", "D"),
    "fixed": Look("Fixed", "#767676", "^"),
}
PUBLISHED, OURS = "published", "ours"
PANEL = ("study", "section", "note")
"""What the runs of a panel share."""
STARTS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#44aa99", "#767676")
"""Colours of the runs of one parameterisation that start elsewhere."""
PIXELS = 2.0
"""The internal scale that stands for an object as drawn: where the toy study's networks start, and stay."""
_MNIST_SCALE = (0.3, 1.0)


def start(row: Mapping[str, Any]) -> str:
    """Where scales started, in words; empty where the model's own do."""
    return "" if row["own_start"] else f"σ {row['sigma']:g}, ISR {row['isr']:g}"


def _keeps_sigma(row: Mapping[str, Any]) -> bool:
    """Whether the smallest scale is kept while others are learned."""
    return row["scale_parameterisation"] != "fixed" and not row["learn_sigma"]


def label(row: Mapping[str, Any]) -> str:
    """A parameterisation in words, and whether its smallest scale is kept where that is an exception."""
    name = PARAMETERISATIONS[row["scale_parameterisation"]].label
    return f"{name}, σ kept" if _keeps_sigma(row) else name


def scale_look(row: Mapping[str, Any]) -> Look:
    """The look of a parameterisation, paler where its smallest scale is kept."""
    found = PARAMETERISATIONS[row["scale_parameterisation"]]
    return dataclasses.replace(found, colour=pale(found.colour)) if _keeps_sigma(row) else found


def title(row: Mapping[str, Any]) -> str:
    """The setting of a panel."""
    if row["study"] == "mnist-range":
        low, high = parse_range(row["scale_range"])
        rest = str(row["section"]).split(", ")[1:]
        words = f"MNIST-range [{low:g}, {high:g}]" if low < high else f"MNIST-range {low:g}"
        return ", ".join([words, *([row["distribution"]] if row["distribution"] != "loguniform" else []), *rest])
    if row["study"] == "mnist-scale":
        return f"MNIST-Scale {row['model'].rsplit('_', 1)[-1]}{'+' if row['augment'] else ''}"
    return f"{row['dataset']}, {row['section']}"


def data_range(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """The smallest and the largest size of the objects, in multiples of the object as drawn; None where it has none."""
    if row["study"] == "mnist-range":
        return parse_range(row["scale_range"])
    if row["study"] != "mnist-scale":
        return None
    factor = 2 if str(row["model"]).rstrip("p").endswith("56") else 1
    low, high = (factor * size for size in _MNIST_SCALE)
    smaller, larger = MNIST_SCALE.rescaling or (1.0, 1.0)
    return (low * smaller, high * larger) if row["augment"] else (low, high)


def panel_order(row: Mapping[str, Any], *, apart: bool = False) -> tuple[Any, ...]:
    """The order of panels: the toy study by its range, what leaves the protocol after the rest of its study."""
    scenario = 0 if row["study"] != "stir" else int(row["evaluation"])
    kind = (row["study"], row["dataset"], bool(row["note"]), bool(row["augment"]), apart)
    return *kind, data_range(row) or (), scenario


def densities(row: Mapping[str, Any], sizes: Array) -> Array | None:
    """How objects are distributed over log2 of their size; None where nothing is known."""
    found = data_range(row)
    if found is None or found[0] == found[1]:
        return None
    if row["study"] == "mnist-range":
        return object_scales.density(row["distribution"], *found, sizes)
    if not row["augment"]:
        return object_scales.density("uniform", *found, sizes)
    # A product of two: for each factor of the augmentation the sizes that it makes, averaged.
    smaller, larger = MNIST_SCALE.rescaling or (1.0, 1.0)
    factors = np.linspace(smaller, larger, 201)
    low, high = found[0] / smaller, found[1] / larger
    return np.mean([object_scales.density("uniform", low * f, high * f, sizes) for f in factors], axis=0)


def log2_axis(axis: Axes, low: float, high: float, *, vertical: bool = False, between: bool = False) -> None:
    """Powers of two, as plain numbers, between two limits; and with `between` the halves between them (1, 1.5, 2)."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ticks = [factor * 2.0**power for power in range(-4, 9) for factor in ((1, 1.5) if between else (1,))]
    (axis.set_yscale if vertical else axis.set_xscale)("log", base=2)
    (axis.set_ylim if vertical else axis.set_xlim)(low, high)
    chosen = axis.yaxis if vertical else axis.xaxis
    chosen.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    chosen.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    chosen.set_minor_locator(NullLocator())
