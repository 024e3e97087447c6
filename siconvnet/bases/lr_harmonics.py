"""Log-radial harmonics: scale-steerable filters.

Ghosh, Gupta, "Scale Steerable Filters for Locally Scale-Invariant Convolutional Neural Networks", 2019; Naderi, Goli,
Kasaei, "Scale Equivariant CNNs with Scale Steerable Filters", 2020; compared in Sosnovik, Moskalev, Smeulders, BMVC
2021, section 5. With r the distance from the centre over the scale and t the angle,

    psi(r, t) = exp(-d(t, t0)^2 / (2 sigma^2)) / r * {cos, sin}(2 pi k log r / log r_max - pi / 4),

a wedge around the axis at t0 (d is the distance of angles modulo pi) that carries a wave in log r.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from siconvnet.bases.common import check_arguments, normalize_by_min_scale, stack_scales
from siconvnet.errors import InvalidArgument


def log_radial_harmonics(side: int, scale: float, max_order: int, num_rotations: int, sigma: float) -> Tensor:
    """All functions of one scale.

    Args:
        side: side of the support in pixels, odd.
        scale: the unit of the radius, in pixels; below the half diagonal of the support.
        max_order: how many frequencies k: 1/2, 1, 2, 4, ...
        num_rotations: how many axes, from 0 to pi inclusive.
        sigma: width of a wedge in radians.

    Returns:
        Shape (2 max_order num_rotations, side, side): by frequency, then axis, then cosine and sine.
    """
    pixels = torch.arange(side, dtype=torch.float64) - side // 2
    up, right = torch.meshgrid(-pixels, pixels, indexing="ij")
    distance = torch.hypot(up, right)
    # The centre has no angle and an infinite amplitude: it is given the radius of one pixel, as published.
    radius = torch.where(distance == 0, 1.0, distance) / scale
    longest = radius.max().log()
    angle = torch.atan2(right, up)
    functions = []
    for order in range(max_order):
        wave = 2 * math.pi * 2.0 ** (order - 1) * radius.log() / longest - math.pi / 4
        for axis in torch.linspace(0, math.pi, num_rotations, dtype=torch.float64):
            apart = (angle - axis + math.pi / 2).remainder(math.pi) - math.pi / 2
            wedge = torch.exp(-(apart**2) / (2 * sigma**2)) / radius
            functions += [wedge * wave.cos(), wedge * wave.sin()]
    return torch.stack(functions)


def lr_harmonics(
    size: int,
    scales: Sequence[float],
    effective_size: int,
    *,
    max_order: int = 3,
    num_rotations: int = 10,
    sigma: float = 0.3,
) -> Tensor:
    """Log-radial harmonics basis.

    Args:
        size: side of the kernel in pixels, odd.
        scales: the scales, positive and ascending, below the half diagonal of their supports in pixels.
        effective_size: side of the ordinary kernel with as many weights.
        max_order: how many frequencies: 1/2, 1, 2, 4, ...
        num_rotations: how many axes, from 0 to pi inclusive.
        sigma: width of a wedge in radians.

    Returns:
        Shape (effective_size^2, len(scales), size, size), float64; unit norm at the smallest scale.

    Raises:
        InvalidArgument: an argument outside what is accepted, or fewer functions than weights.
    """
    check_arguments(size, scales, effective_size)
    num_funcs, available = effective_size**2, 2 * max_order * num_rotations
    if available < num_funcs:
        raise InvalidArgument(
            f"{max_order} orders at {num_rotations} rotations are {available} functions, but an effective size of"
            f" {effective_size} needs {num_funcs}; raise max_order or num_rotations."
        )
    if not sigma > 0:
        raise InvalidArgument(f"sigma must be positive, not {sigma:g}.")

    def sample(side: int, scale: float) -> Tensor:
        if scale >= math.sqrt(2) * (side // 2):
            raise InvalidArgument(f"scale {scale:g} leaves no room for a wave on {side} x {side} pixels.")
        return log_radial_harmonics(side, scale, max_order, num_rotations, sigma)[:num_funcs] / scale**2

    return normalize_by_min_scale(stack_scales(size, scales, sample))
