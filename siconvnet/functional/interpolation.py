"""Kernel rescaling as a matrix.

Every interpolation used here is linear and separable: a k x k kernel w resized to t x t is ``U w U^T`` with one
matrix U of shape (t, k). What `torch.nn.functional.interpolate` does along one axis is read off the identity, so
that the matrix is its rule to the last tap.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.errors import UnknownName
from siconvnet.functional.constants import cached_constant
from siconvnet.names import INTERPOLATIONS


def scale_sizes(kernel_size: int, num_scales: int) -> list[int]:
    """Sides of the rescaled kernels: k, k + 2, ..., k + 2 (num_scales - 1)."""
    return [kernel_size + 2 * i for i in range(num_scales)]


@cached_constant
def interpolation_matrix(kernel_size: int, size: int, mode: str) -> Tensor:
    """The matrix U of shape (size, kernel_size), float64, that resizes along one axis.

    Args:
        mode: "nearest", "bilinear" or "bicubic" as in `torch.nn.functional.interpolate` with
            ``align_corners=False``, or "area": the average of the source over ``[i k/t, (i+1) k/t)``.

    Raises:
        UnknownName: another mode.

    Source: STIR, section 3.1. The tensor is shared between callers and must not be written to.
    """
    if mode == "area":
        return _area_matrix(kernel_size, size)
    if mode not in INTERPOLATIONS:
        raise UnknownName("interpolation", mode, INTERPOLATIONS)
    unit_columns = torch.eye(kernel_size, dtype=torch.float64).reshape(1, kernel_size, kernel_size, 1)
    align = {} if mode == "nearest" else {"align_corners": False}
    resized = F.interpolate(unit_columns, size=(size, 1), mode=mode, **align)
    return resized[0, :, :, 0].T.contiguous()


def _area_matrix(kernel_size: int, size: int) -> Tensor:
    # In units of 1/size of a source pixel every boundary is an integer, so the overlaps are exact.
    target_low = torch.arange(size)[:, None] * kernel_size
    source_low = torch.arange(kernel_size)[None, :] * size
    overlap = torch.minimum(target_low + kernel_size, source_low + size) - torch.maximum(target_low, source_low)
    return overlap.clamp(min=0).to(torch.float64) / kernel_size
