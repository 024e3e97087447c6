"""Copies of an image at several sizes about its centre, all cropped or padded to the size of the image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional.constants import cached_constant


@cached_constant
def foveation_matrices(side: int, factors: tuple[float, ...]) -> Tensor:
    """Rescale an axis of `side` pixels about its centre by each factor, ``[S, side, side]``, float64.

    The axis is resized (bicubic, with anti-aliasing) to the length nearest to ``side * factor`` that differs from
    `side` by an even number of pixels, and cropped to its centre or zero-padded around. The tensor is shared and must
    not be written to.
    """
    identity = torch.eye(side, dtype=torch.float64)[None, None]
    matrices = []
    for factor in factors:
        margin = max(round(side * (factor - 1) / 2), -((side - 1) // 2))
        size = (side + 2 * margin, side)
        resized = F.interpolate(identity, size=size, mode="bicubic", align_corners=False, antialias=True)
        matrices.append(F.pad(resized[0, 0], (0, 0, -margin, -margin)))
    return torch.stack(matrices)


def foveate(x: Tensor, factors: tuple[float, ...]) -> Tensor:
    """Rescale images about their centre by each factor: ``[B, C, H, W] -> [B, S, C, H, W]``."""
    rows, columns = (foveation_matrices(side, factors).to(x) for side in x.shape[-2:])
    return rows[:, None] @ x[:, None] @ columns[:, None].mT
