"""How a fast path is held against the plain one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from siconvnet import functional

Function: TypeAlias = Callable[..., "Tensor | tuple[Tensor, Tensor]"]
MODES = ["nearest", "bilinear", "bicubic", "area"]
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}


def tensors(
    channels: int, out_channels: int, kernel_size: int, height: int, width: int, dtype: torch.dtype, batch: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """An image with an empty corner, as icons on black have: there all scales tie."""
    x = torch.randn(batch, channels, height, width, dtype=dtype)
    x[..., : height // 2, : width * 2 // 3] = 0
    weight = torch.randn(out_channels, channels, kernel_size, kernel_size, dtype=dtype) / kernel_size
    return x, weight, torch.randn(out_channels, dtype=dtype) / 3


def deviation(actual: Tensor, expected: Tensor) -> float:
    """Largest error relative to the largest expected value; absolute where nothing is larger than a thousandth."""
    return float((actual - expected).abs().max() / expected.abs().max().clamp(min=1e-3))


def value_and_gradients(
    function: Callable[..., Tensor | tuple[Tensor, Tensor]],
    inputs: Sequence[Tensor],
    upstream: Callable[[Tensor], Tensor],
) -> tuple[Tensor, list[Tensor], Tensor | None]:
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    result = function(*leaves)
    value, winner = result if isinstance(result, tuple) else (result, None)
    gradients = torch.autograd.grad(value, leaves, upstream(value))
    return value.detach(), list(gradients), winner


def assert_same(
    function: Callable[..., Tensor | tuple[Tensor, Tensor]],
    inputs: Sequence[Tensor],
    upstream: Callable[[Tensor], Tensor],
) -> None:
    """The function gives the same value, gradients and winners inside and outside `plain_math`."""
    with functional.plain_math():
        plain_value, plain_gradients, plain_winner = value_and_gradients(function, inputs, upstream)
    # The same gradient for both: where two pixels are equal, rounding would send it to different ones.
    gradient = upstream(plain_value)
    value, gradients, winner = value_and_gradients(function, inputs, lambda _: gradient)
    tolerance = TOLERANCE[inputs[0].dtype]
    assert value.shape == plain_value.shape and value.dtype == plain_value.dtype
    assert deviation(value, plain_value) < tolerance
    for gradient, plain_gradient in zip(gradients, plain_gradients, strict=True):
        assert deviation(gradient, plain_gradient) < tolerance
    if winner is not None:
        assert plain_winner is not None
        assert winner.dtype == plain_winner.dtype and torch.equal(winner, plain_winner)


def dense(value: Tensor) -> Tensor:
    """A gradient that is nowhere zero."""
    # Of one sign: sums that cancel would compare rounding errors.
    return 1 + torch.cos(torch.arange(value.numel(), dtype=value.dtype, device=value.device)).view_as(value) / 2


def sparse(value: Tensor) -> Tensor:
    """The gradient that a global maximum sends back: one place a channel."""
    peak = value.flatten(2).argmax(2, keepdim=True)
    return torch.zeros_like(value).flatten(2).scatter_(2, peak, 1.5).view_as(value)
