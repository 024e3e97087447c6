"""Rescaling many images at once gives what Pillow gives for each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from siconvnet.augmentation.rescaling import bicubic_matrices, rescale_images
from siconvnet.datasets.catalog import EMBEDDED

CENTRE = 14.5


def by_pillow(image: np.ndarray, factor: float) -> np.ndarray:
    step = 1 / factor
    offset = CENTRE - step * CENTRE
    matrix = (step, 0, offset, 0, step, offset)
    affine = Image.Transform.AFFINE
    return np.asarray(Image.fromarray(image).transform((28, 28), affine, matrix, Image.Resampling.BICUBIC))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_pillow(dtype):
    digits = np.load(EMBEDDED / "mnist_digits.npz")["imgs"][0].reshape(-1, 28, 28)
    factors = np.random.default_rng(0).uniform(0.5, 2, len(digits))
    expected = np.stack([by_pillow(digit, factor) for digit, factor in zip(digits, factors, strict=True)])
    found = rescale_images(torch.from_numpy(digits)[:, None].to(dtype), torch.from_numpy(factors), CENTRE)
    difference = np.abs(found[:, 0].numpy() - expected)
    # Both cut to whole levels, so that a rounding error can show as one level in a pixel here and there.
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_a_factor_of_one_changes_nothing():
    torch.testing.assert_close(bicubic_matrices(torch.ones(1), 28, CENTRE)[0], torch.eye(28, dtype=torch.float64))


def test_rows_add_up_to_one_inside_and_to_nothing_outside():
    sums = bicubic_matrices(torch.tensor([0.5, 2.0]), 28, CENTRE).sum(2)
    assert set(sums[0].round(decimals=9).tolist()) == {0.0, 1.0}
    torch.testing.assert_close(sums[1], torch.ones(28, dtype=torch.float64))
