"""One run from spec to result."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark import predictions
from benchmark.events import Ended, Epoch, Observer, Result, Started
from benchmark.predictions import Predictions, band_metric
from benchmark.protocol import ALL_SCALES, BANDS
from benchmark.spec import RunSpec
from benchmark.training.divergence import Diverged, TrainingError
from benchmark.training.execution import execute
from benchmark.training.loop import StepCallback, Training
from siconvnet.datasets import load_dataset
from siconvnet.errors import DatasetError


class Notes(Observer):
    """Writes down what it sees."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.last: Ended | None = None

    def started(self, started: Started) -> None:
        self.seen.append("started")

    def step(self, done: int, total: int) -> None:
        self.seen.append(f"{done}/{total}")

    def epoch(self, epoch: Epoch) -> None:
        self.seen.append(f"epoch {epoch.number}")

    def finished(self, result: Result) -> None:
        self.seen.append("finished")

    def ended(self, ended: Ended) -> None:
        self.seen.append(ended.status)
        self.last = ended


def same(one: Result, two: Result) -> bool:
    weights = all(one.weights[name].equal(two.weights[name]) for name in one.weights)
    losses = np.array_equal(one.predictions.losses, two.predictions.losses)
    return weights and losses and [e.val_loss for e in one.history] == [e.val_loss for e in two.history]


def test_same_spec_same_bits(spec: RunSpec) -> None:
    first = execute(spec, device="cpu")
    assert same(first, execute(spec, device="cpu"))
    assert not same(first, execute(dataclasses.replace(spec, seed=2), device="cpu"))


def test_same_bits_in_another_process(spec: RunSpec, python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    code = """
import json, sys
from benchmark.training.execution import execute
from benchmark.spec import RunSpec
result = execute(RunSpec.from_dict(json.loads(sys.argv[1])), device="cpu")
print(json.dumps([[e.train_loss, e.val_loss] for e in result.history]), result.metrics["test_loss"])
"""
    import json

    first, second = (python(code, json.dumps(spec.to_dict()), PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout


def test_figures_are_those_of_the_test_split(spec: RunSpec, few_icons: Path) -> None:
    result = execute(spec, device="cpu")
    subset = load_dataset(few_icons).select("test", ALL_SCALES)
    predictions = result.predictions
    assert np.array_equal(predictions.labels, subset.labels)
    assert np.array_equal(predictions.scales, subset.scales)
    right = predictions.predicted == subset.labels
    tested = (subset.scales < 33) | (subset.scales > 48)
    assert result.metrics["test_acc"] == pytest.approx(100 * right[tested].mean())
    assert result.metrics["test_loss"] == pytest.approx(predictions.losses[tested].mean(), rel=1e-6)
    for band in BANDS:
        inside = (subset.scales >= band.first) & (subset.scales <= band.last)
        assert result.metrics[band_metric(band.first, band.last)] == pytest.approx(100 * right[inside].mean())
    assert result.metrics["epochs"] == len(result.history) == 3
    assert result.metrics["avg_time"] == pytest.approx(np.mean([e.train_time for e in result.history]))
    assert result.metrics["best_acc"] == max(e.val_acc for e in result.history)
    assert result.metrics["run_time"] >= sum(e.train_time for e in result.history)


def test_predictions_survive_storage() -> None:
    arrays = (np.array([0, 35, 3]), np.array([0, 35, 2]), np.array([17, 64, 33]), np.ones(3, np.float32))
    before = Predictions(*arrays)
    after = Predictions.from_arrays(before.arrays())
    assert all(np.array_equal(getattr(before, k), getattr(after, k)) for k in ("predicted", "labels", "scales"))
    assert after.accuracy([17, 64]) == 100.0
    assert after.accuracy([33]) == 0.0
    assert np.isnan(after.accuracy([20]))


def test_observers_see_a_run_in_order(spec: RunSpec) -> None:
    notes = Notes()
    execute(dataclasses.replace(spec, max_epochs=1), device="cpu", observers=[notes])
    assert notes.seen == ["started", "1/4", "2/4", "3/4", "4/4", "epoch 1", "finished"]


def test_a_run_that_diverges_without_a_validation_split_has_failed(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_pass = Training._pass

    def poisoned(training: Training, on_step: StepCallback | None) -> tuple[float, float]:
        training.valid = training.patience = None
        found = one_pass(training, on_step)
        if not training.history:
            return found
        for parameter in training.model.parameters():
            parameter.data.fill_(float("nan"))
        return float("nan"), 0.0

    monkeypatch.setattr(Training, "_pass", poisoned)
    notes = Notes()
    with pytest.raises(Diverged, match=r"^diverged: .* in epoch 2 "):
        execute(spec, device="cpu", observers=[notes])
    assert notes.seen[-1] == "FAILED"


def test_a_loss_that_is_no_number_with_weights_that_are_has_failed(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The paper's loop would go on from there, and may come back: its best weights may be yet to come."""
    one_pass = Training._pass

    def overflowing(training: Training, on_step: StepCallback | None) -> tuple[float, float]:
        found = one_pass(training, on_step)
        return (float("inf"), 0.0) if training.history else found

    monkeypatch.setattr(Training, "_pass", overflowing)
    with pytest.raises(TrainingError, match=r"^diverged: .* became inf in epoch 2 "):
        execute(spec, device="cpu")


@pytest.mark.parametrize("part", ["training", "validation"])
def test_a_run_that_diverges_later_is_judged_by_its_best_weights(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """As in the paper's protocol, which trains on with losses that are no numbers, and tests the best weights."""
    undisturbed = execute(dataclasses.replace(spec, max_epochs=2), device="cpu")
    one_pass = Training._pass

    def poisoned(training: Training, on_step: StepCallback | None) -> tuple[float, float]:
        found = one_pass(training, on_step)
        if len(training.history) < 2:
            return found
        for parameter in training.model.parameters():
            parameter.data.fill_(float("nan"))
        return (float("nan"), 0.0) if part == "training" else found

    monkeypatch.setattr(Training, "_pass", poisoned)
    notes = Notes()
    result = execute(spec, device="cpu", observers=[notes])
    assert same(result, undisturbed)
    assert result.metrics["test_acc"] == undisturbed.metrics["test_acc"]
    assert (result.metrics["diverged_epoch"], result.metrics["epochs"]) == (3, 2)
    assert "diverged_epoch" not in undisturbed.metrics
    assert notes.seen[-1] == "finished" and "epoch 3" not in notes.seen


def test_loss_that_is_no_number_is_a_failed_run(spec: RunSpec) -> None:
    notes = Notes()
    with pytest.raises(TrainingError):
        execute(dataclasses.replace(spec, lr=1e30), device="cpu", observers=[notes])
    assert notes.last is not None
    assert (notes.last.status, notes.seen[-1]) == ("FAILED", "FAILED")
    assert "loss became" in notes.last.reason


def test_model_that_overflows_on_other_sizes_is_a_failed_run(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(*arguments: object) -> Predictions:
        found = whole(*arguments)
        losses = np.where(found.scales >= 60, np.nan, found.losses).astype(np.float32)
        return dataclasses.replace(found, losses=losses)

    whole = predictions.predict
    monkeypatch.setattr(predictions, "predict", predict)
    notes = Notes()
    with pytest.raises(TrainingError, match="20 of 192 images, with objects of 60 to 64 pixels"):
        execute(dataclasses.replace(spec, max_epochs=1), device="cpu", observers=[notes])
    assert notes.seen[-1] == "FAILED"


def test_interrupted_run_is_killed(spec: RunSpec) -> None:
    class Impatient(Observer):
        def epoch(self, epoch: Epoch) -> None:
            raise KeyboardInterrupt

    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        execute(spec, device="cpu", observers=[Impatient(), notes])
    assert notes.seen[-1] == "KILLED"


def test_broken_data_file_starts_nothing(tmp_path: Path, spec: RunSpec) -> None:
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"no zip at all")
    notes = Notes()
    with pytest.raises(DatasetError):
        execute(dataclasses.replace(spec, dataset=str(broken)), device="cpu", observers=[notes])
    assert not notes.seen


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_standard_lands_where_the_paper_did(seed: int) -> None:
    from benchmark.studies.published import cell

    published = cell("standard", "emoji", 2)
    assert published is not None
    accuracy = execute(RunSpec("standard", "emoji", evaluation=2, seed=seed)).metrics["test_acc"]
    assert abs(accuracy - published.mean) <= 3 * published.std
