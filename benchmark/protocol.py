"""Scenarios and training protocols, as data: what the papers fix for every run. STIR is arXiv 2211.10288.

Importing this module imports nothing heavy, so that the command line can offer the names at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from siconvnet import normalisation
from siconvnet.errors import UnknownName
from siconvnet.names import INTERPOLATION, KERNEL_SIZE


@dataclass(frozen=True)
class Band:
    """A third of the object sizes, in pixels of the object's side, both ends included."""

    name: str
    first: int
    last: int

    @property
    def label(self) -> str:
        return f"{self.first}-{self.last}"

    @property
    def scales(self) -> range:
        return range(self.first, self.last + 1)


BANDS = (Band("small", 17, 32), Band("mid", 33, 48), Band("large", 49, 64))
ALL_SCALES = tuple(range(17, 65))


@dataclass(frozen=True)
class Scenario:
    """Which object sizes a model learns from, and which it is tested on (section 4 of the paper).

    Attributes:
        id: the number that `--evaluation` takes.
        name: its name in the paper.
        train_scales: sizes of the training and validation images, in the order they are read.
        test_scales: sizes of the test images, in the order they are read.
    """

    id: int
    name: str
    train_scales: tuple[int, ...]
    test_scales: tuple[int, ...]

    def saw(self, band: Band) -> bool:
        """Whether training showed objects of this band."""
        return band.first in self.train_scales


def _scenario(number: int, name: str, train: tuple[Band, ...], test: tuple[Band, ...]) -> Scenario:
    def join(bands: tuple[Band, ...]) -> tuple[int, ...]:
        return tuple(scale for band in bands for scale in band.scales)

    return Scenario(number, name, join(train), join(test))


_SMALL, _MID, _LARGE = BANDS

SCENARIOS: Mapping[int, Scenario] = MappingProxyType(
    {
        scenario.id: scenario
        for scenario in (
            _scenario(1, "Small2Large", (_SMALL,), (_MID, _LARGE)),
            _scenario(2, "Mid2Rest", (_MID,), (_SMALL, _LARGE)),
            _scenario(3, "Large2Small", (_LARGE,), (_SMALL, _MID)),
            _scenario(4, "All2All", BANDS, BANDS),
        )
    }
)


def find_scenario(key: int | str) -> Scenario:
    """The scenario of an id (1 to 4, also as text) or of a name (any case).

    Raises:
        UnknownName: neither; the message suggests the nearest.
    """
    text = str(key).strip().lower()
    for scenario in SCENARIOS.values():
        if text in (str(scenario.id), scenario.name.lower()):
            return scenario
    ids_and_names = [str(number) for number in SCENARIOS] + [scenario.name for scenario in SCENARIOS.values()]
    raise UnknownName("evaluation", key, ids_and_names)


@dataclass(frozen=True)
class Optimizer:
    """What takes the steps.

    Attributes:
        name: a class of `torch.optim`.
        options: what it is called with besides the parameters and the rate.
    """

    name: str = "Adam"
    options: Mapping[str, float | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class ScaleCourse:
    """How internal scales are learned, where a model learns them (Basting et al., VISAPP 2024).

    Attributes:
        lr: their own rate.
        warmup: epochs, of the protocol's `max_epochs`, in which they are frozen; a shorter or longer run freezes them
            for the same share of its epochs, and for one at least.
        lr_drops, lr_factor: as in `Protocol`, for this rate.
    """

    lr: float = 5e-3
    warmup: int = 2
    lr_drops: tuple[int, ...] = ()
    lr_factor: float = 0.1


@dataclass(frozen=True)
class Protocol:
    """How every model of a study is trained; what a run may change is in its `benchmark.spec.RunSpec`.

    Attributes:
        max_epochs: the most epochs a run takes.
        patience: epochs without a strictly better validation accuracy before a run stops; None: it goes on to
            the last epoch. Either way the weights of the best validation accuracy, the first of equals, are tested.
        lr: the rate where nothing published says otherwise.
        learning_rates: the rates among which the better is chosen, by the median over `selection_seeds` of
            the best validation accuracy.
        lr_drops: epochs, of `max_epochs`, after which the rate is multiplied by `lr_factor`. A shorter or longer
            run drops it after the same shares of its epochs.
        seeds: data set -> seeds of the final runs at the chosen rate.
        shuffle_seed: of the one shuffle of each split, whose order then stays; None: the training images come in
            a new order in each epoch.
        normalisation: mean and standard deviation that pixels in 0..1 are normalised by.
        rescaling: range of the factors, uniform, by which augmented training rescales each image.
        channel_normalisation: mean and standard deviation by channel, in place of `normalisation`.
        crop_padding: pixels of black around a training image, out of which its own size is cut at random.
        flip: mirror every other training image, by chance.
        cutout: side in pixels of the square at a random place of a training image that is set to the mean.
        scales: how internal scales are learned.
        amp: mixed precision, none; it is a field of a run that leaves the protocol where it is used.
    """

    name: str
    kernel_size: int = KERNEL_SIZE
    interpolation: str = INTERPOLATION
    batch_size: int = 16
    max_epochs: int = 200
    patience: int | None = 10
    optimizer: Optimizer = field(default_factory=Optimizer)
    lr: float = 1e-3
    learning_rates: tuple[float, ...] = (1e-2, 1e-3)
    lr_drops: tuple[int, ...] = ()
    lr_factor: float = 0.1
    selection_seeds: tuple[int, ...] = tuple(range(1, 6))
    seeds: Mapping[str, tuple[int, ...]] = field(
        default_factory=lambda: {
            "emoji": tuple(range(1, 51)),
            **{name: tuple(range(1, 26)) for name in ("mnist", "trafficsign", "aerial")},
        }
    )
    shuffle_seed: int | None = 42
    normalisation: tuple[float, float] = (0.0, 1.0)
    rescaling: tuple[float, float] | None = None
    channel_normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    crop_padding: int = 0
    flip: bool = False
    cutout: int = 0
    scales: ScaleCourse = field(default_factory=ScaleCourse)
    amp: str | None = None

    def lr_at(self, lr: float, epoch: int, max_epochs: int) -> float:
        """The rate in an epoch, counted from 1, of a run of `max_epochs` that began with `lr`."""
        return lr * self.lr_factor ** self._passed(self.lr_drops, epoch, max_epochs)

    def scale_lr_at(self, epoch: int, max_epochs: int) -> float:
        """The rate of internal scales in an epoch, counted from 1; 0 while they are frozen."""
        course = self.scales
        if course.warmup and not self._passed((course.warmup,), epoch, max_epochs):
            return 0.0
        return course.lr * course.lr_factor ** self._passed(course.lr_drops, epoch, max_epochs)

    def _passed(self, marks: tuple[int, ...], epoch: int, max_epochs: int) -> int:
        """How many marks, epochs of `self.max_epochs`, lie behind at the same share of `max_epochs`."""
        return sum((epoch - 1) * self.max_epochs >= mark * max_epochs for mark in marks)


#: STIR, section 4 of the paper.
PAPER = Protocol("paper")

#: MNIST-Scale: Sosnovik, Szmaja, Smeulders, "Scale-Equivariant Steerable Networks", ICLR 2020, section 6.1, and their
#: published training code. Unlike there, every random choice follows from the seed.
MNIST_SCALE = Protocol(
    "sesn",
    batch_size=128,
    max_epochs=60,
    patience=None,
    lr=1e-2,
    learning_rates=(1e-2,),
    lr_drops=(20, 40),
    seeds={"mnist-scale": tuple(range(6))},
    shuffle_seed=None,
    normalisation=normalisation.MNIST_SCALE,
    rescaling=(0.5, 2.0),
    scales=ScaleCourse(lr=5e-3, warmup=10, lr_drops=(20, 40)),
)

#: Digits over a range of sizes, for one layer with learned scales: Basting, Bruintjes, Wiedemer, Kuemmerer, Bethge and
#: van Gemert, "Scale Learning in Scale-Equivariant Convolutional Networks", VISAPP 2024, and the commands published
#: with it. (Their code lets the rate of the scales rise over the warm-up; here they are frozen during it.) Images are
#: normalised by the mean and standard deviation of the run's own training images.
MNIST_RANGE = Protocol(
    "scale-learning",
    batch_size=128,
    max_epochs=60,
    patience=None,
    lr=1e-2,
    learning_rates=(1e-2,),
    lr_drops=(20, 40),
    seeds={"mnist-range": (0, 1, 2)},
    shuffle_seed=None,
    scales=ScaleCourse(lr=1e-2, warmup=5, lr_drops=(20, 40), lr_factor=0.75),
)

#: STL-10: the same paper, section 6.2, and the same code. There is no validation split: all labelled images are trained
#: on, and the weights of the last epoch are tested. The last drop of the rate falls on the end and changes nothing.
STL10 = Protocol(
    "sesn-stl10",
    batch_size=128,
    max_epochs=1000,
    patience=None,
    optimizer=Optimizer("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}),
    lr=0.1,
    learning_rates=(0.1,),
    lr_drops=(300, 400, 600, 800, 1000),
    lr_factor=0.2,
    selection_seeds=(),
    seeds={"stl10": (1,)},
    shuffle_seed=None,
    channel_normalisation=normalisation.STL10,
    crop_padding=12,
    flip=True,
    cutout=32,
)
