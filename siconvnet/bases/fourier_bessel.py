"""Fourier-Bessel functions: harmonics of the disc, as in decomposed scaling-equivariant filters.

Zhu, Qiu, Calderbank, Sapiro, Cheng, "Scaling-Translation-Equivariant Networks with Decomposed Convolutional Filters",
2019; compared in Sosnovik, Moskalev, Smeulders, BMVC 2021, section 5. On the disc of radius R

    psi_kq(r, t) = J_k(z_kq r / R) / |J_{k+1}(z_kq)| * {1, sqrt 2 cos k t, sqrt 2 sin k t},

with z_kq the q-th positive zero of the Bessel function J_k: orthogonal functions of equal norm that vanish on the rim.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.special
import torch
from torch import Tensor

from siconvnet.bases.common import check_arguments, normalize_by_min_scale, stack_scales


def lowest_modes(num_funcs: int) -> list[tuple[int, float, str]]:
    """The `num_funcs` functions of lowest frequency: (angular order k, zero z_kq, "cos" or "sin")."""
    # About z^2 / 4 functions lie below the frequency z, and the first zero of J_k lies above k.
    bound = math.ceil(2 * math.sqrt(num_funcs)) + 4
    zeros = sorted((zero, k) for k in range(bound) for zero in scipy.special.jn_zeros(k, bound))
    modes = [(k, zero, wave) for zero, k in zeros for wave in (("cos", "sin") if k else ("cos",))]
    return modes[:num_funcs]


def fourier_bessel_functions(num_funcs: int, radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """The functions of lowest frequency on the unit disc, zero outside.

    Args:
        num_funcs: how many.
        radius: distances from the centre, any shape.
        angle: angles in radians, the same shape.

    Returns:
        Shape (num_funcs, *radius.shape); each has squared norm pi on the disc.
    """
    functions = []
    for k, zero, wave in lowest_modes(num_funcs):
        radial = scipy.special.jv(k, zero * radius) / abs(scipy.special.jv(k + 1, zero))
        angular = getattr(np, wave)(k * angle) * (math.sqrt(2) if k else 1)
        functions.append(np.where(radius < 1, radial * angular, 0))
    return np.stack(functions)


def fourier_bessel(size: int, scales: Sequence[float], effective_size: int) -> Tensor:
    """Fourier-Bessel basis.

    Args:
        size: side of the kernel in pixels, odd.
        scales: the scales, positive and ascending: at scale s the disc has the radius s * size / 2 pixels, of which the
            support of that scale is cut out.
        effective_size: side of the ordinary kernel with as many weights.

    Returns:
        Shape (effective_size^2, len(scales), size, size), float64; unit norm at the smallest scale.

    Raises:
        InvalidArgument: an argument outside what is accepted.
    """
    check_arguments(size, scales, effective_size)

    def sample(side: int, scale: float) -> Tensor:
        pixels = (np.arange(side) - side // 2) / (size / 2 * scale)
        rows, columns = np.meshgrid(pixels, pixels, indexing="ij")
        radius, angle = np.hypot(rows, columns), np.arctan2(columns, rows)
        return torch.from_numpy(fourier_bessel_functions(effective_size**2, radius, angle)) / scale**2

    return normalize_by_min_scale(stack_scales(size, scales, sample))
