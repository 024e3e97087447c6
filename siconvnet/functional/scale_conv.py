"""Scale convolution, and scale convolution pooled over its scales, without the work that comes to nothing.

`plain` says what is computed. Here each scale is one pass through the frequency domain, the pooled forms keep a running
winner instead of all responses, and the backward passes touch only what won.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.functional import correlation, plain, sparse
from siconvnet.functional.correlation import Correlation, ScaleGradient
from siconvnet.functional.dispatch import (
    keeps_precision,
    outside_graphs,
    plain_requested,
    single_precision,
    without_autocast,
)
from siconvnet.functional.energy import scale_energies
from siconvnet.functional.geometry import Geometry
from siconvnet.names import INTERPOLATIONS, POOL_MODES


@outside_graphs
def scale_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    num_scales: int,
    mode: str,
    *,
    padding: bool = False,
    stride: int = 1,
) -> Tensor:
    """Correlate with one kernel at many scales: ``[B, C, H, W] -> [B, C', S, H', W']``. See `plain.scale_conv2d`.

    Raises:
        InvalidArgument: a kernel that is even or no square, no scales, a stride below 1, or an input that the largest
            kernel does not fit into.
        UnknownName: another interpolation.
    """
    _check(x, weight, num_scales, mode, padding, stride)
    geometry = _geometry(x, weight, num_scales, mode, padding, stride)
    if plain_requested() or x.numel() == 0 or _gains_nothing(x, weight, geometry, pooled=False):
        return plain.scale_conv2d(x, weight, bias, num_scales, mode, padding, stride)
    return _ScaleConv.apply(*single_precision(x, weight, bias), geometry).to(x.dtype)


@outside_graphs
def scale_conv_pool2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    num_scales: int,
    mode: str,
    pool: str,
    *,
    padding: bool = False,
    stride: int = 1,
) -> tuple[Tensor, Tensor]:
    """`plain.scale_pool` of `plain.scale_conv2d`: ``[B, C, H, W] -> [B, C', H', W']`` and the winning scales, int64.

    Args:
        pool: "pixel", "slice" or "energy".

    Raises:
        InvalidArgument: as `scale_conv2d`.
        UnknownName: another interpolation or pooling.
    """
    _check(x, weight, num_scales, mode, padding, stride)
    if pool not in POOL_MODES:
        raise UnknownName("pooling", pool, POOL_MODES)
    geometry = _geometry(x, weight, num_scales, mode, padding, stride)
    if plain_requested() or x.numel() == 0 or _gains_nothing(x, weight, geometry, pooled=True):
        return plain.scale_pool(plain.scale_conv2d(x, weight, bias, num_scales, mode, padding, stride), pool)
    pooled, winner = _ScaleConvPool.apply(*single_precision(x, weight, bias), geometry, pool)
    return pooled.to(x.dtype), winner.long()


def _check(x: Tensor, weight: Tensor, num_scales: int, mode: str, padding: bool, stride: int) -> None:
    if mode not in INTERPOLATIONS:
        raise UnknownName("interpolation", mode, INTERPOLATIONS)
    if min(num_scales, stride) < 1:
        raise InvalidArgument(f"num_scales is {num_scales} and stride {stride}; both must be at least 1.")
    k = weight.shape[-1]
    if k % 2 == 0 or weight.shape[-2] != k:
        raise InvalidArgument(
            f"a kernel of {tuple(weight.shape[-2:])} pixels cannot be rescaled; it must be square and odd."
        )
    largest = k + 2 * (num_scales - 1)
    if not padding and min(x.shape[-2:]) < largest:
        raise InvalidArgument(
            f"an input of {tuple(x.shape[-2:])} pixels is smaller than the largest kernel, {largest}x{largest}; "
            f"use at most {(min(x.shape[-2:]) - k) // 2 + 1} scales or padding."
        )


def _geometry(x: Tensor, weight: Tensor, num_scales: int, mode: str, padding: bool, stride: int) -> Geometry:
    k = weight.shape[-1]
    zeros = (k + 2 * (num_scales - 1)) // 2 if padding else 0
    return Geometry(x.shape[2], x.shape[3], k, num_scales, mode, zeros, stride)


def _gains_nothing(x: Tensor, weight: Tensor, geometry: Geometry, pooled: bool) -> bool:
    """Whether the plain way is as fast. Direct convolutions gain only where pooling need not keep their responses."""
    if not keeps_precision(x):
        return False
    small = correlation.is_small(x, weight, geometry, range(geometry.num_scales))
    return small or (not pooled and correlation.all_direct(x, weight, geometry))


class _ScaleConv(torch.autograd.Function):
    @staticmethod
    @without_autocast
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        ctx.geometry = geometry
        correlate = Correlation(x, weight, geometry)
        shape = (x.shape[0], weight.shape[0], geometry.num_scales, *geometry.frame)
        out = x.new_empty(shape) if geometry.padding else x.new_zeros(shape)
        for scale in range(geometry.num_scales):
            responses, place = _by_image(correlate.responses(scale), x), _at(out[:, :, scale], geometry, scale)
            if bias is None:
                place.copy_(responses)
            else:
                torch.add(responses, bias.view(-1, 1, 1), out=place)
        return out

    @staticmethod
    @without_autocast
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        geometry: Geometry = ctx.geometry
        if torch.is_grad_enabled():
            return *correlation.plain_gradients(_plain(geometry), gradient, (x, weight, bias)), None
        scales = [
            (scale, _at(gradient[:, :, scale], geometry, scale).flatten(0, 1), None)
            for scale in range(geometry.num_scales)
        ]
        grad_bias = None
        if ctx.needs_input_grad[2]:
            grad_bias = torch.stack([maps.sum((1, 2)) for _, maps, _ in scales]).sum(0).view(x.shape[0], -1).sum(0)
        return *correlation.gradients(scales, x, weight, geometry, ctx.needs_input_grad[:2]), grad_bias, None


class _ScaleConvPool(torch.autograd.Function):
    @staticmethod
    @without_autocast
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, pool: str
    ) -> tuple[Tensor, Tensor]:
        pooled, winner = _POOLS[pool](x, weight, x.new_zeros(weight.shape[0]) if bias is None else bias, geometry)
        ctx.save_for_backward(x, weight, bias, winner)
        ctx.geometry, ctx.pool = geometry, pool
        ctx.mark_non_differentiable(winner)
        return pooled, winner

    @staticmethod
    @without_autocast
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, winner = ctx.saved_tensors
        geometry: Geometry = ctx.geometry
        if torch.is_grad_enabled():

            def pooled(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
                return plain.scale_pool(_plain(geometry)(x, weight, bias), ctx.pool)[0]

            return *correlation.plain_gradients(pooled, gradient, (x, weight, bias)), None, None
        scale = winner if winner.ndim == 4 else winner[:, :, None, None]
        # Where zero padding won there is nothing to learn, not even a bias.
        gradient = gradient * (scale < geometry.depth(x.device))
        grad_bias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        if (slots := sparse.most_places(gradient)) is not None:
            grads = sparse.gradients(gradient, slots, scale, x, weight, geometry, ctx.needs_input_grad[:2])
        else:
            grads = correlation.gradients(
                _won_by_scale(gradient, winner, geometry), x, weight, geometry, ctx.needs_input_grad[:2]
            )
        return *grads, grad_bias, None, None


def _won_by_scale(gradient: Tensor, winner: Tensor, geometry: Geometry) -> Iterator[ScaleGradient]:
    """Split the gradient of the pooled output by the scale that won."""
    maps, winners = gradient.flatten(0, 1), winner.flatten(0, 1)
    if winner.ndim == 2:
        for scale, which in _maps_by_scale(winner, geometry):
            yield scale, _at(maps, geometry, scale)[which], which
        return
    for scale in range(geometry.num_scales):
        yield scale, _at(maps, geometry, scale) * (_at(winners, geometry, scale) == scale), None


def _maps_by_scale(winner: Tensor, geometry: Geometry) -> list[tuple[int, Tensor]]:
    """Each scale that won any of the B * C' maps, and which; found for all scales together, as a GPU is waited for."""
    flat = winner.flatten()
    scales = torch.arange(geometry.num_scales, device=flat.device)
    counts = (flat == scales[:, None]).sum(1).tolist()
    parts = flat.argsort(stable=True).split(counts)
    return [(scale, which) for scale, which in enumerate(parts) if len(which)]


def _pixel_pool(x: Tensor, weight: Tensor, bias: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
    correlate = Correlation(x, weight, geometry)
    best = correlate.responses(0)
    winner = torch.zeros_like(best, dtype=torch.int16)
    for scale in range(1, geometry.num_scales):
        responses, current = correlate.responses(scale), _at(best, geometry, scale)
        # Scales ascend, so the winner so far is the largest scale that ever was better.
        better, so_far = (responses > current).to(torch.int16), _at(winner, geometry, scale)
        torch.maximum(so_far, better.mul_(scale), out=so_far)
        torch.maximum(responses, current, out=current)
    best, winner = _by_image(best, x) + bias.view(-1, 1, 1), _by_image(winner, x)
    # The scale after the last one that reaches a pixel is the first that has padding there: a zero that may win.
    depth = geometry.depth(x.device)
    padding_wins = (best < 0) & (depth < geometry.num_scales)
    return best.masked_fill_(padding_wins, 0), torch.where(padding_wins, depth, winner)


def _slice_pool(x: Tensor, weight: Tensor, bias: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
    correlate = Correlation(x, weight, geometry)
    best = correlate.responses(0)
    biases = bias.repeat(x.shape[0])
    peak = best.amax((1, 2)) + biases
    winner = torch.zeros_like(peak, dtype=torch.int16)
    for scale in range(1, geometry.num_scales):
        responses = correlate.responses(scale)
        # A stride can leave a scale without any response, and then only its padding competes.
        challenger = responses.amax((1, 2)) + biases if responses.numel() else torch.zeros_like(peak)
        if responses.shape[1:] != geometry.frame:
            challenger = challenger.clamp(min=0)
        better = challenger > peak
        peak = torch.where(better, challenger, peak)
        winner.masked_fill_(better, scale)
        current = _at(best, geometry, scale)
        torch.where(better[:, None, None], responses, current, out=current)
    best, winner = _by_image(best, x) + bias.view(-1, 1, 1), winner.view(x.shape[0], -1)
    return best.mul_(winner[:, :, None, None] < geometry.depth(x.device)), winner


def _energy_pool(x: Tensor, weight: Tensor, bias: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
    winner = scale_energies(x, weight, bias, geometry).argmax(2).to(torch.int16)
    correlate = Correlation(x, weight, geometry)
    best = x.new_zeros(*winner.shape, *geometry.frame)
    for scale, maps in _maps_by_scale(winner, geometry):
        responses = correlate.responses(scale, maps) + bias[maps % len(bias), None, None]
        _at(best.flatten(0, 1), geometry, scale)[maps] = responses
    return best, winner


_POOLS = {"pixel": _pixel_pool, "slice": _slice_pool, "energy": _energy_pool}


def _by_image(maps: Tensor, x: Tensor) -> Tensor:
    return maps.unflatten(0, (x.shape[0], -1))


def _at(maps: Tensor, geometry: Geometry, scale: int) -> Tensor:
    rows, columns = geometry.inside(scale)
    return maps[..., rows, columns]


def _plain(geometry: Geometry) -> Any:
    """The plain scale convolution as a function of input, weight and bias."""

    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return plain.scale_conv2d(
            x, weight, bias, geometry.num_scales, geometry.mode, padding=geometry.padding > 0, stride=geometry.stride
        )

    return convolve
