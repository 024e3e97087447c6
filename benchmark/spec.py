"""One run, said in full: everything that its result depends on, and nothing else.

A spec is the identity of a run. Its hash finds the run again in the store, so two specs that must give the
same numbers have the same hash, on every machine and in every Python. Device, paths and thread counts are
not part of it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.protocol import PAPER, SCENARIOS, Scenario, find_scenario
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName

DEFAULT_LR = 1e-3
#: Always hashed. Other fields enter the hash only where they leave the default, so that a field
#: which a later version adds does not orphan the runs of an earlier one.
_CORE = ("model", "dataset", "evaluation", "kernel_size", "interpolation", "lr", "seed")


@dataclass(frozen=True)
class RunSpec:
    """A run of one model on one data set under one scenario.

    Attributes:
        model: a registered model, or ``package.module:Class``.
        dataset: a known data set, or the path of a file in the STIR format (ending in .npz).
        evaluation: the scenario, 1 to 4.
        kernel_size: side of the kernels, odd; both stages are unpadded, so 2 (k - 1) < 64 as well.
        interpolation: how kernels are rescaled.
        lr: Adam's learning rate.
        seed: of Python, NumPy and PyTorch, before the model is made.
        batch_size, max_epochs, patience: as in `benchmark.protocol.PAPER` unless overridden.
    """

    model: str
    dataset: str
    evaluation: int
    kernel_size: int = PAPER.kernel_size
    interpolation: str = PAPER.interpolation
    lr: float = DEFAULT_LR
    seed: int = 1
    batch_size: int = PAPER.batch_size
    max_epochs: int = PAPER.max_epochs
    patience: int = PAPER.patience

    def __post_init__(self) -> None:
        # 1 and 1.0 are the same rate and must have the same hash.
        if type(self.lr) is int:
            object.__setattr__(self, "lr", float(self.lr))

    @property
    def scenario(self) -> Scenario:
        return SCENARIOS[self.evaluation]

    @property
    def dataset_key(self) -> str:
        """What the data set is called in results: its name, or of a file its stem and a part of its SHA-256."""
        return _file_key(self.dataset) if is_file(self.dataset) else self.dataset

    @property
    def model_key(self) -> str:
        """What identifies the model: its name, or of ``package.module:Class`` that with a part of the SHA-256 of the
        module's file, so that a run is not taken for finished once its author has changed the model."""
        return _source_key(self.model) if ":" in self.model else self.model

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, as 64 hex digits."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        values = {
            name: value
            for name, value in {**self.to_dict(), "model": self.model_key, "dataset": self.dataset_key}.items()
            if name in _CORE or value != defaults[name]
        }
        # json writes floats by repr, the shortest text that reads back as the same number: stable since 3.1.
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    @property
    def name(self) -> str:
        """Short enough for a table: the model, the seed, and whatever is not as in the paper."""
        return " ".join([self.model, f"s{self.seed}", *(f"{key}={value}" for key, value in self._changes())])

    @property
    def deviations(self) -> tuple[str, ...]:
        """What is not as in the paper's protocol, in words; such a run does not compare with a published cell."""
        found = [
            f"{key.replace('_', ' ')} {value} instead of {getattr(PAPER, key)}"
            for key, value in self._changes()
            if key != "lr"
        ]
        if self.lr not in PAPER.learning_rates:
            rates = " or ".join(f"{rate:g}" for rate in PAPER.learning_rates)
            found.append(f"learning rate {self.lr:g} instead of {rates}")
        return tuple(found)

    def _changes(self) -> list[tuple[str, Any]]:
        changes = [
            (key, getattr(self, key))
            for key in ("kernel_size", "interpolation", "batch_size", "max_epochs", "patience")
            if getattr(self, key) != getattr(PAPER, key)
        ]
        if self.lr != default_lr(self.model, self.dataset, self.evaluation):
            changes.append(("lr", self.lr))
        return changes

    def validate(self) -> RunSpec:
        """This spec, checked.

        Raises:
            UnknownName: model, dataset, evaluation or interpolation is none; the message suggests the nearest.
            InvalidArgument: a number is outside what is accepted, or the model is a class that is none.
            DatasetError: the dataset is a path without a file.
        """
        import siconvnet
        from siconvnet.datasets import list_datasets
        from siconvnet.models import check_model_arguments, is_target

        if is_target(self.model):
            siconvnet.model_info(self.model)
        elif self.model not in (models := siconvnet.list_models()):
            raise UnknownName("model", self.model, models)
        if is_file(self.dataset):
            if not Path(self.dataset).is_file():
                raise DatasetError(f"no data file {self.dataset!r}; give a known data set or an existing .npz.")
        elif self.dataset not in (datasets := list_datasets()):
            raise UnknownName("dataset", self.dataset, datasets)
        find_scenario(self.evaluation)
        self._validate_numbers()
        # Channels and classes come with the data and are checked there.
        check_model_arguments(1, 2, self.kernel_size, self.interpolation)
        return self

    def _validate_numbers(self) -> None:
        for key in ("evaluation", "kernel_size", "seed", "batch_size", "max_epochs", "patience"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int):
                raise InvalidArgument(f"{key.replace('_', ' ')} {value!r} is no whole number.")
        if isinstance(self.lr, bool) or not isinstance(self.lr, (int, float)) or not 0 < self.lr < math.inf:
            raise InvalidArgument(f"learning rate {self.lr!r} is not accepted: it must be finite and above 0.")
        if not 0 <= self.seed < 2**32:
            raise InvalidArgument(f"seed {self.seed} is not accepted: it must be within 0 and {2**32 - 1}.")
        for key in ("batch_size", "max_epochs", "patience"):
            if getattr(self, key) < 1:
                raise InvalidArgument(f"{key.replace('_', ' ')} {getattr(self, key)} is not accepted: at least 1.")

    def check_effective(self) -> None:
        """Refuse a setting that the model ignores: the run would repeat another under a different name.

        Imports the model. Raises:
            InvalidArgument: a kernel size or an interpolation other than the default that has no effect.
        """
        import siconvnet

        info = siconvnet.model_info(self.model)
        for key, used in (
            ("kernel_size", info.uses_kernel_size),
            ("interpolation", info.uses_interpolation),
        ):
            if not used and getattr(self, key) != getattr(PAPER, key):
                raise InvalidArgument(
                    f"model {self.model!r} does not use the {key.replace('_', ' ')}; leave out "
                    f"--{key.replace('_', '-')} {getattr(self, key)}."
                )

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunSpec:
        """The spec that `to_dict` gave.

        Raises:
            InvalidArgument: a field is missing or unknown, or a value is of the wrong kind.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        for key in values:
            if key not in known:
                raise UnknownName("field of a run", key, known)
        missing = [name for name in ("model", "dataset", "evaluation") if name not in values]
        if missing:
            raise InvalidArgument(f"a run needs {', '.join(missing)}.")
        for key in ("model", "dataset", "interpolation"):
            if not isinstance(values.get(key, ""), str):
                raise InvalidArgument(f"{key} {values[key]!r} is no text.")
        spec = cls(**values)
        spec._validate_numbers()
        return spec


def default_lr(model: str, dataset: str, evaluation: int) -> float:
    """The rate that the paper selected for this cell; 1e-3 where the paper has none."""
    from benchmark import published

    cell = published.cell(model, dataset, evaluation)
    return cell.lr if cell else DEFAULT_LR


def is_file(dataset: str) -> bool:
    """Whether `dataset` is meant as a path; names of data sets have no suffix."""
    return dataset.endswith(".npz")


@functools.lru_cache(maxsize=32)
def _file_key(path: str) -> str:
    try:
        return f"{Path(path).stem}-{_sha256(path)[:12]}"
    except OSError as error:
        raise DatasetError(f"cannot read the data file {path!r}: {error.strerror}.") from None


@functools.lru_cache(maxsize=32)
def _source_key(target: str) -> str:
    # Read once for each process, as the module itself is: an edit while it runs changes nothing in it.
    module = target.partition(":")[0]
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    if found is None or not found.origin or not Path(found.origin).is_file():
        raise InvalidArgument(f"no source file of module {module!r} of the model {target!r}.")
    return f"{target}-{_sha256(found.origin)[:12]}"


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        if hasattr(hashlib, "file_digest"):
            return hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(file.read()).hexdigest()  # Python 3.10
