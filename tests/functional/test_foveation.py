"""Foveated copies: what a factor does, and that rescaling an image shifts the channels."""

from __future__ import annotations

import pytest
import torch

import siconvnet
from siconvnet.errors import UnknownName
from siconvnet.functional.foveation import foveate


def blob(scale: float) -> torch.Tensor:
    position = (torch.arange(64, dtype=torch.float64) - 31.5) / scale
    return torch.exp(-((position - 4) ** 2 + (position[:, None] - 2) ** 2) / 20)[None, None]


def test_rescaling_the_image_shifts_the_channels() -> None:
    small, large = (foveate(blob(scale), (1.0, 2.0)) for scale in (1, 2))
    assert torch.equal(small[:, 0], blob(1)), "a factor of one changes nothing"
    assert (small[:, 1] - large[:, 0]).abs().max() < 0.02
    assert (small[:, 0] - large[:, 0]).abs().max() > 0.3, "the same channel of both"


def test_shrunk_copies_lie_in_black_and_no_factor_leaves_nothing() -> None:
    copies = foveate(torch.ones(1, 1, 8, 12), (0.5, 0.001))
    assert copies[0, 0, 0].sum() == pytest.approx(4 * 6) and copies[0, 0, 0, 2:6, 3:9].min() == pytest.approx(1)
    assert copies[0, 1].count_nonzero() == 4


@pytest.mark.parametrize("pool", ["max", "mean"])
def test_logits_are_pooled_over_channels(pool: str) -> None:
    torch.manual_seed(0)
    name = {"max": "fov_max", "mean": "fov_avg"}[pool]
    model = siconvnet.create_model(name, num_channels=1, num_classes=5)
    x = torch.rand(2, 1, 64, 64)
    copies = foveate(x, model.factors)
    each = torch.stack([model.get_submodule("net")(copies[:, channel]) for channel in range(5)])
    torch.testing.assert_close(model(x), each.amax(0) if pool == "max" else each.mean(0))
    assert (model(x) - each[2]).abs().max() > 1e-3


def test_an_unknown_pooling() -> None:
    with pytest.raises(UnknownName, match="'sum'"):
        siconvnet.create_model("fov_max", num_channels=1, num_classes=5, pool="sum")
