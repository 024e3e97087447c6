"""Convolution over scale and space, down to one number a channel."""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet import functional
from siconvnet.errors import InvalidArgument
from siconvnet.layers.checks import check_precision


class Conv3dMax(nn.Conv3d):
    """3-D convolution of scale responses and its global maximum: ``[B, C, S, H, W] -> [B, C']``.

    Equal to `torch.nn.Conv3d` followed by a maximum over scale, height and width, without the tensor between them.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: k, along scale and both image axes.
        rectify: whether to apply a ReLU to the input first.

    Raises:
        InvalidArgument: another shape or precision of the input, or fewer scales or pixels than k.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, rectify: bool = False):
        super().__init__(in_channels, out_channels, kernel_size)
        self.rectify = rectify

    def forward(self, x: Tensor) -> Tensor:
        k = self.kernel_size[0]
        if x.ndim != 5 or x.shape[1] != self.in_channels or min(x.shape[2:]) < k:
            raise InvalidArgument(
                f"expected an input [B, {self.in_channels}, S, H, W] with at least {k} scales and pixels: "
                f"{list(x.shape)}."
            )
        check_precision(x, self.weight)
        assert self.bias is not None
        return functional.conv3d_max(x, self.weight, self.bias, rectify=self.rectify)
