"""Which kernel size wins a scale pooling, and whether it follows the object's size (STIR paper, section 5.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from siconvnet.evaluation_mode import as_input, evaluation_mode
from siconvnet.metrics import NotMeasurable
from siconvnet.metrics.generalization import by_scale

if TYPE_CHECKING:
    from torch import nn

Indices = NDArray[np.uint8]


def scale_indices(
    model: nn.Module, images: NDArray[np.float32], pools: Sequence[str], batch_size: int = 16
) -> Iterator[dict[str, Indices]]:
    """The winning scale of every pooling, batch by batch: pixel maps of a whole split do not fit into memory.

    Args:
        model: its modes, device and precision are its own.
        images: ``[N, C, 64, 64]``.
        pools: submodules with a method `scale_indices(x)` of their own input.

    Yields:
        pool -> uint8 ``[B, C']``, or ``[B, C', H', W']`` where every pixel has its own winner.

    Raises:
        NotMeasurable: the model pools no scales.
    """
    if not pools:
        raise NotMeasurable("this model has no pooling over scales")
    for first in range(0, len(images), batch_size):
        # Between two batches the caller's code runs, which must find the model and torch as they were.
        yield _batch_indices(model, images[first : first + batch_size], pools)


def per_channel(indices: Indices) -> NDArray[np.float64]:
    """The mean winner of each channel, ``[B, C] or [B, C, H, W] -> [B, C]``."""
    return indices.astype(np.float64) if indices.ndim == 2 else indices.mean(axis=(2, 3), dtype=np.float64)


def most_frequent(indices: Indices) -> Indices:
    """The winner at most pixels of each channel, ``[B, C] or [B, C, H, W] -> [B, C]``; the smaller of equals."""
    if indices.ndim == 2:
        return indices
    flat = indices.reshape(-1, indices.shape[2] * indices.shape[3])
    width = int(flat.max()) + 1
    keys = flat + np.arange(len(flat))[:, None] * width
    counts = np.bincount(keys.ravel(), minlength=len(flat) * width).reshape(len(flat), width)
    return counts.argmax(axis=1).astype(np.uint8).reshape(indices.shape[:2])


def pearson_r(values: NDArray[np.float64], scales: NDArray[np.int64]) -> NDArray[np.float64]:
    """Correlation of the winner with the object's size, for each object and channel.

    Args:
        values: ``[N, C]``, index of the winner (`per_channel`). The kernel's size is linear in it: the same r.
        scales: ``[N]``, side of the object in pixels; the objects in the same order at every size.

    Returns:
        ``[objects, C]``; NaN where the winner never changes, which tells nothing.
    """
    table = by_scale(values, scales).astype(np.float64)
    sizes = np.unique(scales).astype(np.float64)
    centred, sizes = table - table.mean(axis=0), sizes - sizes.mean()
    norm = np.sqrt(np.square(centred).sum(axis=0) * np.square(sizes).sum())
    covariance = np.tensordot(sizes, centred, axes=1)
    return np.divide(covariance, norm, out=np.full(norm.shape, np.nan), where=norm > 1e-12)


def selection_consistency(winners: Indices, scales: NDArray[np.int64]) -> float:
    """Share of (object, channel) with one winner at all sizes of the object.

    Args:
        winners: ``[N, C]`` (`most_frequent`).
        scales: ``[N]``; the objects in the same order at every size.
    """
    table = by_scale(winners, scales)
    return float((table == table[0]).all(axis=0).mean())


def _batch_indices(model: nn.Module, images: NDArray[np.float32], pools: Sequence[str]) -> dict[str, Indices]:
    import torch

    from siconvnet.metrics.hooks import captured

    modules = dict(model.named_modules())
    with torch.inference_mode(), evaluation_mode(model), captured(model, pools, inputs=True) as seen:
        model(as_input(model, torch.from_numpy(images)))
        return {name: _small(modules[name], seen[name]) for name in pools}


def _small(module: nn.Module, given: object) -> Indices:
    found = module.scale_indices(given)  # type: ignore[operator]
    return found.cpu().numpy().astype(np.uint8)
