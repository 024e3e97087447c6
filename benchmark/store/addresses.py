"""Where a store is: what a user may write, and what is shown of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

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
            f"tracking URI {uri!r} is not accepted; give a path ending in .db, sqlite:///FILE.db, "
            "http://HOST:PORT or the address of another database."
        )
    return uri


def shown(uri: str) -> str:
    """A store's address for a person: an SQLite store as its path, and without any password."""
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", uri.removeprefix("sqlite:///"))


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite store; None if it is another kind of store."""
    path = uri.removeprefix("sqlite:///")
    return Path(path).absolute() if path != uri and path else None
