"""One convolution applied to the input at several sizes (Kanazawa et al. 2014)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from siconvnet import functional
from siconvnet.errors import InvalidArgument
from siconvnet.functional.checks import check_size
from siconvnet.layers.checks import check_images


class KanazawaConv2d(nn.Conv2d):
    """Locally scale-invariant convolution: ``[B, C, H, W] -> [B, C', H', W']``, H' = (H + 2 padding - k) // stride + 1.

    The input is rescaled by each factor inside its frame, convolved with the same kernel, the responses are rescaled
    back, and the maximum over the factors is taken at each pixel.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: k, in pixels.
        scales: the factors.
        stride: step in pixels.
        padding: zeros added to each side of the rescaled input, in pixels.
        bias: whether to add a learned bias.

    Raises:
        InvalidArgument: no factor, or one that is not a positive number; another shape or precision of the input, or
            one of which a factor leaves nothing.

    Source: Kanazawa et al. 2014 (arXiv 1412.5104), as implemented for STIR and, with padding, for SESN's comparison.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        scales: Sequence[float],
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
        if not scales or not all(0 < scale < math.inf for scale in scales):
            raise InvalidArgument(f"scales are {scales}: at least one positive factor is needed.")
        self.scales = tuple(scales)

    def forward(self, x: Tensor) -> Tensor:
        stride, padding = self.stride[0], int(self.padding[0])
        check_images(x, self.in_channels, self.weight)
        check_size(x, self.kernel_size[0], padding)
        side = min(x.shape[-2:])
        responses = (side + 2 * padding - self.kernel_size[0]) // stride + 1
        for scale in self.scales:
            # Of the way back the reciprocal, as it is computed: 49 * (1 / 49) is less than 1.
            if int(side * scale) < 1 or int(responses * (1 / scale)) < 1:
                raise InvalidArgument(
                    f"an input of {tuple(x.shape[-2:])} pixels is too small to be rescaled by {scale:g} and convolved."
                )
        return functional.rescaled_input_conv2d(x, self.weight, self.bias, self.scales, stride=stride, padding=padding)
