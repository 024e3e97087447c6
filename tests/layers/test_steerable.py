"""Steerable layers: against loops over scales and channels, and by their defining property."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from siconvnet.bases import make_basis
from siconvnet.errors import InvalidArgument
from siconvnet.functional import plain_math
from siconvnet.layers.learned_scales import LearnableScales
from siconvnet.layers.steerable import SESConv_H_H, SESConv_H_H_1x1, SESConv_Z2_H, SESMaxProjection, steer

SCALES = [1.5, 2.1, 3.0]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(params=[nullcontext, plain_math], ids=["fast", "plain"])
def way(request):
    with request.param():
        yield


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 4), (2, 4)])
def test_lifting_is_one_convolution_for_each_scale(stride, padding):
    layer = SESConv_Z2_H(2, 5, 9, 3, SCALES, stride=stride, padding=padding, bias=True)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 2, 17, 15)
    y = layer(x)
    for s in range(3):
        kernel = torch.einsum("oif,fhw->oihw", layer.weight, layer.basis[:, s])
        torch.testing.assert_close(y[:, :, s], F.conv2d(x, kernel, layer.bias, stride, padding), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 4), (2, 4)])
@pytest.mark.parametrize("scale_size", [1, 2, 3])
def test_scale_convolution_sees_the_larger_neighbours(scale_size, stride, padding):
    layer = SESConv_H_H(2, 5, scale_size, 9, 3, SCALES, stride=stride, padding=padding, bias=True)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 2, 3, 13, 15)
    y = layer(x)
    for s in range(3):
        expected = layer.bias.view(1, -1, 1, 1)
        for i in range(min(scale_size, 3 - s)):
            kernel = torch.einsum("oif,fhw->oihw", layer.weight[:, :, i], layer.basis[:, s])
            expected = expected + F.conv2d(x[:, :, s + i], kernel, None, stride, padding)
        torch.testing.assert_close(y[:, :, s], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale_size", [1, 2, 3])
def test_gradients_are_those_of_the_plain_way(scale_size):
    layer = SESConv_H_H(2, 3, scale_size, 9, 3, SCALES, bias=True).double()
    x = torch.randn(2, 2, 3, 14, 13, dtype=torch.float64, requires_grad=True)
    wanted = [x, *layer.parameters()]
    # The gradient of a sum of squares, and one that is nonzero in few places, as behind a global maximum.
    for head in (lambda y: y.square().sum(), lambda y: y.amax((2, 3, 4)).sum()):
        fast = torch.autograd.grad(head(layer(x)), wanted)
        with plain_math():
            plain = torch.autograd.grad(head(layer(x)), wanted)
        for one, other in zip(fast, plain, strict=True):
            torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("scale_size", [1, 2])
def test_pointwise_mixes_channels_and_larger_neighbours(scale_size, stride):
    layer = SESConv_H_H_1x1(3, 4, scale_size, stride)
    x = torch.randn(2, 3, 4, 5, 6)
    expected = torch.zeros(2, 4, 4, 5, 6)
    for s in range(4):
        for i in range(min(scale_size, 4 - s)):
            expected[:, :, s] += torch.einsum("oc,bchw->bohw", layer.weight[:, :, i, 0, 0], x[:, :, s + i])
    torch.testing.assert_close(layer(x), expected[..., ::stride, ::stride])


@pytest.mark.parametrize(("side", "padding"), [(20, 0), (20, 2), (20, 7), (4, 7), (5, 6)])
def test_what_is_zero_is_left_out_exactly(side, padding):
    layer = SESConv_H_H(2, 3, 2, 15, 5, [1.0, 2.0, 3.0], padding=padding, basis_type="hermite_b")
    assert layer.supports == (5, 11, 15)
    x = torch.randn(2, 2, 3, side, side)
    y = layer(x)
    layer.supports = (15, 15, 15)
    torch.testing.assert_close(layer(x), y, atol=1e-6, rtol=1e-5)
    layer.supports = (3, 11, 15)
    assert not torch.allclose(layer(x), y, atol=1e-3), "leaving out what is not zero must show"


def test_supports_follow_a_loaded_basis():
    layer = SESConv_Z2_H(1, 2, 7, 3, [1.0, 2.0])
    assert layer.supports == (3, 7)
    state = layer.state_dict()
    state["basis"] = torch.ones_like(layer.basis)
    layer.load_state_dict(state)
    assert layer.supports == (7, 7)


def test_refuses_another_number_of_scales():
    with pytest.raises(InvalidArgument, match=r"\[B, 1, 3, H, W\], got \[1, 1, 2, 9, 9\]"):
        SESConv_H_H(1, 1, 1, 5, 3, [1.0, 1.5, 2.0])(torch.zeros(1, 1, 2, 9, 9))


def test_a_constant_scale_axis_stays_apart():
    # Negative control for the scale axis: with scale_size 1 a change at one scale must not reach another.
    layer = SESConv_H_H(2, 3, 1, 5, 3, [1.0, 1.5])
    x = torch.randn(1, 2, 2, 9, 9)
    changed = x.clone()
    changed[:, :, 1] += 1
    assert torch.equal(layer(x)[:, :, 0], layer(changed)[:, :, 0])
    assert not torch.equal(layer(x)[:, :, 1], layer(changed)[:, :, 1])


def test_max_projection_and_its_indices():
    x = torch.randn(2, 3, 4, 5, 6)
    x[0, 0, :, 0, 0] = 7.0
    layer = SESMaxProjection()
    indices = layer.scale_indices(x)
    assert indices.shape == (2, 3, 5, 6) and indices[0, 0, 0, 0] == 0
    torch.testing.assert_close(layer(x), x.gather(2, indices.unsqueeze(2)).squeeze(2))


def test_kernels_of_larger_scales_are_the_enlarged_smaller_ones():
    layer = SESConv_Z2_H(1, 4, 21, 5, [2.0, 4.0], basis_type="hermite_b", mult=1.2, max_order=2)
    kernel = steer(layer.weight, layer.basis)
    # kappa_2s(2x) = kappa_s(x) / 4: every second pixel of the large kernel, four times as strong, is the small one.
    torch.testing.assert_close(4 * kernel[:, :, 1, ::2, ::2], kernel[:, :, 0, 5:16, 5:16], atol=1e-5, rtol=1e-5)


def test_parameters_are_those_of_the_effective_size():
    layer = SESConv_Z2_H(3, 8, 15, 7, [1.0, 2.0], bias=True)
    assert sum(p.numel() for p in layer.parameters()) == 8 * (3 * 49 + 1)
    assert dict(layer.named_buffers())["basis"].dtype == torch.float32


@pytest.mark.parametrize("kind", [np.array, torch.tensor, list])
def test_scales_are_any_sequence_of_numbers(kind):
    expected = SESConv_Z2_H(1, 1, 9, 3, (1.0, 2.0, 3.0))
    layer = SESConv_Z2_H(1, 1, 9, 3, kind([1.0, 2.0, 3.0]))
    assert layer.scales == expected.scales and torch.equal(layer.basis, expected.basis)
    assert make_basis("hermite_b", 9, kind([1.0, 1.5, 2.0]), 3).shape == (9, 3, 9, 9)


@pytest.fixture
def float64_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("float64_by_default")
def test_constants_follow_the_default_precision():
    assert SESConv_Z2_H(2, 5, 9, 3, SCALES)(torch.randn(1, 2, 17, 15)).dtype == torch.float64
    assert LearnableScales(3, "direct")().dtype == torch.float64


def test_on_another_default_device_the_basis_goes_where_the_weights_are():
    with torch.device("meta"):
        layer = SESConv_Z2_H(2, 5, 9, 3, SCALES)
    assert layer.basis.is_meta and layer.weight.is_meta
    expected = SESConv_Z2_H(2, 5, 9, 3, SCALES)
    assert layer.supports == expected.supports
    layer.load_state_dict(layer.state_dict())
    layer.load_state_dict(expected.state_dict(), assign=True)
    x = torch.randn(1, 2, 17, 15)
    assert torch.equal(layer(x), expected(x))


def test_refuses_a_window_larger_than_the_scales():
    with pytest.raises(InvalidArgument, match=r"1\.\.2"):
        SESConv_H_H(1, 1, 3, 9, 3, [1.0, 2.0])
