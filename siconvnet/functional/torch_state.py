"""What torch is doing while a function runs: recording it, transforming it, or computing.

Much of this has no public name in torch. All of it that the library asks for is asked for here, and where a version of
torch lacks one of these names the answer is that of a torch without the feature.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

# Before torch 2.7 export and compilation could not be told apart.
_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
_is_tracing: Callable[[], bool] = torch.jit.is_tracing  # type: ignore[attr-defined]
_tracing_state: Callable[[], Any] = getattr(torch._C, "_get_tracing_state", lambda: None)
_set_tracing_state: Callable[[Any], None] = getattr(torch._C, "_set_tracing_state", lambda state: None)
_transforms_active: Callable[[], bool] = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)
_num_dispatch_modes: Callable[[], int] = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 0)


def is_recording() -> bool:
    """Whether operations are written down to run elsewhere, by `torch.export`, `torch.onnx` or `torch.jit.trace`."""
    return _is_exporting() or _is_tracing()


def is_transforming() -> bool:
    """Whether a transform of `torch.func` or a level of forward-mode differentiation is active."""
    return _transforms_active() or getattr(forward_ad, "_current_level", -1) >= 0


def is_intercepting() -> bool:
    """Whether a dispatch mode, such as one of fake tensors, sees every operation."""
    return _num_dispatch_modes() > 0


def numbers_of(tensor: Tensor) -> tuple[float, ...] | None:
    """What a vector holds, or None where nobody can know: while a model is exported or compiled, and inside `vmap`."""
    if torch.compiler.is_compiling():
        return None
    try:
        with not_recorded():
            return tuple(tensor.tolist())
    except RuntimeError:
        if is_transforming():
            return None
        raise


@contextmanager
def not_recorded() -> Iterator[None]:
    """Inside this context operations compute with real tensors, though they run while a model is recorded."""
    with ExitStack() as stack:
        if is_recording():
            stack.enter_context(_without_modes())
        if _is_tracing():
            stack.callback(_set_tracing_state, _tracing_state())
            _set_tracing_state(None)
        yield


def _without_modes() -> AbstractContextManager[Any]:
    from torch.utils import _python_dispatch

    disable: Callable[[], AbstractContextManager[Any]] = getattr(
        _python_dispatch, "_disable_current_modes", nullcontext
    )
    return disable()


def may_compile() -> bool:
    """Whether anything can be compiled by now; importing the compiler takes seconds, and nobody should do it to ask."""
    return "torch._dynamo" in sys.modules
