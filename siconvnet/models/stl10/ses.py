"""SESN-A, -B, -C and DISCO for STL-10 (Sosnovik, Szmaja, Smeulders 2020; Sosnovik, Moskalev, Smeulders 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from siconvnet.layers.steerable import SESConv_H_H, SESConv_H_H_1x1, SESConv_Z2_H, SESMaxProjection
from siconvnet.models.stl10 import NEIGHBOURS, PROJECTED
from siconvnet.models.stl10.plan import Builder, Parts, WideResNet, channel_counts, he_by_outputs, mean_of_pixels

EFFECTIVE_SIZE = 3


class Ses(WideResNet):
    """A wide residual network on scale and translation: ``[B, C, H, W] -> [B, num_classes]``.

    Args:
        size: side of the kernels in pixels.
        scales: scales of the basis.
        entries: for each group, what its first convolution sees; see `siconvnet.models.stl10`.
        pooled: halve the image by a maximum behind the convolution (DISCO), not by its stride.
        basis: the basis by name, and its options.
        widen: how many times as wide as the narrowest network.
    """

    def __init__(
        self,
        num_channels: int,
        num_classes: int,
        size: int,
        scales: Sequence[float],
        entries: tuple[str, str, str],
        pooled: bool = False,
        widen: int = 8,
        **basis: Any,
    ):
        shared: dict[str, Any] = {"scales": scales, "padding": size // 2, **basis}

        def halve(layers: list[nn.Module], stride: int) -> nn.Module:
            return nn.Sequential(*layers, *[nn.MaxPool3d((1, 2, 2))] * (pooled and stride == 2))

        def lift(inputs: int, outputs: int, stride: int) -> nn.Module:
            return he_by_outputs(SESConv_Z2_H(inputs, outputs, size, EFFECTIVE_SIZE, stride=stride, **shared))

        def steerable(scale_size: int) -> Builder:
            def build(inputs: int, outputs: int, stride: int) -> nn.Module:
                step = 1 if pooled else stride
                conv = SESConv_H_H(inputs, outputs, scale_size, size, EFFECTIVE_SIZE, stride=step, **shared)
                return halve([he_by_outputs(conv)], stride)

            return build

        def projected(inputs: int, outputs: int, stride: int) -> nn.Module:
            return halve([SESMaxProjection(), lift(inputs, outputs, 1 if pooled else stride)], stride)

        def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
            return halve([he_by_outputs(SESConv_H_H_1x1(inputs, outputs, stride=1 if pooled else stride))], stride)

        widths = channel_counts(widen)
        parts = Parts(nn.BatchNorm3d, steerable(1), steerable(1), shortcut)
        first = {PROJECTED: parts.after(projected), NEIGHBOURS: parts.after(steerable(2))}
        groups = [(first.get(entry, parts), parts) for entry in entries]
        neck = nn.Sequential(SESMaxProjection(), nn.BatchNorm2d(widths[-1]), nn.ReLU(), *mean_of_pixels())
        super().__init__(num_classes, widths, lift(num_channels, widths[0], 1), groups, neck)
