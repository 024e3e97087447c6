"""Which of two computations of the same numbers runs, and in which precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

_plain: ContextVar[bool] = ContextVar("siconvnet_plain_math", default=False)


@contextmanager
def plain_math() -> Iterator[None]:
    """Inside this context every layer computes as its paper states, without fast paths.

    For measuring what the fast paths save and for testing them; the numbers are the same up to rounding. It holds for
    the thread that enters it.
    """
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def plain_requested() -> bool:
    """Whether to take the plain way: inside `plain_math`, and inside the transforms of `torch.func` and the levels of
    forward-mode differentiation, which see through ordinary operations only."""
    return _plain.get() or torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def autocast_to(*tensors: Tensor | None) -> list[Tensor | None]:
    """The tensors in the dtype that autocast would give a convolution; as they are where it is off."""
    device = next(t.device.type for t in tensors if t is not None)
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return list(tensors)
    dtype = torch.get_autocast_dtype(device)
    return [t if t is None or t.dtype == torch.float64 else t.to(dtype) for t in tensors]


def single_precision(*tensors: Tensor | None) -> list[Tensor | None]:
    """Half-precision tensors as float32: transforms need the digits, and complex half is not to be had."""
    return [None if tensor is None else at_least_single(tensor) for tensor in tensors]


def at_least_single(tensor: Tensor) -> Tensor:
    """A half-precision tensor as float32, another as it is."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def without_autocast(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run an `autograd.Function` method in the precision of what it is given, also under autocast."""

    @wraps(function)
    def run(ctx: Any, first: Tensor | None, *rest: Any) -> Any:
        if first is None:  # a gradient that is not defined, where the method asks not to be given zeros instead
            return function(ctx, first, *rest)
        device = first.device.type
        with torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext():
            return function(ctx, first, *rest)

    return run
