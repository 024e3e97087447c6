"""Accurate discrete scale convolutions (Sosnovik, Moskalev, Smeulders 2021, as used in STIR)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from siconvnet.layers import GlobalMaxPool
from siconvnet.layers.steerable import SESConv_H_H, SESConv_Z2_H

_SIZE = 15
_SCALES = (1.0, 1.26, 1.59, 2.0)
_BASIS: dict[str, Any] = {"basis_type": "disco_b", "mult": 1.9, "max_order": 4, "min_scale": 1.9}


class Disco(nn.Module):
    """SESN on a basis that commutes with rescaling: ``[B, C, H, W] -> [B, num_classes]``.

    `kernel_size` is the effective size: it sets the number of weights, while the kernels are 15 x 15 pixels. At
    scale 2 they hold effective sizes up to 7.
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
