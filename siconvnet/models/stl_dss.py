"""Deep scale-spaces for STL-10 (Worrall, Welling 2019, as compared in SESN).

An image is lifted to four levels by blurring it more and more; each level is convolved with the same kernel, dilated
with the level. The first convolution of the first two groups also sees the next coarser level, and the coarsest level
is dropped behind it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.layers.steerable import SESMaxProjection
from siconvnet.models.mnist_dss import discrete_gaussian
from siconvnet.models.stl_wrn import Builder, Parts, WideResNet, mean_of_pixels

NUM_LEVELS = 4
ZERO_SCALE = 0.5
"""Blur that images come with, in pixels."""


class Lift(nn.Module):
    """Blur to every level: ``[B, C, H, W] -> [B, C, S, H, W]``; the first level is the image itself."""

    def __init__(self) -> None:
        super().__init__()
        for level in range(1, NUM_LEVELS):
            self.register_buffer(f"kernel{level}", discrete_gaussian(ZERO_SCALE**2 * (4**level - 1)))

    def forward(self, x: Tensor) -> Tensor:
        planes, levels = x.flatten(0, 1)[:, None], [x]
        for level in range(1, NUM_LEVELS):
            kernel = self.get_buffer(f"kernel{level}")
            reach = len(kernel) // 2
            blurred = F.conv2d(planes, kernel[None, None, None], padding=(0, reach))
            levels.append(F.conv2d(blurred, kernel[None, None, :, None], padding=(reach, 0)).view_as(x))
        return torch.stack(levels, dim=2)


class ScaleConv2d(nn.Module):
    """One kernel at every level, dilated with it: ``[B, C, S, H, W] -> [B, C', levels, H', W']``.

    Args:
        window: levels that the kernel spans, from its own to coarser ones; beyond `levels` there is nothing.
        size: side of the kernel in pixels, before it is dilated.
        levels: levels of the output, the finest of the input.
        stride: step in pixels.
    """

    def __init__(self, in_channels: int, out_channels: int, window: int, size: int, levels: int, stride: int):
        super().__init__()
        self.levels, self.stride = levels, stride
        self.weight = nn.Parameter(delta_weight(out_channels, in_channels, window, size))

    def forward(self, x: Tensor) -> Tensor:
        window, size = self.weight.shape[2:4]
        planes = []
        for level in range(self.levels):
            seen = slice(level, min(level + window, self.levels))
            weight = self.weight[:, :, : seen.stop - level].flatten(1, 2)
            dilation = 2**level
            padding = size // 2 * dilation
            planes.append(F.conv2d(x[:, :, seen].flatten(1, 2), weight, None, self.stride, padding, dilation))
        return torch.stack(planes, dim=2)


def delta_weight(out_channels: int, in_channels: int, window: int, size: int) -> Tensor:
    """Nearly the identity: small uniform noise, and the middle of the kernels between channels of one of C blocks set
    to C / C', where C is the greatest common divisor of the channels: (C', C, window, size, size)."""
    weight = torch.empty(out_channels, in_channels, window, size, size).uniform_(-0.01, 0.01)
    blocks = math.gcd(in_channels, out_channels)
    rows, columns = (torch.arange(n) * blocks // n for n in (out_channels, in_channels))
    same = rows[:, None] == columns
    weight[..., size // 2, size // 2][same] = blocks / out_channels
    return weight


class Dss(WideResNet):
    """A wide residual network on levels of blur: ``[B, 3, 96, 96] -> [B, 10]``.

    Args:
        widen: how many times as wide as the narrowest.
    """

    def __init__(self, widen: int = 8):
        def conv(window: int, size: int, levels: int) -> Builder:
            return lambda inputs, outputs, stride: ScaleConv2d(inputs, outputs, window, size, levels, stride)

        def parts(levels: int) -> Parts:
            return Parts(nn.BatchNorm3d, conv(1, 3, levels), conv(1, 3, levels), conv(1, 1, levels))

        # The second group is as narrow as makes up for the weights of the wider windows.
        widths = (16, 16 * widen, 30 * widen, 64 * widen)
        groups = [(parts(n - 1).after(conv(2, 3, n)), parts(n - 1)) for n in (NUM_LEVELS, NUM_LEVELS - 1)]
        stem = nn.Sequential(Lift(), ScaleConv2d(3, widths[0], 1, 3, NUM_LEVELS, 1))
        neck = nn.Sequential(nn.BatchNorm3d(widths[-1]), nn.ReLU(), SESMaxProjection(), *mean_of_pixels())
        super().__init__(widths, stem, [*groups, (parts(NUM_LEVELS - 2),) * 2], neck)
