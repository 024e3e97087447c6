"""The plain CNN of MNIST-Scale (Sosnovik, Szmaja, Smeulders 2020, section 6.1)."""

from __future__ import annotations

from torch import nn

from siconvnet.models.mnist_scale.plan import CHANNELS, EFFECTIVE_SIZE, MnistScaleNet, scalar_blocks


class Cnn(MnistScaleNet):
    """Three 7 x 7 convolutions: ``[B, C, 28, 28] -> [B, num_classes]``."""

    def __init__(self, num_channels: int, num_classes: int, upsample: bool):
        def layers(inputs: int, outputs: int) -> list[nn.Module]:
            return [nn.Conv2d(inputs, outputs, EFFECTIVE_SIZE, padding=EFFECTIVE_SIZE // 2), nn.ReLU()]

        super().__init__(
            scalar_blocks(layers, num_channels, upsample=upsample), CHANNELS[-1], num_classes, upsample=upsample
        )
