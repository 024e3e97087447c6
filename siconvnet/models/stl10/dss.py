"""Deep scale-spaces for STL-10 (Worrall, Welling 2019, as compared in SESN).

Four levels of blur. The first convolution of the first two groups also sees the next coarser level, and the coarsest
level is dropped behind it.
"""

from __future__ import annotations

from torch import nn

from siconvnet.layers import DssConv2d, DssLift, SESMaxProjection
from siconvnet.models.stl10.plan import Builder, Parts, WideResNet, mean_of_pixels

_LEVELS, _ZERO_SCALE = 4, 0.5


class Dss(WideResNet):
    """A wide residual network on levels of blur: ``[B, C, H, W] -> [B, num_classes]``.

    Args:
        widen: how many times as wide as the narrowest.
    """

    def __init__(self, num_channels: int, num_classes: int, widen: int = 8):
        def conv(window: int, size: int, levels: int) -> Builder:
            def build(inputs: int, outputs: int, stride: int) -> nn.Module:
                return DssConv2d(inputs, outputs, size, levels, window=window, stride=stride, identity=True)

            return build

        def parts(levels: int) -> Parts:
            return Parts(nn.BatchNorm3d, conv(1, 3, levels), conv(1, 3, levels), conv(1, 1, levels))

        # The second group is as narrow as makes up for the weights of the wider windows.
        widths = (16, 16 * widen, 30 * widen, 64 * widen)
        groups = [(parts(n - 1).after(conv(2, 3, n)), parts(n - 1)) for n in (_LEVELS, _LEVELS - 1)]
        stem = nn.Sequential(DssLift(_LEVELS, _ZERO_SCALE), conv(1, 3, _LEVELS)(num_channels, widths[0], 1))
        neck = nn.Sequential(nn.BatchNorm3d(widths[-1]), nn.ReLU(), SESMaxProjection(), *mean_of_pixels())
        super().__init__(num_classes, widths, stem, [*groups, (parts(_LEVELS - 2),) * 2], neck)
