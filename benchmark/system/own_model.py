"""What is recorded of a model that is given by its file: which version of it was trained, and its source."""

from __future__ import annotations

from typing import Any

from benchmark.system.environment import git_state
from benchmark.system.modules import find_source
from siconvnet.models import is_target, model_info


def describe_model(model: str, key: str) -> dict[str, Any] | None:
    """What a record says of a model ``package.module:Class``; None for one that is registered by name.

    Args:
        key: `benchmark.spec.RunSpec.model_key`, which ends in the digest of the source.

    Returns:
        version (the digest), label (empty unless the class declares one), source (the file's text), and git (commit
        of the repository that it is in, and whether anything there is changed).
    """
    if not is_target(model):
        return None
    module, _, name = model.partition(":")
    file, label = find_source(module), model_info(model).label
    return {
        "version": key.rpartition("-")[2],
        "label": "" if label == name.rpartition(".")[2] else label,
        "source": file.read_text(encoding="utf-8", errors="replace") if file else "",
        "git": git_state(file) if file else None,
    }
