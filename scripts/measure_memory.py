#!/usr/bin/env python
"""Measure how much memory a run takes on a large data set: the peak of the process after each of its stages.

    python scripts/measure_memory.py --classes 1000 --instances 50 --out results/measured/memory.csv

The data set is of black pictures, compressed as a build compresses them; memory does not depend on what they show. All
of each split is read, and a few of its batches are trained on, validated and tested.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.layout import stir_labels
from benchmark.spec import RunSpec
from benchmark.system.files import write_text

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.training.loop import Batches

_BLOCK = 2**24


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--instances", type=int, default=50, help="of each class in each split")
    parser.add_argument("--batches", type=int, default=50, help="of each split that go through the model")
    parser.add_argument("--out", type=Path, required=True, help="CSV file to write")
    chosen = parser.parse_args()
    lines = ["classes,instances,stage,seconds,peak_mb"]
    with tempfile.TemporaryDirectory(prefix="siconvnet-") as folder:
        path = Path(folder) / "black.npz"
        begin = time.perf_counter()
        for stage in measure(path, chosen.classes, chosen.instances, chosen.batches):
            seconds, peak = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
            lines.append(f"{chosen.classes},{chosen.instances},{stage},{seconds:.1f},{peak:.0f}")
            print(lines[-1], flush=True)
            begin = time.perf_counter()
    print(write_text(chosen.out, "\n".join(lines) + "\n"))


def measure(path: Path, classes: int, instances: int, batches: int) -> Iterator[str]:
    """The name of each stage once it is over."""
    write_black_pictures(path, classes, instances)
    yield "file written"
    import torch
    from torch import nn

    from benchmark.studies.stir import StirTask
    from benchmark.training.loop import Training

    spec = RunSpec("standard", str(path), evaluation=2)
    task = StirTask(spec, torch.device("cpu"))
    yield "images unpacked"
    model = task.create_model()
    training = Training(model, task.train, task.valid, spec.lr)
    for images, labels in some(task.train, spec.batch_size, batches):
        training.optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        training.optimizer.step()
    yield "trained"
    for split, stage in ((task.valid, "validated"), (task.test, "tested")):
        with torch.no_grad():
            for images, _ in some(split, spec.batch_size, batches):
                model(images)
        yield stage


def some(split: Batches, size: int, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches spread over all of a split; those between them are read and passed over."""
    every = max(1, len(split) // size // count)
    return itertools.islice(split.batches(size), 0, None, every)


def write_black_pictures(path: Path, classes: int, instances: int) -> None:
    """A STIR file, written as a stream."""
    grid = (3, 48, classes, instances)
    shape = (*grid, 64, 64)
    small = {
        **stir_labels(grid),
        "psts": np.zeros((*grid, 2), np.uint8),
        "metadata": np.array([["title", "black"], *[[key, ""] for key in "abcde"]]),
        "lbldata": np.array([str(number) for number in range(classes)]),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("imgs.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": shape})
            left, block = int(np.prod(shape, dtype=np.int64)), bytes(_BLOCK)
            while left:
                left -= member.write(block[: min(left, _BLOCK)])
        for key, array in small.items():
            with archive.open(f"{key}.npy", "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array))


if __name__ == "__main__":
    main()
