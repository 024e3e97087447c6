"""Gaussian image pyramids, by Kornia's rule."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional.constants import cached_constant

# The outer product of the binomial coefficients of order 4, normalised: a 5-tap Gaussian of variance 1.
_BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


def pyramid_down(x: Tensor) -> Tensor:
    """Blur, then halve each side by bilinear interpolation: ``[B, C, H, W] -> [B, C, H//2, W//2]``.

    The blur is the 5 x 5 binomial kernel with reflected borders; the interpolation does not align corners.
    Equals `kornia.geometry.pyrdown`.
    """
    channels, height, width = x.shape[1:]
    taps = _taps(x.dtype, x.device)
    padded = F.pad(x, (2, 2, 2, 2), mode="reflect")
    blurred = F.conv2d(padded, taps.view(1, 1, 1, 5).expand(channels, -1, -1, -1), groups=channels)
    blurred = F.conv2d(blurred, taps.view(1, 1, 5, 1).expand(channels, -1, -1, -1), groups=channels)
    return F.interpolate(blurred, size=(height // 2, width // 2), mode="bilinear", align_corners=False)


@cached_constant
def _taps(dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(_BINOMIAL, dtype=dtype, device=device) / 16


def gaussian_pyramid(x: Tensor, levels: int) -> list[Tensor]:
    """The image and its `levels` - 1 reductions, largest first. Equals `kornia.geometry.build_pyramid`."""
    pyramid = [x]
    for _ in range(levels - 1):
        pyramid.append(pyramid_down(pyramid[-1]))
    return pyramid
