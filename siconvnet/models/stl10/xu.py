"""Scale-invariant convolutions in columns for STL-10 (Xu, Xiao, Zhang, Yang, Zhang 2014, as compared in SESN)."""

from __future__ import annotations

from torch import nn

from siconvnet.layers import ColumnMax, XuScaleConv2d
from siconvnet.models.stl10.plan import Parts, WideResNet, channel_counts, he_by_outputs, mean_of_pixels

_SCALES = (0.67, 1.0, 1.5)


class Xu(WideResNet):
    """Three columns of wide residual networks that share their weights: ``[B, C, H, W] -> [B, num_classes]``.

    Args:
        widen: how many times as wide as the narrowest.
    """

    def __init__(self, num_channels: int, num_classes: int, widen: int = 8):
        def norm(channels: int) -> nn.Module:
            return nn.BatchNorm2d(len(_SCALES) * channels)

        def conv(inputs: int, outputs: int, stride: int) -> nn.Module:
            return he_by_outputs(XuScaleConv2d(inputs, outputs, 3, _SCALES, stride=stride))

        def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
            return he_by_outputs(XuScaleConv2d(inputs, outputs, 1, _SCALES, stride=stride))

        widths = channel_counts(widen)
        parts = Parts(norm, conv, conv, shortcut)
        neck = nn.Sequential(norm(widths[-1]), nn.ReLU(), *mean_of_pixels(), ColumnMax(len(_SCALES)))
        stem = he_by_outputs(XuScaleConv2d(num_channels, widths[0], 3, _SCALES, initial=True))
        super().__init__(num_classes, widths, stem, 3 * [(parts, parts)], neck)
