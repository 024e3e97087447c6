"""Locally scale-invariant convolutions for STL-10 (Kanazawa, Sharma, Jacobs 2014, as compared in SESN)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet import functional
from siconvnet.functional.rescaled_input import rescale_in_frame
from siconvnet.models.stl_wrn import Parts, WideResNet, channel_counts, conv1x1, he_by_outputs, mean_of_pixels

SCALES = (0.5, 1.0, 2.0)


class KanazawaConv2d(nn.Conv2d):
    """One 3 x 3 convolution of the image at several sizes, rescaled back, largest response:
    ``[B, C, H, W] -> [B, C', H', W']``."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__(in_channels, out_channels, 3, stride, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        responses = [rescale_in_frame(self._at(x, scale), 1 / scale) for scale in SCALES]
        return torch.stack(responses).max(dim=0).values

    def _at(self, x: Tensor, scale: float) -> Tensor:
        """The responses at one size; around an image that was shrunk they are zero, and not computed."""
        framed = rescale_in_frame(x, scale)
        if scale >= 1 or functional.plain_requested():
            return super().forward(framed)
        step = self.stride[0]
        (top, bottom, above, below), (left, right, before, behind) = (
            _filled(side, int(side * scale), step) for side in x.shape[2:]
        )
        return F.pad(super().forward(framed[..., top:bottom, left:right]), (before, behind, above, below))


def _filled(side: int, content: int, step: int) -> tuple[int, int, int, int]:
    """The part of an axis that a kernel meets any content in: its first pixel and the one behind its last, and how
    many responses there are before and behind it. It begins where a response does."""
    margin = (side - content) // 2
    first = max(margin - 1, 0) // step * step
    last = min(margin + content + 1, side)
    responses, found = -(-side // step), -(-(last - first) // step)
    return first, last, first // step, responses - first // step - found


class Kanazawa(WideResNet):
    """A wide residual network of locally scale-invariant convolutions: ``[B, 3, 96, 96] -> [B, 10]``.

    Args:
        widen: how many times as wide as the narrowest.
    """

    def __init__(self, widen: int = 8):
        def conv(inputs: int, outputs: int, stride: int) -> nn.Module:
            return he_by_outputs(KanazawaConv2d(inputs, outputs, stride))

        widths = channel_counts(widen)
        parts = Parts(nn.BatchNorm2d, conv, conv, conv1x1)
        neck = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(), *mean_of_pixels())
        super().__init__(widths, conv(3, widths[0], 1), 3 * [(parts, parts)], neck)
