"""What layers say of an input that they cannot take: one line, the same for the fast and the plain way."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import nn

from siconvnet import functional
from siconvnet.errors import InvalidArgument
from siconvnet.layers import (
    Conv2d,
    Conv3dMax,
    GaussianDerivativeConv2d,
    GlobalMaxPool,
    KanazawaConv2d,
    LearnableScales,
    SacnnConv2d,
    ScalePool,
    SESConv_H_H,
    SESConv_H_H_1x1,
    SESConv_Z2_H,
    SESMaxProjection,
    SiConv2d,
    SiConvPool2d,
    XuConv2d,
)
from siconvnet.layers.xu import scaled_kernels, sized_kernels
from siconvnet.names import POOL_MODES

LAYERS: dict[str, tuple[nn.Module, list[int]]] = {
    "Conv2d": (Conv2d(2, 3, 5), [1, 2, 12, 12]),
    "Conv3dMax": (Conv3dMax(2, 3, 3), [1, 2, 4, 12, 12]),
    "GaussianDerivativeConv2d": (GaussianDerivativeConv2d(2, 3, (1.0, 1.4)), [1, 2, 12, 12]),
    "KanazawaConv2d": (KanazawaConv2d(2, 3, 5, [0.63, 1.0, 1.26]), [1, 2, 12, 12]),
    "SacnnConv2d": (SacnnConv2d(2, 3, 5, (1.0, 2.0)), [1, 2, 12, 12]),
    "SESConv_H_H": (SESConv_H_H(2, 3, 1, 5, 3, [1.0, 1.5], bias=True), [1, 2, 2, 12, 12]),
    "SESConv_H_H_1x1": (SESConv_H_H_1x1(2, 3), [1, 2, 2, 12, 12]),
    "SESConv_Z2_H": (SESConv_Z2_H(2, 3, 5, 3, [1.0, 1.5], bias=True), [1, 2, 12, 12]),
    "SESConv_Z2_H, learned": (SESConv_Z2_H(2, 3, 11, 3, LearnableScales(2, sigma=0.6, isr=1.5)), [1, 2, 12, 12]),
    "SiConv2d": (SiConv2d(2, 3, 4, 5), [1, 2, 12, 12]),
    "SiConvPool2d": (SiConvPool2d(2, 3, 4, 5), [1, 2, 12, 12]),
    "XuConv2d": (XuConv2d(2, 3, 3, [3, 5]), [1, 4, 12, 12]),
}


@pytest.fixture(params=["fast", "plain"])
def way(request):
    if request.param == "fast":
        yield
    else:
        with functional.plain_math():
            yield


@pytest.mark.parametrize("name", LAYERS)
def test_a_right_input_is_taken(way, name):
    """The negative control of all below."""
    layer, shape = LAYERS[name]
    assert layer(torch.rand(shape)).isfinite().all()


@pytest.mark.parametrize("name", LAYERS)
def test_an_image_without_its_batch(way, name):
    layer, shape = LAYERS[name]
    with pytest.raises(InvalidArgument, match=rf"expected an input \[B, {shape[1]}, .*{re.escape(str(shape[1:]))}"):
        layer(torch.rand(shape[1:]))


@pytest.mark.parametrize("name", LAYERS)
def test_other_channels(way, name):
    layer, shape = LAYERS[name]
    with pytest.raises(InvalidArgument, match=rf"expected an input \[B, {shape[1]}, "):
        layer(torch.rand(shape[0], shape[1] + 1, *shape[2:]))


@pytest.mark.parametrize("name", LAYERS)
def test_another_precision(way, name):
    layer, shape = LAYERS[name]
    with pytest.raises(InvalidArgument, match=r"the input is torch.float64 and the layer torch.float32; convert one"):
        layer(torch.rand(shape, dtype=torch.float64))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.rand(shape, dtype=torch.bfloat16)).isfinite().all()


@pytest.mark.parametrize("name", ["Conv2d", "KanazawaConv2d", "SiConv2d", "SiConvPool2d"])
def test_an_input_smaller_than_the_kernel(way, name):
    layer, _ = LAYERS[name]
    # With four scales the largest kernel has 11 pixels.
    kernel = "largest kernel, 11x11" if name.startswith("Si") else "5x5 kernel"
    with pytest.raises(InvalidArgument, match=rf"an input of \(4, 12\) pixels is smaller than the {kernel}"):
        layer(torch.rand(1, 2, 4, 12))


@pytest.mark.parametrize("name", ["SESConv_H_H", "SESConv_Z2_H", "SESConv_Z2_H, learned"])
def test_an_input_smaller_than_a_steered_kernel(way, name):
    layer, shape = LAYERS[name]
    side = layer.kernel_size
    with pytest.raises(
        InvalidArgument, match=rf"an input of \(4, 12\) pixels is smaller than the {side}x{side} kernel"
    ):
        layer(torch.rand(*shape[:-2], 4, 12))


@pytest.mark.parametrize("scale", [0.1, 8.0])
def test_an_input_of_which_a_factor_leaves_nothing(way, scale):
    layer = KanazawaConv2d(1, 2, 3, [1.0, scale])
    with pytest.raises(InvalidArgument, match=rf"\(9, 20\) pixels is too small to be rescaled by {scale:g}"):
        layer(torch.rand(1, 1, 9, 20))
    assert layer(torch.rand(1, 1, 20, 20)).shape == (1, 2, 18, 18)


def test_a_factor_whose_reciprocal_rounds_down(way):
    layer = KanazawaConv2d(1, 2, 3, [1.0, 49.0])
    with pytest.raises(InvalidArgument, match=r"\(51, 51\) pixels is too small to be rescaled by 49"):
        layer(torch.rand(1, 1, 51, 51))


@pytest.mark.parametrize("scales", [[], [0.0], [1.0, -1.0], [math.nan], [1.0, math.inf]])
def test_factors_that_are_none(scales):
    with pytest.raises(InvalidArgument, match="at least one positive factor is needed"):
        KanazawaConv2d(1, 2, 3, scales)
    with pytest.raises(InvalidArgument, match="at least one positive number is needed"):
        SacnnConv2d(1, 2, 3, tuple(scales))


@pytest.mark.parametrize(
    ("kernel_size", "sizes", "message"),
    [
        (3, [], "at least one column is needed"),
        (3, [3, 4], "sizes must be odd"),
        (4, [5], "sizes must be odd"),
        (3, [-1, 5], "sizes must be odd"),
        (7, [3, 5], "kernel size 7 is larger than the largest column, 5"),
        (1, [3, 5], "the column of size 3 keeps no pixel of a 1x1 kernel on a frame of 5"),
    ],
)
def test_columns_that_cannot_be(kernel_size, sizes, message):
    with pytest.raises(InvalidArgument, match=message):
        XuConv2d(1, 2, kernel_size, sizes)


@pytest.mark.parametrize(
    "kernels", [lambda w: sized_kernels(w, (9, 11)), lambda w: scaled_kernels(w, (0.67, 1.5))], ids=["STIR", "SESN"]
)
def test_weights_of_zero_stay_zero(kernels):
    weight = torch.rand(2, 1, 7, 7)
    # Of the second one the border alone, which enlarging within the frame leaves out.
    weight[0], weight[1, :, 1:6, 1:6] = 0, 0
    weight.requires_grad_()
    for kernel in kernels(weight):
        assert kernel.isfinite().all() and not kernel[0].any()
        kernel.sum().backward(retain_graph=True)
    assert weight.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_columns_of_a_pair_without_weight(way, dtype):
    layer = XuConv2d(1, 2, 3, [3, 5, 7]).to(dtype)
    with torch.no_grad():
        layer.weight[0] = 0
    assert layer(torch.rand(1, 3, 12, 12, dtype=dtype)).isfinite().all()


@pytest.mark.parametrize("padding", [0, 1, 2.0, "same"])
@pytest.mark.parametrize("layer", [SiConv2d, SiConvPool2d])
def test_a_padding_in_pixels(layer, padding):
    with pytest.raises(InvalidArgument, match=rf"padding is {padding!r}, not True or False"):
        layer(1, 2, 3, 5, padding=padding)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_scales": 0}, "num_scales is 0"),
        ({"stride": 0}, "stride 0"),
        ({"mode": "cubic"}, "unknown interpolation 'cubic'. Did you mean 'bicubic'"),
        ({"pool": "mean"}, "unknown pooling 'mean'"),
    ],
)
def test_arguments_of_the_functions(way, changes, message):
    given = {"num_scales": 3, "mode": "bicubic", "pool": "pixel", **changes}
    tensors = torch.rand(1, 1, 12, 12), torch.rand(2, 1, 3, 3), None
    with pytest.raises(InvalidArgument, match=message):
        functional.scale_conv_pool2d(*tensors, **given)
    if given.pop("pool") != "mean":
        with pytest.raises(InvalidArgument, match=message):
            functional.scale_conv2d(*tensors, **given)


@pytest.mark.parametrize("pool", [SESMaxProjection(), *map(ScalePool, POOL_MODES)], ids=str)
def test_a_pool_over_scales_refuses_what_has_none(pool):
    assert pool(torch.zeros(2, 3, 4, 8, 8)).shape == (2, 3, 8, 8)
    for take in (pool, pool.scale_indices):
        with pytest.raises(InvalidArgument, match=r"expected an input \[B, C, S, H, W\], got \[2, 3, 8, 8\]"):
            take(torch.zeros(2, 3, 8, 8))


def test_a_pool_over_places_refuses_what_has_none():
    assert GlobalMaxPool()(torch.zeros(2, 3, 8)).shape == (2, 3)
    with pytest.raises(InvalidArgument, match=r"expected an input \[B, C, \.\.\.\] .*, got \[2, 3\]"):
        GlobalMaxPool()(torch.zeros(2, 3))


@pytest.mark.parametrize(("changes"), [{"stride": 0}, {"padding": -1}, {"in_channels": 0}])
@pytest.mark.parametrize("layer", [SESConv_Z2_H, SESConv_H_H])
def test_numbers_of_a_steerable_convolution_that_cannot_be(layer, changes):
    given = {"in_channels": 2, "out_channels": 3, "kernel_size": 5, "effective_size": 3, "scales": [1.0, 1.5]}
    if layer is SESConv_H_H:
        given["scale_size"] = 1
    with pytest.raises(InvalidArgument, match="in_channels, out_channels and stride must be at least 1, padding at"):
        layer(**{**given, **changes})


def test_another_number_of_scales(way):
    layer, _ = LAYERS["SESConv_H_H"]
    with pytest.raises(InvalidArgument, match=r"expected an input \[B, 2, 2, H, W\], got \[1, 2, 3, 12, 12\]"):
        layer(torch.rand(1, 2, 3, 12, 12))


def test_a_pointwise_convolution_spans_at_least_one_scale():
    with pytest.raises(InvalidArgument, match="scale_size and stride must be at least 1"):
        SESConv_H_H_1x1(2, 3, scale_size=0)
