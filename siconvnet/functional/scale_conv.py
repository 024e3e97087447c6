"""Scale convolution and its pooling."""

from __future__ import annotations

from torch import Tensor

from siconvnet.functional import plain


def scale_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    num_scales: int,
    mode: str,
    *,
    padding: bool = False,
    stride: int = 1,
) -> Tensor:
    return plain.scale_conv2d(x, weight, bias, num_scales, mode, padding, stride)


def scale_conv_pool2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    num_scales: int,
    mode: str,
    pool: str,
    *,
    padding: bool = False,
    stride: int = 1,
) -> tuple[Tensor, Tensor]:
    return plain.scale_pool(plain.scale_conv2d(x, weight, bias, num_scales, mode, padding, stride), pool)
