"""The network of the toy study of scale learning: one layer, so that its scales alone meet the sizes of the objects.

Basting et al., "Scale Learning in Scale-Equivariant Convolutional Networks", VISAPP 2024, and the commands published
with it: 16 filters of effective size 5 (Hermite basis A) at 3 internal scales, maximum over scales, ReLU,
normalisation, maximum over a grid of 4 x 4 fields, one linear layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet.errors import InvalidArgument
from siconvnet.layers import LearnableScales
from siconvnet.layers.steerable import SESConv_Z2_H, SESMaxProjection
from siconvnet.names import IMAGE_SIZE
from siconvnet.scale_starts import ceiling

FILTERS, NUM_SCALES, EFFECTIVE_SIZE, FIELDS = 16, 3, 5, 4


class ScaleProbe(nn.Module):
    """``[B, C, H, H] -> [B, num_classes]``.

    Args:
        image_size: H in pixels, a multiple of 4.
        scale_parameterisation, sigma, isr, learn_sigma: see `siconvnet.layers.LearnableScales`.

    Raises:
        InvalidArgument: an image size that 4 x 4 fields do not fill, or scales that cannot be.
    """

    def __init__(
        self,
        num_channels: int,
        num_classes: int,
        image_size: int = IMAGE_SIZE,
        *,
        sigma: float,
        isr: float,
        scale_parameterisation: str = "isr",
        learn_sigma: bool | None = None,
    ):
        super().__init__()
        if image_size < EFFECTIVE_SIZE or image_size % FIELDS:
            raise InvalidArgument(f"images of {image_size} pixels cannot be pooled to 4 x 4; give a multiple of 4.")
        self.scales = LearnableScales(NUM_SCALES, scale_parameterisation, sigma, isr, learn_sigma)
        size = ceiling(image_size)
        self.conv = SESConv_Z2_H(num_channels, FILTERS, size, EFFECTIVE_SIZE, self.scales, padding=size // 2)
        self.project = SESMaxProjection()
        self.act = nn.ReLU()
        self.norm = nn.BatchNorm2d(FILTERS)
        self.pool = nn.MaxPool2d(image_size // FIELDS)
        self.lin = nn.Linear(FILTERS * FIELDS**2, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.act(self.project(self.conv(x))))
        return self.lin(self.pool(x).flatten(1))
