"""Which of two computations of the same numbers runs, and in which precision."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

from siconvnet.functional.torch_state import is_recording, is_transforming, may_compile

Function = TypeVar("Function", bound=Callable[..., Any])


class _Wish(threading.local):
    # Not a `ContextVar`: `torch.compile` cannot read one, and notices a change of an attribute.
    plain = False


_wish = _Wish()


@contextmanager
def plain_math() -> Iterator[None]:
    """Inside this context every layer computes as its paper states, without fast paths.

    For measuring what the fast paths save and for testing them; the numbers are the same up to rounding. It holds for
    the thread that enters it. `torch.compile` makes one graph of a network inside it, without a break.
    """
    before, _wish.plain = _wish.plain, True
    try:
        yield
    finally:
        _wish.plain = before


def plain_requested() -> bool:
    """Whether to take the plain way: inside `plain_math`; while a network is recorded by `torch.export`, `torch.onnx`
    or `torch.jit.trace`; inside the transforms of `torch.func` and the levels of forward-mode differentiation. All of
    these see through ordinary operations only."""
    return _wish.plain or is_recording() or is_transforming()


def outside_graphs(function: Function) -> Function:
    """Keep `torch.compile` out of a fast path, which costs one graph break and changes nothing else.

    What a fast path computes depends on what its tensors hold, which no graph can express. Where the plain way is
    requested `function` has to take it, and is compiled with everything around it.
    """

    kept_out: list[Callable[..., Any]] = []

    @wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        if may_compile() and not plain_requested():
            if not kept_out:
                kept_out.append(torch.compiler.disable(function))
            return kept_out[0](*arguments, **named)
        return function(*arguments, **named)

    return run  # type: ignore[return-value]


def autocasts(device: torch.device) -> bool:
    """Whether autocast is on for tensors on `device`."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def keeps_precision(x: Tensor) -> bool:
    """Whether the plain way computes in the precision of the fast one, which has at least single precision."""
    return x.dtype in (torch.float32, torch.float64) and not autocasts(x.device)


def autocast_to(*tensors: Tensor | None) -> list[Tensor | None]:
    """The tensors in the dtype that autocast would give a convolution; as they are where it is off."""
    device = next(t.device for t in tensors if t is not None)
    if not autocasts(device):
        return list(tensors)
    dtype = torch.get_autocast_dtype(device.type)
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
