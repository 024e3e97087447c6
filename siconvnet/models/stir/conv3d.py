"""Rescaled kernels, then a 3-D convolution over scale and space instead of pooling (STIR, section 4)."""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet.layers import Conv3dMax, SiConv2d
from siconvnet.layers.scale_conv import full_num_scales
from siconvnet.names import IMAGE_SIZE


class Conv3dNet(nn.Module):
    """Scale convolution, then k x k x k convolution over its responses: ``[B, C, H, H] -> [B, num_classes]``.

    Args:
        image_size: H in pixels; the kernels of the first stage grow up to it.
    """

    def __init__(
        self,
        num_channels: int,
        num_classes: int,
        kernel_size: int = 7,
        interpolation: str = "bicubic",
        image_size: int = IMAGE_SIZE,
    ):
        super().__init__()
        k = kernel_size
        self.conv1 = SiConv2d(num_channels, 16, full_num_scales(image_size, k), k, interp_mode=interpolation)
        # Its first step is the ReLU between the two: as a layer of its own it would double the largest tensors.
        self.conv2 = Conv3dMax(16, 32, k, rectify=True)
        self.act2 = nn.ReLU()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        # The published order is convolution, ReLU, global maximum; the last two can change places.
        x = self.act2(self.conv2(x))
        return self.lin(x)
