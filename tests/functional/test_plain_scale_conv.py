"""The plain path against definitions written out with loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from comparing import deviation

from siconvnet.errors import UnknownName
from siconvnet.functional import interpolation_matrix, plain

MODES = ["nearest", "bilinear", "bicubic", "area"]


def correlate(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Valid cross-correlation of one channel, by its definition."""
    side = kernel.shape[0]
    height, width = image.shape[0] - side + 1, image.shape[1] - side + 1
    return np.array([[(image[r : r + side, c : c + side] * kernel).sum() for c in range(width)] for r in range(height)])


@pytest.mark.parametrize("mode", MODES)
def test_scale_convolution_by_its_definition(mode):
    x, weight, bias = torch.randn(1, 2, 9, 11).double(), torch.randn(3, 2, 3, 3).double(), torch.randn(3).double()
    out = plain.scale_conv2d(x, weight, bias, num_scales=4, mode=mode)
    assert out.shape == (1, 3, 4, 7, 9)
    for scale, side in enumerate((3, 5, 7, 9)):
        kernel = plain.rescale_kernel(weight, side, mode).numpy()
        for channel in range(3):
            response = sum(correlate(x[0, i].numpy(), kernel[channel, i]) for i in range(2)) + bias[channel].item()
            expected = np.pad(response, scale)
            np.testing.assert_allclose(out[0, channel, scale].numpy(), expected, atol=1e-12)


def test_zeros_come_after_the_bias():
    out = plain.scale_conv2d(torch.zeros(1, 1, 7, 7), torch.ones(1, 1, 3, 3), torch.tensor([2.0]), 3, "bicubic")
    assert out[0, 0, 1, 0].eq(0).all() and out[0, 0, 1, 1, 1] == 2


def test_padding_keeps_the_side_of_the_input():
    x, weight = torch.randn(1, 1, 8, 9).double(), torch.randn(1, 1, 3, 3).double()
    out = plain.scale_conv2d(x, weight, None, 3, "bilinear", padding=True)
    assert out.shape == (1, 1, 3, 8, 9)
    kernel = plain.rescale_kernel(weight, 7, "bilinear")[0, 0].numpy()
    np.testing.assert_allclose(out[0, 0, 2].numpy(), correlate(np.pad(x[0, 0].numpy(), 3), kernel), atol=1e-12)


def test_stride_keeps_every_other_aligned_output():
    x, weight = torch.randn(2, 1, 11, 12), torch.randn(4, 1, 3, 3)
    full = plain.scale_conv2d(x, weight, None, 4, "nearest")
    assert torch.equal(plain.scale_conv2d(x, weight, None, 4, "nearest", stride=2), full[..., ::2, ::2])


@pytest.mark.parametrize("kernel_size", [3, 7, 11, 15])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_kernels_are_resized_as_interpolate_does(mode, kernel_size):
    weight = torch.randn(2, 2, kernel_size, kernel_size).double()
    for size in range(kernel_size, 64, 2):
        align = {} if mode == "nearest" else {"align_corners": False}
        resized = F.interpolate(weight, size=(size, size), mode=mode, **align) * (kernel_size / size) ** 2
        assert deviation(plain.rescale_kernel(weight, size, mode), resized) < 1e-9


@pytest.mark.parametrize("mode", MODES)
def test_matrices_keep_constants_and_the_size_itself(mode):
    assert torch.equal(interpolation_matrix(7, 7, mode), torch.eye(7).double())
    torch.testing.assert_close(interpolation_matrix(7, 23, mode).sum(1), torch.ones(23).double())


def test_area_is_the_average_over_the_source_interval():
    # 3 source pixels on 5 target cells: cell 1 covers [0.6, 1.2), two thirds in pixel 0 and one in pixel 1.
    row = interpolation_matrix(3, 5, "area")[1]
    torch.testing.assert_close(row, torch.tensor([2 / 3, 1 / 3, 0]).double())


@pytest.mark.parametrize("mode", MODES)
def test_responses_to_a_constant_are_comparable_across_scales(mode):
    # The factor k^2 / size^2 keeps the sum of a rescaled kernel near that of the original.
    weight = torch.ones(1, 1, 7, 7).double()
    sums = [plain.rescale_kernel(weight, size, mode).sum().item() for size in (7, 21, 49)]
    np.testing.assert_allclose(sums, 49.0)


def test_cached_constants_take_keywords():
    assert interpolation_matrix(kernel_size=7, size=9, mode="area") is interpolation_matrix(7, 9, "area")
    assert interpolation_matrix(7, mode="area", size=9) is interpolation_matrix(7, 9, "area")


def test_unknown_interpolation_suggests_the_nearest():
    with pytest.raises(UnknownName, match="bicubic"):
        interpolation_matrix(7, 9, "bicubik")


def test_pooling_modes_on_a_case_worked_by_hand():
    x = torch.tensor([[[[[1.0, 5.0]], [[4.0, 4.0]], [[0.0, 6.0]]]]])  # [B=1, C=1, S=3, H=1, W=2]
    values, winner = plain.scale_pool(x, "pixel")
    assert values.tolist() == [[[[4, 6]]]] and winner.tolist() == [[[[1, 2]]]]
    values, winner = plain.scale_pool(x, "slice")
    assert values.tolist() == [[[[0, 6]]]] and winner.tolist() == [[2]]
    values, winner = plain.scale_pool(x, "energy")
    assert values.tolist() == [[[[4, 4]]]] and winner.tolist() == [[1]]


@pytest.mark.parametrize("mode", plain.POOL_MODES)
def test_of_equal_scales_the_smallest_wins(mode):
    _, winner = plain.scale_pool(torch.ones(2, 3, 4, 5, 5), mode)
    assert winner.eq(0).all()
