"""Solved bases on disk, so that a sweep solves each once.

However many processes solve the same basis at once, its file is whole or absent. A file that cannot be read is solved
anew; a folder that cannot be written costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from siconvnet.whole_files import replacing


def cached(key: Mapping[str, object], shape: tuple[int, ...], solve: Callable[[], Tensor]) -> Tensor:
    """The basis stored under `key`, or else the solved one, which is then stored.

    Args:
        key: everything that the numbers depend on, the algorithm's version included; JSON values.
        shape: the shape that the basis must have.
        solve: computes it, float64.
    """
    path = cache_path(key)
    stored = _read(path, key, shape)
    if stored is not None:
        return stored
    basis = solve()
    _write(path, key, basis)
    return basis


def cache_path(key: Mapping[str, object]) -> Path:
    """Where the basis of `key` is kept: in `SICONVNET_DATA`, or else the user's cache folder."""
    from siconvnet.datasets import data_dir

    digest = hashlib.sha256(_text(key).encode()).hexdigest()[:16]
    return data_dir() / "bases" / f"{digest}.npz"


def _text(key: Mapping[str, object]) -> str:
    return json.dumps(key, sort_keys=True)


def _read(path: Path, key: Mapping[str, object], shape: tuple[int, ...]) -> Tensor | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            stored_key, basis = str(file["key"]), file["basis"]
    except Exception:  # what a damaged file raises depends on where it is damaged
        return None
    if stored_key != _text(key) or basis.shape != shape or basis.dtype != np.float64 or not np.isfinite(basis).all():
        return None
    return torch.from_numpy(basis)


def _write(path: Path, key: Mapping[str, object], basis: Tensor) -> None:
    with contextlib.suppress(OSError), replacing(path) as file:
        np.savez_compressed(file, key=_text(key), basis=basis.numpy())
