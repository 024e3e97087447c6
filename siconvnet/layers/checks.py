"""What every layer asks of its input, said in one line where it is not so."""

from __future__ import annotations

import torch
from torch import Tensor

from siconvnet.errors import InvalidArgument


def check_images(x: Tensor, channels: int, weight: Tensor) -> None:
    """Refuse an input that is not ``[B, channels, H, W]``, or of another precision than the layer's weights.

    Autocast brings input and weights to one precision itself, so that inside it any will do.

    Raises:
        InvalidArgument: the message says what was given and what is expected.
    """
    if x.ndim != 4 or x.shape[1] != channels:
        raise InvalidArgument(f"expected an input [B, {channels}, H, W], got {list(x.shape)}.")
    check_precision(x, weight)


def check_maps(x: Tensor, channels: int, weight: Tensor, num_scales: int | None = None) -> None:
    """As `check_images`, for maps with a scale axis, ``[B, channels, S, H, W]``.

    Args:
        num_scales: S, where only one will do.

    Raises:
        InvalidArgument: the message says what was given and what is expected.
    """
    if x.ndim != 5 or x.shape[1] != channels or num_scales not in (None, x.shape[2]):
        scales = "S" if num_scales is None else num_scales
        raise InvalidArgument(f"expected an input [B, {channels}, {scales}, H, W], got {list(x.shape)}.")
    check_precision(x, weight)


def check_scale_axis(x: Tensor) -> None:
    """Refuse an input that is not ``[B, C, S, H, W]``.

    Raises:
        InvalidArgument: the message says what was given.
    """
    if x.ndim != 5:
        raise InvalidArgument(f"expected an input [B, C, S, H, W], got {list(x.shape)}.")


def check_precision(x: Tensor, weight: Tensor) -> None:
    """Refuse an input of another precision than the weights, outside of autocast.

    Raises:
        InvalidArgument: they differ.
    """
    device = x.device.type
    if x.dtype != weight.dtype and not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        raise InvalidArgument(
            f"the input is {x.dtype} and the layer {weight.dtype}; convert one of them, as by x.to({weight.dtype})."
        )
