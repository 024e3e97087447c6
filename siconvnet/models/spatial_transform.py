"""A spatial transformer in front of the standard network (Jaderberg et al. 2015, as used in STIR, section 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.layers import Conv2d, GlobalMaxPool
from siconvnet.models import IMAGE_SIZE, register_model


@register_model(
    "spatial_transform",
    label="Spatial transf.",
    family="baseline",
    paper="Jaderberg et al. 2015",
    url="https://arxiv.org/abs/1506.02025",
)
class SpatialTransform(nn.Module):
    """A localisation net predicts an affine map, the image is resampled by it: ``[B, C, 64, 64] -> [B, num_classes]``.

    The map starts at the identity. Sampling is bilinear, zero outside, corners not aligned.
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
            nn.Flatten(),
            nn.Linear(16 * (IMAGE_SIZE // 4) ** 2, 16),
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
