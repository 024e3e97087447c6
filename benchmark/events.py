"""What happens in a run, as data, and who may watch it. Imports neither torch nor MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.spec import RunSpec

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.predictions import Predictions

#: The figures of an epoch that a store keeps, under the original's names.
EPOCH_METRICS = ("train_loss", "train_acc", "train_time", "val_loss", "val_acc")


@dataclass(frozen=True)
class Epoch:
    """One line of a run's history. Losses are means over samples, accuracies percent, the time seconds.

    Attributes:
        number: counted from 1.
        train_time: of the training part alone, as in the published timings.
        val_loss, val_acc: None in a study without a validation split.
        best_acc: best validation accuracy so far; None as well.
        patience_left: epochs until the run stops, unless the validation accuracy improves.
        time: seconds since 1970 at its end.
        own: figures that only some models have, by the name they are logged under: internal scales.
    """

    number: int
    train_loss: float
    train_acc: float
    train_time: float
    val_loss: float | None
    val_acc: float | None
    best_acc: float | None
    patience_left: int
    time: float
    own: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Started:
    """What is known when a run begins.

    Attributes:
        id: of this execution, unique; a record and an MLflow run of it both carry it.
        time: seconds since 1970.
        parameters: trainable numbers of the model.
        environment: see `benchmark.system.environment.describe`.
        images: how many images each split has (`benchmark.studies.base.Task.sizes`), where that is known.
    """

    id: str
    spec: RunSpec
    time: float
    parameters: int
    environment: dict[str, Any]
    images: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        metrics: final figures by the name they are logged under; accuracies in percent, times in seconds.
        history: one entry an epoch.
        predictions: of the whole test split, all 48 sizes.
        weights: those that were tested, on the CPU.
        end_time: seconds since 1970.
    """

    started: Started
    metrics: dict[str, float]
    history: tuple[Epoch, ...]
    predictions: Predictions
    weights: dict[str, Tensor]
    end_time: float


@dataclass(frozen=True)
class Ended:
    """A run that ended early: status FAILED or KILLED, and why in one line."""

    started: Started
    status: str
    reason: str
    history: tuple[Epoch, ...]
    end_time: float


class Observer:
    """Follows a run. Each method does nothing here; an error that one raises ends the run."""

    def started(self, started: Started) -> None: ...

    def step(self, done: int, total: int) -> None: ...

    def valid_step(self, done: int, total: int) -> None: ...

    def epoch(self, epoch: Epoch) -> None: ...

    def test_step(self, done: int, total: int) -> None: ...

    def finished(self, result: Result) -> None: ...

    def ended(self, ended: Ended) -> None: ...
