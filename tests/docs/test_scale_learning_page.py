"""What the page on learned scales says can be typed, and holds."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from benchmark.cli import cli
from benchmark.plots import Tables, draw
from benchmark.protocol import MNIST_RANGE, MNIST_SCALE, PAPER
from benchmark.results.scale_runs import empty
from siconvnet.scale_starts import PARAMETERISATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "scale_learning.md").read_text(encoding="utf-8")
LINES = [line.partition("#")[0].split() for line in PAGE.splitlines() if line.startswith("benchmark ")]


def test_the_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    names: dict[str, object] = {}
    exec(example, names)
    assert list(names["maps"].shape) == [4, 32, 3, 64, 64]  # type: ignore[attr-defined]
    assert "# [4, 32, 3, 64, 64]" in example


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_every_command_and_option_exists(words):
    command = cli
    context = click.Context(cli)
    arguments = words[1:]
    while isinstance(command, click.Group) and arguments:
        command, arguments = command.get_command(context, arguments[0]), arguments[1:]  # type: ignore[assignment]
    assert command is not None
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in arguments if word.startswith("--")} <= known


def test_parameterisations_and_figures_are_all_there():
    assert all(f"| `{name}` |" in PAGE for name in PARAMETERISATIONS)
    assert all(f"| `{name}` |" in PAGE for name in draw("scales", Tables("published", learned=empty())))


def test_the_courses_are_those_of_the_protocols():
    for protocol in (MNIST_SCALE, MNIST_RANGE, PAPER):
        course = protocol.scales
        assert f"{course.lr:g} after {course.warmup} of {protocol.max_epochs}" in PAGE
