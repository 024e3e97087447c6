"""Scale-steerable convolutions for STL-10 (Ghosh, Gupta 2019, as compared in SESN).

As in the comparison's code only the first convolution is steered to several sizes; in the blocks there is one size, on
whose 3 x 3 pixels the waves of the basis are constant.
"""

from __future__ import annotations

from torch import nn

from siconvnet.layers import ScaleSteerableConv2d
from siconvnet.models.stl10.plan import Parts, WideResNet, channel_counts, conv1x1, mean_of_pixels

_STEM_SIZES, _BLOCK_SIZES = (3, 5, 7), (3,)


class ScaleSteerable(WideResNet):
    """A wide residual network of scale-steerable convolutions: ``[B, C, H, W] -> [B, num_classes]``.

    Args:
        widen: how many times as wide as the narrowest.
    """

    def __init__(self, num_channels: int, num_classes: int, widen: int = 8):
        def conv(inputs: int, outputs: int, stride: int, sizes: tuple[int, ...] = _BLOCK_SIZES) -> nn.Module:
            return ScaleSteerableConv2d(
                inputs, outputs, sizes, orders=(1.0,), reference_size=3, stride=stride, rectify=False
            )

        # A kernel has 18 weights here, twice as many as of 3 x 3 pixels.
        widths = channel_counts(widen, base=11)
        parts = Parts(nn.BatchNorm2d, conv, conv, conv1x1)
        neck = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(), *mean_of_pixels())
        super().__init__(num_classes, widths, conv(num_channels, widths[0], 1, _STEM_SIZES), 3 * [(parts, parts)], neck)
