"""Training on MNIST-Scale as SESN and DISCO did: the protocol as data, and one run of it.

Sosnovik, Szmaja, Smeulders, "Scale-Equivariant Steerable Networks", ICLR 2020, section 6.1: Adam, 60 epochs in batches
of 128, the rate divided by ten after 20 and 40; the weights of the best validation accuracy are tested. Data and
augmentation stay on the device. Unlike the published code, every random choice follows from the seed.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.training import TrainingError, seed_everything
from siconvnet.datasets.mnist_scale import MEAN, STD, MnistScaleSplit, check_realization, load_mnist_scale
from siconvnet.errors import InvalidArgument, SiconvnetError, UnknownName
from siconvnet.functional.rescaling import rescale_images
from siconvnet.models.mnist_scale import VARIANTS, create_mnist_scale_model

#: Fixed point of the random rescaling, in pixels; half a pixel off the middle, as published.
CENTRE = 14.5


@dataclass(frozen=True)
class MnistScaleProtocol:
    """How every network is trained.

    Attributes:
        epochs: passes over the training images.
        batch_size: images in a step; the last batch of an epoch may be smaller.
        lr: Adam's first rate.
        lr_drops: shares of the epochs after which the rate is multiplied by `lr_factor`.
        rescaling: range of the random factors of augmented training, uniform.
    """

    epochs: int = 60
    batch_size: int = 128
    lr: float = 0.01
    lr_drops: tuple[float, ...] = (1 / 3, 2 / 3)
    lr_factor: float = 0.1
    rescaling: tuple[float, float] = (0.5, 2.0)

    def lr_at(self, epoch: int) -> float:
        """The rate of an epoch, counted from 0."""
        drops = sum(epoch >= share * self.epochs - 1e-9 for share in self.lr_drops)
        return self.lr * self.lr_factor**drops


PAPER = MnistScaleProtocol()

#: (model, augmented) -> mean and standard deviation of the test error in percent over the six realizations: SESN,
#: table 1.
PUBLISHED: Mapping[tuple[str, bool], tuple[float, float]] = MappingProxyType(
    {
        ("ses_scalar_28", False): (2.10, 0.10),
        ("ses_scalar_28p", True): (1.79, 0.09),
        ("ses_scalar_56", False): (1.74, 0.09),
        ("ses_scalar_56p", True): (1.50, 0.07),
        ("ses_vector_28", False): (2.08, 0.09),
        ("ses_vector_28p", True): (1.76, 0.08),
        ("ses_vector_56", False): (1.68, 0.06),
        ("ses_vector_56p", True): (1.42, 0.07),
    }
)


@dataclass(frozen=True)
class MnistScaleSpec:
    """One run.

    Attributes:
        model: a name of `siconvnet.models.mnist_scale`.
        realization: 0..5.
        augment: rescale the training images at random (the papers' "+").
        seed: of everything random.
        protocol: how it is trained.
    """

    model: str
    realization: int = 0
    augment: bool = False
    seed: int = 0
    protocol: MnistScaleProtocol = PAPER

    def validate(self) -> None:
        """Refuse what cannot run.

        Raises:
            UnknownName: no such network.
            InvalidArgument: a number out of range.
        """
        if self.model not in VARIANTS:
            raise UnknownName("MNIST-Scale model", self.model, VARIANTS)
        check_realization(self.realization)
        if self.protocol.epochs < 1 or self.protocol.batch_size < 2:
            raise InvalidArgument("at least 1 epoch and batches of at least 2 images are needed.")
        if not self.protocol.lr > 0:
            raise InvalidArgument(f"learning rate {self.protocol.lr!r} is not accepted: it must be above 0.")


@dataclass(frozen=True)
class MnistScaleEpoch:
    """One line of a run's history; accuracies in percent, times in seconds."""

    number: int
    train_loss: float
    train_time: float
    val_acc: float


@dataclass
class MnistScaleResult:
    """A finished run.

    Attributes:
        test_error: in percent, of the weights of the best epoch.
        best_epoch: the first with the best validation accuracy, counted from 1.
        weights: of that epoch, on the CPU.
    """

    spec: MnistScaleSpec
    parameters: int
    test_error: float
    best_epoch: int
    run_time: float
    history: list[MnistScaleEpoch] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False)


class DeviceImages:
    """A split on a device.

    Args:
        split: the images and labels.
        device: where they are to lie.
    """

    def __init__(self, split: MnistScaleSplit, device: torch.device):
        self.levels = torch.from_numpy(split.images).to(device)[:, None]
        self.labels = torch.from_numpy(split.labels).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def ordered(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All batches in order, normalised."""
        for levels, labels in zip(self.levels.split(batch_size), self.labels.split(batch_size), strict=True):
            yield normalize(levels.float()), labels

    def shuffled(self, batch_size: int, rescaling: tuple[float, float] | None) -> Iterator[tuple[Tensor, Tensor]]:
        """All batches in a new random order, normalised, each image rescaled at random if a range is given.

        The random numbers come from the CPU's generator, so that the batches are the same on every device.
        """
        order = torch.randperm(len(self)).to(self.labels.device)
        factors = None
        if rescaling is not None:
            low, high = rescaling
            factors = (low + (high - low) * torch.rand(len(self), dtype=torch.float64)).to(self.labels.device)
        for start in range(0, len(self), batch_size):
            chosen = order[start : start + batch_size]
            levels = self.levels[chosen].float()
            if factors is not None:
                levels = rescale_images(levels, factors[start : start + batch_size], CENTRE)
            yield normalize(levels), self.labels[chosen]


def normalize(levels: Tensor) -> Tensor:
    """Levels 0..255 to what models take."""
    return (levels / 255 - MEAN) / STD


def train(
    spec: MnistScaleSpec,
    device: torch.device,
    on_epoch: Callable[[MnistScaleEpoch], object] = lambda epoch: None,
) -> MnistScaleResult:
    """Train one network, keep the weights of the best validation accuracy, test them once.

    Args:
        spec: the run.
        device: where it runs.
        on_epoch: called after each epoch.

    Raises:
        InvalidArgument: the spec is none.
        DatasetError: the realization is not built or its file is damaged.
        TrainingError: the loss is no finite number any more.
    """
    spec.validate()
    data = load_mnist_scale(spec.realization)
    train_images, val_images, test_images = (DeviceImages(split, device) for split in (data.train, data.val, data.test))
    seed_everything(spec.seed)
    model = create_mnist_scale_model(spec.model).to(device)
    protocol = spec.protocol
    optimizer = torch.optim.Adam(model.parameters(), lr=protocol.lr)
    result = MnistScaleResult(spec, sum(p.numel() for p in model.parameters()), math.nan, 0, 0.0)
    best, start = -1.0, time.perf_counter()
    for number in range(1, protocol.epochs + 1):
        for group in optimizer.param_groups:
            group["lr"] = protocol.lr_at(number - 1)
        epoch_start = time.perf_counter()
        batches = train_images.shuffled(protocol.batch_size, protocol.rescaling if spec.augment else None)
        loss = _train_epoch(model, optimizer, batches)
        train_time = time.perf_counter() - epoch_start
        if not math.isfinite(loss):
            raise TrainingError(f"the training loss became {loss} in epoch {number}; a smaller rate may train.")
        epoch = MnistScaleEpoch(number, loss, train_time, accuracy(model, val_images, protocol.batch_size))
        result.history.append(epoch)
        on_epoch(epoch)
        if epoch.val_acc > best:
            best, result.best_epoch = epoch.val_acc, number
            result.weights = {key: value.cpu().clone() for key, value in model.state_dict().items()}
    model.load_state_dict(result.weights)
    result.test_error = 100 - accuracy(model, test_images, protocol.batch_size)
    result.run_time = time.perf_counter() - start
    return result


def save(result: MnistScaleResult, folder: Path, environment: Mapping[str, Any]) -> Path:
    """Write a run as one folder of its own, whole or not at all; an earlier run of the same spec is replaced.

    Args:
        result: the run.
        folder: where the run's folder goes.
        environment: what it was made with.

    Returns:
        the folder, with `run.json` and `weights.safetensors`.

    Raises:
        SiconvnetError: it cannot be written.
    """
    from safetensors.torch import save as to_bytes

    spec = result.spec
    name = (
        f"{spec.model}-r{spec.realization}{'-augmented' if spec.augment else ''}-s{spec.seed}-e{spec.protocol.epochs}"
    )
    record = {**asdict(replace(result, weights={})), "environment": dict(environment)}
    del record["weights"]
    target = folder / name
    part = folder / f".{name}.{os.getpid()}.part"
    try:
        part.mkdir(parents=True)
        (part / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        (part / "weights.safetensors").write_bytes(to_bytes(result.weights))
        if target.exists():
            shutil.rmtree(target)
        part.replace(target)
    except OSError as error:
        raise SiconvnetError(f"cannot write {target}: {error.strerror or error}.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterator[tuple[Tensor, Tensor]]) -> float:
    model.train()
    # Summed where the data is, so that no step waits for the device; reading the sum waits for it once.
    total: Tensor | float = 0.0
    count = 0
    for images, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total = total + loss.detach().double() * len(labels)
        count += len(labels)
    return float(total) / count


@torch.no_grad()
def accuracy(model: nn.Module, images: DeviceImages, batch_size: int) -> float:
    """Share of images that the model classifies rightly, in percent."""
    model.eval()
    hits = sum((model(batch).argmax(1) == labels).sum() for batch, labels in images.ordered(batch_size))
    return 100 * float(hits) / len(images)
