"""Convolutions with steered kernels, one for each scale (SESN, ICLR 2020, section 4).

Each scale is a convolution of its own, which may be direct or spectral, with no more of its kernel than is not zero:
the small scales of a basis fill a part of the frame that the largest one needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.errors import InvalidArgument
from siconvnet.functional import costs, plain
from siconvnet.functional.checks import check_size
from siconvnet.functional.conv import conv2d
from siconvnet.functional.dispatch import outside_graphs, plain_requested


def steer(weight: Tensor, basis: Tensor) -> Tensor:
    """The kernel of each scale: weights times basis functions.

    Args:
        weight: shape (..., num_funcs).
        basis: shape (num_funcs, num_scales, size, size).

    Returns:
        Shape (..., num_scales, size, size).
    """
    return (weight @ basis.flatten(1)).unflatten(-1, basis.shape[1:])


def supports_of(basis: Tensor) -> tuple[int, ...]:
    """For each scale, the odd side in pixels of the centred square outside which all functions are zero."""
    size = basis.shape[-1]
    distance = (torch.arange(size, device="cpu") - size // 2).abs()
    ring = torch.maximum(distance[:, None], distance)
    used = (basis != 0).any(dim=0).cpu()
    return tuple(2 * int((ring * plane).max()) + 1 for plane in used)


@outside_graphs
def conv_z2_h(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    supports: Sequence[int] | None = None,
) -> Tensor:
    """Lift a plane to scale space: one convolution for each scale. [B, C, H, W] -> [B, C', S, H', W']

    Args:
        x: shape (B, C, H, W).
        kernel: shape (C', C, S, size, size).
        bias: shape (C') or none.
        stride: step in pixels.
        padding: zeros added to each side, in pixels.
        supports: for each scale the odd side in pixels beyond which its kernel is zero; that part is not computed.

    Raises:
        InvalidArgument: the input is smaller than the kernel.
    """
    check_size(x, kernel.shape[-1], padding)
    out_channels, channels, num_scales, size = kernel.shape[:4]
    sides = tuple(supports or [size] * num_scales)
    whole = whole_convolution(x, channels, out_channels * num_scales, size, stride, padding)
    if plain_requested() or not costs.gains_by_parts(whole, sides):
        return plain.conv_z2_h(x, kernel, bias, stride, padding)
    kernels = zip(kernel.unbind(2), sides, strict=True)
    return torch.stack([conv2d_within(x, taps, bias, side, stride, padding) for taps, side in kernels], dim=2)


@outside_graphs
def conv_h_h(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    supports: Sequence[int] | None = None,
) -> Tensor:
    """Convolve over scale and plane. [B, C, S, H, W] -> [B, C', S, H', W']

    Output scale s sees the input scales s .. s + scale_size - 1; beyond the largest scale there is nothing.

    Args:
        x: shape (B, C, S, H, W).
        kernel: shape (C', C, scale_size, S, size, size).
        bias: shape (C') or none.
        stride: step in pixels.
        padding: zeros added to each side, in pixels.
        supports: for each scale the odd side in pixels beyond which its kernel is zero; that part is not computed.

    Raises:
        InvalidArgument: the input is smaller than the kernel, or has another number of scales.
    """
    out_channels, channels, scale_size, num_scales, _, size = kernel.shape
    if x.shape[2] != num_scales:
        raise InvalidArgument(f"expected an input of {num_scales} scales, as the kernel has, got {x.shape[2]}.")
    check_size(x, size, padding)
    sides = tuple(supports or [size] * num_scales)
    # The plain way convolves once for each offset in scale, as if it were one convolution with more channels.
    seen = channels * scale_size
    whole = whole_convolution(x, num_scales * seen, num_scales * out_channels, size, stride, padding, groups=num_scales)
    if plain_requested() or not costs.gains_by_parts(whole, sides):
        return plain.conv_h_h(x, kernel, bias, stride, padding)
    # Taken apart once: the gradients of slices would each be as large as the whole input.
    planes, kernels = x.unbind(2), kernel.unbind(3)
    outputs = []
    for s, side in enumerate(sides):
        window = planes[s : s + scale_size]
        taps = kernels[s][:, :, : len(window)].transpose(1, 2).flatten(1, 2)
        outputs.append(conv2d_within(torch.cat(window, dim=1), taps, bias, side, stride, padding))
    return torch.stack(outputs, dim=2)


def whole_convolution(
    x: Tensor, channels: int, out_channels: int, size: int, stride: int, padding: int, groups: int = 1
) -> costs.Convolution:
    """The convolution of `x` that computes all scales at once."""
    return costs.Convolution(
        x.shape[0], channels, out_channels, groups, x.shape[-2], x.shape[-1], size, padding, stride,
        taps=size, reach=padding, sharing=1,
    )  # fmt: skip


def conv2d_within(x: Tensor, weight: Tensor, bias: Tensor | None, side: int, stride: int, padding: int) -> Tensor:
    """A convolution with the middle `side` x `side` pixels of a kernel whose other pixels are zero."""
    size = weight.shape[-1]
    if 2 * padding + 1 == size:
        # The output is as large as the input, so that a tap further out than the input is wide sees zeros alone.
        side = min(side, 2 * max(x.shape[-2:]) - 1)
    margin = (size - side) // 2
    weight = weight[:, :, margin : size - margin, margin : size - margin]
    if margin > padding:
        x = F.pad(x, [padding - margin] * 4)
    padding = max(padding - margin, 0)
    if stride == 1:
        return conv2d(x, weight, bias, padding=padding)
    return F.conv2d(x, weight, bias, stride=stride, padding=padding)
