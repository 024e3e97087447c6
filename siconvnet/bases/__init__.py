"""Steerable bases by name: `make_basis("hermite_b", size=15, scales=[2, 2.52, 3.17, 4], effective_size=7)`.

A basis is a pure function ``f(size, scales, effective_size, **options) -> Tensor`` of shape
(effective_size^2, num_scales, size, size), float64. Listing them imports nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.registry import load_target

if TYPE_CHECKING:
    from torch import Tensor

BASES = {
    "hermite_a": "siconvnet.bases.hermite:hermite_a",
    "hermite_b": "siconvnet.bases.hermite:hermite_b",
    "disco_a": "siconvnet.bases.disco:disco_a",
    "disco_b": "siconvnet.bases.disco:disco_b",
    "bspline": "siconvnet.bases.bspline:bspline",
    "fourier_bessel": "siconvnet.bases.fourier_bessel:fourier_bessel",
    "lr_harmonics": "siconvnet.bases.lr_harmonics:lr_harmonics",
}


class BasisOptions(TypedDict, total=False):
    """What bases take besides scales and sizes; which of them a basis takes is in its signature."""

    mult: float
    max_order: int
    min_scale: float
    smallest_scale: float
    num_rotations: int
    sigma: float


def list_bases() -> list[str]:
    """The names of the bases, in the order in which the papers compare them."""
    return list(BASES)


def make_basis(name: str, size: int, scales: Sequence[float], effective_size: int, **options: object) -> Tensor:
    """Build a basis.

    Args:
        name: one of `list_bases()`.
        size: side of the kernel in pixels, odd.
        scales: the scales, ascending; any sequence of numbers, an array or a tensor too.
        effective_size: side of the ordinary kernel with as many weights.
        options: what that basis takes besides, for example `mult` and `max_order`.

    Returns:
        Shape (effective_size^2, len(scales), size, size), float64, on the CPU whatever torch's default device.

    Raises:
        UnknownName: there is no such basis.
        InvalidArgument: an option that the basis does not take, or a value outside what is accepted.
    """
    import torch

    if name not in BASES:
        raise UnknownName("basis", name, BASES)
    function = load_target(BASES[name])
    accepted = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    if unknown := [option for option in options if option not in accepted]:
        takes = f"takes {', '.join(accepted)}" if accepted else "takes no options"
        raise InvalidArgument(f"the basis {name!r} {takes}, not {', '.join(unknown)}.")
    with torch.device("cpu"):
        return function(size, tuple(float(scale) for scale in scales), effective_size, **options)
