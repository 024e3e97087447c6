"""Convolution of one input at several sizes, joined by a maximum (Kanazawa et al. 2014).

Resizing an image inside its frame is linear and separable: ``R x C^T`` with one matrix an axis, cropping and padding
included. Only the part of a response that the way back looks at is computed, and the maximum is kept while the sizes go
by. The way back is left to `interpolate`: over an empty background all sizes answer with the bias, and which of them
wins is decided by how its interpolation rounds. The backward pass has no such decision to make and takes the matrices,
or where few places have a gradient, the two by two pixels that each of these was interpolated from.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional import conv, costs
from siconvnet.functional.constants import cached_constant
from siconvnet.functional.correlation import plain_gradients
from siconvnet.functional.dispatch import autocast_to, outside_graphs, plain_requested, without_autocast
from siconvnet.functional.interpolation import frame_matrix


def rescale_in_frame(x: Tensor, scale: float) -> Tensor:
    """Resize the content by `scale`, bilinearly with aligned corners, and keep the frame: ``[B, C, H, W]`` as before.

    What grows beyond the frame is cropped, what shrinks is surrounded by zeros. Of an odd difference the left and top
    side take the smaller part.
    """
    if scale == 1:
        return x
    resized = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=True)
    (height, width), (h, w) = x.shape[2:], resized.shape[2:]
    left, top = (width - w) // 2, (height - h) // 2
    return F.pad(resized, (left, width - w - left, top, height - h - top))


def rescaled_input_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, scales: tuple[float, ...], *, stride: int = 1, padding: int = 0
) -> Tensor:
    """Maximum over `scales` of: rescale, convolve, rescale back: ``[B, C, H, W] -> [B, C', H', W']``, where
    H' = (H + 2 padding - k) // stride + 1.

    Args:
        weight: ``[C', C, k, k]``, the same at all scales.
        bias: ``[C']`` or none, added before rescaling back.
        stride: step in pixels.
        padding: zeros added to each side of the rescaled input, in pixels.
    """
    if plain_requested() or x.numel() == 0:
        return _plain(x, weight, bias, scales, stride, padding)
    if stride == 1 and padding == 0:
        if costs.is_small(conv.convolution_of(x, weight, 0, 1)):
            return _plain(x, weight, bias, scales, stride, padding)
        return _valid(x, weight, bias, scales)
    return _padded(x, weight, bias, scales, stride, padding)


@outside_graphs
def _valid(x: Tensor, weight: Tensor, bias: Tensor | None, scales: tuple[float, ...]) -> Tensor:
    return _RescaledInputConv2d.apply(*autocast_to(x, weight, bias), scales)


def _plain(
    x: Tensor, weight: Tensor, bias: Tensor | None, scales: tuple[float, ...], stride: int = 1, padding: int = 0
) -> Tensor:
    stack = torch.cat([rescale_in_frame(x, scale) for scale in scales])
    responses = F.conv2d(stack, weight, bias, stride, padding).unflatten(0, (len(scales), -1)).unbind()
    return torch.stack([rescale_in_frame(y, 1 / s) for y, s in zip(responses, scales, strict=True)]).max(0).values


def _padded(
    x: Tensor, weight: Tensor, bias: Tensor | None, scales: tuple[float, ...], stride: int, padding: int
) -> Tensor:
    """As `_plain`, but where an image that was shrunk fills little of its frame, the rest is not computed."""
    parts = {scale: _Part.of(x, weight, scale, stride, padding) for scale in scales}
    responses = {
        s: part.response(rescale_in_frame(x, s), weight, bias, stride) for s, part in parts.items() if part.pays
    }
    if whole := [scale for scale, part in parts.items() if not part.pays]:
        stack = torch.cat([rescale_in_frame(x, scale) for scale in whole])
        found = F.conv2d(stack, weight, bias, stride, padding).unflatten(0, (len(whole), -1))
        responses |= zip(whole, found.unbind(), strict=True)
    return torch.stack([rescale_in_frame(responses[scale], 1 / scale) for scale in scales]).max(0).values


class _Part(NamedTuple):
    """The part of a frame in which a kernel sees any content.

    Attributes:
        window: zeros to add left, right, above and below; negative: pixels to take off.
        around: responses that are left out on these sides, where the kernel sees nothing and answers with the bias.
        pays: whether half of the responses or more are.
    """

    window: tuple[int, ...]
    around: tuple[int, ...]
    pays: bool

    @classmethod
    def of(cls, x: Tensor, weight: Tensor, scale: float, stride: int, padding: int) -> _Part:
        height, width = (_seen(side, int(side * scale), weight.shape[-1], stride, padding) for side in x.shape[2:])
        share = width.share * height.share
        return cls((*width.window, *height.window), (*width.around, *height.around), share <= 0.5)

    def response(self, framed: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        found = F.pad(F.conv2d(F.pad(framed, self.window), weight, None, stride), self.around)
        return found if bias is None else found + bias[:, None, None]


class _Seen(NamedTuple):
    """As `_Part`, of one axis; `share` is that of the responses that are computed."""

    window: tuple[int, int]
    around: tuple[int, int]
    share: float


def _seen(side: int, content: int, kernel_size: int, stride: int, padding: int) -> _Seen:
    margin, responses = (side - content) // 2, (side + 2 * padding - kernel_size) // stride + 1
    # One response at least, also where the steps of the kernel miss what little content there is.
    first = min(max(-((kernel_size - 1 - margin - padding) // stride), 0), responses - 1)
    last = max(min((margin + content - 1 + padding) // stride, responses - 1), first)
    start, stop = first * stride - padding, last * stride - padding + kernel_size
    return _Seen((-start, stop - side), (first, responses - 1 - last), (last - first + 1) / responses)


class _RescaledInputConv2d(torch.autograd.Function):
    @staticmethod
    @without_autocast
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, scales: tuple[float, ...]) -> Tensor:
        best: Tensor | None = None
        inputs = []
        for index, scale in enumerate(scales):
            rows, columns = _ways(x, weight, scale)
            inputs.append(x if scale == 1 else rows.there @ x @ columns.there.mT)
            response = conv.conv2d(inputs[-1], weight, bias)
            response = rescale_in_frame(F.pad(response, (*columns.unused, *rows.unused)), 1 / scale)
            if best is None:
                best, winner = response, torch.zeros_like(response, dtype=torch.uint8)
                continue
            # Of equals the first wins; whatever wins later has the larger index.
            winner = torch.maximum(winner, (response > best).view(torch.uint8).mul_(index))
            best = torch.maximum(best, response)
        assert best is not None, "the layer asks for at least one scale"
        ctx.save_for_backward(x, weight, bias, winner, *inputs)
        ctx.scales = scales
        return best

    @staticmethod
    @without_autocast
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, winner, *inputs = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *plain_gradients(partial(_plain, scales=ctx.scales), gradient, (x, weight, bias)), None
        wanted = ctx.needs_input_grad[:3]
        # Behind a global maximum few places have a gradient; each comes from four pixels of a response.
        places = conv.find_places(gradient) if conv.is_sparse(gradient, weight, spread=4) else None
        totals: list[Tensor | None] = [None, None, None]
        for index, (scale, rescaled) in enumerate(zip(ctx.scales, inputs, strict=True)):
            rows, columns = _ways(x, weight, scale)
            if places is None:
                of_response = rows.back.mT @ (gradient * (winner == index)) @ columns.back
                parts = conv.gradients(of_response, rescaled, weight, 0, 1, wanted)
            else:
                won = winner[places[:4]] == index
                taps = _taps(conv.Places(*(each[won] for each in places)), rows, columns)
                parts = conv.sparse_gradients(taps, rescaled, weight, 0, 1, wanted)
            if parts[0] is not None and scale != 1:
                parts = (rows.there.mT @ parts[0] @ columns.there, *parts[1:])
            totals = [_sum(total, part) for total, part in zip(totals, parts, strict=True)]
        return *totals, None


def _sum(total: Tensor | None, part: Tensor | None) -> Tensor | None:
    return part if total is None or part is None else total.add_(part)


class _Way(NamedTuple):
    """Resizing along one axis, there and back, for the part of the response that the way back uses.

    Attributes:
        there: ``[used + k - 1, H]``, from the input to the rescaled input.
        unused: how many pixels of the response are left out before and after.
        back: ``[H - k + 1, used]``, from the response to the output.
        sources, weights: ``[H - k + 1, 2]``, the two pixels of the response that an output is a sum of, and their
            weights, zero where there is nothing.
    """

    there: Tensor
    unused: tuple[int, int]
    back: Tensor
    sources: Tensor
    weights: Tensor


def _taps(places: conv.Places, rows: _Way, columns: _Way) -> conv.Places:
    """The pixels of a response that places of the output were interpolated from: four for each, less those of weight
    zero."""
    image, channel, row, column, value = places
    ys, xs = rows.sources[row][:, :, None], columns.sources[column][:, None, :]
    values = value[:, None, None] * rows.weights[row][:, :, None] * columns.weights[column][:, None, :]
    every = torch.broadcast_tensors(image[:, None, None], channel[:, None, None], ys, xs, values)
    return conv.Places(*(each[values != 0] for each in every))


def _ways(x: Tensor, weight: Tensor, scale: float) -> tuple[_Way, _Way]:
    height, width = x.shape[2:]
    fixed = (weight.shape[-1], scale, x.dtype, x.device)
    return _way(height, *fixed), _way(width, *fixed)


@cached_constant
def _way(side: int, kernel_size: int, scale: float, dtype: torch.dtype, device: torch.device) -> _Way:
    responses = side - kernel_size + 1
    back = frame_matrix(responses, "bilinear", scale=1 / scale)
    used = back.any(0).nonzero()[:, 0]
    first, last = int(used[0]), int(used[-1])
    there = frame_matrix(side, "bilinear", scale=scale)[first : last + kernel_size]
    back = back[:, first : last + 1]
    weights, sources = back.topk(min(2, back.shape[1]))
    return _Way(
        there.to(device, dtype).contiguous(),
        (first, responses - 1 - last),
        back.to(device, dtype).contiguous(),
        sources.to(device),
        weights.to(device, dtype),
    )
