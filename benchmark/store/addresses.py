"""Where a store is: what a user may write, and what is shown of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from siconvnet.errors import InvalidArgument

_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https")


def resolve_uri(given: str | None) -> str:
    """The store to use: the one given, else MLFLOW_TRACKING_URI, else `mlflow.db` in the user's data folder.

    A path ending in .db means an SQLite file.

    Raises:
        InvalidArgument: not the address of a store that MLflow keeps runs in.
    """
    uri = given or os.environ.get("MLFLOW_TRACKING_URI") or ""
    if not uri:
        import platformdirs

        uri = str(Path(platformdirs.user_data_dir("siconvnet", appauthor=False)) / "mlflow.db")
    scheme, separator, _ = uri.partition("://")
    if uri.startswith("sqlite:///") or (not separator and uri.endswith(".db")):
        # One store has one address, wherever it is named from: the folder of its sweeps hangs on that.
        return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).expanduser().resolve()}"
    if not separator or scheme.partition("+")[0] not in _SCHEMES:
        raise InvalidArgument(
            f"tracking URI {shown(uri)!r} is not accepted; give a path ending in .db, sqlite:///FILE.db, "
            "http://HOST:PORT or the address of another database."
        )
    return uri


def shown(uri: str) -> str:
    """A store's address for a person: an SQLite store as its path, and no address with a password or a token."""
    if uri.startswith("sqlite:///") or "://" not in uri:
        return uri.removeprefix("sqlite:///")
    scheme, login, host, query = _parts(uri)
    user, colon, _ = (login or "").partition(":")
    # The user's name of a server may be a token.
    before = "" if login is None else f"{user}:***@" if colon and not scheme.startswith("http") else "***@"
    return f"{scheme}://{before}{host}{re.sub('=[^&#]*', '=***', query)}"


def _parts(uri: str) -> tuple[str, str | None, str, str]:
    """Scheme, login, host with path, and query of an address; its login is None where it has none.

    Passwords may hold @, / and ? themselves, so everything before the last @ is the login.
    """
    scheme, _, rest = uri.partition("://")
    login, at, place = rest.rpartition("@")
    host, question, query = place.partition("?")
    return scheme, login if at else None, host, question + query


def without_secrets(text: str, uri: str) -> str:
    """A text of somebody else's in which addresses, of this store and of others, are as `shown` shows them."""
    text = text.replace(uri, shown(uri))
    for secret in _secrets(uri):
        text = text.replace(secret, "***")
    return re.sub(r"[a-z][a-z0-9+]*://[^\s'\"<>()]*[@?][^\s'\"<>()]*", lambda found: shown(found[0]), text)


def _secrets(uri: str) -> list[str]:
    """What must not be seen of an address, as it is written and as a library decodes it; the longest first."""
    scheme, login, _, query = _parts(uri)
    user, colon, password = (login or "").partition(":")
    found = {password, *re.findall("=([^&#]*)", query)}
    if scheme.startswith("http") or not colon:
        found.add(user)
    # Of a secret of a letter or two nothing would be left of the text.
    return sorted((way for one in found for way in {one, unquote(one)} if len(way) > 3), key=len, reverse=True)


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite store; None if it is another kind of store."""
    path = uri.removeprefix("sqlite:///")
    return Path(path).absolute() if path != uri and path else None
