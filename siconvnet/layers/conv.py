"""`torch.nn.Conv2d` with stride 1, on this library's convolution."""

from __future__ import annotations

from torch import Tensor, nn

from siconvnet import functional
from siconvnet.functional.checks import check_size
from siconvnet.layers.checks import check_images


class Conv2d(nn.Conv2d):
    """Square convolution with stride 1: ``[B, C, H, W] -> [B, C', H', W']``.

    The same parameters, initialisation and numbers as `torch.nn.Conv2d`; the backward pass is quicker where the
    gradient that arrives is sparse, as it is in front of a global maximum.

    Large kernels are applied in the frequency domain. Rounding errors there are relative to the largest value of the
    whole image, not to what a kernel sees of it, and a pixel that is not finite makes all responses to its image so.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: side of the kernel in pixels.
        padding: zeros added on each side, in pixels.
        groups: as in `torch.nn.Conv2d`.
        bias: whether to add a learned bias.

    Raises:
        InvalidArgument: another shape or precision of the input, or one that is smaller than the kernel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        padding: int = 0,
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        pad = int(self.padding[0])
        check_images(x, self.in_channels, self.weight)
        check_size(x, self.kernel_size[0], pad)
        return functional.conv2d(x, self.weight, self.bias, padding=pad, groups=self.groups)
