"""Scale-invariant CNN in columns for MNIST-Scale (Xu, Xiao, Zhang, Yang, Zhang 2014, as compared in SESN)."""

from __future__ import annotations

from torch import nn

from siconvnet.layers import ColumnMax, XuScaleConv2d
from siconvnet.models.mnist_scale.plan import CHANNELS, EFFECTIVE_SIZE, SCALES, MnistScaleNet, scalar_blocks


class Xu(MnistScaleNet):
    """Seven columns of three convolutions: ``[B, C, 28, 28] -> [B, num_classes]``."""

    def __init__(self, num_channels: int, num_classes: int, upsample: bool):
        columns = len(SCALES)
        convs: list[nn.Module] = []

        def layers(inputs: int, outputs: int) -> list[nn.Module]:
            convs.append(XuScaleConv2d(inputs, outputs, EFFECTIVE_SIZE, SCALES, initial=not convs))
            return [convs[-1], nn.ReLU()]

        def norm(channels: int) -> nn.Module:
            return nn.BatchNorm2d(columns * channels)

        blocks = scalar_blocks(layers, num_channels, upsample=upsample, norm=norm)
        super().__init__(nn.Sequential(*blocks, ColumnMax(columns)), CHANNELS[-1], num_classes, upsample=upsample)
