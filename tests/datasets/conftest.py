"""Small STIR files, right and wrong in one point."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def arrays_of(num_channels: int = 1) -> dict[str, Any]:
    """A STIR file of two classes with two instances each, with random pixels."""
    rng = np.random.default_rng(0)
    grid = (3, 48, 2, 2)
    shape = (*grid, 64, 64) if num_channels == 1 else (*grid, 64, 64, num_channels)
    scales = np.broadcast_to(np.arange(64, 16, -1).reshape(1, -1, 1, 1), grid)
    return {
        "imgs": rng.integers(0, 256, shape, np.uint8),
        "lbls": np.broadcast_to(np.arange(2).reshape(1, 1, -1, 1), grid),
        "scls": scales,
        "psts": rng.integers(0, 65 - scales[..., None], (*grid, 2)),
        "metadata": np.array([["title", "toy"], *[[key, ""] for key in "abcde"]]),
        "lbldata": np.array(["one", "two"]),
    }


@pytest.fixture
def stir_file(tmp_path: Path) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """Writes a small file and returns it with its arrays; `change` makes other arrays of them first."""

    def make(num_channels: int = 1, change: Callable[[dict[str, Any]], dict[str, Any]] = dict, name: str = "toy"):
        arrays = change(arrays_of(num_channels))
        path = tmp_path / f"{name}.npz"
        np.savez(path, **arrays)
        return path, arrays

    return make
