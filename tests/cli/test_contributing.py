"""What CONTRIBUTING.md tells people to type is there to be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from benchmark.cli import cli
from siconvnet import testing

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^benchmark (.+)$", TEXT, flags=re.MULTILINE)


def parse(group: click.Group, arguments: list[str], context: click.Context) -> None:
    """Read a command line without running it; click raises for what it does not know."""
    command = group.get_command(context, arguments[0])
    assert command is not None, arguments
    if isinstance(command, click.Group):
        parse(command, arguments[1:], context)
    else:
        command.make_context(arguments[0], arguments[1:], parent=context)


@pytest.mark.parametrize("line", COMMANDS)
def test_command_lines_are_understood(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    parse(cli, shlex.split(line), click.Context(cli))


def test_a_wrong_option_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        parse(cli, ["run", "--modle", "x"], click.Context(cli))


def test_every_check_is_explained() -> None:
    [table] = re.findall(r"\| check \|.*?\n\n", TEXT, flags=re.DOTALL)
    named = {name.replace(" ", "_") for name in re.findall(r"`([a-z0-9 ]+)`", table)}
    assert set(testing.CHECKS) <= named


def test_files_that_it_names_exist() -> None:
    root = Path(__file__).parents[2]
    named = re.findall(r"`((?:siconvnet|data|plots|tests|\.ci)/[\w/.]*)`", TEXT)
    assert len(named) > 5
    assert [name for name in named if not (root / name).exists()] == []
