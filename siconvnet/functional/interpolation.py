"""Kernel rescaling as a matrix.

Every interpolation used here is linear and separable: a k x k kernel w resized to t x t is ``U w U^T`` with one
matrix U of shape (t, k). What `torch.nn.functional.interpolate` does along one axis is read off the identity, so
that the matrix is its rule to the last tap.

Kernels are resized by matrices alone: ONNX exporters evaluate the resizing of constants by a reference implementation
whose results differ from torch's at some sizes and factors, as in bicubic resizing from 7 to 17, 41 and 61 pixels.
"""

from __future__ import annotations

from typing import Any

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


def frame_matrix(side: int, mode: str, *, size: int | None = None, scale: float | None = None) -> Tensor:
    """The matrix of shape (side, side), float64, that resizes along one axis and keeps the frame.

    What grows beyond the frame is cropped, what shrinks is surrounded by zeros. Of an odd difference the leading side
    takes the smaller part.

    Args:
        mode: "bilinear" (corners aligned) or "nearest".
        size: the new side in pixels.
        scale: the factor instead, which "nearest" samples by before the new side is rounded down to a whole pixel.
    """
    unit_columns = torch.eye(side, dtype=torch.float64).reshape(1, side, side, 1)
    # Two-dimensional, as kernels are: in one dimension "nearest" can pick other pixels.
    target: dict[str, Any] = {"size": (size, 1)} if scale is None else {"scale_factor": (scale, 1.0)}
    align = {} if mode == "nearest" else {"align_corners": True}
    resized = F.interpolate(unit_columns, mode=mode, **target, **align)[0, :, :, 0].T
    before = (side - len(resized)) // 2
    return F.pad(resized, (0, 0, before, side - len(resized) - before))


def _area_matrix(kernel_size: int, size: int) -> Tensor:
    # In units of 1/size of a source pixel every boundary is an integer, so the overlaps are exact.
    target_low = torch.arange(size)[:, None] * kernel_size
    source_low = torch.arange(kernel_size)[None, :] * size
    overlap = torch.minimum(target_low + kernel_size, source_low + size) - torch.maximum(target_low, source_low)
    return overlap.clamp(min=0).to(torch.float64) / kernel_size
