"""Worker processes on this machine: threads divided among them, GPUs dealt round.

A worker stays for many runs, so that PyTorch is loaded once. One that dies takes one run with it, no more; the
next run gets a new worker in its place. Workers whose driver is gone stop after their epoch and leave a checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmark.spec import RunSpec
from benchmark.sweeps.executors.base import DIED, Executor, Outcome, Progress, Settings
from benchmark.system.environment import cpu_count, process_exists

#: What PyTorch and the libraries under it read when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class ProcessesExecutor(Executor):
    """`workers` processes, made when they are first needed.

    Args:
        gpus: how many CUDA devices to deal out; 0 leaves the device of the settings as it is.
    """

    def __init__(self, settings: Settings, notify: Callable[[Progress], None], *, workers: int, gpus: int = 0):
        super().__init__(settings, notify)
        self.slots = workers
        threads = settings.threads or max(1, cpu_count() // workers)
        self.name = f"{workers} {'process' if workers == 1 else 'processes'}, threads each: {threads}"
        self._workers = [
            _Worker(
                number,
                dataclasses.replace(
                    settings, threads=threads, device=f"cuda:{number % gpus}" if gpus else settings.device
                ),
            )
            for number in range(workers)
        ]

    def submit(self, spec: RunSpec) -> None:
        next(worker for worker in self._workers if worker.spec is None).start(spec)

    def wait(self, seconds: float) -> list[Outcome]:
        busy = [worker for worker in self._workers if worker.spec is not None]
        if not busy:
            return []
        waited = {worker.connection: worker for worker in busy} | {worker.process.sentinel: worker for worker in busy}
        ready = wait(list(waited), seconds)
        outcomes = []
        for worker in dict.fromkeys(waited[one] for one in ready):  # type: ignore[index]
            for message in worker.messages():
                if isinstance(message, Progress):
                    self.notify(dataclasses.replace(message, worker=worker.name))
                else:
                    outcomes.append(message)
        return outcomes

    def close(self) -> None:
        for worker in self._workers:
            worker.end()


class _Worker:
    """One process, its pipe, and the run that it has in hand."""

    process: BaseProcess
    connection: Connection

    def __init__(self, number: int, settings: Settings):
        self.name = f"worker {number}"
        self.settings = settings
        self.log = settings.root / "logs" / f"worker-{os.getpid()}-{number}.log"
        self.spec: RunSpec | None = None
        self._alive = False

    def start(self, spec: RunSpec) -> None:
        if not self._alive or not self._lives():
            self._spawn()
        self.spec = spec
        # A worker that dies at this moment is found by `messages`.
        with contextlib.suppress(OSError):
            self.connection.send(spec)

    def messages(self) -> Iterator[Progress | Outcome]:
        """What has arrived; the last of a dead worker is that it died."""
        while self.spec is not None:
            try:
                if not self.connection.poll():
                    if self._lives():
                        return
                    if not self.connection.poll():
                        raise EOFError
                message = self.connection.recv()
            except (EOFError, OSError):
                yield self._died(self.spec)
                return
            if isinstance(message, Outcome):
                self.spec = None
            yield message

    def _lives(self) -> bool:
        """Whether the process is there; where others collect its exit code that alone does not tell."""
        return self.process.is_alive() and process_exists(self.process.pid or 0)

    def end(self) -> None:
        if self._alive:
            self.process.kill()
            self.process.join()
            self.connection.close()
            self._alive = False
        with contextlib.suppress(OSError):
            self.log.unlink(missing_ok=True)

    def _spawn(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = (theirs, self.settings, self.log)
        self.process = context.Process(target=_serve, args=arguments, name=self.name, daemon=True)
        with _environment({name: str(self.settings.threads) for name in _THREADS}):
            self.process.start()
        # Only the worker holds its end then, so that its death ends the pipe.
        theirs.close()
        self._alive = True

    def _died(self, spec: RunSpec) -> Outcome:
        from benchmark.sweeps.executors.worker import last_lines

        self.process.join(5)
        code = self.process.exitcode
        self.connection.close()
        self.spec, self._alive = None, False
        how = f"of signal {-code}" if code and code < 0 else f"with exit code {code}"
        return Outcome(spec, DIED, f"the worker died {how}", last_lines(self.log), host=socket.gethostname())


def _serve(connection: Connection, settings: Settings, log: Path) -> None:
    """The life of a worker."""
    from benchmark.sweeps.executors.worker import print_into, work

    # Ctrl-C reaches all processes of a terminal; the driver alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        print_into(log)

    def report(progress: Progress) -> None:
        try:
            connection.send(progress)
        except OSError:
            raise KeyboardInterrupt from None  # the driver is gone

    while True:
        try:
            spec = connection.recv()
        except (EOFError, OSError):
            log.unlink(missing_ok=True)
            return
        with contextlib.suppress(OSError):
            os.truncate(log, 0)
        outcome = work(spec, settings, report)
        try:
            connection.send(outcome)
        except OSError:
            log.unlink(missing_ok=True)
            return


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
