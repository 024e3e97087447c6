"""Training on MNIST-Scale: the protocol, reproducible batches, and a whole run on a few images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark import mnist_scale
from benchmark.mnist_scale import PAPER, DeviceImages, MnistScaleProtocol, MnistScaleSpec, normalize, train
from benchmark.training import TrainingError
from siconvnet.datasets.catalog import EMBEDDED
from siconvnet.datasets.mnist_scale import MnistScale, MnistScaleSplit
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName

CPU = torch.device("cpu")


@pytest.fixture
def digits() -> MnistScaleSplit:
    images = np.load(EMBEDDED / "mnist_digits.npz")["imgs"][0, :, :32].transpose(1, 0, 2, 3).reshape(-1, 28, 28)
    return MnistScaleSplit(images, np.arange(len(images)) % 10, np.ones(len(images)))


@pytest.fixture
def few(digits, monkeypatch) -> None:
    few = MnistScaleSplit(digits.images[:120], digits.labels[:120], digits.scales[:120])
    monkeypatch.setattr(mnist_scale, "load_mnist_scale", lambda r: MnistScale(r, few, few, few))


def test_the_paper_drops_the_rate_at_20_and_40():
    rates = [PAPER.lr_at(epoch) for epoch in range(PAPER.epochs)]
    assert rates == pytest.approx([0.01] * 20 + [0.001] * 20 + [0.0001] * 20)
    assert [MnistScaleProtocol(epochs=2).lr_at(epoch) for epoch in range(2)] == pytest.approx([0.01, 0.001])


def test_shuffled_batches_hold_every_image_once(digits):
    images = DeviceImages(digits, CPU)
    torch.manual_seed(0)
    first, labels = (torch.cat(parts) for parts in zip(*images.shuffled(100, None), strict=True))
    second = torch.cat([batch for batch, _ in images.shuffled(100, None)])
    assert not torch.equal(first, second)
    reference = torch.cat([batch for batch, _ in images.ordered(100)])
    torch.testing.assert_close(reference, torch.from_numpy(digits.normalized()))
    key = reference.flatten(1).sum(1)
    torch.testing.assert_close(first.flatten(1).sum(1).sort().values, key.sort().values)
    assert labels.bincount().tolist() == [32] * 10
    # Labels stay with their images.
    order = {value.item(): label for value, label in zip(key, digits.labels, strict=True)}
    assert all(order[value.item()] == label for value, label in zip(first.flatten(1).sum(1), labels, strict=True))


def test_augmentation_rescales_and_follows_the_seed(digits):
    images = DeviceImages(digits, CPU)

    def batches(seed: int, rescaling: tuple[float, float] | None) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([batch for batch, _ in images.shuffled(64, rescaling)])

    assert torch.equal(batches(0, (0.5, 2.0)), batches(0, (0.5, 2.0)))
    assert not torch.equal(batches(0, (0.5, 2.0)), batches(1, (0.5, 2.0)))
    torch.testing.assert_close(batches(0, (1.0, 1.0)), batches(0, None))
    ink = (batches(0, (0.5, 0.5)) - normalize(torch.zeros(1))).sum() / (
        batches(0, None) - normalize(torch.zeros(1))
    ).sum()
    assert ink.item() == pytest.approx(0.25, rel=0.05)


def test_a_run_learns_and_repeats(few):
    spec = MnistScaleSpec("cnn_28", protocol=MnistScaleProtocol(epochs=3, batch_size=24))
    seen = []
    result = train(spec, CPU, seen.append)
    assert seen == result.history and len(seen) == 3
    assert result.parameters == 494_549
    assert result.history[-1].train_loss < 0.7 * result.history[0].train_loss
    best = max(result.history, key=lambda epoch: epoch.val_acc)
    assert result.best_epoch == best.number
    # Training, validation and test are the same images here: the best weights were the ones tested.
    assert result.test_error == pytest.approx(100 - best.val_acc)
    again = train(spec, CPU)
    assert [e.train_loss for e in again.history] == [e.train_loss for e in result.history]
    assert all(torch.equal(again.weights[key], value) for key, value in result.weights.items())


def test_each_run_has_its_own_folder(few, tmp_path):
    import json

    from safetensors.torch import load_file

    folders = []
    for seed in (0, 1):
        protocol = MnistScaleProtocol(epochs=1, batch_size=120)
        result = train(MnistScaleSpec("cnn_28", augment=True, seed=seed, protocol=protocol), CPU)
        folders.append(mnist_scale.save(result, tmp_path, {"machine": "this one"}))
        mnist_scale.save(result, tmp_path, {"machine": "this one"})
    assert [f.name for f in folders] == ["cnn_28-r0-augmented-s0-e1", "cnn_28-r0-augmented-s1-e1"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [f.name for f in folders]
    record = json.loads((folders[1] / "run.json").read_text())
    assert record["spec"]["seed"] == 1 and record["test_error"] == result.test_error
    assert record["environment"] == {"machine": "this one"} and len(record["history"]) == 1
    stored = load_file(folders[1] / "weights.safetensors")
    assert stored.keys() == result.weights.keys()
    assert all(torch.equal(stored[key], value) for key, value in result.weights.items())


def test_a_loss_that_is_no_number_ends_the_run(few):
    with pytest.raises(TrainingError, match="epoch 1"):
        train(MnistScaleSpec("cnn_28", protocol=MnistScaleProtocol(epochs=1, batch_size=24, lr=1e30)), CPU)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (MnistScaleSpec("cnn"), UnknownName, "Did you mean"),
        (MnistScaleSpec("cnn_28", realization=6), InvalidArgument, r"0\.\.5"),
        (MnistScaleSpec("cnn_28", protocol=MnistScaleProtocol(epochs=0)), InvalidArgument, "1 epoch"),
        (MnistScaleSpec("cnn_28", protocol=MnistScaleProtocol(lr=0.0)), InvalidArgument, "above 0"),
    ],
)
def test_refuses(spec, error, message):
    with pytest.raises(error, match=message):
        train(spec, CPU)


def test_a_missing_realization_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match="benchmark mnist-scale build"):
        train(MnistScaleSpec("cnn_28"), CPU)
