"""One convolution applied to the input at several sizes (Kanazawa et al. 2014)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from siconvnet import functional
from siconvnet.errors import InvalidArgument
from siconvnet.functional.checks import check_size
from siconvnet.layers.checks import check_images


class KanazawaConv2d(nn.Conv2d):
    """Locally scale-invariant convolution: ``[B, C, H, W] -> [B, C', H-k+1, W-k+1]``.

    The input is rescaled by each factor, convolved with the same kernel, the responses are rescaled back, and the
    maximum over the factors is taken at each pixel.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: k, in pixels.
        scales: the factors.

    Raises:
        InvalidArgument: no factor, or one that is not a positive number; another shape or precision of the input, or
            one of which a factor leaves nothing.

    Source: Kanazawa et al. 2014 (arXiv 1412.5104), as implemented for STIR.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, scales: list[float]):
        super().__init__(in_channels, out_channels, kernel_size)
        if not scales or not all(0 < scale < math.inf for scale in scales):
            raise InvalidArgument(f"scales are {scales}: at least one positive factor is needed.")
        self.scales = tuple(scales)

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.in_channels, self.weight)
        check_size(x, self.kernel_size[0])
        side = min(x.shape[-2:])
        responses = side - self.kernel_size[0] + 1
        for scale in self.scales:
            # Of the way back the reciprocal, as it is computed: 49 * (1 / 49) is less than 1.
            if int(side * scale) < 1 or int(responses * (1 / scale)) < 1:
                raise InvalidArgument(
                    f"an input of {tuple(x.shape[-2:])} pixels is too small to be rescaled by {scale:g} and convolved."
                )
        return functional.rescaled_input_conv2d(x, self.weight, self.bias, self.scales)
