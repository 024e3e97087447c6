"""One network on every level of a Gaussian pyramid; the mean of its answers (STIR, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from siconvnet.functional.pyramid import gaussian_pyramid
from siconvnet.layers import Conv2d, GlobalMaxPool

_LEVELS = 3


class Ensemble(nn.Module):
    """Two padded convolutions and a head, shared by three pyramid levels: ``[B, C, H, W] -> [B, num_classes]``."""

    def __init__(self, num_channels: int, num_classes: int, kernel_size: int = 7):
        super().__init__()
        pad = kernel_size // 2
        self.conv1 = Conv2d(num_channels, 16, kernel_size, padding=pad)
        self.act1 = nn.ReLU()
        self.conv2 = Conv2d(16, 32, kernel_size, padding=pad)
        self.act2 = nn.ReLU()
        self.pool = GlobalMaxPool()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self._logits(level) for level in gaussian_pyramid(x, _LEVELS)]).mean(0)

    def _logits(self, x: Tensor) -> Tensor:
        x = self.act1(self.conv1(x))
        x = self.act2(self.conv2(x))
        return self.lin(self.pool(x))
