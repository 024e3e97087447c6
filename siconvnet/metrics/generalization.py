"""Accuracy at each object size, and how steady an object's class is over its sizes (STIR paper, section 5.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from siconvnet.errors import InvalidArgument
from siconvnet.evaluation_mode import as_input, evaluation_mode

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[np.generic]


def predict(model: nn.Module, images: NDArray[np.float32], batch_size: int = 16) -> NDArray[np.int64]:
    """The class that `model` gives each image, ``[N, C, H, W] -> [N]``; the model's modes, device
    and precision are its own."""
    import torch

    with torch.inference_mode(), evaluation_mode(model):
        found = [
            model(as_input(model, torch.from_numpy(images[first : first + batch_size]))).argmax(dim=1).cpu()
            for first in range(0, len(images), batch_size)
        ]
    return torch.cat(found).numpy()


def accuracy_by_scale(predicted: Array, labels: Array, scales: Array) -> dict[int, float]:
    """Percent of right classes at each object size there is, by ascending size. All arguments are ``[N]``."""
    right = predicted == labels
    return {int(scale): float(100 * right[scales == scale].mean()) for scale in np.unique(scales)}


def scale_consistency(predicted: Array, scales: Array) -> float:
    """Share of objects that get one class at all their sizes, right or wrong.

    Args:
        predicted: ``[N]``, class of each image, the objects in the same order at every size.
        scales: ``[N]``, side of the object in pixels.

    Raises:
        InvalidArgument: not every size has equally many images.
    """
    table = by_scale(predicted, scales)
    return float((table == table[0]).all(axis=0).mean())


def by_scale(values: Array, scales: Array) -> Array:
    """``[N, ...] -> [S, objects, ...]``: the images of each size in their order, sizes ascending.

    Raises:
        InvalidArgument: not every size has equally many images.
    """
    sizes, counts = np.unique(scales, return_counts=True)
    if len(set(counts.tolist())) != 1:
        raise InvalidArgument("every scale must have the same objects, in the same order; counts differ.")
    order = np.argsort(scales, kind="stable")
    return values[order].reshape(len(sizes), counts[0], *values.shape[1:])
