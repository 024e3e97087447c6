"""Locally scale-invariant CNN for MNIST-Scale (Kanazawa, Sharma, Jacobs 2014, as compared in SESN)."""

from __future__ import annotations

from torch import nn

from siconvnet.layers import KanazawaConv2d
from siconvnet.models.mnist_scale.plan import CHANNELS, EFFECTIVE_SIZE, SCALES, MnistScaleNet, scalar_blocks


class Kanazawa(MnistScaleNet):
    """Three locally scale-invariant convolutions: ``[B, C, 28, 28] -> [B, num_classes]``."""

    def __init__(self, num_channels: int, num_classes: int, upsample: bool):
        def layers(inputs: int, outputs: int) -> list[nn.Module]:
            return [KanazawaConv2d(inputs, outputs, EFFECTIVE_SIZE, SCALES, padding=EFFECTIVE_SIZE // 2), nn.ReLU()]

        super().__init__(
            scalar_blocks(layers, num_channels, upsample=upsample), CHANNELS[-1], num_classes, upsample=upsample
        )
