"""The command line on an empty data folder, and folders of small pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pictures import photo

from benchmark.cli import main


@pytest.fixture
def benchmark(capsys, monkeypatch, tmp_path):
    """Runs a command line in-process on an empty data folder: exit code, standard output, standard error."""
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path / "data"))

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def image_folder(tmp_path) -> Callable[..., Path]:
    """Makes a folder of PNGs, a different one for each class and number."""

    def make(classes=("cat", "dog"), number: int = 3, side: int = 70, mode: str = "RGB", root: str = "images") -> Path:
        for c, name in enumerate(classes):
            folder = tmp_path / root / name
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(number):
                photo((side + i, side), seed=100 * c + i).convert(mode).save(folder / f"{i}.png")
        return tmp_path / root

    return make
