"""Small files in STL-10's real binary format, and a network that is quick with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from siconvnet.models.stl10.plan import Wrn


def write_stl10(folder: Path, sizes: dict[str, int], seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write the four files; for each split its images (N, 3, 96, 96), row after row, and labels 0..9.

    The images are of their class's colour, with a mark that tells up from down and left from right.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    content = {}
    for split, size in sizes.items():
        labels = (np.arange(size) % 10).astype(np.uint8)
        colours = np.stack([labels * 25, 250 - labels * 25, np.full(size, 90)], axis=1).astype(np.uint8)
        noise = generator.integers(0, 6, (size, 3, 96, 96), np.uint8)
        images = colours[:, :, None, None] + noise
        images[:, :, 10, 20:40] = 255
        content[split] = images, labels
        # The format: planes of colour, and of each its columns.
        (folder / f"{split}_X.bin").write_bytes(images.transpose(0, 1, 3, 2).tobytes())
        (folder / f"{split}_y.bin").write_bytes((labels + 1).tobytes())
    return content


class Quick(Wrn):
    """The narrowest of the wide residual networks, on images of a quarter of the side."""

    def __init__(self, num_channels: int, num_classes: int) -> None:
        super().__init__(num_channels, num_classes, widen=1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.avg_pool2d(x, 4))
