"""SESN's vector variant with learned internal scales (Basting et al., VISAPP 2024), for the images of STIR."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from siconvnet.layers import GlobalMaxPool, LearnableScales
from siconvnet.layers.steerable import SESConv_H_H, SESConv_Z2_H
from siconvnet.models import register_model
from siconvnet.scale_starts import ceiling

_CEILING = ceiling(64)
_BASIS: dict[str, Any] = {"basis_type": "hermite_b", "mult": 1.5, "max_order": 4}


@register_model(
    "ses_learned",
    label="SESN learned",
    family="steerable",
    paper="Basting et al. 2024",
    url="https://www.scitepress.org/publishedPapers/2024/123798/pdf/index.html",
    stages=("act1", "act2"),
)
class SESLearned(nn.Module):
    """`hermite` with scales that are learned, one set for both layers: ``[B, C, H, W] -> [B, num_classes]``.

    They start at the paper's 1.5 to 3 pixels. The kernels are as large as their scales ask for, and images
    are padded by as much as that takes, so that the maps stay as large as the image.

    Args:
        kernel_size: the effective size: it sets the number of weights.
        scale_parameterisation, learn_sigma, sigma, isr: see `siconvnet.layers.LearnableScales`.
    """

    def __init__(
        self,
        num_channels: int,
        num_classes: int,
        kernel_size: int = 7,
        scale_parameterisation: str = "isr",
        learn_sigma: bool | None = None,
        sigma: float = 1.5,
        isr: float = 2.0,
    ):
        super().__init__()
        self.scales = LearnableScales(4, scale_parameterisation, sigma, isr, learn_sigma)
        shared: dict[str, Any] = {"scales": self.scales, "padding": _CEILING // 2, "bias": True, **_BASIS}
        self.conv1 = SESConv_Z2_H(num_channels, 16, _CEILING, kernel_size, **shared)
        self.act1 = nn.ReLU()
        self.conv2 = SESConv_H_H(16, 32, 1, _CEILING, kernel_size, **shared)
        self.act2 = nn.ReLU()
        self.pool = GlobalMaxPool()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.conv1(x))
        x = self.act2(self.conv2(x))
        return self.lin(self.pool(x))
