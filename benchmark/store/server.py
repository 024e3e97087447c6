"""MLflow's pages on a store, for one person on one machine."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.store import sqlite
from benchmark.store.addresses import sqlite_file
from benchmark.store.client import quieten
from benchmark.store.errors import TrackingError, answering

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HOST = "127.0.0.1"


def serve(uri: str, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Run MLflow's server on a store in this process until it is interrupted.

    It runs in this process so that it cannot outlive it, and so that the address of the database is in no command line.
    Whoever has no token is refused, see `Guard`; artifacts are read and written in one folder only, see `confine`.

    Args:
        uri: of a database.
        listener: a bound socket of 127.0.0.1.
        ready: called with the link that logs a browser in, once the server answers.

    Raises:
        TrackingError: MLflow is too old, or the server ended by itself.
    """
    port, token = listener.getsockname()[1], secrets.token_urlsafe(32)
    try:
        import uvicorn

        from benchmark.store.guard import Guard

        app = Guard(_mlflow_app(uri, port), token, port)
    except ImportError as error:
        raise TrackingError("benchmark ui needs a newer MLflow; pip install --upgrade mlflow.") from error

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready(f"http://{HOST}:{port}/?token={token}")

    # Uvicorn ends by the signal that it was asked to end with.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = Server(uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=3))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if not server.started:
        raise TrackingError("the MLflow server did not start.")


def _mlflow_app(uri: str, port: int) -> ASGIApp:
    """MLflow's own application on a store."""
    from benchmark.store.confinement import confine

    quieten()
    root = Path("mlruns").resolve()
    if file := sqlite_file(uri):
        with answering(uri):
            sqlite.check_version(file)
        root = (file.parent / "artifacts").resolve()
    # MLflow reads these when its modules are imported. The job runner is for servers of many.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = f"{HOST}:{port},localhost:{port}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's dependencies
        from mlflow.server import constants

        os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = uri
        os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = root.as_uri()
        os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = root.as_uri()
        os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
        from mlflow.server.fastapi_app import app
    confine(root, remote=file is None)
    return app
