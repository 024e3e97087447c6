"""MNIST-Scale: 28 x 28 digits at random sizes, in six realizations (SESN, ICLR 2020; DISCO, BMVC 2021).

Data and augmentation stay on the device. All random numbers come from the CPU's generator, so that the batches of a
seed are the same on every device.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmark.protocol import MNIST_SCALE, Protocol
from benchmark.studies import axes, ranges, scale_fields
from benchmark.studies.axes import Axis
from benchmark.studies.base import DataState, Task
from benchmark.studies.errors import ErrorStudy, check_batches

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from benchmark.predictions import Predictions
    from benchmark.spec import RunSpec
    from siconvnet.datasets.mnist_scale import MnistScaleSplit


class MnistScale(ErrorStudy):
    name = "mnist-scale"
    title = "MNIST-Scale"
    protocol = MNIST_SCALE
    identity = ("model", "dataset", "realization", "augment", "lr", "seed")
    optional = scale_fields.FIELDS
    fields = (*identity, "batch_size", "max_epochs", "patience", *optional)
    judged = ("model", *optional)
    data_fields = ("dataset", "realization")
    models_note = (
        "28: images as they are; 56: doubled inside the network; p: the scales chosen for augmented training "
        "(run --augment)."
    )

    @functools.cached_property
    def axes(self) -> tuple[Axis, ...]:
        return (
            axes.datasets(self.list_datasets),
            axes.whole_numbers(
                "realizations",
                "realization",
                default=ranges.ALL,
                help="As 0-5, or all.",
                all_of=self.protocol.seeds[self.name],
            ),
            axes.flag("augment", help="no, yes or both."),
            axes.models(self.list_models),
            *scale_fields.axes(),
            axes.lrs(),
            axes.seeds(axes.OWN_SEED),
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

    def senseless(self, **judged: Any) -> str:
        return scale_fields.senseless(**judged)

    def prepare(self, spec: RunSpec) -> None:
        from siconvnet.datasets.mnist_scale import load_mnist_scale

        load_mnist_scale(spec.realization)

    def defaults(self, spec: RunSpec) -> dict[str, Any]:
        realization = 0 if spec.realization is None else spec.realization
        # As published, each realization comes with an initialisation of its own.
        own = {"realization": realization, "seed": realization, "augment": False}
        return {**super().defaults(spec), **own}

    def list_models(self, pattern: str = "*") -> list[str]:
        from siconvnet.models.mnist_scale import list_mnist_scale_models

        return list_mnist_scale_models(pattern)

    def example(self, name: str) -> tuple[str, nn.Module]:
        from siconvnet.models.mnist_scale import VARIANTS, create_mnist_scale_model

        return VARIANTS[name].label, create_mnist_scale_model(name)

    def check(self, spec: RunSpec) -> None:
        self.check_model(spec.model)
        scale_fields.check_model(spec)

    def check_settings(self, spec: RunSpec) -> None:
        from siconvnet.datasets.mnist_scale import SPLIT_SIZES, check_realization

        check_realization(spec.realization)
        scale_fields.check_settings(spec)
        check_batches(spec.batch_size, SPLIT_SIZES["train"])

    def setting(self, spec: RunSpec) -> str:
        return f"realization {spec.realization}{', augmented' if spec.augment else ''}"

    def tag(self, spec: RunSpec) -> str:
        return " ".join(filter(None, [f"r{spec.realization}{'+' if spec.augment else ''}", scale_fields.tag(spec)]))

    def facts(self, spec: RunSpec) -> dict[str, Any]:
        return scale_fields.resolved(spec)

    def entry(self, spec: RunSpec) -> str:
        return scale_fields.variant(spec)

    def section(self, spec: RunSpec) -> str:
        return "augmented" if spec.augment else "plain"

    def experiment(self, spec: RunSpec, dataset_key: str) -> tuple[str, ...]:
        return (self.name, self.section(spec))

    def open(self, spec: RunSpec, device: torch.device) -> Task:
        return MnistScaleTask(spec, device)

    def unpublished(self, spec: RunSpec) -> str:
        from benchmark.studies import published

        suited = f"{spec.model}p" if spec.augment else spec.model.removesuffix("p")
        if published.errors(self.name, suited, bool(spec.augment)):
            return f"{'with' if spec.augment else 'without'} augmentation they are of {suited}"
        return super().unpublished(spec)


class MnistScaleTask(Task):
    """One realization."""

    def __init__(self, spec: RunSpec, device: torch.device):
        from siconvnet.datasets.mnist_scale import load_mnist_scale

        self.spec, self.device = spec, device
        data = load_mnist_scale(spec.realization)
        self.test = data.test
        self.train = Digits(data.train, device, training=True, augment=spec.augment)
        self.valid = Digits(data.val, device)

    def create_model(self) -> nn.Module:
        from siconvnet.models.mnist_scale import create_mnist_scale_model

        return create_mnist_scale_model(self.spec.model, **scale_fields.resolved(self.spec))

    def predict(self, model: nn.Module) -> Predictions:
        from benchmark.predictions import predict
        from siconvnet.datasets.mnist_scale import IMAGE_SIZE

        sides = (IMAGE_SIZE * self.test.scales).round().astype("int64")
        return predict(model, Digits(self.test, self.device), sides, self.spec.batch_size)


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
