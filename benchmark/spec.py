"""One run, said in full: everything that its result depends on, and nothing else.

A spec is the identity of a run. Its hash finds the run again in the store, so two specs that must give the
same numbers have the same hash, on every machine and in every Python. Device, paths and thread counts are
not part of it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.protocol import SCENARIOS, Scenario
from benchmark.studies import Study, scale_fields, scale_ranges, study_of
from benchmark.studies.stir import is_file as is_file
from benchmark.system.modules import find_source
from siconvnet.errors import InvalidArgument, UnknownName

#: A field that is left open: it becomes what the study says, and stays None where the study has no such field.
OPEN: Any = None

PRECISIONS = ("bfloat16", "float16")


@dataclass(frozen=True)
class RunSpec:
    """A run of one model on one data set, in the setting of one study (see `benchmark.studies`).

    Attributes:
        model: a registered model, or ``package.module:Class``.
        dataset: a known data set, or the path of a file in the STIR format (ending in .npz).
        evaluation: STIR's scenario, 1 to 4.
        kernel_size: side of STIR's kernels, odd; both stages are unpadded, so 2 (k - 1) < 64 as well.
        interpolation: how these are rescaled.
        lr: the first learning rate.
        seed: of Python, NumPy and PyTorch, before the model is made.
        batch_size, max_epochs, patience: as in the study's protocol unless overridden.
        realization: of MNIST-Scale, 0 to 5.
        augment: whether training augments the images as the study's protocol says.
        amp: train in mixed precision, "bfloat16" or "float16"; of STL-10.
        scale_parameterisation, learn_sigma, sigma, isr: of a model whose internal scales are learned: how, whether
            the smallest one too, and where the smallest one and their range start (`siconvnet.layers.LearnableScales`).
        scale_range: smallest and largest scale of MNIST-range's digits; a pair, or text such as "1,8".
        distribution: how these scales are distributed, see `benchmark.studies.mnist_range`.
        canvas: side of MNIST-range's images in pixels.
        digits: which digits MNIST-range is made of, the "full" 70,000 or the 1,500 "embedded" ones.
    """

    model: str
    dataset: str
    evaluation: int = OPEN
    kernel_size: int = OPEN
    interpolation: str = OPEN
    lr: float = OPEN
    seed: int = OPEN
    batch_size: int = OPEN
    max_epochs: int = OPEN
    patience: int | None = OPEN
    realization: int = OPEN
    augment: bool = OPEN
    amp: str | None = OPEN
    scale_parameterisation: str | None = OPEN
    learn_sigma: bool | None = OPEN
    sigma: float | None = OPEN
    isr: float | None = OPEN
    scale_range: str | None = OPEN
    distribution: str | None = OPEN
    canvas: int = OPEN
    digits: str | None = OPEN

    def __post_init__(self) -> None:
        for key, value in self.study.defaults(self).items():
            if getattr(self, key) is None:
                object.__setattr__(self, key, value)
        # 1 and 1.0 are the same rate and must have the same hash.
        for key in ("lr", "sigma", "isr"):
            if type(value := getattr(self, key)) is int:
                object.__setattr__(self, key, float(value))
        if self.scale_range is not None:
            object.__setattr__(self, "scale_range", scale_ranges.canonical(self.scale_range))
        for key in scale_fields.redundant(self):
            object.__setattr__(self, key, None)

    @property
    def study(self) -> Study:
        return study_of(self.dataset)

    @property
    def scenario(self) -> Scenario:
        return SCENARIOS[self.evaluation]

    @property
    def setting(self) -> str:
        """What is asked of the model: `Mid2Rest`, or `realization 0, augmented`."""
        return self.study.setting(self)

    @property
    def dataset_key(self) -> str:
        """What the data set is called in results: its name, or of a file its stem and a part of the SHA-256 that
        `siconvnet.datasets.identity` gives it.

        A data set of one's own, or of another package, is such a file too: another one may take its name. If it has yet
        to be built, this builds it.
        """
        if is_file(self.dataset):
            return _file_key(self.dataset, Path(self.dataset).stem)
        from siconvnet.datasets.catalog import has_content_of_its_own

        if not has_content_of_its_own(self.dataset):
            return self.dataset
        from benchmark.data import prepare

        return _file_key(str(prepare(self.dataset, progress=False)), self.dataset)

    @property
    def model_key(self) -> str:
        """What identifies the model: its name, or of ``package.module:Class`` that with a part of the SHA-256 of the
        module's file, so that a run is not taken for finished once its author has changed the model."""
        return _source_key(self.model) if ":" in self.model else self.model

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, as 64 hex digits."""
        return self.hash_with(self.model_key, self.dataset_key)

    def hash_with(self, model_key: str, dataset_key: str) -> str:
        """What `hash` is on the machine where model and data set have these keys."""
        study = self.study
        values = {
            name: value
            for name, value in {**self.to_dict(), "model": model_key, "dataset": dataset_key}.items()
            if name in study.identity or name in study.optional or value != getattr(study.protocol, name)
        }
        # json writes floats by repr, the shortest text that reads back as the same number: stable since 3.1.
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    @property
    def name(self) -> str:
        """Short enough for a table: the model, the seed, and whatever is not as in the paper."""
        words = [self.model, self.study.tag(self), f"s{self.seed}"]
        return " ".join([*filter(None, words), *(f"{key}={value}" for key, value in self._changes())])

    @property
    def deviations(self) -> tuple[str, ...]:
        """What is not as in the study's protocol, in words; such a run does not compare with a published figure."""
        protocol = self.study.protocol
        found = [
            f"{key.replace('_', ' ')} {value} instead of {getattr(protocol, key) or 'none'}"
            for key, value in self._changes()
            if key != "lr"
        ]
        if self.lr not in protocol.learning_rates:
            rates = " or ".join(f"{rate:g}" for rate in protocol.learning_rates)
            found.append(f"learning rate {self.lr:g} instead of {rates}")
        return tuple(found)

    @property
    def shortened(self) -> bool:
        """Whether the run is trained for another length than the protocol's."""
        return any(key in ("batch_size", "max_epochs", "patience") for key, _ in self._changes())

    def _changes(self) -> list[tuple[str, Any]]:
        study = self.study
        changes: list[tuple[str, Any]] = [
            (key, getattr(self, key))
            for key in ("kernel_size", "interpolation", "batch_size", "max_epochs", "patience", "amp")
            if key in study.fields and getattr(self, key) != getattr(study.protocol, key)
        ]
        if self.lr != default_lr(self.model, self.dataset, self.evaluation):
            changes.append(("lr", self.lr))
        return changes

    def validate(self) -> RunSpec:
        """This spec, checked.

        Raises:
            UnknownName: model, dataset, evaluation or interpolation is none; the message suggests the nearest.
            InvalidArgument: a number is outside what is accepted, the model is a class that is none, or the study has
                no such model or setting.
            DatasetError: the dataset is a path without a file.
        """
        self._validate_numbers()
        self.study.check(self)
        self.study.check_settings(self)
        self._refuse_foreign()
        return self

    def _refuse_foreign(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            unset = value is None or (field.name == "augment" and value is False)
            if field.name not in self.study.fields and not unset:
                told = scale_fields.option(field.name, value)
                raise InvalidArgument(f"{told} does not apply to a run on {self.dataset}; leave it out.")

    def _validate_numbers(self) -> None:
        for key in (
            "evaluation",
            "kernel_size",
            "seed",
            "batch_size",
            "max_epochs",
            "patience",
            "realization",
            "canvas",
        ):
            value = getattr(self, key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise InvalidArgument(f"{key.replace('_', ' ')} {value!r} is no whole number.")
        if not isinstance(self.augment, bool | None):  # 1 is equal to True, and would be another hash
            raise InvalidArgument(f"augment {self.augment!r} is neither true nor false.")
        if self.amp is not None and self.amp not in PRECISIONS:
            raise UnknownName("mixed precision", self.amp, PRECISIONS)
        if isinstance(self.lr, bool) or not isinstance(self.lr, (int, float)) or not 0 < self.lr < math.inf:
            raise InvalidArgument(f"learning rate {self.lr!r} is not accepted: it must be finite and above 0.")
        if not 0 <= self.seed < 2**32:
            raise InvalidArgument(f"seed {self.seed} is not accepted: it must be within 0 and {2**32 - 1}.")
        for key in ("batch_size", "max_epochs", "patience"):
            if (value := getattr(self, key)) is not None and value < 1:
                raise InvalidArgument(f"{key.replace('_', ' ')} {value} is not accepted: at least 1.")

    def check_effective(self) -> None:
        """Refuse a setting that the model ignores: the run would repeat another under a different name.

        Imports the model. Raises:
            InvalidArgument: a kernel size or an interpolation other than the default that has no effect.
        """
        self.study.check_effective(self)

    def to_dict(self) -> dict[str, Any]:
        """The fields that the study has, as they are stored."""
        optional = self.study.optional
        values = {key: getattr(self, key) for key in self.study.fields}
        return {key: value for key, value in values.items() if value is not None or key not in optional}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunSpec:
        """The spec that `to_dict` gave.

        Every value is checked as far as it can be without the model and the data, which may be on another machine;
        nothing is imported or read.

        Raises:
            InvalidArgument: a field is missing or unknown, or a value is not accepted.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        for key in values:
            if key not in known:
                raise UnknownName("field of a run", key, known)
        if missing := [name for name in ("model", "dataset") if values.get(name) is None]:
            raise InvalidArgument(f"a run needs {', '.join(missing)}.")
        for key, value in values.items():
            _check_kind(key, value, str(known[key].type).partition(" ")[0])
        spec = cls(**values)
        if missing := [name for name in spec.study.identity if getattr(spec, name) is None]:
            raise InvalidArgument(f"a run on {spec.dataset} needs {', '.join(missing)}.")
        spec._validate_numbers()
        spec._refuse_foreign()
        spec.study.check_settings(spec)
        return spec


#: Kind of a field, as it is annotated -> how it is called, and the Python types that are of that kind.
_KINDS: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "str": ("text", (str,)),
    "int": ("an integer", (int,)),
    "float": ("a number", (int, float)),
    "bool": ("true or false", (bool,)),
}
#: Neither a name nor a number of a run is longer; longer ones are somebody's mistake or malice.
_LONGEST_TEXT, _LARGEST = 4096, 2**53


def _check_kind(name: str, value: object, kind: str) -> None:
    if value is None:
        return
    called, types = _KINDS[kind]
    what = name.replace("_", " ")
    if not isinstance(value, types) or (isinstance(value, bool) and kind != "bool"):
        raise InvalidArgument(f"{what} must be {called}, not {reprlib.repr(value)}.")
    if isinstance(value, str) and not (value.isprintable() and 0 < len(value) <= _LONGEST_TEXT):
        raise InvalidArgument(f"{what} must be printable text, not {reprlib.repr(value)}.")
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        raise InvalidArgument(f"{what} {reprlib.repr(value)} is out of range.")


def default_lr(model: str, dataset: str, evaluation: int | None = None) -> float:
    """The rate that the paper selected for this cell; that of the study's protocol where there is none."""
    from benchmark.studies import published

    cell = None if evaluation is None else published.cell(model, dataset, evaluation)
    return cell.lr if cell else study_of(dataset).protocol.lr


def is_key_of(key: str, name: str) -> bool:
    """Whether `key` can be the `model_key` or `dataset_key` of what a spec calls `name`, whatever its content."""
    stem = Path(name).stem if is_file(name) else name
    return key == name or (key.startswith(f"{stem}-") and bool(re.fullmatch("[0-9a-f]{12}", key[len(stem) + 1 :])))


@functools.lru_cache(maxsize=32)
def _file_key(path: str, name: str) -> str:
    from siconvnet.datasets.identity import identify_file

    return f"{name}-{identify_file(Path(path))[:12]}"


@functools.lru_cache(maxsize=32)
def _source_key(target: str) -> str:
    # Read once for each process, as the module itself is: an edit while it runs changes nothing in it.
    module = target.partition(":")[0]
    source = find_source(module)
    if source is None:
        raise InvalidArgument(f"no source file of module {module!r} of the model {target!r}.")
    return f"{target}-{_sha256(source)[:12]}"


def _sha256(path: str | Path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
