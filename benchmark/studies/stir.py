"""STIR: objects at 48 sizes; a model learns from a third of the sizes and is tested on others (arXiv 2211.10288)."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.protocol import ALL_SCALES, BANDS, PAPER, SCENARIOS, Band, Scenario, find_scenario
from benchmark.studies import axes, ranges, scale_fields
from benchmark.studies.axes import Axis
from benchmark.studies.base import Comparison, PublishedFigure, Row, Task
from benchmark.studies.lookup import register_study, unknown_dataset
from benchmark.studies.settings import batch_size, learning_rate, max_epochs, patience, seed, setting
from siconvnet.errors import DatasetError, InvalidArgument, SiconvnetError
from siconvnet.names import INTERPOLATIONS

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from benchmark.predictions import Integers, Predictions
    from benchmark.spec import RunSpec
    from benchmark.studies.published import PublishedCell
    from benchmark.training.loop import Batches
    from siconvnet.datasets import StirDataset
    from siconvnet.datasets.stir import LevelSubset


def is_file(dataset: str) -> bool:
    """Whether `dataset` is meant as a path; names of data sets have no suffix."""
    return dataset.lower().endswith(".npz")


_SCENARIOS = ", ".join(f"{number} {scenario.name}" for number, scenario in SCENARIOS.items())


def _evaluation(text: str) -> int:
    return find_scenario(text).id


@dataclass(frozen=True, kw_only=True)
class StirSettings(scale_fields.LearnedScaleSettings):
    """Settings of a run on STIR.

    Attributes:
        evaluation: scenario, 1 to 4.
        kernel_size: side of the kernels, odd; both stages are unpadded, so 2 (k - 1) < 64 as well.
        interpolation: how kernels are rescaled.
    """

    study = "stir"

    evaluation: int = setting(
        help=f"Scenario: {_SCENARIOS}.",
        axis=Axis("evaluations", "evaluation", ranges.evaluations, ranges.ALL, "As 1-4, or names."),
        parse=_evaluation,
        short="-e",
        missing=f"an evaluation: --evaluation with one of {_SCENARIOS}",
    )
    kernel_size: int = setting(
        PAPER.kernel_size,
        help="Side of the kernels in pixels; odd, 3 to 31.",
        protocol=True,
        axis=axes.whole_numbers("kernel_sizes", "kernel_size", default=PAPER.kernel_size, help="As 5,7,9."),
    )
    interpolation: str = setting(
        PAPER.interpolation,
        help=f"How kernels are rescaled: {', '.join(INTERPOLATIONS)}.",
        protocol=True,
        axis=axes.choices(
            "interpolations",
            "interpolation",
            lambda: INTERPOLATIONS,
            kind="interpolation",
            default=PAPER.interpolation,
            help=f"{', '.join(INTERPOLATIONS)}.",
        ),
    )
    lr: float = learning_rate(PAPER, f"what the paper selected for this cell, else {PAPER.lr:g}")
    seed: int = seed(1, grid=f"{PAPER.selection_seeds[0]}-{PAPER.selection_seeds[-1]}")
    batch_size: int = batch_size(PAPER)
    max_epochs: int = max_epochs(PAPER)
    patience: int | None = patience(PAPER)
    scale_parameterisation: str | None = scale_fields.parameterisation_setting()
    learn_sigma: bool | None = scale_fields.learn_sigma_setting()
    sigma: float | None = scale_fields.sigma_setting()
    isr: float | None = scale_fields.isr_setting()

    @property
    def scenario(self) -> Scenario:
        return SCENARIOS[self.evaluation]


class Stir(scale_fields.LearnedScaleStudy[StirSettings]):
    name = "stir"
    title = "STIR"
    protocol = PAPER
    settings = StirSettings
    before_model = ("evaluation",)
    takes_files = True
    judged = ("kernel_size", "interpolation", *scale_fields.FIELDS)
    timing_settings: ClassVar = {"evaluation": 3}  # the largest objects
    counted_at = (1, 36)  # emoji, the smallest data set
    figure, statistic, repetitions = "test_acc", "median", "seeds"
    beside = ("unseen_acc",)
    selected_at = ("kernel_size", "interpolation")
    published_note, published_machine = "published: arXiv 2211.10288.", "one NVIDIA A100"
    offers = ("predictions", "model", "objects")

    def senseless(self, **judged: Any) -> str:
        scales = {name: judged.pop(name) for name in scale_fields.FIELDS}
        return _senseless(**judged) or super().senseless(model=judged["model"], **scales)

    def owns(self, dataset: str) -> bool:
        return is_file(dataset) or super().owns(dataset)

    def is_own_data(self, dataset: str) -> bool:
        return is_file(dataset)

    def dataset_key(self, dataset: str) -> str:
        if is_file(dataset):
            return _file_key(Path(dataset), Path(dataset).stem)
        from siconvnet.datasets.catalog import dataset_path, has_content_of_its_own

        return _file_key(dataset_path(dataset), dataset) if has_content_of_its_own(dataset) else dataset

    def prepare(self, spec: RunSpec[StirSettings]) -> None:
        from benchmark.data import prepare

        if not is_file(spec.dataset):
            prepare(spec.dataset)

    def default_lr(self, spec: RunSpec[StirSettings]) -> float:
        from benchmark.studies import published

        cell = published.cell(spec.model, spec.dataset, spec.settings.evaluation)
        return cell.lr if cell else super().default_lr(spec)

    def list_datasets(self) -> list[str]:
        from siconvnet.datasets import list_datasets

        return list_datasets()

    def unknown_model(self, model: str) -> SiconvnetError:
        import siconvnet

        try:
            siconvnet.model_info(model)
        except SiconvnetError as error:
            return error
        return super().unknown_model(model)

    def check(self, spec: RunSpec[StirSettings]) -> None:
        from siconvnet.datasets import list_datasets

        if is_file(spec.dataset):
            if not Path(spec.dataset).is_file():
                raise DatasetError(f"no data file {spec.dataset!r}; give a known data set or an existing .npz.")
        elif spec.dataset not in list_datasets():
            raise unknown_dataset(spec.dataset)
        super().check(spec)

    def check_settings(self, spec: RunSpec[StirSettings]) -> None:
        from siconvnet.models import check_model_arguments

        find_scenario(spec.settings.evaluation)
        # Channels and classes come with the data and are checked there.
        check_model_arguments(1, 2, spec.settings.kernel_size, spec.settings.interpolation)
        super().check_settings(spec)

    def check_effective(self, spec: RunSpec[StirSettings]) -> None:
        import siconvnet

        info = siconvnet.model_info(spec.model)
        for key, used in (
            ("kernel_size", info.uses_kernel_size),
            ("interpolation", info.uses_interpolation),
        ):
            value = getattr(spec.settings, key)
            if not used and value != self.setting_of(key).default:
                raise InvalidArgument(
                    f"model {spec.model!r} does not use the {key.replace('_', ' ')}; leave out "
                    f"--{key.replace('_', '-')} {value}."
                )

    def setting(self, spec: RunSpec[StirSettings]) -> str:
        return find_scenario(spec.settings.evaluation).name

    def check_setting(self, **setting: Any) -> None:
        from siconvnet.models import check_model_arguments

        # Channels and classes come with the data.
        check_model_arguments(
            1, 2, setting.get("kernel_size", PAPER.kernel_size), setting.get("interpolation", PAPER.interpolation)
        )

    def section(self, spec: RunSpec[StirSettings]) -> str:
        return self.setting(spec)

    def seen_sizes(self, spec: RunSpec[StirSettings]) -> Collection[int] | None:
        return spec.settings.scenario.train_scales

    def num_classes(self, dataset: str) -> int | None:
        from siconvnet.datasets import dataset_info
        from siconvnet.datasets.schema import read_summary

        try:
            place = find_data(dataset)
            return read_summary(Path(place)).num_classes if is_file(place) else dataset_info(place).num_classes
        except SiconvnetError:
            return None

    def export_by_size(self, per_run: pd.DataFrame) -> pd.DataFrame:
        from benchmark.results.sizes import scales_to_wide

        return scales_to_wide(per_run.assign(model=per_run["entry"]))

    def locate(self, dataset: str) -> str:
        return find_data(dataset)

    def published_runs(self) -> pd.DataFrame:
        from benchmark.studies import published

        return published.runs()

    def published_figures(self, metric: str) -> list[PublishedFigure]:
        from benchmark.studies import published

        return published.stir_figures(metric)

    def experiment(self, spec: RunSpec[StirSettings], dataset_key: str) -> tuple[str, ...]:
        return (self.name, dataset_key, self.setting(spec))

    def facts(self, spec: RunSpec[StirSettings]) -> dict[str, Any]:
        return {"scenario": self.setting(spec), **super().facts(spec)}

    def open(self, spec: RunSpec[StirSettings], device: torch.device) -> Task:
        return StirTask(spec, device)

    def summarise(self, spec: RunSpec[StirSettings], predictions: Predictions) -> dict[str, float]:
        from benchmark.predictions import summarise

        return summarise(predictions, spec.settings.scenario)

    def compare(self, spec: RunSpec[StirSettings], metrics: Mapping[str, float]) -> Comparison:
        from benchmark.predictions import band_metric
        from benchmark.studies import published

        cell = published.cell(spec.model, spec.dataset, spec.settings.evaluation)
        reason = incomparable(spec, cell)
        accuracy = metrics["test_acc"]
        rows = [
            Row(
                "[bold]test accuracy[/]",
                f"[bold]{accuracy:.2f} %[/]",
                (f"{cell.mean:.2f} ± {cell.std:.2f} %" if cell else "",),
                _distance(accuracy, cell) if cell and not reason else "",
            )
        ]
        if cell:
            # One run stands beside a mean: what single runs came to tells whether it is an odd one.
            single = published.accuracies(cell)
            rows.append(Row("  single runs", "", (f"{min(single):.2f} to {max(single):.2f} %",)))
        means = _published_bands(spec) if cell else {}
        for band in BANDS:
            shown = f"{means[band]:.2f} %" if band in means else ""
            seen = "[dim]seen in training[/]" if spec.settings.scenario.saw(band) else ""
            ours = f"{metrics[band_metric(band.first, band.last)]:.2f} %"
            rows.append(Row(f"  sizes {band.label}", ours, (shown,), seen))
        heading = f"published ({cell.runs} runs)" if cell else ""
        return Comparison(tuple(rows), (heading,), reason, f"{cell.mean_epoch_seconds:.2f} s" if cell else "")


@functools.lru_cache(maxsize=4096)
def _senseless(model: str, kernel_size: int, interpolation: str) -> str:
    """Imports the model where the others are not the paper's."""
    changed = [
        (what, name)
        for what, name, value in (
            ("kernel size", "kernel_size", kernel_size),
            ("interpolation", "interpolation", interpolation),
        )
        if value != STIR.setting_of(name).default
    ]
    if not changed:
        return ""
    import siconvnet

    info = siconvnet.model_info(model)
    used = {"kernel_size": info.uses_kernel_size, "interpolation": info.uses_interpolation}
    ignored = [what for what, name in changed if not used[name]]
    return f"{model} does not use the {' and the '.join(ignored)}" if ignored else ""


@functools.lru_cache(maxsize=32)
def _file_key(path: Path, name: str) -> str:
    from siconvnet.datasets.identity import identify_file

    return f"{name}-{identify_file(path)[:12]}"


class StirTask(Task):
    """One scenario of a data set."""

    test: Pictures

    def __init__(self, spec: RunSpec[StirSettings], device: torch.device):
        from siconvnet.datasets.stir import Part, select_levels

        self.spec, self.data = spec, load_data(spec.dataset)
        scales = spec.settings.scenario.train_scales
        # All sizes are tested, also those that the scenario does not: accuracy by size needs no second pass then.
        # Read now what is needed last: hours of training must not end in images for which there is no room.
        parts = [Part("train", scales, shuffle=True), Part("valid", scales, shuffle=True), Part("test", ALL_SCALES)]
        subsets = select_levels(self.data, parts)
        self.train, self.valid, self.test = (Pictures(subset, device) for subset in subsets)

    def create_model(self) -> nn.Module:
        from siconvnet import create_model

        return create_model(
            self.spec.model,
            num_channels=self.data.num_channels,
            num_classes=self.data.num_classes,
            kernel_size=self.spec.settings.kernel_size,
            interpolation=self.spec.settings.interpolation,
            **scale_fields.resolved(self.spec),
        )

    def test_split(self) -> tuple[Batches, Integers]:
        return self.test, self.test.scales


class Pictures:
    """A split in the order in which it is used, turned into images on the device batch by batch.

    What fits in memory is kept on the device as gray levels.

    Attributes:
        scales: (N,) int64, side of the object in pixels.
    """

    def __init__(self, subset: LevelSubset, device: torch.device):
        import torch

        from siconvnet.datasets.levels import LevelsInMemory

        self.labels = torch.from_numpy(subset.labels).to(device)
        self.scales = subset.scales
        self._levels = subset.levels
        self._held = None
        if isinstance(subset.levels, LevelsInMemory):
            self._held = torch.from_numpy(subset.levels.array).to(device)
        # On the device, because dividing by a number of Python is multiplying by its rounded inverse on a GPU.
        self._white = torch.tensor(255.0, device=device)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images [N, C, 64, 64], float32 in 0..1, and labels [N]."""
        import torch

        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            if self._held is None:
                levels = torch.from_numpy(self._levels.read(start, stop)).to(self.labels.device)
            else:
                levels = self._held[start:stop]
            yield levels.float() / self._white, self.labels[start:stop]


def load_data(dataset: str) -> StirDataset:
    """The data set of a name or a file; one that can be built is built first.

    Raises:
        DatasetError: it is missing or broken.
    """
    from benchmark.data import prepare
    from siconvnet.datasets import load_dataset

    return load_dataset(dataset if is_file(dataset) else prepare(dataset))


def find_data(key: str) -> str:
    """The data set that results know by `key`: its name, or the path of the file that `key` is.

    Raises:
        DatasetError: it is not here; the message says what to type.
    """
    from siconvnet.datasets.catalog import has_content_of_its_own, list_datasets

    if is_file(key):
        return key
    if key in (names := list_datasets()):
        return key
    name = key.rpartition("-")[0]
    if name in names and has_content_of_its_own(name) and STIR.dataset_key(name) == key:
        return name
    now = f"; the data set {name!r} in the data folder has another content" if name in names else ""
    raise DatasetError(f"the data of {key!r} are not in the data folder{now}; name their file: --dataset {name}.npz")


def incomparable(spec: RunSpec[StirSettings], cell: PublishedCell | None) -> str:
    """Why a run must not be measured against the published cell; empty if it may."""
    if cell is None:
        return "nothing published for this cell"
    rate = () if spec.lr == cell.lr else (f"learning rate {spec.lr:g} instead of {cell.lr:g}",)
    # A rate that the paper never tried is named once, with the one that it chose.
    changes = [change for change in spec.deviations if not change.startswith("learning rate")]
    return "; ".join([*changes, *rate])


def _distance(accuracy: float, cell: PublishedCell) -> str:
    if not cell.std > 0:
        return ""
    away = (accuracy - cell.mean) / cell.std
    colour = "green" if abs(away) <= 2 else "yellow"
    side = "above" if away >= 0 else "below"
    return f"[{colour}]{abs(away):.1f} std {side} the mean[/]"


def _published_bands(spec: RunSpec[StirSettings]) -> dict[Band, float]:
    """Mean over a band of the published accuracy by size."""
    from benchmark.studies import published

    frame = published.generalization()
    cell = frame[
        (frame["model"] == spec.model)
        & (frame["dataset"] == spec.dataset)
        & (frame["evaluation"] == spec.settings.evaluation)
    ]
    means = {band: cell[cell["scale"].isin(band.scales)]["accuracy_mean"].mean() for band in BANDS}
    return {band: mean for band, mean in means.items() if mean == mean}


STIR = Stir()
register_study(STIR)
