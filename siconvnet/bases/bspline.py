"""B-splines on a grid, as Bekkers' B-spline CNNs use them and DISCO compares against.

Bekkers, "B-Spline CNNs on Lie Groups", ICLR 2020; Sosnovik, Moskalev, Smeulders, BMVC 2021, section 5. The cardinal
B-spline of degree n is

    B_n(x) = 1/n! sum_k (-1)^k C(n + 1, k) (x + (n + 1)/2 - k)_+^n .

A kernel's support is the square [-1, 1]^2, whatever its side in pixels. Each function is B_n(m (x - a)) B_n(m (y - b)),
its centre (a, b) on a regular grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from siconvnet.bases.common import check_arguments, normalize_by_min_scale, stack_scales
from siconvnet.errors import InvalidArgument

MAX_DEGREE = 9
"""Beyond it the alternating sum loses too many digits, and the functions are Gaussians anyway."""


def cardinal_bspline(x: Tensor, degree: int) -> Tensor:
    """B_n(x), elementwise; degree 0 is 1/2 at its two edges."""
    half = (degree + 1) / 2
    total = torch.zeros_like(x)
    for k in range(degree + 2):
        shifted = x + half - k
        # 0^0 counts half, so that a degree of 0 is symmetric.
        power = (1 + shifted.sign()) / 2 if degree == 0 else shifted.clamp_min(0) ** degree
        total += (-1) ** k * math.comb(degree + 1, k) * power
    return torch.where(x.abs() <= half, total / math.factorial(degree), 0.0)


def bspline(
    size: int, scales: Sequence[float], effective_size: int, *, mult: float = 2.0, max_order: int = 2
) -> Tensor:
    """B-spline basis.

    Args:
        size: side of the kernel in pixels, odd.
        scales: the scales, positive and ascending; the smallest one sets how far the grid of centres reaches (1: to
            the edge of the support) and, with it, the width of the splines.
        effective_size: centres along a side.
        mult: how much narrower the splines are than that reach.
        max_order: degree of the splines, 0 to 9.

    Returns:
        Shape (effective_size^2, len(scales), size, size), float64; unit norm at the smallest scale. The centre
        along the rows of the image changes fastest.

    Raises:
        InvalidArgument: an argument outside what is accepted.
    """
    check_arguments(size, scales, effective_size)
    if not mult > 0:
        raise InvalidArgument(f"mult must be positive, not {mult:g}.")
    if not 0 <= max_order <= MAX_DEGREE:
        raise InvalidArgument(f"the degree of the B-splines must lie in 0..{MAX_DEGREE}, not {max_order}.")
    centres = scales[0] * torch.linspace(-1, 1, effective_size, dtype=torch.float64)

    def sample(side: int, scale: float) -> Tensor:
        x = torch.linspace(-1, 1, side, dtype=torch.float64)
        splines = cardinal_bspline((x - centres[:, None]) * mult / scales[0], max_order)
        return torch.einsum("bx,ay->abxy", splines, splines).flatten(0, 1) / scale**2

    return normalize_by_min_scale(stack_scales(size, scales, sample))
