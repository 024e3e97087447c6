"""What the builders have in common: the random positions, and the arrays of a STIR file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from siconvnet.datasets.schema import CANVAS, SCALES, SPLITS


def draw_positions(num_classes: int, num_instances: int) -> npt.NDArray[np.int64]:
    """Left and top distance of every object: (3, 48, n, m, 2), uniform over all places inside the canvas.

    Drawn one by one in the published order, class, instance, scale, split, by the legacy generator of seed 42. As
    nothing else draws from it, all of them can be had before the first image.
    """
    generator = np.random.RandomState(42)
    positions = np.empty((len(SPLITS), len(SCALES), num_classes, num_instances, 2), np.int64)
    for c in range(num_classes):
        for i in range(num_instances):
            for row, scale in enumerate(SCALES):
                for split in range(len(SPLITS)):
                    positions[split, row, c, i] = generator.randint(0, CANVAS - scale + 1, 2)
    return positions


def stir_arrays(
    images: npt.NDArray[np.uint8],
    positions: npt.NDArray[np.int64],
    class_names: Sequence[str],
    metadata: dict[str, str],
) -> dict[str, npt.NDArray]:
    """The arrays of a STIR file.

    Args:
        images: (3, 48, n, m, 64, 64).
        positions: (3, 48, n, m, 2).
        class_names: n names.
        metadata: title, description, author, license, version, date.
    """
    return {
        "imgs": images,
        **stir_labels(images.shape[:4]),
        "psts": positions,
        "metadata": np.array(list(metadata.items())),
        "lbldata": np.array(class_names),
    }


def stir_labels(grid: tuple[int, ...]) -> dict[str, npt.NDArray]:
    """The arrays of classes and scales; they follow from the shape (3, 48, n, m) alone."""
    return {
        "lbls": np.broadcast_to(np.arange(grid[2]).reshape(1, 1, -1, 1), grid),
        "scls": np.broadcast_to(np.reshape(SCALES, (1, -1, 1, 1)), grid),
    }
