"""Equivariance error of feature maps: one object at two sizes, its maps brought to one size and compared.

Over the six pairs of sizes of the STIR paper (section 5.2): the map of a stage is cropped to the object, the crop of
the second size is resized bicubically to the side of the first, and the error is ||ref - other||² / ||ref||².

A map with a scale axis ``[B, C, S, H', W']`` is measured after the maximum over that axis. As an object grows its
responses move along the axis, beyond its end too, so that comparing scale by scale would count that as an error; the
maximum stays, and is what the steerable networks pass on (SESN, arXiv 1910.11093, section 3: the projection to a
scalar map; and the global maximum in front of the last layer).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from siconvnet.evaluation_mode import as_input, evaluation_mode
from siconvnet.metrics import NotMeasurable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from siconvnet.datasets import StirDataset

PAIRS = ((64, 49), (49, 64), (48, 33), (33, 48), (32, 17), (17, 32))
"""(reference, other): sides of the object in pixels."""
PUBLISHED_PAIRS = {1: (2, 3, 4, 5), 2: (0, 1, 4, 5), 3: (0, 1, 2, 3), 4: (0, 1, 2, 3, 4, 5)}
"""Scenario -> the pairs that the published figures average. Meant are those outside the training range, but the ones
of scenarios 1 and 3 are exchanged: they hold the trained pair and leave out the farthest. See `pairs_outside`."""
CANVAS = 64


def equivariance_errors(
    model: nn.Module,
    dataset: StirDataset,
    stages: Sequence[str],
    *,
    published_input_range: bool = False,
    batch_size: int = 16,
    on_step: Callable[[int, int], None] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """The error of every object of the test split at every pair, for each stage.

    Args:
        model: maps images ``[B, C, 64, 64]`` to anything; its modes, device and precision are its own.
        stages: submodules whose outputs are maps ``[B, C', H', W']`` or, with a scale axis, ``[B, C', S, H', W']`` in
            image coordinates.
        published_input_range: feed 0..255, as the published code does, where training has 0..1.
        batch_size: objects at a time.
        on_step: called after each batch with how many are done and how many there are.

    Returns:
        stage -> ``[classes, instances, 6]`` in the order of `PAIRS`; NaN where the reference is all zero, and for
        pairs with an object of which the map is too small to hold anything.

    Raises:
        NotMeasurable: no stages, or maps of another shape.
    """
    import torch

    if not stages:
        raise NotMeasurable("no stage of this model gives one map in image coordinates")
    factor = 255.0 if published_input_range else 1.0
    shape = dataset.num_classes, dataset.num_instances
    objects = shape[0] * shape[1]
    errors = {stage: np.empty((objects, len(PAIRS))) for stage in stages}
    steps, total = itertools.count(1), math.ceil(objects / batch_size) * (len(PAIRS) // 2)
    with torch.inference_mode(), evaluation_mode(model):
        for pair in range(0, len(PAIRS), 2):
            large, small = PAIRS[pair]
            subsets = [dataset.select("test", [scale]) for scale in (large, small)]
            for first in range(0, objects, batch_size):
                rows = slice(first, first + batch_size)
                maps = [
                    _stage_maps(model, as_input(model, torch.from_numpy(subset.images[rows])) * factor, stages)
                    for subset in subsets
                ]
                positions = [subset.positions[rows] for subset in subsets]
                for stage in stages:
                    one, two = (without_scales(found[stage]) for found in maps)
                    errors[stage][rows, pair : pair + 2] = _pair_errors(one, two, positions, (large, small))
                if on_step:
                    on_step(next(steps), total)
    return {stage: values.reshape(*shape, len(PAIRS)) for stage, values in errors.items()}


def relative_error(reference: Tensor, other: Tensor) -> Tensor:
    """||ref - resized other||² / ||ref||² of each item, ``[B, C, h, w], [B, C, h', w'] -> [B]``; NaN for a zero ref."""
    import torch
    from torch.nn import functional

    resized = functional.interpolate(other, size=reference.shape[-2:], mode="bicubic", align_corners=False)
    norm = reference.square().sum(dim=(1, 2, 3))
    error = (reference - resized).square().sum(dim=(1, 2, 3)) / norm
    return torch.where(norm > 0, error, torch.nan)


def without_scales(maps: Tensor) -> Tensor:
    """The maximum over the scale axis of maps that have one: ``[B, C, S, H, W] -> [B, C, H, W]``."""
    return maps.amax(2) if maps.dim() == 5 else maps


def crop(maps: Tensor, positions: NDArray[np.int64], height: int, width: int) -> Tensor:
    """A part of each map, ``[B, C, H', W'] -> [B, C, height, width]``.

    Args:
        positions: ``[B, 2]``, left and top end of the part.
    """
    import torch

    left, top = torch.from_numpy(positions).to(maps.device).unbind(dim=1)
    rows = top[:, None] + torch.arange(height, device=maps.device)
    columns = left[:, None] + torch.arange(width, device=maps.device)
    items = torch.arange(len(maps), device=maps.device)
    # Advanced indices on both sides of a slice go to the front: [B, height, width, C].
    return maps[items[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def common_sides(positions: Sequence[NDArray[np.int64]], scales: tuple[int, int], map_side: int) -> NDArray[np.int64]:
    """How many pixels of each object's map are compared, ``[B, 2, 2]``: at both sizes, along width and height.

    A map of side H' is that of an unpadded computation: the object's box begins at the same place and its side is
    scale - (64 - H'). The square box of an oblong object may leave the canvas, though the object does not. Then the
    share of it that both maps hold is compared: all of the object, in one proportion to it at both sizes.

    Args:
        positions: of both sizes ``[B, 2]``, left and top distance of the object's box in pixels of the image.
        scales: both sizes in pixels.
    """
    sides = np.maximum(np.array(scales) - (CANVAS - map_side), 0)[:, None]
    held = np.clip(map_side - np.stack(positions, axis=1), 0, sides)
    share = (held / np.maximum(sides, 1)).min(axis=1, keepdims=True)
    return np.rint(share * sides).astype(np.int64)


def pairs_outside(train_scales: Collection[int]) -> list[int]:
    """Which of `PAIRS` lie outside the training range; all of them if none does (nothing was unseen)."""
    outside = [place for place, pair in enumerate(PAIRS) if not set(pair) & set(train_scales)]
    return outside or list(range(len(PAIRS)))


def _pair_errors(
    one: Tensor, two: Tensor, positions: Sequence[NDArray[np.int64]], scales: tuple[int, int]
) -> NDArray[np.float64]:
    """The error of each object with either size as the reference, ``[B, 2]``."""
    errors = np.full((len(one), 2), np.nan)
    sides = common_sides(positions, scales, one.shape[-1])
    # Squares, which most objects are, share one shape.
    for shape in np.unique(sides, axis=0):
        if shape.min() == 0:
            continue
        items = np.flatnonzero((sides == shape).all(axis=(1, 2)))
        (width_one, height_one), (width_two, height_two) = shape.tolist()
        ref = crop(one[items], positions[0][items], height_one, width_one)
        other = crop(two[items], positions[1][items], height_two, width_two)
        for place, pair in enumerate(((ref, other), (other, ref))):
            errors[items, place] = relative_error(*pair).double().cpu().numpy()
    return errors


def _stage_maps(model: nn.Module, images: Tensor, stages: Sequence[str]) -> dict[str, Tensor]:
    from siconvnet.metrics.hooks import captured

    with captured(model, stages) as maps:
        model(images)
    for stage in stages:
        if stage not in maps or maps[stage].dim() not in (4, 5) or maps[stage].shape[-1] != maps[stage].shape[-2]:
            shape = tuple(maps[stage].shape) if stage in maps else "nothing"
            raise NotMeasurable(f"stage {stage!r} gives {shape}, not square maps for each channel")
    return maps
