"""The sum of each response, without computing the response.

The sum of a correlation over its outputs is the inner product of the kernel with sums of the input over boxes, one box
for each tap. With the kernel ``U w U^T`` that is an inner product of w with ``Q x Q'^T``, where Q ``[k, H]`` adds up
the input rows that each of the k taps meets.
"""

from __future__ import annotations

import torch
from torch import Tensor

from siconvnet.functional.constants import cached_constant
from siconvnet.functional.geometry import Geometry
from siconvnet.functional.interpolation import interpolation_matrix


def scale_energies(x: Tensor, weight: Tensor, bias: Tensor, geometry: Geometry) -> Tensor:
    """Sums of the responses over all outputs, bias included: ``[B, C, H, W] -> [B, C', S]``."""
    rows = _sums(geometry, 0, x.dtype, x.device)
    columns = _sums(geometry, 1, x.dtype, x.device)
    boxes = torch.einsum("bchw,sjw->bsjch", x, columns)
    boxes = torch.einsum("sih,bsjch->bscij", rows, boxes)
    return torch.einsum("bscij,ocij->bos", boxes, weight) + bias[:, None] * _counts(geometry, bias.dtype, bias.device)


@cached_constant
def _counts(geometry: Geometry, dtype: torch.dtype, device: torch.device) -> Tensor:
    """How many outputs each scale has: ``[S]``."""
    counts = [rows.count * columns.count for rows, columns in map(geometry.spans, range(geometry.num_scales))]
    return torch.tensor(counts).to(device, dtype)


@cached_constant
def _sums(geometry: Geometry, dim: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The matrices Q of all scales along one axis: ``[S, k, length]``."""
    k, length = geometry.kernel_size, (geometry.height, geometry.width)[dim]
    zeros = geometry.padding
    sums = torch.zeros(geometry.num_scales, k, length + 2 * zeros, dtype=torch.float64)
    for scale in range(geometry.num_scales):
        size, span = geometry.size(scale), geometry.spans(scale)[dim]
        resize = interpolation_matrix(k, size, geometry.mode).T * (k / size)
        for output in range(span.count):
            start = zeros + span.first + geometry.stride * output
            sums[scale, :, start : start + size] += resize
    return sums[..., zeros : zeros + length].to(device, dtype)
