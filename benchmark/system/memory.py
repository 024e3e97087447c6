"""Telling that memory ran out from what else may go wrong."""

from __future__ import annotations

_SIGNS = ("out of memory", "outofmemory", "memoryerror", "can't allocate memory", "unable to allocate")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, of the machine or of a GPU.

    By its text: what PyTorch raises on a CPU is a plain `RuntimeError`, and whoever wraps such an error names it.
    """
    text = f"{type(error).__name__}: {error}".lower()
    return any(sign in text for sign in _SIGNS)
