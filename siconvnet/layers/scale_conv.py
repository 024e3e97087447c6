"""Convolution with one kernel at many sizes, and pooling over the scales (STIR, section 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from siconvnet import functional
from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.functional import plain
from siconvnet.layers.checks import check_images, check_scale_axis
from siconvnet.names import INTERPOLATIONS, POOL_MODES


def full_num_scales(side: int, kernel_size: int) -> int:
    """How many sizes k, k + 2, ... fit into an input of `side` pixels."""
    return (side - kernel_size) // 2 + 1


class SiConv2d(nn.Module):
    """Scale-invariant convolution: ``[B, C, H, W] -> [B, C', S, H', W']``.

    One k x k kernel is rescaled to sizes k, k+2, ..., k+2(S-1), each multiplied by k^2/size^2, and the input is
    correlated with all of them. Without padding the valid response of each size (bias added) is zero-padded to the
    side H' = H-k+1 of the first, so that all scales align at their centres.

    Large kernels are applied in the frequency domain. Rounding errors there are relative to the largest value of the
    whole image, not to what a kernel sees of it, and a pixel that is not finite makes all responses to its image so.

    Args:
        in_channels: C.
        out_channels: C'.
        num_scales: S.
        kernel_size: k, in pixels; odd.
        stride: keeps every stride-th pixel of the aligned responses.
        padding: zero-pad the input by half of each kernel instead; H' = H.
        interp_mode: "nearest", "bilinear", "bicubic" or "area".

    Shapes of the parameters: ``weight [C', C, k, k]``, ``bias [C']``; both start uniform in +-1/sqrt(C k^2).

    Raises:
        InvalidArgument: an even kernel, a number below 1, a padding in pixels; another shape or precision of the input,
            or one that the largest kernel does not fit into.
        UnknownName: another interpolation.

    Source: Altstidl et al. 2022 (arXiv 2211.10288), section 3.1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_scales: int,
        kernel_size: int,
        stride: int = 1,
        padding: bool = False,
        interp_mode: str = "bicubic",
    ):
        super().__init__()
        if interp_mode not in INTERPOLATIONS:
            raise UnknownName("interpolation", interp_mode, INTERPOLATIONS)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise InvalidArgument(
                f"kernel_size is {kernel_size}: it must be odd, so that rescaled kernels share a centre."
            )
        if not isinstance(padding, bool):
            raise InvalidArgument(
                f"padding is {padding!r}, not True or False: it is no number of pixels but whether to zero-pad the "
                "input by half of each kernel."
            )
        if min(in_channels, out_channels, num_scales, stride) < 1:
            raise InvalidArgument("in_channels, out_channels, num_scales and stride must be at least 1.")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.num_scales, self.kernel_size = num_scales, kernel_size
        self.stride, self.padding, self.interp_mode = stride, padding, interp_mode
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.in_channels * self.kernel_size**2)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, self.in_channels, self.weight)
        return functional.scale_conv2d(
            x,
            self.weight,
            self.bias,
            self.num_scales,
            self.interp_mode,
            padding=self.padding,
            stride=self.stride,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, num_scales={self.num_scales}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, interp_mode={self.interp_mode!r}"
        )


class ScalePool(nn.Module):
    """Pooling over the scale axis: ``[B, C, S, H, W] -> [B, C, H, W]``.

    Args:
        mode: "pixel": the maximum over S at each pixel. "slice": the scale that holds the largest activation of
            that channel. "energy": the scale with the largest sum. Of equals the smallest scale wins.

    Raises:
        UnknownName: another mode.
        InvalidArgument: an input without a scale axis.

    Source: Altstidl et al. 2022 (arXiv 2211.10288), section 3.2.
    """

    def __init__(self, mode: str = "pixel"):
        super().__init__()
        if mode not in POOL_MODES:
            raise UnknownName("pooling", mode, POOL_MODES)
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        check_scale_axis(x)
        return plain.scale_pool(x, self.mode)[0]

    def scale_indices(self, x: Tensor) -> Tensor:
        """The winning scale of each channel ``[B, C]``, or of each pixel ``[B, C, H, W]`` in pixel mode."""
        check_scale_axis(x)
        return plain.scale_pool(x, self.mode)[1]

    def extra_repr(self) -> str:
        return f"mode={self.mode!r}"


class SiConvPool2d(SiConv2d):
    """`SiConv2d` followed by `ScalePool`, without the tensor between them: ``[B, C, H, W] -> [B, C', H', W']``.

    The same numbers and gradients; the (B, C', S, H', W') responses never exist at once.

    Args:
        pool: the mode of the `ScalePool`; the others are those of `SiConv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_scales: int,
        kernel_size: int,
        stride: int = 1,
        padding: bool = False,
        interp_mode: str = "bicubic",
        pool: str = "pixel",
    ):
        super().__init__(in_channels, out_channels, num_scales, kernel_size, stride, padding, interp_mode)
        if pool not in POOL_MODES:
            raise UnknownName("pooling", pool, POOL_MODES)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        return self._pooled(x)[0]

    def scale_indices(self, x: Tensor) -> Tensor:
        """The winning scale of each channel ``[B, C']``, or of each pixel ``[B, C', H', W']`` in pixel mode."""
        return self._pooled(x)[1]

    def _pooled(self, x: Tensor) -> tuple[Tensor, Tensor]:
        check_images(x, self.in_channels, self.weight)
        return functional.scale_conv_pool2d(
            x,
            self.weight,
            self.bias,
            self.num_scales,
            self.interp_mode,
            self.pool,
            padding=self.padding,
            stride=self.stride,
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, pool={self.pool!r}"
