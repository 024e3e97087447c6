"""The one training loop: cross-entropy, early stopping on validation accuracy, the best weights kept.

Without a validation split nothing is chosen: a run goes on to its last epoch, whose weights are kept.

`Training` is a run in progress. Its `epoch` method is one step of the protocol, and `state_dict` holds
everything that the next epoch depends on, so a run that is stopped and continued ends as if it had not been.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from benchmark import protocol
from benchmark.events import Epoch
from benchmark.training.divergence import Diverged, TrainingError
from siconvnet.layers.learned_scales import ScaleError, scale_figures, scale_parameters

#: Called after each batch with how many batches are done and how many the epoch has.
StepCallback = Callable[[int, int], None]


class Batches(Protocol):
    """A split on the device, in batches of images, as models take them, and labels."""

    @property
    def labels(self) -> Tensor: ...

    def __len__(self) -> int: ...

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All samples once, at most `size` at a time; what it draws at random comes from torch's global generator."""
        ...


class Tally:
    """Loss and hits summed where the data is, so that no step waits for the device.

    The sums are the same as in Python numbers: float32 losses are added in float64, in order.
    """

    def __init__(self, device: torch.device):
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._hits = torch.zeros((), dtype=torch.int64, device=device)
        self._samples = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._loss += loss.detach().double() * len(labels)
        self._hits += (logits.detach().argmax(dim=1) == labels).sum()
        self._samples += len(labels)

    def result(self) -> tuple[float, float]:
        """Mean loss and accuracy in percent; waits for the device."""
        return self._loss.item() / self._samples, 100 * self._hits.item() / self._samples


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch, as is done before a model is made."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - models of others may draw from the global generator
    torch.manual_seed(seed)


@dataclass
class Training:
    """A run in progress.

    Args:
        model: on the device of the samples.
        train, valid: the two splits; None where the study has no validation split.
        lr, batch_size, max_epochs, patience: as in `RunSpec`.
        plan: the study's protocol: optimizer and course of the rate.
        amp: train in mixed precision, "bfloat16" or "float16"; with float16 losses are scaled, so that small
            gradients are not lost. Validation and test are computed in single precision.
    """

    model: nn.Module
    train: Batches
    valid: Batches | None
    lr: float
    batch_size: int = 16
    max_epochs: int = 200
    patience: int | None = 10
    plan: protocol.Protocol = protocol.PAPER
    amp: str | None = None
    history: list[Epoch] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind = getattr(torch.optim, self.plan.optimizer.name)
        self.optimizer = kind(self._groups(), lr=self.lr, **self.plan.optimizer.options)
        self.criterion = nn.CrossEntropyLoss()
        self.scaler = torch.amp.GradScaler(self.train.labels.device.type, enabled=self.amp == "float16")

    def _groups(self) -> list[dict[str, Any]]:
        """The weights, and where scales are learned these for themselves: decay would only shrink them."""
        own = {id(parameter) for parameter in scale_parameters(self.model)}
        scales = [parameter for parameter in scale_parameters(self.model) if parameter.requires_grad]
        weights = [parameter for parameter in self.model.parameters() if id(parameter) not in own]
        return [{"params": weights}, *([{"params": scales, "weight_decay": 0.0}] if scales else [])]

    @property
    def finished(self) -> bool:
        last = self.history[-1] if self.history else None
        return last is not None and (last.patience_left == 0 or last.number >= self.max_epochs)

    @property
    def best_epoch(self) -> Epoch:
        """The epoch whose weights are kept: the first with the best validation accuracy, or else the last."""
        scored = [(epoch.val_acc, epoch) for epoch in self.history if epoch.val_acc is not None]
        return max(scored, key=lambda pair: pair[0])[1] if scored else self.history[-1]

    @property
    def average_time(self) -> float:
        """Mean seconds of the training part of an epoch."""
        return sum(epoch.train_time for epoch in self.history) / len(self.history)

    def epoch(self, on_step: StepCallback | None = None, on_valid_step: StepCallback | None = None) -> Epoch:
        """Train on every batch once, validate, remember the weights if they are the best so far.

        Args:
            on_step, on_valid_step: called after each batch of training and of validation.

        Raises:
            Diverged: the training or the validation loss is not finite, nor are all weights.
            TrainingError: only the loss is not finite, or internal scales have run away.
        """
        number = len(self.history) + 1
        try:
            return self._epoch(number, on_step, on_valid_step)
        except ScaleError as error:
            raise self._failure()(f"epoch {number}: {error}") from error

    def _epoch(self, number: int, on_step: StepCallback | None, on_valid_step: StepCallback | None) -> Epoch:
        self._set_rates(number)
        self._wait()
        start = time.perf_counter()
        train_loss, train_acc = self._pass(on_step)
        self._wait()
        train_time = time.perf_counter() - start
        self._require_finite(train_loss, "training", number)
        val_loss = val_acc = None
        best, improved = self.history[-1].best_acc if self.history else None, False
        if self.valid is not None:
            val_loss, val_acc = measure(self.model, self.valid, self.batch_size, on_valid_step)
            self._require_finite(val_loss, "validation", number)
            if improved := best is None or val_acc > best:
                best = val_acc
                # Clones, because the optimizer goes on writing into the tensors of the model.
                self.best_weights = {name: value.clone() for name, value in self.model.state_dict().items()}
        if self.patience is None:
            left = self.max_epochs - number
        else:
            left = self.patience if improved else self.history[-1].patience_left - 1
        done = Epoch(
            number, train_loss, train_acc, train_time, val_loss, val_acc, best, left, time.time(),
            scale_figures(self.model),
        )  # fmt: skip
        self.history.append(done)
        return done

    def _set_rates(self, number: int) -> None:
        weights, *scales = self.optimizer.param_groups
        weights["lr"] = self.plan.lr_at(self.lr, number, self.max_epochs)
        for group in scales:
            group["lr"] = self.plan.scale_lr_at(number, self.max_epochs)
            for parameter in group["params"]:
                parameter.requires_grad_(group["lr"] > 0)

    def restore_best(self) -> None:
        """Give the model the weights of its best epoch; without a validation split it has them."""
        if self.valid is not None:
            self.model.load_state_dict(self.best_weights)

    def _pass(self, on_step: StepCallback | None) -> tuple[float, float]:
        self.model.train()
        tally = Tally(self.train.labels.device)
        steps = math.ceil(len(self.train) / self.batch_size)
        for step, (images, labels) in enumerate(self.train.batches(self.batch_size), start=1):
            self.optimizer.zero_grad()
            with self._precision():
                logits = self.model(images)
                loss = self.criterion(logits, labels)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            tally.add(loss, logits, labels)
            if on_step:
                on_step(step, steps)
        return tally.result()

    def _precision(self) -> contextlib.AbstractContextManager[object]:
        if self.amp is None:
            return contextlib.nullcontext()
        return torch.autocast(self.train.labels.device.type, getattr(torch, self.amp))

    def _wait(self) -> None:
        if self.train.labels.is_cuda:
            torch.cuda.synchronize(self.train.labels.device)

    def _require_finite(self, loss: float, part: str, number: int) -> None:
        if not math.isfinite(loss):
            raise self._failure()(
                f"the {part} loss became {loss} in epoch {number} at learning rate {self.lr:g}; "
                "a smaller --lr may train."
            )

    def _failure(self) -> type[TrainingError]:
        """`Diverged` where a weight or statistic is no finite number any more, from which training never comes back."""
        finite = all(bool(torch.isfinite(value).all()) for value in self.model.state_dict().values())
        return TrainingError if finite else Diverged

    def state_dict(self) -> dict[str, Any]:
        """Everything that the following epochs depend on, the random generators included."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "history": [asdict(epoch) for epoch in self.history],
            "best_weights": self.best_weights,
            "random": random.getstate(),
            "numpy": np.random.get_state(),  # noqa: NPY002 - the generator that seed_everything seeds
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if self.train.labels.is_cuda else [],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.best_weights = dict(state["best_weights"])
        random.setstate(state["random"])
        np.random.set_state(state["numpy"])  # noqa: NPY002
        torch.set_rng_state(state["torch"])
        if state["cuda"]:
            torch.cuda.set_rng_state_all(state["cuda"])


@torch.no_grad()
def measure(
    model: nn.Module, samples: Batches, batch_size: int, on_step: StepCallback | None = None
) -> tuple[float, float]:
    """Mean loss and accuracy in percent of `model` on `samples`, in evaluation mode."""
    model.eval()
    criterion = nn.CrossEntropyLoss()
    tally = Tally(samples.labels.device)
    steps = math.ceil(len(samples) / batch_size)
    for step, (images, labels) in enumerate(samples.batches(batch_size), start=1):
        logits = model(images)
        tally.add(criterion(logits, labels), logits, labels)
        if on_step:
            on_step(step, steps)
    return tally.result()
