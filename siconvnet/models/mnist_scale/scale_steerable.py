"""Scale-steerable CNN for MNIST-Scale (Ghosh, Gupta 2019, as compared in SESN)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from siconvnet.layers import ScaleSteerableConv2d
from siconvnet.models.mnist_scale.plan import MnistScaleNet, scalar_blocks

_CHANNELS = (30, 60, 90)


class ScaleSteerable(MnistScaleNet):
    """Three scale-steerable convolutions: ``[B, C, 28, 28] -> [B, num_classes]``.

    Args:
        upsample: double the image first.
        sizes: sides of the steered kernels in pixels.
    """

    def __init__(self, num_channels: int, num_classes: int, upsample: bool, sizes: Sequence[int]):
        def layers(inputs: int, outputs: int) -> list[nn.Module]:
            return [ScaleSteerableConv2d(inputs, outputs, sizes)]

        blocks = scalar_blocks(layers, num_channels, upsample=upsample, channels=_CHANNELS)
        super().__init__(blocks, _CHANNELS[-1], num_classes, upsample=upsample, hidden_bias=True)
