"""3-D convolution over scale and space, straight to its maximum.

Only the largest response of each channel is wanted, so the responses are made one scale at a time and never kept. Over
space they are computed in the frequency domain: each scale of the input is transformed once and serves every response
that sees it. The gradient goes back to one patch for each image and channel.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional import spectral
from siconvnet.functional.correlation import plain_gradients
from siconvnet.functional.dispatch import plain_requested, single_precision, without_autocast
from siconvnet.functional.geometry import Span


def conv3d_max(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The maximum of `torch.nn.functional.conv3d` over all positions: ``[B, C, S, H, W] -> [B, C']``.

    Args:
        x: responses of a `SiConv2d` without padding: zero outside a square that is one pixel smaller on each side
            with every scale.
        weight: ``[C', C, k, k, k]``.
        bias: ``[C']``.
    """
    if plain_requested():
        return _plain(x, weight, bias)
    return _Conv3dMax.apply(*single_precision(x, weight, bias)).to(x.dtype)


def _plain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv3d(x, weight, bias).flatten(2).max(2).values


class _Conv3dMax(torch.autograd.Function):
    @staticmethod
    @without_autocast
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        best, position = _largest_response(x, weight)
        ctx.save_for_backward(x, weight, bias, position)
        return best + bias

    @staticmethod
    @without_autocast
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, position = ctx.saved_tensors
        if torch.is_grad_enabled():
            return plain_gradients(_plain, gradient, (x, weight, bias))
        grads = _gradients(gradient, position, x, weight, ctx.needs_input_grad[:2])
        return *grads, gradient.sum(0) if ctx.needs_input_grad[2] else None


def _largest_response(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The largest response without bias, and its place in the flattened output: both ``[B, C']``."""
    batch, channels, scales, height, width = x.shape
    out_channels, _, k = weight.shape[:3]
    dtype = spectral.complex_dtype(x)

    def axes(first: int, rows: int, columns: int) -> tuple[spectral.Axis, spectral.Axis]:
        # Resizing k to k by the nearest neighbour is the identity: the kernels keep their size here.
        return (
            spectral.axis(height, False, Span(0, rows, first), k, k, "nearest", 1, dtype, x.device),
            spectral.axis(width, True, Span(0, columns, first), k, k, "nearest", 1, dtype, x.device),
        )

    spectrum = torch.zeros(height, width // 2 + 1, batch, scales, channels, dtype=dtype, device=x.device)
    for scale in range(scales):
        rows, columns = height - 2 * scale, width - 2 * scale
        if min(rows, columns) < 1:
            break
        maps = x[:, :, scale, scale : scale + rows, scale : scale + columns].permute(2, 3, 0, 1).flatten(2)
        transformed = spectral.maps_to_spectrum(maps, *axes(scale, rows, columns))
        spectrum[:, :, :, scale] = transformed.unflatten(2, (batch, channels))
    spectrum = spectrum.flatten(3)

    outputs = axes(0, height - k + 1, width - k + 1)
    kernels = spectral.kernel_spectrum(weight.transpose(1, 2).flatten(1, 2), *outputs)
    best = x.new_full((batch * out_channels,), -torch.inf)
    position = torch.zeros_like(best, dtype=torch.long)
    for depth in range(scales - k + 1):
        window = spectrum[..., depth * channels : (depth + k) * channels]
        responses = spectral.maps_from_spectrum((window @ kernels).flatten(2), *outputs).flatten(0, 1)
        challenger, place = responses.max(0)
        better = challenger > best
        best = torch.where(better, challenger, best)
        position = torch.where(better, place + depth * len(responses), position)
    return best.view(batch, -1), position.view(batch, -1)


def _gradients(
    gradient: Tensor, position: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    batch, channels, scales, height, width = x.shape
    out_channels, _, k = weight.shape[:3]
    image = torch.arange(batch, device=x.device)[:, None].expand(-1, out_channels).flatten()
    channel = torch.arange(out_channels, device=x.device).repeat(batch)
    column = position.flatten() % (width - k + 1)
    row = position.flatten() // (width - k + 1) % (height - k + 1)
    depth = position.flatten() // ((width - k + 1) * (height - k + 1))
    value = gradient.flatten()[:, None]
    grad_x = grad_weight = None
    if wanted[0]:
        taps = torch.arange(k, device=x.device)
        offsets = (torch.arange(channels, device=x.device)[:, None] * scales + taps)[..., None] * height + taps
        offsets = (offsets[..., None] * width + taps).flatten()
        corner = ((image * channels * scales + depth) * height + row) * width + column
        grad_x = x.new_zeros(x.numel())
        grad_x.index_add_(0, (corner[:, None] + offsets).flatten(), (weight.flatten(1)[channel] * value).flatten())
        grad_x = grad_x.view_as(x)
    if wanted[1]:
        windows = x.unfold(2, k, 1).unfold(3, k, 1).unfold(4, k, 1)
        patches = windows[image, :, depth, row, column].flatten(1)
        grad_weight = torch.zeros_like(weight).flatten(1).index_add_(0, channel, patches * value).view_as(weight)
    return grad_x, grad_weight
