#!/usr/bin/env python
"""Measure that no layer is slower by the way it chooses than by the plain one; minutes on one core.

    python scripts/measure_paths.py --out results/measured/paths-amd-epyc-1-thread.csv

A sample of layers from a grid of batches, channels, pixels and scales is run forward and backward, plainly and by the
chosen way in turn, on one thread. What counts is the median of the ratios of their CPU times. Exit code 1 if one of
them is above the limit.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.system.environment import cpu_name, git_state, versions
from benchmark.system.files import write_text
from siconvnet import layers
from siconvnet.errors import InvalidArgument
from siconvnet.functional import plain_math

LIMIT = 1.1
#: Multiply-adds of a plain forward pass, and numbers of its output, beyond which a cell is left out.
MOST_PRODUCTS, MOST_NUMBERS = 4e9, 1.6e7
#: CPU seconds of a plain forward and backward pass beyond which it is left out: some take minutes in torch.
MOST_SECONDS = 8.0
#: Turns, and the ratio up to which so many are enough. Other work on the machine moves single ratios.
TURNS = {1: 0.5, 3: LIMIT, 11: float("inf")}
#: CPU seconds of one turn at least: quick layers are run several times in it.
LEAST = 0.02

BATCHES = (1, 2, 16, 128)
CHANNELS = (1, 3, 16, 64, 256)
PIXELS = (28, 56, 112, 224)
SCALES = (3, 8, 29)


class Family(NamedTuple):
    """Layers of one kind.

    Attributes:
        make: (channels, number of scales) -> the layer.
        maps: whether its input has a scale axis.
    """

    make: Callable[[int, int], nn.Module]
    maps: bool = False


def _scale_conv(kernel_size: int, padding: bool) -> Family:
    return Family(lambda c, s: layers.SiConv2d(c, c, s, kernel_size, padding=padding, interp_mode="bicubic"))


def _pooled(kernel_size: int, pool: str, padding: bool, stride: int = 1) -> Family:
    return Family(
        lambda c, s: layers.SiConvPool2d(
            c, c, s, kernel_size, padding=padding, stride=stride, interp_mode="bicubic", pool=pool
        )
    )


def _factors(num_scales: int) -> list[float]:
    return [2 ** (number / (num_scales - 1)) for number in range(num_scales)]


FAMILIES = {
    "Conv2d k=3 padded": Family(lambda c, s: layers.Conv2d(c, c, 3, padding=1)),
    "Conv2d k=15": Family(lambda c, s: layers.Conv2d(c, c, 15)),
    "SiConv2d k=3 padded": _scale_conv(3, padding=True),
    "SiConv2d k=7": _scale_conv(7, padding=False),
    "SiConvPool2d k=3 pixel padded": _pooled(3, "pixel", padding=True),
    "SiConvPool2d k=3 slice padded stride 2": _pooled(3, "slice", padding=True, stride=2),
    "SiConvPool2d k=7 pixel": _pooled(7, "pixel", padding=False),
    "SiConvPool2d k=7 energy": _pooled(7, "energy", padding=False),
    "SESConv_Z2_H k=9 padded": Family(lambda c, s: layers.SESConv_Z2_H(c, c, 9, 5, _factors(s), padding=4)),
    "SESConv_H_H k=15 padded": Family(
        lambda c, s: layers.SESConv_H_H(c, c, 1, 15, 7, _factors(s), padding=7), maps=True
    ),
    "Conv3dMax k=3": Family(lambda c, s: layers.Conv3dMax(c, c, 3), maps=True),
    "Conv3dMax k=7": Family(lambda c, s: layers.Conv3dMax(c, c, 7), maps=True),
    "XuConv2d k=7": Family(lambda c, s: layers.XuConv2d(c, c, 7, list(range(5, 5 + 2 * s, 2)), initial=True)),
    "KanazawaConv2d k=7": Family(lambda c, s: layers.KanazawaConv2d(c, c, 7, _factors(s))),
    "SacnnConv2d k=5 max": Family(lambda c, s: layers.SacnnConv2d(c, c, 5, tuple(_factors(s)))),
    "SacnnConv2d k=5 attention": Family(
        lambda c, s: layers.SacnnConv2d(c, c, 5, tuple(_factors(s)), select="attention")
    ),
}


class Cell(NamedTuple):
    family: str
    batch: int
    channels: int
    pixels: int
    scales: int

    def build(self, device: str) -> tuple[nn.Module, Tensor]:
        family = FAMILIES[self.family]
        scales = (self.scales,) if family.maps else ()
        x = torch.randn(self.batch, self.channels, *scales, self.pixels, self.pixels, device=device)
        return family.make(self.channels, self.scales).to(device), x.requires_grad_()


#: The middle of a ResNet, always measured.
RESNET = (2, 64, 56, 3)


def main() -> int:
    """Measure, show, write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, help="CSV file to write; without it the ratios are only shown")
    parser.add_argument("--cells", type=int, default=5, help="how many of each kind of layer (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, slow = [], 0
    for cell in sample(options.cells, options.seed):
        row = measure(cell)
        if row is None:
            print(f"left out, as the plain way takes more than {MOST_SECONDS:g} s: {cell}", flush=True)
            continue
        slow += row["ratio"] > LIMIT
        print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
        rows.append(row)
    print(f"{slow} of {len(rows)} cells above {LIMIT}")
    if options.out:
        write_text(options.out, table(rows))
    return 1 if slow else 0


def sample(count: int, seed: int) -> Iterator[Cell]:
    """Of each kind of layer the ResNet's cell, and others until there are `count`, as the seed has them."""
    chosen = random.Random(seed)
    for family in FAMILIES:
        grid = list(itertools.product(BATCHES, CHANNELS, PIXELS, SCALES))
        chosen.shuffle(grid)
        cells = (Cell(family, *sizes) for sizes in (RESNET, *(sizes for sizes in grid if sizes != RESNET)))
        yield from itertools.islice((cell for cell in cells if is_feasible(cell)), count)


def is_feasible(cell: Cell) -> bool:
    """Whether the layer can be built, takes such an input, and is done plainly in reasonable time."""
    if cell.batch * cell.channels * cell.pixels**2 > MOST_NUMBERS:
        return False
    try:
        with torch.no_grad(), plain_math(), FlopCounterMode(display=False) as counted:
            layer, x = cell.build("meta")
            numbers = layer(x).numel()
    except InvalidArgument:
        return False
    return counted.get_total_flops() / 2 <= MOST_PRODUCTS and numbers * cell.scales <= MOST_NUMBERS


def measure(cell: Cell) -> dict[str, Any] | None:
    """The row of a cell: milliseconds of CPU time plainly and by the chosen way, and how the second compares; none
    where the plain way takes too long."""
    torch.manual_seed(0)
    layer, x = cell.build("cpu")
    gradient = torch.randn_like(layer(x))

    def step() -> None:
        torch.autograd.grad(layer(x), (x, *layer.parameters()), gradient)

    def plainly() -> None:
        with plain_math():
            step()

    step()
    once = seconds(plainly, 1)
    if once > MOST_SECONDS:
        return None
    times = max(1, round(LEAST / once))
    turns: list[tuple[float, float]] = []
    for wanted, enough in TURNS.items():
        while len(turns) < wanted:
            turns.append((seconds(plainly, times), seconds(step, times)))
        ratio = statistics.median(chosen / plain for plain, chosen in turns)
        if ratio <= enough:
            break
    plain, chosen = (1e3 * statistics.median(way) for way in zip(*turns, strict=True))
    return {
        "layer": cell.family, **dict(list(cell._asdict().items())[1:]), "plain_ms": round(plain, 2),
        "chosen_ms": round(chosen, 2), "ratio": round(ratio, 2), "turns": len(turns),
    }  # fmt: skip


def seconds(work: Callable[[], None], times: int) -> float:
    """CPU seconds of one of so many runs."""
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as CSV, each with what it was measured on."""
    about = {
        "threads": 1, "machine": cpu_name(), "torch": versions()["torch"],
        "commit": (git_state() or {}).get("commit", ""),
    }  # fmt: skip
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0], *about], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, **about} for row in rows)
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(main())
