"""Ctrl-C and SIGTERM must not fall into the middle of a database transaction."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off the first Ctrl-C (or SIGTERM, where it has a handler) until the block is done.

    A second one goes through at once, so that a store that hangs cannot hold anyone. May be nested. Outside
    of the main thread, where signals never arrive, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    handlers = {
        number: handler for number in (signal.SIGINT, signal.SIGTERM) if callable(handler := signal.getsignal(number))
    }

    def remember(number: int, frame: FrameType | None) -> None:
        if pending:
            handlers[signal.Signals(number)](number, frame)
        pending.append(number)

    try:
        for number in handlers:
            signal.signal(number, remember)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if pending:
            handlers[signal.Signals(pending[0])](pending[0], None)
