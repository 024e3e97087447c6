"""Plain convolution with large kernels in the frequency domain."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional import spectral

# What a multiply-add costs here, relative to one in a direct convolution. Over 17 shapes from 5x5 to 33x33 on an x86
# CPU it was 1.9 to 4.1 forward with matrix products, and 3 to 6 with fast transforms. Backward it was 1.9 to 2.6 up to
# 13x13, and 0.1 to 1.4 from 15x15 on, where the direct computation falls behind.
FORWARD_COST = 4.0
_BACKWARD_COST, _BACKWARD_COST_LARGE, _LARGE = 2.5, 0.6, 15

# The spectra of many kernels are read for few images: the products wait for memory. From 128 x 128 channels on this was
# 0.3 to 0.7 times as fast as a direct convolution with 4 images, and 1.2 to 2.4 times with 16 to 64.
_FEW, _WIDE = 16, 128 * 128


def backward_cost(kernel_size: int) -> float:
    """The relative cost of a multiply-add in the backward pass."""
    return _BACKWARD_COST if kernel_size < _LARGE else _BACKWARD_COST_LARGE


def prefers_spectral(
    x_shape: torch.Size, weight_shape: torch.Size, padding: int, groups: int, relative_cost: float
) -> bool:
    """Whether fewer operations in the frequency domain outweigh their lower rate."""
    batch, _, height, width = x_shape
    out_channels, in_group, k, _ = weight_shape
    if batch < _FEW and out_channels * in_group >= _WIDE:
        return False
    # Direct convolutions leave out the taps that fall on padding: of a 13 x 13 kernel on a 7 x 7 map all but 29 %.
    direct = batch * out_channels * in_group * _taps(height, k, padding) * _taps(width, k, padding)
    height, width = height + 2 * padding, width + 2 * padding
    length, half = spectral.transform_length(height), spectral.transform_length(width) // 2 + 1
    # Complex multiply-adds count as four: mixing of channels, kernels' spectra, and the transform back.
    mixing = 4 * length * half * out_channels * in_group * batch
    kernels = 4 * k * (k + half) * length * out_channels * in_group
    back = 4 * spectral.maps_cost(height - k + 1, width - k + 1, height, width) * batch * out_channels
    return relative_cost * (mixing + kernels + back) < direct


@functools.lru_cache(maxsize=1024)
def _taps(length: int, kernel_size: int, padding: int) -> int:
    """How many taps of all outputs along an axis fall on the input and not on its padding."""
    firsts = range(-padding, length + padding - kernel_size + 1)
    return sum(min(first + kernel_size, length) - max(first, 0) for first in firsts)


def _grouped_spectrum(x: Tensor, groups: int) -> Tensor:
    """``[B, G C, H, W] -> [Fy, Fx, G, B, C]``."""
    return spectral.input_spectrum(x).unflatten(3, (groups, -1)).transpose(2, 3)


def _kernel_spectrum(weight: Tensor, groups: int, axes: tuple[spectral.Axis, spectral.Axis]) -> Tensor:
    """``[G C', C, k, k] -> [Fy, Fx, G, C, C']``."""
    spectrum = spectral.kernel_spectrum(weight, *axes)
    return spectrum.unflatten(3, (groups, -1)).transpose(2, 3)


def convolve(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Valid cross-correlation without bias: ``[B, C, H, W] -> [B, C', H', W']``.

    Where the taps of all kernels of a group meet nothing but zeros the result is exactly zero, as in a direct
    convolution: over an empty background rounding must not open a ReLU that is closed.
    """
    k, batch = weight.shape[-1], x.shape[0]
    axes = spectral.unscaled_axes(x.shape[2], x.shape[3], k, x)
    product = _grouped_spectrum(x, groups) @ _kernel_spectrum(weight, groups, axes)
    maps = spectral.maps_from_spectrum(product.flatten(2), *axes)
    maps = maps.unflatten(0, (groups, batch, -1)).transpose(0, 1)
    return (maps * _meets_something(x, weight, groups)[:, :, None]).flatten(1, 2).contiguous()


def _meets_something(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Whether any tap of a group's kernels falls on a pixel that is not zero: ``[B, G, H', W']``."""
    pixels = (x != 0).unflatten(1, (groups, -1)).any(2).to(x.dtype)
    taps = (weight != 0).unflatten(0, (groups, -1)).flatten(1, 2).any(1, keepdim=True).to(x.dtype)
    return F.conv2d(pixels, taps, groups=groups) > 0.5


def gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, groups: int, wanted: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of `convolve` with respect to input and weight."""
    axes = spectral.unscaled_axes(x.shape[2], x.shape[3], weight.shape[-1], x)
    maps = gradient.unflatten(1, (groups, -1)).transpose(0, 1)
    spectrum = spectral.maps_to_spectrum(maps.flatten(0, 2), *axes).unflatten(2, maps.shape[:3])
    grad_x = grad_weight = None
    if wanted[0]:
        product = spectrum @ _kernel_spectrum(weight, groups, axes).mH
        grad_x = spectral.input_from_spectrum(product.transpose(2, 3).flatten(3), *x.shape[2:])
    if wanted[1]:
        cross = _grouped_spectrum(x, groups).mT @ spectrum.conj()
        grad_weight = spectral.kernel_gradient(cross.transpose(2, 3).flatten(3), *axes)
    return grad_x, grad_weight
