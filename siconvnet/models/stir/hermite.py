"""Scale-equivariant steerable network, vector variant (Sosnovik, Szmaja, Smeulders 2020, as used in STIR)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from siconvnet.layers import GlobalMaxPool
from siconvnet.layers.steerable import SESConv_H_H, SESConv_Z2_H

_SIZE = 15
_SCALES = (2.0, 2.52, 3.17, 4.0)
_BASIS: dict[str, Any] = {"basis_type": "hermite_b", "mult": 1.5, "max_order": 4}


class Hermite(nn.Module):
    """Lift to four scales, convolve each, take the maximum of all: ``[B, C, H, W] -> [B, num_classes]``.

    `kernel_size` is the effective size: it sets the number of weights, while the kernels are 15 x 15 pixels.
    """

    def __init__(self, num_channels: int, num_classes: int, kernel_size: int = 7):
        super().__init__()
        self.conv1 = SESConv_Z2_H(num_channels, 16, _SIZE, kernel_size, _SCALES, bias=True, **_BASIS)
        self.act1 = nn.ReLU()
        self.conv2 = SESConv_H_H(16, 32, 1, _SIZE, kernel_size, _SCALES, bias=True, **_BASIS)
        self.act2 = nn.ReLU()
        self.pool = GlobalMaxPool()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.conv1(x))
        x = self.act2(self.conv2(x))
        return self.lin(self.pool(x))
