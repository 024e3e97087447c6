"""MLflow's pages on a store."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from benchmark.store.client import quieten
from benchmark.store.errors import TrackingError


def serve(uri: str, host: str, port: int, ready: Callable[[], None]) -> None:
    """Run MLflow's server on a store until it is interrupted; call `ready` when it answers.

    Raises:
        TrackingError: it ended by itself.
    """
    import signal
    import subprocess
    import sys

    quieten()
    # One worker and no job runner: the pages of one person on one machine.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    # Whichever way this process is asked to end, the server must not outlive it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None and not _listens(host, port):
            time.sleep(0.1)
        if process.poll() is None:
            ready()
        _, errors = process.communicate()
    except KeyboardInterrupt:
        return
    finally:
        process.terminate()
        process.communicate()
    if process.returncode:
        last = errors.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise TrackingError(f"the MLflow server ended: {last[0]}")


def _listens(host: str, port: int) -> bool:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex((host, port)) == 0
