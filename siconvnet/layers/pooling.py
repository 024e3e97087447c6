"""Pooling over space."""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet.errors import InvalidArgument


class GlobalMaxPool(nn.Module):
    """The maximum over all axes but the first two: ``[B, C, ...] -> [B, C]``.

    The gradient goes to one element of each channel, also where several are equal.

    Raises:
        InvalidArgument: an input of fewer than three axes.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 3:
            raise InvalidArgument(f"expected an input [B, C, ...] with a place to pool over, got {list(x.shape)}.")
        if x.ndim <= 4:
            return x.flatten(2).max(2).values
        # In two steps, so that columns or scales in front of the pixels need not lie beside them in memory.
        return x.flatten(3).max(3).values.max(2).values
