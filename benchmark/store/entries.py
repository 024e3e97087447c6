"""Between a run and what MLflow keeps of it: names of experiments, tags, parameters, metrics, and rows of tables."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.events import EPOCH_METRICS
from benchmark.spec import RunSpec

if TYPE_CHECKING:
    from mlflow.entities import Metric, RunTag


CUSTOM = "custom"


def experiment_name(spec: RunSpec, dataset_key: str | None = None) -> str:
    """Where a run is logged, `stir/emoji/Mid2Rest`."""
    parts = spec.study.experiment(spec, dataset_key or spec.dataset_key)
    return "/".join([*parts, CUSTOM] if spec.deviations else parts)


def protocol_tag(spec: RunSpec) -> str:
    """paper, custom (another kernel size, interpolation or rate) or shortened (another length of training)."""
    if spec.shortened:
        return "shortened"
    return CUSTOM if spec.deviations else "paper"


def tags_of(spec: RunSpec, environment: Mapping[str, Any]) -> dict[str, str]:
    """Who ran it, where, and by which protocol."""
    tags = {
        "mlflow.source.name": "benchmark run",
        "mlflow.source.type": "LOCAL",
        "protocol": protocol_tag(spec),
        "device": str(environment.get("device_name", "")),
        **_process_of(environment),
    }
    with contextlib.suppress(Exception):  # no user name where the system has no entry for the user id
        tags["mlflow.user"] = getpass.getuser()
    if commit := (environment.get("git") or {}).get("commit"):
        tags["mlflow.source.git.commit"] = commit
    return {**tags, **_tags_of_model(environment.get("model") or {})}


def _tags_of_model(model: Mapping[str, Any]) -> dict[str, str]:
    """Which version of a model given by its file was trained, as `benchmark.system.own_model` describes it."""
    git = model.get("git") or {}
    told = {
        "model_version": model.get("version"),
        "model_label": model.get("label"),
        "model_commit": git.get("commit"),
        "model_modified": str(git["modified"]) if "modified" in git else None,
    }
    return {name: str(value) for name, value in told.items() if value}


def _process_of(environment: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(environment.get(name, "")) for name in ("host", "pid", "process_start", "process_space")}


def tags_of_process(environment: Mapping[str, Any]) -> list[RunTag]:
    """Which process a run is of."""
    from mlflow.entities import RunTag

    return [RunTag(name, value) for name, value in _process_of(environment).items()]


def tags_of_end(environment: Mapping[str, Any], reason: str) -> list[RunTag]:
    """Why a run ended, and its last lines, as far as there is anything to say."""
    from mlflow.entities import RunTag

    told = {"reason": reason, "last_lines": str(environment.get("last_lines", ""))[-4000:]}
    return [RunTag(name, value) for name, value in told.items() if value]


def params_of(spec: RunSpec, data: str, parameters: int) -> dict[str, Any]:
    """The spec by the original's names, what its study says of it, and how many parameters are trained."""
    values = {**spec.to_dict(), "data": data, **spec.study.facts(spec), "parameters": parameters}
    del values["dataset"]
    return values


def epoch_metrics(history: Sequence[Mapping[str, Any]]) -> list[Metric]:
    """The figures of epochs, each at its number and time."""
    from mlflow.entities import Metric

    return [
        Metric(name, float(value), milliseconds(epoch["time"]), int(epoch["number"]))
        for epoch in history
        for name, value in ({name: epoch[name] for name in EPOCH_METRICS} | dict(epoch.get("own", {}))).items()
        if value is not None
    ]


def final_metrics(metrics: Mapping[str, float], end_time: float) -> list[Metric]:
    """The figures at the end of a run."""
    from mlflow.entities import Metric

    return [Metric(name, float(value), milliseconds(end_time), 0) for name, value in metrics.items()]


def scale_metrics(name: str, by_scale: Mapping[int, float], time: float) -> list[Metric]:
    """One figure at several object sizes, each of which is a step."""
    from mlflow.entities import Metric

    return [Metric(name, float(value), milliseconds(time), size) for size, value in by_scale.items()]


def milliseconds(seconds: float) -> int:
    """A time as MLflow counts it."""
    return round(1000 * seconds)
