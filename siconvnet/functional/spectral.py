"""Correlation with rescaled kernels in the frequency domain.

A kernel rescaled to side t is ``U w U^T`` (`interpolation_matrix`), so its spectrum is ``(F U) w (F U)^T``: two small
matrix products, whatever t. One transform of the input serves all scales and channels. A transform as long as the
input is enough, because the valid outputs are those that do not wrap around; and because only those are wanted, the
transform back is two matrix products with the rows that are wanted, fewer as kernels grow.

Layouts put frequencies and pixels first and channels last, so that every step is one matrix product over a contiguous
last axis: input spectra ``[Fy, Fx, B, C]``, kernel spectra ``[Fy, Fx, C, C']``, maps ``[P, Q, N]``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from siconvnet.functional.constants import cached_constant
from siconvnet.functional.geometry import Geometry, Span
from siconvnet.functional.interpolation import interpolation_matrix


@dataclass(frozen=True)
class Axis:
    """Constant complex matrices of one scale along one axis.

    Attributes:
        kernel: ``[F, k]``, kernel taps to the conjugate spectrum of the rescaled kernel.
        kernel_adjoint: ``[k, F]``, from a cross-spectrum to the taps, with the weights of a half spectrum.
        inverse: ``[P, F]``, spectrum to outputs.
        forward: ``[F, P]``, outputs to spectrum.
    """

    kernel: Tensor
    kernel_adjoint: Tensor
    inverse: Tensor
    forward: Tensor


def axes(geometry: Geometry, scale: int, like: Tensor) -> tuple[Axis, Axis]:
    """The matrices of `scale` for rows and columns, in the precision and on the device of `like`."""
    rows, columns = geometry.spans(scale)
    shared = (geometry.kernel_size, geometry.size(scale), geometry.mode, geometry.stride)
    dtype = complex_dtype(like)
    return (
        axis(geometry.height, False, rows, *shared, dtype, like.device),
        axis(geometry.width, True, columns, *shared, dtype, like.device),
    )


def unscaled_axes(height: int, width: int, kernel_size: int, like: Tensor) -> tuple[Axis, Axis]:
    """The matrices of kernels that keep their size, for all valid outputs."""
    # Resizing k to k by the nearest neighbour is the identity.
    shared = (kernel_size, kernel_size, "nearest", 1, complex_dtype(like), like.device)
    return (
        axis(height, False, Span(0, height - kernel_size + 1, 0), *shared),
        axis(width, True, Span(0, width - kernel_size + 1, 0), *shared),
    )


def complex_dtype(like: Tensor) -> torch.dtype:
    return torch.complex128 if like.dtype == torch.float64 else torch.complex64


@cached_constant
def axis(
    length: int,
    half: bool,
    span: Span,
    kernel_size: int,
    size: int,
    mode: str,
    stride: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Axis:
    """The matrices for an input axis of `length` pixels; `half` where a real transform keeps half the spectrum."""
    # Of a half spectrum all frequencies but the self-conjugate ones stand for two.
    frequencies = torch.arange(length // 2 + 1 if half else length)
    weights = torch.ones(len(frequencies), dtype=torch.float64) / length
    if half:
        weights[1 : (length + 1) // 2] *= 2
    outputs = span.first + stride * torch.arange(span.count)
    resize = interpolation_matrix(kernel_size, size, mode) * (kernel_size / size)
    kernel = _waves(frequencies, torch.arange(size), length) @ resize.to(torch.complex128)
    waves = _waves(outputs, frequencies, length)
    matrices = kernel, kernel.T * weights, waves * weights, waves.conj().T
    return Axis(*(matrix.to(device, dtype).contiguous() for matrix in matrices))


def _waves(rows: Tensor, columns: Tensor, length: int) -> Tensor:
    """``exp(2 pi i r c / length)``; the product is reduced as an integer, so that no digit is lost in the angle."""
    angle = torch.outer(rows, columns).remainder(length).to(torch.float64) * (2 * math.pi / length)
    return torch.polar(torch.ones_like(angle), angle)


def input_spectrum(x: Tensor) -> Tensor:
    """``[B, C, H, W] -> [H, W // 2 + 1, B, C]``."""
    return torch.fft.rfft2(x).permute(2, 3, 0, 1).contiguous()


def input_from_spectrum(spectrum: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `input_spectrum`."""
    return torch.fft.irfft2(spectrum.permute(2, 3, 0, 1), s=(height, width))


def kernel_spectrum(weight: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Conjugate spectra of the rescaled kernels: ``[C', C, k, k] -> [Fy, Fx, C, C']``."""
    out_channels, in_channels, k, _ = weight.shape
    taps = weight.permute(2, 3, 1, 0).reshape(k, -1).to(rows.kernel.dtype)
    spectrum = columns.kernel @ (rows.kernel @ taps).view(-1, k, in_channels * out_channels)
    return spectrum.unflatten(2, (in_channels, out_channels))


def kernel_gradient(spectrum: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """From the cross-spectrum of input and output gradient to the kernel's: ``[Fy, Fx, C, C'] -> [C', C, k, k]``."""
    height, half, in_channels, out_channels = spectrum.shape
    half_way = (rows.kernel_adjoint @ spectrum.reshape(height, -1)).view(-1, half, in_channels * out_channels)
    return (columns.kernel_adjoint @ half_way).real.unflatten(2, (in_channels, out_channels)).permute(3, 2, 0, 1)


def maps_from_spectrum(spectrum: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """The outputs of one scale: ``[Fy, Fx, N] -> [P, Q, N]``."""
    height, half, maps = spectrum.shape
    return (columns.inverse @ (rows.inverse @ spectrum.reshape(height, -1)).view(-1, half, maps)).real


def maps_to_spectrum(maps: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """The spectrum of an image that holds `maps` at the outputs of one scale: ``[P, Q, N] -> [Fy, Fx, N]``."""
    half_way = columns.forward @ maps.to(columns.forward.dtype)
    return (rows.forward @ half_way.flatten(1)).unflatten(1, half_way.shape[1:])
