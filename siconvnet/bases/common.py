"""What all steerable bases share: the checks of their arguments, their support and their normalisation.

A basis is a float64 tensor of shape (num_funcs, num_scales, size, size) with num_funcs = effective_size^2, so
that a steered kernel has as many weights as an ordinary one of side `effective_size`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from siconvnet.errors import InvalidArgument


def check_arguments(size: int, scales: Sequence[float], effective_size: int, *, smallest_scale: float = 0.0) -> None:
    """Refuse what no basis can be built from.

    Args:
        size: side of the kernel in pixels, odd.
        scales: the scales, strictly ascending.
        effective_size: side of the ordinary kernel with as many weights, at most `size`.
        smallest_scale: the least scale this basis makes sense at; 0 asks for a positive one.

    Raises:
        InvalidArgument: with the first thing that is wrong.
    """
    if size < 1 or size % 2 == 0:
        raise InvalidArgument(f"the kernel size must be a positive odd number, not {size}.")
    if not 1 <= effective_size <= size:
        raise InvalidArgument(
            f"the effective size must lie between 1 and the kernel size {size}, not {effective_size}."
        )
    if not scales:
        raise InvalidArgument("a basis needs at least one scale.")
    listed = ", ".join(f"{scale:g}" for scale in scales)
    if not all(math.isfinite(scale) for scale in scales):
        raise InvalidArgument(f"the scales must be finite numbers, not {listed}.")
    if scales[0] <= 0 or scales[0] < smallest_scale:
        accepted = f"at least {smallest_scale:g}" if smallest_scale > 0 else "positive"
        raise InvalidArgument(f"the scales must be {accepted}, not {listed}.")
    if any(low >= high for low, high in itertools.pairwise(scales)):
        raise InvalidArgument(f"the scales must be strictly ascending, not {listed}.")


def support_size(size: int, scale: float, max_scale: float) -> int:
    """The odd side, in pixels, that the functions of `scale` fill when those of `max_scale` fill `size`."""
    return int(size * scale / max_scale) // 2 * 2 + 1


def pad_to(functions: Tensor, size: int) -> Tensor:
    """Zero-pad (..., n, n) to (..., size, size), centred. Both sides are odd."""
    return F.pad(functions, [(size - functions.shape[-1]) // 2] * 4)


def stack_scales(size: int, scales: Sequence[float], sample: Callable[[int, float], Tensor]) -> Tensor:
    """Sample the functions of each scale on its own support and pad them to one side.

    Args:
        size: side of the kernel in pixels.
        scales: the scales, ascending.
        sample: (support side, scale) -> functions of shape (num_funcs, side, side).

    Returns:
        Shape (num_funcs, num_scales, size, size), not normalised.
    """
    sampled = [pad_to(sample(support_size(size, scale, max(scales)), scale), size) for scale in scales]
    return torch.stack(sampled, dim=1)


def normalize_by_min_scale(basis: Tensor) -> Tensor:
    """Divide each function, at all scales alike, by its L2 norm at the smallest scale.

    The ratios between the scales are part of the basis (they carry the 1/s factors) and stay as they are.

    Raises:
        InvalidArgument: a function vanishes on the pixels of the smallest scale, so that it has no norm to divide by.
    """
    norm = torch.linalg.vector_norm(basis[:, :1], dim=(2, 3), keepdim=True)
    vanishing = int((norm <= 1e-6 * norm.max()).sum())
    if vanishing:
        raise InvalidArgument(
            f"{vanishing} of {len(basis)} basis functions vanish at the smallest scale;"
            " choose a larger smallest scale or size, or a smaller effective size."
        )
    return basis / norm


def ranks(basis: Tensor) -> list[int]:
    """The rank of the functions at each scale; num_funcs where they are linearly independent."""
    return [int(torch.linalg.matrix_rank(basis[:, i].flatten(1).double())) for i in range(basis.shape[1])]
