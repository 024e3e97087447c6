"""A study of another package: squares and discs of 40 to 272 pixels on large canvases, trained on one size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.predictions import Integers
from benchmark.protocol import Protocol
from benchmark.spec import RunSpec
from benchmark.studies import axes
from benchmark.studies.base import DataState, Task
from benchmark.studies.errors import ErrorStudy
from benchmark.studies.settings import Settings, batch_size, learning_rate, max_epochs, seed, setting

SIDE = 288
SIZES = {"train": (160,), "valid": (160,), "test": (40, 160, 272)}
PROTOCOL = Protocol(
    "shapes", batch_size=4, max_epochs=2, patience=None, lr=1e-2, learning_rates=(1e-2,), seeds={"shapes": (0, 1)}
)


@dataclass(frozen=True, kw_only=True)
class ShapesSettings(Settings):
    """Settings of a run on the shapes; `contrast` is the gray level of the objects, 1 to 255."""

    study = "shapes"

    contrast: int = setting(
        200,
        help="Gray level of the objects.",
        low=1,
        high=255,
        axis=axes.whole_numbers("contrasts", "contrast", default=200, help="As 100,200."),
    )
    lr: float = learning_rate(PROTOCOL)
    seed: int = seed(0, grid="0-1")
    batch_size: int = batch_size(PROTOCOL)
    max_epochs: int = max_epochs(PROTOCOL)


class ShapeNet(nn.Module):
    """A convolution with a large stride, averaged over the image."""

    label, family, paper = "Shape net", "toy", "none"

    def __init__(self, num_channels: int, num_classes: int):
        super().__init__()
        self.conv = nn.Conv2d(num_channels, 4, 8, stride=8)
        self.head = nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.conv(images).relu().mean((2, 3)))


class Shapes(ErrorStudy[ShapesSettings]):
    name, title = "shapes", "Shapes"
    protocol, settings = PROTOCOL, ShapesSettings
    before_model = data_settings = ("contrast",)
    models_note = "Squares and discs."

    def list_models(self, pattern: str = "*") -> list[str]:
        return ["shape_net"] if pattern in ("*", "shape_net") else []

    def example(self, name: str) -> tuple[str, nn.Module]:
        return "Shape net", ShapeNet(1, 2)

    def setting(self, spec: RunSpec[ShapesSettings]) -> str:
        return f"contrast {spec.settings.contrast}"

    def section(self, spec: RunSpec[ShapesSettings]) -> str:
        return self.setting(spec)

    def experiment(self, spec: RunSpec[ShapesSettings], dataset_key: str) -> tuple[str, ...]:
        return self.name, self.setting(spec)

    def data_states(self) -> tuple[DataState, ...]:
        return (DataState(self.name, 2, 1, "drawn as needed", "CC0", 1, 1, "none", "nothing to do"),)

    def open(self, spec: RunSpec[ShapesSettings], device: torch.device) -> Task:
        return ShapesTask(spec, device)


class ShapesTask(Task):
    def __init__(self, spec: RunSpec[ShapesSettings], device: torch.device):
        self.spec = spec
        self.train, self.valid, self.test = (Drawn(name, spec.settings.contrast, device) for name in SIZES)

    def create_model(self) -> nn.Module:
        return ShapeNet(1, 2)

    def test_split(self) -> tuple[Drawn, Integers]:
        return self.test, self.test.sizes


class Drawn:
    """Both shapes at each size of a split, at a few places."""

    def __init__(self, split: str, contrast: int, device: torch.device):
        generator = np.random.default_rng(sorted(SIZES).index(split))
        drawn = [(shape, size) for size in SIZES[split] for _ in range(4) for shape in (0, 1)]
        self.sizes = np.array([size for _, size in drawn])
        self.labels = torch.tensor([shape for shape, _ in drawn], device=device)
        images = np.stack([_draw(shape, size, generator) for shape, size in drawn])
        self.images = torch.from_numpy(images * np.float32(contrast / 255))[:, None].to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self.images.split(size), self.labels.split(size), strict=True)


def _draw(shape: int, size: int, generator: np.random.Generator) -> Any:
    top, left = generator.integers(0, SIDE - size + 1, 2)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    down, right = rows - top - (size - 1) / 2, columns - left - (size - 1) / 2
    inside = np.maximum(abs(down), abs(right)) if shape == 0 else np.hypot(down, right)
    return (inside <= size / 2).astype(np.float32)


SHAPES = Shapes()
