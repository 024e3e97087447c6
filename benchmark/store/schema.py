"""Which version of MLflow the tables of a database are of."""

from __future__ import annotations

import enum
from pathlib import Path


class Version(enum.Enum):
    """A database beside the MLflow that is installed."""

    SAME = "same"
    OLDER = "older"
    NEWER = "newer"


def compare(revision: str) -> Version:
    """The version of the tables whose revision (of Alembic, which MLflow migrates with) a database names.

    Args:
        revision: empty where a database names none, as before MLflow 1.0.
    """
    import mlflow
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    if revision in scripts.get_heads():
        return Version.SAME
    try:
        known = not revision or scripts.get_revision(revision) is not None
    except CommandError:
        known = False
    return Version.OLDER if known else Version.NEWER


def advice(version: Version, uri: str) -> str:
    """What is wrong with a database of another version, and what to do."""
    if version is Version.OLDER:
        return f"it is of an older MLflow; make a copy of it, then upgrade it with `mlflow db upgrade {uri}`."
    return "it is of a newer MLflow than the one installed; upgrade it with `pip install --upgrade mlflow`."
