"""What a study has to say, and what of it a run needs while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.protocol import Protocol
from benchmark.studies.axes import Axis
from siconvnet.errors import InvalidArgument, SiconvnetError, UnknownName

if TYPE_CHECKING:
    import torch
    from torch import nn

    from benchmark.predictions import Predictions
    from benchmark.spec import RunSpec
    from benchmark.studies.published import PublishedError
    from benchmark.training.loop import Batches


class Task:
    """The data of one run on its device, and the model that fits them.

    Attributes:
        train, valid: what is trained on, and what chooses the weights; None where nothing does, and the last are kept.
    """

    train: Batches
    valid: Batches | None

    def create_model(self) -> nn.Module:
        """The model, freshly initialised from the global random state."""
        raise NotImplementedError

    def predict(self, model: nn.Module) -> Predictions:
        """What a trained model says of the test split."""
        raise NotImplementedError


@dataclass(frozen=True)
class Row:
    """One figure of a run beside the published ones, in rich's markup; `note` says what to think of it."""

    name: str
    ours: str
    published: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """The head of the table at the end of a run.

    Attributes:
        headings: of the columns of published figures.
        reason: why the run must not be measured against these; empty if it may.
        epoch_time: published seconds an epoch.
    """

    rows: tuple[Row, ...]
    headings: tuple[str, ...] = ()
    reason: str = ""
    epoch_time: str = ""


@dataclass(frozen=True)
class DataState:
    """What `benchmark datasets` says of the data of a study.

    Attributes:
        there, parts: how many of how many parts (files, folders) are there.
        place: where they are, or would be.
        how_to_get: what to type.
    """

    name: str
    classes: int
    channels: int
    origin: str
    licence: str
    there: int
    parts: int
    place: str
    how_to_get: str


def count_parameters(model: nn.Module) -> int:
    """Numbers that are trained."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


class Study:
    """One kind of run.

    Attributes:
        name: what its experiments' names begin with.
        title: its name in a sentence.
        fields: the fields of a `RunSpec` that its runs have, as they are stored.
        identity: those of them that are always hashed. The others enter the hash only where they leave the
            protocol, so that a field which a later version adds does not orphan the runs of an earlier one.
        optional: those of them that only some models have; they are left out where they are None, and hashed else.
        data_fields: those that say which data a run reads.
        judged: those that `senseless` looks at.
        models_note: what is said under the list of its models.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    protocol: ClassVar[Protocol]
    fields: ClassVar[tuple[str, ...]]
    identity: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]] = ()
    data_fields: ClassVar[tuple[str, ...]] = ("dataset",)
    judged: ClassVar[tuple[str, ...]] = ()
    models_note: ClassVar[str] = ""

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What grids of its runs go through, the slowest first; `lrs` and `seeds` are the last two."""
        raise NotImplementedError

    def axis(self, name: str) -> Axis:
        """The axis of a name.

        Raises:
            UnknownName: there is none.
        """
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise UnknownName(f"axis of {self.title}", name, [axis.name for axis in self.axes])

    def senseless(self, **judged: Any) -> str:
        """Why a grid leaves out the runs with these values of the fields in `judged`; empty if it does not."""
        return ""

    def data_states(self) -> tuple[DataState, ...]:
        """Where the study's data are; empty for those in the catalogue of STIR's."""
        return ()

    def prepare(self, spec: RunSpec) -> None:
        """See to it that the run's data are there, before many runs ask for them at once.

        Raises:
            DatasetError: they are missing and cannot be built.
        """

    def defaults(self, spec: RunSpec) -> dict[str, Any]:
        """What the fields of `spec` that were left open stand for."""
        fixed = ("lr", "kernel_size", "interpolation", "batch_size", "max_epochs", "patience")
        return {key: getattr(self.protocol, key) for key in fixed if key in self.fields}

    def list_datasets(self) -> list[str]:
        """Names of the data sets of the study."""
        return [self.name]

    def list_models(self, pattern: str = "*") -> list[str]:
        """Names of the models that the study compares."""
        raise NotImplementedError

    def model_row(self, name: str) -> dict[str, Any]:
        """What `benchmark models` says of a model: heading -> figure."""
        raise NotImplementedError

    def takes(self, model: str) -> bool:
        """Whether a model is one for this study."""
        return model in self.list_models()

    def check_model(self, model: str) -> None:
        """
        Raises:
            InvalidArgument: it is a model for another study.
            UnknownName: it is none at all.
        """
        from benchmark.studies import STUDIES

        if self.takes(model):
            return
        for study in STUDIES.values():
            if study.takes(model):
                # A study with a single data set is asked for by its name.
                train = f"train it with --dataset {study.name}, or " if study.list_datasets() == [study.name] else ""
                raise InvalidArgument(
                    f"{model!r} is a model for {study.title}, not for {self.title}; {train}"
                    f"choose one of `benchmark models --study {self.name}`."
                )
        raise self.unknown_model(model)

    def unknown_model(self, model: str) -> SiconvnetError:
        """What to say of a name that is no model of any study."""
        return UnknownName(f"{self.title} model", model, self.list_models())

    def check(self, spec: RunSpec) -> None:
        """Refuse a spec whose model or data are not there, or are not of this study.

        Raises:
            UnknownName, InvalidArgument, DatasetError: as `RunSpec.validate`.
        """
        raise NotImplementedError

    def check_settings(self, spec: RunSpec) -> None:
        """Refuse a setting that is not accepted whatever the model and the data are; imports and reads nothing.

        Raises:
            UnknownName, InvalidArgument: as `RunSpec.validate`.
        """

    def check_effective(self, spec: RunSpec) -> None:
        """Refuse a setting that the model ignores; see `RunSpec.check_effective`."""

    def setting(self, spec: RunSpec) -> str:
        """What is asked of the model, in a few words that follow the data set's name."""
        raise NotImplementedError

    def tag(self, spec: RunSpec) -> str:
        """What a run's name says between its model and its seed."""
        return ""

    def experiment(self, spec: RunSpec, dataset_key: str) -> tuple[str, ...]:
        """The parts of the name of the experiment that the run is logged in; the first is the study's name."""
        raise NotImplementedError

    @property
    def experiments(self) -> tuple[str, ...]:
        """The names of the study's experiments, as patterns of SQL's LIKE."""
        return self.name, f"{self.name}/%"

    def facts(self, spec: RunSpec) -> dict[str, Any]:
        """What is logged of a run beside its spec."""
        return {}

    def open(self, spec: RunSpec, device: torch.device) -> Task:
        """Load the run's data.

        Raises:
            DatasetError: it is missing or broken.
        """
        raise NotImplementedError

    def summarise(self, spec: RunSpec, predictions: Predictions) -> dict[str, float]:
        """The figures of a test, by the names that they are logged under; `test_acc` among them, in percent."""
        raise NotImplementedError

    def section(self, spec: RunSpec) -> str:
        """Which table of a leaderboard the run belongs in; methods are ranked within it."""
        return ""

    def entry(self, spec: RunSpec) -> str:
        """What a row of that table is called. Runs of one section, entry and length are repetitions of each other."""
        return spec.model

    def published(self, spec: RunSpec) -> tuple[PublishedError, ...]:
        """The errors that were published for the run's entry."""
        from benchmark.studies import published

        return tuple(
            error
            for error in published.all_errors(self.name)
            if error.model == spec.model and all(getattr(spec, name) == value for name, value in error.settings)
        )

    def published_specs(self) -> list[RunSpec]:
        """A run of each entry that errors were published for."""
        from benchmark.spec import RunSpec
        from benchmark.studies import published

        errors = published.all_errors(self.name)
        stated: list[dict[str, Any]] = [{"model": error.model, **dict(error.settings)} for error in errors]
        found = [RunSpec(dataset=self.name, **values) for values in stated]
        return list(dict.fromkeys(found))

    def compare(self, spec: RunSpec, metrics: Mapping[str, float]) -> Comparison:
        """A run's final figures beside the published ones."""
        raise NotImplementedError
