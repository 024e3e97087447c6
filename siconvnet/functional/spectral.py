"""Correlation with rescaled kernels in the frequency domain.

A kernel rescaled to side t is ``U w U^T`` (`interpolation_matrix`), so its spectrum is ``(F U) w (F U)^T``: two small
matrix products, whatever t. One transform of the input serves all scales and channels. A transform hardly longer than
the input is enough (`transform_length`), because the valid outputs are those that do not wrap around. Where most of
its outputs are wanted the way back is a fast transform; where kernels have grown so large that few are, it is two
matrix products with the rows that are wanted.

Spectra put frequencies first and channels last, so that channels are mixed by one matrix product for each frequency:
input spectra ``[Fy, Fx, B, C]``, kernel spectra ``[Fy, Fx, C, C']``. Maps put pixels last: ``[N, P, Q]``.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional.constants import cached_constant
from siconvnet.functional.geometry import Geometry, Span
from siconvnet.functional.interpolation import interpolation_matrix

# Transforms of a length with no other prime factors are several times as fast as the next longer or shorter one.
_SMALL_PRIMES = (2, 3, 5)

# The share of a transform's outputs from which a fast one is quicker than a matrix product with the rows of these
# outputs. On an x86 CPU, for lengths of 48 to 96, it was 0.3 to 0.6 back to maps, 0.4 to 0.8 forth along columns, and
# 0.4 to 1.2 forth along rows; the two ways share it, and there are more transforms back.
_FAST_SHARE, _FAST_LENGTH = 0.5, 48

# The complex multiply-adds of such products that take as long as fast transforms along both axes, for each frequency.
# From 60 to 96 pixels this was 37 to 52.
_FAST_COST = 50


@dataclass(frozen=True)
class Axis:
    """One scale along one axis, with constant complex matrices.

    Attributes:
        kernel: ``[F, k]``, kernel taps to the conjugate spectrum of the rescaled kernel.
        kernel_adjoint: ``[k, F]``, from a cross-spectrum to the taps, with the weights of a half spectrum.
        inverse: ``[P, F]``, spectrum to outputs; none where a fast transform does it.
        forward: ``[F, P]``, outputs to spectrum; none where a fast transform does it.
        outputs: where a fast transform has the P adjacent places that are wanted.
        length: of the transform, in pixels.
    """

    kernel: Tensor
    kernel_adjoint: Tensor
    inverse: Tensor | None
    forward: Tensor | None
    outputs: slice
    length: int


def is_fast(outputs: int, length: int) -> bool:
    """Whether a fast transform gives so many adjacent outputs sooner than a matrix product."""
    return length >= _FAST_LENGTH and outputs > _FAST_SHARE * length


def maps_cost(rows: int, columns: int, height: int, width: int, stride: int) -> int:
    """Complex multiply-adds, or what takes as long, from the spectrum of a map to rows and columns of it.

    Args:
        rows, columns: how many are wanted.
        height, width: lengths of the transform.
        stride: of the rows and columns that are wanted.
    """
    half = width // 2 + 1
    if stride == 1 and is_fast(rows, height) and is_fast(columns, width):
        return _FAST_COST * height * half
    return (height + columns) * rows * half


@functools.cache
def transform_length(side: int) -> int:
    """The smallest even length from `side` on that is a product of small primes."""
    length = side + side % 2
    while not _is_smooth(length):
        length += 2
    return length


def _is_smooth(length: int) -> bool:
    for prime in _SMALL_PRIMES:
        while length > 1 and length % prime == 0:
            length //= prime
    return length <= 1


def axes(geometry: Geometry, scale: int, like: Tensor) -> tuple[Axis, Axis]:
    """Those of `scale` for rows and columns, in the precision and on the device of `like`.

    In a transform, which is periodic, the zeros of padding behind the input serve for those before it as well.
    """
    shared = (geometry.kernel_size, geometry.mode, complex_dtype(like), like.device)

    def along(side: int, half: bool, span: Span) -> Axis:
        outputs = range(0, geometry.stride * span.count, geometry.stride)
        taps = range(span.first, span.first + geometry.size(scale))
        return axis(transform_length(side + geometry.padding), half, outputs, taps, *shared)

    rows, columns = geometry.spans(scale)
    return along(geometry.height, False, rows), along(geometry.width, True, columns)


def unscaled_axes(height: int, width: int, kernel_size: int, padding: int, like: Tensor) -> tuple[Axis, Axis]:
    """Those of kernels that keep their size, for all outputs; with `padding` zeros around the input."""
    # Resizing k to k by the nearest neighbour is the identity.
    taps = range(-padding, kernel_size - padding)
    shared = (taps, kernel_size, "nearest", complex_dtype(like), like.device)

    def along(side: int, half: bool) -> Axis:
        return axis(transform_length(side + padding), half, range(side + 2 * padding - kernel_size + 1), *shared)

    return along(height, False), along(width, True)


def complex_dtype(like: Tensor) -> torch.dtype:
    return torch.complex128 if like.dtype == torch.float64 else torch.complex64


@cached_constant
def axis(
    length: int,
    half: bool,
    outputs: range,
    taps: range,
    kernel_size: int,
    mode: str,
    dtype: torch.dtype,
    device: torch.device,
) -> Axis:
    """The axis of a transform of `length` pixels; `half` where a real transform keeps half the spectrum.

    Args:
        outputs: the places of the transform that are wanted.
        taps: the pixels that the taps of the rescaled kernel meet for the output at place 0.
    """
    # Of a half spectrum all frequencies but the self-conjugate ones stand for two.
    frequencies = torch.arange(length // 2 + 1 if half else length)
    weights = torch.ones(len(frequencies), dtype=torch.float64) / length
    if half:
        weights[1 : (length + 1) // 2] *= 2
    resize = interpolation_matrix(kernel_size, len(taps), mode) * (kernel_size / len(taps))
    kernel = _waves(frequencies, _places(taps), length) @ resize.to(torch.complex128)
    matrices = [kernel, kernel.T * weights]
    if outputs.step > 1 or not is_fast(len(outputs), length):
        waves = _waves(_places(outputs), frequencies, length)
        matrices += [waves * weights, waves.conj().T]
    kernel, adjoint, *both_ways = (matrix.to(device, dtype).contiguous() for matrix in matrices)
    inverse, forward = both_ways or (None, None)
    return Axis(kernel, adjoint, inverse, forward, slice(outputs.start, outputs.stop), length)


def _places(along: range) -> Tensor:
    return torch.arange(along.start, along.stop, along.step)


def _waves(rows: Tensor, columns: Tensor, length: int) -> Tensor:
    """``exp(2 pi i r c / length)``; the product is reduced as an integer, so that no digit is lost in the angle."""
    angle = torch.outer(rows, columns).remainder(length).to(torch.float64) * (2 * math.pi / length)
    return torch.polar(torch.ones_like(angle), angle)


def input_spectrum(x: Tensor, padding: int) -> Tensor:
    """``[B, C, H, W] -> [Fy, Fx, B, C]``, with at least `padding` zeros behind the rows and columns."""
    return torch.fft.rfft2(x, s=_lengths(x, padding)).permute(2, 3, 0, 1).contiguous()


def input_from_spectrum(spectrum: Tensor, x: Tensor, padding: int) -> Tensor:
    """The inverse of `input_spectrum`, for an input like `x`: ``[Fy, Fx, B, C] -> [B, C, H, W]``."""
    height, width = x.shape[2:]
    return torch.fft.irfft2(spectrum.permute(2, 3, 0, 1), s=_lengths(x, padding))[..., :height, :width]


def _lengths(x: Tensor, padding: int) -> tuple[int, int]:
    return transform_length(x.shape[2] + padding), transform_length(x.shape[3] + padding)


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
    """The outputs of one scale: ``[Fy, Fx, N] -> [N, P, Q]``."""
    if rows.inverse is None:
        half_way = torch.fft.ifft(spectrum, dim=0)[rows.outputs]
    else:
        half_way = (rows.inverse @ spectrum.flatten(1)).unflatten(1, spectrum.shape[1:])
    if columns.inverse is None:
        maps = torch.fft.irfft(half_way, n=columns.length, dim=1)[:, columns.outputs]
    else:
        maps = (columns.inverse @ half_way).real
    return maps.permute(2, 0, 1)


def maps_to_spectrum(maps: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """The spectrum of an image that holds `maps` at the outputs of one scale: ``[N, P, Q] -> [Fy, Fx, N]``."""
    maps = maps.permute(1, 2, 0)
    if columns.forward is None:
        half_way = torch.fft.rfft(_from_place(maps, columns.outputs, 1), n=columns.length, dim=1)
    else:
        half_way = columns.forward @ maps.to(columns.forward.dtype)
    if rows.forward is None:
        return torch.fft.fft(_from_place(half_way, rows.outputs, 0), n=rows.length, dim=0)
    return (rows.forward @ half_way.flatten(1)).unflatten(1, half_way.shape[1:])


def _from_place(maps: Tensor, outputs: slice, dim: int) -> Tensor:
    """`maps` with zeros before them, so that they begin at place 0 of a transform."""
    return F.pad(maps, [0, 0] * (maps.ndim - 1 - dim) + [outputs.start, 0]) if outputs.start else maps
