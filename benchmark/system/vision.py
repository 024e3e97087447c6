"""torchvision, also where its compiled operators cannot be loaded.

A wheel of torchvision built for another variant of torch (say CUDA's beside a CPU-only torch) cannot load them, and
then fails on import because the operators that it wants to describe were never declared. Datasets and transforms use
none of them, so their bare declarations are enough.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType
from typing import Any

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[Any] = []  # a declaration is withdrawn when its library object is collected


def vision_module(name: str) -> ModuleType:
    """Import ``torchvision.NAME`` ("datasets", "transforms").

    Raises:
        ImportError: torchvision is not installed, or has no such module.
    """
    _load()
    return importlib.import_module(f"torchvision.{name}")


@functools.cache
def _load() -> None:
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise
        _declare()
        # What the failed import left would be taken for whole.
        for left in [module for module in sys.modules if module.partition(".")[0] == "torchvision"]:
            del sys.modules[left]
        importlib.import_module("torchvision")


def _declare() -> None:
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    _declared.append(library)
