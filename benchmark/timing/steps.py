"""How long a training step takes, computed plainly and by the fast paths: the same model, the same process, in turn.

The plain way is the papers': `interpolate` and `conv2d` for each scale, autograd through all of it. Both ways give the
same numbers, which the tests show; here only time and memory are looked at. Machines that are shared drift, so the two
ways alternate and what counts is their ratio.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.spec import RunSpec

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from benchmark.studies import Study

PASSES = ("step", "forward")
"""A training step (forward, loss, backward, Adam), and inference alone."""


@dataclass(frozen=True)
class Sample:
    """What repeated measurements of one way came to.

    Attributes:
        milliseconds: one a repeat.
        peak_mib: the most memory that one repeat held in tensors beyond what was held before it, in MiB.
    """

    milliseconds: tuple[float, ...]
    peak_mib: float

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)


def measure(
    study: Study[Any], model: str, device: torch.device, batch_size: int, repeats: int
) -> Iterator[dict[str, Any]]:
    """Time one model of a study: a row for each of `PASSES`, in the columns of the speed table.

    One warm-up of each way is not counted.
    """
    import torch

    from benchmark.training.loop import seed_everything

    spec = RunSpec(model, study.list_datasets()[0], **study.timing_settings)
    create, images, labels = study.timing_sample(spec, batch_size)
    seed_everything(1)
    ways = computations()
    for name, work in _work(create(), images, labels, device).items():
        times: dict[str, list[float]] = {way: [] for way in ways}
        peaks: dict[str, float] = {}
        for way, context in ways.items():
            with context():
                work()
                peaks[way] = _peak(work, device)
        for _ in range(repeats):
            for way, context in ways.items():
                with context():
                    times[way].append(_milliseconds(work, device))
        plain, fast = (Sample(tuple(times[way]), peaks[way]) for way in ways)
        yield {
            "model": model,
            "pass": name,
            "device": device.type,
            "batch_size": batch_size,
            "threads": torch.get_num_threads(),
            "repeats": repeats,
            **_columns("plain", plain),
            **_columns("fast", fast),
            "ratio": round(plain.median / fast.median, 2),
            "plain_peak_mib": plain.peak_mib,
            "fast_peak_mib": fast.peak_mib,
            **circumstances(device),
        }


def computations() -> dict[str, Callable[[], AbstractContextManager[None]]]:
    """The two ways to compute, by name, as contexts."""
    from siconvnet import functional

    return {"plain": functional.plain_math, "fast": contextlib.nullcontext}


def circumstances(device: torch.device) -> dict[str, str]:
    """What a table says of the machine and the versions."""
    import torch

    from benchmark.system import environment

    return {
        "machine": environment.describe(device)["device_name"],
        "torch": torch.__version__,
        "siconvnet": environment.versions()["siconvnet"],
        "commit": (environment.git_state() or {}).get("commit", ""),
    }


def markdown(table: pd.DataFrame) -> str:
    """The speed table for a document: one row a model, training step and inference side by side."""
    lines = [
        "| model | plain step, ms | fast step, ms | ratio | plain inference, ms | fast inference, ms | ratio "
        "| plain MiB | fast MiB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for model, rows in table.groupby("model", sort=False):
        step, forward = (rows[rows["pass"] == name].iloc[0] for name in PASSES)
        times = [
            f"{row['plain_ms_median']:,.0f} | {row['fast_ms_median']:,.0f} | **{row['ratio']:.1f}**"
            for row in (step, forward)
        ]
        memory = f"{step['plain_peak_mib']:,.0f} | {step['fast_peak_mib']:,.0f}"
        lines.append(f"| {model} | {times[0]} | {times[1]} | {memory} |")
    return "\n".join(lines) + "\n"


def _columns(way: str, sample: Sample) -> dict[str, float]:
    values = {"median": sample.median, "min": min(sample.milliseconds), "max": max(sample.milliseconds)}
    return {f"{way}_ms_{part}": round(value, 2) for part, value in values.items()}


def _work(net: nn.Module, images: Tensor, labels: Tensor, device: torch.device) -> dict[str, Callable[[], None]]:
    import torch
    import torch.nn.functional as F

    net, images, labels = net.to(device), images.to(device), labels.to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()

    def forward() -> None:
        with torch.no_grad():
            net(images)

    return dict(zip(PASSES, (step, forward), strict=True))


def _milliseconds(work: Callable[[], None], device: torch.device) -> float:
    import torch

    if device.type == "cuda":
        torch.cuda.set_device(device)  # events are of the current device
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end)
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


def _peak(work: Callable[[], None], device: torch.device) -> float:
    """MiB of tensors that `work` held at most, beyond what was held when it began."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return round((torch.cuda.max_memory_allocated(device) - before) / 2**20, 1)
    # What the system sees of a process does not tell: the allocator keeps what was freed. The profiler sees tensors.
    with _muted(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        work()
    changes = [event for event in watched.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    held = itertools.accumulate(event.nbytes() for event in changes)
    return round(max(held, default=0) / 2**20, 1)


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Keep the profiler's own messages, which its compiled part writes to descriptor 2, off the terminal."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
