"""Small pictures whose objects can be found again by their colour."""

from __future__ import annotations

import numpy as np
from PIL import Image

RED = (255, 0, 0)


def photo(size: tuple[int, int], *boxes: tuple[int, int, int, int], seed: int = 0) -> Image.Image:
    """Blue noise with a red rectangle for each box (left, top, width, height)."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[..., 2] = np.random.default_rng(seed).integers(60, 200, pixels.shape[:2])
    for left, top, width, height in boxes:
        pixels[top : top + height, left : left + width] = RED
    return Image.fromarray(pixels)


def red_box(canvas: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, width and height of what is more red than not."""
    red = canvas[..., 0] > 127
    columns, rows = np.flatnonzero(red.any(0)), np.flatnonzero(red.any(1))
    return int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
