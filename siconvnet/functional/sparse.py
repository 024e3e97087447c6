"""Gradients of pooled scale convolutions from the few places that a global maximum leaves.

One place is one output pixel of one scale. Its kernel, laid out over the whole input, is ``R w C^T`` with two matrices
R ``[H, k]`` and C ``[W, k]``: the interpolation matrix of the scale, shifted to the pixel. So the places of an image
are handled together by products of matrices no larger than the image, whatever the kernels' sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from siconvnet.functional.constants import cached_constant
from siconvnet.functional.geometry import Geometry
from siconvnet.functional.interpolation import interpolation_matrix


def most_places(gradient: Tensor) -> int | None:
    """How many nonzeros the image with the most has in ``[B, C', H', W']``; None if they are more than two a channel,
    which is not sparse."""
    most = int(gradient.flatten(1).count_nonzero(1).max())
    return most if most <= 2 * gradient.shape[1] else None


def gradients(
    gradient: Tensor,
    slots: int,
    scale: Tensor,
    x: Tensor,
    weight: Tensor,
    geometry: Geometry,
    wanted: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of input and weight.

    Args:
        gradient: ``[B, C', H', W']`` of the pooled output, zero where padding won.
        slots: its `most_places`.
        scale: the scale that won, ``[B, C', H', W']`` or ``[B, C', 1, 1]``.
    """
    batch, channels, height, width = x.shape
    k = weight.shape[-1]
    image, channel, row, column = gradient.nonzero(as_tuple=True)
    if len(image) == 0:
        return (torch.zeros_like(x) if wanted[0] else None), (torch.zeros_like(weight) if wanted[1] else None)
    value = gradient[image, channel, row, column]
    scale = scale.expand(gradient.shape)[image, channel, row, column].long()

    # nonzero() goes image by image; give every image as many slots as the fullest one needs, the rest with value 0.
    counts = gradient.flatten(1).count_nonzero(1)
    slot = image * slots + torch.arange(len(image), device=x.device) - (counts.cumsum(0) - counts)[image]

    def by_image(places: Tensor) -> Tensor:
        padded = places.new_zeros(batch * slots, *places.shape[1:])
        padded[slot] = places
        return padded.unflatten(0, (batch, slots))

    rows = by_image(_shifted(geometry, height, scale, row, x))  # [B, M, k, H]
    columns = by_image(_shifted(geometry, width, scale, column, x)).flatten(1, 2)  # [B, M k, W]
    grad_x = grad_weight = None
    if wanted[0]:
        kernels = by_image(weight[channel] * value[:, None, None, None])  # [B, M, C, k, k]
        spread = torch.einsum("bmih,bmcij->bchmj", rows, kernels).flatten(3).flatten(1, 2)
        grad_x = (spread @ columns).view_as(x)
    if wanted[1]:
        gathered = (x.flatten(1, 2) @ columns.mT).view(batch, channels, height, slots, k)
        patches = torch.einsum("bmih,bchmj->bmcij", rows, gathered).flatten(0, 1)[slot]
        grad_weight = torch.zeros_like(weight).index_add_(0, channel, patches * value[:, None, None, None])
    return grad_x, grad_weight


def _shifted(geometry: Geometry, side: int, scale: Tensor, position: Tensor, like: Tensor) -> Tensor:
    """The transposed interpolation matrix of each place, shifted to where its kernel lies: ``[M, k, side]``."""
    table, first = _table(geometry, side, like.dtype, like.device)
    start = first[scale] + geometry.stride * position
    taps = torch.arange(side, device=like.device) - start[:, None] + side
    return table[scale[:, None, None], torch.arange(table.shape[1], device=like.device)[:, None], taps[:, None]]


@cached_constant
def _table(geometry: Geometry, side: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each scale its taps from column `side` on, ``[S, k, N]``, and the input pixel of frame pixel 0."""
    k = geometry.kernel_size
    table = torch.zeros(geometry.num_scales, k, 2 * (side + geometry.padding) + 1, dtype=torch.float64)
    first = torch.empty(geometry.num_scales, dtype=torch.long)
    for scale in range(geometry.num_scales):
        size = geometry.size(scale)
        table[scale, :, side : side + size] = interpolation_matrix(k, size, geometry.mode).T * (k / size)
        span = geometry.spans(scale)[0]
        first[scale] = span.first - geometry.stride * span.start
    return table.to(device, dtype), first.to(device)
