"""Columns of rescaled kernels (Xu et al. 2014)."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet import functional
from siconvnet.errors import InvalidArgument
from siconvnet.layers.checks import check_images


def column_kernel(weight: Tensor, size: int, max_size: int) -> Tensor:
    """One k x k kernel at column size `size`, on a frame of `max_size`: ``[C', C, k, k] -> [C', C, M, M]``.

    As published, it is the kernel already zero-padded to M x M that is resized to size x size (nearest if size > k,
    bilinear with aligned corners if size < k) and then padded or cropped back; so the column of size M keeps the
    kernel as it is, and larger sizes than k can shrink it. The result has the L1 norm of the original, for each pair
    of channels.
    """
    k = weight.shape[-1]
    frame = F.pad(weight, 4 * ((max_size - k) // 2,))
    if size == k:
        return frame
    if size > k:
        resized = F.interpolate(frame, size=(size, size), mode="nearest")
    else:
        resized = F.interpolate(frame, size=(size, size), mode="bilinear", align_corners=True)
    low = (max_size - size) // 2
    high = max_size - size - low
    resized = F.pad(resized, (low, high, low, high))
    norm = _l1(resized)
    # A pair of channels without any weight left has no norm to divide by, and stays zero.
    return resized * (_l1(frame) / norm.masked_fill(norm == 0, 1))


@lru_cache
def column_reach(kernel_size: int, size: int, max_size: int) -> int:
    """How many pixels the taps of a column reach from the centre of its frame; the rest is zero by construction."""
    taps = column_kernel(torch.ones(1, 1, kernel_size, kernel_size, device="cpu"), size, max_size)[0, 0].nonzero()
    return int((taps - max_size // 2).abs().max())


def _l1(kernel: Tensor) -> Tensor:
    return kernel.abs().sum((2, 3), keepdim=True)


class XuConv2d(nn.Conv2d):
    """Convolution in columns, one kernel size each: ``[B, C, H, W] -> [B, S C', H, W]``, column by column.

    Args:
        in_channels: C of one column.
        out_channels: C' of one column.
        kernel_size: k, side of the one trained kernel ``weight [C', C, k, k]``.
        kernel_sizes: the sizes of the columns.
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
        kernel_sizes: list[int],
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
        for size in kernel_sizes:
            if not column_kernel(
                torch.ones(1, 1, kernel_size, kernel_size, device="cpu"), size, max(kernel_sizes)
            ).any():
                raise InvalidArgument(
                    f"the column of size {size} keeps no pixel of a {kernel_size}x{kernel_size} kernel on a frame of "
                    f"{max(kernel_sizes)}."
                )
        super().__init__(in_channels, out_channels, kernel_size, bias=False)
        self.kernel_sizes = list(kernel_sizes)
        self.initial = initial

    @functional.outside_graphs
    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.in_channels * (1 if self.initial else len(self.kernel_sizes)), self.weight)
        largest = max(self.kernel_sizes)
        kernels = [column_kernel(self.weight, size, largest) for size in self.kernel_sizes]
        if functional.plain_requested():
            groups = 1 if self.initial else len(kernels)
            return F.conv2d(x, torch.cat(kernels), padding=largest // 2, groups=groups)
        inputs = [x] * len(kernels) if self.initial else x.chunk(len(kernels), 1)
        responses = []
        for part, kernel, size in zip(inputs, kernels, self.kernel_sizes, strict=True):
            reach = column_reach(self.kernel_size[0], size, largest)
            kernel = F.pad(kernel, 4 * (reach - largest // 2,))
            responses.append(functional.conv2d(part, kernel, padding=reach))
        return torch.cat(responses, 1)
