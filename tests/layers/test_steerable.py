"""Steerable layers: against loops over scales and channels, and by their defining property."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from siconvnet.errors import InvalidArgument
from siconvnet.layers.steerable import SESConv_H_H, SESConv_H_H_1x1, SESConv_Z2_H, SESMaxProjection, steer

SCALES = [1.5, 2.1, 3.0]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 4), (2, 4)])
def test_lifting_is_one_convolution_for_each_scale(stride, padding):
    layer = SESConv_Z2_H(2, 5, 9, 3, SCALES, stride=stride, padding=padding, bias=True)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 2, 17, 15)
    y = layer(x)
    for s in range(3):
        kernel = torch.einsum("oif,fhw->oihw", layer.weight, layer.basis[:, s])
        torch.testing.assert_close(y[:, :, s], F.conv2d(x, kernel, layer.bias, stride, padding), atol=1e-5, rtol=1e-5)


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


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("scale_size", [1, 2])
def test_pointwise_is_a_3d_convolution(scale_size, stride):
    layer = SESConv_H_H_1x1(3, 4, scale_size, stride)
    x = torch.randn(2, 3, 4, 5, 6)
    padded = F.pad(x, [0, 0, 0, 0, 0, scale_size - 1])
    torch.testing.assert_close(layer(x), F.conv3d(padded, layer.weight, stride=(1, stride, stride)))


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


def test_refuses_a_window_larger_than_the_scales():
    with pytest.raises(InvalidArgument, match=r"1\.\.2"):
        SESConv_H_H(1, 1, 3, 9, 3, [1.0, 2.0])
