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
import torch
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

class Raises(Fine):
    def forward(self, x):
        raise RuntimeError("out of\\nideas")

class Exits(Fine):
    def forward(self, x):
        raise SystemExit(3)

class NotANumber(Fine):
    def forward(self, x):
        return super().forward(x) * float("nan")

class NothingToTrain(Fine):
    def __init__(self, num_channels, num_classes):
        super().__init__(num_channels, num_classes)
        self.requires_grad_(False)

class Random(Fine):
    def forward(self, x):
        return super().forward(x + torch.rand(1))

class InPlace(Fine):
    def forward(self, x):
        return super().forward(x.mul_(2))

class DoubleOut(Fine):
    def forward(self, x):
        return super().forward(x).double()

class Two(Fine):
    def forward(self, x):
        return super().forward(x), x

class WantsMore(Fine):
    def __init__(self, num_channels, num_classes, depth):
        super().__init__(num_channels, num_classes)

class Detaches(Fine):
    def forward(self, x):
        return super().forward(x).detach()

class OneSize(Fine):
    def __init__(self):
        super().__init__(1, 10)

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
    assert "needs gray" not in out
    assert f"{len(testing.CHECKS)} checks: 5 passed, 2 failed, 12 left out, as they need one that failed" in out


@pytest.mark.parametrize(
    ("name", "check", "detail"),
    [
        ("Raises", "gray", "RuntimeError: out of ideas (nets_here.py, line"),
        ("Exits", "gray", "SystemExit: 3 (nets_here.py, line"),
        ("NotANumber", "gray", "logits are not finite"),
        ("SevenLogits", "gray", "logits are [2, 10]"),
        ("Two", "gray", "an object of tuple, not a tensor"),
        ("DoubleOut", "gray", "logits are torch.float64 where images are float32"),
        ("Detaches", "gradients", "no gradient reaches any parameter"),
        ("OneSize", "colour", "channels, but got 3 channels instead (conv.py, line"),
        ("OneSize", "colour", "; its signature names no num_channels and no num_classes"),
        ("WantsMore", "builds", "missing 1 required positional argument: 'depth'"),
        ("NothingToTrain", "trainable", "there is nothing to train"),
        ("Random", "repeatable", "other logits the second time"),
        ("InPlace", "images_kept", "writes to its input"),
    ],
)
def test_hostile_models_are_reported(capsys: Capture, name: str, check: str, detail: str) -> None:
    assert main(["check", f"nets_here:{name}", "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    found = {entry["check"]: entry for entry in json.loads(out)["checks"]}
    assert found[check]["status"] == "failed"
    assert detail in found[check]["detail"]


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
        ("nets_here:fine", "has no attribute 'fine'. Did you mean 'Fine'?"),
        ("nets_here:Quite", "has no attribute 'Quite'."),
        ("nets_here", "A class in your nets_here.py is named as nets_here:Class."),
        ("nets_here.py", "A class in your nets_here.py is named as nets_here:Class."),
        ("nets_here:Unfinished", "is not a model: the class Unfinished is not a subclass of torch.nn.Module"),
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
