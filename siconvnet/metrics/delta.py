"""The equivariance error of SESN (arXiv 1910.11093, section 5.1) for a layer or a net, trained or not.

Delta = ||L_s Phi(f) - Phi(L_s f)||² / ||L_s Phi(f)||², where L_s shrinks an image, or a map, about its centre.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from siconvnet.errors import InvalidArgument

if TYPE_CHECKING:
    from torch import Tensor, nn


def delta(module: nn.Module, images: Tensor, factor: float, *, shift: int = 0, border: int = 0) -> Tensor:
    """Delta of each image, ``[B, C, H, W] -> [B]``.

    Args:
        module: Phi. Its output may be maps ``[B, C', H', W']``, maps with a scale axis ``[B, C', S, H', W']`` or
            vectors ``[B, K]``, on which L_s does nothing: for them Delta measures invariance.
        images: f; best smooth, since shrinking without blur folds what is finer than the new grid.
        factor: s, 0 < s <= 1.
        shift: by how many steps of the scale axis L_s moves maps that have one; only what stays in is compared.
        border: pixels at the rim of the shrunk map that are left out, where Phi sees beyond the image.

    Raises:
        InvalidArgument: a factor outside (0, 1], a shift without a scale axis or beyond it, or nothing left to compare.
    """
    import torch

    if not 0 < factor <= 1:
        raise InvalidArgument(f"factor {factor:g} is outside 0 < s <= 1; L_s shrinks.")
    with torch.no_grad():
        before, after = module(images), module(shrink(images, factor))
    if before.dim() == 2:
        moved, other = before, after
    else:
        moved, other = _shifted(before, after, shift)
        moved, other = shrink(moved.flatten(1, -3), factor), other.flatten(1, -3)
        moved, other = (_centre(maps, factor, border) for maps in (moved, other))
    dims = tuple(range(1, moved.dim()))
    return (moved - other).square().sum(dim=dims) / moved.square().sum(dim=dims)


def shrink(maps: Tensor, factor: float) -> Tensor:
    """L_s: ``[B, C, H, W]`` shrunk about the centre on the same canvas, bicubic, zero outside."""
    import torch
    from torch.nn import functional

    matrix = torch.tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]], dtype=maps.dtype, device=maps.device)
    grid = functional.affine_grid(matrix.expand(len(maps), 2, 3), list(maps.shape), align_corners=False)
    return functional.grid_sample(maps, grid, mode="bicubic", padding_mode="zeros", align_corners=False)


def _shifted(before: Tensor, after: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """Scale i of the shrunk image answers to scale i + shift of the image."""
    if shift == 0:
        return before, after
    if before.dim() != 5 or not 0 < shift < before.shape[2]:
        raise InvalidArgument(f"shift {shift} needs maps with more than {shift} scales, got {tuple(before.shape)}.")
    return before[:, :, shift:], after[:, :, :-shift]


def _centre(maps: Tensor, factor: float, border: int) -> Tensor:
    """What the shrunk map fills, less `border` pixels on each side."""
    height, width = maps.shape[-2:]
    top, left = (-int(-(side - factor * side) / 2 // 1) + border for side in (height, width))
    if height - 2 * top < 1 or width - 2 * left < 1:
        raise InvalidArgument(f"nothing is left of a map of {height}x{width} at factor {factor:g} and border {border}.")
    return maps[..., top : height - top, left : width - left]
