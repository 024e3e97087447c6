"""Where runs execute: this process, worker processes, a cluster. All do the same with a run (`worker.work`)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from siconvnet.errors import UnknownName

if TYPE_CHECKING:
    from benchmark.sweeps.executors.base import Executor, Progress, Settings

#: Name -> where its class is and which options it takes beside the settings.
EXECUTORS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "processes": ("benchmark.sweeps.executors.processes:ProcessesExecutor", ("workers", "gpus")),
    "inline": ("benchmark.sweeps.executors.inline:InlineExecutor", ()),
    "slurm": (
        "benchmark.sweeps.executors.slurm:SlurmExecutor",
        ("workers", "partition", "time", "gpus", "setup", "option"),
    ),
    "ray": ("benchmark.sweeps.executors.ray:RayExecutor", ("workers", "address", "gpus", "max_retries")),
}


def make_executor(name: str, settings: Settings, notify: Callable[[Progress], None], **options: Any) -> Executor:
    """The executor `name`.

    Raises:
        UnknownName: there is none of that name.
        SiconvnetError: it cannot work here; the message says what is missing.
    """
    if name not in EXECUTORS:
        raise UnknownName("executor", name, EXECUTORS)
    module, _, attribute = EXECUTORS[name][0].partition(":")
    executor: Executor = getattr(importlib.import_module(module), attribute)(settings, notify, **options)
    return executor
