"""MLflow's client, quiet, and with every failure of the store as one line."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmark.store.addresses import shown
from benchmark.system.interrupts import uninterrupted
from siconvnet.errors import SiconvnetError

if TYPE_CHECKING:
    from mlflow import MlflowClient


class TrackingError(SiconvnetError):
    """A store that does not answer, cannot be written, or is of another MLflow version."""


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


@contextlib.contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turn whatever a store and its database raise into a `TrackingError`; errors of other kinds pass."""
    try:
        yield
    except SiconvnetError:
        raise
    except Exception as error:
        if not _from_store(error):
            raise
        raise TrackingError(f"the MLflow store {shown(uri)} failed: {_reason(error)}") from error


def pages(search: Any, **arguments: Any) -> Iterator[Any]:
    """All results of a paged search."""
    token = None
    while True:
        page = search(max_results=1000, page_token=token, **arguments)
        yield from page
        token = page.token
        if not token:
            return


def _from_store(error: Exception) -> bool:
    import sqlite3

    import requests
    import sqlalchemy.exc
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException

    databases = (sqlite3.Error, sqlalchemy.exc.SQLAlchemyError, CommandError)
    kinds = (MlflowException, *databases, requests.RequestException, OSError)
    return isinstance(error, kinds)


def _reason(error: Exception) -> str:
    """The one line in an error of MLflow's that says what is wrong."""
    text = str(error.strerror or error) if isinstance(error, OSError) else str(error)
    if "out-of-date database schema" in text:
        return "it is of an older MLflow; make a copy of it, then upgrade it with `mlflow db upgrade URI`."
    if "Can't locate revision" in text:
        return "it is of a newer MLflow than the one installed; upgrade mlflow."
    line = " ".join(text.partition("[SQL:")[0].partition("\n")[0].split())
    return re.sub(r"^\((?:\w+\.)+(\w+)\) ", "", line)[:300] or type(error).__name__


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
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
