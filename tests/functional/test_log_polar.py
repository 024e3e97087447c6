"""Log-polar grids and samples against a reference implementation, and what becomes of scaling and rotation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import siconvnet
from siconvnet.errors import InvalidArgument
from siconvnet.functional.log_polar import log_polar_grid, sample_log_polar
from siconvnet.layers import LogPolar

GOLDEN = np.load(Path(__file__).parent.parent / "golden" / "methods" / "log_polar.npz")
CASES = [
    (64, 64, (-math.log(64), math.log(2) / 2), (-math.pi, math.pi)),
    (24, 16, (-2.5, 0.0), (0.0, 2 * math.pi)),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_grid_and_samples_are_those_of_the_reference(case: int) -> None:
    grid = log_polar_grid(*CASES[case])
    assert (grid - torch.as_tensor(GOLDEN[f"grid_{case}"])).abs().max() < 1e-6
    image, expected = (torch.as_tensor(GOLDEN[f"{name}_{case}"]) for name in ("input", "output"))
    assert (sample_log_polar(image[None, None], grid)[0, 0] - expected).abs().max() < 1e-4
    # The other direction of the angle.
    assert (sample_log_polar(image[None, None], grid.flip(0))[0, 0] - expected).abs().max() > 0.1


def blob(scale: float) -> torch.Tensor:
    """A blob beside the centre, drawn `scale` times as large about it, ``[1, 1, 128, 128]``."""
    position = (torch.arange(128, dtype=torch.float64) - 63.5) / scale
    return torch.exp(-((position - 12) ** 2 + (position[:, None] - 5) ** 2) / 30)[None, None]


def test_scaling_shifts_the_radii_and_turning_rolls_the_angles() -> None:
    layer = LogPolar(64, 65)
    # One column is this factor.
    step = math.exp((math.log(2) / 2 - math.log(2 / 128)) / 64)
    before, scaled, turned = layer(blob(1)), layer(blob(step**8)), layer(blob(1).rot90(-1, (2, 3)))
    assert (scaled[..., 8:] - before[..., :-8]).abs().max() < 0.02
    assert (scaled - before).abs().max() > 0.3
    assert (turned - before.roll(16, 2)).abs().max() < 1e-6
    assert (turned - before.roll(-16, 2)).abs().max() > 0.3


def test_the_network_does_not_see_a_rotation_by_quarters() -> None:
    torch.manual_seed(0)
    model = siconvnet.create_model("log_polar", num_channels=1, num_classes=5).double()
    x = torch.rand(2, 1, 64, 64, dtype=torch.float64)
    logits = model(x)
    torch.testing.assert_close(model(x.rot90(1, (2, 3))), logits)
    assert (model(x.transpose(2, 3)) - logits).abs().max() > 1e-3


def test_bad_sizes() -> None:
    with pytest.raises(InvalidArgument, match="at least 2"):
        LogPolar(1, 5)
    with pytest.raises(InvalidArgument, match=r"\[B, C, H, W\]"):
        LogPolar(4, 5)(torch.rand(8, 8))
