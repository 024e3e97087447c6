"""The table of datasets, and where their files are looked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from siconvnet.datasets import data_dir, dataset_info, dataset_path, list_datasets, load_dataset
from siconvnet.errors import DatasetError, UnknownName


def test_the_four_datasets_of_the_paper_and_the_synthetic_one(monkeypatch, tmp_path):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    sizes = {
        name: (info.num_classes, info.num_instances, info.num_channels)
        for name in list_datasets()
        if (info := dataset_info(name))
    }
    assert sizes == {
        "emoji": (36, 1, 1),
        "mnist": (10, 50, 1),
        "trafficsign": (16, 25, 3),
        "aerial": (9, 25, 3),
        "signs": (16, 25, 3),
    }


@pytest.mark.parametrize("look_up", [dataset_info, dataset_path, load_dataset])
def test_unknown_name_suggests_the_nearest(look_up):
    with pytest.raises(UnknownName, match=r"unknown dataset 'emoij'. Did you mean 'emoji'\?"):
        look_up("emoij")


def test_data_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    assert data_dir() == tmp_path
    assert dataset_path("mnist") == tmp_path / "mnist.npz"
    assert dataset_path("emoji").is_file(), "emoji is part of the package, wherever the data folder is"
    monkeypatch.setenv("SICONVNET_DATA", "~/stir")
    assert data_dir() == Path.home() / "stir"
    monkeypatch.delenv("SICONVNET_DATA")
    assert data_dir().is_absolute() and "siconvnet" in data_dir().name


@pytest.mark.parametrize("name", ["trafficsign", "aerial"])
def test_missing_published_file_says_which_where_and_whence(name, monkeypatch, tmp_path):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    with pytest.raises(DatasetError) as caught:
        load_dataset(name)
    message = str(caught.value)
    for part in (
        f"{name}.npz",
        "6578038",
        "https://zenodo.org/records/",
        f"benchmark data fetch {name}",
        str(tmp_path / f"{name}.npz"),
    ):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["mnist", "signs"])
def test_what_is_built_says_what_to_type(name, monkeypatch, tmp_path):
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match=rf"benchmark data build {name}$"):
        load_dataset(name)


def test_importing_the_reader_imports_nothing_heavy():
    heavy = ["torch", "skimage", "scipy", "pandas", "PIL", "mlflow", "rich"]
    code = f"import sys, siconvnet.datasets, benchmark.data; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
