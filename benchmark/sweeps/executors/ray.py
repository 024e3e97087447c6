"""Runs as tasks of Ray: on this machine, or on a cluster that runs already."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import math
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmark.spec import RunSpec
from benchmark.sweeps.executors.base import (
    DIED,
    FAILED,
    HALTED,
    NO_ROOM,
    Executor,
    Outcome,
    Progress,
    Settings,
    default_workers,
)
from benchmark.sweeps.executors.parcel import unpack
from benchmark.sweeps.executors.ray_cluster import connect, first_sentence, room
from benchmark.sweeps.executors.ray_task import Home, Mailbox, job, log_of
from benchmark.sweeps.executors.worker import last_lines
from benchmark.system.environment import cpu_count
from benchmark.training.records import RecordError
from benchmark.training.work_folder import Workplace
from siconvnet.errors import InvalidArgument, SiconvnetError

#: How often Ray begins a run anew by itself whose worker or node is gone; it is Ray's own default.
RETRIES = 3
#: Seconds for tasks to leave a checkpoint at the end, and between two looks at the nodes.
GRACE, POLL = 10.0, 5.0


class RayExecutor(Executor):
    """Hands runs to Ray.

    Args:
        workers: the most runs at once; without it, as many as the nodes have room for, those included that come later.
        address: HOST:PORT of a cluster, or auto for the one that this machine is a node of; without it RAY_ADDRESS,
            or else Ray is started here and ended with the sweep.
        gpus: of a run, a part of one or whole ones; without it one where there are any.
        max_retries: how often Ray begins a run anew by itself whose worker or node is gone.

    Raises:
        SiconvnetError: Ray is missing, its cluster does not answer, or no node has room for a run.
        InvalidArgument: no address, or no number of GPUs.
    """

    def __init__(
        self,
        settings: Settings,
        notify: Callable[[Progress], None],
        *,
        workers: int | None = None,
        address: str | None = None,
        gpus: float | None = None,
        max_retries: int = RETRIES,
    ):
        if gpus and not (gpus <= 1 or (math.isfinite(gpus) and gpus == int(gpus))):
            raise InvalidArgument(f"--ray-gpus {gpus:g}: give a part of one GPU, such as 0.25, or whole ones.")
        address = address or os.environ.get("RAY_ADDRESS") or None
        self._running: dict[Any, RunSpec] = {}
        self._ray = connect(address, workers, settings.threads)
        threads = settings.threads or (max(1, cpu_count() // workers) if workers and not address else 1)
        self._threads, self._gpus = threads, self._share(settings.device) if gpus is None else gpus
        # Ray hides the GPUs from a task that asked for none, or not, as its version has it.
        device = settings.device if self._gpus else "cpu"
        super().__init__(dataclasses.replace(settings, threads=threads, device=device), notify)
        self._grows = workers is None
        self._looked = time.monotonic()
        self.slots = workers or self._room()
        if not address and not self._gpus:
            self.slots, self._grows = workers or min(self.slots, default_workers(0)), False
        if not self.slots or (not address and not self._room()):
            self.close()
            raise SiconvnetError(
                f"no node of Ray has {threads} processors and {self._gpus:g} GPUs, as one run asks for; "
                "change --threads or --ray-gpus, or say by --workers how many runs wait for nodes that come."
            )
        share = f", GPUs each: {self._gpus:g}" if self._gpus else ""
        where = address or "on this machine"
        self.name = f"Ray {where}, at most {self.slots} runs at once, threads each: {threads}{share}"
        self._home = Home.here(settings.root)
        self._retries = max_retries
        self._begun: set[str] = set()
        self._task = self._ray.remote(num_cpus=threads, num_gpus=self._gpus)(job)
        self._mail = self._mailbox()

    def submit(self, spec: RunSpec) -> None:
        # What the driver begins again has used up Ray's retries.
        retries = 0 if spec.hash in self._begun else self._retries
        self._begun.add(spec.hash)
        task = self._task.options(name=spec.name, max_retries=retries)
        self._running[task.remote(spec, self.settings, self._home, self._mail)] = spec

    def wait(self, seconds: float) -> list[Outcome]:
        if not self._running:
            return []
        ready, _ = self._ray.wait(list(self._running), timeout=seconds)
        if ready:
            ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        self._tell()
        if self._grows and time.monotonic() - self._looked >= POLL:
            self._looked = time.monotonic()
            self.slots = max(1, self._room())
        return [self._outcome(ref) for ref in ready]

    def close(self) -> None:
        """Ask tasks to leave a checkpoint, wait a little, and end what Ray runs for us."""
        running = list(self._running)
        with contextlib.suppress(Exception):
            for ref in running:
                self._ray.cancel(ref)
            if running:
                _, running = self._ray.wait(running, num_returns=len(running), timeout=GRACE)
            for ref in running:
                self._ray.cancel(ref, force=True)
        with contextlib.suppress(Exception):
            self._ray.shutdown()

    def _outcome(self, ref: Any) -> Outcome:
        spec = self._running.pop(ref)
        errors = self._ray.exceptions
        try:
            outcome, parcel = self._ray.get(ref)
        except errors.TaskCancelledError:
            return Outcome(spec, HALTED, "cancelled")
        except errors.OutOfMemoryError as error:
            host = Workplace(self.settings.root).told(spec.hash).get("host", "")
            return Outcome(spec, FAILED, f"out of memory: {first_sentence(error)}", host=host, out_of_memory=True)
        except errors.RayError as error:
            place = Workplace(self.settings.root)
            lines = last_lines(log_of(place, spec)) or str(error)[-2000:]
            with contextlib.suppress(OSError):
                log_of(place, spec).unlink(missing_ok=True)
            return Outcome(spec, DIED, first_sentence(error), lines, host=place.told(spec.hash).get("host", ""))
        if parcel:
            try:
                unpack(parcel, Workplace(self.settings.root).records)
            except RecordError as error:
                return Outcome(spec, NO_ROOM, str(error))
        return outcome

    def _tell(self) -> None:
        # It is only for show.
        with contextlib.suppress(self._ray.exceptions.RayError):
            for progress in self._ray.get(self._mail.take.remote(), timeout=1):
                self.notify(progress)

    def _mailbox(self) -> Any:
        here = self._ray.get_runtime_context().get_node_id()
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        beside = strategies.NodeAffinitySchedulingStrategy(here, soft=True)
        return self._ray.remote(num_cpus=0, scheduling_strategy=beside)(Mailbox).remote()

    def _nodes(self) -> Iterator[tuple[float, float]]:
        """Processors and GPUs of each node."""
        for node in self._ray.nodes():
            if node["Alive"]:
                yield node["Resources"].get("CPU", 0), node["Resources"].get("GPU", 0)

    def _room(self) -> int:
        """How many runs the nodes take at once."""
        return sum(room(cpus, gpus, self._threads, self._gpus) for cpus, gpus in self._nodes())

    def _share(self, device: str) -> float:
        return float(device != "cpu" and any(gpus for _, gpus in self._nodes()))
