"""What functions and layers alike ask of their input."""

from __future__ import annotations

from torch import Tensor

from siconvnet.errors import InvalidArgument


def check_size(x: Tensor, side: int, padding: int = 0) -> None:
    """Refuse an input ``[..., H, W]`` that a kernel of `side` pixels does not fit into.

    Raises:
        InvalidArgument: it does not fit.
    """
    if min(x.shape[-2:]) + 2 * padding < side:
        raise InvalidArgument(f"an input of {tuple(x.shape[-2:])} pixels is smaller than the {side}x{side} kernel.")
