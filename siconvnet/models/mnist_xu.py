"""Scale-invariant CNN in columns for MNIST-Scale (Xu, Xiao, Zhang, Yang, Zhang 2014, as compared in SESN)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.functional.rescaled_input import rescale_in_frame
from siconvnet.functional.steerable import conv_h_h, conv_z2_h, supports_of
from siconvnet.models.mnist_kanazawa import SCALES
from siconvnet.models.mnist_plan import MnistScaleNet, last_pool
from siconvnet.models.mnist_scale import CHANNELS, EFFECTIVE_SIZE


def column_kernels(weight: Tensor, scales: Sequence[float]) -> list[Tensor]:
    """A kernel at several sizes, in frames of the side of the largest, or one pixel more: (C', C, k, k) each.

    It is padded to the frame, rescaled there (bilinear to shrink, nearest to enlarge) and given its old L1 norm back,
    for each pair of channels.
    """
    size = weight.shape[-1]
    framed = F.pad(weight, [math.ceil((int(size * max(scales)) - size) / 2)] * 4)
    norm = framed.abs().sum((2, 3), keepdim=True)
    kernels = []
    for scale in scales:
        kernel = rescale_in_frame(framed, scale, "nearest" if scale > 1 else "bilinear")
        left = kernel.abs().sum((2, 3), keepdim=True)
        # A pair of channels without any weight left has no norm to divide by, and stays zero.
        kernels.append(kernel * norm / left.masked_fill(left == 0, 1))
    return kernels


class XuConv2d(nn.Conv2d):
    """One kernel at several sizes, a column each: ``[B, C or S C, H, W] -> [B, S C', H, W]``; see `column_kernels`.

    Args:
        in_channels: C of one column.
        out_channels: C' of one column.
        columns: columns of the input; 1 for an image that all columns share.
    """

    def __init__(self, in_channels: int, out_channels: int, columns: int):
        super().__init__(in_channels, out_channels, EFFECTIVE_SIZE, bias=False)
        self.columns, self.margin = columns, int(EFFECTIVE_SIZE * max(SCALES)) // 2
        everywhere = column_kernels(torch.ones(1, 1, EFFECTIVE_SIZE, EFFECTIVE_SIZE, device="cpu"), SCALES)
        self.supports = supports_of(torch.cat(everywhere, dim=1))

    def forward(self, x: Tensor) -> Tensor:
        kernels = torch.stack(column_kernels(self.weight, SCALES), dim=2)
        if self.columns == 1:
            maps = conv_z2_h(x, kernels, padding=self.margin, supports=self.supports)
        else:
            columns = x.unflatten(1, (self.columns, -1)).transpose(1, 2)
            maps = conv_h_h(columns, kernels.unsqueeze(2), padding=self.margin, supports=self.supports)
        return maps.transpose(1, 2).flatten(1, 2)


class ColumnMax(nn.Module):
    """The largest response over the columns: ``[B, S C, H, W] -> [B, C, H, W]``."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (len(SCALES), -1)).max(dim=1).values


class Xu(MnistScaleNet):
    """Seven columns of three convolutions: ``[B, 1, 28, 28] -> [B, 10]``."""

    def __init__(self, upsample: bool):
        pools = (nn.MaxPool2d(2), nn.MaxPool2d(2), last_pool(upsample))
        layers: list[nn.Module] = []
        for inputs, outputs, pool in zip((1, *CHANNELS), CHANNELS, pools, strict=False):
            conv = XuConv2d(inputs, outputs, 1 if inputs == 1 else len(SCALES))
            layers += [conv, nn.ReLU(), pool, nn.BatchNorm2d(len(SCALES) * outputs)]
        super().__init__(nn.Sequential(*layers, ColumnMax()), CHANNELS[-1], upsample=upsample)
