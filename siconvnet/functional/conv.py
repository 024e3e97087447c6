"""Convolution whose backward pass is quick when its gradient is sparse, and which is quick with large kernels.

Every STIR model ends in a global maximum, so the gradient that reaches its last convolution is nonzero at one place
for each image and channel: 512 places of 1.4 million for the standard model. There the backward pass is a gather of
patches (for the weight) and a scatter of kernels (for the input) instead of two more convolutions. It is exact, and
it is decided by the gradient itself, so it does not matter what stands between the convolution and the maximum.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.functional import costs, spectral_conv
from siconvnet.functional.dispatch import autocast_to, outside_graphs, plain_requested, without_autocast

Gradients = tuple["Tensor | None", "Tensor | None", "Tensor | None"]


@outside_graphs
def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: int = 0, groups: int = 1) -> Tensor:
    """Cross-correlation with stride 1, as `torch.nn.functional.conv2d`: ``[B, C, H, W] -> [B, C', H', W']``.

    Large kernels are applied in the frequency domain. Rounding errors there are relative to the largest value of the
    whole image, not to what a kernel sees of it, and a pixel that is not finite makes all responses to its image so.

    Args:
        weight: ``[C', C / groups, k, k]``.
        bias: ``[C']`` or none.
        padding: zeros added on each side, in pixels.
    """
    if plain_requested() or weight.shape[-1] != weight.shape[-2] or x.numel() == 0:
        return F.conv2d(x, weight, bias, padding=padding, groups=groups)
    if costs.is_small(convolution_of(x, weight, padding, groups)):
        return F.conv2d(x, weight, bias, padding=padding, groups=groups)
    return _Conv2d.apply(*autocast_to(x, weight, bias), padding, groups)


class _Conv2d(torch.autograd.Function):
    @staticmethod
    @without_autocast
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, groups: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.groups, ctx.has_bias = padding, groups, bias is not None
        if not _prefers_spectral(x, weight, padding, groups):
            return F.conv2d(x, weight, bias, padding=padding, groups=groups)
        out = spectral_conv.convolve(x, weight, padding, groups)
        return out if bias is None else out.add_(bias[:, None, None])

    @staticmethod
    @without_autocast
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wanted = (*ctx.needs_input_grad[:2], ctx.has_bias and ctx.needs_input_grad[2])
        # With create_graph the result has to be differentiable itself; torch's own formula is.
        way = _torch_backward if torch.is_grad_enabled() else gradients
        return *way(gradient, x, weight, ctx.padding, ctx.groups, wanted), None, None


def gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, padding: int, groups: int, wanted: tuple[bool, ...]
) -> Gradients:
    """Gradients of `conv2d` with respect to input, weight and bias, those of them that are wanted."""
    if is_sparse(gradient, weight):
        return sparse_gradients(find_places(gradient), x, weight, padding, groups, wanted)
    if _prefers_spectral(x, weight, padding, groups, backward=True):
        return _spectral_backward(gradient, x, weight, padding, groups, wanted)
    return _torch_backward(gradient, x, weight, padding, groups, wanted)


def _prefers_spectral(x: Tensor, weight: Tensor, padding: int, groups: int, *, backward: bool = False) -> bool:
    transformable = x.dtype in (torch.float32, torch.float64)
    return transformable and costs.prefers_spectral(convolution_of(x, weight, padding, groups), backward=backward)


def convolution_of(x: Tensor, weight: Tensor, padding: int, groups: int) -> costs.Convolution:
    """What `conv2d` of these tensors is, as far as its cost goes."""
    batch, channels, height, width = x.shape
    out_channels, _, _, side = weight.shape
    return costs.Convolution(
        batch, channels, out_channels, groups, height, width, side, padding,
        stride=1, taps=side, reach=padding, sharing=1,
    )  # fmt: skip


# Patches may hold so many numbers for each one of the gradient: they cost memory, and gathering has poor locality.
PATCH_BUDGET = 4

# And there are so many numbers for each nonzero at least: small kernels keep to the budget with many nonzeros, where a
# direct convolution is sooner done. From 1 x 5 x 5 to 63 x 13 x 13, gathering a tap took as long as 160 to 750 of its.
_NUMBERS_A_PLACE = 400


def is_sparse(gradient: Tensor, weight: Tensor, spread: int = 1) -> bool:
    """Whether gathering a patch for each nonzero is less than a convolution, in work and in memory.

    Args:
        spread: how many places of the convolution's output a number of `gradient` stands for.
    """
    places = spread * int(gradient.count_nonzero())
    return places * max(weight[0].numel(), PATCH_BUDGET * _NUMBERS_A_PLACE) <= PATCH_BUDGET * gradient.numel()


def _torch_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, padding: int, groups: int, wanted: tuple[bool, ...]
) -> Gradients:
    grads = torch.ops.aten.convolution_backward(
        gradient, x, weight, [weight.shape[0]], [1, 1], [padding] * 2, [1, 1], False, [0, 0], groups, wanted
    )
    return tuple(grad if want else None for grad, want in zip(grads, wanted, strict=True))  # type: ignore[return-value]


def _spectral_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, padding: int, groups: int, wanted: tuple[bool, ...]
) -> Gradients:
    grads = spectral_conv.gradients(gradient, x, weight, padding, groups, wanted[:2])
    return *grads, gradient.sum((0, 2, 3)) if wanted[2] else None


class Places(NamedTuple):
    """Where a gradient ``[B, C', H', W']`` is not zero, and what it is there; all of one length."""

    image: Tensor
    channel: Tensor
    row: Tensor
    column: Tensor
    value: Tensor


def find_places(gradient: Tensor) -> Places:
    image, channel, row, column = gradient.nonzero(as_tuple=True)
    return Places(image, channel, row, column, gradient[image, channel, row, column])


def sparse_gradients(
    places: Places, x: Tensor, weight: Tensor, padding: int, groups: int, wanted: tuple[bool, ...]
) -> Gradients:
    """As `gradients`, from the places where the gradient is not zero."""
    if weight.dtype in (torch.float16, torch.bfloat16):
        # Sums over many places need the digits.
        places = places._replace(value=places.value.float())
        grads = sparse_gradients(places, x.float(), weight.float(), padding, groups, wanted)
        return tuple(None if grad is None else grad.to(weight.dtype) for grad in grads)  # type: ignore[return-value]
    out_channels, in_group, side, _ = weight.shape
    batch, channels, height, width = x.shape
    height, width = height + 2 * padding, width + 2 * padding
    image, channel, row, column, value = places
    # Where the taps of each place lie in the flat input.
    corner = ((image * groups + channel // (out_channels // groups)) * in_group * height + row) * width + column
    taps = tap_offsets((in_group, height, width), (in_group, side, side), x.device)
    index = (corner[:, None] + taps).flatten()
    grad_x = grad_weight = grad_bias = None
    if wanted[0]:
        grad_x = x.new_zeros(batch * channels * height * width)
        grad_x.index_add_(0, index, (weight.flatten(1)[channel] * value[:, None]).flatten())
        grad_x = grad_x.view(batch, channels, height, width)
        grad_x = F.pad(grad_x, 4 * (-padding,)) if padding else grad_x
    if wanted[1]:
        patches = F.pad(x, 4 * (padding,)).flatten().index_select(0, index).view(len(value), len(taps))
        grad_weight = x.new_zeros(out_channels, in_group * side * side)
        grad_weight = grad_weight.index_add_(0, channel, patches.mul_(value[:, None])).view_as(weight)
    if wanted[2]:
        grad_bias = x.new_zeros(out_channels).index_add_(0, channel, value)
    return grad_x, grad_weight, grad_bias


def tap_offsets(image: tuple[int, ...], kernel: tuple[int, ...], device: torch.device) -> Tensor:
    """How far each tap of a kernel lies from its corner in a flat image; both shapes start with the channels."""
    offsets = torch.zeros((), dtype=torch.long, device=device)
    for side, taps in zip(image, kernel, strict=True):
        offsets = offsets[..., None] * side + torch.arange(taps, device=device)
    return offsets.flatten()
