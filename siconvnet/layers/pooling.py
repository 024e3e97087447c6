"""Pooling over space."""

from __future__ import annotations

from torch import Tensor, nn


class GlobalMaxPool(nn.Module):
    """The maximum over all axes but the first two: ``[B, C, ...] -> [B, C]``.

    The gradient goes to one element of each channel, also where several are equal.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).max(2).values
