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
    from siconvnet import augmentation as augmentation
    from siconvnet import bases as bases
    from siconvnet import datasets as datasets
    from siconvnet import functional as functional
    from siconvnet import layers as layers
    from siconvnet import metrics as metrics
    from siconvnet import models as models
    from siconvnet import testing as testing
    from siconvnet.models import ModelInfo, create_model, list_models, model_info, register_model

__all__ = ["ModelInfo", "create_model", "list_models", "model_info", "register_model"]

__version__ = "0.1.0"


_SUBMODULES = ("augmentation", "bases", "datasets", "functional", "layers", "metrics", "models", "testing")


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(importlib.import_module("siconvnet.models"), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"siconvnet.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    dunder = [name for name in globals() if name.startswith("__")]
    return sorted([*__all__, *_SUBMODULES, *dunder])
