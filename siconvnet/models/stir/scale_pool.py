"""The three models that STIR proposes: rescaled kernels, pooled over scale by pixel, slice or energy."""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet.layers import GlobalMaxPool, SiConvPool2d
from siconvnet.layers.scale_conv import full_num_scales
from siconvnet.names import IMAGE_SIZE


class ScalePoolNet(nn.Module):
    """Two scale convolutions, each pooled over all scales: ``[B, C, H, H] -> [B, num_classes]``.

    The kernels of each stage grow from k up to the side of its input: 29 sizes in the first stage and 26 in the
    second at k = 7 and H = 64. Source: Altstidl et al. 2022 (arXiv 2211.10288), section 3.

    Args:
        image_size: H in pixels.
        pool: "pixel", "slice" or "energy".
    """

    def __init__(
        self,
        num_channels: int,
        num_classes: int,
        kernel_size: int = 7,
        interpolation: str = "bicubic",
        image_size: int = IMAGE_SIZE,
        *,
        pool: str,
    ):
        super().__init__()
        k = kernel_size
        scales1 = full_num_scales(image_size, k)
        scales2 = full_num_scales(image_size - k + 1, k)
        self.conv1 = SiConvPool2d(num_channels, 16, scales1, k, interp_mode=interpolation, pool=pool)
        self.act1 = nn.ReLU()
        self.conv2 = SiConvPool2d(16, 32, scales2, k, interp_mode=interpolation, pool=pool)
        self.act2 = nn.ReLU()
        self.pool = GlobalMaxPool()
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.conv1(x))
        x = self.act2(self.conv2(x))
        return self.lin(self.pool(x))
