#!/usr/bin/env python
"""Measure a training step beside that of the original code of the STIR paper, in one process and in turn.

    git clone https://github.com/taltstidl/scale-equivariant-cnn original
    python scripts/measure_original.py original --out results/measured/original-amd-epyc-1-thread.csv

Both train the same network from the same weights on 16 emoji images, on one thread; what counts is the median of the
ratios of their CPU times.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.system.environment import cpu_name, git_state, versions
from benchmark.system.files import write_text
from benchmark.timing.steps import STUDIES
from siconvnet.functional.pyramid import gaussian_pyramid

#: The original's classes by the names of the models here.
MODELS = {
    "standard": "StandardModel", "pixel_pool": "PixelPoolModel", "slice_pool": "SlicePoolModel",
    "energy_pool": "EnergyPoolModel", "conv3d": "Conv3dModel", "xu": "XuModel",
}  # fmt: skip
BATCH = 16


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("original", type=Path, help="folder of the original's repository")
    parser.add_argument("--models", default="conv3d,xu", help=f"of {', '.join(MODELS)} (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, help="CSV file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    original, rows = load(options.original), []
    for model in options.models.split(","):
        rows.append(measure(model, original, options.turns))
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if options.out:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(options.out, text.getvalue())


def load(repository: Path) -> ModuleType:
    """The original's `siconvnet.models`, whose package has the name of this one."""
    ours = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "siconvnet"}
    for name in ours:
        del sys.modules[name]
    # Of kornia, which is not installed here, it takes this one function.
    geometry: Any = ModuleType("kornia.geometry")
    geometry.build_pyramid = gaussian_pyramid
    added = {"kornia": ModuleType("kornia"), "kornia.geometry": geometry}
    sys.modules.update(added)
    sys.path.insert(0, str(repository.resolve()))
    try:
        return importlib.import_module("siconvnet.models")
    finally:
        sys.path.pop(0)
        for name in [name for name in sys.modules if name.split(".")[0] in ("siconvnet", "kornia")]:
            del sys.modules[name]
        sys.modules.update(ours)


def measure(model: str, original: ModuleType, turns: int) -> dict[str, Any]:
    """Milliseconds of CPU time of a step of each, and how many times as long the original's takes."""
    net, images, labels = STUDIES["stir"](model, BATCH)
    channels, classes = images.shape[1], net(images[:1]).shape[1]
    theirs = getattr(original, MODELS[model])(
        kernel_size=7, interpolation="bicubic", num_channels=channels, num_classes=classes
    )
    theirs.load_state_dict(dict(zip(theirs.state_dict(), net.state_dict().values(), strict=True)))
    with torch.no_grad():
        torch.testing.assert_close(net(images), theirs(images), rtol=1e-4, atol=1e-4)
    steps = stepping(theirs, images, labels), stepping(net, images, labels)
    for step in steps:
        step()
    times = [tuple(seconds(step) for step in steps) for _ in range(turns)]
    before, now = (round(1e3 * statistics.median(way), 1) for way in zip(*times, strict=True))
    return {
        "model": model, "batch_size": BATCH, "threads": 1, "turns": turns, "original_ms": before, "ours_ms": now,
        "ratio": round(statistics.median(theirs / ours for theirs, ours in times), 2),
        "machine": cpu_name(), "torch": versions()["torch"], "commit": (git_state() or {}).get("commit", ""),
    }  # fmt: skip


def stepping(net: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """A training step of `net`."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return step


def seconds(work: Callable[[], None]) -> float:
    """CPU seconds that it takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
