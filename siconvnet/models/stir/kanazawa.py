"""Locally scale-invariant CNN (Kanazawa et al. 2014, as used in STIR, section 4)."""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet.layers import GlobalMaxPool, KanazawaConv2d

_SCALES = [1.26**exponent for exponent in range(-2, 4)]


class Kanazawa(nn.Module):
    """Two convolutions over six rescaled copies of their input: ``[B, C, H, W] -> [B, num_classes]``."""

    def __init__(self, num_channels: int, num_classes: int, kernel_size: int = 7):
        super().__init__()
        self.conv1 = KanazawaConv2d(num_channels, 16, kernel_size, _SCALES)
        self.act1 = nn.ReLU()
        self.conv2 = KanazawaConv2d(16, 32, kernel_size, _SCALES)
        self.act2 = nn.ReLU()
        self.pool = GlobalMaxPool()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.conv1(x))
        x = self.act2(self.conv2(x))
        return self.lin(self.pool(x))
