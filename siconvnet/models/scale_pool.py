"""The three models that STIR proposes: rescaled kernels, pooled over scale by pixel, slice or energy."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from siconvnet.layers import GlobalMaxPool, SiConvPool2d
from siconvnet.layers.scale_conv import full_num_scales
from siconvnet.models import IMAGE_SIZE, register_model


class ScalePoolNet(nn.Module):
    """Two scale convolutions, each pooled over all scales: ``[B, C, 64, 64] -> [B, num_classes]``.

    The kernels of each stage grow from k up to the side of its input: 29 sizes in the first stage and 26 in the
    second at k = 7. Source: Altstidl et al. 2022 (arXiv 2211.10288), section 3.

    Args:
        pool: "pixel", "slice" or "energy".
    """

    def __init__(
        self,
        num_channels: int,
        num_classes: int,
        kernel_size: int = 7,
        interpolation: str = "bicubic",
        *,
        pool: str,
    ):
        super().__init__()
        k = kernel_size
        scales1 = full_num_scales(IMAGE_SIZE, k)
        scales2 = full_num_scales(IMAGE_SIZE - k + 1, k)
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


for _pool in ("pixel", "slice", "energy"):
    register_model(
        f"{_pool}_pool",
        label=f"{_pool.capitalize()} pool",
        family="rescaled kernels",
        paper="Altstidl et al. 2022",
        url="https://arxiv.org/abs/2211.10288",
        stages=("act1", "act2"),
        scale_pools=("conv1", "conv2"),
    )(partial(ScalePoolNet, pool=_pool))
