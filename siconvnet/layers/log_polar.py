"""Log-polar resampling about the centre of an image (Esteves et al. 2018; Tai et al. 2019)."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from siconvnet.errors import InvalidArgument
from siconvnet.functional.log_polar import log_polar_grid, sample_log_polar


class LogPolar(nn.Module):
    """Resample images on rays from their centre: ``[B, C, H, W] -> [B, C, num_angles, num_radii]``.

    Row i is the ray at the angle 2 pi i / num_angles - pi, and radii grow along it in geometric progression, from one
    pixel to the corners. Enlarging an image about its centre shifts the columns, and turning it rolls the rows.

    Args:
        num_angles, num_radii: size of the result.

    Raises:
        InvalidArgument: fewer than two of either; an input that is not ``[B, C, H, W]``.

    Source: Esteves et al. 2018 (arXiv 1709.01889) and Tai et al. 2019 (arXiv 1901.11399).
    """

    def __init__(self, num_angles: int, num_radii: int):
        super().__init__()
        if min(num_angles, num_radii) < 2:
            raise InvalidArgument(f"{num_angles} angles and {num_radii} radii: at least 2 of either are needed.")
        self.num_angles, self.num_radii = num_angles, num_radii

    def extra_repr(self) -> str:
        return f"{self.num_angles}, {self.num_radii}"

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:
            raise InvalidArgument(f"expected an input [B, C, H, W], got {list(x.shape)}.")
        # A pixel is 2 / side of the grid's units.
        log_radii = (math.log(2 / max(x.shape[-2:])), math.log(2) / 2)
        angles = (-math.pi, math.pi - 2 * math.pi / self.num_angles)
        return sample_log_polar(x, log_polar_grid(self.num_angles, self.num_radii, log_radii, angles))


class WrapAngles(nn.Module):
    """Repeat rows beyond either end, as angles go on after a whole turn: ``[..., H, W] -> [..., H + 2 margin, W]``.

    Args:
        margin: rows added at either end.
    """

    def __init__(self, margin: int):
        super().__init__()
        self.margin = margin

    def extra_repr(self) -> str:
        return str(self.margin)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, self.margin, self.margin), mode="circular")
