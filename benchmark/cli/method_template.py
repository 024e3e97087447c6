"""MyNet: say here in one sentence what the method does, and where it is described (paper, section, equation).

    benchmark check my_net:MyNet
    benchmark run --model my_net:MyNet --dataset emoji --evaluation 2

What is here works and is only an example: one kernel is dilated by 1, 2 and 3, and each pixel keeps the largest of the
three responses. Put your own idea into the layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DILATIONS = (1, 2, 3)


class MyNetConv2d(nn.Module):
    """Convolution with one kernel at several dilations, the largest response kept: ``[B, C, H, W] -> [B, C', H, W]``.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: side of the kernel in pixels; odd.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.responses(x).amax(2)

    def scale_indices(self, x: Tensor) -> Tensor:
        """Which dilation won at each pixel: ``[B, C', H, W]``. For index consistency; leave it out if nothing wins."""
        return self.responses(x).argmax(2)

    def responses(self, x: Tensor) -> Tensor:
        """``[B, C, H, W] -> [B, C', S, H, W]``."""
        weight, bias = self.conv.weight, self.conv.bias
        reach = weight.shape[-1] // 2
        return torch.stack([F.conv2d(x, weight, bias, padding=reach * d, dilation=d) for d in DILATIONS], 2)


class MyNet(nn.Module):
    """Images to logits: ``[B, num_channels, H, H] -> [B, num_classes]``.

    The arguments are given by name, and only those that stand here: take `interpolation` too if kernels are rescaled,
    and `image_size`, H in pixels, if the network depends on it.
    The class attributes are all optional.
    """

    label = "MyNet"
    # Submodules whose output is a map [B, C, H, W] at stride 1, first stage first: equivariance is measured on them.
    stages = ("act1", "act2")
    # Submodules with a method scale_indices(x): which scale wins is measured on them.
    scale_pools = ("conv1", "conv2")

    def __init__(self, num_channels: int, num_classes: int, kernel_size: int = 7):
        super().__init__()
        self.conv1 = MyNetConv2d(num_channels, 16, kernel_size)
        self.act1 = nn.ReLU()
        self.conv2 = MyNetConv2d(16, 32, kernel_size)
        self.act2 = nn.ReLU()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.conv1(x))
        x = self.act2(self.conv2(x))
        return self.lin(x.amax((2, 3)))
