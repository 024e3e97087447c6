"""What a study has to say, and what of it a run needs while it goes on."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sized
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar
from typing import Protocol as Interface

from benchmark.protocol import Protocol
from benchmark.studies import axes
from benchmark.studies.axes import Axis
from benchmark.studies.settings import Hashed, Setting, Settings, settings_of
from siconvnet.errors import SiconvnetError, UnknownName
from siconvnet.models import is_target

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from benchmark.predictions import Integers, Predictions
    from benchmark.spec import RunSpec
    from benchmark.studies.published import PublishedError
    from benchmark.training.loop import Batches


S = TypeVar("S", bound=Settings)


class Labelled(Interface):
    """A split with a label for each image."""

    @property
    def labels(self) -> Sized: ...


class Task:
    """The data of one run on its device, and the model that fits them.

    Attributes:
        train, valid: what is trained on, and what chooses the weights; None where nothing does, and the last are kept.
        test: what `test_split` is made of.
    """

    train: Batches
    valid: Batches | None
    test: Labelled

    @property
    def sizes(self) -> dict[str, int]:
        """How many images each split has: train, test and, where there is one, valid."""
        splits: dict[str, Labelled] = {"train": self.train, "test": self.test}
        if self.valid is not None:
            splits["valid"] = self.valid
        return {name: len(split.labels) for name, split in splits.items()}

    def create_model(self) -> nn.Module:
        """The model, freshly initialised from the global random state."""
        raise NotImplementedError

    def test_split(self) -> tuple[Batches, Integers]:
        """The test images in a fixed order, and the side of each one's object in pixels, [N] int64."""
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
class PublishedFigure:
    """A mean that was published of a metric, of the runs that differ from `spec` in seed or realization alone.

    Attributes:
        source: who published it, short enough for the heading of a column.
        mean, std: over the runs; NaN where it was not given.
        runs: how many these are; None where it was not given.
        median: NaN where it was not given.
        seconds_per_epoch: NaN where it was not given.
    """

    source: str
    spec: RunSpec[Any]
    mean: float
    std: float
    runs: int | None
    median: float = math.nan
    seconds_per_epoch: float = math.nan


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


class Study(Generic[S]):
    """One benchmark: which data are trained on, with which settings, and how results are read.

    Attributes:
        name: what its experiments' names begin with.
        title: its name in a sentence.
        protocol: how its models are trained.
        settings: the class of its settings.
        before_model: settings that vary more slowly than the model in its grids.
        takes_files: whether a data set may also be one of the user's own: a name of another package or a file.
        data_settings: settings that say which data a run reads.
        judged: settings that `senseless` looks at, beside the model.
        timing_settings: settings of the run that `benchmark speed` times.
        timing_batch_size: images in a batch that it times, unless asked otherwise.
        epoch_images: images of an epoch, where it times epochs by `epoch_ways`; None: it times training steps.
        counted_at: channels and classes of a published setting, at which the parameters of models are counted.
        models_note: what is said under the list of its models.
        figure: the metric that ranks its methods (`benchmark.results.metrics`).
        statistic: what a row of its tables shows beside the mean, "median" or "best".
        beside: further metrics that its tables show, where all runs of a row have them.
        repetitions: what a row of its tables is the mean over, in the plural.
        selected_at: the fields of which a table shows one value, the protocol's unless another is asked for.
        repeated: the fields in which the runs of one row differ.
        published_note: what is said under a table that shows published figures.
        published_machine: what published times were measured on.
        offers: what of its runs metrics can look at: "predictions", "model", "objects" (each at all sizes).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    protocol: ClassVar[Protocol]
    settings: ClassVar[type[Settings]]
    before_model: ClassVar[tuple[str, ...]] = ()
    takes_files: ClassVar[bool] = False
    data_settings: ClassVar[tuple[str, ...]] = ()
    judged: ClassVar[tuple[str, ...]] = ()
    timing_settings: ClassVar[Mapping[str, Any]] = {}
    timing_batch_size: ClassVar[int] = 16
    epoch_images: ClassVar[int | None] = None
    counted_at: ClassVar[tuple[int, int]] = (1, 10)
    models_note: ClassVar[str] = ""
    figure: ClassVar[str] = "test_err"
    statistic: ClassVar[str] = "best"
    beside: ClassVar[tuple[str, ...]] = ()
    repetitions: ClassVar[str] = "runs"
    selected_at: ClassVar[tuple[str, ...]] = ()
    repeated: ClassVar[tuple[str, ...]] = ("seed",)
    published_note: ClassVar[str] = ""
    published_machine: ClassVar[str] = ""
    offers: ClassVar[tuple[str, ...]] = ("predictions",)

    @property
    def selects_lr(self) -> bool:
        """Whether a method's learning rate is chosen among several by validation, as the protocol says."""
        return len(self.protocol.learning_rates) > 1

    @property
    def section_fields(self) -> tuple[str, ...]:
        """The fields, besides the data set, that tell its tables apart: what is asked of every model alike."""
        known = settings_of(self.settings)
        return tuple(name for name in self.before_model if name not in self.repeated and not known[name].protocol)

    @property
    def row_fields(self) -> tuple[str, ...]:
        """The fields in which the runs of two rows of a table differ."""
        others = {"dataset", *self.section_fields, *self.repeated, *(("lr",) if self.selects_lr else ())}
        return tuple(name for name in self.fields if name not in others)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a run as they are stored: model, data set and settings."""
        return ("model", "dataset", *settings_of(self.settings))

    @property
    def identity(self) -> tuple[str, ...]:
        """Those of the fields that every run states."""
        always = (name for name, found in settings_of(self.settings).items() if found.hashed is Hashed.ALWAYS)
        return ("model", "dataset", *always)

    @property
    def optional(self) -> tuple[str, ...]:
        """Settings that concern some models only; they are left out where they are None."""
        return tuple(name for name, found in settings_of(self.settings).items() if found.hashed is Hashed.GIVEN)

    def setting_of(self, name: str) -> Setting:
        """A setting by name.

        Raises:
            UnknownName: the study has no such setting.
        """
        known = settings_of(self.settings)
        if name not in known:
            raise UnknownName(f"setting of a run on {self.title}", name, known)
        return known[name]

    def read(self, name: str, value: Any) -> Any:
        """The value of a field of a run that was written as text; other values are kept."""
        return value if name in ("model", "dataset") else self.setting_of(name).read(value)

    def settings_for(self, model: str, values: Mapping[str, Any]) -> S:
        """The settings of a run of `model`, with the defaults of those that are left out.

        Args:
            values: by names of the study's settings, the required ones among them.
        """
        return self.settings(**values)  # type: ignore[return-value]

    def owns(self, dataset: str) -> bool:
        """Whether a data set is one of this study."""
        return dataset in self.list_datasets()

    def dataset_key(self, dataset: str) -> str:
        """What a data set is called in results; see `RunSpec.dataset_key`."""
        return dataset

    @functools.cached_property
    def axes(self) -> tuple[Axis, ...]:
        """What grids of its runs vary, the slowest first; `lrs` and `seeds` are the last two."""
        varied = {name: found.axis for name, found in settings_of(self.settings).items() if found.axis}
        first, last = self.before_model, ("lr", "seed")
        between = [axis for name, axis in varied.items() if name not in (*first, *last)]
        return (
            axes.datasets(self.list_datasets, other=self.is_own_data),
            *(varied[name] for name in first),
            axes.models(self.list_models, other=is_target),
            *between,
            *(varied[name] for name in last),
        )

    def is_own_data(self, dataset: str) -> bool:
        """Whether `dataset` is meant as a file of the user's own that this study takes."""
        return False

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

    def prepare(self, spec: RunSpec[S]) -> None:
        """See to it that the run's data are there, before many runs ask for them at once.

        Raises:
            DatasetError: they are missing and cannot be built.
        """

    def default_lr(self, spec: RunSpec[S]) -> float:
        """The learning rate of a run that names none: what the paper selected for it, else the protocol's."""
        return self.protocol.lr

    def list_datasets(self) -> list[str]:
        """Names of the data sets of the study."""
        return [self.name]

    def list_models(self, pattern: str = "*") -> list[str]:
        """Names of the models that can be trained in the study: published for it, or of another package."""
        import siconvnet

        return siconvnet.list_models(pattern, study=self.name)

    def takes(self, model: str) -> bool:
        """Whether a model is one for this study; a class of the user's own is."""
        return is_target(model) or model in self.list_models()

    def unknown_model(self, model: str) -> SiconvnetError:
        """What to say of a name that is no model of any study."""
        return UnknownName(f"{self.title} model", model, self.list_models())

    def check(self, spec: RunSpec[S]) -> None:
        """Refuse a spec whose data do not exist, or whose model does not go with its settings.

        That there is such a model, and that it is one for this study, has been checked.

        Raises:
            UnknownName, InvalidArgument, DatasetError: as `RunSpec.validate`.
        """

    def check_settings(self, spec: RunSpec[S]) -> None:
        """Refuse settings that are not accepted whatever the model and the data are; imports and reads nothing.

        Each setting has been checked by itself (`Settings.check`).

        Raises:
            UnknownName, InvalidArgument: as `RunSpec.validate`.
        """

    def check_effective(self, spec: RunSpec[S]) -> None:
        """Refuse a setting that the model ignores; see `RunSpec.check_effective`."""

    def setting(self, spec: RunSpec[S]) -> str:
        """What is asked of the model, in a few words that follow the data set's name."""
        raise NotImplementedError

    def tag(self, spec: RunSpec[S]) -> str:
        """What a run's name says between its model and its seed."""
        return ""

    def experiment(self, spec: RunSpec[S], dataset_key: str) -> tuple[str, ...]:
        """The parts of the name of the experiment that the run is logged in; the first is the study's name."""
        raise NotImplementedError

    @property
    def experiments(self) -> tuple[str, ...]:
        """The names of the study's experiments, as patterns of SQL's LIKE."""
        return self.name, f"{self.name}/%"

    def timing_sample(self, spec: RunSpec[S], batch_size: int) -> tuple[Callable[[], nn.Module], Tensor, Tensor]:
        """What builds the model of a run, and one batch of its training images and labels, for `benchmark speed`.

        Raises:
            DatasetError: the data are missing.
        """
        import torch

        task = self.open(spec, torch.device("cpu"))
        images, labels = next(iter(task.train.batches(batch_size)))
        return task.create_model, images, labels

    def epoch_ways(
        self, count: int, batch_size: int, device: torch.device
    ) -> AbstractContextManager[Mapping[str, Callable[[], Iterable[tuple[Tensor, Tensor]]]]]:
        """Where `epoch_images` is set: way -> `count` training images in batches, read as that way does.

        The ways are "plain", that of the authors' code, and "fast", that of a run here.

        Raises:
            DatasetError: the data are missing.
        """
        raise NotImplementedError

    def facts(self, spec: RunSpec[S]) -> dict[str, Any]:
        """What is logged of a run beside its spec."""
        return {}

    def open(self, spec: RunSpec[S], device: torch.device) -> Task:
        """Load the run's data.

        Raises:
            DatasetError: it is missing or broken.
        """
        raise NotImplementedError

    def summarise(self, spec: RunSpec[S], predictions: Predictions) -> dict[str, float]:
        """The figures of a test, by the names that they are logged under; `test_acc` among them, in percent."""
        raise NotImplementedError

    def check_setting(self, **setting: Any) -> None:
        """Refuse values that no run has of the fields in `selected_at`.

        Raises:
            InvalidArgument, UnknownName: there is such a value.
        """

    def section(self, spec: RunSpec[S]) -> str:
        """The title of the table that the run belongs in; methods are ranked within it."""
        return ""

    def entry(self, spec: RunSpec[S]) -> str:
        """What a row of that table is called."""
        return spec.model

    def seen_sizes(self, spec: RunSpec[S]) -> Collection[int] | None:
        """The sides in pixels of the objects that the run was trained on; None where training shows all sizes."""
        return None

    def num_classes(self, dataset: str) -> int | None:
        """How many classes a data set has that results know by this key; None where that is not known here."""
        return next((state.classes for state in self.data_states()), None)

    def export_by_size(self, per_run: pd.DataFrame) -> pd.DataFrame:
        """The table that `benchmark export --table generalization` writes.

        Args:
            per_run: as for `benchmark.results.sizes.errors_to_wide`.
        """
        from benchmark.results.sizes import errors_to_wide

        return errors_to_wide(self, per_run)

    def locate(self, dataset: str) -> str:
        """The name or path of the data set that results know by this key.

        Raises:
            DatasetError: it is not here; the message says what to type.
        """
        return dataset

    def published_runs(self) -> pd.DataFrame | None:
        """The single runs that were published, as `benchmark.results.runs.table`; None where there are none."""
        return None

    def published_figures(self, metric: str) -> list[PublishedFigure]:
        """What was published of a metric, a method, setting and source each."""
        from benchmark.spec import RunSpec
        from benchmark.studies import published

        if metric != self.figure:
            return []
        return [
            PublishedFigure(
                error.source,
                RunSpec(error.model, self.name, **dict(error.settings)),
                error.mean,
                math.nan if error.std is None else error.std,
                error.runs,
            )
            for error in published.all_errors(self.name)
        ]

    def published(self, spec: RunSpec[S]) -> tuple[PublishedError, ...]:
        """The errors that were published for the run's entry."""
        from benchmark.studies import published

        return tuple(
            error
            for error in published.all_errors(self.name)
            if error.model == spec.model
            and all(getattr(spec.settings, name) == value for name, value in error.settings)
        )

    def published_specs(self) -> list[RunSpec[S]]:
        """A run of each entry that errors were published for."""
        from benchmark.spec import RunSpec
        from benchmark.studies import published

        errors = published.all_errors(self.name)
        stated: list[dict[str, Any]] = [{"model": error.model, **dict(error.settings)} for error in errors]
        found = [RunSpec(dataset=self.name, **values) for values in stated]
        return list(dict.fromkeys(found))

    def compare(self, spec: RunSpec[S], metrics: Mapping[str, float]) -> Comparison:
        """A run's final figures beside the published ones."""
        raise NotImplementedError
