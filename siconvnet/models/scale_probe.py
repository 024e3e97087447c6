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
from siconvnet.scale_starts import ceiling

NAME = "scale_probe"
FILTERS, NUM_SCALES, EFFECTIVE_SIZE, FIELDS = 16, 3, 5, 4


class ScaleProbe(nn.Module):
    """``[B, 1, canvas, canvas] -> [B, num_classes]``.

    Args:
        canvas: side of the images in pixels, a multiple of 4.
        num_classes: of the objects.
        scale_parameterisation, sigma, isr, learn_sigma: see `siconvnet.layers.LearnableScales`.

    Raises:
        InvalidArgument: a canvas that 4 x 4 fields do not fill, or scales that cannot be.
    """

    def __init__(
        self,
        canvas: int = 168,
        num_classes: int = 10,
        scale_parameterisation: str = "isr",
        learn_sigma: bool | None = None,
        sigma: float = 2.0,
        isr: float = 3.0,
    ):
        super().__init__()
        if canvas < EFFECTIVE_SIZE or canvas % FIELDS:
            raise InvalidArgument(f"a canvas of {canvas} pixels cannot be pooled to 4 x 4; give a multiple of 4.")
        self.scales = LearnableScales(NUM_SCALES, scale_parameterisation, sigma, isr, learn_sigma)
        size = ceiling(canvas)
        self.conv = SESConv_Z2_H(1, FILTERS, size, EFFECTIVE_SIZE, self.scales, padding=size // 2)
        self.project = SESMaxProjection()
        self.act = nn.ReLU()
        self.norm = nn.BatchNorm2d(FILTERS)
        self.pool = nn.MaxPool2d(canvas // FIELDS)
        self.lin = nn.Linear(FILTERS * FIELDS**2, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.act(self.project(self.conv(x))))
        return self.lin(self.pool(x).flatten(1))
