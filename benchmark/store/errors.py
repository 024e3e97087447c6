"""Failures of a store, each as one line that names the store and what to do."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator

from benchmark.store.addresses import shown, without_secrets
from benchmark.store.schema import Version, advice, compare
from siconvnet.errors import SiconvnetError

#: What a server answers where it cannot accept what it was sent: bad request, too large, of a wrong form.
_REFUSALS = (400, 413, 422)


class TrackingError(SiconvnetError):
    """A store that does not answer, cannot be written, or is of another MLflow version."""


class Refused(TrackingError):
    """A store that answers, but does not accept this run; it may accept others."""


@contextlib.contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turn whatever a store and its database raise into a `TrackingError`; errors of other kinds pass.

    Raises:
        Refused: the store works, and does not accept what it was given.
        TrackingError: it failed otherwise.
    """
    try:
        yield
    except SiconvnetError:
        raise
    except Exception as error:
        if not _from_store(error):
            raise
        kind, verb = (Refused, "refuses this") if _is_refusal(error) else (TrackingError, "failed")
        reason = without_secrets(_reason(error, uri), uri)
        raise kind(f"the MLflow store {shown(uri)} {verb}: {reason}") from error


def _from_store(error: Exception) -> bool:
    import requests
    import sqlalchemy.exc
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException

    databases = (sqlite3.Error, sqlalchemy.exc.SQLAlchemyError, CommandError)
    # Of a damaged database even the error message may be no text.
    kinds = (MlflowException, *databases, requests.RequestException, OSError, UnicodeDecodeError)
    return isinstance(error, kinds)


def _is_refusal(error: Exception) -> bool:
    """Whether it is about what the store was given, and not about the store."""
    import requests
    from mlflow.exceptions import MlflowException

    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in _REFUSALS
    return isinstance(error, MlflowException) and error.error_code == "INVALID_PARAMETER_VALUE"


def _reason(error: Exception, uri: str) -> str:
    """The one line that says what is wrong."""
    text = str(error)
    if found := re.search(r"out-of-date database schema \(found version (\w+)", text):
        return advice(compare(found[1]), shown(uri))
    if "Can't locate revision" in text:
        return advice(Version.NEWER, shown(uri))
    cause = _innermost(error)
    if isinstance(cause, UnicodeDecodeError):
        return "the database is damaged; restore a copy of it, or name another store."
    text = str(cause.strerror or cause) if isinstance(cause, OSError) else str(cause)
    if "readonly database" in text or "unable to open database file" in text:
        return f"{text}; it needs write permission for the file and its folder."
    line = " ".join(text.partition("[SQL:")[0].partition("\n")[0].split())
    return re.sub(r"^\((?:\w+\.)+(\w+)\) ", "", line)[:300] or type(cause).__name__


def _innermost(error: BaseException) -> BaseException:
    """The database's own error, around which SQLAlchemy and MLflow wrap theirs; else the error itself."""
    import sqlalchemy.exc

    link: BaseException | None = error
    while link is not None:
        if isinstance(link, sqlalchemy.exc.DBAPIError) and link.orig is not None:
            return link.orig
        if isinstance(link, UnicodeDecodeError):
            return link
        link = link.__cause__ or link.__context__
    return error
