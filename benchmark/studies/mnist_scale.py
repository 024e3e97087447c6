"""MNIST-Scale: 28 x 28 digits at random sizes, in six realizations (SESN, ICLR 2020; DISCO, BMVC 2021).

Data and augmentation stay on the device. All random numbers come from the CPU's generator, so that the batches of a
seed are the same on every device.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.protocol import MNIST_SCALE, Protocol
from benchmark.studies import axes, ranges, scale_fields
from benchmark.studies.base import DataState, Task
from benchmark.studies.errors import ErrorStudy, check_batches
from benchmark.studies.lookup import register_study
from benchmark.studies.settings import batch_size, learning_rate, max_epochs, patience, seed, setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from benchmark.predictions import Integers
    from benchmark.spec import RunSpec
    from benchmark.training.loop import Batches
    from siconvnet.datasets.mnist_scale import MnistScaleSplit


@dataclass(frozen=True, kw_only=True)
class MnistScaleSettings(scale_fields.LearnedScaleSettings):
    """Settings of a run on MNIST-Scale.

    Attributes:
        realization: 0 to 5.
        augment: rescale training images at random (the papers' +).
    """

    study = "mnist-scale"

    realization: int = setting(
        0,
        help="Realization of the data, 0 to 5.",
        axis=axes.whole_numbers(
            "realizations",
            "realization",
            default=ranges.ALL,
            help="As 0-5, or all.",
            all_of=MNIST_SCALE.seeds["mnist-scale"],
        ),
    )
    augment: bool = setting(
        False,
        help="Rescale training images at random (the papers' +).",
        axis=axes.flag("augment", help="no, yes or both."),
    )
    lr: float = learning_rate(MNIST_SCALE)
    seed: int = seed(None, grid=axes.OWN_SEED, default_help="the realization")
    batch_size: int = batch_size(MNIST_SCALE)
    max_epochs: int = max_epochs(MNIST_SCALE)
    patience: int | None = patience(MNIST_SCALE)
    scale_parameterisation: str | None = scale_fields.parameterisation_setting()
    learn_sigma: bool | None = scale_fields.learn_sigma_setting()
    sigma: float | None = scale_fields.sigma_setting()
    isr: float | None = scale_fields.isr_setting()

    def __post_init__(self) -> None:
        if self.seed is None:  # as published, each realization comes with an initialisation of its own
            object.__setattr__(self, "seed", self.realization)
        super().__post_init__()


class MnistScale(scale_fields.LearnedScaleStudy[MnistScaleSettings], ErrorStudy[MnistScaleSettings]):
    name = "mnist-scale"
    title = "MNIST-Scale"
    protocol = MNIST_SCALE
    settings = MnistScaleSettings
    epoch_images = 10_000
    repeated = ("realization", "seed")
    repetitions = "realizations"
    before_model = ("realization", "augment")
    judged = scale_fields.FIELDS
    data_settings = ("realization",)
    models_note = (
        "28: images as they are; 56: doubled inside the network; p: the scales chosen for augmented training "
        "(run --augment)."
    )

    def data_states(self) -> tuple[DataState, ...]:
        from siconvnet.datasets.mnist_scale import NUM_CLASSES, NUM_REALIZATIONS, mnist_scale_path

        paths = [mnist_scale_path(number) for number in range(NUM_REALIZATIONS)]
        there = sum(path.is_file() for path in paths)
        place = paths[0].with_name(f"mnist_scale_0..{NUM_REALIZATIONS - 1}.npz")
        told = "built by: benchmark data build mnist-scale (--seed 0 for one realization)"
        origin = "MNIST, rescaled as in arXiv 1910.11093"
        state = DataState(self.name, NUM_CLASSES, 1, origin, "CC BY-SA 3.0", there, len(paths), str(place), told)
        return (state,)

    def prepare(self, spec: RunSpec[MnistScaleSettings]) -> None:
        from siconvnet.datasets.mnist_scale import load_mnist_scale

        load_mnist_scale(spec.settings.realization)

    def check_settings(self, spec: RunSpec[MnistScaleSettings]) -> None:
        from siconvnet.datasets.mnist_scale import SPLIT_SIZES, check_realization

        check_realization(spec.settings.realization)
        super().check_settings(spec)
        check_batches(spec.batch_size, SPLIT_SIZES["train"])

    def setting(self, spec: RunSpec[MnistScaleSettings]) -> str:
        return f"realization {spec.settings.realization}{', augmented' if spec.settings.augment else ''}"

    def tag(self, spec: RunSpec[MnistScaleSettings]) -> str:
        own = f"r{spec.settings.realization}{'+' if spec.settings.augment else ''}"
        return " ".join(filter(None, [own, super().tag(spec)]))

    def section(self, spec: RunSpec[MnistScaleSettings]) -> str:
        return "augmented" if spec.settings.augment else "plain"

    def experiment(self, spec: RunSpec[MnistScaleSettings], dataset_key: str) -> tuple[str, ...]:
        return (self.name, self.section(spec))

    def open(self, spec: RunSpec[MnistScaleSettings], device: torch.device) -> Task:
        return MnistScaleTask(spec, device)

    @contextlib.contextmanager
    def epoch_ways(
        self, count: int, batch_size: int, device: torch.device
    ) -> Iterator[dict[str, Callable[[], Iterable[tuple[Tensor, Tensor]]]]]:
        """The images of realization 0: from PNG files, as the authors read them, and from memory."""
        from benchmark.studies.mnist_scale_files import png_loader
        from siconvnet.datasets.mnist_scale import MnistScaleSplit, load_mnist_scale

        train = load_mnist_scale(0).train
        part = MnistScaleSplit(train.images[:count], train.labels[:count], train.scales[:count])
        digits = Digits(part, device, training=True)
        with png_loader(part, batch_size) as loader:
            yield {
                "plain": lambda: ((images.to(device), labels.to(device)) for images, labels in loader),
                "fast": lambda: digits.batches(batch_size),
            }

    def unpublished(self, spec: RunSpec[MnistScaleSettings]) -> str:
        from benchmark.studies import published

        suited = f"{spec.model}p" if spec.settings.augment else spec.model.removesuffix("p")
        if published.errors(self.name, suited, bool(spec.settings.augment)):
            return f"{'with' if spec.settings.augment else 'without'} augmentation they are of {suited}"
        return super().unpublished(spec)


class MnistScaleTask(Task):
    """One realization."""

    test: MnistScaleSplit

    def __init__(self, spec: RunSpec[MnistScaleSettings], device: torch.device):
        from siconvnet.datasets.mnist_scale import load_mnist_scale

        self.spec, self.device = spec, device
        data = load_mnist_scale(spec.settings.realization)
        self.test = data.test
        self.train = Digits(data.train, device, training=True, augment=spec.settings.augment)
        self.valid = Digits(data.val, device)

    def create_model(self) -> nn.Module:
        from siconvnet import create_model
        from siconvnet.datasets.mnist_scale import IMAGE_SIZE, NUM_CLASSES

        return create_model(
            self.spec.model,
            num_channels=1,
            num_classes=NUM_CLASSES,
            image_size=IMAGE_SIZE,
            **scale_fields.resolved(self.spec),
        )

    def test_split(self) -> tuple[Batches, Integers]:
        from siconvnet.datasets.mnist_scale import IMAGE_SIZE

        return Digits(self.test, self.device), (IMAGE_SIZE * self.test.scales).round().astype("int64")


class Digits:
    """A split on a device, normalised batch by batch.

    Args:
        training: all images in a new random order each time, as the protocol says.
        augment: each of them rescaled at random.
    """

    def __init__(
        self,
        split: MnistScaleSplit,
        device: torch.device,
        *,
        training: bool = False,
        augment: bool = False,
        protocol: Protocol = MNIST_SCALE,
    ):
        import torch

        self.levels = torch.from_numpy(split.images).to(device)[:, None]
        self.labels = torch.from_numpy(split.labels).to(device)
        self.reorder = training and protocol.shuffle_seed is None
        self.rescaling = protocol.rescaling if augment else None
        self.mean, self.std = protocol.normalisation

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images [N, 1, 28, 28], float32, and labels [N]."""
        import torch

        from benchmark.data.mnist_scale import CENTRE
        from siconvnet.augmentation.rescaling import rescale_images

        device = self.labels.device
        order = torch.randperm(len(self)) if self.reorder else torch.arange(len(self))
        order, factors = order.to(device), None
        if self.rescaling is not None:
            low, high = self.rescaling
            factors = (low + (high - low) * torch.rand(len(self), dtype=torch.float64)).to(device)
        for start in range(0, len(self), size):
            chosen = order[start : start + size]
            levels = self.levels[chosen].float()
            if factors is not None:
                levels = rescale_images(levels, factors[start : start + size], CENTRE)
            yield (levels / 255 - self.mean) / self.std, self.labels[chosen]


register_study(MnistScale())
