"""How long a training epoch takes, by the published route and by this package's, in one process and in turns.

Which routes these are is up to the study (`Study.epoch_ways`). Both train the same network on the same images,
shuffled, with Adam; the plain route computes with `siconvnet.functional.plain_math`. What is timed is a part of an
epoch, whole batches of it, and the epoch's time is as many times that as it has parts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from benchmark.spec import RunSpec

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from benchmark.studies import Study

PARTS = ("load", "forward", "backward")
"""Getting a batch; the forward pass with the loss; the backward pass with the step of Adam."""
WAYS = ("plain", "fast")


def measure(
    study: Study[Any],
    models: Iterable[str],
    device: torch.device,
    *,
    images: int,
    batches: int,
    batch_size: int,
    repeats: int,
) -> Iterator[dict[str, Any]]:
    """Time models of a study: a row for each, once it is done.

    Args:
        images: of an epoch.
        batches: how many are one measurement.
        repeats: measurements of each way, after one batch of each to warm up.

    Raises:
        DatasetError: the data are missing.
    """
    import torch

    from benchmark.timing.steps import circumstances, computations
    from benchmark.training.loop import seed_everything

    count = batches * batch_size
    contexts = computations()
    with study.epoch_ways(count, batch_size, device) as sources:
        for model in models:
            spec = RunSpec(model, study.list_datasets()[0], **study.timing_settings)
            create, _, _ = study.timing_sample(spec, batch_size)
            seed_everything(0)
            net = create().to(device).train()
            optimizer = torch.optim.Adam(net.parameters(), lr=study.protocol.lr)
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
                **_columns(found, batches, images / count),
                **circumstances(device),
            }


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


def said(first: pd.Series, images: int) -> str:
    """What was measured, in a sentence; `images` are those of an epoch."""
    return (
        f"{first['machine']}, {first['threads']} threads, torch {first['torch']}, batch {first['batch_size']}: medians "
        f"of {first['repeats']} measurements of each way in turn, {first['images']:,} images each, times "
        f"{images / first['images']:.1f} for the {images:,} of an epoch."
    )
