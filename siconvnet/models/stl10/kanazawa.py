"""Locally scale-invariant convolutions for STL-10 (Kanazawa, Sharma, Jacobs 2014, as compared in SESN)."""

from __future__ import annotations

from torch import nn

from siconvnet.layers import KanazawaConv2d
from siconvnet.models.stl10.plan import Parts, WideResNet, channel_counts, conv1x1, he_by_outputs, mean_of_pixels

_SCALES = (0.5, 1.0, 2.0)


class Kanazawa(WideResNet):
    """A wide residual network of locally scale-invariant convolutions: ``[B, C, H, W] -> [B, num_classes]``.

    Args:
        widen: how many times as wide as the narrowest.
    """

    def __init__(self, num_channels: int, num_classes: int, widen: int = 8):
        def conv(inputs: int, outputs: int, stride: int) -> nn.Module:
            return he_by_outputs(KanazawaConv2d(inputs, outputs, 3, _SCALES, stride=stride, padding=1, bias=False))

        widths = channel_counts(widen)
        parts = Parts(nn.BatchNorm2d, conv, conv, conv1x1)
        neck = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(), *mean_of_pixels())
        super().__init__(num_classes, widths, conv(num_channels, widths[0], 1), 3 * [(parts, parts)], neck)
