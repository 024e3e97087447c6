"""STL-10: photographs of ten kinds of things, few of them labelled (SESN, ICLR 2020; DISCO, BMVC 2021).

Data and augmentation stay on the device. All random numbers come from the CPU's generator, so that the batches of a
seed are the same on every device.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.protocol import STL10, Protocol
from benchmark.studies import ranges
from benchmark.studies.axes import Axis
from benchmark.studies.base import DataState, Task
from benchmark.studies.errors import ErrorStudy
from benchmark.studies.lookup import register_study
from benchmark.studies.settings import (
    PRECISIONS,
    Hashed,
    Settings,
    batch_size,
    learning_rate,
    max_epochs,
    seed,
    setting,
)
from siconvnet.errors import InvalidArgument, UnknownName

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from benchmark.predictions import Integers
    from benchmark.spec import RunSpec
    from benchmark.training.loop import Batches
    from siconvnet.datasets.stl10 import Stl10Split

NO_AMP = "none"


def _precisions(value: object) -> tuple[str | None, ...]:
    names = ranges.names(value, "mixed precision", [NO_AMP, *PRECISIONS])
    return tuple(None if name == NO_AMP else name for name in names)


def _precision(text: str) -> str | None:
    found = _precisions(text)
    if len(found) != 1:
        raise InvalidArgument(f"mixed precision must be one of {', '.join((NO_AMP, *PRECISIONS))}, not {text!r}.")
    return found[0]


@dataclass(frozen=True, kw_only=True)
class Stl10Settings(Settings):
    """Settings of a run on STL-10."""

    study = "stl10"

    lr: float = learning_rate(STL10)
    seed: int = seed(1, grid="1")
    batch_size: int = batch_size(STL10)
    max_epochs: int = max_epochs(STL10)
    amp: str | None = setting(
        None,
        help=f"Mixed precision: {', '.join((NO_AMP, *PRECISIONS))}.",
        hashed=Hashed.CHANGED,
        protocol=True,
        axis=Axis("amp", "amp", _precisions, NO_AMP, "none, bfloat16, float16."),
        parse=_precision,
    )


class Stl10(ErrorStudy[Stl10Settings]):
    name = "stl10"
    title = "STL-10"
    protocol = STL10
    settings = Stl10Settings
    timing_batch_size = 4
    counted_at = (3, 10)
    repetitions = "seeds"
    models_note = "Wide residual networks of 16 layers, eight times as wide as the narrowest."

    def data_states(self) -> tuple[DataState, ...]:
        from siconvnet.datasets.stl10 import CLASSES, NUM_CHANNELS, find_stl10, stl10_places
        from siconvnet.errors import DatasetError

        try:
            place, there = find_stl10(), 1
        except DatasetError:
            place, there = stl10_places()[0], 0
        told = "downloaded by: benchmark data fetch stl10"
        origin = "Coates, Ng, Lee, AISTATS 2011"
        state = DataState(
            self.name, len(CLASSES), NUM_CHANNELS, origin, "not stated; from ImageNet", there, 1, str(place), told
        )
        return (state,)

    def prepare(self, spec: RunSpec[Stl10Settings]) -> None:
        from siconvnet.datasets.stl10 import find_stl10

        find_stl10()

    def check_settings(self, spec: RunSpec[Stl10Settings]) -> None:
        if spec.settings.amp not in (None, *PRECISIONS):
            raise UnknownName("mixed precision", spec.settings.amp, PRECISIONS)

    def setting(self, spec: RunSpec[Stl10Settings]) -> str:
        return f"labelled images{f', {spec.settings.amp}' if spec.settings.amp else ''}"

    def experiment(self, spec: RunSpec[Stl10Settings], dataset_key: str) -> tuple[str, ...]:
        return (self.name,)

    def timing_sample(
        self, spec: RunSpec[Stl10Settings], batch_size: int
    ) -> tuple[Callable[[], nn.Module], Tensor, Tensor]:
        """Noise in place of photographs, which are normalised to its mean and deviation, so that no data are needed."""
        import torch

        from siconvnet.datasets.stl10 import CLASSES, NUM_CHANNELS, SIDE

        images = torch.randn(batch_size, NUM_CHANNELS, SIDE, SIDE)
        return functools.partial(_create, spec.model), images, torch.arange(batch_size) % len(CLASSES)

    def open(self, spec: RunSpec[Stl10Settings], device: torch.device) -> Task:
        return Stl10Task(spec, device)


def _create(model: str) -> nn.Module:
    from siconvnet import create_model
    from siconvnet.datasets.stl10 import CLASSES, NUM_CHANNELS, SIDE

    return create_model(model, num_channels=NUM_CHANNELS, num_classes=len(CLASSES), image_size=SIDE)


class Stl10Task(Task):
    """Training and test images. As published, nothing is held back for validation."""

    valid = None
    test: Stl10Split

    def __init__(self, spec: RunSpec[Stl10Settings], device: torch.device):
        from siconvnet.datasets.stl10 import find_stl10, load_stl10

        self.spec, self.device = spec, device
        folder = find_stl10()
        # Read now what is needed last: days of training must not end in a file that is not there.
        self.test = load_stl10("test", folder)
        self.train = Photos(load_stl10("train", folder), device, training=True)

    def create_model(self) -> nn.Module:
        return _create(self.spec.model)

    def test_split(self) -> tuple[Batches, Integers]:
        import numpy as np

        photos = Photos(self.test, self.device)
        return photos, np.full(len(photos), photos.levels.shape[-1])


class Photos:
    """A split on a device, normalised batch by batch.

    Args:
        training: in a new random order each time, and each image cropped, mirrored and covered by chance.
    """

    def __init__(self, split: Stl10Split, device: torch.device, *, training: bool = False, protocol: Protocol = STL10):
        import numpy as np
        import torch

        self.levels = torch.from_numpy(np.ascontiguousarray(split.images)).to(device)
        self.labels = torch.from_numpy(split.labels).to(device)
        self.training, self.protocol = training, protocol
        mean, std = (torch.tensor(values, device=device) for values in protocol.channel_normalisation or ((0,), (1,)))
        self.mean, self.std = mean[:, None, None], std[:, None, None]

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images [N, 3, 96, 96], float32, and labels [N]."""
        if not self.training:
            for levels, labels in zip(self.levels.split(size), self.labels.split(size), strict=True):
                yield self._normalised(levels), labels
            return
        import torch

        from siconvnet.augmentation.cropping import crop_images, cut_out

        plan, count, side = self.protocol, len(self), self.levels.shape[-1]
        draws = (
            torch.randperm(count),
            torch.randint(2 * plan.crop_padding + 1, (count, 2)),
            (torch.rand(count) < 0.5) & plan.flip,
            torch.randint(side, (count, 2)),
        )
        parts = zip(*(draw.to(self.labels.device).split(size) for draw in draws), strict=True)
        for chosen, corners, mirrored, centres in parts:
            images = self._normalised(crop_images(self.levels[chosen], corners, mirrored, plan.crop_padding))
            # The mean is zero now, which is what the square is filled with.
            yield cut_out(images, centres, plan.cutout), self.labels[chosen]

    def _normalised(self, levels: Tensor) -> Tensor:
        return (levels.float() / 255 - self.mean) / self.std


register_study(Stl10())
