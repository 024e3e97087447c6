"""Columns of rescaled kernels (Xu, Xiao, Zhang, Yang, Zhang 2014).

One trained kernel stands at several sizes, a column of responses for each. Two published versions rescale it by
different rules: `XuConv2d` to sizes in pixels, `XuScaleConv2d` by factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet import functional
from siconvnet.errors import InvalidArgument
from siconvnet.functional import costs
from siconvnet.functional.constants import cached_constant
from siconvnet.functional.interpolation import frame_matrix
from siconvnet.functional.steerable import conv2d_within, supports_of, whole_convolution
from siconvnet.layers.checks import check_images


def sized_kernels(weight: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """A k x k kernel at several sizes, on a frame M of the largest: ``[C', C, k, k] -> [C', C, M, M]`` each.

    As published, it is the kernel already zero-padded to M x M that is resized to size x size (nearest if size > k,
    bilinear with aligned corners if size < k) and then padded or cropped back; so the column of size M keeps the
    kernel as it is, and larger sizes than k can shrink it. The result has the L1 norm of the original, for each pair
    of channels.
    """
    return _resized(weight, _size_maps(weight.shape[-1], tuple(sizes), weight.dtype, weight.device))


def scaled_kernels(weight: Tensor, scales: Sequence[float]) -> list[Tensor]:
    """A k x k kernel rescaled by each factor, on a frame M that holds the largest: ``[C', C, M, M]`` each.

    It is padded to the frame, rescaled there (bilinear to shrink, nearest to enlarge) and given its old L1 norm back,
    for each pair of channels. A kernel of one pixel is the same at all sizes.
    """
    if weight.shape[-1] == 1:
        return len(scales) * [weight]
    return _resized(weight, _scale_maps(weight.shape[-1], tuple(scales), weight.dtype, weight.device))


def _resized(weight: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
    """Kernels for each column, ``[C', C, k, k] -> [C', C, M, M]``, by maps ``[k^2, M^2]`` of pixels to pixels."""
    pixels = weight.flatten(2)
    norm = torch.linalg.vector_norm(pixels, 1, dim=2, keepdim=True)

    def by(each: Tensor) -> Tensor:
        kernel = pixels @ each
        left = torch.linalg.vector_norm(kernel, 1, dim=2, keepdim=True)
        # A pair of channels without any weight left has no norm to divide by, and stays zero.
        kernel = kernel * (norm / left.masked_fill(left == 0, 1))
        return kernel.unflatten(2, (math.isqrt(each.shape[1]), -1))

    return [by(each) for each in maps]


@cached_constant
def _size_maps(k: int, sizes: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    frame = max(sizes)
    modes = ["nearest" if size > k else "bilinear" for size in sizes]
    whole = torch.eye(frame, dtype=torch.float64)
    resizing = [whole if s == k else frame_matrix(frame, m, size=s) for s, m in zip(sizes, modes, strict=True)]
    return _pixel_maps(k, resizing, dtype, device)


@cached_constant
def _scale_maps(k: int, scales: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    frame = k + 2 * math.ceil((int(k * max(scales)) - k) / 2)
    modes = ["nearest" if scale > 1 else "bilinear" for scale in scales]
    resizing = [frame_matrix(frame, mode, scale=scale) for scale, mode in zip(scales, modes, strict=True)]
    return _pixel_maps(k, resizing, dtype, device)


def _pixel_maps(k: int, resizing: Sequence[Tensor], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    """From the matrices along one axis, ``[M, M]``, the maps ``[k^2, M^2]`` of a kernel amid a frame."""
    margin = (len(resizing[0]) - k) // 2
    # Factors that all shrink have a frame smaller than the kernel, and the margin is negative.
    along = [F.pad(matrix.T, (0, 0, -margin, -margin)) for matrix in resizing]
    return tuple(torch.kron(each, each).to(device, dtype) for each in along)


class _ColumnConv2d(nn.Conv2d):
    """What both versions share: the convolution in columns, padded so that stride 1 keeps the side of the input."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        kernels: Callable[[Tensor], list[Tensor]],
        initial: bool,
        stride: int,
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, bias=False)
        self.kernels, self.initial = kernels, initial
        # Of a rescaled kernel, what is zero whatever the weights are is not computed.
        everywhere = kernels(torch.ones(1, 1, kernel_size, kernel_size, device="cpu"))
        self.columns, self.supports = len(everywhere), supports_of(torch.cat(everywhere, dim=1))

    @functional.outside_graphs
    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.in_channels * (1 if self.initial else self.columns), self.weight)
        kernels = self.kernels(self.weight)
        stride, padding = self.stride[0], kernels[0].shape[-1] // 2
        groups, channels = 1 if self.initial else self.columns, self.out_channels * self.columns
        whole = whole_convolution(x, x.shape[1], channels, kernels[0].shape[-1], stride, padding, groups)
        if functional.plain_requested() or not costs.gains_by_parts(whole, self.supports):
            return F.conv2d(x, torch.cat(kernels), stride=stride, padding=padding, groups=groups)
        parts = [x] * self.columns if self.initial else x.chunk(self.columns, 1)
        columns = zip(parts, kernels, self.supports, strict=True)
        return torch.cat([conv2d_within(part, taps, None, side, stride, padding) for part, taps, side in columns], 1)


class XuConv2d(_ColumnConv2d):
    """Convolution in columns, one kernel size each: ``[B, C, H, W] -> [B, S C', H, W]``, column by column.

    Args:
        in_channels: C of one column.
        out_channels: C' of one column.
        kernel_size: k, side of the one trained kernel ``weight [C', C, k, k]``.
        kernel_sizes: the sizes of the columns; see `sized_kernels`.
        initial: the input is an image shared by all columns; otherwise it comes in columns, ``[B, S C, H, W]``.

    Raises:
        InvalidArgument: no columns, an even size, a trained kernel that is larger than the largest column, or of which
            a column keeps nothing; another shape or precision of the input.

    Source: Xu et al. 2014 (arXiv 1411.6369), as implemented for STIR.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        kernel_sizes: Sequence[int],
        *,
        initial: bool = False,
    ):
        if not kernel_sizes or min(kernel_sizes) < 1 or any(size % 2 == 0 for size in (kernel_size, *kernel_sizes)):
            raise InvalidArgument(
                f"kernel size {kernel_size} in columns of {list(kernel_sizes)}: sizes must be odd, so that all columns "
                "share a centre, and at least one column is needed."
            )
        if kernel_size > max(kernel_sizes):
            raise InvalidArgument(
                f"kernel size {kernel_size} is larger than the largest column, {max(kernel_sizes)}; use at most that."
            )
        kernels = partial(sized_kernels, sizes=tuple(kernel_sizes))
        everywhere = kernels(torch.ones(1, 1, kernel_size, kernel_size, device="cpu"))
        for size, kernel in zip(kernel_sizes, everywhere, strict=True):
            if not kernel.any():
                raise InvalidArgument(
                    f"the column of size {size} keeps no pixel of a {kernel_size}x{kernel_size} kernel on a frame of "
                    f"{max(kernel_sizes)}."
                )
        super().__init__(in_channels, out_channels, kernel_size, kernels, initial, 1)


class XuScaleConv2d(_ColumnConv2d):
    """Convolution in columns, one kernel scale each: ``[B, C or S C, H, W] -> [B, S C', H', W']``, column by column.

    Args:
        in_channels: C of one column.
        out_channels: C' of one column.
        kernel_size: k, side of the one trained kernel ``weight [C', C, k, k]``; odd.
        scales: the factors of the columns; see `scaled_kernels`.
        initial: the input is an image shared by all columns; otherwise it comes in columns, ``[B, S C, H, W]``.
        stride: step in pixels; H' = (H - 1) // stride + 1.

    Raises:
        InvalidArgument: no columns, an even size; another shape or precision of the input.

    Source: Xu et al. 2014 (arXiv 1411.6369), as implemented for SESN's comparison.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        scales: Sequence[float],
        *,
        initial: bool = False,
        stride: int = 1,
    ):
        if not scales or min(scales) <= 0 or kernel_size % 2 == 0:
            raise InvalidArgument(
                f"kernel size {kernel_size} at scales {tuple(scales)}: the size must be odd, so that all columns share "
                "a centre, and at least one positive scale is needed."
            )
        kernels = partial(scaled_kernels, scales=tuple(scales))
        super().__init__(in_channels, out_channels, kernel_size, kernels, initial, stride)


class ColumnMax(nn.Module):
    """The largest response over the columns: ``[B, S C, ...] -> [B, C, ...]``.

    Args:
        columns: S.
    """

    def __init__(self, columns: int):
        super().__init__()
        self.columns = columns

    @functional.outside_graphs
    def forward(self, x: Tensor) -> Tensor:
        return self._apart(x).max(dim=1).values

    def scale_indices(self, x: Tensor) -> Tensor:
        """Which column wins, for each channel and pixel; ties go to the first: ``[B, S C, ...] -> [B, C, ...]``."""
        return self._apart(x).max(dim=1).indices

    def _apart(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] % self.columns:
            raise InvalidArgument(f"expected an input [B, {self.columns} C, ...], got {list(x.shape)}.")
        return x.unflatten(1, (self.columns, -1))
