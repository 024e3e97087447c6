"""Keeping a server's artifacts in one folder, whatever the store says of where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.store.artifact import artifact_repository_registry as registry
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

#: Where artifacts lie that MLflow finds by way of another address, which is looked at in its turn.
_INDIRECT = ("runs", "models", "mlflow-artifacts")
_LOCAL = ("", "file")


def confine(root: Path, *, remote: bool) -> None:
    """From now on have MLflow, in this process, read and write local artifacts below `root` only.

    An experiment may name any folder of the machine as the place of its artifacts, and a link may lead there; MLflow's
    server gives out what lies there.

    Args:
        remote: whether artifacts of other machines are reached (`s3://`), with this user's credentials.
    """

    class Confined(LocalArtifactRepository):
        def __init__(self, artifact_uri: str, *arguments: Any, **named: Any):
            super().__init__(artifact_uri, *arguments, **named)
            # Resolved for good: a link that is changed later leads nowhere else.
            self._artifact_dir = str(Path(self._artifact_dir).resolve())
            if not Path(self._artifact_dir).is_relative_to(root):
                raise _refused(root)

    def refuse(*_: Any, **__: Any) -> Any:
        raise _refused(root)

    known = registry._artifact_repository_registry
    for scheme in known.get_registered_artifact_repositories():
        if scheme in _LOCAL:
            known.register(scheme, Confined)
        elif scheme not in _INDIRECT and not remote:
            known.register(scheme, refuse)


def _refused(root: Path) -> MlflowException:
    return MlflowException(f"artifacts outside of {root} are not served.", error_code=PERMISSION_DENIED)
