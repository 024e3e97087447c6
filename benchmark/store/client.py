"""MLflow's client, quiet, and with every failure of the store as one line."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmark.store.errors import answering
from benchmark.system.interrupts import uninterrupted

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Client:
    """MLflow's client, with every failure of the store as one line."""

    def __init__(self, client: MlflowClient, uri: str):
        self._client, self._uri = client, uri

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        @functools.wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            with answering(self._uri), uninterrupted():
                return method(*arguments, **named)

        return call


def pages(search: Any, **arguments: Any) -> Iterator[Any]:
    """All results of a paged search."""
    token = None
    while True:
        page = search(max_results=1000, page_token=token, **arguments)
        yield from page
        token = page.token
        if not token:
            return


@contextlib.contextmanager
def soon() -> Iterator[None]:
    """For a first question, which a server that answers at all answers soon; later ones may take MLflow's two minutes.

    Whoever sets MLflow's variable has it their way.
    """
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    said = name in os.environ
    os.environ.setdefault(name, "20")
    try:
        yield
    finally:
        if not said:
            del os.environ[name]


def quieten() -> None:
    """No telemetry, no log lines of the database migration, and no minutes of retries at a dead server."""
    os.environ.update({"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"})
    # MLflow prints the address of a server with the password in it.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
