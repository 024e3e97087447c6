"""Scale-equivariant steerable network, scalar variant (Sosnovik, Szmaja, Smeulders 2020, section 5)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from siconvnet.layers import GlobalMaxPool
from siconvnet.layers.steerable import SESConv_Z2_H, SESMaxProjection

_SIZE = 15
_SCALES = (2.0, 2.52, 3.17, 4.0)
_BASIS: dict[str, Any] = {"basis_type": "hermite_b", "mult": 1.5, "max_order": 4}


class SESN(nn.Module):
    """Twice: lift to four scales and keep the largest response of each pixel: ``[B, C, H, W] -> [B, num_classes]``.

    `kernel_size` is the effective size: it sets the number of weights, while the kernels are 15 x 15 pixels.
    """

    def __init__(self, num_channels: int, num_classes: int, kernel_size: int = 7):
        super().__init__()
        self.conv1 = SESConv_Z2_H(num_channels, 16, _SIZE, kernel_size, _SCALES, bias=True, **_BASIS)
        self.project1 = SESMaxProjection()
        self.act1 = nn.ReLU()
        self.conv2 = SESConv_Z2_H(16, 32, _SIZE, kernel_size, _SCALES, bias=True, **_BASIS)
        self.project2 = SESMaxProjection()
        self.act2 = nn.ReLU()
        self.pool = GlobalMaxPool()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.project1(self.conv1(x)))
        x = self.act2(self.project2(self.conv2(x)))
        return self.lin(self.pool(x))
