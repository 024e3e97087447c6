"""The plain CNN of MNIST-Scale (Sosnovik, Szmaja, Smeulders 2020, section 6.1)."""

from __future__ import annotations

from torch import nn

from siconvnet.models.mnist_plan import MnistScaleNet, last_pool
from siconvnet.models.mnist_scale import CHANNELS, EFFECTIVE_SIZE


class Cnn(MnistScaleNet):
    """Three 7 x 7 convolutions: ``[B, 1, 28, 28] -> [B, 10]``."""

    def __init__(self, upsample: bool):
        pools = (nn.MaxPool2d(2), nn.MaxPool2d(2), last_pool(upsample))
        layers: list[nn.Module] = []
        for inputs, outputs, pool in zip((1, *CHANNELS), CHANNELS, pools, strict=False):
            conv = nn.Conv2d(inputs, outputs, EFFECTIVE_SIZE, padding=EFFECTIVE_SIZE // 2)
            layers += [conv, nn.ReLU(), pool, nn.BatchNorm2d(outputs)]
        super().__init__(nn.Sequential(*layers), CHANNELS[-1], upsample=upsample)
