"""`benchmark mnist-scale`: what it lists, trains and refuses."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from benchmark import mnist_scale as suite
from benchmark.cli.mnist_scale import mnist_scale
from siconvnet.datasets.catalog import EMBEDDED
from siconvnet.datasets.mnist_scale import MnistScale, MnistScaleSplit
from siconvnet.errors import DatasetError, InvalidArgument, UnknownName


def run(tmp_path, *arguments: str) -> str:
    environment = {"SICONVNET_DATA": str(tmp_path)}
    return (
        CliRunner()
        .invoke(mnist_scale, arguments, env=environment, catch_exceptions=False, standalone_mode=False)
        .output
    )


def test_lists_models(tmp_path):
    lines = run(tmp_path, "models", "ses_vector_*").splitlines()
    assert [line.split()[0] for line in lines] == [f"ses_vector_{size}" for size in ("28", "28p", "56", "56p")]


def test_trains_and_saves(tmp_path, monkeypatch):
    images = np.load(EMBEDDED / "mnist_digits.npz")["imgs"][0, :, :8].reshape(-1, 28, 28)
    split = MnistScaleSplit(images, np.arange(10).repeat(8), np.ones(80))
    monkeypatch.setattr(suite, "load_mnist_scale", lambda r: MnistScale(r, split, split, split))
    lines = run(tmp_path, "run", "-m", "ses_vector_28", "--epochs", "1", "--output", str(tmp_path)).splitlines()
    assert lines[0].startswith("epoch  1/1  loss")
    assert "(published: 2.08 +- 0.09 over 60 epochs)" in lines[1]
    assert (tmp_path / "ses_vector_28-r0-s0-e1" / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("run", "-m", "ses_vector"), UnknownName, "Did you mean"),
        (("run", "-m", "cnn_28", "--realization", "7"), InvalidArgument, r"0\.\.5"),
        (("run", "-m", "cnn_28"), DatasetError, "benchmark mnist-scale build --seed 0"),
        (("build", "--seed", "6"), InvalidArgument, r"0\.\.5"),
    ],
)
def test_refuses(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        run(tmp_path, *arguments)


def test_build_names_the_missing_file(tmp_path):
    with pytest.raises(DatasetError, match="holds no train-images"):
        run(tmp_path, "build", "--seed", "0", "--source", str(tmp_path))
