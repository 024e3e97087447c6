"""scripts/eval.py: the original's flags and files."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from benchmark.cli import run_command
from benchmark.results.runs import to_export
from benchmark.results.sources import MLFLOW, Source
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.studies.stir import STIR

SCRIPT = Path(__file__).parents[2] / "scripts" / "eval.py"


def run_script(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def written(database, icons, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("files")
    flags = ("--generalization", "--equivariance", "--index-correlation", "--out", out)
    done = run_script("--data", icons, *flags, "--tracking-uri", database)
    assert done.returncode == 0, done.stderr
    assert "no indices.npz: this model has no pooling over scales" in done.stdout
    return out


def test_the_scale_table_is_the_originals(written, database):
    (path,) = written.glob("generalization_*.csv")
    table = pd.read_csv(path, index_col=0)
    assert table.columns.tolist() == ["model", "data", "eval", *(f"s{scale}" for scale in range(17, 65))]
    assert len(table) == 4
    ours = Source(STIR, [MLFLOW], database).runs
    unseen = [f"s{scale}" for scale in [*range(17, 33), *range(49, 65)]]
    assert sorted(100 * table[unseen].mean(axis=1)) == pytest.approx(sorted(ours["test_acc"]))


def test_the_arrays_are_the_originals(written, database):
    runs = Source(STIR, [MLFLOW], database).runs
    for run in runs.to_dict("records"):
        with np.load(written / "eval" / run["run_id"] / "errors.npz") as errors:
            assert {name: errors[name].shape for name in errors} == {"stage1": (4, 1, 6), "stage2": (4, 1, 6)}
    pooled = runs[runs["model"] == "slice_pool"]["run_id"].item()
    with np.load(written / "eval" / pooled / "indices.npz") as indices:
        shapes = {name: (indices[name].shape, indices[name].dtype) for name in indices}
    assert shapes == {"pool1": ((192, 16), np.uint8), "pool2": ((192, 32), np.uint8)}
    assert len(list(written.glob("eval/*/indices.npz"))) == 1


def test_runs_and_weights_can_come_from_a_table_and_a_folder(database, icons, tmp_path):
    store = Store(database)
    runs = Source(STIR, [MLFLOW], database).runs.query("model == 'standard'")
    to_export(STIR, runs).to_csv(tmp_path / "runs.csv", index=False)
    for run_id in runs["run_id"]:
        folder = tmp_path / "mlruns" / run_id / "artifacts"
        folder.mkdir(parents=True)
        with store.artifact(run_id, "model.safetensors") as path:
            torch.save(load_file(path), folder / "model.pt")
    places = ("--runs", tmp_path / "runs.csv", "--models", tmp_path / "mlruns", "--out", tmp_path)
    done = run_script("--data", icons, "--generalization", *places)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("generalization_*.csv")
    assert len(pd.read_csv(path)) == 3


NETWORK = """
from torch import nn


class MyNet(nn.Sequential):
    def __init__(self, *, num_channels, num_classes, kernel_size=7, interpolation="bicubic"):
        super().__init__(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * num_channels, num_classes))
"""


def test_broken_run_is_told_and_the_others_are_written(own, icons, finish, tmp_path):
    store = Store(own)
    _, bad = (finish(store, RunSpec("standard", str(icons), evaluation=2, seed=seed)) for seed in (1, 2))
    next(Path(own).parent.glob(f"artifacts/{bad}/artifacts/model.safetensors")).write_bytes(b"torn")
    done = run_script("--data", icons, "--generalization", "--out", tmp_path / "out", "--tracking-uri", own)
    assert done.returncode == 1
    assert f"standard {bad}: failed: the weights of run {bad} are not of this standard" in done.stderr
    assert done.stderr.endswith("error: 1 of 2 runs could not be evaluated.\n")
    (path,) = (tmp_path / "out").iterdir()
    assert len(pd.read_csv(path)) == 1


def test_model_of_a_module_in_this_folder(own, icons, finish, tmp_path, monkeypatch):
    (tmp_path / "my_net.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    finish(Store(own), RunSpec("my_net:MyNet", str(icons), evaluation=2))
    monkeypatch.chdir(tmp_path)
    done = run_script("--data", icons, "--generalization", "--tracking-uri", own)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("generalization_*.csv")
    assert pd.read_csv(path)["model"].tolist() == ["my_net:MyNet"]


def test_interrupt_is_no_defect(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("siconvnet.datasets.load_dataset", interrupt)
    assert run_command(runpy.run_path(str(SCRIPT))["main"], "eval.py", ["--data", "emoji", "--generalization"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "emoji"], 2, "nothing to do"),
        (["--data", "emojis", "--generalization"], 2, "Did you mean 'emoji'"),
        (["--data", "emoji", "--generalization", "--models", "x"], 2, "--models needs --runs"),
    ],
)
def test_bad_input_of_the_script_is_one_line(arguments, code, message):
    done = run_script(*arguments)
    assert done.returncode == code
    assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1
