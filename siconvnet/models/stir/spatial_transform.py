"""A spatial transformer in front of the standard network (Jaderberg et al. 2015, as used in STIR, section 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.layers import Conv2d, GlobalMaxPool
from siconvnet.names import IMAGE_SIZE

_GRID = IMAGE_SIZE // 4
"""Side of the maps that the localisation net ends in, in pixels."""


class _FlatGrid(nn.Module):
    """Maps of any side, averaged to those that images of 64 pixels have: ``[B, C, H, W] -> [B, C * 16 * 16]``."""

    def forward(self, x: Tensor) -> Tensor:
        return (x if x.shape[-2:] == (_GRID, _GRID) else F.adaptive_avg_pool2d(x, _GRID)).flatten(1)


class SpatialTransform(nn.Module):
    """A localisation net predicts an affine map, the image is resampled by it: ``[B, C, H, W] -> [B, num_classes]``.

    The map starts at the identity. Sampling is bilinear, zero outside, corners not aligned. It is published for images
    of 64 pixels; of other images the localisation net sees its maps averaged to the size that these have.
    """

    def __init__(self, num_channels: int, num_classes: int, kernel_size: int = 7):
        super().__init__()
        self.conv1 = Conv2d(num_channels, 16, kernel_size)
        self.act1 = nn.ReLU()
        self.conv2 = Conv2d(16, 32, kernel_size)
        self.act2 = nn.ReLU()
        self.pool = GlobalMaxPool()
        self.lin = nn.Linear(32, num_classes)
        self.localisation = nn.Sequential(
            nn.Conv2d(num_channels, 16, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            _FlatGrid(),
            nn.Linear(16 * _GRID**2, 16),
            nn.ReLU(),
        )
        self.theta = nn.Linear(16, 6)
        nn.init.zeros_(self.theta.weight)
        with torch.no_grad():
            self.theta.bias.copy_(torch.eye(2, 3).flatten())

    def forward(self, x: Tensor) -> Tensor:
        theta = self.theta(self.localisation(x)).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        x = F.grid_sample(x, grid, align_corners=False)
        x = self.act1(self.conv1(x))
        x = self.act2(self.conv2(x))
        return self.lin(self.pool(x))
