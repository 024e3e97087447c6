"""Cropping, mirroring and covering many images at once, against one image at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from siconvnet.augmentation.cropping import crop_images, cut_out


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_crops_are_those_of_one_image_at_a_time(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    images = torch.randint(1, 256, (40, 3, 20, 17), dtype=torch.uint8).to(dtype)
    corners, mirrored = torch.randint(9, (40, 2)), torch.rand(40) < 0.5
    corners[:4] = torch.tensor([[0, 0], [8, 8], [0, 8], [4, 4]])
    mirrored[:4] = torch.tensor([False, True, True, False])
    found = crop_images(images, corners, mirrored, 4)
    for image, (top, left), flip, one in zip(images, corners.tolist(), mirrored, found, strict=True):
        padded = np.pad(image.numpy(), ((0, 0), (4, 4), (4, 4)))
        expected = padded[:, top : top + 20, left : left + 17]
        assert np.array_equal(one.numpy(), expected[:, :, ::-1] if flip else expected)
    assert torch.equal(found[3], images[3]), "the middle is the image itself"
    assert found.dtype == dtype


def covered_by_loops(image: np.ndarray, row: int, column: int, side: int) -> np.ndarray:
    """One image after another, pixel after pixel."""
    found = image.copy()
    for y in range(row - side // 2, row + side // 2):
        for x in range(column - side // 2, column + side // 2):
            if 0 <= y < image.shape[1] and 0 <= x < image.shape[2]:
                found[:, y, x] = 0
    return found


def test_squares_are_those_of_loops() -> None:
    torch.manual_seed(0)
    images = torch.randn(30, 3, 20, 17)
    centres = torch.stack([torch.randint(20, (30,)), torch.randint(17, (30,))], dim=1)
    centres[:3] = torch.tensor([[0, 0], [19, 16], [10, 8]])
    found = cut_out(images, centres, 6)
    for image, (row, column), one in zip(images, centres.tolist(), found, strict=True):
        assert np.array_equal(one.numpy(), covered_by_loops(image.numpy(), row, column, 6))
    assert [int((one == 0).sum()) for one in found[:3]] == [3 * 9, 3 * 16, 3 * 36]
