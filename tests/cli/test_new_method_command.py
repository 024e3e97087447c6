"""`benchmark new-method`: what it writes works, and it never overwrites anything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import siconvnet
from benchmark.cli import main
from benchmark.cli.new_method import class_name
from siconvnet import testing

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_the_template_conforms_without_a_check_skipped(here: Path, capsys: Capture) -> None:
    assert main(["new-method", "wavelet_net2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "wrote wavelet_net2.py",
        "  benchmark check wavelet_net2:WaveletNet2",
        "  benchmark run --model wavelet_net2:WaveletNet2 --dataset emoji --evaluation 2",
    ]
    assert [path.name for path in here.iterdir()] == ["wavelet_net2.py"]
    results = testing.conformance("wavelet_net2:WaveletNet2")
    assert {result.status for result in results} == {"passed"}
    assert siconvnet.model_info("wavelet_net2:WaveletNet2").label == "WaveletNet2"


def test_the_template_has_the_house_style(here: Path) -> None:
    assert main(["new-method", "a_net_with_a_name_of_some_length"]) == 0
    text = Path("a_net_with_a_name_of_some_length.py").read_text(encoding="utf-8")
    assert "my_net" not in text
    assert "MyNet" not in text
    configuration = Path(__file__).parents[2] / "ruff.toml"
    command = [sys.executable, "-m", "ruff", "check", "--config", str(configuration), "."]
    subprocess.run([*command, "--ignore", "E501"], check=True, capture_output=True)


def test_it_never_overwrites_unless_told(here: Path, capsys: Capture) -> None:
    Path("my_net.py").write_text("precious", encoding="utf-8")
    assert main(["new-method", "my_net"]) == 2
    assert "'my_net.py' exists; --force overwrites it" in capsys.readouterr().err
    assert Path("my_net.py").read_text(encoding="utf-8") == "precious"
    assert main(["new-method", "my_net", "--force"]) == 0
    assert "class MyNet(" in Path("my_net.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("standard", "is a registered model"),
        ("sacnn_s_mp", "is a registered model"),
        ("class", "names a Python module"),
        ("My-Net.py", "such as 'my_net'"),
        ("MyNet", "such as 'my_net'"),
        ("2fast", "such as 'fast'"),
        ("../evil", "such as 'evil'"),
        ("a/b", "such as 'a_b'"),
        ("_private", "such as 'private'"),
        ("", "names a Python module"),
        ("größe", "small letters"),
        ("none", "'None', which is taken"),
        ("tensor", "'Tensor', which is taken"),
        ("torch", "a module 'torch' is there already"),
        ("json", "a module 'json' is there already"),
    ],
)
def test_names_that_would_not_work(here: Path, capsys: Capture, name: str, message: str) -> None:
    assert main(["new-method", name]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_a_folder_that_cannot_be_written(here: Path, capsys: Capture) -> None:
    Path("my_net.py").mkdir()
    assert main(["new-method", "my_net", "--force"]) == 1
    assert "cannot write 'my_net.py'" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["my_net.py"]


@pytest.mark.parametrize(("name", "expected"), [("my_net", "MyNet"), ("net", "Net"), ("a_2b", "A2b")])
def test_class_names(name: str, expected: str) -> None:
    assert class_name(name) == expected
