"""Locally scale-invariant CNN for MNIST-Scale (Kanazawa, Sharma, Jacobs 2014, as compared in SESN)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from siconvnet.functional.rescaled_input import rescale_in_frame
from siconvnet.models.mnist_plan import MnistScaleNet, last_pool
from siconvnet.models.mnist_scale import CHANNELS, EFFECTIVE_SIZE

SCALES = (0.3, 0.45, 0.67, 1.0, 1.49, 2.23, 3.33)


class KanazawaConv2d(nn.Conv2d):
    """One padded convolution of the image at several sizes, rescaled back, largest response: ``[B, C, H, W]`` kept."""

    def forward(self, x: Tensor) -> Tensor:
        sizes = torch.cat([rescale_in_frame(x, scale) for scale in SCALES])
        responses = super().forward(sizes).unflatten(0, (len(SCALES), -1)).unbind()
        back = [rescale_in_frame(y, 1 / s) for y, s in zip(responses, SCALES, strict=True)]
        return torch.stack(back).max(dim=0).values


class Kanazawa(MnistScaleNet):
    """Three locally scale-invariant convolutions: ``[B, 1, 28, 28] -> [B, 10]``."""

    def __init__(self, upsample: bool):
        pools = (nn.MaxPool2d(2), nn.MaxPool2d(2), last_pool(upsample))
        layers: list[nn.Module] = []
        for inputs, outputs, pool in zip((1, *CHANNELS), CHANNELS, pools, strict=False):
            conv = KanazawaConv2d(inputs, outputs, EFFECTIVE_SIZE, padding=EFFECTIVE_SIZE // 2)
            layers += [conv, nn.ReLU(), pool, nn.BatchNorm2d(outputs)]
        super().__init__(nn.Sequential(*layers), CHANNELS[-1], upsample=upsample)
