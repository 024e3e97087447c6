"""Plain convolution with large kernels in the frequency domain."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional import spectral


def _grouped_spectrum(x: Tensor, groups: int, padding: int) -> Tensor:
    """``[B, G C, H, W] -> [Fy, Fx, G, B, C]``."""
    return spectral.input_spectrum(x, padding).unflatten(3, (groups, -1)).transpose(2, 3)


def _kernel_spectrum(weight: Tensor, groups: int, axes: tuple[spectral.Axis, spectral.Axis]) -> Tensor:
    """``[G C', C, k, k] -> [Fy, Fx, G, C, C']``."""
    spectrum = spectral.kernel_spectrum(weight, *axes)
    return spectrum.unflatten(3, (groups, -1)).transpose(2, 3)


def convolve(x: Tensor, weight: Tensor, padding: int, groups: int) -> Tensor:
    """Cross-correlation without bias: ``[B, C, H, W] -> [B, C', H', W']``.

    Where the taps of all kernels of a group meet nothing but zeros the result is exactly zero, as in a direct
    convolution: over an empty background rounding must not open a ReLU that is closed.
    """
    k, batch = weight.shape[-1], x.shape[0]
    axes = spectral.unscaled_axes(x.shape[2], x.shape[3], k, padding, x)
    product = _grouped_spectrum(x, groups, padding) @ _kernel_spectrum(weight, groups, axes)
    maps = spectral.maps_from_spectrum(product.flatten(2), *axes)
    maps = maps.unflatten(0, (groups, batch, -1)).transpose(0, 1)
    return (maps * _meets_something(x, weight, padding, groups)[:, :, None]).flatten(1, 2).contiguous()


def _meets_something(x: Tensor, weight: Tensor, padding: int, groups: int) -> Tensor:
    """Whether any tap of a group's kernels falls on a pixel that is not zero: ``[B, G, H', W']``."""
    pixels = (x != 0).unflatten(1, (groups, -1)).any(2).to(x.dtype)
    taps = (weight != 0).unflatten(0, (groups, -1)).flatten(1, 2).any(1, keepdim=True).to(x.dtype)
    return F.conv2d(pixels, taps, padding=padding, groups=groups) > 0.5


def gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, padding: int, groups: int, wanted: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of `convolve` with respect to input and weight."""
    axes = spectral.unscaled_axes(x.shape[2], x.shape[3], weight.shape[-1], padding, x)
    maps = gradient.unflatten(1, (groups, -1)).transpose(0, 1)
    spectrum = spectral.maps_to_spectrum(maps.flatten(0, 2), *axes).unflatten(2, maps.shape[:3])
    grad_x = grad_weight = None
    if wanted[0]:
        product = spectrum @ _kernel_spectrum(weight, groups, axes).mH
        grad_x = spectral.input_from_spectrum(product.transpose(2, 3).flatten(3), x, padding)
    if wanted[1]:
        cross = _grouped_spectrum(x, groups, padding).mT @ spectrum.conj()
        grad_weight = spectral.kernel_gradient(cross.transpose(2, 3).flatten(3), *axes)
    return grad_x, grad_weight
