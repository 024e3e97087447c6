"""Ray itself: connected to a cluster that runs already, or started on this machine."""

from __future__ import annotations

import importlib
import math
import os
import re
import signal
import socket
import subprocess
import sys
from typing import Any

from benchmark.system.environment import cpu_count
from siconvnet.errors import InvalidArgument, SiconvnetError

#: Seconds for a cluster to answer.
ANSWER = 20.0
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


def connect(address: str | None, workers: int | None, threads: int) -> Any:
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
        raise SiconvnetError(f"Ray does not start: {first_sentence(error)}") from error
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
        reason = first_sentence(done.stdout or "it went away")
    raise SiconvnetError(f"no Ray cluster at {address}: {reason.rstrip('.')}. Is this machine one of its nodes?")


def room(cpus: float, gpus: float, threads: int, share: float) -> int:
    """How many runs with `threads` processors and `share` GPUs each a node takes; no run has parts of two GPUs."""
    fits = int(cpus // threads)
    if share:
        fits = min(fits, int(gpus) * math.floor(1 / share + 1e-9) if share < 1 else int(gpus // share))
    return fits


def first_sentence(error: object) -> str:
    """The first sentence of what Ray says, without colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return " ".join(text.partition("\n")[0].split())[:300] or type(error).__name__
