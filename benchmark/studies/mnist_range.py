"""MNIST-range: digits at sizes over a stated range on a large canvas, the toy study of learned scales.

Basting, Bruintjes, Wiedemer, Kuemmerer, Bethge, van Gemert, "Scale Learning in Scale-Equivariant Convolutional
Networks", VISAPP 2024. Each digit stands in the middle of the canvas and has one size, drawn once. The small digits lie
on the device; they are enlarged batch by batch, so that a canvas takes no memory but that of a batch. All random
numbers come from the CPU's generators, so that the batches of a seed are the same on every device.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmark.protocol import MNIST_RANGE
from benchmark.studies import axes, object_scales, scale_fields
from benchmark.studies.axes import Axis
from benchmark.studies.base import DataState, Task
from benchmark.studies.errors import ErrorStudy, check_batches
from benchmark.studies.scale_ranges import canonical, parse_range
from siconvnet.errors import InvalidArgument, UnknownName

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from benchmark.data.mnist_range import Digits
    from benchmark.predictions import Predictions
    from benchmark.spec import RunSpec

MODELS = ("scale_probe",)
CANVAS, LARGEST_CANVAS = 168, 252
#: Side in pixels of the square that a digit of MNIST fills; its image is 28 pixels wide, the rest is margin.
INK = 20
NUM_CLASSES = 10
TRAINING_DIGITS = {"full": 10_000, "embedded": 500}


class MnistRange(ErrorStudy):
    name = "mnist-range"
    title = "MNIST-range"
    protocol = MNIST_RANGE
    identity = ("model", "dataset", "scale_range", "distribution", "canvas", "digits", "lr", "seed")
    optional = scale_fields.FIELDS
    models_note = "One layer whose scales are learned (run --scale-parameterisation)."
    fields = (*identity, "batch_size", "max_epochs", "patience", *optional)
    judged = ("model", *optional)
    data_fields = ("dataset", "digits")

    @functools.cached_property
    def axes(self) -> tuple[Axis, ...]:
        return (
            axes.datasets(self.list_datasets),
            Axis("scale_ranges", "scale_range", _scale_ranges, "1,8", "As '1,2.83; 1,8'."),
            axes.choices(
                "distributions",
                "distribution",
                lambda: object_scales.DISTRIBUTIONS,
                kind="distribution",
                default="loguniform",
                help=f"{', '.join(object_scales.DISTRIBUTIONS)}.",
            ),
            axes.whole_numbers("canvases", "canvas", default=CANVAS, help="Side of the images in pixels."),
            axes.choices(
                "digits",
                "digits",
                lambda: list(TRAINING_DIGITS),
                kind="choice of digits",
                default="full",
                help="full or embedded.",
            ),
            axes.models(self.list_models),
            *scale_fields.axes(),
            axes.lrs(),
            axes.seeds("0-2"),
        )

    def senseless(self, **judged: Any) -> str:
        return scale_fields.senseless(**judged)

    def data_states(self) -> tuple[DataState, ...]:
        from benchmark.data.mnist_range import digits_path

        path = digits_path()
        told = "built by: benchmark data build mnist-range; or --digits embedded"
        there = int(path.is_file())
        return (DataState(self.name, NUM_CLASSES, 1, "MNIST", "CC BY-SA 3.0", there, 1, str(path), told),)

    def prepare(self, spec: RunSpec) -> None:
        from benchmark.data.mnist_range import load

        load(spec.digits or "", spec.seed)

    def defaults(self, spec: RunSpec) -> dict[str, Any]:
        own = {"scale_range": "1,8", "distribution": "loguniform", "canvas": CANVAS, "digits": "full", "seed": 0}
        return {**super().defaults(spec), **own}

    def list_models(self, pattern: str = "*") -> list[str]:
        from fnmatch import fnmatchcase

        return [name for name in MODELS if fnmatchcase(name, pattern)]

    def example(self, name: str) -> tuple[str, nn.Module]:
        from siconvnet.models.scale_probe import ScaleProbe

        return "Scale probe", ScaleProbe()

    def check(self, spec: RunSpec) -> None:
        self.check_model(spec.model)
        scale_fields.check_model(spec)

    def check_settings(self, spec: RunSpec) -> None:
        scale_fields.check_settings(spec)
        low, high = parse_range(spec.scale_range)
        object_scales.check(spec.distribution or "", low, high)
        if spec.digits not in TRAINING_DIGITS:
            raise UnknownName("choice of digits", spec.digits, TRAINING_DIGITS)
        if spec.canvas % 4 or not 28 <= spec.canvas <= LARGEST_CANVAS:
            raise InvalidArgument(f"canvas {spec.canvas} is not accepted: a multiple of 4, 28 to {LARGEST_CANVAS}.")
        if INK * high > spec.canvas:
            raise InvalidArgument(
                f"scale range {spec.scale_range} leaves the canvas: a digit of {INK} pixels is {INK * high:g} pixels "
                f"wide at scale {high:g}, and the canvas has {spec.canvas}; scales up to {spec.canvas / INK:g} fit."
            )
        if INK * low < 1:
            raise InvalidArgument(
                f"scale range {spec.scale_range} is too small: a digit of {INK} pixels is less than one pixel wide at "
                f"scale {low:g}; scales from {1 / INK:g} on leave something of it."
            )
        check_batches(spec.batch_size, TRAINING_DIGITS[spec.digits])

    def setting(self, spec: RunSpec) -> str:
        words = [f"{spec.distribution} {spec.scale_range}"]
        words += [f"canvas {spec.canvas}"] if spec.canvas != CANVAS else []
        return ", ".join([*words, *([f"{spec.digits} digits"] if spec.digits != "full" else [])])

    def tag(self, spec: RunSpec) -> str:
        return scale_fields.tag(spec)

    def facts(self, spec: RunSpec) -> dict[str, Any]:
        return scale_fields.resolved(spec)

    def section(self, spec: RunSpec) -> str:
        return self.setting(spec)

    def entry(self, spec: RunSpec) -> str:
        return scale_fields.variant(spec)

    def experiment(self, spec: RunSpec, dataset_key: str) -> tuple[str, ...]:
        return (self.name, self.setting(spec))

    def open(self, spec: RunSpec, device: torch.device) -> Task:
        return MnistRangeTask(spec, device)

    def unpublished(self, spec: RunSpec) -> str:
        return "nothing published for this setting"


def _scale_ranges(value: object) -> tuple[Any, ...]:
    """Ranges hold commas, so semicolons stand between them; or a list."""
    items = value if isinstance(value, (list, tuple)) else str(value).split(";")
    found = [canonical(item) for item in items]
    for item in found:
        parse_range(item)
    return tuple(dict.fromkeys(found))


class MnistRangeTask(Task):
    """The digits of one seed, each at its size."""

    def __init__(self, spec: RunSpec, device: torch.device):
        from benchmark.data.mnist_range import load

        self.spec, self.device = spec, device
        splits = load(spec.digits or "", spec.seed)
        low, high = parse_range(spec.scale_range)
        scales = {
            name: object_scales.draw(spec.distribution or "", low, high, len(labels), (spec.seed, number))
            for number, (name, (_, labels)) in enumerate(splits.items())
        }
        self.train, self.valid, self.test = (
            Canvases(digits, scales[name], spec.canvas, device, training=name == "train")
            for name, digits in splits.items()
        )
        moments = self.train.moments()
        for split in (self.train, self.valid, self.test):
            split.mean, split.std = moments

    def create_model(self) -> nn.Module:
        from siconvnet.models.scale_probe import ScaleProbe

        return ScaleProbe(self.spec.canvas, NUM_CLASSES, **scale_fields.resolved(self.spec))

    def predict(self, model: nn.Module) -> Predictions:
        from benchmark.predictions import predict

        sides = (INK * self.test.scales.cpu().numpy()).round().astype("int64")
        return predict(model, self.test, sides, self.spec.batch_size)


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
