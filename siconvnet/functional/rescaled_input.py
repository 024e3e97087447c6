"""Convolution of one input at several sizes, joined by a maximum (Kanazawa et al. 2014).

Resizing an image inside its frame is linear and separable: ``R x C^T`` with one matrix an axis, cropping and padding
included. Only the part of a response that the way back looks at is computed, and the maximum is kept while the sizes go
by. The way back is left to `interpolate`: over an empty background all sizes answer with the bias, and which of them
wins is decided by how its interpolation rounds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional.constants import cached_constant
from siconvnet.functional.conv import conv2d
from siconvnet.functional.dispatch import plain_requested


def rescale_in_frame(x: Tensor, scale: float) -> Tensor:
    """Resize the content by `scale` and keep the frame: ``[B, C, H, W] -> [B, C, H, W]``.

    Bilinear with aligned corners; what grows beyond the frame is cropped, what shrinks is surrounded by zeros. Of an
    odd difference the left and top side take the smaller part.
    """
    if scale == 1:
        return x
    resized = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=True)
    (height, width), (h, w) = x.shape[2:], resized.shape[2:]
    left, top = (width - w) // 2, (height - h) // 2
    return F.pad(resized, (left, width - w - left, top, height - h - top))


def rescaled_input_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, scales: tuple[float, ...]) -> Tensor:
    """Maximum over `scales` of: rescale, convolve, rescale back: ``[B, C, H, W] -> [B, C', H-k+1, W-k+1]``.

    Args:
        weight: ``[C', C, k, k]``, the same at all scales.
        bias: ``[C']`` or none, added before rescaling back.
    """
    if plain_requested() or x.numel() == 0:
        stack = torch.cat([rescale_in_frame(x, scale) for scale in scales])
        responses = conv2d(stack, weight, bias).chunk(len(scales))
        return torch.stack([rescale_in_frame(y, 1 / s) for y, s in zip(responses, scales, strict=True)]).max(0).values
    best = _at_scale(x, weight, bias, scales[0])
    for scale in scales[1:]:
        best = _Larger.apply(best, _at_scale(x, weight, bias, scale))
    return best


def _at_scale(x: Tensor, weight: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    if scale == 1:
        return conv2d(x, weight, bias)
    k = weight.shape[-1]
    rows, columns = (_way_there(side, k, scale, x.dtype, x.device) for side in x.shape[2:])
    response = conv2d(rows.matrix @ x @ columns.matrix.mT, weight, bias)
    response = F.pad(response, (*columns.unused, *rows.unused))
    return rescale_in_frame(response, 1 / scale)


class _WayThere(NamedTuple):
    """Resizing along one axis, for the part of the response that is used.

    Attributes:
        matrix: from the input to the rescaled input.
        unused: how many pixels of the response are left out before and after.
    """

    matrix: Tensor
    unused: tuple[int, int]


@cached_constant
def _way_there(side: int, kernel_size: int, scale: float, dtype: torch.dtype, device: torch.device) -> _WayThere:
    responses = side - kernel_size + 1
    used = _along_one_axis(responses, 1 / scale).any(0).nonzero()[:, 0]
    first, last = int(used[0]), int(used[-1])
    matrix = _along_one_axis(side, scale)[first : last + kernel_size]
    return _WayThere(matrix.to(device, dtype).contiguous(), (first, responses - 1 - last))


def _along_one_axis(side: int, scale: float) -> Tensor:
    """The matrix of `rescale_in_frame` along one axis, read off the identity: ``[side, side]``, float64."""
    unit = torch.eye(side, dtype=torch.float64).reshape(1, side, side, 1)
    size = int(side * scale)
    resized = F.interpolate(unit, size=(size, 1), mode="bilinear", align_corners=True)[0, :, :, 0].T
    before = (side - size) // 2
    return F.pad(resized, (0, 0, before, side - size - before))


class _Larger(torch.autograd.Function):
    """The elementwise maximum of two tensors; of equals the first gets the gradient."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        ctx.save_for_backward(second > first)
        return torch.maximum(first, second)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        (second_wins,) = ctx.saved_tensors
        return gradient * ~second_wins, gradient * second_wins
