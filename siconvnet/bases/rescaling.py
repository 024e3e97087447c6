"""How well convolution and rescaling commute, in closed form.

Sosnovik, Moskalev, Smeulders, "DISCO: accurate Discrete Scale Convolutions", BMVC 2021, equation 7: a kernel family
kappa_s is scale-equivariant where

    D_r(f * kappa_j) = (D_r f) * kappa_i,        r = s_j / s_i,

with D_r the bicubic downscaling by r. Both sides are linear in the image f. For images of independent pixels with
mean m and variance v, the expected squared norm of their difference is therefore a quadratic form in the kernels;
and since bicubic rescaling treats rows and columns alike, its matrices are Kronecker squares of matrices of one
dimension. No image needs to be drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from siconvnet.errors import InvalidArgument

IMAGE_SIZE = 154
"""Side in pixels of the published random images; it sets how many output pixels each pair of scales has."""

PIXEL_MEAN, PIXEL_VARIANCE = 1 / 2, 1 / 12
"""Of the published random images, which are uniform in 0..1."""


def bicubic(distance: Tensor) -> Tensor:
    """The weight of a sample at that distance in pixels: Keys' kernel with a = -0.75, as in torch's bicubic mode."""
    a, d = -0.75, distance.abs()
    near = ((a + 2) * d - (a + 3)) * d**2 + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))


@dataclass(frozen=True)
class PairForm:
    """The expected squared error of one pair of scales as a quadratic form in the kernels.

    With k the larger scale's kernel and h the smaller one's, both flattened, it is

        v (k' (L x L) k - 2 h' (C x C) k + h' (S x S) h) + (m n)^2 (sum k - sum h)^2

    where x is the Kronecker product and n the number of output pixels along a side.

    Attributes:
        larger: L, shape (size, size).
        cross: C, shape (size, size); smaller kernel first.
        smaller: S, shape (size, size).
        pixels: n.
    """

    larger: Tensor
    cross: Tensor
    smaller: Tensor
    pixels: int

    def blocks(self) -> tuple[Tensor, Tensor, Tensor]:
        """The matrices of k'k, h'k and h'h, each (size^2, size^2), with the signs left out."""
        mean = (PIXEL_MEAN * self.pixels) ** 2
        larger, cross, smaller = (
            PIXEL_VARIANCE * torch.kron(m, m) + mean for m in (self.larger, self.cross, self.smaller)
        )
        return larger, cross, smaller

    def error(self, small: Tensor, large: Tensor) -> Tensor:
        """Expected squared norm of the difference for each function; kernels (..., size, size) -> (...)."""
        mean = (PIXEL_MEAN * self.pixels * (large.sum((-2, -1)) - small.sum((-2, -1)))) ** 2
        noise = (
            _form(large, self.larger, large) - 2 * _form(small, self.cross, large) + _form(small, self.smaller, small)
        )
        return (PIXEL_VARIANCE * noise + mean).clamp_min(0)

    def signal(self, large: Tensor) -> Tensor:
        """Expected squared norm of the downscaled response of the larger kernel; (..., size, size) -> (...)."""
        mean = (PIXEL_MEAN * self.pixels * large.sum((-2, -1))) ** 2
        return PIXEL_VARIANCE * _form(large, self.larger, large) + mean


def _form(left: Tensor, matrix: Tensor, right: Tensor) -> Tensor:
    return (left * (matrix @ right @ matrix.mT)).sum((-2, -1))


def pair_form(size: int, ratio: float, image_size: int = IMAGE_SIZE) -> PairForm:
    """The quadratic form of a pair of scales.

    Args:
        size: side of the kernels in pixels, odd.
        ratio: larger scale / smaller scale, at least 1.
        image_size: side of the images in pixels; enlarged where the border would leave no output.

    Raises:
        InvalidArgument: the ratio is below 1.
    """
    if ratio < 1:
        raise InvalidArgument(f"the ratio of two scales must be at least 1, not {ratio:g}.")
    crop = size // 2 + 1
    image_size = max(image_size, math.ceil(4 * crop * ratio))
    outputs = torch.arange(crop, math.floor(image_size / ratio) - crop, dtype=torch.float64)
    phase = (outputs + 0.5) * ratio - 0.5
    phase = (phase - phase.floor())[:, None, None]
    taps = torch.arange(size, dtype=torch.float64) - size // 2
    reach = math.ceil(ratio * (size // 2)) + 2
    inputs = torch.arange(-reach, reach + 2, dtype=torch.float64)[:, None]
    conv_then_scale = bicubic(phase - inputs + taps).flatten(0, 1)
    scale_then_conv = bicubic(phase - inputs + ratio * taps).flatten(0, 1)
    return PairForm(
        conv_then_scale.mT @ conv_then_scale,
        scale_then_conv.mT @ conv_then_scale,
        scale_then_conv.mT @ scale_then_conv,
        len(outputs),
    )


def basis_equivariance_error(basis: Tensor, scales: Sequence[float]) -> Tensor:
    """The relative equivariance error of a basis, for each pair of its scales.

    Delta = E ||D(f * kappa_j) - (D f) * kappa_i||^2 / E ||D(f * kappa_j)||^2 over random images f and over kernels
    kappa that are random mixtures of the basis functions.

    Args:
        basis: shape (num_funcs, num_scales, size, size).
        scales: the scales of the basis, ascending.

    Returns:
        Shape (num_scales, num_scales), float64: [i, j] for i < j; zero elsewhere.
    """
    basis = basis.double()
    errors = torch.zeros(len(scales), len(scales), dtype=torch.float64)
    for i, j in scale_pairs(len(scales)):
        form = pair_form(basis.shape[-1], scales[j] / scales[i])
        errors[i, j] = form.error(basis[:, i], basis[:, j]).sum() / form.signal(basis[:, j]).sum()
    return errors


def scale_pairs(num_scales: int) -> list[tuple[int, int]]:
    """All pairs (i, j) with i < j."""
    return [(i, j) for i in range(num_scales) for j in range(i + 1, num_scales)]
