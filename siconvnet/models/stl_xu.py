"""Scale-invariant convolutions in columns for STL-10 (Xu, Xiao, Zhang, Yang, Zhang 2014, as compared in SESN)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet import functional
from siconvnet.models.mnist_xu import column_kernels
from siconvnet.models.stl_wrn import Parts, WideResNet, channel_counts, he_by_outputs, mean_of_pixels

SCALES = (0.67, 1.0, 1.5)


class XuConv2d(nn.Conv2d):
    """One kernel at several sizes, a column each: ``[B, C or S C, H, W] -> [B, S C', H', W']``.

    Args:
        in_channels: C of one column.
        out_channels: C' of one column.
        size: side of the kernel in pixels; 1 is the same in all columns.
        stride: step in pixels.
        columns: columns of the input; 1 for an image that all columns share.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int, stride: int, columns: int = len(SCALES)):
        super().__init__(in_channels, out_channels, size, stride, bias=False)
        self.columns = columns
        # Of a rescaled kernel, what is zero whatever the weights are is not computed.
        self.margins = [_margin(kernel) for kernel in self.kernels(torch.ones(1, 1, size, size, device="cpu"))]

    def kernels(self, weight: Tensor) -> list[Tensor]:
        """The kernel of each column: (C', C, side, side)."""
        return len(SCALES) * [weight] if weight.shape[-1] == 1 else column_kernels(weight, SCALES)

    def forward(self, x: Tensor) -> Tensor:
        kernels = self.kernels(self.weight)
        half = kernels[0].shape[-1] // 2
        if functional.plain_requested():
            return F.conv2d(x, torch.cat(kernels), stride=self.stride, padding=half, groups=self.columns)
        inputs = x.chunk(self.columns, dim=1) if self.columns > 1 else len(SCALES) * [x]
        responses = [
            F.conv2d(part, F.pad(kernel, 4 * [-margin]), stride=self.stride, padding=half - margin)
            for part, kernel, margin in zip(inputs, kernels, self.margins, strict=True)
        ]
        return torch.cat(responses, dim=1)


def _margin(kernel: Tensor) -> int:
    """How many pixels can be taken off all around without losing anything."""
    place = kernel[0, 0].nonzero()
    return int(min(place.min(), kernel.shape[-1] - 1 - place.max()))


class ColumnMax(nn.Module):
    """The largest over the columns: ``[B, S C] -> [B, C]``."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (len(SCALES), -1)).max(dim=1).values


class Xu(WideResNet):
    """Three columns of wide residual networks that share their weights: ``[B, 3, 96, 96] -> [B, 10]``.

    Args:
        widen: how many times as wide as the narrowest.
    """

    def __init__(self, widen: int = 8):
        def norm(channels: int) -> nn.Module:
            return nn.BatchNorm2d(len(SCALES) * channels)

        def conv(inputs: int, outputs: int, stride: int) -> nn.Module:
            return he_by_outputs(XuConv2d(inputs, outputs, 3, stride))

        def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
            return he_by_outputs(XuConv2d(inputs, outputs, 1, stride))

        widths = channel_counts(widen)
        parts = Parts(norm, conv, conv, shortcut)
        neck = nn.Sequential(norm(widths[-1]), nn.ReLU(), *mean_of_pixels(), ColumnMax())
        super().__init__(widths, he_by_outputs(XuConv2d(3, widths[0], 3, 1, columns=1)), 3 * [(parts, parts)], neck)
