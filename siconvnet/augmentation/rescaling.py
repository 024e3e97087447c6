"""Many images rescaled at once, each by its own factor, as Pillow does one.

`PIL.Image.transform` with bicubic resampling about a fixed point treats rows and columns alike, so that it is a matrix
product from both sides, and a batch of images is two batched products on whatever device it lies.
"""

from __future__ import annotations

import torch
from torch import Tensor


def bicubic_matrices(factors: Tensor, size: int, centre: float) -> Tensor:
    """The matrices that rescale along one axis: (N,) -> (N, size, size), float64.

    Args:
        factors: above 1 enlarges.
        size: pixels along the axis.
        centre: the fixed point in pixels, 0 at the left edge of the first one.
    """
    pixels = torch.arange(size, dtype=torch.float64, device=factors.device)
    source = (pixels + 0.5 - centre) / factors.double()[:, None] + centre
    inside = (source >= 0) & (source < size)
    source = source - 0.5
    first = source.floor()
    matrices = factors.new_zeros(len(factors), size, size, dtype=torch.float64)
    for tap in range(-1, 3):
        weight = _keys(source - first - tap) * inside
        # Beyond the edge the outermost pixel is repeated.
        column = (first + tap).clamp(0, size - 1).long()
        matrices.scatter_add_(2, column[..., None], weight[..., None])
    return matrices


def _keys(distance: Tensor) -> Tensor:
    """Keys' cubic kernel with a = -1, which is Pillow's for affine transforms."""
    d = distance.abs()
    near = (d - 2) * d**2 + 1
    far = ((5 - d) * d - 8) * d + 4
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))


def rescale_images(images: Tensor, factors: Tensor, centre: float) -> Tensor:
    """Rescale 8-bit images about a fixed point, black outside: (N, C, size, size) -> the same, integers 0..255.

    Equal to Pillow's bicubic affine transform, but for rounding errors at whole numbers, which are cut off there and
    here alike.

    Args:
        images: levels 0..255, any floating type.
        factors: (N,), above 1 enlarges.
        centre: the fixed point in pixels, along both axes, 0 at the edge of the first pixel.
    """
    matrices = bicubic_matrices(factors, images.shape[-1], centre).to(images.dtype)[:, None]
    levels = matrices @ images @ matrices.mT
    # A level that is whole but for the rounding of this arithmetic is meant to stay that level.
    return (levels + 1e-4).floor().clamp(0, 255)


def place_on_canvas(images: Tensor, factors: Tensor, canvas: int) -> Tensor:
    """Rescale 8-bit images about the middle of a black canvas: (N, C, size, size) -> (N, C, canvas, canvas).

    As `rescale_images` of images that were first given a black margin, without making these.

    Args:
        images: levels 0..255, any floating type; `size` and `canvas` are both even or both odd.
        factors: (N,), above 1 enlarges.
        canvas: side in pixels, at least `size`.
    """
    size = images.shape[-1]
    margin = (canvas - size) // 2
    matrices = bicubic_matrices(factors, canvas, canvas / 2)[:, :, margin : margin + size].to(images.dtype)[:, None]
    levels = matrices @ images @ matrices.mT
    return (levels + 1e-4).floor().clamp(0, 255)
