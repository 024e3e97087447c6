"""An outcome as a JSON file, for a worker that shares nothing with the driver but a folder.

Whatever is in the file is data: reading it runs no code, as reading a pickle would.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from benchmark.events import Ended, Epoch, Started
from benchmark.spec import RunSpec
from benchmark.sweeps.executors.base import KINDS, Outcome
from benchmark.system.files import write_text


def write_outcome(outcome: Outcome, path: Path) -> None:
    """Write an outcome, whole or not at all.

    Raises:
        SiconvnetError: the file cannot be written.
    """
    values = dataclasses.asdict(dataclasses.replace(outcome, ended=None))
    del values["spec"]
    if outcome.ended:
        values["ended"] = {**dataclasses.asdict(outcome.ended), "started": _started(outcome.ended.started)}
    write_text(path, json.dumps(values))


def read_outcome(path: Path, spec: RunSpec) -> Outcome:
    """The outcome of a run of `spec` that `write_outcome` wrote.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not such a file.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        outcome = Outcome(spec, **{**values, "ended": _ended(values["ended"], spec)})
        _check(outcome)
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not an outcome: {error}") from None
    return outcome


def _check(outcome: Outcome) -> None:
    texts = outcome.reason, outcome.lines, outcome.host
    if outcome.kind not in KINDS or not all(isinstance(text, str) for text in texts):
        raise TypeError("a value of another type")
    if not all(isinstance(value, (int, float)) for value in outcome.metrics.values()):
        raise TypeError("metrics must be numbers")


def _started(started: Started) -> dict[str, Any]:
    return {field.name: getattr(started, field.name) for field in dataclasses.fields(started) if field.name != "spec"}


def _ended(values: Any, spec: RunSpec) -> Ended | None:
    if values is None:
        return None
    history = tuple(Epoch(**epoch) for epoch in values["history"])
    return Ended(**{**values, "started": Started(spec=spec, **values["started"]), "history": history})
