"""Deep scale-spaces for MNIST-Scale (Worrall, Welling 2019, as compared in SESN).

An image is lifted by blurring it more and more, and convolved at each level with the same kernel, dilated with the
level. Two levels here, one scale to a kernel.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.special
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.layers.steerable import SESMaxProjection
from siconvnet.models.mnist_plan import MnistScaleNet, last_pool
from siconvnet.models.mnist_scale import CHANNELS, EFFECTIVE_SIZE

DILATIONS = (1, 2)
ZERO_SCALE = 0.25
"""Blur that images come with, in pixels."""


def discrete_gaussian(variance: float) -> Tensor:
    """Lindeberg's discrete Gaussian exp(-t) I_x(t) with variance t in pixels, normalised: (taps,)."""
    reach = 4 * math.ceil(math.sqrt(variance))
    taps = torch.from_numpy(scipy.special.ive(abs(np.arange(-reach, reach + 1)), variance))
    return (taps / taps.sum()).to(torch.get_default_device(), torch.get_default_dtype())


class Lift(nn.Module):
    """Blur to every level: ``[B, C, H, W] -> [B, C, S, H, W]``; the first level is the image itself."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", discrete_gaussian(ZERO_SCALE**2 * (DILATIONS[1] ** 2 - 1)))

    def forward(self, x: Tensor) -> Tensor:
        reach = len(self.kernel) // 2
        planes = F.conv2d(x.flatten(0, 1)[:, None], self.kernel[None, None, None], padding=(0, reach))
        planes = F.conv2d(planes, self.kernel[None, None, :, None], padding=(reach, 0))
        return torch.stack([x, planes[:, 0].view_as(x)], dim=2)


class ScaleConv2d(nn.Module):
    """One kernel at every level, dilated with it: ``[B, C, S, H, W] -> [B, C', S, H, W]``."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, EFFECTIVE_SIZE, EFFECTIVE_SIZE))
        nn.init.normal_(self.weight, std=math.sqrt(2 / self.weight[0].numel()))

    def forward(self, x: Tensor) -> Tensor:
        half = EFFECTIVE_SIZE // 2
        levels = zip(x.unbind(2), DILATIONS, strict=True)
        return torch.stack([F.conv2d(level, self.weight, padding=half * d, dilation=d) for level, d in levels], dim=2)


class DssScalar(MnistScaleNet):
    """Each block lifts anew and keeps the largest response of the levels: ``[B, 1, 28, 28] -> [B, 10]``."""

    def __init__(self, upsample: bool):
        pools = (nn.MaxPool2d(2), nn.MaxPool2d(2), last_pool(upsample))
        layers: list[nn.Module] = []
        for inputs, outputs, pool in zip((1, *CHANNELS), CHANNELS, pools, strict=False):
            layers += [Lift(), ScaleConv2d(inputs, outputs), SESMaxProjection(), nn.ReLU(), pool]
            layers += [nn.BatchNorm2d(outputs)]
        super().__init__(nn.Sequential(*layers), CHANNELS[-1], upsample=upsample)


class DssVector(MnistScaleNet):
    """Levels throughout, the largest response at the end: ``[B, 1, 28, 28] -> [B, 10]``."""

    def __init__(self, upsample: bool):
        side = 8 if upsample else 4
        pools = (nn.MaxPool3d((1, 2, 2)), nn.MaxPool3d((1, 2, 2)), nn.MaxPool3d((1, side, side), padding=(0, 2, 2)))
        layers: list[nn.Module] = [Lift()]
        for inputs, outputs, pool in zip((1, *CHANNELS), CHANNELS, pools, strict=False):
            layers += [ScaleConv2d(inputs, outputs), nn.ReLU(), pool, nn.BatchNorm3d(outputs)]
        super().__init__(nn.Sequential(*layers, SESMaxProjection()), CHANNELS[-1], upsample=upsample)
