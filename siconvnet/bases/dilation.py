"""Dilated delta bases: what one would take for kernels of another scale without solving for anything.

The weights of an ordinary kernel are moved apart by the scale, and where they fall between pixels they are shared out
by an interpolation kernel. At integer scales all modes are the plain dilated convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from siconvnet.bases.common import check_arguments
from siconvnet.bases.rescaling import bicubic
from siconvnet.errors import UnknownName

MODES: dict[str, Callable[[Tensor], Tensor]] = {
    "nearest": lambda distance: ((distance >= -0.5) & (distance < 0.5)).to(distance),
    "bilinear": lambda distance: (1 - distance.abs()).clamp_min(0),
    "bicubic": bicubic,
}
"""Mode -> the weight of a pixel at that distance."""


def dilated_basis(size: int, scales: Sequence[float], effective_size: int, *, mode: str = "bilinear") -> Tensor:
    """The delta functions of an `effective_size` kernel, dilated by each scale.

    Args:
        size: side of the kernel in pixels, odd; what falls outside is cut off.
        scales: the scales, ascending.
        effective_size: side of the ordinary kernel.
        mode: "nearest", "bilinear" or "bicubic".

    Returns:
        Shape (effective_size^2, len(scales), size, size), float64, not normalised.

    Raises:
        InvalidArgument: an argument outside what is accepted.
        UnknownName: there is no such mode.
    """
    check_arguments(size, scales, effective_size)
    if mode not in MODES:
        raise UnknownName("interpolation", mode, MODES)
    pixels = torch.arange(size, dtype=torch.float64) - size // 2
    taps = torch.arange(effective_size, dtype=torch.float64) - (effective_size - 1) / 2
    rows = [MODES[mode](pixels - scale * taps[:, None]) for scale in scales]
    return torch.stack([torch.einsum("ax,by->abxy", row, row).flatten(0, 1) for row in rows], dim=1)
