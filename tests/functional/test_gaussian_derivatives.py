"""Gaussian derivatives against a reference implementation, and their mixture against its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from siconvnet.functional import plain_math
from siconvnet.functional.gaussian_derivatives import (
    derivative_orders,
    gaussian_derivative_conv2d,
    gaussian_derivatives,
    gaussian_kernel,
)

GOLDEN = np.load(Path(__file__).parent.parent / "golden" / "methods" / "gaussian_derivatives.npz")
SIGMAS = [float(sigma) for sigma in GOLDEN["sigmas"]]
NAMES = ("x", "y", "xx", "xy", "yy")


def error(found: torch.Tensor, case: int, name: str) -> float:
    return float((found - torch.as_tensor(GOLDEN[f"{name}_{case}"])).abs().max())


@pytest.mark.parametrize("case", range(len(SIGMAS)))
def test_kernel_and_derivatives_are_those_of_the_reference(case: int) -> None:
    assert error(gaussian_kernel(SIGMAS[case]), case, "kernel") < 1e-7
    image = torch.as_tensor(GOLDEN["input"])[None, None]
    derivatives = gaussian_derivatives(image, SIGMAS[case], border="zeros")[0, 0]
    assert len(derivatives) == len(NAMES)
    for name, derivative in zip(NAMES, derivatives, strict=True):
        assert error(derivative, case, name) < 1e-6
    # With y downwards, what is odd in y would differ.
    assert min(error(-derivatives[1], case, "y"), error(-derivatives[3], case, "xy")) > 0.01


def test_third_derivatives_of_a_cubic() -> None:
    x, y = torch.arange(40.0, dtype=torch.float64), -torch.arange(40.0, dtype=torch.float64)[:, None]
    cubic = x**3 + 2 * x**2 * y + 5 * x * y**2 + 7 * y**3
    orders = derivative_orders(3)
    assert len(orders) == 9
    found = gaussian_derivatives(cubic[None, None], 1.0, 3)[0, 0, :, 20, 20] / gaussian_kernel(1.0).sum() ** 2
    expected = {(3, 0): 6.0, (2, 1): 4.0, (1, 2): 10.0, (0, 3): 42.0}
    for order, value in expected.items():
        assert float(found[orders.index(order)]) == pytest.approx(value)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("border", ["replicate", "zeros"])
def test_the_fast_way_gives_the_numbers_and_gradients_of_the_plain_one(order: int, maps: bool, border: str) -> None:
    torch.manual_seed(order)
    sigmas = (0.7, 1.0, 3.0)
    x = torch.rand(2, 3, *([3] if maps else []), 11, 9, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, len(derivative_orders(order)), dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(2, 4, 3, 11, 9, dtype=torch.float64)

    def run() -> list[torch.Tensor]:
        out = gaussian_derivative_conv2d(x, weight, bias, sigmas, order, border)
        return [out, *torch.autograd.grad((out * direction).sum(), (x, weight, bias))]

    fast = run()
    with plain_math():
        plain = run()
    for one, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    with pytest.raises(AssertionError):
        swapped = gaussian_derivative_conv2d(x, weight, bias, sigmas[::-1], order, border)
        torch.testing.assert_close(swapped, fast[0], rtol=1e-2, atol=1e-2)


def test_a_constant_has_no_derivatives_unless_zeros_follow_it() -> None:
    x = torch.ones(1, 1, 9, 9, dtype=torch.float64)
    assert gaussian_derivatives(x, 2.0, 3).abs().max() < 1e-12
    assert gaussian_derivatives(x, 2.0, 3, border="zeros").abs().max() > 0.1


def blobs(side: int, scale: float) -> torch.Tensor:
    """A picture of two blobs about the central pixel, drawn `scale` times as large, ``[1, 1, side, side]``."""
    position = (torch.arange(side, dtype=torch.float64) - side // 2) / scale
    x, y = position, -position[:, None]
    first = torch.exp(-((x - 4) ** 2 + 2 * (y - 3) ** 2) / 40)
    return (first - torch.exp(-(2 * (x + 5) ** 2 + y**2) / 60))[None, None]


def test_rescaling_the_image_shifts_the_scale_channels() -> None:
    torch.manual_seed(0)
    sigmas, weight = (2.0, 4.0), torch.randn(3, 1, 9, dtype=torch.float64)
    small = gaussian_derivative_conv2d(blobs(61, 1), weight, None, sigmas, 3)
    large = gaussian_derivative_conv2d(blobs(121, 2), weight, None, sigmas, 3)[..., ::2, ::2]

    def difference(scale: int) -> float:
        return float((large[:, :, scale] - small[:, :, 0]).norm() / small[:, :, 0].norm())

    assert difference(1) < 0.02
    assert difference(0) > 0.2, "the same channel of both"
