"""Scale channels: what they share, how they are pooled, and which are dropped."""

from __future__ import annotations

import pytest
import torch

import siconvnet
from siconvnet.errors import InvalidArgument, UnknownName
from siconvnet.layers import (
    GaussianDerivativeConv2d,
    ScaleChannelBatchNorm,
    ScaleChannelPool,
    ScaleChannelSpatialPool,
)
from siconvnet.testing import smooth_images


def test_statistics_are_shared_by_scale_channels() -> None:
    x = torch.rand(4, 2, 3, 5, 5) * torch.tensor([1.0, 5.0, 9.0])[:, None, None]
    out = ScaleChannelBatchNorm(2)(x)
    assert out.shape == x.shape
    torch.testing.assert_close(out.mean((0, 2, 3, 4)), torch.zeros(2), atol=1e-5, rtol=0)
    assert (out[:, :, 2].mean() - out[:, :, 0].mean()).item() > 1


def test_pooling_over_scale_channels() -> None:
    x = torch.tensor([[[1.0, 3.0, 2.0]]])
    assert ScaleChannelPool("max")(x).item() == 3
    assert ScaleChannelPool("mean")(x).item() == 2
    assert ScaleChannelPool("max").scale_indices(x).tolist() == [[1]]


@pytest.mark.parametrize("pool", ["max", "mean"])
def test_dropped_scale_channels_do_not_count_and_one_always_remains(pool: str) -> None:
    torch.manual_seed(0)
    x = torch.arange(1.0, 5.0).expand(1000, 2, 4)
    layer = ScaleChannelPool(pool, dropout=0.9)
    out = layer(x)
    assert torch.equal(out[:, 0], out[:, 1]), "a channel is dropped for all features"
    assert out.isfinite().all() and out.min() == 1 and len(out[:, 0].unique()) >= 4
    assert torch.equal(layer.eval()(x), ScaleChannelPool(pool)(x))


@pytest.mark.parametrize("pool", ["max", "centre"])
def test_pooling_over_space(pool: str) -> None:
    x = torch.zeros(1, 1, 2, 5, 5)
    x[0, 0, 0, 2, 2], x[0, 0, 1, 0, 4] = 3, 4
    assert ScaleChannelSpatialPool(pool)(x).tolist() == [[[3, 4 if pool == "max" else 0]]]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GaussianDerivativeConv2d(1, 1, ()), "at least one positive number"),
        (lambda: GaussianDerivativeConv2d(1, 1, (1.0, -1.0)), "at least one positive number"),
        (lambda: GaussianDerivativeConv2d(1, 1, (1.0,), order=4), "order must be 1, 2 or 3, got 4"),
        (lambda: GaussianDerivativeConv2d(1, 1, (1.0,), border="reflect"), "'reflect'"),
        (lambda: ScaleChannelPool("sum"), "'sum'"),
        (lambda: ScaleChannelSpatialPool("mean"), "'mean'"),
        (lambda: ScaleChannelPool(dropout=1.0), "less than 1"),
    ],
)
def test_settings_that_are_refused(build, message: str) -> None:
    with pytest.raises((InvalidArgument, UnknownName), match=message):
        build()


@pytest.mark.parametrize("name", ["gauss_der", "gauss_der_avg"])
def test_a_network_of_enlarged_images_is_that_of_the_next_scale_channels(name: str) -> None:
    torch.manual_seed(0)
    model = siconvnet.create_model(name, num_channels=1, num_classes=5, sigmas=(1.5, 3.0)).double().eval()
    small = smooth_images(4, side=63)
    large = torch.nn.functional.interpolate(small, size=(125, 125), mode="bicubic", align_corners=True)
    seen: list[torch.Tensor] = []
    model.get_submodule("act2").register_forward_hook(lambda module, given, out: seen.append(out))
    with torch.no_grad():
        model(small), model(large)
    expected = seen[0][:, :, 0]
    contrast = (expected - expected.mean((2, 3), keepdim=True)).norm()

    def difference(scale: int) -> float:
        return float((seen[1][:, :, scale, ::2, ::2] - expected).norm() / contrast)

    assert difference(1) < 0.05
    assert difference(0) > 0.2, "the same channel of both"


def test_options_of_the_network() -> None:
    options = {"order": 3, "spatial": "centre", "scale_dropout": 0.3, "ratio": 1.5}
    model = siconvnet.create_model("gauss_der", num_channels=3, num_classes=4, **options)
    assert model(torch.rand(2, 3, 64, 64)).shape == (2, 4)
