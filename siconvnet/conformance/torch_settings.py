"""What of torch a model could change for everybody, and its restoring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def torch_settings() -> dict[str, Any]:
    """What of torch a model could change for everybody."""
    return {
        "default dtype": torch.get_default_dtype(),
        "gradient mode": torch.is_grad_enabled(),
        "number of threads": torch.get_num_threads(),
    }


@contextmanager
def torch_settings_restored() -> Iterator[None]:
    before = torch_settings()
    try:
        yield
    finally:
        torch.set_default_dtype(before["default dtype"])
        torch.set_grad_enabled(before["gradient mode"])
        if torch.get_num_threads() != before["number of threads"]:
            torch.set_num_threads(before["number of threads"])
