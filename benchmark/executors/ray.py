"""Runs as tasks of Ray: on this machine, or on a cluster that runs already.

A node that shares the folder of the sweep with the driver works in it, so that a run whose node dies goes on from its
checkpoint on another. A node that does not works in a folder of its own and sends the finished record back as the
task's result; there a run begins anew, with the same result. Which it is each node finds out by itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmark.environment import cpu_count
from benchmark.executors.base import DIED, FAILED, FINISHED, HALTED, NO_ROOM, Executor, Outcome, Progress, Settings
from benchmark.executors.parcel import Parcel, pack, unpack
from benchmark.executors.worker import last_lines, print_into, work
from benchmark.files import write_text
from benchmark.records import RecordError, find_finished
from benchmark.spec import RunSpec
from benchmark.workplace import Workplace
from siconvnet.errors import InvalidArgument, SiconvnetError

#: How often Ray begins a run anew by itself whose worker or node is gone; it is Ray's own default.
RETRIES = 3
#: Seconds for a cluster to answer, for tasks to leave a checkpoint at the end, between two looks at the nodes.
ANSWER, GRACE, POLL = 20.0, 10.0, 5.0
#: Bytes of shared memory for results, which are small; Ray would take a third of the machine's memory.
_STORE = 256 * 2**20
_ATTACH = """
import logging, sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.CRITICAL)
except BaseException as error:
    print(error)
    raise SystemExit(1)
"""


@dataclasses.dataclass(frozen=True)
class Home:
    """Where the driver is, for a task that may be anywhere.

    Attributes:
        token: what a file in the folder of the sweep says; who reads it there shares that folder.
        folder: in which the driver was started.
        data: SICONVNET_DATA of the driver.
    """

    token: str
    folder: str
    data: str | None

    @classmethod
    def here(cls, root: Path) -> Home:
        path = root / "ray.id"
        if not path.is_file():
            write_text(path, uuid.uuid4().hex)
        return cls(path.read_text(encoding="utf-8"), str(Path.cwd()), os.environ.get("SICONVNET_DATA"))

    def is_shared(self, root: Path) -> bool:
        """Whether `root` is the same folder here as where the driver is."""
        try:
            return bool(self.token) and (root / "ray.id").read_text(encoding="utf-8") == self.token
        except OSError:
            return False


def job(spec: RunSpec, settings: Settings, home: Home, mail: Any = None) -> tuple[Outcome, Parcel | None]:
    """What a task does; the record comes with it where the driver cannot see it.

    Args:
        mail: a handle of `Mailbox`, for progress.
    """
    # It is how Ray tells a task to end, and ignored where the driver was started in the background of a script.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    shared = home.is_shared(settings.root)
    with contextlib.suppress(OSError):
        os.chdir(home.folder)
    if home.data:
        os.environ.setdefault("SICONVNET_DATA", home.data)
    place = Workplace(settings.root if shared else _own_folder(home))
    host = socket.gethostname()

    def report(progress: Progress) -> None:
        # Nobody waits for the answer, so a driver that is gone holds nobody.
        if mail is not None:
            mail.put.remote(dataclasses.replace(progress, worker=host))

    log = _log(place, spec)
    try:
        if not shared:
            place.prepare()
        place.tidy(spec.hash)
        with contextlib.suppress(OSError):
            print_into(log)
        outcome = work(spec, dataclasses.replace(settings, root=place.root), report)
        log.unlink(missing_ok=True)
        if shared or outcome.kind != FINISHED:
            reason = outcome.reason if shared or outcome.kind != NO_ROOM else f"{host}: {outcome.reason}"
            return dataclasses.replace(outcome, reason=reason), None
        folder = find_finished(place.records, spec.hash)
        if folder is None:
            return Outcome(spec, DIED, "its record is gone", host=host), None
        parcel = pack(folder)
        shutil.rmtree(folder, ignore_errors=True)
        return outcome, parcel
    except (OSError, RecordError) as error:
        return Outcome(spec, NO_ROOM, f"{host}: {error}", host=host), None


class Mailbox:
    """An actor beside the driver, in which tasks leave how far they are."""

    def __init__(self) -> None:
        self._held: list[Progress] = []

    def put(self, progress: Progress) -> None:
        self._held.append(progress)

    def take(self) -> list[Progress]:
        held, self._held = self._held, []
        return held


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
        self._ray = _start(address, workers, settings.threads)
        threads = settings.threads or (max(1, cpu_count() // workers) if workers and not address else 1)
        self._threads, self._gpus = threads, self._share(settings.device) if gpus is None else gpus
        # Ray hides the GPUs from a task that asked for none, or not, as its version has it.
        device = settings.device if self._gpus else "cpu"
        super().__init__(dataclasses.replace(settings, threads=threads, device=device), notify)
        self._grows = workers is None
        self._looked = time.monotonic()
        self.slots = workers or self._room()
        if not address and not self._gpus:
            from benchmark.executors import default_workers

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
        self._running: dict[Any, RunSpec] = {}
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
        running = list(self.__dict__.get("_running", ()))
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
            return Outcome(spec, FAILED, f"out of memory: {_line(error)}", out_of_memory=True)
        except errors.RayError as error:
            place = Workplace(self.settings.root)
            lines = last_lines(_log(place, spec)) or str(error)[-2000:]
            with contextlib.suppress(OSError):
                _log(place, spec).unlink(missing_ok=True)
            return Outcome(spec, DIED, _line(error), lines)
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


def room(cpus: float, gpus: float, threads: int, share: float) -> int:
    """How many runs with `threads` processors and `share` GPUs each a node takes; no run has parts of two GPUs."""
    fits = int(cpus // threads)
    if share:
        fits = min(fits, int(gpus) * math.floor(1 / share + 1e-9) if share < 1 else int(gpus // share))
    return fits


def _start(address: str | None, workers: int | None, threads: int) -> Any:
    """Ray, connected to a cluster or started here."""
    # No reports to Ray's makers; and a run that had no memory is begun again alone, not without end.
    for name in ("USAGE_STATS_ENABLED", "task_oom_retries", "ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        os.environ.setdefault(f"RAY_{name}", "0")
    # What Ray's daemons have to say goes to its own log, not into the progress of the sweep.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    if address and not re.fullmatch(r"auto|[^\s:/]+:\d+|\[[0-9a-fA-F:]+\]:\d+", address):
        raise InvalidArgument(f"--ray-address {address!r}: give HOST:PORT of the cluster's head, or auto.")
    try:
        ray = importlib.import_module("ray")
    except ModuleNotFoundError:
        raise SiconvnetError("--executor ray needs Ray: pip install 'siconvnet[ray]'.") from None
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    if address:
        _check(address)
        options["address"] = address
    else:
        cpus = max(cpu_count(), (workers or 1) * (threads or 1))
        options |= {"address": "local", "num_cpus": cpus, "include_dashboard": False, "object_store_memory": _STORE}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(**options)
    except Exception as error:
        raise SiconvnetError(f"Ray does not start: {_line(error)}") from error
    finally:
        # Ray's own would end the process without the driver's leave-taking.
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return ray


def _check(address: str) -> None:
    """Connect in another process first: Ray tries a wrong address for minutes, and then ends its process.

    Raises:
        SiconvnetError: the cluster does not answer.
    """
    try:
        if address != "auto":
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER / 4).close()
        command = [sys.executable, "-c", _ATTACH, address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER, start_new_session=True)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "no answer"
    except subprocess.TimeoutExpired:
        reason = f"no answer in {ANSWER:.0f} s"
    else:
        if done.returncode == 0:
            return
        reason = _line(done.stdout or "it went away")
    raise SiconvnetError(f"no Ray cluster at {address}: {reason.rstrip('.')}. Is this machine one of its nodes?")


def _own_folder(home: Home) -> Path:
    import platformdirs

    key = hashlib.sha256(home.token.encode()).hexdigest()[:12]
    return Path(platformdirs.user_data_dir("siconvnet", appauthor=False)) / "sweeps" / f"ray-{key}"


def _log(place: Workplace, spec: RunSpec) -> Path:
    return place.logs / f"ray-{spec.hash[:16]}.log"


def _line(error: object) -> str:
    """The first sentence of what Ray says, without colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return " ".join(text.partition("\n")[0].split())[:300] or type(error).__name__
