"""MNIST-Scale through the same harness as STIR: protocol, batches, runs on a few digits, store and command line."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.cli import main
from benchmark.events import Result
from benchmark.protocol import MNIST_SCALE
from benchmark.spec import RunSpec
from benchmark.store import Store, experiment_name
from benchmark.studies import published
from benchmark.studies.mnist_scale import Digits
from benchmark.studies.stir import STIR
from benchmark.training.divergence import TrainingError
from benchmark.training.execution import execute
from benchmark.training.loop import Training, seed_everything
from benchmark.training.records import find
from siconvnet.datasets import mnist_scale as reader
from siconvnet.datasets.catalog import EMBEDDED
from siconvnet.datasets.mnist_scale import MnistScaleSplit, mnist_scale_path
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName

Capture = pytest.CaptureFixture[str]
CPU = torch.device("cpu")
SPEC = RunSpec("cnn_28", "mnist-scale")


@pytest.fixture(scope="module")
def digits() -> MnistScaleSplit:
    with np.load(EMBEDDED / "mnist_digits.npz") as file:
        images = file["imgs"][0, :, :32].transpose(1, 0, 2, 3).reshape(-1, 28, 28)
    return MnistScaleSplit(images, np.arange(320) % 10, np.linspace(0.3, 1.0, 320))


@pytest.fixture
def few(digits: MnistScaleSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Realizations of 120 digits, the same in each split, in the data folder."""
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(reader, "SPLIT_SIZES", dict.fromkeys(reader.SPLIT_SIZES, 120))
    arrays = {"imgs": digits.images, "lbls": digits.labels, "scls": digits.scales}
    content = {f"{split}_{key}": array[:120] for split in reader.SPLIT_SIZES for key, array in arrays.items()}
    for realization in (0, 1):
        path = mnist_scale_path(realization)
        path.parent.mkdir(exist_ok=True)
        np.savez(path, **content)  # type: ignore[arg-type]


def quick(**changes: object) -> RunSpec:
    return dataclasses.replace(SPEC, **{"max_epochs": 2, "batch_size": 24, **changes})  # type: ignore[arg-type]


def figures(result: Result) -> list[tuple[float, ...]]:
    return [(e.train_loss, e.train_acc, e.val_loss, e.val_acc, e.patience_left) for e in result.history]


def test_protocol_is_the_papers() -> None:
    rates = [MNIST_SCALE.lr_at(0.01, epoch, 60) for epoch in range(1, 61)]
    assert rates == pytest.approx([0.01] * 20 + [0.001] * 20 + [0.0001] * 20)
    assert [MNIST_SCALE.lr_at(0.01, epoch, 2) for epoch in (1, 2)] == pytest.approx([0.01, 0.001])
    assert (SPEC.batch_size, SPEC.max_epochs, SPEC.patience, SPEC.lr) == (128, 60, None, 0.01)
    assert MNIST_SCALE.normalisation == (reader.MEAN, reader.STD)
    assert SPEC.deviations == ()


def test_hash_is_pinned() -> None:
    assert SPEC.hash == "7f33201c42747927dcd5b306a542ddfdae455243f510571584b880dd37d1e400"
    augmented = RunSpec("disco_56p", "mnist-scale", realization=5, augment=True, max_epochs=4)
    assert augmented.hash == "8c8fa1339c067eb58acbb41f32e8c94c4f30db130a61cb44193830d501de111b"


def test_what_is_left_open_is_the_studys() -> None:
    assert (SPEC.settings.realization, SPEC.seed, SPEC.settings.augment) == (0, 0, False)
    assert RunSpec("cnn_28", "mnist-scale", realization=3).seed == 3
    assert set(SPEC.to_dict()) == set(SPEC.study.fields) - set(SPEC.study.optional)
    assert RunSpec.from_dict(SPEC.to_dict()) == SPEC


def test_every_field_counts() -> None:
    other = {"model": "xu_28", "realization": 1, "augment": True, "lr": 0.1, "seed": 4, "batch_size": 8}
    other |= {"max_epochs": 3, "patience": 2}
    hashes = {dataclasses.replace(SPEC, **{key: value}).hash for key, value in other.items()}  # type: ignore[arg-type]
    assert len({*hashes, SPEC.hash}) == len(other) + 1


def test_names() -> None:
    augmented = dataclasses.replace(SPEC, augment=True, realization=2, max_epochs=3)
    assert (SPEC.name, augmented.name) == ("cnn_28 r0 s0", "cnn_28 r2+ s0 max_epochs=3")
    assert experiment_name(SPEC) == "mnist-scale/plain"
    assert experiment_name(augmented) == "mnist-scale/augmented/custom"
    assert augmented.deviations == ("max epochs 3 instead of 60",)
    assert dataclasses.replace(SPEC, patience=5).deviations == ("patience 5 instead of none",)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(RunSpec, "cnn", "mnist-scale"), "Did you mean"),
        (partial(RunSpec, "pixel_pool", "mnist-scale"), "is a model for STIR, not for MNIST-Scale"),
        (partial(RunSpec, "decimal:Decimal", "mnist-scale"), "'decimal:Decimal' is not a model"),
        (
            partial(RunSpec, "cnn_28", "emoji", evaluation=2),
            "a model for MNIST-Scale, not for STIR; train it with --dataset",
        ),
        (partial(RunSpec, "standard", "emoji"), "needs an evaluation: --evaluation with one of 1 Small2Large"),
        (
            partial(RunSpec, "standard", "emoji", evaluation=2, realization=0),
            "--realization 0 does not apply to a run on emoji",
        ),
        (partial(RunSpec, "standard", "emoji", evaluation=2, augment=True), "--augment does not apply"),
        (
            partial(RunSpec, "cnn_28", "mnist-scale", evaluation=2),
            "--evaluation 2 does not apply to a run on mnist-scale",
        ),
        (partial(RunSpec, "cnn_28", "mnist-scale", kernel_size=7), "--kernel-size 7 does not apply"),
        (partial(RunSpec, "cnn_28", "mnist-scale", realization=6), r"0\.\.5"),
        (partial(RunSpec, "cnn_28", "mnist-scale", realization=True), "must be an integer"),
        (partial(RunSpec, "cnn_28", "mnist-scale", augment=3), "must be true or false"),  # type: ignore[arg-type]
        (partial(RunSpec, "cnn_28", "mnist-scale", lr=0.0), "above 0"),
        (partial(RunSpec, "cnn_28", "mnist-scale", max_epochs=0), "at least 1"),
        (partial(RunSpec, "cnn_28", "mnist-scale", batch_size=1), "a batch of one image"),
        (partial(RunSpec, "cnn_28", "mnist-scale", batch_size=9), "a batch of one image"),
        (partial(RunSpec, "cnn_28", "mnist-scal"), "Did you mean 'mnist-scale'"),
    ],
)
def test_nonsense_is_refused_in_one_line(make: Callable[[], RunSpec], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        make().validate()
    assert "\n" not in str(caught.value)


def test_a_missing_realization_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match="benchmark data build mnist-scale --seed 4"):
        execute(dataclasses.replace(SPEC, realization=4), device="cpu")


def test_training_batches_hold_every_image_once(digits: MnistScaleSplit) -> None:
    ordered, training = Digits(digits, CPU), Digits(digits, CPU, training=True)
    torch.manual_seed(0)
    first, labels = (torch.cat(parts) for parts in zip(*training.batches(100), strict=True))
    second = torch.cat([batch for batch, _ in training.batches(100)])
    assert not torch.equal(first, second)
    reference = torch.cat([batch for batch, _ in ordered.batches(100)])
    torch.testing.assert_close(reference, torch.from_numpy(digits.normalized()))
    key = reference.flatten(1).sum(1)
    torch.testing.assert_close(first.flatten(1).sum(1).sort().values, key.sort().values)
    assert labels.bincount().tolist() == [32] * 10
    # Labels stay with their images.
    order = {value.item(): label for value, label in zip(key, digits.labels, strict=True)}
    assert all(order[value.item()] == label for value, label in zip(first.flatten(1).sum(1), labels, strict=True))


def test_augmentation_rescales_and_follows_the_seed(digits: MnistScaleSplit) -> None:
    def batches(seed: int, rescaling: tuple[float, float] | None) -> torch.Tensor:
        protocol = dataclasses.replace(MNIST_SCALE, rescaling=rescaling)
        torch.manual_seed(seed)
        samples = Digits(digits, CPU, training=True, augment=True, protocol=protocol)
        return torch.cat([batch for batch, _ in samples.batches(64)])

    assert torch.equal(batches(0, (0.5, 2.0)), batches(0, (0.5, 2.0)))
    assert not torch.equal(batches(0, (0.5, 2.0)), batches(1, (0.5, 2.0)))
    torch.testing.assert_close(batches(0, (1.0, 1.0)), batches(0, None))
    black = -reader.MEAN / reader.STD
    ink = (batches(0, (0.5, 0.5)) - black).sum() / (batches(0, None) - black).sum()
    assert ink.item() == pytest.approx(0.25, rel=0.05)


@pytest.mark.usefixtures("few")
def test_a_run_learns_and_repeats() -> None:
    result = execute(quick(max_epochs=3), device="cpu")
    assert result.started.parameters == 494_549
    assert result.history[-1].train_loss < 0.7 * result.history[0].train_loss
    assert [epoch.patience_left for epoch in result.history] == [2, 1, 0]
    # Training, validation and test are the same images here: the best weights were the ones tested.
    assert result.metrics["test_acc"] == pytest.approx(max(epoch.val_acc for epoch in result.history))
    assert result.metrics["test_err"] == pytest.approx(100 - result.metrics["test_acc"])
    assert (result.predictions.scales.min(), result.predictions.scales.max()) == (8, 16)
    again = execute(quick(max_epochs=3), device="cpu")
    assert figures(again) == figures(result)
    assert all(torch.equal(again.weights[key], value) for key, value in result.weights.items())
    augmented = execute(quick(max_epochs=3, augment=True), device="cpu")
    assert figures(augmented) != figures(result)


@pytest.mark.usefixtures("few")
def test_continued_run_ends_as_if_it_had_not_stopped() -> None:
    spec = quick(max_epochs=3, augment=True)

    def training() -> Training:
        task = spec.study.open(spec, CPU)
        seed_everything(spec.seed)
        lengths = (spec.lr, spec.batch_size, spec.max_epochs, spec.patience)
        return Training(task.create_model(), task.train, task.valid, *lengths, spec.study.protocol)

    first = training()
    first.epoch()
    state = first.state_dict()
    second = training()
    second.load_state_dict(state)
    while not second.finished:
        second.epoch()
    whole = execute(spec, device="cpu")
    assert [(e.train_loss, e.val_loss) for e in second.history] == [(e.train_loss, e.val_loss) for e in whole.history]
    assert second.optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)


@pytest.mark.usefixtures("few")
def test_a_loss_that_is_no_number_ends_the_run() -> None:
    with pytest.raises(TrainingError, match="epoch 1"):
        execute(quick(lr=1e30), device="cpu")


def line(*more: str) -> list[str]:
    options = "--model ses_vector_28 --dataset mnist-scale --epochs 1 --batch-size 60 --device cpu"
    return ["run", *options.split(), *more]


@pytest.mark.usefixtures("few")
def test_run_is_stored_shown_and_not_repeated(capsys: Capture, database: Path) -> None:
    arguments = line("--realization", "1", "--augment", "--tracking-uri", str(database))
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(r"^epoch +1/1 ", out, re.M)
    assert "patience" not in out
    assert re.search(r"^test error +[\d.]+ %", out, re.M)
    assert "with augmentation they are of ses_vector_28p" in out
    store = Store(str(database))
    experiment = store.client.get_experiment_by_name("mnist-scale/augmented/custom")
    assert experiment is not None
    (run,) = store.client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test_err"] == pytest.approx(100 - run.data.metrics["test_acc"])
    assert run.data.params.items() >= {"model": "ses_vector_28", "data": "mnist-scale", "seed": "1"}.items()
    assert (run.data.params["realization"], run.data.params["augment"]) == ("1", "True")
    assert store.read([STIR]) == []
    assert main(arguments) == 0
    assert "finished before" in capsys.readouterr().out


@pytest.mark.usefixtures("few")
def test_records_and_back(capsys: Capture, database: Path, tmp_path: Path) -> None:
    root = tmp_path / "records"
    assert main(line("--records", str(root))) == 0
    assert len(find(root)) == 1
    assert main(["ingest", str(root), "--tracking-uri", str(database)]) == 0
    assert "on mnist-scale realization 0: finished" in capsys.readouterr().out
    assert find(root) == []
    assert main(line("--tracking-uri", str(database))) == 0
    assert "finished before" in capsys.readouterr().out


def test_published_errors_stand_beside_a_full_run() -> None:
    from rich.console import Console

    from benchmark.training.summary import render

    metrics = {"test_err": 2.04, "test_acc": 97.96, "best_acc": 98.0, "best_epoch": 50, "epochs": 60}
    metrics |= {"avg_time": 1.0, "run_time": 60.0}

    def text(spec: RunSpec) -> str:
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(render(spec, metrics))
        return console.export_text()

    full = text(RunSpec("ses_vector_28", "mnist-scale"))
    assert re.search(r"this run +SESN paper +reproduction", full)
    assert re.search(r"test error +2\.04 % +2\.08 ± 0\.09 % +2\.00 ± 0\.20 %", full)
    assert "not compared" not in full
    assert "max epochs 4 instead of 60" in text(RunSpec("ses_vector_28", "mnist-scale", max_epochs=4))
    assert re.search(r"DISCO poster.*1\.35 %", text(RunSpec("disco_56p", "mnist-scale", augment=True)), re.S)
    assert "nothing published for this network" in text(RunSpec("cnn_28", "mnist-scale"))


def test_published_errors_are_of_known_networks() -> None:
    names = SPEC.study.list_models()
    errors = published.all_errors("mnist-scale")
    assert len(errors) == 31
    assert {error.model for error in errors} <= set(names)
    # "p" marks the scales chosen for augmented training, as the authors' script pairs them.
    chosen = [error for error in errors if error.model != "ses_learned_56"]
    assert all(error.augment == error.model.endswith("p") for error in chosen)
    assert len(errors) - len(chosen) == 10
    assert published.all_errors("stir") == ()


def test_models_are_listed_by_study(capsys: Capture) -> None:
    assert main(["models", "ses_vector_*", "--study", "mnist-scale"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"ses_vector_28p +mnist-scale +steerable +Sosnovik et al. 2020 +494,549", out)
    assert main(["models", "cnn_28", "--study", "stir"]) == 2
    assert main(["models", "--study", "mnist"]) == 2
    with pytest.raises(UnknownName):
        main(["models", "x", "--study", "mnist-scale", "--debug"])
