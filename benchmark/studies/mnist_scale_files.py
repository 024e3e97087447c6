"""MNIST-Scale as it was published and read by its authors' code: one PNG file an image, read by a `DataLoader`."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.protocol import MNIST_SCALE
from siconvnet.datasets.mnist_scale import MnistScaleSplit

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import DataLoader

LOADERS = 2
"""Processes that read PNG files."""


class PngFiles:
    """PNG files as normalised images [1, 28, 28] with their labels, for a `DataLoader`."""

    def __init__(self, paths: Sequence[Path], labels: Sequence[int]):
        self.paths, self.labels = paths, labels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        import torch
        from PIL import Image

        mean, std = MNIST_SCALE.normalisation
        with Image.open(self.paths[place]) as image:
            levels = np.array(image, dtype=np.float32)[None]
        return (torch.from_numpy(levels) / 255 - mean) / std, self.labels[place]


def write_pngs(split: MnistScaleSplit, folder: Path) -> list[Path]:
    """Write each image of a split as `LABEL/NUMBER.png`, as the published data lie; the paths in the split's order."""
    from PIL import Image

    paths = []
    for number, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
        path = folder / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        paths.append(path)
    return paths


@contextlib.contextmanager
def png_loader(split: MnistScaleSplit, batch_size: int) -> Iterator[DataLoader[Any]]:
    """A loader of normalised images [N, 1, 28, 28] and labels, shuffled; its files last as long as the context."""
    from torch.utils.data import DataLoader

    with tempfile.TemporaryDirectory(prefix="siconvnet-") as folder:
        files: Any = PngFiles(write_pngs(split, Path(folder)), split.labels.tolist())
        yield DataLoader(files, batch_size, shuffle=True, num_workers=LOADERS, persistent_workers=True)
