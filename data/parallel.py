"""A pure function mapped over tasks by worker processes, in order, with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from benchmark.system.environment import cpu_count
from siconvnet.errors import DatasetError

Task = TypeVar("Task")
Result = TypeVar("Result")

CHUNK = 10


def default_jobs() -> int:
    """The processors this process may use, at most 16: beyond that, starting workers costs more than they do."""
    return min(cpu_count(), 16)


def ordered_map(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    title: str,
    unit: int | Sequence[int] | None,
) -> Generator[Result, None, None]:
    """Yield ``function(task)`` for each task in order.

    Args:
        function: pure, importable by name; runs in other processes if `jobs` > 1.
        tasks: its arguments.
        jobs: processes to use; 1 works in this one.
        title: of the progress bar, on stderr.
        unit: what one task counts in the progress bar, or each of them; None for no bar.

    Raises:
        DatasetError: a worker process died.
    """
    jobs = min(jobs, len(tasks))
    results = map(function, tasks) if jobs <= 1 else _spread(function, tasks, jobs)
    if unit is None:
        yield from results
    else:
        yield from _with_bar(results, [unit] * len(tasks) if isinstance(unit, int) else unit, title)


def _spread(function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int) -> Iterator[Result]:
    # Spawned, not forked: the caller may have threads and CUDA.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(jobs, context, initializer=_start_worker)
    try:
        with _deaf_to_interrupts():
            results = executor.map(function, tasks, chunksize=CHUNK)
        yield from results
    except BrokenProcessPool as error:
        raise DatasetError(
            "a worker process died: out of memory, or started by a script without `if __name__ == '__main__':`; "
            "work in one process instead: benchmark data build NAME --jobs 1"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back while workers are started, and for ever in those.

    It reaches every process of the terminal, and the parent alone should answer. Workers inherit what is blocked, so
    that they are deaf from their first instruction, long before `_start_worker`.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where signals cannot be blocked
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when its parent is killed; a pool's worker would wait for its next task for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _with_bar(results: Iterable[Result], units: Sequence[int], title: str) -> Iterator[Result]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=sum(units))
        for unit, result in zip(units, results, strict=True):
            bar.advance(task, unit)
            yield result
