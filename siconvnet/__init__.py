"""Scale-equivariant convolutional networks: layers, models, data sets and metrics.

    >>> import siconvnet
    >>> siconvnet.list_models("*pool")
    ['pixel_pool', 'slice_pool', 'energy_pool']
    >>> net = siconvnet.create_model("pixel_pool", num_channels=1, num_classes=36)

Names are resolved when they are first used, so that importing this package loads nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siconvnet.models import ModelInfo, create_model, list_models, model_info, register_model

__all__ = ["ModelInfo", "create_model", "list_models", "model_info", "register_model"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(importlib.import_module("siconvnet.models"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
