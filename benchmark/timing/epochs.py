"""How long an epoch of MNIST-Scale takes, by the plain route and by this package's, in one process and in turn.

The plain route is the published one: each image in a PNG file, read by the processes of a torch `DataLoader`,
and `conv2d` with the expanded kernels of all scales (`siconvnet.functional.plain_math`). Here the images are an array
on the device and the layers take their fast paths. Both train the same network on the same images, shuffled, with Adam.
What is timed is a part of an epoch, whole batches of it, and the epoch's time is as many times that as it has parts.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.protocol import MNIST_SCALE
from siconvnet.datasets.mnist_scale import SPLIT_SIZES, MnistScaleSplit

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn
    from torch.utils.data import DataLoader

PARTS = ("load", "forward", "backward")
"""Getting a batch; the forward pass with the loss; the backward pass with the step of Adam."""
WAYS = ("plain", "fast")
LOADERS = 2
"""Processes that read PNG files."""
IMAGES = SPLIT_SIZES["train"]
"""Of an epoch."""


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


def measure(
    models: Iterable[str], device: torch.device, *, batches: int, batch_size: int, repeats: int
) -> Iterator[dict[str, Any]]:
    """Time models on realization 0: a row for each, once it is done.

    Args:
        batches: how many are one measurement.
        repeats: measurements of each way, after one batch of each to warm up.

    Raises:
        DatasetError: the realization is not built.
    """
    import torch

    from benchmark.studies.mnist_scale import Digits
    from benchmark.timing.steps import circumstances, computations
    from benchmark.training.loop import seed_everything
    from siconvnet import create_model
    from siconvnet.datasets.mnist_scale import IMAGE_SIZE, NUM_CLASSES, load_mnist_scale

    train, count = load_mnist_scale(0).train, batches * batch_size
    part = MnistScaleSplit(train.images[:count], train.labels[:count], train.scales[:count])
    contexts = computations()
    with tempfile.TemporaryDirectory(prefix="siconvnet-") as folder:
        loader = _loader(write_pngs(part, Path(folder)), part, batch_size)
        digits = Digits(part, device, training=True)
        sources: dict[str, Callable[[], Iterable[tuple[Tensor, Tensor]]]] = {
            "plain": lambda: ((images.to(device), labels.to(device)) for images, labels in loader),
            "fast": lambda: digits.batches(batch_size),
        }
        for model in models:
            seed_everything(0)
            net = create_model(model, num_channels=1, num_classes=NUM_CLASSES, image_size=IMAGE_SIZE).to(device).train()
            optimizer = torch.optim.Adam(net.parameters(), lr=MNIST_SCALE.lr)
            found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
            for repeat in range(repeats + 1):
                for way in WAYS:
                    with contexts[way]():
                        seconds = _train(net, optimizer, sources[way](), device, batches if repeat else 1)
                    if repeat:
                        found[way].append(seconds)
            yield {
                "model": model,
                "device": device.type,
                "threads": torch.get_num_threads(),
                "batch_size": batch_size,
                "images": count,
                "repeats": repeats,
                **_columns(found, batches, IMAGES / count),
                **circumstances(device),
            }


def _loader(paths: list[Path], split: MnistScaleSplit, batch_size: int) -> DataLoader[Any]:
    from torch.utils.data import DataLoader

    files: Any = PngFiles(paths, split.labels.tolist())
    return DataLoader(files, batch_size, shuffle=True, num_workers=LOADERS, persistent_workers=True)


def _train(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    source: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    batches: int,
) -> dict[str, float]:
    """Seconds by part of training on the first batches of a source; the rest are only read."""
    import torch
    import torch.nn.functional as F

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    seconds = dict.fromkeys(PARTS, 0.0)
    start = now()
    for number, (images, labels) in enumerate(source):
        if number >= batches:
            continue
        loaded = now()
        loss = F.cross_entropy(net(images), labels)
        forward = now()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        end = now()
        for part, took in zip(PARTS, (loaded - start, forward - loaded, end - forward), strict=True):
            seconds[part] += took
        start = end
    return seconds


def _columns(found: dict[str, list[dict[str, float]]], batches: int, parts_an_epoch: float) -> dict[str, float]:
    row: dict[str, float] = {}
    for way, passes in found.items():
        for part in PARTS:
            row[f"{way}_{part}_ms"] = round(1e3 * statistics.median(one[part] for one in passes) / batches, 2)
        epochs = [parts_an_epoch * sum(one.values()) for one in passes]
        for name, seconds in (("", statistics.median(epochs)), ("_min", min(epochs)), ("_max", max(epochs))):
            row[f"{way}_epoch_s{name}"] = round(seconds, 2)
    for part in PARTS[1:]:
        row[f"{part}_ratio"] = round(row[f"plain_{part}_ms"] / row[f"fast_{part}_ms"], 2)
    return {**row, "ratio": round(row["plain_epoch_s"] / row["fast_epoch_s"], 2)}


def markdown(table: pd.DataFrame) -> str:
    """The table for a document: one row a model."""
    lines = [
        "| model | plain epoch, s | fast epoch, s | ratio | plain: load + forward + backward, ms a batch "
        "| fast, ms a batch |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for _, row in table.iterrows():
        plain, fast = (f"{row[f'{way}_epoch_s']:,.0f}" for way in WAYS)
        lines.append(f"| {row['model']} | {plain} | {fast} | **{row['ratio']:.1f}** | {' | '.join(parts(row))} |")
    return "\n".join(lines) + "\n"


def parts(row: pd.Series) -> list[str]:
    """The milliseconds of a batch by part, for each way: "43 + 1,267 + 3,453"."""
    return [" + ".join(f"{row[f'{way}_{part}_ms']:,.0f}" for part in PARTS) for way in WAYS]


def said(first: pd.Series) -> str:
    """What was measured, in a sentence."""
    return (
        f"{first['machine']}, {first['threads']} threads, torch {first['torch']}, batch {first['batch_size']}: medians "
        f"of {first['repeats']} measurements of each way in turn, {first['images']:,} images each, times "
        f"{IMAGES / first['images']:.1f} for the {IMAGES:,} of an epoch."
    )
