"""Tensors that follow from a handful of numbers, made once and kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

import torch

from siconvnet.functional import torch_state

F = TypeVar("F", bound=Callable[..., Any])

_CACHES: list[Any] = []


def cached_constant(function: F, kept: int = 1024) -> F:
    """Cache what `function` makes of its hashable arguments, the last `kept` of them: tensors that nobody may write to.

    They are made as ordinary CPU tensors (and moved by `function` itself), whatever mode the first caller is in: an
    inference tensor could not be used in training later. While a model is recorded, by `torch.export` or
    `torch.jit.trace`, they are made beside the record and enter it as numbers. Inside another dispatch mode, such as
    one of fake tensors, they are made by its rules and not kept. `torch.compile` sees how they are made.
    """

    def make(*arguments: Any) -> Any:
        with torch.inference_mode(False), torch.no_grad(), torch.device("cpu"):
            return function(*arguments)

    cached = lru_cache(maxsize=kept)(make)
    _CACHES.append(cached)

    signature = inspect.signature(function)

    @wraps(function)
    def get(*arguments: Any, **named: Any) -> Any:
        if named:
            arguments = signature.bind(*arguments, **named).args
        if torch.compiler.is_dynamo_compiling():
            return function(*arguments)
        if torch_state.is_recording():
            with torch_state.not_recorded():
                return cached(*arguments)
        return make(*arguments) if torch_state.is_intercepting() else cached(*arguments)

    return get  # type: ignore[return-value]


def clear_caches() -> None:
    """Give back the memory of all cached constants; they are made again when they are needed."""
    for cached in _CACHES:
        cached.cache_clear()
