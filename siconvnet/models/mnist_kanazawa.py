"""Locally scale-invariant CNN for MNIST-Scale (Kanazawa, Sharma, Jacobs 2014, as compared in SESN)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.models.mnist_plan import MnistScaleNet, last_pool
from siconvnet.models.mnist_scale import CHANNELS, EFFECTIVE_SIZE

SCALES = (0.3, 0.45, 0.67, 1.0, 1.49, 2.23, 3.33)


def rescale_in_place(x: Tensor, scale: float, mode: str) -> Tensor:
    """Rescale about the centre and keep the size, by zero padding or cropping: ``[..., H, W] -> [..., H, W]``.

    Args:
        x: shape (A, B, H, W).
        scale: above 1 enlarges.
        mode: "bilinear" (corners aligned) or "nearest".
    """
    if scale == 1:
        return x
    resized = F.interpolate(x, scale_factor=scale, mode=mode, align_corners=None if mode == "nearest" else True)
    (height, width), (new_height, new_width) = x.shape[2:], resized.shape[2:]
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return F.pad(resized, (left, width - new_width - left, top, height - new_height - top))


class KanazawaConv2d(nn.Conv2d):
    """One padded convolution of the image at several sizes, rescaled back, largest response: ``[B, C, H, W]`` kept."""

    def forward(self, x: Tensor) -> Tensor:
        sizes = torch.cat([rescale_in_place(x, scale, "bilinear") for scale in SCALES])
        responses = super().forward(sizes).chunk(len(SCALES))
        back = [rescale_in_place(y, 1 / s, "bilinear") for y, s in zip(responses, SCALES, strict=True)]
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
