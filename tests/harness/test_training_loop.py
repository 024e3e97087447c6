"""The loop against a plain one written out by hand, and its promises: early stop, best weights, resuming."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.training.divergence import Diverged, TrainingError
from benchmark.training.loop import Tally, Training, measure, seed_everything
from siconvnet.layers.learned_scales import ScaleError


@dataclass(frozen=True)
class Samples:
    """Images and labels, in the order in which they are used."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self.images.split(size), self.labels.split(size), strict=True)


def small_problem(count: int = 40, *, seed: int = 0) -> Samples:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count,), generator=generator)
    images = torch.rand(count, 1, 8, 8, generator=generator) + labels.view(-1, 1, 1, 1) * 0.3
    return Samples(images, labels)


def small_net(*, dropout: float = 0.0) -> nn.Module:
    seed_everything(3)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(dropout), nn.Linear(144, 3))


def training(**changes: object) -> Training:
    settings = {"lr": 0.01, "batch_size": 16, "max_epochs": 6, "patience": 10, **changes}
    net = settings.pop("net", None) or small_net()
    return Training(net, small_problem(), small_problem(seed=1), **settings)  # type: ignore[arg-type]


def as_the_original_does(net: nn.Module, train: Samples, valid: Samples, epochs: int) -> Iterator[dict[str, float]]:
    """A straight loop with Python sums, as the paper describes it."""
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(epochs):
        figures = {}
        for part, samples in (("train", train), ("val", valid)):
            net.train(part == "train")
            loss_sum, hits = 0.0, 0
            for first in range(0, len(samples), 16):
                images, labels = samples.images[first : first + 16], samples.labels[first : first + 16]
                with torch.set_grad_enabled(part == "train"):
                    logits = net(images)
                    loss = criterion(logits, labels)
                if part == "train":
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                loss_sum += loss.item() * len(labels)
                hits += int((logits.argmax(dim=1) == labels).sum())
            figures |= {f"{part}_loss": loss_sum / len(samples), f"{part}_acc": 100 * hits / len(samples)}
        yield figures


def test_history_is_the_plain_loops_to_the_last_bit() -> None:
    run = training()
    expected = list(as_the_original_does(small_net(), run.train, run.valid, 6))
    while not run.finished:
        run.epoch()
    assert [{key: getattr(epoch, key) for key in expected[0]} for epoch in run.history] == expected


def test_last_batch_may_be_smaller() -> None:
    samples = small_problem(40)
    assert [len(labels) for _, labels in samples.batches(16)] == [16, 16, 8]
    assert torch.cat([images for images, _ in samples.batches(16)]).equal(samples.images)


class Scripted(nn.Module):
    """Reaches a given validation accuracy in each epoch: the first n of 10 samples are right."""

    def __init__(self, hits: list[int]):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.hits, self.seen = hits, 0

    def forward(self, images: Tensor) -> Tensor:
        right = torch.zeros(len(images))
        if not self.training:
            right[: self.hits[self.seen]] = 1.0
            self.seen += 1
        return torch.stack([1.0 - right, right], dim=1) + 0 * self.weight


def scripted(hits: list[int], **changes: int) -> Training:
    samples = Samples(torch.zeros(10, 1, 2, 2), torch.ones(10, dtype=torch.int64))
    settings = {"batch_size": 10, "max_epochs": 50, "patience": 3, **changes}
    run = Training(Scripted(hits), samples, samples, lr=0.1, **settings)
    while not run.finished:
        run.epoch()
    return run


@pytest.mark.parametrize(
    ("hits", "epochs", "best"),
    [
        ([5, 5, 5, 5, 9, 9], 4, 1),  # equal is not better
        ([1, 2, 2, 3, 3, 3, 3, 9], 7, 4),  # patience starts anew
        ([0, 0, 0, 0, 9], 4, 1),  # the first epoch always counts as better
    ],
)
def test_patience_counts_strictly_better_epochs_only(hits: list[int], epochs: int, best: int) -> None:
    run = scripted(hits)
    assert (len(run.history), run.best_epoch.number) == (epochs, best)
    assert run.history[-1].patience_left == 0
    assert run.best_epoch.val_acc == 10 * hits[best - 1] == run.history[-1].best_acc


def test_max_epochs_ends_a_run_that_goes_on_improving() -> None:
    assert len(scripted(list(range(11)), max_epochs=4).history) == 4


def test_best_weights_come_back() -> None:
    run = training(max_epochs=8)
    accuracies, weights = [], []
    while not run.finished:
        accuracies.append(run.epoch().val_acc)
        weights.append({name: value.clone() for name, value in run.model.state_dict().items()})
    best = accuracies.index(max(accuracies))
    run.restore_best()
    assert all(value.equal(weights[best][name]) for name, value in run.model.state_dict().items())
    assert measure(run.model, run.valid, 16)[1] == max(accuracies)


@pytest.mark.parametrize("stop", [1, 3])
def test_continued_run_ends_as_if_it_had_not_stopped(stop: int) -> None:
    # Dropout draws random numbers in every step, so the generators have to come back as well.
    whole = training(net=small_net(dropout=0.5))
    while not whole.finished:
        whole.epoch()
    first = training(net=small_net(dropout=0.5))
    for _ in range(stop):
        first.epoch()
    state = first.state_dict()
    seed_everything(99)
    second = training(net=small_net(dropout=0.5))
    second.load_state_dict(state)
    while not second.finished:
        second.epoch()

    def figures(run: Training) -> list[tuple[float, ...]]:
        return [(e.train_loss, e.train_acc, e.val_loss, e.val_acc, e.patience_left) for e in run.history]

    assert figures(second) == figures(whole)
    assert all(value.equal(whole.best_weights[name]) for name, value in second.best_weights.items())


def test_without_the_generators_the_continued_run_differs() -> None:
    runs = []
    for seed in (1, 2):
        run = training(net=small_net(dropout=0.5))
        torch.manual_seed(seed)
        runs.append(run.epoch().train_loss)
    assert runs[0] != runs[1]


@pytest.mark.parametrize("poison", ["train", "valid"])
def test_loss_that_is_no_number_ends_the_run(poison: str) -> None:
    run = training()
    getattr(run, poison).images[7] = float("nan")
    with pytest.raises(TrainingError, match=r"^diverged: the .* loss became nan in epoch 1 .*--lr"):
        run.epoch()
    assert not run.history


class Runaway(nn.Module):
    """Refuses to compute, as layers with learned scales do when these are of no use."""

    def forward(self, x: Tensor) -> Tensor:
        raise ScaleError("internal scales left the canvas")


@pytest.mark.parametrize("lost", [True, False])
def test_scales_that_run_away_end_the_run(lost: bool) -> None:
    run = training(net=nn.Sequential(small_net(), Runaway()))
    if lost:
        next(run.model.parameters()).data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="internal scales left the canvas") as caught:
        run.epoch()
    assert isinstance(caught.value, Diverged) == lost
    assert str(caught.value).startswith("diverged: ")


def test_sums_are_exact() -> None:
    generator = np.random.default_rng(0)
    tally, total = Tally(torch.device("cpu")), 0.0
    for size in (16, 16, 5):
        loss = torch.tensor(generator.random(), dtype=torch.float32)
        tally.add(loss, torch.eye(3)[torch.zeros(size, dtype=torch.int64)], torch.zeros(size, dtype=torch.int64))
        total += loss.item() * size
    assert tally.result() == (total / 37, 100.0)


def test_seeding_covers_all_three_generators() -> None:
    import random

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    seed_everything(5)
    first = draw()
    seed_everything(5)
    assert draw() == first
    seed_everything(6)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.parametrize("kind", [TrainingError, Diverged])
def test_the_reason_of_a_divergence_is_said_once_in_another_process_too(kind: type[TrainingError]) -> None:
    error = pickle.loads(pickle.dumps(kind("the loss became inf")))
    assert (type(error), str(error)) == (kind, "diverged: the loss became inf")
