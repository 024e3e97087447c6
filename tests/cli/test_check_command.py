"""`benchmark check`: the report, its exit code, and one line for what cannot be checked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.cli import main
from siconvnet import testing

Capture = pytest.CaptureFixture[str]
NETS = """
from torch import nn

class Fine(nn.Module):
    stages = ("act",)

    def __init__(self, num_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(num_channels, 4, 5)
        self.act = nn.ReLU()
        self.lin = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.lin(self.act(self.conv(x)).amax((2, 3)))

class ForgetsAStage(Fine):
    stages = ("act", "act2")

class SevenLogits(Fine):
    def __init__(self, num_channels, num_classes):
        super().__init__(num_channels, 7)

class Unfinished: ...
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a file of one's own, as the current one; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "nets_here.py").write_text(NETS, encoding="utf-8")
    yield tmp_path
    sys.modules.pop("nets_here", None)


def test_a_model_that_conforms(capsys: Capture) -> None:
    assert main(["check", "nets_here:Fine"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"{len(testing.CHECKS)} checks: {len(testing.CHECKS) - 1} passed, 1 skipped" in out
    assert "none declared; which scale wins is measured on them" in out
    assert [line.split()[-1] for line in out.splitlines() if line.startswith(("time", "memory"))] == ["x", "x"]


def test_a_model_that_does_not(capsys: Capture) -> None:
    assert main(["check", "nets_here:ForgetsAStage"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    [line] = [line for line in out.splitlines() if "failed" in line and "checks:" not in line]
    assert line.split()[:2] == ["stages", "failed"]
    assert "unknown submodule 'act2'. Did you mean 'act'?" in line


def test_wrong_shape_is_said_and_costs_are_not_measured(capsys: Capture) -> None:
    assert main(["check", "nets_here:SevenLogits"]) == 1
    out, _ = capsys.readouterr()
    assert "[2, 7] for 2 images of 10 classes; logits are [2, 10]" in out
    assert "a training step" not in out


def test_json(capsys: Capture) -> None:
    assert main(["check", "nets_here:ForgetsAStage", "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == "nets_here:ForgetsAStage"
    assert report["passed"] is False
    assert [entry["check"] for entry in report["checks"]] == list(testing.CHECKS)
    assert [entry["check"] for entry in report["checks"] if entry["status"] == "failed"] == ["stages"]
    cost, reference = report["cost"]["nets_here:ForgetsAStage"], report["cost"]["standard"]
    assert cost["parameters"] == 4 * 25 + 4 + 5 * 10
    assert reference["parameters"] == 26_250
    assert 0 < cost["peak_bytes"] < reference["peak_bytes"]


def test_a_registered_name_with_another_kernel(capsys: Capture) -> None:
    assert main(["check", "standard", "--kernel-size", "3", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["cost"]) == ["standard"]
    assert report["cost"]["standard"]["parameters"] == 16 * 9 + 16 + 32 * 16 * 9 + 32 + 33 * 10


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("standrd", "Did you mean 'standard'"),
        ("nowhere:Net", "cannot import 'nowhere'"),
        ("nets_here:Fin", "has no attribute 'Fin'"),
        ("nets_here:Unfinished", "is no model: the class Unfinished is no subclass of torch.nn.Module"),
        ("nets_here.py:Fine", "write it as nets_here:Fine"),
    ],
)
def test_what_cannot_be_checked_is_one_line(capsys: Capture, model: str, message: str) -> None:
    assert main(["check", model]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_numbers_are_checked_first(capsys: Capture) -> None:
    assert main(["check", "standard", "--kernel-size", "8"]) == 2
    assert "must be odd" in capsys.readouterr().err


def test_a_file_here_cannot_take_the_place_of_an_installed_module(here: Path, capsys: Capture) -> None:
    (here / "rich.py").write_text("raise SystemExit('not this one')", encoding="utf-8")
    assert main(["check", "nets_here:Fine", "--format", "json"]) == 0
    assert main(["check", "rich:Net"]) == 2
    assert "your rich.py cannot be imported under that name, rename it" in capsys.readouterr().err
