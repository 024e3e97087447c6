"""Rescaled kernels, then a 3-D convolution over scale and space instead of pooling (STIR, section 4)."""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet.layers import Conv3dMax, SiConv2d
from siconvnet.layers.scale_conv import full_num_scales
from siconvnet.models import IMAGE_SIZE, register_model


@register_model(
    "conv3d",
    label="Conv3d",
    family="rescaled kernels",
    paper="Altstidl et al. 2022",
    url="https://arxiv.org/abs/2211.10288",
)
class Conv3dNet(nn.Module):
    """Scale convolution, then k x k x k convolution over its responses: ``[B, C, 64, 64] -> [B, num_classes]``."""

    def __init__(self, num_channels: int, num_classes: int, kernel_size: int = 7, interpolation: str = "bicubic"):
        super().__init__()
        k = kernel_size
        self.conv1 = SiConv2d(num_channels, 16, full_num_scales(IMAGE_SIZE, k), k, interp_mode=interpolation)
        # Its first step is the ReLU between the two: as a layer of its own it would double the largest tensors.
        self.conv2 = Conv3dMax(16, 32, k, rectify=True)
        self.act2 = nn.ReLU()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        # The published order is convolution, ReLU, global maximum; the last two can change places.
        x = self.act2(self.conv2(x))
        return self.lin(x)
