"""Runs that the store takes for running although nobody runs them any more."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.store.run_states import RunState
from benchmark.system.environment import process_start

if TYPE_CHECKING:
    from benchmark.store import Store


def orphans(runs: Iterable[RunState]) -> list[RunState]:
    """The RUNNING runs of this machine whose process is gone. Of other machines nothing can be said."""
    here = socket.gethostname()
    return [run for run in runs if run.status == "RUNNING" and run.host == here and not _alive(run)]


def repair(store: Store, runs: Iterable[RunState]) -> Iterator[RunState]:
    """Mark the orphans KILLED, and yield each.

    Raises:
        TrackingError: the store fails.
    """
    for run in orphans(runs):
        # Its process may have brought it to an end since the store was read; being gone, it will not do so any more.
        if store.client.get_run(run.run_id).info.status == "RUNNING":
            store.kill(run.run_id, "its process is gone")
            yield run


def _alive(run: RunState) -> bool:
    if not run.pid.isdigit():
        return False
    try:
        os.kill(int(run.pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    # A number that was given out again belongs to another process.
    if run.process_start:
        return process_start(int(run.pid)) in ("", run.process_start)
    try:
        # Runs of earlier versions do not say which it was; about then the kernel must have heard of it.
        return Path(f"/proc/{run.pid}").stat().st_ctime < run.start + 5
    except OSError:
        return True
