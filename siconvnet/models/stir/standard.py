"""The plain CNN that all other methods are held against (STIR, section 4)."""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet.layers import Conv2d, GlobalMaxPool


class Standard(nn.Module):
    """Two unpadded convolutions, global max pooling, one linear layer: ``[B, C, H, W] -> [B, num_classes]``."""

    def __init__(self, num_channels: int, num_classes: int, kernel_size: int = 7):
        super().__init__()
        self.conv1 = Conv2d(num_channels, 16, kernel_size)
        self.act1 = nn.ReLU()
        self.conv2 = Conv2d(16, 32, kernel_size)
        self.act2 = nn.ReLU()
        self.pool = GlobalMaxPool()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.conv1(x))
        x = self.act2(self.conv2(x))
        return self.lin(self.pool(x))
