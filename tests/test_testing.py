"""The equivariance error of a layer or function, before anything is trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from siconvnet import testing
from siconvnet.errors import InvalidArgument


class Pointwise(nn.Module):
    """Commutes with any rescaling but for interpolation: it looks at one pixel at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def test_equivariance_error_is_zero_for_what_commutes() -> None:
    errors = testing.equivariance_error(lambda x: 2 * x)
    assert list(errors) == list(testing.equivariance_error(Pointwise())) == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert all(error < 1e-20 for error in errors.values())
    assert all(error < 1e-10 for error in testing.equivariance_error(Pointwise()).values())
    testing.assert_equivariant(Pointwise(), tolerance=1e-10)


def test_equivariance_error_by_hand() -> None:
    # The mean of an image shrunk to a factor s about the centre is s^2 of the mean, so Delta = (1 - s^2)^2.
    errors = testing.equivariance_error(lambda x: x.mean((2, 3)), factors=(0.8, 0.5))
    assert errors == pytest.approx({factor: (1 - factor**2) ** 2 for factor in (0.8, 0.5)}, rel=0.05)


def test_equivariance_error_sees_what_does_not_commute() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(1, 8, 9, padding=4, bias=False)
    errors = testing.equivariance_error(plain, factors=(0.9, 0.5))
    assert 0 < errors[0.9] < errors[0.5]
    with pytest.raises(AssertionError, match=r"above 0.001 \(factor: error\): 0.9: 0\.\d+, 0.5: \d"):
        testing.assert_equivariant(plain, tolerance=1e-3, factors=(0.9, 0.5))


def test_an_error_that_is_no_number_is_not_equivariance() -> None:
    with pytest.raises(AssertionError, match="nan"):
        testing.assert_equivariant(lambda x: 0 * x)


def test_equivariance_error_keeps_mode_and_precision() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Dropout(0.5)).train()
    images = torch.rand(2, 3, 64, 64)
    one, two = (testing.equivariance_error(module, images, factors=(0.5,)) for _ in range(2))
    assert one == two
    assert module.training
    assert testing.equivariance_error(module, num_channels=3, factors=(0.5,))


def test_equivariance_error_needs_a_factor() -> None:
    with pytest.raises(InvalidArgument, match="factors"):
        testing.equivariance_error(Pointwise(), factors=())
    with pytest.raises(InvalidArgument, match="border must be 0 or more"):
        testing.equivariance_error(nn.Identity(), border=-1)
    with pytest.raises(InvalidArgument, match="outside 0 < s <= 1"):
        testing.equivariance_error(Pointwise(), factors=(2.0,))


def test_smooth_images() -> None:
    images = testing.smooth_images(3, 2)
    assert images.shape == (3, 2, 64, 64)
    assert 0 <= images.min() < images.max() <= 1
    assert not images[..., 0, :].any() and not images[..., -1].any()
    assert torch.equal(images, testing.smooth_images(3, 2))
    assert not torch.equal(images, testing.smooth_images(3, 2, seed=1))


def test_equivariance_error_leaves_the_random_state() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(0.5)).train()
    before = torch.get_rng_state()
    testing.equivariance_error(module, factors=(0.5,))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (torch.rand(1, 64, 64), r"\[1, 64, 64\]"),
        (torch.rand(0, 1, 64, 64), r"\[0, 1, 64, 64\]"),
        (torch.zeros(1, 1, 64, 64, dtype=torch.uint8), ".*uint8"),
        (torch.rand(1, 1, 64, 64).numpy(), "ndarray"),
    ],
)
def test_images_of_another_kind_are_refused(images: Any, found: str) -> None:
    with pytest.raises(InvalidArgument, match=f"images are {found}.*not a tensor"):
        testing.equivariance_error(nn.Identity(), images)
