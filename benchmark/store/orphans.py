"""Runs that the store takes for running although nobody runs them any more."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from benchmark.store.run_states import RunState
from benchmark.system.environment import process_exists, process_space, process_start

if TYPE_CHECKING:
    from benchmark.store import Store

#: The PID namespace of a machine itself, which has the same number on all (PROC_PID_INIT_INO of the kernel).
_OUTSIDE = "pid:[4026531836]"


def orphans(runs: Iterable[RunState]) -> list[RunState]:
    """The RUNNING runs of this machine whose process is gone.

    Of processes on other machines, or in other containers on this one, nothing can be said.
    """
    host, space = socket.gethostname(), process_space()
    return [run for run in runs if run.status == "RUNNING" and run.host == host and _is_gone(run, space)]


def _is_gone(run: RunState, here: str) -> bool:
    if run.process_space in ("", here):  # earlier versions do not say it
        return not _alive(run)
    machine, boot, namespace = here.split("/") if here else ("", "", "")
    theirs = run.process_space.split("/")
    # A container may have taken over the name of another one, but a machine that has booted since ended all it had.
    outside = namespace == theirs[-1] == _OUTSIDE
    return bool(machine) and machine == theirs[0] and outside and boot != theirs[1]


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
    import psutil

    if not run.pid.isdigit() or not process_exists(int(run.pid)):
        return False
    # A number that was given out again belongs to another process.
    if run.process_start:
        return process_start(int(run.pid)) in ("", run.process_start)
    try:
        # Runs of earlier versions do not say which it was; about then it must have been started.
        return psutil.Process(int(run.pid)).create_time() < run.start + 5
    except psutil.Error:
        return True
