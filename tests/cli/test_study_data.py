"""`benchmark datasets` and `benchmark data verify` on the data of studies other than STIR."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from stl10_files import write_stl10

from benchmark.cli import main
from benchmark.data.fetch import md5
from benchmark.data.stl10 import FILE_MD5
from siconvnet.datasets import stl10
from siconvnet.datasets.mnist_scale import SPLIT_SIZES

SMALL = {"train": 20, "test": 20}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path))
    return tmp_path


def write(path: Path) -> Path:
    """A file of the format that is no realization."""
    arrays = {}
    for split, size in SPLIT_SIZES.items():
        arrays[f"{split}_imgs"] = np.zeros((size, 28, 28), np.uint8)
        arrays[f"{split}_lbls"], arrays[f"{split}_scls"] = np.zeros(size, np.int64), np.ones(size)
    np.savez_compressed(path, **arrays)
    return path


def test_datasets_lists_every_study(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def states() -> dict[str, dict]:
        assert main(["datasets", "--format", "json"]) == 0
        return {row["name"]: row for row in json.loads(capsys.readouterr().out)}

    found = states()
    assert {"emoji", "mnist-scale", "stl10"} <= set(found)
    assert not found["mnist-scale"]["present"]
    assert "benchmark data build mnist-scale" in found["mnist-scale"]["how_to_get"]
    for number in range(6):
        (folder / f"mnist_scale_{number}.npz").touch()
        if number == 1:
            assert main(["datasets"]) == 0
            assert "2 of 6" in capsys.readouterr().out
    assert states()["mnist-scale"]["present"]
    assert main(["datasets", "--format", "csv"]) == 0
    assert len({line.count(",") for line in capsys.readouterr().out.splitlines() if '"' not in line}) == 1


def test_verify_names_what_is_missing_and_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify", "mnist-scale"]) == 1
    assert "benchmark data build mnist-scale --seed 0" in capsys.readouterr().err
    path = write(folder / "mnist_scale_4.npz")
    assert main(["data", "verify", "mnist-scale"]) == 1
    out, err = capsys.readouterr()
    assert out.count("DIFFERENT") == 6 and "realization 3 is not built" in out and "realization 4" not in out
    assert "is not mnist-scale realization 4 as it is known" in err and err.count("\n") == 1
    assert main(["data", "verify", str(path)]) == 1
    path.write_bytes(b"no file of arrays")
    assert main(["data", "verify", str(path)]) == 1
    assert "is not an intact .npz file" in capsys.readouterr().err


def test_verify_the_digits_of_mnist_range(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify", "mnist-range"]) == 1
    assert "type: benchmark data build mnist-range" in capsys.readouterr().err
    np.savez_compressed(
        folder / "mnist_range.npz", imgs=np.zeros((70_000, 28, 28), np.uint8), lbls=np.zeros(70_000, np.uint8)
    )
    assert main(["data", "verify", "mnist-range"]) == 1
    assert capsys.readouterr().out.count("DIFFERENT") == 2


def test_verify_the_files_of_stl10(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["data", "verify", "stl10"]) == 1
    assert "type: benchmark data fetch stl10" in capsys.readouterr().err
    monkeypatch.setattr(stl10, "SPLIT_SIZES", SMALL)
    write_stl10(folder / "stl10_binary", SMALL)
    assert main(["data", "verify", "stl10"]) == 1
    assert capsys.readouterr().out.count("DIFFERENT") == 4
    right = {name: md5(folder / "stl10_binary" / name) for name in FILE_MD5}
    monkeypatch.setattr("benchmark.data.stl10.FILE_MD5", right)
    assert main(["data", "verify", "stl10"]) == 0
    (folder / "stl10_binary" / "test_y.bin").write_bytes(b"short")
    assert main(["data", "verify", "stl10"]) == 1
    assert "truncated" in capsys.readouterr().err
