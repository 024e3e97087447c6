"""STL-10 through the same harness: protocol, batches, mixed precision, runs on a few pictures, store, command line."""

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
from stl10_files import write_stl10

import siconvnet
from benchmark.cli import main
from benchmark.events import Observer, Result
from benchmark.predictions import predict
from benchmark.protocol import STL10
from benchmark.spec import RunSpec
from benchmark.store import Store, experiment_name
from benchmark.studies import published
from benchmark.studies.stl10 import Photos
from benchmark.sweeps.grid import data_of, expand
from benchmark.sweeps.suites import choose_grids, load_suite
from benchmark.training.checkpoints import Checkpoint
from benchmark.training.execution import execute
from benchmark.training.loop import Training, seed_everything
from benchmark.training.records import find
from siconvnet.datasets import stl10 as reader
from siconvnet.datasets.stl10 import Stl10Split
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName

Capture = pytest.CaptureFixture[str]
CPU = torch.device("cpu")
SPEC = RunSpec("wrn_16_8", "stl10")
SIZES = {"train": 10, "test": 6}
SMALL = dataclasses.replace(STL10, crop_padding=3, cutout=4)


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A few pictures in the data folder, and a small network."""
    root = tmp_path / "data"
    monkeypatch.setenv("SICONVNET_DATA", str(root))
    monkeypatch.setattr(reader, "SPLIT_SIZES", SIZES)
    quick_net = dataclasses.replace(siconvnet.model_info("wrn_16_8"), factory="stl10_files:Quick")
    monkeypatch.setitem(siconvnet.models._registry._objects, "wrn_16_8", quick_net)
    write_stl10(root / "stl10_binary", SIZES)
    return root


def quick(**changes: object) -> RunSpec:
    return dataclasses.replace(SPEC, **{"max_epochs": 2, "batch_size": 5, **changes})  # type: ignore[arg-type]


def small_split(count: int = 40) -> Stl10Split:
    """Pictures of 12 x 12 pixels, all different, none black."""
    images = np.random.default_rng(0).integers(1, 256, (count, 3, 12, 12), np.uint8)
    return Stl10Split(images, np.arange(count) % 10)


def figures(result: Result) -> list[tuple[float, ...]]:
    return [(e.train_loss, e.train_acc, e.patience_left) for e in result.history]


def test_protocol_is_the_papers() -> None:
    rates = [STL10.lr_at(0.1, epoch, 1000) for epoch in (1, 300, 301, 400, 401, 601, 801, 1000)]
    assert rates == pytest.approx([0.1, 0.1, 0.02, 0.02, 0.004, 0.0008, 0.00016, 0.00016])
    assert (SPEC.batch_size, SPEC.max_epochs, SPEC.lr, SPEC.patience, SPEC.settings.amp) == (128, 1000, 0.1, None, None)
    assert STL10.channel_normalisation == (reader.MEAN, reader.STD)
    assert (STL10.crop_padding, STL10.flip, STL10.cutout) == (12, True, 32)
    assert SPEC.deviations == ()
    net = torch.nn.Linear(2, 2)
    training = Training(net, Photos(small_split(), CPU), None, 0.1, plan=STL10)
    (group,) = training.optimizer.param_groups
    assert isinstance(training.optimizer, torch.optim.SGD)
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, True, 5e-4)


def test_hash_is_pinned_and_knows_mixed_precision_only_where_it_is_used() -> None:
    assert SPEC.hash == "f24fe89bfdd571d521274602fa6cf268ef1e2ec11973251fffc653b9f59f24bd"
    assert (
        dataclasses.replace(SPEC, amp="bfloat16", max_epochs=4).hash
        == "2b31e08914284b78cfd662b9f4c31abd1aaedb7be00245df2c06e16c33a91e74"
    )
    other = {"model": "wrn_16_8_xu", "lr": 0.2, "seed": 4, "batch_size": 8, "max_epochs": 3, "amp": "float16"}
    hashes = {dataclasses.replace(SPEC, **{key: value}).hash for key, value in other.items()}  # type: ignore[arg-type]
    assert len({*hashes, SPEC.hash}) == len(other) + 1
    assert RunSpec.from_dict(SPEC.to_dict()) == SPEC
    assert set(SPEC.to_dict()) == set(SPEC.study.fields)


def test_names() -> None:
    fast = dataclasses.replace(SPEC, amp="bfloat16")
    assert (SPEC.name, fast.name) == ("wrn_16_8 s1", "wrn_16_8 s1 amp=bfloat16")
    assert (experiment_name(SPEC), experiment_name(fast)) == ("stl10", "stl10/custom")
    assert fast.deviations == ("amp bfloat16 instead of none",) and not fast.shortened


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(RunSpec, "wrn_16_8_sesb", "stl10"), "Did you mean 'wrn_16_8_ses_b'"),
        (
            partial(RunSpec, "pixel_pool", "stl10"),
            "'pixel_pool' is a model for STIR, not for STL-10; choose one of `benchmark",
        ),
        (partial(RunSpec, "cnn_28", "stl10"), "is a model for MNIST-Scale, not for STL-10"),
        (partial(RunSpec, "decimal:Decimal", "stl10"), "'decimal:Decimal' is not a model"),
        (
            partial(RunSpec, "wrn_16_8", "emoji", evaluation=2),
            "is a model for STL-10, not for STIR; train it with --dataset stl10",
        ),
        (partial(RunSpec, "wrn_16_8", "stl-10"), "Did you mean 'stl10'"),
        (partial(RunSpec, "wrn_16_8", "stl10", evaluation=2), "--evaluation 2 does not apply to a run on stl10"),
        (partial(RunSpec, "wrn_16_8", "stl10", patience=3), "--patience 3 does not apply to a run on stl10"),
        (partial(RunSpec, "wrn_16_8", "stl10", realization=0), "--realization 0 does not apply"),
        (partial(RunSpec, "wrn_16_8", "stl10", augment=True), "--augment does not apply"),
        (partial(RunSpec, "wrn_16_8", "stl10", amp="half"), "unknown mixed precision 'half'.* bfloat16, float16"),
        (
            partial(RunSpec, "standard", "emoji", evaluation=2, amp="bfloat16"),
            "--amp bfloat16 does not apply to a run on emoji",
        ),
        (partial(RunSpec, "wrn_16_8", "stl10", max_epochs=0), "at least 1"),
    ],
)
def test_nonsense_is_refused_in_one_line(make: Callable[[], RunSpec], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        make().validate()
    assert "\n" not in str(caught.value)


def test_a_missing_data_set_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    for act in (lambda: execute(SPEC, device="cpu"), lambda: SPEC.study.prepare(SPEC)):
        with pytest.raises(DatasetError, match="type: benchmark data fetch stl10, or name the folder"):
            act()


def test_a_missing_test_file_is_found_before_training(few: Path) -> None:
    (few / "stl10_binary" / "test_y.bin").write_bytes(bytes(6))
    with pytest.raises(DatasetError, match="holds the label 0"):
        execute(quick(), device="cpu")


def test_test_batches_are_the_images_in_order() -> None:
    split = small_split()
    images, labels = (torch.cat(parts) for parts in zip(*Photos(split, CPU).batches(16), strict=True))
    torch.testing.assert_close(images, torch.from_numpy(split.normalized()))
    assert labels.tolist() == split.labels.tolist()


def test_training_batches_are_the_protocols_image_by_image() -> None:
    """The same random numbers, one image at a time, with a loop for each thing that is done to it."""
    split, size = small_split(), 12
    torch.manual_seed(3)
    images, labels = (
        torch.cat(parts) for parts in zip(*Photos(split, CPU, training=True, protocol=SMALL).batches(16), strict=True)
    )
    torch.manual_seed(3)
    order = torch.randperm(40).tolist()
    corners, mirrored = torch.randint(7, (40, 2)).tolist(), (torch.rand(40) < 0.5).tolist()
    centres = torch.randint(size, (40, 2)).tolist()
    assert {value for pair in corners for value in pair} == set(range(7)) and 10 < sum(mirrored) < 30
    assert sorted(order) == list(range(40))
    for place, number in enumerate(order):
        black = np.zeros((3, 18, 18))
        black[:, 3:15, 3:15] = split.images[number]
        top, left = corners[place]
        levels = black[:, top : top + size, left : left + size]
        levels = levels[:, :, ::-1] if mirrored[place] else levels
        expected = (levels / 255 - np.array(reader.MEAN)[:, None, None]) / np.array(reader.STD)[:, None, None]
        row, column = centres[place]
        for y in range(max(row - 2, 0), min(row + 2, size)):
            for x in range(max(column - 2, 0), min(column + 2, size)):
                expected[:, y, x] = 0
        np.testing.assert_allclose(images[place].numpy(), expected, atol=1e-5)
        assert labels[place] == split.labels[number]


def test_batches_follow_the_seed_and_differ_between_epochs() -> None:
    photos = Photos(small_split(), CPU, training=True, protocol=SMALL)

    def batches(seed: int | None) -> torch.Tensor:
        if seed is not None:
            torch.manual_seed(seed)
        return torch.cat([images for images, _ in photos.batches(7)])

    first = batches(0)
    assert not torch.equal(first, batches(None))
    assert torch.equal(first, batches(0)) and not torch.equal(first, batches(1))
    plain = dataclasses.replace(STL10, crop_padding=0, flip=False, cutout=0)
    images = torch.cat([batch for batch, _ in Photos(small_split(), CPU, training=True, protocol=plain).batches(7)])
    expected = torch.from_numpy(small_split().normalized())
    torch.testing.assert_close(images.flatten(1).sum(1).sort().values, expected.flatten(1).sum(1).sort().values)


@pytest.mark.usefixtures("few")
def test_a_run_learns_repeats_and_tests_its_last_weights() -> None:
    result = execute(quick(lr=0.02, max_epochs=3), device="cpu")
    assert result.started.parameters == 175_066
    assert [epoch.patience_left for epoch in result.history] == [2, 1, 0]
    assert all((e.val_loss, e.val_acc, e.best_acc) == (None, None, None) for e in result.history)
    assert {"best_acc", "best_epoch"}.isdisjoint(result.metrics)
    assert result.metrics["test_err"] == pytest.approx(100 - result.metrics["test_acc"])
    assert result.predictions.labels.tolist() == list(range(6))
    assert set(result.predictions.scales) == {96}
    task = SPEC.study.open(quick(), CPU)
    model = task.create_model()
    model.load_state_dict(result.weights)
    assert np.array_equal(predict(model, *task.test_split(), SPEC.batch_size).losses, result.predictions.losses)
    again = execute(quick(lr=0.02, max_epochs=3), device="cpu")
    assert figures(again) == figures(result)
    assert all(torch.equal(again.weights[key], value) for key, value in result.weights.items())


def test_it_learns_colours() -> None:
    labels = np.arange(40) % 10
    images = np.random.default_rng(0).integers(0, 60, (40, 3, 24, 24), np.uint8)
    images += (np.stack([labels * 20, 190 - labels * 20, labels % 3 * 60], 1)[:, :, None, None]).astype(np.uint8)
    seed_everything(0)
    model = siconvnet.create_model("wrn_16_8", num_channels=3, num_classes=10, widen=1)
    plan = dataclasses.replace(STL10, crop_padding=2, cutout=8, lr_drops=())
    photos = Photos(Stl10Split(images, labels), CPU, training=True, protocol=plan)
    training = Training(model, photos, None, 0.05, 10, 8, None, plan)
    while not training.finished:
        training.epoch()
    training.restore_best()
    assert training.best_epoch is training.history[-1] and training.best_weights == {}
    assert training.history[-1].train_loss < 0.8 * training.history[0].train_loss


class StopAfter(Observer):
    def __init__(self, checkpoint: Checkpoint, epochs: int):
        self.checkpoint, self.epochs = checkpoint, epochs

    def epoch(self, epoch: object) -> None:
        if epoch.number == self.epochs:  # type: ignore[attr-defined]
            self.checkpoint.save()
            raise KeyboardInterrupt


@pytest.mark.usefixtures("few")
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    spec = quick(max_epochs=3, lr=0.02)
    whole = execute(spec, device="cpu")
    path = tmp_path / "run.ckpt"
    checkpoint = Checkpoint(path, spec)
    with pytest.raises(KeyboardInterrupt):
        execute(spec, device="cpu", checkpoint=checkpoint, observers=[StopAfter(checkpoint, 1)])
    checkpoint = Checkpoint(path, spec)
    torch.manual_seed(99)
    resumed = execute(spec, device="cpu", checkpoint=checkpoint)
    assert checkpoint.note == "resumed after epoch 1"
    assert figures(resumed) == figures(whole)
    assert all(torch.equal(resumed.weights[key], value) for key, value in whole.weights.items())


@pytest.mark.usefixtures("few")
def test_mixed_precision_trains_nearly_the_same() -> None:
    single, half = (execute(quick(lr=0.01, max_epochs=1, amp=amp), device="cpu") for amp in (None, "bfloat16"))
    assert half.history[0].train_loss == pytest.approx(single.history[0].train_loss, rel=0.05)
    assert half.history[0].train_loss != single.history[0].train_loss
    assert all(value.dtype != torch.bfloat16 for value in half.weights.values())


def scaled_training(first_scale: float) -> Training:
    """A linear model in half precision, whose losses are scaled."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 12 * 12, 10))
    training = Training(model, Photos(small_split(), CPU), None, 0.01, 20, 4, None, STL10, "float16")
    training.scaler = torch.amp.GradScaler("cpu", init_scale=first_scale)
    return training


def test_a_step_whose_gradients_overflow_is_left_out() -> None:
    training = scaled_training(2.0**120)
    before = training.model.state_dict()["1.weight"].clone()
    training.epoch()
    assert torch.equal(before, training.model.state_dict()["1.weight"])
    assert training.scaler.get_scale() == 2.0**118
    training = scaled_training(1.0)
    training.epoch()
    assert not torch.equal(before, training.model.state_dict()["1.weight"])


def test_the_scale_is_kept_in_the_checkpoint(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, amp="float16")
    whole = scaled_training(2.0**20)
    whole.epoch()
    checkpoint = Checkpoint(tmp_path / "run.ckpt", spec)
    stopped = scaled_training(2.0**20)
    checkpoint.resume(stopped)
    stopped.epoch()
    checkpoint.after_epoch()
    checkpoint.save()
    scale = stopped.scaler.get_scale()
    assert scale < 2.0**20, "halved where it was too large"
    resumed = scaled_training(1.0)
    assert Checkpoint(tmp_path / "run.ckpt", spec).resume(resumed) > 0
    assert resumed.scaler.get_scale() == scale
    for training in (whole, resumed):
        training.epoch()
    assert torch.equal(whole.model.state_dict()["1.weight"], resumed.model.state_dict()["1.weight"])
    assert whole.scaler.get_scale() == resumed.scaler.get_scale()


def line(*more: str) -> list[str]:
    options = "--model wrn_16_8 --dataset stl10 --epochs 1 --batch-size 5 --device cpu"
    return ["run", *options.split(), *more]


def test_run_is_stored_shown_and_not_repeated(capsys: Capture, database: Path, few: Path, tmp_path: Path) -> None:
    elsewhere = few.rename(tmp_path / "elsewhere")
    arguments = line("--tracking-uri", str(database))
    assert main(arguments) == 1
    assert "benchmark data fetch stl10" in capsys.readouterr().err
    arguments += ["--data-dir", str(elsewhere)]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(r"^epoch +1/1  train [\d.]+ +[\d.]+%  [\d.]+ s  left", out, re.M)
    assert re.search(r"^test error +[\d.]+ % +11\.48 %", out, re.M) and "SESN paper" in out
    assert "validation" not in out
    assert "max epochs 1 instead of 1000" in out
    store = Store(str(database))
    experiment = store.client.get_experiment_by_name("stl10/custom")
    assert experiment is not None
    (run,) = store.client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test_err"] == pytest.approx(100 - run.data.metrics["test_acc"])
    assert {"val_acc", "best_acc"}.isdisjoint(run.data.metrics) and "train_loss" in run.data.metrics
    assert run.data.params.items() >= {"model": "wrn_16_8", "data": "stl10", "seed": "1", "amp": "None"}.items()
    assert main(arguments) == 0
    assert "finished before" in capsys.readouterr().out


@pytest.mark.usefixtures("few")
def test_records_and_back(capsys: Capture, database: Path, tmp_path: Path) -> None:
    root = tmp_path / "records"
    assert main(line("--records", str(root), "--amp", "bfloat16")) == 0
    assert len(find(root)) == 1
    assert main(["ingest", str(root), "--tracking-uri", str(database)]) == 0
    assert "on stl10 labelled images, bfloat16: finished" in capsys.readouterr().out
    assert find(root) == []
    assert main(line("--tracking-uri", str(database), "--amp", "bfloat16")) == 0
    assert "finished before" in capsys.readouterr().out


def test_published_errors_stand_beside_a_full_run() -> None:
    from rich.console import Console

    from benchmark.training.summary import render

    metrics = {"test_err": 9.04, "test_acc": 90.96, "epochs": 1000, "avg_time": 1.0, "run_time": 60.0}

    def text(spec: RunSpec) -> str:
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(render(spec, metrics))
        return console.export_text()

    full = text(RunSpec("wrn_16_8_ses_b", "stl10"))
    assert re.search(r"this run +SESN paper", full) and re.search(r"test error +9\.04 % +8\.51 %", full)
    assert "not compared" not in full and "validation" not in full
    assert "amp float16 instead of none" in text(RunSpec("wrn_16_8_ses_b", "stl10", amp="float16"))
    assert re.search(r"DISCO paper.*8\.07 %", text(RunSpec("wrn_16_8_disco", "stl10")), re.S)
    assert "nothing published for this network" in text(RunSpec("wrn_16_8_ses_c", "stl10"))
    assert {error.model for error in published.all_errors("stl10")} < set(SPEC.study.list_models())


def test_models_are_listed_by_study(capsys: Capture) -> None:
    assert main(["models", "wrn_16_8*", "--study", "stl10"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"wrn_16_8_ses_b +stl10 +steerable +Sosnovik et al. 2020 +10,961,370", out)
    with pytest.raises(UnknownName):
        main(["models", "x", "--study", "stl10", "--debug"])


def test_the_suite_is_one_run_of_each_network(few: Path) -> None:
    (grid,) = load_suite("stl10").grids
    specs = expand(grid)
    assert [spec.model for spec in specs] == SPEC.study.list_models()
    assert specs[0] == SPEC and all(not spec.deviations for spec in specs)
    values = {"models": "wrn_16_8", "datasets": "stl10", "amp": "none,bfloat16", "seeds": "1-2"}
    _, (grid,) = choose_grids(values)
    assert [(spec.settings.amp, spec.seed) for spec in expand(grid)] == [
        (a, s) for a in (None, "bfloat16") for s in (1, 2)
    ]
    (first, *_) = data_of([grid])
    first.study.prepare(first)
    with pytest.raises(UnknownName, match="unknown mixed precision 'half'"):
        choose_grids({**values, "amp": "half"})
