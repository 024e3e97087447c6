"""Many images cropped, mirrored and partly covered at once, each in its own way."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def crop_images(images: Tensor, corners: Tensor, mirrored: Tensor, padding: int) -> Tensor:
    """Cut each image's own size out of the image with zeros around it, then mirror some: [N, C, H, W] -> the same.

    Args:
        corners: [N, 2], the top and the left pixel of each cut in the padded image, 0..2 padding.
        mirrored: [N], bool; left becomes right.
        padding: zeros added on each side, in pixels.
    """
    channels, height, width = images.shape[1:]
    place = torch.arange(width, device=images.device)
    rows = corners[:, :1] + torch.arange(height, device=images.device)
    columns = corners[:, 1:] + torch.where(mirrored[:, None], width - 1 - place, place)
    padded = F.pad(images, 4 * [padding])
    cut = padded.gather(2, rows[:, None, :, None].expand(-1, channels, -1, padded.shape[3]))
    return cut.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))


def cut_out(images: Tensor, centres: Tensor, side: int) -> Tensor:
    """Set a square of each image to zero; what of it lies outside is cut off: [N, C, H, W] -> the same.

    Source: DeVries, Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", arXiv 1708.04552.

    Args:
        centres: [N, 2], row and column of the pixel behind the square's middle.
        side: of the square in pixels, even.
    """
    covered = []
    for axis, length in enumerate(images.shape[2:]):
        away = torch.arange(length, device=images.device) - centres[:, axis, None]
        covered.append((away >= -(side // 2)) & (away < side // 2))
    rows, columns = covered
    return images.masked_fill((rows[:, :, None] & columns[:, None])[:, None], 0)
