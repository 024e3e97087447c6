"""SESN's vector variant with learned internal scales (Basting et al., VISAPP 2024), for the images of STIR."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from siconvnet.layers import GlobalMaxPool, LearnableScales
from siconvnet.layers.steerable import SESConv_H_H, SESConv_Z2_H
from siconvnet.names import IMAGE_SIZE
from siconvnet.scale_starts import ceiling

_BASIS: dict[str, Any] = {"basis_type": "hermite_b", "mult": 1.5, "max_order": 4}


class SESLearned(nn.Module):
    """`hermite` with scales that are learned, one set for both layers: ``[B, C, H, H] -> [B, num_classes]``.

    The kernels are as large as their scales ask for, and images
    are padded by as much as that takes, so that the maps stay as large as the image.

    Args:
        kernel_size: the effective size: it sets the number of weights.
        image_size: H in pixels; kernels wider than twice that would see padding alone, and do not grow further.
        scale_parameterisation, learn_sigma, sigma, isr: see `siconvnet.layers.LearnableScales`.
    """

    def __init__(
        self,
        num_channels: int,
        num_classes: int,
        kernel_size: int = 7,
        image_size: int = IMAGE_SIZE,
        *,
        sigma: float,
        isr: float,
        scale_parameterisation: str = "isr",
        learn_sigma: bool | None = None,
    ):
        super().__init__()
        self.scales = LearnableScales(4, scale_parameterisation, sigma, isr, learn_sigma)
        size = ceiling(image_size)
        shared: dict[str, Any] = {"scales": self.scales, "padding": size // 2, "bias": True, **_BASIS}
        self.conv1 = SESConv_Z2_H(num_channels, 16, size, kernel_size, **shared)
        self.act1 = nn.ReLU()
        self.conv2 = SESConv_H_H(16, 32, 1, size, kernel_size, **shared)
        self.act2 = nn.ReLU()
        self.pool = GlobalMaxPool()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.conv1(x))
        x = self.act2(self.conv2(x))
        return self.lin(self.pool(x))
