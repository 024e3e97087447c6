"""One convolution applied to the input at several sizes (Kanazawa et al. 2014)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.layers.conv import Conv2d


def rescale_in_frame(x: Tensor, scale: float) -> Tensor:
    """Resize the content by `scale` and keep the frame: ``[B, C, H, W] -> [B, C, H, W]``.

    Bilinear with aligned corners; what grows beyond the frame is cropped, what shrinks is surrounded by zeros. Of an
    odd difference the left and top side take the smaller part.
    """
    if scale == 1:
        return x
    resized = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=True)
    (height, width), (h, w) = x.shape[2:], resized.shape[2:]
    left, top = (width - w) // 2, (height - h) // 2
    return F.pad(resized, (left, width - w - left, top, height - h - top))


class KanazawaConv2d(Conv2d):
    """Locally scale-invariant convolution: ``[B, C, H, W] -> [B, C', H-k+1, W-k+1]``.

    The input is rescaled by each factor, convolved with the same kernel, the responses are rescaled back, and the
    maximum over the factors is taken at each pixel.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: k, in pixels.
        scales: the factors.

    Source: Kanazawa et al. 2014 (arXiv 1412.5104), as implemented for STIR.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, scales: list[float]):
        super().__init__(in_channels, out_channels, kernel_size)
        self.scales = list(scales)

    def forward(self, x: Tensor) -> Tensor:
        stack = torch.cat([rescale_in_frame(x, scale) for scale in self.scales])
        responses = super().forward(stack).chunk(len(self.scales))
        aligned = [rescale_in_frame(y, 1 / scale) for y, scale in zip(responses, self.scales, strict=True)]
        return torch.stack(aligned).max(0).values
