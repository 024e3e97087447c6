"""What internal scales may start from, as data.

See `siconvnet.layers.LearnableScales`. Importing this loads nothing heavy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from siconvnet.errors import InvalidArgument, UnknownName

SMALLEST = 0.5
"""Pixels; below it a Gaussian is a single pixel and its derivatives are noise."""


@dataclass(frozen=True)
class Freedom:
    """What a parameterisation leaves open.

    Attributes:
        learned: whether there is anything to learn.
        has_sigma: whether the smallest scale is a parameter by itself, which may be learned or not.
    """

    learned: bool = True
    has_sigma: bool = True


PARAMETERISATIONS: Mapping[str, Freedom] = MappingProxyType(
    {
        "isr": Freedom(),
        "spacing": Freedom(),
        "direct": Freedom(has_sigma=False),
        "fixed": Freedom(learned=False, has_sigma=False),
        "isr_leaky": Freedom(),
        "spacing_linear": Freedom(),
    }
)


@dataclass(frozen=True)
class Start:
    """Where scales start: the smallest in pixels, and the internal scale range, largest over smallest.

    `side` is that of the images whose scales they are, in pixels; None where it is the canvas of a run.
    """

    sigma: float
    isr: float
    side: int | None = None


def find_freedom(name: str) -> Freedom:
    """What the parameterisation `name` leaves open.

    Raises:
        UnknownName: there is none; the message suggests the nearest.
    """
    if not isinstance(name, str) or name not in PARAMETERISATIONS:
        raise UnknownName("parameterisation", name, PARAMETERISATIONS)
    return PARAMETERISATIONS[name]


def check_start(num_scales: int, parameterisation: str, sigma: float, isr: float, learn_sigma: bool | None) -> None:
    """Refuse what no scales can start from; see `siconvnet.layers.LearnableScales`.

    Raises:
        UnknownName, InvalidArgument: with the first thing that is wrong.
    """
    freedom = find_freedom(parameterisation)
    if num_scales < 2 or num_scales != int(num_scales):
        raise InvalidArgument(f"an internal scale range needs a whole number of scales, at least 2, not {num_scales}.")
    if not (math.isfinite(sigma) and sigma >= SMALLEST):
        raise InvalidArgument(f"sigma {sigma:g} is not accepted: the smallest scale is at least {SMALLEST:g} pixels.")
    if not (math.isfinite(isr) and isr > 1):
        raise InvalidArgument(
            f"ISR {isr:g} is not accepted: the largest internal scale over the smallest must be above 1."
        )
    if learn_sigma is True and not freedom.learned:
        raise InvalidArgument(f"the parameterisation {parameterisation!r} learns nothing, not sigma either.")
    if learn_sigma is False and freedom.learned and not freedom.has_sigma:
        raise InvalidArgument(
            f"the parameterisation {parameterisation!r} learns every scale, the smallest too; sigma cannot stay fixed."
        )


def ceiling(side: int) -> int:
    """The side in pixels that kernels may grow to on images of `side`: what is further out than the image is wide
    sees nothing of it."""
    return 2 * side - 1


def check_largest(scale: float, kernel_size: int) -> None:
    """Refuse a largest scale at the start of which kernels of `kernel_size` pixels hold less than one on either side.

    Raises:
        InvalidArgument: it is larger.
    """
    if scale > kernel_size / 2:
        raise InvalidArgument(
            f"the largest internal scale would start at {scale:.3g} pixels, and the canvas holds no more than "
            f"{kernel_size / 2:g}; a smaller sigma or ISR fits."
        )
