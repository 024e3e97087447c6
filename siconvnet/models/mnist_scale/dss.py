"""Deep scale-spaces for MNIST-Scale (Worrall, Welling 2019, as compared in SESN): two levels, one to a kernel."""

from __future__ import annotations

from torch import nn

from siconvnet.layers import DssConv2d, DssLift, SESMaxProjection
from siconvnet.models.mnist_scale.plan import CHANNELS, EFFECTIVE_SIZE, MnistScaleNet, scalar_blocks

_LEVELS, _ZERO_SCALE = 2, 0.25


class DssScalar(MnistScaleNet):
    """Each block lifts the maps again and keeps the largest response of the levels:
    ``[B, C, 28, 28] -> [B, num_classes]``."""

    def __init__(self, num_channels: int, num_classes: int, upsample: bool):
        def layers(inputs: int, outputs: int) -> list[nn.Module]:
            conv = DssConv2d(inputs, outputs, EFFECTIVE_SIZE, _LEVELS)
            return [DssLift(_LEVELS, _ZERO_SCALE), conv, SESMaxProjection(), nn.ReLU()]

        super().__init__(
            scalar_blocks(layers, num_channels, upsample=upsample), CHANNELS[-1], num_classes, upsample=upsample
        )


class DssVector(MnistScaleNet):
    """Levels throughout, the largest response at the end: ``[B, C, 28, 28] -> [B, num_classes]``."""

    def __init__(self, num_channels: int, num_classes: int, upsample: bool):
        side = 8 if upsample else 4
        pools = (nn.MaxPool3d((1, 2, 2)), nn.MaxPool3d((1, 2, 2)), nn.MaxPool3d((1, side, side), padding=(0, 2, 2)))
        layers: list[nn.Module] = [DssLift(_LEVELS, _ZERO_SCALE)]
        for inputs, outputs, pool in zip((num_channels, *CHANNELS), CHANNELS, pools, strict=False):
            layers += [DssConv2d(inputs, outputs, EFFECTIVE_SIZE, _LEVELS), nn.ReLU(), pool, nn.BatchNorm3d(outputs)]
        blocks = nn.Sequential(*layers, SESMaxProjection())
        super().__init__(blocks, CHANNELS[-1], num_classes, upsample=upsample)
