"""MNIST-range: digits at sizes over a stated range on a large canvas, the toy study of learned scales.

Basting, Bruintjes, Wiedemer, Kuemmerer, Bethge, van Gemert, "Scale Learning in Scale-Equivariant Convolutional
Networks", VISAPP 2024. Each digit stands in the middle of the canvas and has one size, drawn once. The small digits lie
on the device; they are enlarged batch by batch, so that a canvas takes no memory but that of a batch. All random
numbers come from the CPU's generators, so that the batches of a seed are the same on every device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.protocol import MNIST_RANGE
from benchmark.studies import axes, object_scales, scale_fields
from benchmark.studies.axes import Axis
from benchmark.studies.base import DataState, Task
from benchmark.studies.errors import ErrorStudy, check_batches
from benchmark.studies.lookup import register_study
from benchmark.studies.scale_ranges import canonical, parse_range
from benchmark.studies.settings import batch_size, learning_rate, max_epochs, patience, seed, setting
from siconvnet.errors import InvalidArgument, UnknownName

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from benchmark.data.mnist_range import Digits
    from benchmark.predictions import Integers
    from benchmark.spec import RunSpec
    from benchmark.training.loop import Batches

CANVAS, LARGEST_CANVAS = 168, 252
#: Side in pixels of the square that a digit of MNIST fills; its image is 28 pixels wide, the rest is margin.
INK = 20
NUM_CLASSES = 10
TRAINING_DIGITS = {"full": 10_000, "embedded": 500}


def _scale_ranges(value: object) -> tuple[Any, ...]:
    """Ranges hold commas, so semicolons separate them; or a list."""
    items = value if isinstance(value, (list, tuple)) else str(value).split(";")
    found = [canonical(item) for item in items]
    for item in found:
        parse_range(item)
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, kw_only=True)
class MnistRangeSettings(scale_fields.LearnedScaleSettings):
    """Settings of a run on MNIST-range.

    Attributes:
        scale_range: smallest and largest scale of the digits; a pair, or text such as "1,8".
        distribution: how these scales are distributed, see `benchmark.studies.object_scales`.
        canvas: side of the images in pixels.
        digits: the "full" 70,000 digits or the 1,500 "embedded" ones.
    """

    study = "mnist-range"

    scale_range: str = setting(
        "1,8",
        help="Smallest and largest scale of the digits, as LOW,HIGH.",
        axis=Axis("scale_ranges", "scale_range", _scale_ranges, "1,8", "As '1,2.83; 1,8'."),
    )
    distribution: str = setting(
        "loguniform",
        help=f"How scales are distributed: {', '.join(object_scales.DISTRIBUTIONS)}.",
        axis=axes.choices(
            "distributions",
            "distribution",
            lambda: object_scales.DISTRIBUTIONS,
            kind="distribution",
            default="loguniform",
            help=f"{', '.join(object_scales.DISTRIBUTIONS)}.",
        ),
    )
    canvas: int = setting(
        CANVAS,
        help="Side of the images in pixels.",
        axis=axes.whole_numbers("canvases", "canvas", default=CANVAS, help="Side of the images in pixels."),
    )
    digits: str = setting(
        "full",
        help="full (70,000 digits), or embedded (1,500, in the package).",
        axis=axes.choices(
            "digits",
            "digits",
            lambda: list(TRAINING_DIGITS),
            kind="choice of digits",
            default="full",
            help="full or embedded.",
        ),
    )
    lr: float = learning_rate(MNIST_RANGE)
    seed: int = seed(0, grid="0-2")
    batch_size: int = batch_size(MNIST_RANGE)
    max_epochs: int = max_epochs(MNIST_RANGE)
    patience: int | None = patience(MNIST_RANGE)
    scale_parameterisation: str | None = scale_fields.parameterisation_setting()
    learn_sigma: bool | None = scale_fields.learn_sigma_setting()
    sigma: float | None = scale_fields.sigma_setting()
    isr: float | None = scale_fields.isr_setting()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale_range", canonical(self.scale_range))
        super().__post_init__()


class MnistRange(scale_fields.LearnedScaleStudy[MnistRangeSettings], ErrorStudy[MnistRangeSettings]):
    name = "mnist-range"
    title = "MNIST-range"
    protocol = MNIST_RANGE
    settings = MnistRangeSettings
    timing_settings: ClassVar = {"digits": "embedded"}
    repetitions = "seeds"
    before_model = ("scale_range", "distribution", "canvas", "digits")
    judged = scale_fields.FIELDS
    data_settings = ("digits",)
    models_note = "One layer whose scales are learned (run --scale-parameterisation)."

    def data_states(self) -> tuple[DataState, ...]:
        from benchmark.data.mnist_range import digits_path

        path = digits_path()
        told = "built by: benchmark data build mnist-range; or --digits embedded"
        there = int(path.is_file())
        return (DataState(self.name, NUM_CLASSES, 1, "MNIST", "CC BY-SA 3.0", there, 1, str(path), told),)

    def prepare(self, spec: RunSpec[MnistRangeSettings]) -> None:
        from benchmark.data.mnist_range import load

        load(spec.settings.digits, spec.seed)

    def check_settings(self, spec: RunSpec[MnistRangeSettings]) -> None:
        settings = spec.settings
        scale_fields.check_settings(spec, settings.canvas)
        low, high = parse_range(settings.scale_range)
        object_scales.check(settings.distribution, low, high)
        if settings.digits not in TRAINING_DIGITS:
            raise UnknownName("choice of digits", settings.digits, TRAINING_DIGITS)
        if settings.canvas % 4 or not 28 <= settings.canvas <= LARGEST_CANVAS:
            raise InvalidArgument(f"canvas {settings.canvas} is not accepted: a multiple of 4, 28 to {LARGEST_CANVAS}.")
        if INK * high > settings.canvas:
            raise InvalidArgument(
                f"scale range {settings.scale_range} leaves the canvas: a digit of {INK} pixels is {INK * high:g} "
                f"pixels wide at scale {high:g}, and the canvas has {settings.canvas}; scales up to "
                f"{settings.canvas / INK:g} fit."
            )
        if INK * low < 1:
            raise InvalidArgument(
                f"scale range {settings.scale_range} is too small: a digit of {INK} pixels is less than one pixel "
                f"wide at scale {low:g}; scales from {1 / INK:g} on leave something of it."
            )
        check_batches(spec.batch_size, TRAINING_DIGITS[settings.digits])

    def setting(self, spec: RunSpec[MnistRangeSettings]) -> str:
        settings = spec.settings
        words = [f"{settings.distribution} {settings.scale_range}"]
        words += [f"canvas {settings.canvas}"] if settings.canvas != CANVAS else []
        return ", ".join([*words, *([f"{settings.digits} digits"] if settings.digits != "full" else [])])

    def section(self, spec: RunSpec[MnistRangeSettings]) -> str:
        return self.setting(spec)

    def experiment(self, spec: RunSpec[MnistRangeSettings], dataset_key: str) -> tuple[str, ...]:
        return (self.name, self.setting(spec))

    def open(self, spec: RunSpec[MnistRangeSettings], device: torch.device) -> Task:
        return MnistRangeTask(spec, device)

    def unpublished(self, spec: RunSpec[MnistRangeSettings]) -> str:
        return "nothing published for this setting"


class MnistRangeTask(Task):
    """The digits of one seed, each at its size."""

    test: Canvases

    def __init__(self, spec: RunSpec[MnistRangeSettings], device: torch.device):
        from benchmark.data.mnist_range import load

        self.spec, self.device = spec, device
        splits = load(spec.settings.digits, spec.seed)
        low, high = parse_range(spec.settings.scale_range)
        scales = {
            name: object_scales.draw(spec.settings.distribution, low, high, len(labels), (spec.seed, number))
            for number, (name, (_, labels)) in enumerate(splits.items())
        }
        self.train, self.valid, self.test = (
            Canvases(digits, scales[name], spec.settings.canvas, device, training=name == "train")
            for name, digits in splits.items()
        )
        moments = self.train.moments()
        for split in (self.train, self.valid, self.test):
            split.mean, split.std = moments

    def create_model(self) -> nn.Module:
        from siconvnet import create_model

        return create_model(
            self.spec.model,
            num_channels=1,
            num_classes=NUM_CLASSES,
            image_size=self.spec.settings.canvas,
            **scale_fields.resolved(self.spec),
        )

    def test_split(self) -> tuple[Batches, Integers]:
        return self.test, (INK * self.test.scales.cpu().numpy()).round().astype("int64")


class Canvases:
    """A split on a device, enlarged and normalised batch by batch.

    Args:
        scales: [N], of the digits.
        canvas: side of the images in pixels.
        training: all images in a new random order each time.

    Attributes:
        mean, std: what pixels in 0..1 are normalised by.
    """

    mean, std = 0.0, 1.0

    def __init__(self, digits: Digits, scales: Any, canvas: int, device: torch.device, *, training: bool = False):
        import torch

        images, labels = digits
        self.levels = torch.from_numpy(images).to(device)[:, None]
        self.labels = torch.from_numpy(labels).to(device)
        self.scales = torch.from_numpy(scales).to(device)
        self.canvas, self.training = canvas, training

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images [N, 1, canvas, canvas], float32, and labels [N]."""
        import torch

        order = (torch.randperm(len(self)) if self.training else torch.arange(len(self))).to(self.labels.device)
        for chosen in order.split(size):
            yield (self._images(chosen) / 255 - self.mean) / self.std, self.labels[chosen]

    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation of all pixels in 0..1."""
        import torch

        total = torch.zeros(2, dtype=torch.float64, device=self.labels.device)
        for chosen in torch.arange(len(self), device=self.labels.device).split(128):
            pixels = self._images(chosen).double() / 255
            total += torch.stack([pixels.sum(), pixels.square().sum()])
        mean, square = (total / (len(self) * self.canvas**2)).tolist()
        return mean, (square - mean**2) ** 0.5

    def _images(self, chosen: Tensor) -> Tensor:
        from siconvnet.augmentation.rescaling import place_on_canvas

        return place_on_canvas(self.levels[chosen].float(), self.scales[chosen], self.canvas)


register_study(MnistRange())
