"""One run, stated in full: everything that its result depends on, and nothing else.

A spec is the identity of a run. Its hash finds the run again in the store, so two specs that must give the same numbers
have the same hash, on every machine and in every Python. Device, paths and thread counts are not part of it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from benchmark.studies import Study, find_study, study_of
from benchmark.studies.lookup import check_model, check_names
from benchmark.studies.settings import Settings
from benchmark.system.checksums import file_sha256
from benchmark.system.modules import find_source
from siconvnet.errors import InvalidArgument

S = TypeVar("S", bound=Settings)
#: Neither name is longer; longer ones are mistakes or malice.
_LONGEST_NAME = 4096


@dataclass(frozen=True, init=False)
class RunSpec(Generic[S]):
    """A run of one model on one data set, with the settings of the data set's study (see `benchmark.studies`).

    ``RunSpec("pixel_pool", "emoji", evaluation=2, seed=3)``: settings are given by name, and those left out get the
    study's default.

    Attributes:
        model: a registered model, or ``package.module:Class``.
        dataset: a known data set, or the path of a file in the STIR format (ending in .npz).
        settings: the study's settings.

    Raises:
        UnknownName: the study has no such setting.
        InvalidArgument: a setting that the study needs is missing, or it belongs to another study.
    """

    model: str
    dataset: str
    settings: S

    def __init__(self, model: str, dataset: str, settings: S | None = None, **values: Any):
        study = study_of(dataset) if settings is None else find_study(settings.study)
        stated = {**({} if settings is None else settings.values()), **values}
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "dataset", dataset)
        check_names(study, dataset, stated)
        object.__setattr__(self, "settings", study.settings_for(model, stated))

    def replace(self, **changes: Any) -> RunSpec[S]:
        """This run with another model or data set, or other settings."""
        names = {name: changes.pop(name, getattr(self, name)) for name in ("model", "dataset")}
        settings = self.settings if study_of(names["dataset"]) is self.study else None
        return RunSpec(**names, settings=settings, **changes)

    @property
    def study(self) -> Study[S]:
        return find_study(self.settings.study)

    @property
    def lr(self) -> float:
        return self.settings.lr

    @property
    def seed(self) -> int:
        return self.settings.seed

    @property
    def batch_size(self) -> int:
        return self.settings.batch_size

    @property
    def max_epochs(self) -> int:
        return self.settings.max_epochs

    @property
    def patience(self) -> int | None:
        return self.settings.patience

    @property
    def setting(self) -> str:
        """What is asked of the model: `Mid2Rest`, or `realization 0, augmented`."""
        return self.study.setting(self)

    @property
    def dataset_key(self) -> str:
        """What the data set is called in results: its name, or of a file its stem and a part of the SHA-256 that
        `siconvnet.datasets.identity` gives it.

        A data set of one's own, or of another package, is such a file too, because another one may take its name.

        Raises:
            DatasetError: the file is missing. A data set that has yet to be built is not built here.
        """
        return self.study.dataset_key(self.dataset)

    @property
    def model_key(self) -> str:
        """What identifies the model: its name, or of ``package.module:Class`` that with a part of the SHA-256 of the
        module's file, so that a run is not taken for finished once its author has changed the model."""
        return _source_key(self.model) if ":" in self.model else self.model

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, as 64 hex digits. It reads files, and builds and downloads nothing."""
        return self.hash_with(self.model_key, self.dataset_key)

    def hash_with(self, model_key: str, dataset_key: str) -> str:
        """What `hash` is on the machine where model and data set have these keys."""
        values = {"model": model_key, "dataset": dataset_key, **self.settings.hashed()}
        # json writes floats by repr, the shortest text that reads back as the same number: stable since 3.1.
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    @property
    def name(self) -> str:
        """Short enough for a table: the model, the seed, and whatever is not as in the paper."""
        changes = [(found.name, value) for found, value in self.settings.changes()]
        if self.lr != self.study.default_lr(self):
            changes.append(("lr", self.lr))
        words = [self.model, self.study.tag(self), f"s{self.seed}"]
        return " ".join([*filter(None, words), *(f"{key}={value}" for key, value in changes)])

    @property
    def fields(self) -> dict[str, Any]:
        """Model, data set and all settings by name."""
        return {"model": self.model, "dataset": self.dataset, **self.settings.values()}

    @property
    def departures(self) -> dict[str, str]:
        """Each setting that is not as in the study's protocol, and in words what it is instead."""
        found = {
            changed.name: f"{changed.words} {value or 'none'} instead of {changed.default or 'none'}"
            for changed, value in self.settings.changes()
        }
        accepted = self.study.protocol.learning_rates
        if self.lr not in accepted:
            rates = " or ".join(f"{rate:g}" for rate in accepted)
            found["lr"] = f"learning rate {self.lr:g} instead of {rates}"
        return found

    @property
    def deviations(self) -> tuple[str, ...]:
        """The `departures` in words; a run that has any does not compare with a published figure."""
        return tuple(self.departures.values())

    @property
    def shortened(self) -> bool:
        """Whether the run is trained for another length than the protocol's."""
        lengths = ("batch_size", "max_epochs", "patience")
        return any(changed.name in lengths for changed, _ in self.settings.changes())

    def validate(self) -> RunSpec[S]:
        """This spec, checked.

        Raises:
            UnknownName: model, data set or a named setting does not exist; the message suggests the nearest.
            InvalidArgument: a setting is not accepted, or the model is not one for this study.
            DatasetError: the data set is a path without a file.
        """
        self._check_settings()
        check_model(self.study, self.model)
        self.study.check(self)
        return self

    def _check_settings(self) -> None:
        self.settings.check()
        self.study.check_settings(self)

    def check_effective(self) -> None:
        """Refuse a setting that the model ignores: the run would repeat another under a different name.

        Imports the model. Raises:
            InvalidArgument: a kernel size or an interpolation other than the default that has no effect.
        """
        self.study.check_effective(self)

    def to_dict(self) -> dict[str, Any]:
        """The run as it is stored: model, data set, settings."""
        return {"model": self.model, "dataset": self.dataset, **self.settings.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunSpec[Any]:
        """The spec that `to_dict` gave.

        Every value is checked as far as it can be without the model and the data, which may be on another machine;
        nothing is imported or read.

        Raises:
            InvalidArgument: a setting is missing or unknown, or a value is not accepted.
        """
        if not isinstance(values, Mapping):
            raise InvalidArgument(f"a run must be a table of its settings, not {reprlib.repr(values)}.")
        if missing := [name for name in ("model", "dataset") if values.get(name) is None]:
            raise InvalidArgument(f"a run needs {', '.join(missing)}.")
        for name in ("model", "dataset"):
            _check_name(name, values[name])
        spec: RunSpec[Any] = RunSpec(**{str(name): value for name, value in values.items() if name != "settings"})
        spec._check_settings()
        return spec


def _check_name(what: str, value: object) -> None:
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= _LONGEST_NAME:
        raise InvalidArgument(f"{what} must be printable text, not {reprlib.repr(value)}.")


def is_key_of(key: str, name: str) -> bool:
    """Whether `key` can be the `model_key` or `dataset_key` of what a spec calls `name`, whatever its content."""
    stem = Path(name).stem if name.endswith(".npz") else name
    return key == name or (key.startswith(f"{stem}-") and bool(re.fullmatch("[0-9a-f]{12}", key[len(stem) + 1 :])))


def _source_key(target: str) -> str:
    module = target.partition(":")[0]
    source = find_source(module)
    if source is None:
        raise InvalidArgument(f"no source file of module {module!r} of the model {target!r}.")
    # Read once per process, as the module itself is: an edit while it runs changes nothing in it.
    return f"{target}-{file_sha256(str(source))[:12]}"
