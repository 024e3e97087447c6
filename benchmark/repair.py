"""Runs that the store takes for running although nobody runs them any more."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.states import RunState

if TYPE_CHECKING:
    from benchmark.tracking import Store


def orphans(runs: Iterable[RunState]) -> list[RunState]:
    """The RUNNING runs of this machine whose process is gone. Of other machines nothing can be said."""
    here = socket.gethostname()
    return [run for run in runs if run.status == "RUNNING" and run.host == here and not _alive(run)]


def repair(store: Store, runs: Iterable[RunState]) -> Iterator[RunState]:
    """Mark the orphans KILLED, and yield each.

    Raises:
        TrackingError: the store fails.
    """
    found = orphans(runs)
    if found:
        # A record is RUNNING for the moment in which another process logs it; that moment passes.
        time.sleep(1.0)
    for run in found:
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
    try:
        # A number that was given out again belongs to a younger process.
        return Path(f"/proc/{run.pid}").stat().st_ctime < run.start + 5
    except OSError:
        return True
