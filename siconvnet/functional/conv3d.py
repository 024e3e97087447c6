"""3-D convolution over scale and space, straight to its maximum.

Only the largest response of each channel is wanted. With large kernels the responses are made one scale at a time and
never kept; over space they are computed in the frequency domain, where each scale of the input is transformed once and
serves every response that sees it. The gradient goes back to one patch for each image and channel.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional import costs, spectral
from siconvnet.functional.conv import tap_offsets
from siconvnet.functional.correlation import plain_gradients
from siconvnet.functional.dispatch import outside_graphs, plain_requested, single_precision, without_autocast


@outside_graphs
def conv3d_max(x: Tensor, weight: Tensor, bias: Tensor, *, rectify: bool = False) -> Tensor:
    """The maximum of `torch.nn.functional.conv3d` over all positions: ``[B, C, S, H, W] -> [B, C']``.

    Args:
        x: responses by scale; what is zero around them, as after a `SiConv2d`, costs nothing.
        weight: ``[C', C, k, k, k]``.
        bias: ``[C']``.
        rectify: whether a ReLU is applied to `x` first.
    """
    if plain_requested() or x.numel() == 0:
        return _plain(x, weight, bias, rectify)
    return _Conv3dMax.apply(*single_precision(x, weight, bias), rectify).to(x.dtype)


def _plain(x: Tensor, weight: Tensor, bias: Tensor, rectify: bool) -> Tensor:
    return F.conv3d(x.relu() if rectify else x, weight, bias).flatten(2).max(2).values


class _Conv3dMax(torch.autograd.Function):
    @staticmethod
    @without_autocast
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, rectify: bool) -> Tensor:
        if _prefers_spectral(x, weight):
            best, position = _largest_response(x, weight, rectify)
        else:
            best, position = F.conv3d(x.relu() if rectify else x, weight).flatten(2).max(2)
        ctx.save_for_backward(x, weight, bias, position)
        ctx.rectify = rectify
        return best + bias

    @staticmethod
    @without_autocast
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, position = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *plain_gradients(partial(_plain, rectify=ctx.rectify), gradient, (x, weight, bias)), None
        grads = _gradients(gradient, position, x, weight, ctx.rectify, ctx.needs_input_grad[:2])
        return *grads, gradient.sum(0) if ctx.needs_input_grad[2] else None, None


def _prefers_spectral(x: Tensor, weight: Tensor) -> bool:
    """Whether the frequency domain is clearly faster. A 3-D convolution costs as much as a plane one of a set of images
    for each output scale, whose channels are the k scales that it sees; these share their transforms."""
    batch, channels, scales, height, width = x.shape
    out_channels, _, k = weight.shape[:3]
    depth = scales - k + 1
    convolution = costs.Convolution(
        batch * depth, channels * k, out_channels, 1, height, width, k, 0,
        stride=1, taps=k, reach=0, sharing=max(1, depth * k // scales),
    )  # fmt: skip
    return costs.prefers_spectral(convolution)


def _largest_response(x: Tensor, weight: Tensor, rectify: bool) -> tuple[Tensor, Tensor]:
    """The largest response without bias, and its place in the flattened output: both ``[B, C']``."""
    batch, channels, scales, height, width = x.shape
    out_channels, _, k = weight.shape[:3]
    outputs = spectral.unscaled_axes(height, width, k, 0, x)
    kernels = spectral.kernel_spectrum(weight.transpose(1, 2).flatten(1, 2), *outputs)
    nonzero = (~(x <= 0) if rectify else x != 0).any(1)
    covered, rectangles = _covers_something(nonzero, k), _rectangles(nonzero)
    # The spectra of the k scales that one response sees. Every scale is written twice, k slots apart, over the one
    # that nothing sees any more; so the k slots from depth % k on always hold a window in order.
    spectra = torch.zeros(*kernels.shape[:2], batch, 2 * k, channels, dtype=kernels.dtype, device=x.device)
    best = x.new_full((batch * out_channels,), -torch.inf)
    position = torch.zeros_like(best, dtype=torch.long)
    for scale in range(scales):
        spectra[:, :, :, scale % k :: k] = _spectrum(x[:, :, scale], rectangles[scale], k, rectify).unsqueeze(-2)
        depth = scale - k + 1
        if depth < 0:
            continue
        window = spectra.flatten(3)[..., depth % k * channels : (depth % k + k) * channels]
        responses = spectral.maps_from_spectrum((window @ kernels).flatten(2), *outputs)
        responses = responses.unflatten(0, (batch, out_channels)) * covered[:, None, depth]
        challenger, place = responses.flatten(2).flatten(0, 1).max(1)
        better = (challenger > best) | challenger.isnan()
        best = torch.maximum(best, challenger)
        position = torch.where(better, place + depth * responses.shape[2] * responses.shape[3], position)
    return best.view(batch, -1), position.view(batch, -1)


def _rectangles(nonzero: Tensor) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of what is not empty in all images, for each scale of ``[B, S, H, W]``; where all is
    empty, bottom is not below top. Found for all scales together, as a GPU is waited for each time."""
    used, edges = nonzero.any(0), []
    for along in (used.any(2), used.any(1)):
        places = torch.arange(along.shape[1], device=along.device)
        edges += [torch.where(along, places, len(places)).amin(1), torch.where(along, places + 1, 0).amax(1)]
    return [(top, bottom, left, right) for top, bottom, left, right in torch.stack(edges, 1).tolist()]


def _spectrum(image: Tensor, rectangle: tuple[int, int, int, int], kernel_size: int, rectify: bool) -> Tensor:
    """``[B, C, H, W] -> [Fy, Fx, B, C]``, transforming the rectangle that is not empty in all images."""
    batch, channels, height, width = image.shape
    top, bottom, left, right = rectangle
    if bottom <= top:
        return torch.zeros(1, dtype=spectral.complex_dtype(image), device=image.device)
    shared = (range(kernel_size), kernel_size, "nearest", spectral.complex_dtype(image), image.device)
    axes = (
        spectral.axis(spectral.transform_length(height), False, range(top, bottom), *shared),
        spectral.axis(spectral.transform_length(width), True, range(left, right), *shared),
    )
    image = image[:, :, top:bottom, left:right]
    maps = (image.relu() if rectify else image).flatten(0, 1)
    return spectral.maps_to_spectrum(maps, *axes).unflatten(2, (batch, channels))


def _covers_something(nonzero: Tensor, kernel_size: int) -> Tensor:
    """Whether each k x k x k window holds a pixel that is not zero: ``[B, S, H, W] -> [B, S', H', W']``."""
    covered = nonzero[:, None].float()
    for dim in range(3):
        covered = F.max_pool3d(covered, tuple(kernel_size if d == dim else 1 for d in range(3)), stride=1)
    return covered[:, 0]


def _gradients(
    gradient: Tensor, position: Tensor, x: Tensor, weight: Tensor, rectify: bool, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    batch, channels, scales, height, width = x.shape
    out_channels, _, k = weight.shape[:3]
    image = torch.arange(batch, device=x.device)[:, None].expand(-1, out_channels).flatten()
    channel = torch.arange(out_channels, device=x.device).repeat(batch)
    column = position.flatten() % (width - k + 1)
    row = position.flatten() // (width - k + 1) % (height - k + 1)
    depth = position.flatten() // ((width - k + 1) * (height - k + 1))
    value = gradient.flatten()[:, None]
    offsets = tap_offsets((channels, scales, height, width), (channels, k, k, k), x.device)
    corner = ((image * channels * scales + depth) * height + row) * width + column
    taps = corner[:, None] + offsets
    patches = x.flatten()[taps]
    grad_x = grad_weight = None
    if wanted[0]:
        shares = weight.flatten(1)[channel] * value
        if rectify:
            shares *= patches > 0
        grad_x = x.new_zeros(x.numel()).index_add_(0, taps.flatten(), shares.flatten()).view_as(x)
    if wanted[1]:
        patches = patches.relu_() if rectify else patches
        grad_weight = torch.zeros_like(weight).flatten(1).index_add_(0, channel, patches.mul_(value)).view_as(weight)
    return grad_x, grad_weight
