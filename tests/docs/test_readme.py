"""What the README says can be typed."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from benchmark.cli import COMMANDS, cli

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
LINES = [line.partition("#")[0].split() for line in README.splitlines() if line.startswith("benchmark ")]


def test_the_library_example_runs():
    example = next(block for block in re.findall(r"```python\n(.*?)```", README, re.S) if "SiConv2d(" in block)
    names: dict[str, object] = {}
    exec(example, names)
    for line in example.splitlines():
        if shape := re.search(r"^(\w+) = .*# (\[[\d, ]+\])", line):
            result = names[shape[1]]
            assert list(result.shape) == eval(shape[2])


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_every_command_and_option_exists(words):
    command: click.Command | None = cli
    context = click.Context(cli)
    arguments = words[1:]
    while isinstance(command, click.Group) and arguments:
        assert command is not cli or arguments[0] in COMMANDS
        command, arguments = command.get_command(context, arguments[0]), arguments[1:]
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in arguments if word.startswith("--")} <= known
