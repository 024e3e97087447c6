"""Foveated scale channels (Jansson and Lindeberg 2022): one network on copies of the image, rescaled about its centre.

Every channel sees as many pixels. Those of enlarged copies see the centre of the image finely, those of shrunk ones all
of it coarsely. Logits are the maximum (`fov_max`) or the mean (`fov_avg`) of those of the channels. What is settled
here:

* The shared network is the standard one of STIR.
* Factors are 1/2, 2^(-1/2), 1, 2^(1/2) and 2, which span 4, as STIR's objects do (17 to 64 pixels). Copies are made by
  bicubic interpolation, with anti-aliasing, which only matters to shrunk ones; around these is black.
* Objects of STIR need not be at the centre, and enlarged copies lose those that are not.
"""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet.errors import UnknownName
from siconvnet.functional.foveation import foveate
from siconvnet.models.stir.standard import Standard

_FACTORS = tuple(2 ** (step / 2) for step in range(-2, 3))
_POOLS = ("max", "mean")


class FoveatedNet(nn.Module):
    """The standard network in five foveated scale channels: ``[B, C, H, W] -> [B, num_classes]``.

    Args:
        pool: "max" or "mean" over scale channels.
        factors: by which the image is rescaled, one for each channel.

    Raises:
        UnknownName: another pooling.
    """

    def __init__(
        self,
        num_channels: int,
        num_classes: int,
        kernel_size: int = 7,
        *,
        pool: str,
        factors: tuple[float, ...] = _FACTORS,
    ):
        super().__init__()
        if pool not in _POOLS:
            raise UnknownName("pooling over scale channels", pool, _POOLS)
        self.pool, self.factors = pool, tuple(factors)
        self.net = Standard(num_channels, num_classes, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        copies = foveate(x, self.factors)
        logits = self.net(copies.flatten(0, 1)).unflatten(0, copies.shape[:2])
        return logits.mean(1) if self.pool == "mean" else logits.max(1).values
