"""Convolution with kernels at several scales, of which each image and channel takes one, or a weighted mean.

`plain.scale_candidates` says what is computed. A candidate is judged by its largest response, so all responses have to
be computed and held; but the gradient goes back through their peaks and the one mixed map, never through a tensor of
them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.errors import InvalidArgument
from siconvnet.functional import correlation, plain
from siconvnet.functional.conv import PATCH_BUDGET, Places, find_places, is_sparse, sparse_gradients
from siconvnet.functional.correlation import Correlation, ScaleGradient
from siconvnet.functional.dispatch import at_least_single, keeps_precision, plain_requested, without_autocast
from siconvnet.functional.geometry import Geometry


class ScaleCandidates:
    """The responses of images to kernels at several scales, ready to be judged, chosen from and mixed.

    They are computed in single precision at least, also under autocast.

    Args:
        x: ``[B, C, H, W]``.
        weight: ``[C', M, C, k, k]``: M kernels for each pair of channels, each of them rescaled; k is odd.
        bias: ``[C', M]``, the same at all scales.
        sides: of the rescaled kernels in pixels; S odd numbers.
        mode: "nearest", "bilinear", "bicubic" or "area".
        mixed: whether all of them will be mixed. Their gradients then take longer than the plain ones of small layers.

    Attributes:
        peaks: the largest response of each candidate, ``[B, C', M S]``, scales running fastest.

    Raises:
        InvalidArgument: kernels or sides that are even.
    """

    def __init__(
        self, x: Tensor, weight: Tensor, bias: Tensor, sides: Sequence[int], mode: str, *, mixed: bool = False
    ):
        if any(side % 2 == 0 for side in (*sides, *weight.shape[-2:])):
            raise InvalidArgument(
                f"kernels of {tuple(weight.shape[-2:])} pixels are rescaled to {tuple(sides)}: all must be odd, so "
                "that they share a centre."
            )
        self._dtype, self._num_scales = x.dtype, len(sides)
        self._every: Tensor | None = None
        k = weight.shape[-1]
        zeros = max(*sides, k) // 2
        scales = tuple((side - k) // 2 for side in sides)
        geometry = Geometry(x.shape[2], x.shape[3], k, max(scales) + 1, mode, zeros, 1)
        small = (
            mixed
            and keeps_precision(x)
            and correlation.is_small(x, weight.flatten(0, 1), geometry, [sorted(scales)[len(scales) // 2]])
        )
        if plain_requested() or x.numel() == 0 or small:
            self._every = plain.scale_candidates(x, weight, bias, sides, mode)
            self.peaks = _peaks(self._every)
            return
        self._inputs = at_least_single(x), at_least_single(weight), geometry, scales
        self._bias = at_least_single(bias)
        peaks, *self._responses = _Peaks.apply(*self._inputs)
        self.peaks = (peaks + self._bias[:, :, None]).flatten(2).to(self._dtype)

    def choose(self, candidate: Tensor) -> Tensor:
        """The responses of one candidate for each image and channel: ``[B, C'] -> [B, C', H, W]``."""
        if self._every is not None:
            index = candidate[:, :, None, None, None].expand(-1, -1, 1, *self._every.shape[3:])
            return self._every.gather(2, index).squeeze(2)
        return self._mixed(F.one_hot(candidate, self.peaks.shape[2]), one=True)

    def mix(self, weights: Tensor) -> Tensor:
        """The sum of the responses of all candidates, each times its weight: ``[B, C', M S] -> [B, C', H, W]``."""
        if self._every is not None:
            return torch.einsum("bcnhw,bcn->bchw", self._every, weights)
        return self._mixed(weights, one=False)

    def _mixed(self, weights: Tensor, one: bool) -> Tensor:
        weights = weights.to(self._bias.dtype).unflatten(2, (-1, self._num_scales))
        maps = _Mix.apply(weights, one, *self._inputs, *self._responses)
        return (maps + (weights * self._bias[:, :, None]).sum((2, 3))[..., None, None]).to(self._dtype)


class _Peaks(torch.autograd.Function):
    """The largest response of each candidate, ``[B, C', M, S]``, and all responses, ``[B, C', M, H, W]`` a scale."""

    @staticmethod
    @without_autocast
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: Geometry, scales: tuple[int, ...]) -> tuple[Tensor, ...]:
        correlate = Correlation(x, weight.flatten(0, 1), geometry)
        shape = (len(x), *weight.shape[:2], *geometry.frame)
        responses = [correlate.responses(scale).reshape(shape) for scale in scales]
        found = [maps.flatten(3).max(3) for maps in responses]
        ctx.save_for_backward(x, weight, torch.stack([places for _, places in found], 3))
        ctx.geometry, ctx.scales = geometry, scales
        ctx.mark_non_differentiable(*responses)
        # Their gradients would be made of zeros, as large as they are.
        ctx.set_materialize_grads(False)
        return torch.stack([peaks for peaks, _ in found], 3), *responses

    @staticmethod
    @without_autocast
    def backward(ctx: Any, gradient: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        if gradient is None:
            return None, None, None, None
        x, weight, places = ctx.saved_tensors
        geometry: Geometry = ctx.geometry
        if torch.is_grad_enabled():

            def peaks(x: Tensor, weight: Tensor) -> Tensor:
                return _peaks(_candidates(x, weight, geometry, ctx.scales)).view_as(gradient)

            return *correlation.plain_gradients(peaks, gradient, (x, weight)), None, None
        of_scales = _peak_places(gradient, places, geometry.frame[1], ctx.scales)
        return *_gradients_of_places(of_scales, x, weight, geometry, ctx.needs_input_grad[:2]), None, None


class _Mix(torch.autograd.Function):
    """The weighted sum of what `_Peaks` computed; with `one`, where one weight is 1 and the others are 0, a copy."""

    @staticmethod
    @without_autocast
    def forward(
        ctx: Any,
        weights: Tensor,
        one: bool,
        x: Tensor,
        weight: Tensor,
        geometry: Geometry,
        scales: tuple[int, ...],
        *responses: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(weights, x, weight, *(responses if ctx.needs_input_grad[0] else ()))
        ctx.geometry, ctx.scales = geometry, scales
        mixed = torch.zeros_like(responses[0][:, :, 0])
        for of_scale, share in zip(responses, weights.unbind(3), strict=True):
            for maps, factor in zip(of_scale.unbind(2), share[..., None, None].unbind(2), strict=True):
                if one:
                    torch.where(factor != 0, maps, mixed, out=mixed)
                else:
                    mixed.addcmul_(maps, factor)
        return mixed

    @staticmethod
    @without_autocast
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, x, weight, *responses = ctx.saved_tensors
        geometry: Geometry = ctx.geometry
        of_rest = (None,) * (2 + len(ctx.scales))
        if torch.is_grad_enabled():

            def mixed(weights: Tensor, x: Tensor, weight: Tensor) -> Tensor:
                return torch.einsum("bcnhw,bcn->bchw", _candidates(x, weight, geometry, ctx.scales), weights.flatten(2))

            of_weights, *of_both = correlation.plain_gradients(mixed, gradient, (weights, x, weight))
            return of_weights, None, *of_both, *of_rest
        grad_weights = None
        if responses:
            grad_weights = torch.stack([torch.einsum("bchw,bcmhw->bcm", gradient, maps) for maps in responses], 3)
        largest, wanted = geometry.size(max(ctx.scales)), ctx.needs_input_grad[2:4]
        if is_sparse(gradient, weight.new_empty(1, weight.shape[2], largest, largest)):
            places = _mixed_places(gradient, weights, ctx.scales)
            grads = _gradients_of_places(places, x, weight, geometry, wanted)
        else:
            maps = _mixed_maps(gradient, weights, ctx.scales)
            grads = _gradients_of_maps(maps, x, weight, geometry, wanted)
        return grad_weights, None, *grads, *of_rest


def _peaks(candidates: Tensor) -> Tensor:
    return candidates.flatten(3).max(3).values


def _candidates(x: Tensor, weight: Tensor, geometry: Geometry, scales: tuple[int, ...]) -> Tensor:
    return plain.scale_candidates(x, weight, None, [geometry.size(scale) for scale in scales], geometry.mode)


def _peak_places(gradient: Tensor, places: Tensor, width: int, scales: tuple[int, ...]) -> Iterator[tuple[int, Places]]:
    """For each scale where the peaks are; `places` tells it as an index of the flattened map, ``[B, C', M, S]``."""
    batch, kernels = gradient.shape[0], gradient.shape[1] * gradient.shape[2]
    image = torch.arange(batch, device=gradient.device).repeat_interleave(kernels)
    kernel = torch.arange(kernels, device=gradient.device).repeat(batch)
    for scale, value, place in zip(
        scales, gradient.flatten(0, 2).unbind(1), places.flatten(0, 2).unbind(1), strict=True
    ):
        yield scale, Places(image, kernel, place // width, place % width, value)


def _mixed_places(gradient: Tensor, weights: Tensor, scales: tuple[int, ...]) -> Iterator[tuple[int, Places]]:
    """For each scale the nonzeros of the mixed map's gradient, once for each candidate that has a part in them."""
    image, channel, row, column, value = find_places(gradient)
    for scale, parts in zip(scales, weights[image, channel].unbind(2), strict=True):
        place, base = parts.nonzero(as_tuple=True)
        kernel = channel[place] * parts.shape[1] + base
        yield scale, Places(image[place], kernel, row[place], column[place], value[place] * parts[place, base])


def _mixed_maps(gradient: Tensor, weights: Tensor, scales: tuple[int, ...]) -> Iterator[ScaleGradient]:
    """For each scale the mixed map's gradient, once for each candidate that has a part in it."""
    every = bool((weights != 0).all())
    for scale, parts in zip(scales, weights.unbind(3), strict=True):
        if every:
            yield scale, (gradient[:, :, None] * parts[..., None, None]).flatten(0, 2), None
            continue
        flat = parts.flatten()
        which = flat.nonzero().squeeze(1)
        if len(which):
            yield scale, gradient.flatten(0, 1)[which // parts.shape[2]] * flat[which, None, None], which


def _gradients_of_maps(
    of_scales: Iterable[ScaleGradient], x: Tensor, weight: Tensor, geometry: Geometry, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    grad_x, grad_weight = correlation.gradients(of_scales, x, weight.flatten(0, 1), geometry, wanted)
    return grad_x, None if grad_weight is None else grad_weight.view_as(weight)


def _gradients_of_places(
    of_scales: Iterable[tuple[int, Places]], x: Tensor, weight: Tensor, geometry: Geometry, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    grad_x = torch.zeros_like(x) if wanted[0] else None
    grad_weight = torch.zeros_like(weight) if wanted[1] else None
    for scale, places in of_scales:
        resize = correlation.resize_matrix(geometry, scale, weight.dtype, weight.device)
        kernels = correlation.rescaled(weight.flatten(0, 1), geometry, scale)
        # Patches may take so much memory for each number of the responses.
        budget = PATCH_BUDGET * len(x) * len(kernels) * x.shape[2] * x.shape[3]
        for some in _in_portions(places, max(1, budget // kernels[0].numel())):
            part_x, part, _ = sparse_gradients(some, x, kernels, geometry.size(scale) // 2, 1, (*wanted, False))
            if grad_x is not None and part_x is not None:
                grad_x += part_x
            if grad_weight is not None and part is not None:
                grad_weight += (resize.T @ part @ resize).view_as(weight)
    return grad_x, grad_weight


def _in_portions(places: Places, most: int) -> Iterator[Places]:
    """At most so many places at a time."""
    for part in zip(*(tensor.split(most) for tensor in places), strict=True):
        yield Places(*part)
