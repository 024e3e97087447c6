"""`benchmark speed` on real models, with its tables, its files and its chart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import benchmark.timing.steps
import siconvnet
from benchmark.cli import main
from benchmark.plots.speed import COLUMNS
from benchmark.studies import find_study
from benchmark.studies.mnist_scale import Digits
from benchmark.studies.mnist_scale_files import PngFiles, write_pngs
from benchmark.timing import epochs
from benchmark.timing.epochs import PARTS, WAYS, markdown
from siconvnet.datasets import mnist_scale
from siconvnet.datasets.catalog import EMBEDDED
from siconvnet.datasets.mnist_scale import MnistScaleSplit, mnist_scale_path


@pytest.fixture(scope="module")
def digits() -> MnistScaleSplit:
    with np.load(EMBEDDED / "mnist_digits.npz") as file:
        images = file["imgs"][0, :, :4].transpose(1, 0, 2, 3).reshape(-1, 28, 28)
    return MnistScaleSplit(images, np.arange(40) % 10, np.linspace(0.3, 1.0, 40))


@pytest.fixture
def realization(digits, tmp_path, monkeypatch) -> None:
    """Realization 0 in the data folder, of 40 digits."""
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    monkeypatch.setattr(mnist_scale, "SPLIT_SIZES", dict.fromkeys(mnist_scale.SPLIT_SIZES, 40))
    arrays = {"imgs": digits.images, "lbls": digits.labels, "scls": digits.scales}
    content = {f"{split}_{key}": array for split in mnist_scale.SPLIT_SIZES for key, array in arrays.items()}
    np.savez(mnist_scale_path(0), **content)


def test_table_file_and_chart(tmp_path, capfd):
    assert main(["speed", "-m", "standard", "--batch-size", "4", "--repeats", "2", "--out", str(tmp_path)]) == 0
    printed = capfd.readouterr()
    assert "standard" in printed.out and "USDT" not in printed.err
    (table,) = tmp_path.glob("speed-*.csv")
    rows = pd.read_csv(table)
    assert set(COLUMNS) <= set(rows) and rows["pass"].tolist() == ["step", "forward"]
    assert (rows.filter(like="_ms_") > 0).all().all() and (rows["plain_peak_mib"] > 0).all()
    assert (rows["ratio"] - rows["plain_ms_median"] / rows["fast_ms_median"]).abs().max() < 0.05
    assert next(tmp_path.glob("speed-*.png")).stat().st_size > 1000


def test_a_measurement_that_is_stopped_keeps_what_it_has(tmp_path, monkeypatch, capsys):
    """The rows so far are there, and the table of an earlier measurement is as it was."""
    arguments = ["speed", "-m", "standard", "--batch-size", "2", "--repeats", "1", "--out", str(tmp_path)]
    assert main(arguments) == 0
    (table,) = tmp_path.glob("speed-*.csv")
    earlier, measure = table.read_bytes(), benchmark.timing.steps.measure

    def stopped(study, model, *rest):
        if model == "pixel_pool":
            raise KeyboardInterrupt
        return measure(study, model, *rest)

    monkeypatch.setattr(benchmark.timing.steps, "measure", stopped)
    assert main([*arguments, "-m", "pixel_pool"]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")
    part = Path(f"{table}.part")
    assert pd.read_csv(part)["model"].tolist() == ["standard", "standard"]
    assert table.read_bytes() == earlier
    monkeypatch.undo()
    assert main(arguments) == 0
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".png"]


def test_an_epoch_of_mnist_scale(realization, tmp_path, capsys):
    arguments = ["--study", "mnist-scale", "-m", "ses_scalar_28", "--batch-size", "4", "--batches", "2"]
    assert main(["speed", *arguments, "--repeats", "2", "--out", str(tmp_path / "out")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    (path,) = (tmp_path / "out").iterdir()
    assert path.name.startswith("epochs-mnist-scale-") and f"written: {path}" in printed
    assert "8 images each, times 1250.0 for the 10,000 of an epoch." in printed
    row = pd.read_csv(path).iloc[0]
    for way in WAYS:
        batch = sum(row[f"{way}_{part}_ms"] for part in PARTS)
        # The median of sums is not the sum of medians, and both are between the extremes.
        assert row[f"{way}_epoch_s_min"] <= row[f"{way}_epoch_s"] <= row[f"{way}_epoch_s_max"]
        assert 0.99 * row[f"{way}_epoch_s_min"] <= 2500 * batch / 1e3 <= 1.01 * row[f"{way}_epoch_s_max"]
    assert row["ratio"] == pytest.approx(row["plain_epoch_s"] / row["fast_epoch_s"], abs=0.01)
    assert markdown(pd.read_csv(path)).count("| ses_scalar_28 |") == 1


@pytest.mark.xfail(strict=False, reason="small layers take the plain way, which this test counts as the plain route")
def test_each_way_computes_its_own_way(realization, monkeypatch):
    """The plain one with all scales as groups of one convolution, the fast one by the layers' own."""
    from siconvnet.functional import plain

    called, conv = [], plain.conv_z2_h
    monkeypatch.setattr(plain, "conv_z2_h", lambda *args: called.append(len(args[0])) or conv(*args))
    where = torch.device("cpu")
    study = find_study("mnist-scale")
    list(epochs.measure(study, ["ses_scalar_28"], where, images=10_000, batches=2, batch_size=2, repeats=1))
    assert called == 3 * [2] * 3  # three layers; a batch to warm up, and two


def test_both_ways_train_on_the_same_images(digits, tmp_path):
    files = PngFiles(write_pngs(digits, tmp_path), digits.labels.tolist())
    read = torch.stack([files[place][0] for place in range(len(files))])
    ((images, labels),) = Digits(digits, torch.device("cpu")).batches(40)
    torch.testing.assert_close(read, images)
    assert [files[place][1] for place in range(len(files))] == labels.tolist()
    with Image.open(tmp_path / "3" / "13.png") as image:
        assert np.array_equal(np.array(image), digits.images[13])


def test_steps_of_stl10(tmp_path, monkeypatch, capsys):
    narrow = dataclasses.replace(siconvnet.model_info("wrn_16_8"), options={"widen": 1})
    monkeypatch.setitem(siconvnet.models._registry._objects, "wrn_16_8", narrow)
    arguments = ["--study", "stl10", "-m", "wrn_16_8", "--batch-size", "1", "--repeats", "1", "--out", str(tmp_path)]
    assert main(["speed", *arguments]) == 0
    assert "wrn_16_8" in capsys.readouterr().out
    table, chart = sorted(tmp_path.iterdir())
    assert table.name.startswith("steps-stl10-") and chart.suffix == ".png"
    rows = pd.read_csv(table)
    assert set(COLUMNS) <= set(rows) and rows["pass"].tolist() == ["step", "forward"]


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["-m", "standrad"], 2, "standard"),
        (["-m", "standard", "--repeats", "0"], 2, "repeats"),
        (["-m", "standard", "--device", "tpu"], 2, "cuda"),
        (["--batches", "2"], 2, "--batches is for studies whose epochs are timed, not for stir"),
        (["--study", "stl11"], 2, "Did you mean 'stl10'"),
        (["--study", "stl10", "-m", "ses_scalar_28"], 2, "wrn_16_8"),
        (["--study", "mnist-scale", "--batches", "80"], 2, "no 80 batches of 128"),
        (["--study", "mnist-scale", "--batch-size", "1"], 2, "2 at least"),
        (["--study", "mnist-scale", "-m", "cnn_28"], 1, "benchmark data build mnist-scale --seed 0"),
    ],
)
def test_bad_input_is_one_line(arguments, code, words, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    assert main(["speed", *arguments, "--out", str(tmp_path)]) == code
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
