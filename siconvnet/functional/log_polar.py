"""Log-polar resampling: scaling and rotation about the centre become shifts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional.constants import cached_constant


@cached_constant
def log_polar_grid(
    num_angles: int, num_radii: int, log_radii: tuple[float, float], angles: tuple[float, float]
) -> Tensor:
    """Where samples lie, ``[num_angles, num_radii, 2]``, float64, as x and y for `torch.nn.functional.grid_sample`.

    x = exp(rho) cos(theta), y = exp(rho) sin(theta); the image spans -1 to 1, and y points down.

    Args:
        log_radii: the first and the last rho, evenly spaced between.
        angles: the first and the last theta. For a whole turn without a repeated angle, leave out the last step.

    The tensor is shared and must not be written to.
    """
    rho = torch.linspace(*log_radii, num_radii, dtype=torch.float64).exp()
    theta = torch.linspace(*angles, num_angles, dtype=torch.float64)[:, None]
    return torch.stack([rho * theta.cos(), rho * theta.sin()], -1)


def sample_log_polar(x: Tensor, grid: Tensor) -> Tensor:
    """Sample images bilinearly, zero outside, corners not aligned: ``[B, C, H, W] -> [B, C, angles, radii]``."""
    grid = grid.to(x).expand(x.shape[0], -1, -1, -1)
    return F.grid_sample(x, grid, align_corners=False)
