"""How strongly each internal scale is used for an object of a given size: the tolerance model of scale learning.

Basting, Bruintjes, Wiedemer, Kuemmerer, Bethge, van Gemert, "Scale Learning in Scale-Equivariant Convolutional
Networks", VISAPP 2024, and the notebooks published with it. Around its own size an internal scale answers to larger and
smaller objects too, by a Gaussian over the logarithm of their size whose width, the tolerance, all scales share. Scales
fit data best where their strengths together are distributed as the sizes of the objects are. Widths are in octaves,
sizes and internal scales in multiples of the object's own size (1: as drawn).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.studies import object_scales
from siconvnet.errors import InvalidArgument

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

SOFTNESS = 0.4
"""Octaves over which sizes fade out at the ends of their range: a network is not asked to stop there."""
LOWEST, HIGHEST = 0.5, 17.0
"""Sizes between which distributions are compared, as published; a range that goes further takes its octave with it."""
_POINTS = 500


@dataclass(frozen=True)
class Tolerance:
    """Internal scales as the model has them.

    Attributes:
        smallest: size of the object that the smallest internal scale answers to most.
        isr: internal scale range, largest over smallest.
        width: tolerance, the standard deviation of a scale's strength in octaves.
        num_scales: how many.
    """

    smallest: float
    isr: float
    width: float
    num_scales: int = 3

    @property
    def scales(self) -> tuple[float, ...]:
        """The size that each internal scale answers to most, ascending."""
        steps = self.num_scales - 1
        return tuple(self.smallest * self.isr ** (number / steps) for number in range(self.num_scales))


def strengths(sizes: Array, scales: Sequence[float], width: float) -> Array:
    """How strongly internal scales answer to objects: ``[N] -> [S, N]``, 1 at a scale's own size.

    Args:
        sizes: of the objects, shape (N,).
        scales: the size that each internal scale answers to most; S of them.
        width: tolerance in octaves.

    Raises:
        InvalidArgument: a size, a scale or the width is not above 0.
    """
    import numpy as np

    sizes, centres = np.asarray(sizes, dtype=float), np.asarray(scales, dtype=float)
    if not (width > 0 and (sizes > 0).all() and (centres > 0).all()):
        raise InvalidArgument("sizes, internal scales and the tolerance must all be above 0.")
    octaves = np.log2(sizes) - np.log2(centres)[:, None]
    return np.exp(-(octaves**2) / (2 * width**2))


def shares(sizes: Array, scales: Sequence[float], width: float) -> Array:
    """Which part of the answer to an object each internal scale has: ``[N] -> [S, N]``, 1 in sum over the scales."""
    import numpy as np

    octaves = np.log2(np.asarray(sizes)) - np.log2(np.asarray(scales))[:, None]
    weights = -(octaves**2) / (2 * width**2)
    # Far from all scales every strength is 0 in floating point; their ratios are not.
    found = np.exp(weights - weights.max(0))
    return found / found.sum(0)


def softened(distribution: str, low: float, high: float, sizes: Array, softness: float = SOFTNESS) -> Array:
    """The density of objects over log2 of their size, up to a factor; its ends fade out over `softness` octaves."""
    import numpy as np

    inside = object_scales.density(distribution, low, high, np.clip(sizes, low, high))
    beyond = np.log2(sizes / np.clip(sizes, low, high))
    return inside * np.exp(-(beyond**2) / (2 * softness**2))


def fit(
    ranges: Sequence[tuple[float, float]],
    *,
    num_scales: int = 3,
    distribution: str = "loguniform",
    softness: float = SOFTNESS,
) -> list[Tolerance]:
    """The internal scales that suit each range of object sizes best; the tolerance is one for all.

    Minimises the sum over the ranges of KL(P || Q), P the strengths together and Q the `softened` sizes, both
    normalised between `LOWEST` and `HIGHEST`, with an ISR of at least 1.5 and a tolerance of at least 0.1 octaves.

    Args:
        ranges: smallest and largest size of each.
        num_scales: internal scales, at least 2.
        distribution: of the sizes within the range, see `benchmark.studies.object_scales`.
        softness: of the ends, in octaves.

    Raises:
        InvalidArgument: a single scale, no range, or one that the distribution does not take or has no extent.
    """
    import numpy as np
    from scipy.optimize import minimize

    if num_scales < 2:
        raise InvalidArgument(f"an internal scale range needs at least 2 scales, not {num_scales}.")
    if not ranges:
        raise InvalidArgument("give at least one range of object sizes.")
    for low, high in ranges:
        object_scales.check(distribution, low, high)
        if low == high:
            raise InvalidArgument(f"objects of the one size {low:g} have no range for internal scales to fit.")
    lowest, highest = min(LOWEST, *(low / 2 for low, _ in ranges)), max(HIGHEST, *(2 * high for _, high in ranges))
    sizes = np.geomspace(lowest, highest, _POINTS)
    wanted = [softened(distribution, low, high, sizes, softness) for low, high in ranges]
    logarithms = [np.log(np.maximum(density / density.sum(), 1e-100)) for density in wanted]

    def unpack(parameters: Array) -> list[Tolerance]:
        smallest, isrs, width = np.split(np.asarray(parameters), [len(ranges), 2 * len(ranges)])
        pairs = zip(smallest, isrs, strict=True)
        return [Tolerance(float(sigma), float(isr), float(width[0]), num_scales) for sigma, isr in pairs]

    def divergence(parameters: Array) -> float:
        total = 0.0
        for found, log_q in zip(unpack(parameters), logarithms, strict=True):
            p = strengths(sizes, found.scales, found.width).sum(0)
            p = p / p.sum()
            total += float((p * (np.log(np.maximum(p, 1e-300)) - log_q)).sum())
        return total

    count = len(ranges)
    start = [low for low, _ in ranges] + [max(2.0, high / low * 0.8) for low, high in ranges] + [0.5]
    bounds = [(lowest, highest)] * count + [(1.5, highest / lowest)] * count + [(0.1, 4.0)]
    return unpack(minimize(divergence, start, method="L-BFGS-B", bounds=bounds).x)
