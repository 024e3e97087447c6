"""SESN's Delta: small for what commutes with scaling, large for what does not."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from siconvnet import create_model
from siconvnet.errors import InvalidArgument
from siconvnet.metrics.delta import delta, shrink


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Smooth random images, so that shrinking folds nothing."""
    coarse = torch.rand(4, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    return functional.interpolate(coarse, size=(65, 65), mode="bicubic")


def test_a_pointwise_map_commutes_with_scaling(images):
    assert delta(nn.Identity(), images, 0.7, border=2).max() < 1e-6
    assert delta(nn.Conv2d(1, 3, 1, bias=False), images, 0.7, border=2).max() < 1e-6


@pytest.mark.parametrize("sides", [(64, 128), (128, 64)])
def test_each_axis_has_its_own_margin(sides):
    """Bright at the rim, so that too narrow a margin would compare what has been shrunk out of sight."""
    y, x = (torch.linspace(-1, 1, side) for side in sides)
    images = (1 + y[:, None] ** 2 + x**2)[None, None]
    assert delta(nn.Identity(), images, 0.5, border=2).max() < 1e-6


def test_a_map_whose_short_side_is_used_up_is_refused(images):
    with pytest.raises(InvalidArgument, match="nothing is left of a map of 17x65"):
        delta(nn.Identity(), images[:, :, :17], 0.5, border=5)


def test_a_fixed_filter_does_not(images):
    filter = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    filter.weight.data = torch.tensor([[[[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]]])
    assert delta(filter, images, 0.7, border=3).min() > 0.05


def test_no_scaling_is_no_error(images):
    net = create_model("standard", num_channels=1, num_classes=10)
    square = functional.interpolate(images, size=(64, 64))
    assert delta(net, square, 1.0).max() < 1e-6
    assert delta(net, square, 0.6).min() > 0


class Ladder(nn.Module):
    """Blurs of geometrically spaced widths on a scale axis: shrinking by a step moves them by one."""

    def __init__(self, step: float) -> None:
        super().__init__()
        self.widths = [2.0 * step**-i for i in range(4)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        along = torch.arange(-20, 21, dtype=x.dtype)
        maps = []
        for width in self.widths:
            bell = torch.exp(-(along**2) / (2 * width**2))
            bell = bell / bell.sum()
            blurred = functional.conv2d(x, bell.reshape(1, 1, 1, -1), padding=(0, 20))
            maps.append(functional.conv2d(blurred, bell.reshape(1, 1, -1, 1), padding=(20, 0)))
        return torch.stack(maps, dim=2)


def test_the_scale_axis_moves_by_its_shift(images):
    wide = functional.pad(images - images.mean(), (20, 20, 20, 20))
    ladder = Ladder(0.8)
    moved = delta(ladder, wide, 0.8, shift=1, border=18)
    still = delta(ladder, wide, 0.8, border=18)
    assert moved.max() < 0.1 * still.min()


def test_shrinking_keeps_the_centre():
    maps = torch.zeros(1, 1, 5, 5)
    maps[0, 0, 2, 2] = 1
    assert shrink(maps, 0.5)[0, 0, 2, 2] == pytest.approx(1)


@pytest.mark.parametrize(("factor", "shift", "border"), [(0.0, 0, 0), (1.5, 0, 0), (0.5, 1, 0), (0.5, 0, 40)])
def test_senseless_arguments_are_refused(images, factor, shift, border):
    with pytest.raises(InvalidArgument):
        delta(nn.Identity(), images, factor, shift=shift, border=border)
