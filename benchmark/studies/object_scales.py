"""How the sizes of objects are distributed over a range: what MNIST-range draws from and figures show."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from siconvnet.errors import InvalidArgument, UnknownName

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Quantiles = Callable[[Array, float, float], Array]

#: Standard deviations from the middle of a normal distribution to either end of its range, where it is cut off.
CUT = 3.0


def _loguniform(u: Array, low: float, high: float) -> Array:
    return low * (high / low) ** u


def _uniform(u: Array, low: float, high: float) -> Array:
    return low + (high - low) * u


def _normal(u: Array, low: float, high: float) -> Array:
    from scipy.special import ndtr, ndtri

    outside = ndtr(-CUT)
    return (low + high) / 2 + (high - low) / (2 * CUT) * ndtri(outside + (1 - 2 * outside) * u)


def _fixed(u: Array, low: float, high: float) -> Array:
    return 0 * u + low


_QUANTILES: Mapping[str, Quantiles] = MappingProxyType(
    {"loguniform": _loguniform, "uniform": _uniform, "normal": _normal, "fixed": _fixed}
)
DISTRIBUTIONS = tuple(_QUANTILES)


def check(distribution: str, low: float, high: float) -> None:
    """Refuse a distribution that is none, or that the range contradicts.

    Raises:
        UnknownName: no such distribution.
        InvalidArgument: a range of one scale for a distribution over many, or the other way round.
    """
    if distribution not in _QUANTILES:
        raise UnknownName("distribution", distribution, DISTRIBUTIONS)
    if (low == high) != (distribution == "fixed"):
        asked = "one scale, as in --scale-range 2" if distribution == "fixed" else "two different scales, as in 1,8"
        raise InvalidArgument(f"the distribution {distribution!r} takes {asked}, not {low:g},{high:g}.")


def draw(distribution: str, low: float, high: float, count: int, seed: tuple[int, ...]) -> Array:
    """So many scales, the same for a seed on every machine."""
    import numpy as np

    check(distribution, low, high)
    u = np.random.Generator(np.random.PCG64(seed)).random(count)
    return _QUANTILES[distribution](u, low, high)


def density(distribution: str, low: float, high: float, scales: Array) -> Array:
    """The density over the logarithm (base 2) of the scales, 0 outside the range."""
    import numpy as np

    check(distribution, low, high)
    inside = (scales >= low) & (scales <= high)
    if distribution == "loguniform":
        values = np.full_like(scales, 1 / math.log2(high / low))
    elif distribution == "uniform":
        values = scales * math.log(2) / (high - low)
    elif distribution == "normal":
        spread = (high - low) / (2 * CUT)
        gauss = np.exp(-((scales - (low + high) / 2) ** 2) / 2 / spread**2) / spread / math.sqrt(2 * math.pi)
        values = gauss * scales * math.log(2) / math.erf(CUT / math.sqrt(2))
    else:
        return np.zeros_like(scales)
    return np.where(inside, values, 0.0)
