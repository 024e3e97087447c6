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


#: How often a request is repeated, and in how many seconds a server must begin to answer questions.
_USUAL = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
_SOON = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_QUESTIONS = frozenset(
    ("get_experiment_by_name", "get_metric_history", "get_run", "list_artifacts", "search_experiments", "search_runs")
)


class Client:
    """MLflow's client, with every failure of the store as one line."""

    def __init__(self, client: MlflowClient, uri: str):
        self._client, self._uri = client, uri

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        @functools.wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            with answering(self._uri), uninterrupted(), soon() if name in _QUESTIONS else contextlib.nullcontext():
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
    """For questions, which a server that answers at all answers soon; what is written may take it longer.

    A server that takes connections and never answers would otherwise hold its caller for minutes. Whoever sets one of
    MLflow's variables has it their way.
    """
    before = {name: os.environ.get(name) for name in _SOON}
    os.environ.update({name: value for name, value in _SOON.items() if before[name] in (None, _USUAL.get(name))})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def quieten() -> None:
    """No telemetry, no log lines of the database migration, and no minutes of retries at a dead server."""
    os.environ.update({"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"})
    # MLflow prints the address of a server with the password in it.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
    for name, value in _USUAL.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
